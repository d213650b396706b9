//! Tokens that are bound to a client certificate (RFC 8705 §3).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::http::ClientCertificate;
use shared::jose::testing::Signer;
use shared::testing::certificates::{Authority, Identity, client_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::world::{Actor, Answer, EVERYTHING, World, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

fn thumbprint(identity: &Identity) -> String {
    ClientCertificate::parse(&identity.der, vec![]).unwrap().thumbprint().to_owned()
}

/// A person with a token that is bound to `identity`.
async fn bound(world: &World, identity: &Identity) -> Actor {
    let ann = world.person("Ann").await;
    let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
    claims["cnf"] = json!({ "x5t#S256": thumbprint(identity) });
    ann.with_token(&world.token(&claims))
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{answer:?}");
    assert_eq!((answer.error("Bearer"), answer.error("DPoP")), ("invalid_token", ""), "{answer:?}");
}

async fn codes(world: &World) -> i64 {
    world.count("SELECT COUNT(*) FROM referral_codes").await
}

#[tokio::test]
async fn a_token_bound_to_a_certificate_is_good_with_that_certificate_only__rfc8705_3() {
    on_each_store(|world| async move {
        let (own, other) = (Identity::self_signed("app"), Identity::self_signed("app"));
        let ann = bound(&world, &own).await;
        for caller in [ann.clone(), ann.showing(&other)] {
            assert_refused(&caller.get(CODES).await);
            assert_refused(&caller.create_code().await);
        }
        assert_eq!(codes(&world).await, 0);
        assert_eq!(ann.showing(&own).create_code().await.status, 201);
        // A token that is not bound is good on any connection.
        let bob = world.person("Bob").await;
        assert_eq!(bob.showing(&own).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_counts_and_nobody_elses__rfc8705_3() {
    let settings = [("CLIENT_CERTIFICATE_HEADER", "Client-Cert"), ("TRUSTED_PROXIES", "[\"10.0.0.1/32\"]")];
    on_each_store_with(&settings, |world| async move {
        let own = Identity::self_signed("app");
        let ann = bound(&world, &own).await.with_header("client-cert", &format!(":{}:", STANDARD.encode(&own.der)));
        assert_refused(&ann.from("192.0.2.7:4711").create_code().await);
        assert_eq!(codes(&world).await, 0);
        assert_eq!(ann.from("10.0.0.1:4711").create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_token_bound_to_both_a_certificate_and_a_key_needs_both__rfc7800_3_1() {
    on_each_store_with(&[("DPOP__REQUIRE_NONCE", "false")], |world| async move {
        let (own, key) = (Identity::self_signed("app"), Signer::new(Algorithm::ES256));
        let ann = world.person("Ann").await;
        let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
        claims["cnf"] = json!({ "x5t#S256": thumbprint(&own), "jkt": key.public_key().thumbprint() });
        let token = world.token(&claims);
        let now = world.platform.clock.timestamp();
        let url = world.platform.config.api.public_url.join(CODES);
        let proved = || {
            let proof = key.proof(&key.proof_claims("GET", &url, now, &world.unique(), Some(&token)));
            ann.without_token().with_header("authorization", &format!("DPoP {token}")).with_header("dpop", &proof)
        };
        let uncertified = proved().get(CODES).await;
        assert_eq!((uncertified.status, uncertified.error("DPoP")), (401, "invalid_token"), "{uncertified:?}");
        assert_refused(&ann.with_token(&token).showing(&own).get(CODES).await);
        assert_eq!(proved().showing(&own).get(CODES).await.status, 200);
        // A certificate alone makes no DPoP token.
        claims["cnf"] = json!({ "x5t#S256": thumbprint(&own) });
        let bearer = world.token(&claims);
        let wrong = ann.without_token().with_header("authorization", &format!("DPoP {bearer}")).showing(&own);
        assert_eq!(wrong.get(CODES).await.error("DPoP"), "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn over_our_own_listener_the_certificate_of_the_connection_counts__rfc8705_3() {
    let authority = Authority::new("Test authority");
    let folder = std::env::temp_dir().join(format!("referris-mtls-{}", std::process::id()));
    let (certificate, key) = authority.server(&["localhost"]).write(&folder, "api");
    let settings = [
        ("API__TLS_CERTIFICATE_FILE", certificate.to_str().unwrap()),
        ("API__TLS_KEY_FILE", key.to_str().unwrap()),
        ("API__REQUEST_CLIENT_CERTIFICATES", "true"),
        ("API__PUBLIC_URL", "https://localhost:8443"),
    ];
    let authority = &authority;
    on_each_store_with(&settings, |world| async move {
        let metadata = world.anon().get("/.well-known/oauth-protected-resource").await;
        assert_eq!(metadata.body["tls_client_certificate_bound_access_tokens"], true);
        let (own, other) = (Identity::self_signed("app"), Identity::self_signed("app"));
        let token = bound(&world, &own).await.token.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(referral_api::serve(world.platform.clone(), listener, std::future::pending()));
        let status = async |identity: Option<&Identity>| {
            let connector = TlsConnector::from(Arc::clone(&client_config(authority, identity)));
            let stream = TcpStream::connect(address).await.unwrap();
            let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
            let request = format!(
                "GET {CODES} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(status(None).await, "401");
        assert_eq!(status(Some(&other)).await, "401");
        assert_eq!(status(Some(&own)).await, "200");
        serving.abort();
    })
    .await;
    std::fs::remove_dir_all(folder).unwrap();
}
