//! §2.2 and §3.2; OpenID Connect Core §9 for both methods.

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use shared::jose::ASYMMETRIC;
use shared::jose::testing::{Signer, encode};

use super::{Keyed, TYPE, ask, remembered};
use crate::harness::each_server;

#[tokio::test]
async fn a_client_authenticates_with_a_key_of_each_algorithm__rfc7523_2_2() {
    each_server(&[], |server| async move {
        for algorithm in ASYMMETRIC {
            let client = Keyed::new(&server, algorithm, |_| {}).await;
            let answer = client.request(&client.signed(&client.claims())).await;
            assert_eq!(answer.json(200)["token_type"], "Bearer", "{algorithm:?}");
            answer.is_not_cached();
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_authenticates_with_a_mac_of_its_secret__oidc_core_9() {
    each_server(&[], |server| async move {
        let client = Keyed::with_secret(&server).await;
        client.request(&client.signed(&client.claims())).await.json(200);
        // Not with the secret itself, nor with another, nor with the hash that is stored.
        let secret = client.app.secret.clone().unwrap();
        let before = server.rows().await;
        let plain = [
            ("grant_type", "client_credentials"),
            ("client_id", client.app.client_id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        server.post("/oauth/token", &plain).await.is_error(401, "invalid_client");
        let basic = [("authorization", client.app.basic())];
        let basic = [(basic[0].0, basic[0].1.as_str())];
        server.post_with("/oauth/token", &basic, &plain[..1]).await.is_error(401, "invalid_client");
        use sha2::Digest;
        for wrong in [vec![b'x'; 43], sha2::Sha256::digest(&secret).to_vec()] {
            let signer = Signer::hmac(&wrong);
            let assertion = signer.sign(&signer.header("JWT"), &client.claims());
            client.request(&assertion).await.is_error(401, "invalid_client");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_was_rotated_signs_no_longer__oidc_core_9() {
    each_server(&[], |server| async move {
        let client = Keyed::with_secret(&server).await;
        client.request(&client.signed(&client.claims())).await.json(200);
        let id = client.app.client_id.as_str().into();
        let fresh =
            auth_server::clients::rotate_secret(&server.state.platform, &id).await.unwrap().expect("it has a secret");
        // A client that was read is believed for a second.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        client.request(&client.signed(&client.claims())).await.is_error(401, "invalid_client");
        let signer = Signer::hmac(fresh.reveal().as_bytes());
        client.request(&signer.sign(&signer.header("JWT"), &client.claims())).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn every_endpoint_takes_assertions_and_each_of_them_once__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        for path in ["/oauth/introspect", "/oauth/revoke"] {
            for audience in [server.state.issuer().to_owned(), server.state.platform.config.auth.public_url.join(path)]
            {
                let mut claims = client.claims();
                claims["aud"] = json!(audience);
                let assertion = client.signed(&claims);
                let form =
                    [("token", "nothing"), ("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())];
                assert_eq!(server.post(path, &form).await.status, 200, "{path}");
                let before = (server.rows().await, remembered(&server).await);
                server.post(path, &form).await.is_error(401, "invalid_client");
                // Nor at another endpoint.
                client.request(&assertion).await.is_error(401, "invalid_client");
                assert_eq!((server.rows().await, remembered(&server).await), before);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_who_show_one_assertion_one_is_served__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let assertion = client.signed(&client.claims());
        let answers = futures::future::join_all((0..10).map(|_| client.request(&assertion))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.is_error(401, "invalid_client");
        }
    })
    .await;
}

#[tokio::test]
async fn an_assertion_whose_request_failed_is_used_up_as_well__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let assertion = client.signed(&client.claims());
        let form = [("grant_type", "magic"), ("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())];
        server.post("/oauth/token", &form).await.is_error(400, "unsupported_grant_type");
        client.request(&assertion).await.is_error(401, "invalid_client");
    })
    .await;
}

#[tokio::test]
async fn what_was_used_is_forgotten_once_it_has_expired__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let assertion = client.signed(&client.claims());
        client.request(&assertion).await.json(200);
        assert_eq!(remembered(&server).await, 1);
        let clock = &server.state.platform.clock;
        clock.advance(std::time::Duration::from_secs(69));
        auth_server::sweeper::sweep(&server.state.platform).await.unwrap();
        // Within the leeway for clocks it is still remembered, and refused for that; beyond, for its age.
        assert_eq!(remembered(&server).await, 1);
        client.request(&assertion).await.is_error(401, "invalid_client");
        clock.advance(std::time::Duration::from_secs(3));
        auth_server::sweeper::sweep(&server.state.platform).await.unwrap();
        assert_eq!(remembered(&server).await, 0);
        client.request(&assertion).await.is_error(401, "invalid_client");
        assert_eq!(remembered(&server).await, 0);
    })
    .await;
}

#[tokio::test]
async fn two_ways_of_authenticating_at_once_are_refused__rfc6749_2_3__rfc7521_4_2() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let other = server.app(|m| m.grant_types = vec!["client_credentials".into()]).await;
        let assertion = client.signed(&client.claims());
        let before = (server.rows().await, remembered(&server).await);
        let secret = other.secret.clone().unwrap();
        ask(&server, &assertion, &[("client_secret", &secret)]).await.is_error(400, "invalid_request");
        let basic = other.basic();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        server.post_with("/oauth/token", &[("authorization", &basic)], &form).await.is_error(400, "invalid_request");
        // One half of an assertion.
        for half in [&form[..2], &[form[0], form[2]][..]] {
            server.post("/oauth/token", half).await.is_error(400, "invalid_request");
        }
        assert_eq!((server.rows().await, remembered(&server).await), before);
        // Nothing was used up.
        client.request(&assertion).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_client_a_wrong_key_and_another_method_hear_the_same__rfc7521_4_2_1__rfc7523_3_2() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let (secret, basic) = (Keyed::with_secret(&server).await, server.app(|_| {}).await);
        let before = (server.rows().await, remembered(&server).await);
        let named = |id: &str| {
            let mut claims = client.claims();
            (claims["iss"], claims["sub"]) = (json!(id), json!(id));
            client.signed(&claims)
        };
        let stranger = Signer::new(Algorithm::ES256);
        let stranger = stranger.sign(&stranger.header("JWT"), &client.claims());
        let mut answers = vec![];
        for assertion in [
            named("nobody"),
            named("not an id at all"),
            named(&basic.client_id),
            named(&secret.app.client_id),
            stranger,
            "nonsense".to_owned(),
        ] {
            let answer = client.request(&assertion).await;
            answer.is_error(401, "invalid_client");
            assert!(!answer.headers.contains_key("www-authenticate"), "{answer:?}");
            answers.push(answer.body);
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}

#[tokio::test]
async fn another_assertion_type_and_a_client_id_of_somebody_else_are_refused__rfc7523_2_2__rfc7521_4_2() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let assertion = client.signed(&client.claims());
        let before = (server.rows().await, remembered(&server).await);
        for kind in [
            "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
            "URN:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "jwt-bearer",
        ] {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", kind),
                ("client_assertion", assertion.as_str()),
            ];
            server.post("/oauth/token", &form).await.is_error(401, "invalid_client");
        }
        ask(&server, &assertion, &[("client_id", "somebody")]).await.is_error(401, "invalid_client");
        assert_eq!((server.rows().await, remembered(&server).await), before);
        ask(&server, &assertion, &[("client_id", &client.app.client_id)]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn keys_behind_an_address_serve_too_and_their_absence_says_nothing_against_the_client__rfc7591_2() {
    let signer = Signer::new(Algorithm::ES256);
    let jwks = json!({ "keys": [signer.jwk()] });
    let router = axum::Router::new().route("/jwks", axum::routing::get(move || async move { axum::Json(jwks) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (allow, signer) = (format!("[\"{address}\"]"), &signer);
    each_server(&[("OUTBOUND__ALLOW", &allow)], |server| async move {
        let at = async |path: &str| {
            Keyed::new(&server, Algorithm::EdDSA, |metadata| {
                metadata.jwks = None;
                metadata.jwks_uri = Some(format!("http://{address}{path}"));
            })
            .await
        };
        let client = at("/jwks").await;
        client.request(&signer.sign(&signer.header("JWT"), &client.claims())).await.json(200);
        client.request(&client.signed(&client.claims())).await.is_error(401, "invalid_client");
        let lost = at("/nowhere").await;
        // It would throw its keys away for `invalid_client`; in a moment they may be there again (RFC 6749 §5.2).
        let before = (server.rows().await, remembered(&server).await);
        let later = lost.request(&signer.sign(&signer.header("JWT"), &lost.claims())).await;
        later.is_error(503, "temporarily_unavailable");
        assert_eq!(later.header("retry-after"), "5");
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}

#[tokio::test]
async fn no_byte_of_an_assertion_can_be_changed__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let good = client.signed(&client.claims());
        let before = (server.rows().await, remembered(&server).await);
        let (server, good) = (&server, &good);
        let mut cases = vec![];
        let mutation = (0..good.len(), any::<u8>(), prop::sample::select(vec!["replace", "remove", "insert", "swap"]));
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
        let seen = std::cell::RefCell::new(&mut cases);
        runner
            .run(&mutation, |(at, byte, kind)| {
                let mut bytes = good.clone().into_bytes();
                // Characters of a form, so that more than the first check is reached.
                let byte =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="[usize::from(byte) % 66];
                match kind {
                    "replace" => bytes[at] = byte,
                    "remove" => drop(bytes.remove(at)),
                    "insert" => bytes.insert(at, byte),
                    _ => bytes.swap(at, (at + 1) % good.len()),
                }
                let mutated = String::from_utf8(bytes).expect("ASCII");
                if mutated != *good {
                    seen.borrow_mut().push(mutated);
                }
                Ok(())
            })
            .unwrap();
        assert!(cases.len() > 100);
        for mutated in cases {
            let answer = ask(server, &mutated, &[]).await;
            assert_eq!(answer.json(401)["error"], "invalid_client", "{mutated}");
        }
        assert_eq!((server.rows().await, remembered(server).await), before);
        // What was altered is not the original's use.
        ask(server, good, &[]).await.json(200);
        // Nor are the parts another's.
        let parts: Vec<_> = good.split('.').collect();
        let header = encode(r#"{"alg":"none"}"#);
        for forged in [
            format!("{header}.{}.", parts[1]),
            format!("{header}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[1], parts[2]),
        ] {
            ask(server, &forged, &[]).await.is_error(401, "invalid_client");
        }
    })
    .await;
}
