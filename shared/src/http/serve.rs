//! [`serve`]: the accept loop, with TLS or without. HTTP/1.1 only: HTTP/2 ends at the proxy, and without version
//! detection a connection that never says a word can be closed on time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use super::client_certificate::ClientCertificate;
use super::tls::{Tls, TlsError};
use super::workers::{Held, Workers};
use crate::config::TlsSettings;

/// A year, as RFC 6797 §6.1.1 counts.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Bytes that a socket takes at once, whoever reads at the other end.
const AT_ONCE: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// A new connection must bring its first request's headers by then, TLS handshake and all (slowloris).
    pub(super) first_headers: Duration,
    /// From an answer to the next request's headers, whole: longer than proxies keep idle connections (nginx 60 s), so that it is they who close them and
    /// never send a request into a connection just closed.
    pub(super) next_headers: Duration,
    /// An answer of which the client takes nothing for so long is given up, with its connection.
    pub(super) write_progress: Duration,
    /// What requests under way get once the service is told to stop.
    pub(super) grace: Duration,
    /// Connections at a time; those beyond wait to be accepted.
    pub(super) connections: usize,
    /// How often the files of the certificate are looked at.
    pub(super) reload: Duration,
}

const BOUNDS: Bounds = Bounds {
    first_headers: Duration::from_secs(10),
    next_headers: Duration::from_secs(75),
    write_progress: Duration::from_secs(30),
    grace: Duration::from_secs(10),
    connections: 10_000,
    reload: Duration::from_secs(30),
};

/// Where connections come in, and how they are spoken to.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// `tcp` with TLS as the configuration says.
    ///
    /// # Errors
    /// When the certificate or its key can't be used.
    pub fn open(tcp: TcpListener, tls: Option<TlsSettings>) -> Result<Self, TlsError> {
        Ok(Self { tcp, tls: tls.map(Tls::load).transpose()? })
    }
}

impl From<TcpListener> for Listener {
    /// Without TLS.
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

/// Serves `router` on `listener` until `shutdown` completes, then lets requests under way finish, for ten seconds at
/// most.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with(BOUNDS, listener.into(), router, shutdown).await
}

/// The same on several listeners: all serve, and all stop together.
pub async fn serve_all(listeners: Vec<Listener>, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let all = listeners.into_iter().map(|listener| {
        let mut stopping = stopping.clone();
        serve_with(BOUNDS, listener, router.clone(), async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
    });
    let mut all = pin!(futures::future::try_join_all(all));
    tokio::select! {
        ended = &mut all => ended.map(drop),
        () = shutdown => {
            stop.send_replace(true);
            all.await.map(drop)
        }
    }
}

pub(super) async fn serve_with(
    bounds: Bounds,
    listener: Listener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listener { tcp, tls } = listener;
    let graceful = GracefulShutdown::new();
    let (stop, stopping) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let workers = Workers::of_this_process()?;
    let mut connections = JoinSet::new();
    let mut reloads = JoinSet::new();
    if let Some(tls) = tls.clone() {
        reloads.spawn(async move {
            loop {
                tokio::time::sleep(bounds.reload).await;
                tls.reload().await;
            }
        });
    }
    loop {
        tokio::select! {
            accepted = accept(&tcp, &places, workers) => match accepted {
                Ok((place, held, stream, peer)) => {
                    let connection = Connection {
                        bounds,
                        deadline: Instant::now() + bounds.first_headers,
                        peer,
                        router: router.clone(),
                        watcher: graceful.watcher(),
                        stopping: stopping.clone(),
                    };
                    let (tls, worker) = (tls.clone(), held.by.clone());
                    connections.spawn_on(
                        async move {
                            connection.serve(stream, tls).await;
                            drop((place, held));
                        },
                        &worker,
                    );
                }
                Err(error) => pause_after(error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(tcp);
    // Handshakes are given up, as idle connections are.
    stop.send_replace(true);
    if tokio::time::timeout(bounds.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time and are cut off");
    }
    Ok(())
}

/// The next connection, once there is a place for it, and the worker that is to have it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    workers: &Workers,
) -> io::Result<(OwnedSemaphorePermit, Held, std::net::TcpStream, SocketAddr)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // It is not waited for here any more, but where it is answered.
    Ok((place, workers.hold()?, stream.into_std()?, peer))
}

/// What a connection is given when it comes in.
struct Connection {
    bounds: Bounds,
    /// When its first request's headers must be here.
    deadline: Instant,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, stream: std::net::TcpStream, tls: Option<Tls>) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::error!(%error, "can't wait for a connection"),
        };
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(self.bounds.write_progress));
        let Some(tls) = tls else { return self.http(stream, None, false).await };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout_at(self.deadline, tls.acceptor().accept(stream)) => handshake,
            _ = self.stopping.wait_for(|stopping| *stopping) => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let mut chain = stream.get_ref().1.peer_certificates().unwrap_or_default().iter().cloned();
                let certificate = chain.next().map(|own| ClientCertificate::parse(&own, chain.collect()));
                match certificate.transpose() {
                    Ok(certificate) => self.http(stream, certificate, tls.strict_transport).await,
                    // A chain of a length that nobody needs; the certificate itself passed the handshake.
                    Err(error) => tracing::debug!(%error, "connection refused"),
                }
            }
            // Strangers say all kinds of things.
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("no TLS in time"),
        }
    }

    async fn http<S>(self, stream: S, certificate: Option<ClientCertificate>, strict_transport: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { bounds, deadline, peer, router, watcher, .. } = self;
        let life = Arc::new(Life::default());
        let lives = life.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let answering = Answering::begin(&lives);
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let answer = router.clone().call(request);
            async move {
                let mut answer = answer.await?;
                if strict_transport {
                    answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
                }
                // What is longer than this is being answered until the last of it is on its way.
                if answer.body().size_hint().exact().is_none_or(|bytes| bytes > AT_ONCE as u64) {
                    answer = answer.map(|body| Body::new(Slowly { body, rest: Bytes::new(), _answering: answering }));
                }
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let http = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
        let mut http = pin!(watcher.watch(http));
        let mut idle = pin!(tokio::time::sleep_until(deadline));
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut http => break ended,
                () = &mut idle => match life.idle_since() {
                    // It said nothing, and had its time.
                    Idle::Never => return,
                    Idle::Since(since) if since + bounds.next_headers <= Instant::now() => return,
                    Idle::Since(since) => idle.as_mut().reset(since + bounds.next_headers),
                    Idle::No => idle.as_mut().reset(Instant::now() + bounds.next_headers),
                },
            }
        };
        if let Err(error) = ended {
            // Clients vanish all the time.
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// What a connection has been doing. Looked at when its time may be up, and cheap to keep: hyper's own timeout is a
/// timer for every request.
#[derive(Default)]
struct Life(Mutex<Option<Doing>>);

#[derive(Clone, Copy)]
enum Doing {
    Answering,
    Waiting(Instant),
}

/// How long a connection has had nothing to answer.
enum Idle {
    /// It never had.
    Never,
    No,
    Since(Instant),
}

impl Life {
    fn set(&self, doing: Doing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(doing);
    }

    fn idle_since(&self) -> Idle {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Idle::Never,
            Some(Doing::Answering) => Idle::No,
            Some(Doing::Waiting(since)) => Idle::Since(since),
        }
    }
}

/// A request that is being answered: one at a time, as HTTP/1.1 has it.
struct Answering(Arc<Life>);

impl Answering {
    fn begin(life: &Arc<Life>) -> Self {
        life.set(Doing::Answering);
        Self(life.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Doing::Waiting(Instant::now()));
    }
}

/// A body that is handed on in pieces that a socket takes at once: a connection counts as answering until it took the last.
struct Slowly {
    body: Body,
    /// What is left of the piece that came.
    rest: Bytes,
    _answering: Answering,
}

impl HttpBody for Slowly {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(AT_ONCE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
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

    const QUICK: Bounds = Bounds {
        first_headers: Duration::from_millis(100),
        next_headers: Duration::from_millis(300),
        write_progress: Duration::from_millis(400),
        grace: Duration::from_millis(400),
        connections: 3,
        reload: Duration::from_millis(50),
    };

    async fn start(router: Router) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve_with(QUICK, listener.into(), router, async move {
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
    async fn an_answered_connection_is_closed_when_no_next_request_comes_whole() {
        let (address, _stop, _server) = start(Router::new().route("/", get(async || "fine"))).await;
        for rest in ["", "GET / HTTP/1.1\r\nHost: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET / HTTP/1.1\r\nHost: test\r\n\r\n{rest}").as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            tokio::time::timeout(Duration::from_secs(5), read).await.expect("it is closed").unwrap();
            assert!(answer.ends_with("fine"), "{answer}");
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

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answers_loses_its_connection() {
        let router = Router::new().route("/", get(async || "x".repeat(32 << 20)));
        let (address, _stop, _server) = start(router).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        sleep(QUICK.write_progress * 3).await;
        // What is left in the buffers on the way can still be read; the rest never comes.
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("it is closed");
        assert!(answer.len() < 32 << 20, "{}", answer.len());
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_gets_its_whole_answer() {
        let (address, _stop, _server) = start(Router::new().route("/", get(async || "x".repeat(32 << 20)))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
        let (mut part, mut total) = (vec![0; 1 << 20], 0);
        loop {
            // In all it takes longer than a connection may be idle.
            sleep(QUICK.write_progress / 8).await;
            match stream.read(&mut part).await.unwrap() {
                0 => break,
                read => total += read,
            }
        }
        assert!(total > 32 << 20, "{total}");
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_for_a_place() {
        let router = Router::new()
            .route("/", get(async || "fine"))
            .route("/wait", get(async || std::future::pending::<()>().await));
        let (address, _stop, _server) = start(router).await;
        let mut crowd = vec![];
        for _ in 0..QUICK.connections {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
            crowd.push(stream);
        }
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let early = tokio::time::timeout(Duration::from_millis(100), next.read(&mut answer)).await;
        assert!(early.is_err(), "there is no place");
        crowd.pop();
        let read = tokio::time::timeout(Duration::from_secs(5), next.read(&mut answer)).await.expect("a place");
        assert!(read.unwrap() > 0);
    }
}
