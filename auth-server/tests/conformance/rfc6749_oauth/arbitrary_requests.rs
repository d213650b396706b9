//! Whatever is sent to the token endpoint: it is answered, gives nobody what is another's, and changes nothing (§3.2, §5.2).

use std::collections::BTreeSet;

use auth_server::clients::{DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE};
use axum::http::Request;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use url::form_urlencoded;

use crate::harness::arbitrary::{changed, changes};
use crate::harness::{App, each_server};

const NAMES: [&str; 23] = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "refresh_token",
    "scope",
    "resource",
    "audience",
    "username",
    "password",
    "device_code",
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "authorization_details",
    "state",
];

#[tokio::test]
async fn any_form_is_answered_and_gives_nobody_what_is_anothers__rfc6749_5_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (owner, thief) = (server.app(|_| {}).await, server.own_app(every_grant).await);
        let mut browser = server.browser();
        let tokens = owner.tokens(&mut browser, "ann@example.com", &[("scope", "openid offline_access")]).await;
        let refresh_token = tokens["refresh_token"].as_str().expect("a refresh token");
        let code = owner.code(&mut browser, "ann@example.com", &[]).await;

        // What is not the thief's, and a few things that are nobody's.
        let values = [
            "authorization_code",
            "refresh_token",
            "password",
            DEVICE_CODE,
            JWT_BEARER,
            TOKEN_EXCHANGE,
            &code,
            refresh_token,
            &owner.client_id,
            &thief.client_id,
            &owner.redirect_uri,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "openid",
            "account:write referrals:admin",
            "https://elsewhere.example",
            "ann@example.com",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "urn:ietf:params:oauth:token-type:access_token",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.e30.",
            r#"[{"type":"referral_code","actions":["read"]}]"#,
            "0",
        ];
        let exchange = owner.exchange_form(&code);
        let right: [&[(&str, &str)]; 6] = [
            &exchange,
            &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)],
            &[("grant_type", "password"), ("username", "ann@example.com"), ("password", "a guess")],
            &[("grant_type", DEVICE_CODE), ("device_code", "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS")],
            &[("grant_type", JWT_BEARER), ("assertion", "a.b.c")],
            &[("grant_type", TOKEN_EXCHANGE), ("subject_token", "a.b.c")],
        ];

        let mut runner = TestRunner::deterministic();
        let changes = changes(&NAMES, &values);
        let bytes = proptest::collection::vec(any::<u8>(), 0..60);
        let before = server.rows().await;
        let mut codes = BTreeSet::new();
        for turn in 0..300 {
            let changes = changes.new_tree(&mut runner).expect("a strategy").current();
            let form = changed(right[turn % right.len()], &changes);
            let mut body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish().into_bytes();
            if turn % 10 == 9 {
                body.extend(bytes.new_tree(&mut runner).expect("a strategy").current());
            }
            let answer = server.send(sent_by(&thief, turn), body).await;
            assert!(answer.status.is_client_error(), "{form:?} {answer:?}");
            let code = answer.json(answer.status.as_u16())["error"].as_str().expect("a code").to_owned();
            answer.is_error(answer.status.as_u16(), &code);
            codes.insert(code);
        }
        assert_eq!(server.rows().await, before, "nothing came of any of them");
        let deep =
            ["invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"];
        for reached in deep {
            assert!(codes.contains(reached), "{codes:?}");
        }
        // And what is the owner's still serves.
        owner.exchange(&code).await.json(200);
        owner.refresh(refresh_token).await.json(200);
    })
    .await;
}

/// Every grant in which somebody else has to take part.
fn every_grant(metadata: &mut auth_server::clients::ClientMetadata) {
    let grants = ["authorization_code", "refresh_token", "password", DEVICE_CODE, TOKEN_EXCHANGE];
    metadata.grant_types = grants.map(str::to_owned).to_vec();
}

/// A request of a client that mostly proves who it is, and at times tries something else.
fn sent_by(client: &App, turn: usize) -> axum::http::request::Builder {
    let form = if turn % 17 == 16 { "text/plain" } else { "application/x-www-form-urlencoded" };
    let request = Request::post("/oauth/token").header("content-type", form);
    match turn % 8 {
        0 => request,
        1 => request.header("authorization", "Basic e30="),
        2 => request.header("authorization", client.basic()).header("dpop", "a.b.c"),
        _ => request.header("authorization", client.basic()),
    }
}
