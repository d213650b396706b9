//! What the programs of both services have in common: when to stop, and asking one whether it is well.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::tls::connector_to_ourselves;

/// Completes on Ctrl-C and SIGTERM.
pub async fn shutdown_signal() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}

/// `GET /readyz` by hand: a health check must not need a client library, nor an image a shell. Over TLS whatever
/// certificate is shown will do, since its names are not `listen`'s.
///
/// # Errors
/// When nothing answers within five seconds, or the answer is not 200.
pub async fn healthcheck(listen: SocketAddr, tls: bool) -> io::Result<()> {
    let address = reachable(listen);
    let ask = async {
        let stream = TcpStream::connect(address).await?;
        if !tls {
            return ask(stream).await;
        }
        let name = ServerName::IpAddress(address.ip().into());
        ask(connector_to_ourselves()?.connect(name, stream).await?).await
    };
    let reply = tokio::time::timeout(Duration::from_secs(5), ask)
        .await
        .map_err(|_| io::Error::other(format!("{address} does not answer within 5 seconds")))?
        .map_err(|error| io::Error::new(error.kind(), format!("{address} does not answer: {error}")))?;
    if !reply.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(format!("{address} answers, and is not ready")));
    }
    Ok(())
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Vec<u8>> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut reply = vec![];
    stream.take(4096).read_to_end(&mut reply).await?;
    Ok(reply)
}

/// Where a listener is reached from this machine: "everywhere" is not an address to call.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_for_health_is_told_which_address_does_not_answer() {
        // Bound and let go: nobody listens there.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = healthcheck(address, false).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{address} does not answer: ")), "{error}");
    }

    #[test]
    fn everywhere_is_reached_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap());
        assert_eq!(reachable("[::]:1".parse().unwrap()), "[::1]:1".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
