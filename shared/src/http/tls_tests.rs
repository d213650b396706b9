//! The listener over real TLS connections, and certificates as they arrive.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rcgen::{DnType, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt;

use super::client_certificate::{ClientAuthorities, ClientCertificate};
use super::edge::Edge;
use super::serve::{Bounds, Listener, serve_with};
use crate::clock::Clock;
use crate::config::TlsSettings;
use crate::random::Random;
use crate::testing::certificates::{Authority, Identity, client_config, rcgen};

const QUICK: Bounds = Bounds {
    first_headers: Duration::from_millis(300),
    next_headers: Duration::from_secs(1),
    write_progress: Duration::from_secs(1),
    grace: Duration::from_secs(3),
    connections: 9,
    reload: Duration::from_millis(50),
};

struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    authority: Authority,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

fn shown() -> Router {
    let shown = async |certificate: Option<ClientCertificate>| match certificate {
        Some(certificate) => certificate.thumbprint().to_owned(),
        None => "none".to_owned(),
    };
    Router::new().route("/", get(shown)).route("/readyz", get(shown)).route(
        "/slow",
        get(async || {
            sleep(Duration::from_millis(200)).await;
            "done"
        }),
    )
}

fn settings(files: (PathBuf, PathBuf), ask: bool) -> TlsSettings {
    TlsSettings {
        section: "auth",
        certificate_file: files.0,
        key_file: files.1,
        request_client_certificates: ask,
        strict_transport: true,
    }
}

impl Server {
    async fn start(ask: bool) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("Test authority"));
        let files = authority.server(&["localhost"]).write(folder.path(), "server");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let listener = Listener::open(tcp, Some(settings(files, ask))).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve_with(QUICK, listener, shown(), async move {
            let _ = stopped.await;
        }));
        Self { address, folder, authority, stop: Some(stop), task }
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    async fn get(&self, path: &str, identity: Option<&Identity>) -> String {
        let mut stream = self.connect(client_config(&self.authority, identity)).await.unwrap();
        ask(&mut stream, path).await
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_listener_with_a_certificate_speaks_tls_and_tells_browsers_to_stay_with_it__rfc6797_7_1() {
    let server = Server::start(false).await;
    let mut config = Arc::unwrap_or_clone(client_config(&server.authority, None));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = server.connect(Arc::new(config)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = ask(&mut stream, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("none"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    crate::process::healthcheck(server.address, true).await.unwrap();
    assert!(crate::process::healthcheck(server.address, false).await.is_err());
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let server = Server::start(true).await;
    let client = Identity::self_signed("client");
    let config = client_config(&server.authority, Some(&client));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(config.client_auth_cert_resolver.clone());
    let mut stream = server.connect(Arc::new(config)).await.unwrap();
    let thumbprint = ClientCertificate::parse(&client.der, vec![]).unwrap().thumbprint().to_owned();
    assert!(ask(&mut stream, "/").await.ends_with(&thumbprint));
}

#[tokio::test]
async fn a_client_certificate_arrives_in_the_handler_and_none_need_be_shown__rfc8705_2() {
    let server = Server::start(true).await;
    let own = Identity::self_signed("client");
    let issued = server.authority.client("client", |_| {});
    for identity in [&own, &issued] {
        let thumbprint = ClientCertificate::parse(&identity.der, vec![]).unwrap().thumbprint().to_owned();
        let answer = server.get("/", Some(identity)).await;
        assert!(answer.ends_with(&thumbprint), "{answer}");
    }
    assert!(server.get("/", None).await.ends_with("none"));
}

#[tokio::test]
async fn a_listener_that_does_not_ask_is_shown_no_certificate() {
    let server = Server::start(false).await;
    assert!(server.get("/", Some(&Identity::self_signed("client"))).await.ends_with("none"));
}

#[tokio::test]
async fn a_certificate_whose_key_the_client_does_not_hold_is_refused__rfc8705_2_2() {
    let server = Server::start(true).await;
    let (victim, mut thief) = (Identity::self_signed("victim"), Identity::self_signed("thief"));
    // rustls refuses to pair them, so the pairing is done for it.
    thief.der = victim.der;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(thief.key.serialize_der().into());
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let pair = rustls::sign::CertifiedKey::new(vec![thief.der.into()], signing);
    let mut config = Arc::unwrap_or_clone(client_config(&server.authority, None));
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(pair));
    // TLS 1.3 tells of it with the first read.
    let refused = match server.connect(Arc::new(config)).await {
        Ok(mut stream) => {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            stream.read(&mut [0; 64]).await
        }
        Err(error) => Err(error),
    };
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_cut_off() {
    let server = Server::start(true).await;
    // Nothing; the beginning of a handshake; something else.
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("it is closed");
        assert!(!answer.starts_with(b"HTTP"));
    }
    // The time of the handshake counts towards the first headers.
    let mut stream = server.connect(client_config(&server.authority, None)).await.unwrap();
    let mut answer = [0; 1];
    let read = stream.read(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("it is closed");
}

#[tokio::test]
async fn a_request_under_way_is_finished_before_the_service_stops_and_a_handshake_is_not_waited_for() {
    let mut server = Server::start(false).await;
    let mut stream = server.connect(client_config(&server.authority, None)).await.unwrap();
    let _dawdler = TcpStream::connect(server.address).await.unwrap();
    let asking = tokio::spawn(async move { ask(&mut stream, "/slow").await });
    sleep(Duration::from_millis(80)).await;
    let _ = server.stop.take().unwrap().send(());
    assert!(asking.await.unwrap().ends_with("done"));
    tokio::time::timeout(Duration::from_millis(200), &mut server.task).await.expect("it stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_shown_without_a_restart() {
    let server = Server::start(false).await;
    let certificate = async || {
        let stream = server.connect(client_config(&server.authority, None)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = certificate().await;
    let next = server.authority.server(&["localhost"]);
    // Half of it is there: the old one stays in use.
    std::fs::write(server.folder.path().join("server.pem"), &next.pem).unwrap();
    sleep(QUICK.reload * 4).await;
    assert_eq!(certificate().await, first);
    std::fs::write(server.folder.path().join("server.key"), &next.key_pem).unwrap();
    for _ in 0..100 {
        if certificate().await == next.der {
            return;
        }
        sleep(QUICK.reload).await;
    }
    panic!("the old certificate is still shown");
}

#[tokio::test]
async fn a_certificate_that_can_not_be_used_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, path) = (Authority::new("Test authority"), folder.path());
    let good = authority.server(&["localhost"]).write(path, "good");
    let other = authority.server(&["localhost"]).write(path, "other");
    std::fs::write(path.join("empty"), "").unwrap();
    let open = async |certificate: PathBuf, key: PathBuf| {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Listener::open(tcp, Some(settings((certificate, key), false))).err().unwrap().to_string()
    };
    for (certificate, key, named, file) in [
        (path.join("missing"), good.1.clone(), "auth.tls_certificate_file", "missing"),
        (path.join("empty"), good.1.clone(), "auth.tls_certificate_file", "holds no certificate"),
        (good.0.clone(), path.join("empty"), "auth.tls_key_file", "empty"),
        (good.0.clone(), other.1, "auth.tls_key_file", "does not belong to the certificate"),
    ] {
        let error = open(certificate, key).await;
        assert!(error.starts_with(named) && error.contains(file), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

fn from_proxy(peer: [u8; 4], headers: &[(&str, &str)], own: Option<&Identity>) -> Request<Body> {
    let mut request = Request::get("/").extension(ConnectInfo(SocketAddr::from((peer, 5))));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(own) = own {
        request = request.extension(ClientCertificate::parse(&own.der, vec![]).unwrap());
    }
    request.body(Body::empty()).unwrap()
}

async fn answer(request: Request<Body>) -> String {
    let router = Router::new().route(
        "/",
        get(async |certificate: Option<ClientCertificate>, headers: axum::http::HeaderMap| {
            assert!(!headers.contains_key("client-cert") && !headers.contains_key("client-cert-chain"));
            certificate.map_or("none".to_owned(), |certificate| certificate.thumbprint().to_owned())
        }),
    );
    let edge = Edge::new(Clock::system(), Random::system(), vec!["10.0.0.0/8".parse().unwrap()])
        .with_certificates_from(Some("client-cert".parse().unwrap()));
    let response = edge.wrap(router).oneshot(request).await.unwrap();
    String::from_utf8(to_bytes(response.into_body(), 999).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn a_trusted_proxy_hands_on_the_certificate_and_nobody_else__rfc9440_2_2() {
    let (client, proxy) = (Identity::self_signed("client"), Identity::self_signed("proxy"));
    let thumbprint =
        |identity: &Identity| ClientCertificate::parse(&identity.der, vec![]).unwrap().thumbprint().to_owned();
    let item = format!(":{}:", STANDARD.encode(&client.der));
    let chain = format!(":{}:, :{}:", STANDARD.encode(&proxy.der), STANDARD.encode(&proxy.der));
    let (trusted, stranger) = ([10, 0, 0, 1], [192, 0, 2, 1]);
    let headers = [("client-cert", item.as_str()), ("client-cert-chain", chain.as_str())];

    assert_eq!(answer(from_proxy(trusted, &headers, None)).await, thumbprint(&client));
    assert_eq!(answer(from_proxy(stranger, &headers, None)).await, "none");
    // What the connection itself proved: a stranger's is his, a proxy's is the proxy's and not the client's.
    assert_eq!(answer(from_proxy(stranger, &headers, Some(&proxy))).await, thumbprint(&proxy));
    assert_eq!(answer(from_proxy(trusted, &headers, Some(&proxy))).await, thumbprint(&client));
    assert_eq!(answer(from_proxy(trusted, &[], Some(&proxy))).await, "none");

    let unpadded = format!(":{}:", STANDARD.encode(&client.der).trim_end_matches('='));
    assert_eq!(answer(from_proxy(trusted, &[("client-cert", &unpadded)], None)).await, thumbprint(&client));
    let doubled = [headers[0], headers[0]];
    let pem = client.pem.replace('\n', " ");
    for wrong in
        [&doubled[..], &[("client-cert", "::")], &[("client-cert", ":AA==:")], &[("client-cert", pem.as_str())]]
    {
        assert_eq!(answer(from_proxy(trusted, wrong, None)).await, "none", "{wrong:?}");
    }
}

#[test]
fn a_certificate_tells_its_names_and_its_key() {
    let authority = Authority::new("Test authority");
    let client = authority.client("payments, inc", |params| {
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.subject_alt_names = vec![
            SanType::DnsName("client.example.com".try_into().unwrap()),
            SanType::URI("https://client.example.com/id".try_into().unwrap()),
            SanType::Rfc822Name("client@example.com".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ];
    });
    let certificate = ClientCertificate::parse(&client.der, vec![]).unwrap();
    assert_eq!(certificate.subject_dn(), "C=DE,CN=payments\\, inc");
    assert!(certificate.subject().matches(&"c=de, cn=Payments\\, Inc".parse().unwrap()));
    assert_eq!(certificate.dns_names(), ["client.example.com"]);
    assert_eq!(certificate.uris(), ["https://client.example.com/id"]);
    assert_eq!(certificate.emails(), ["client@example.com"]);
    assert_eq!(certificate.ips(), ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    assert_eq!(certificate.public_key(), rcgen::PublicKeyData::subject_public_key_info(&client.key));
    assert_eq!(certificate.thumbprint().len(), 43);
}

#[test]
fn a_chain_leads_to_one_of_the_authorities_and_is_valid_now__rfc8705_2_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let (ours, theirs) = (Authority::new("Ours"), Authority::new("Theirs"));
    std::fs::write(&file, ours.pem()).unwrap();
    let authorities = ClientAuthorities::load(&file).unwrap();
    let now = DateTime::parse_from_rfc3339("2026-06-01T00:00:00Z").unwrap().to_utc();
    let until = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    };
    let issued = |identity: &Identity, at: DateTime<Utc>| {
        ClientCertificate::parse(&identity.der, vec![]).unwrap().is_issued_by(&authorities, at)
    };
    let client = ours.client("client", until);
    assert!(issued(&client, now));
    assert!(!issued(&client, now + TimeDelta::days(365)), "expired");
    assert!(!issued(&client, now - TimeDelta::days(365)), "not yet valid");
    assert!(!issued(&theirs.client("client", until), now), "somebody else's");
    assert!(!issued(&Identity::self_signed("client"), now), "nobody's");
    assert!(!issued(&ours.server(&["client"]), now), "a server's");

    let certificate = ClientCertificate::parse(&client.der, vec![]).unwrap();
    assert!(certificate.is_valid_at(now) && !certificate.is_valid_at(now + TimeDelta::days(365)));

    std::fs::write(&file, "").unwrap();
    assert!(ClientAuthorities::load(&file).unwrap_err().contains("ca.pem"));
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_a_certificate_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = ClientCertificate::parse(&bytes, vec![]);
    }

    #[test]
    fn a_certificate_with_bytes_changed_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        static CLIENT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            Authority::new("Test authority").client("client", |params| {
                params.subject_alt_names = vec![
                    SanType::DnsName("client.example.com".try_into().unwrap()),
                    SanType::IpAddress("192.0.2.7".parse().unwrap()),
                ];
            }).der
        });
        let mut der = CLIENT.clone();
        for (index, byte) in changes {
            let index = index.index(der.len());
            der[index] = byte;
        }
        if let Ok(certificate) = ClientCertificate::parse(&der, vec![]) {
            let _ = (certificate.subject_dn(), certificate.validity(), certificate.thumbprint().len());
        }
    }
}
