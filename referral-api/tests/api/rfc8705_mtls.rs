//! Tokens that are bound to a client certificate (RFC 8705 §3).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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
async fn every_route_wants_the_certificate__rfc8705_3() {
    // Where a token is optional too: one that does not serve makes nobody anonymous.
    for anonymous in ["false", "true"] {
        on_each_store_with(&[("INVITATIONS__ANONYMOUS", anonymous)], |world| async move {
            let (own, other) = (Identity::self_signed("app"), Identity::self_signed("app"));
            let ann = bound(&world, &own).await;
            let code = ann.showing(&own).new_code().await;
            for caller in [ann.clone(), ann.showing(&other)] {
                for (route, answer) in caller.everywhere(&code).await {
                    assert_eq!(answer.error("Bearer"), "invalid_token", "{route}: {answer:?}");
                    assert_refused(&answer);
                }
            }
            assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await, 1);
            assert_eq!(world.count("SELECT COUNT(*) FROM outbox").await, 0);
            let statuses: Vec<u16> =
                ann.showing(&own).everywhere(&code).await.iter().map(|(_, answer)| answer.status).collect();
            assert_eq!(statuses, [200, 200, 404, 200, 202, 200, 200, 200, 404, 404, 422, 409, 204]);
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_proxy_hands_on_must_be_that_one_certificate__rfc8705_3__rfc9440_2_2() {
    let settings = [("CLIENT_CERTIFICATE_HEADER", "Client-Cert"), ("TRUSTED_PROXIES", "[\"10.0.0.1/32\"]")];
    on_each_store_with(&settings, |world| async move {
        let (own, other) = (Identity::self_signed("app"), Identity::self_signed("app"));
        let ann = bound(&world, &own).await.from("10.0.0.1:4711");
        let handed_on = |identity: &Identity| format!(":{}:", STANDARD.encode(&identity.der));
        let (good, wrong) = (handed_on(&own), handed_on(&other));
        assert_refused(&ann.create_code().await);
        for header in [
            wrong.as_str(),
            good.trim_matches(':'),
            &format!("{good}, {wrong}"),
            &good[..good.len() / 2],
            "::",
            ":AAAA:",
            "-----BEGIN CERTIFICATE-----",
            &thumbprint(&own),
        ] {
            assert_refused(&ann.with_header("client-cert", header).create_code().await);
        }
        // Of two nobody knows which one is the client's.
        assert_refused(&ann.with_header("client-cert", &good).with_header("client-cert", &wrong).create_code().await);
        assert_eq!(codes(&world).await, 0);
        assert_eq!(ann.with_header("client-cert", &good).create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn the_thumbprint_is_compared_character_by_character__rfc8705_3_1() {
    on_each_store(|world| async move {
        let own = Identity::self_signed("app");
        let ann = world.person("Ann").await;
        let print = thumbprint(&own);
        let hex: String = URL_SAFE_NO_PAD.decode(&print).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        for cnf in [
            json!({ "x5t#S256": format!("{print}=") }),
            json!({ "x5t#S256": hex }),
            json!({ "x5t#S256": print[..print.len() - 1] }),
            json!({ "x5t#S256": "" }),
            json!({ "x5t#S256": [print] }),
            json!({ "x5t": print }),
            json!({ "x5t#S256": print, "kid": "x" }),
        ] {
            let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
            claims["cnf"] = cnf;
            let holder = ann.with_token(&world.token(&claims)).showing(&own);
            assert_refused(&holder.create_code().await);
        }
        assert_eq!(codes(&world).await, 0);
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
