//! §4.3, checking DPoP proofs; §11.1, replay.

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use shared::jose::testing::{Signer, encode};

use super::{CREDENTIALS, Holder, TOKEN, machine};
use crate::harness::each_server;

#[tokio::test]
async fn what_is_no_proof_for_this_request_is_refused_and_leaves_the_code_alone__rfc9449_4_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (holder, stranger) = (Holder::new(&server), Signer::new(Algorithm::ES256));
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        let now = server.state.platform.clock.timestamp();
        let claims = || holder.claims("POST", TOKEN, None);
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            holder.signer.proof(&claims)
        };
        let without = |name: &str| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            holder.signer.proof(&claims)
        };
        let header = |change: &dyn Fn(&mut Value)| {
            let mut header = holder.signer.header("dpop+jwt");
            header["jwk"] = holder.signer.jwk();
            change(&mut header);
            holder.signer.sign(&header, &claims())
        };
        let issuer = server.state.issuer();
        let twice = claims().to_string().replacen('{', "{\"jti\":\"x\",", 1);
        let mut cases = vec![
            ("not a JWT", "nonsense".to_owned()),
            ("no typ", header(&|h| drop(h.as_object_mut().unwrap().remove("typ")))),
            ("another typ", header(&|h| h["typ"] = json!("JWT"))),
            ("alg none", header(&|h| h["alg"] = json!("none"))),
            ("alg symmetric", header(&|h| h["alg"] = json!("HS256"))),
            ("alg of another key", header(&|h| h["alg"] = json!("RS256"))),
            ("critical", header(&|h| h["crit"] = json!(["x"]))),
            ("no key", header(&|h| drop(h.as_object_mut().unwrap().remove("jwk")))),
            ("somebody's key", header(&|h| h["jwk"] = stranger.jwk())),
            ("a private key", header(&|h| h["jwk"]["d"] = json!("AQ"))),
            ("another method", with("htm", json!("GET"))),
            ("the method in another case", with("htm", json!("post"))),
            ("another path", with("htu", json!(format!("{issuer}/oauth/revoke")))),
            ("another host", with("htu", json!("https://another.example/oauth/token"))),
            ("a path only", with("htu", json!(TOKEN))),
            ("old", with("iat", json!(now - 400))),
            ("from the future", with("iat", json!(now + 60))),
            ("iat as text", with("iat", json!(now.to_string()))),
            ("a long jti", with("jti", json!("x".repeat(300)))),
            ("an empty jti", with("jti", json!(""))),
            ("a member twice", {
                let mut header = holder.signer.header("dpop+jwt");
                header["jwk"] = holder.signer.jwk();
                holder.signer.sign_text(&header.to_string(), &twice)
            }),
            ("deep", with("x", (0..40).fold(json!(1), |inner, _| json!([inner])))),
            ("large", with("x", json!("x".repeat(8192)))),
            ("empty", String::new()),
        ];
        cases.extend(["jti", "htm", "htu", "iat"].map(|name| (name, without(name))));
        let before = server.rows().await;
        for (case, proof) in cases {
            let answer = app.post_with(TOKEN, &[("dpop", &proof)], &app.exchange_form(&code)).await;
            assert_eq!(answer.json(400)["error"], "invalid_dpop_proof", "{case}: {answer:?}");
            answer.is_error(400, "invalid_dpop_proof");
        }
        let (one, two) = (holder.proof(), holder.proof());
        let answer = app.post_with(TOKEN, &[("dpop", &one), ("dpop", &two)], &app.exchange_form(&code)).await;
        answer.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
        // Query and fragment do not count, nor does the case of the host.
        let url = format!("{}{TOKEN}?a=b#c", issuer.replace("http", "HTTP"));
        let answer = app.post_with(TOKEN, &[("dpop", &with("htu", json!(url)))], &app.exchange_form(&code)).await;
        assert_eq!(answer.json(200)["token_type"], "DPoP");
    })
    .await;
}

#[tokio::test]
async fn a_proof_serves_once_even_when_many_show_it_at_once__rfc9449_11_1() {
    each_server(&[], |server| async move {
        let (holder, app) = (Holder::new(&server), machine(&server, |_| {}).await);
        let proof = holder.proof();
        let headers = [("dpop", proof.as_str())];
        let tries = (0..10).map(|_| app.post_with(TOKEN, &headers, &CREDENTIALS));
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.is_error(400, "invalid_dpop_proof");
        }
        // The same id with another key, and another client with the same proof.
        let other = Holder::new(&server);
        other.token(&app, &CREDENTIALS).await.json(200);
        let second = machine(&server, |_| {}).await;
        second.post_with(TOKEN, &headers, &CREDENTIALS).await.is_error(400, "invalid_dpop_proof");
        // A request that fails leaves it as it was: strangers can make proofs at will, and get nothing written for them.
        let proof = holder.proof();
        app.post_with(TOKEN, &[("dpop", &proof)], &[("grant_type", "magic")])
            .await
            .is_error(400, "unsupported_grant_type");
        app.post_with(TOKEN, &[("dpop", &proof)], &CREDENTIALS).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn no_byte_of_a_proof_can_be_changed__rfc9449_4_3() {
    each_server(&[], |server| async move {
        let (holder, app) = (Holder::new(&server), machine(&server, |_| {}).await);
        let good = holder.proof();
        let before = server.rows().await;
        let cases = std::cell::RefCell::new(vec![]);
        let mutation = (0..good.len(), any::<u8>(), prop::sample::select(vec!["replace", "remove", "insert", "swap"]));
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
        runner
            .run(&mutation, |(at, byte, kind)| {
                let mut bytes = good.clone().into_bytes();
                let byte =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="[usize::from(byte) % 66];
                match kind {
                    "replace" => bytes[at] = byte,
                    "remove" => drop(bytes.remove(at)),
                    "insert" => bytes.insert(at, byte),
                    _ => bytes.swap(at, (at + 1) % good.len()),
                }
                let mutated = String::from_utf8(bytes).expect("ASCII");
                if mutated != good {
                    cases.borrow_mut().push(mutated);
                }
                Ok(())
            })
            .unwrap();
        let mut cases = cases.into_inner();
        assert!(cases.len() > 100);
        let parts: Vec<_> = good.split('.').collect();
        cases.push(format!("{}.{}.", encode(r#"{"typ":"dpop+jwt","alg":"none"}"#), parts[1]));
        for mutated in cases {
            let answer = app.post_with(TOKEN, &[("dpop", &mutated)], &CREDENTIALS).await;
            assert_eq!(answer.json(400)["error"], "invalid_dpop_proof", "{mutated}");
        }
        assert_eq!(server.rows().await, before);
        app.post_with(TOKEN, &[("dpop", &good)], &CREDENTIALS).await.json(200);
    })
    .await;
}
