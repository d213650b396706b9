//! §8, authorization server-provided nonce.

use std::time::Duration;

use serde_json::json;

use super::{CREDENTIALS, Holder, TOKEN, machine};
use crate::harness::each_server;

#[tokio::test]
async fn a_proof_without_a_recent_nonce_is_sent_back_with_one__rfc9449_8() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, app) = (Holder::new(&server), server.app(|_| {}).await);
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        let with = |nonce: Option<&str>| {
            let mut claims = holder.claims("POST", TOKEN, None);
            match nonce {
                Some(nonce) => claims["nonce"] = json!(nonce),
                None => drop(claims.as_object_mut().unwrap().remove("nonce")),
            }
            holder.signer.proof(&claims)
        };
        let before = server.rows().await;
        let mut nonce = String::new();
        for wrong in [None, Some(""), Some("made up"), Some(&*"x".repeat(200))] {
            let answer = app.post_with(TOKEN, &[("dpop", &with(wrong))], &app.exchange_form(&code)).await;
            answer.is_error(400, "use_dpop_nonce");
            nonce = answer.header("dpop-nonce").to_owned();
            assert!(!nonce.is_empty());
        }
        assert_eq!(server.rows().await, before);
        // The code is as good as before, and the answer brings the nonce for the next request (§8.2).
        let answer = app.post_with(TOKEN, &[("dpop", &with(Some(&nonce)))], &app.exchange_form(&code)).await;
        assert_eq!(answer.json(200)["token_type"], "DPoP");
        assert!(!answer.header("dpop-nonce").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_nonce_ages_and_answers_bring_the_next_one__rfc9449_8_2() {
    each_server(&[], |server| async move {
        let (holder, app) = (Holder::new(&server), machine(&server, |_| {}).await);
        let mut claims = holder.claims("POST", TOKEN, None);
        let answer = app.post_with(TOKEN, &[("dpop", &holder.signer.proof(&claims))], &CREDENTIALS).await;
        let nonce = answer.header("dpop-nonce").to_owned();
        let later = |claims: &mut serde_json::Value, jti: &str| {
            claims["iat"] = json!(server.state.platform.clock.timestamp());
            claims["jti"] = json!(jti);
            claims["nonce"] = json!(nonce);
        };
        server.state.platform.clock.advance(Duration::from_secs(175));
        later(&mut claims, "a");
        let answer = app.post_with(TOKEN, &[("dpop", &holder.signer.proof(&claims))], &CREDENTIALS).await;
        answer.json(200);
        assert_ne!(answer.header("dpop-nonce"), "");
        server.state.platform.clock.advance(Duration::from_secs(400));
        later(&mut claims, "b");
        let answer = app.post_with(TOKEN, &[("dpop", &holder.signer.proof(&claims))], &CREDENTIALS).await;
        answer.is_error(400, "use_dpop_nonce");
        assert_ne!(answer.header("dpop-nonce"), nonce);
    })
    .await;
}

#[tokio::test]
async fn where_none_is_wanted_none_is_asked_for_or_handed_out__rfc9449_8() {
    each_server(&[("DPOP__REQUIRE_NONCE", "false")], |server| async move {
        let (holder, app) = (Holder::new(&server), machine(&server, |_| {}).await);
        let mut claims = holder.claims("POST", TOKEN, None);
        claims.as_object_mut().unwrap().remove("nonce");
        let answer = app.post_with(TOKEN, &[("dpop", &holder.signer.proof(&claims))], &CREDENTIALS).await;
        assert_eq!(answer.json(200)["token_type"], "DPoP");
        assert!(!answer.headers.contains_key("dpop-nonce"));
    })
    .await;
}

#[tokio::test]
async fn who_shows_no_proof_hears_of_no_nonce__rfc9449_8() {
    each_server(&[], |server| async move {
        let app = machine(&server, |_| {}).await;
        let answer = app.token(&CREDENTIALS).await;
        assert_eq!(answer.json(200)["token_type"], "Bearer");
        assert!(!answer.headers.contains_key("dpop-nonce"));
    })
    .await;
}
