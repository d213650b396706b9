//! [`serve`]: the accept loop. HTTP/1.1 only: TLS and HTTP/2 end at the proxy, and without version detection a
//! connection that never says a word can be closed on time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

#[derive(Clone, Copy)]
struct Deadlines {
    /// A new connection must bring its first request's headers by then (slowloris).
    first_headers: Duration,
    /// Between requests: longer than proxies keep idle connections (nginx 60 s), so that it is they who close them and
    /// never send a request into a connection just closed.
    next_headers: Duration,
    /// What requests under way get once the service is told to stop.
    grace: Duration,
}

const DEADLINES: Deadlines = Deadlines {
    first_headers: Duration::from_secs(10),
    next_headers: Duration::from_secs(75),
    grace: Duration::from_secs(10),
};

/// Serves `router` on `listener` until `shutdown` completes, then lets requests under way finish, for ten seconds at
/// most.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    serve_with(DEADLINES, listener, router, shutdown).await
}

async fn serve_with(
    deadlines: Deadlines,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(deadlines, stream, peer, router.clone(), graceful.watcher()));
                }
                Err(error) => pause_after(error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(deadlines.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time and are cut off");
    }
    Ok(())
}

async fn connection(deadlines: Deadlines, stream: TcpStream, peer: SocketAddr, router: Router, watcher: Watcher) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let began = Arc::new(AtomicBool::new(false));
    let begins = began.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.next_headers)
        .serve_connection(TokioIo::new(stream), service);
    let mut http = pin!(watcher.watch(http));
    let ended = tokio::select! {
        ended = &mut http => ended,
        () = tokio::time::sleep(deadlines.first_headers) => {
            if !began.load(Ordering::Relaxed) {
                return;
            }
            http.await
        }
    };
    if let Err(error) = ended {
        // Clients vanish all the time.
        tracing::debug!(%error, "connection ended");
    }
}

/// A connection that was reset before it was accepted says nothing about the next one; running out of file descriptors
/// passes only when some are closed, and trying again at once would burn a core.
async fn pause_after(error: io::Error) {
    let passing = [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !passing.contains(&error.kind()) {
        tracing::error!(%error, "can't accept connections");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;

    const QUICK: Deadlines = Deadlines {
        first_headers: Duration::from_millis(100),
        next_headers: Duration::from_millis(300),
        grace: Duration::from_millis(400),
    };

    async fn start(router: Router) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve_with(QUICK, listener, router, async move {
            let _ = stopped.await;
        }));
        (address, stop, server)
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_before_the_service_stops() {
        let router = Router::new().route(
            "/",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
                sleep(Duration::from_millis(200)).await;
                peer.ip().to_string()
            }),
        );
        let (address, stop, server) = start(router).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        stop.send(()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
        server.await.unwrap().unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "idle connections are closed");
    }

    #[tokio::test]
    async fn a_connection_that_does_not_bring_its_headers_in_time_is_closed() {
        let (address, _stop, _server) = start(Router::new()).await;
        for start in ["", "GET / HTTP/1.1\r\nHost: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("it is closed");
            assert!(answer.is_empty());
        }
    }

    #[tokio::test]
    async fn a_connection_stays_open_between_requests() {
        let (address, _stop, _server) = start(Router::new().route("/", get(async || "fine"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 1024];
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
            assert!(stream.read(&mut answer).await.unwrap() > 0);
            sleep(QUICK.first_headers + Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_off_after_the_grace() {
        let (address, stop, server) =
            start(Router::new().route("/", get(async || std::future::pending::<()>().await))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(5), server).await.expect("it stops").unwrap().unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
