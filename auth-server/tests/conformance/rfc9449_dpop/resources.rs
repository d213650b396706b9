//! §7, protected resource access, and §9, nonces from resources: userinfo and one's own account.

use std::time::Duration;

use axum::http::{Method, Request};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Holder, public};
use crate::harness::{Answer, Server, each_server};

const USERINFO: &str = "/oauth/userinfo";
const ME: &str = "/api/v1/me";

async fn ask(server: &Server, method: &str, path: &str, authorization: &str, proofs: &[&str]) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Request::builder().method(method).uri(path).header("authorization", authorization);
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    server.send(request, "").await
}

/// The challenges: one for each scheme, the error with the one that was tried.
#[track_caller]
fn challenged(answer: &Answer, status: u16, scheme: &str, error: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().map(|c| c.to_str().unwrap()).collect();
    let [bearer, dpop] = challenges.as_slice() else { panic!("{answer:?}") };
    assert!(bearer.starts_with("Bearer realm=") && dpop.starts_with("DPoP realm="), "{answer:?}");
    assert!(dpop.contains("algs=\"ES256 EdDSA PS256\""), "{dpop}");
    let told = format!("error=\"{error}\"");
    assert_eq!((bearer.contains(&told), dpop.contains(&told)), (scheme == "Bearer", scheme == "DPoP"), "{answer:?}");
    answer.is_not_cached();
}

#[tokio::test]
async fn a_bound_token_opens_with_its_key__rfc9449_7_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|m| m.scopes = vec!["openid".into(), "account:read".into()]).await;
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
            let holder = Holder::with(&server, algorithm);
            let tokens = holder.tokens(&app, "openid account:read").await;
            let token = tokens["access_token"].as_str().unwrap();
            for (method, path) in [("GET", USERINFO), ("POST", USERINFO), ("GET", ME)] {
                for scheme in ["DPoP", "dpop"] {
                    let proof = holder.signer.proof(&holder.claims(method, path, Some(token)));
                    let answer = ask(&server, method, path, &format!("{scheme} {token}"), &[&proof]).await;
                    answer.json(200);
                    assert!(!answer.header("dpop-nonce").is_empty());
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn under_the_wrong_scheme_no_token_serves__rfc9449_7_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, app) = (Holder::new(&server), public(&server).await);
        let tokens = holder.tokens(&app, "openid").await;
        let bound = tokens["access_token"].as_str().unwrap();
        let free = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let free = free["access_token"].as_str().unwrap();
        let before = server.rows().await;
        // A stolen token, alone or with a proof by the thief or the owner.
        let proof = holder.signer.proof(&holder.claims("GET", USERINFO, Some(bound)));
        for proofs in [&[][..], &[proof.as_str()]] {
            let answer = ask(&server, "GET", USERINFO, &format!("Bearer {bound}"), proofs).await;
            challenged(&answer, 401, "Bearer", "invalid_token");
        }
        let proof = holder.signer.proof(&holder.claims("GET", USERINFO, Some(free)));
        let answer = ask(&server, "GET", USERINFO, &format!("DPoP {free}"), &[&proof]).await;
        challenged(&answer, 401, "DPoP", "invalid_token");
        // Without credentials no error is told (RFC 6750 §3.1).
        let answer = server.get(USERINFO).await;
        challenged(&answer, 401, "", "");
        assert_eq!(server.rows().await, before);
        ask(&server, "GET", USERINFO, &format!("Bearer {free}"), &[]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_prove_this_request_with_this_token_is_refused__rfc9449_7_1__rfc9449_4_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), public(&server).await);
        let tokens = holder.tokens(&app, "openid").await;
        let token = tokens["access_token"].as_str().unwrap();
        let other = holder.tokens(&app, "openid").await;
        let other = other["access_token"].as_str().unwrap();
        let now = server.state.platform.clock.timestamp();
        let authorization = format!("DPoP {token}");
        let changed = |name: &str, value: Value| {
            let mut claims = holder.claims("GET", USERINFO, Some(token));
            claims[name] = value;
            holder.signer.proof(&claims)
        };
        let before = server.rows().await;
        let answer = ask(&server, "GET", USERINFO, &authorization, &[]).await;
        challenged(&answer, 401, "DPoP", "invalid_dpop_proof");
        for (case, proof) in [
            ("nonsense", "nonsense".to_owned()),
            ("no ath", holder.signer.proof(&holder.claims("GET", USERINFO, None))),
            ("another token's ath", holder.signer.proof(&holder.claims("GET", USERINFO, Some(other)))),
            ("another method", holder.signer.proof(&holder.claims("POST", USERINFO, Some(token)))),
            ("another path", holder.signer.proof(&holder.claims("GET", ME, Some(token)))),
            ("old", changed("iat", json!(now - 400))),
            ("from the future", changed("iat", json!(now + 60))),
        ] {
            let answer = ask(&server, "GET", USERINFO, &authorization, &[&proof]).await;
            assert_eq!(answer.status, 401, "{case}");
            challenged(&answer, 401, "DPoP", "invalid_dpop_proof");
        }
        let (one, two) = (changed("x", json!(1)), changed("x", json!(2)));
        let answer = ask(&server, "GET", USERINFO, &authorization, &[&one, &two]).await;
        challenged(&answer, 401, "DPoP", "invalid_dpop_proof");
        // A good proof, of another key.
        let proof = thief.signer.proof(&thief.claims("GET", USERINFO, Some(token)));
        let answer = ask(&server, "GET", USERINFO, &authorization, &[&proof]).await;
        challenged(&answer, 401, "DPoP", "invalid_token");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_proof_serves_one_request__rfc9449_11_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, app) = (Holder::new(&server), public(&server).await);
        let tokens = holder.tokens(&app, "openid").await;
        let token = tokens["access_token"].as_str().unwrap();
        let authorization = format!("DPoP {token}");
        let proof = holder.signer.proof(&holder.claims("GET", USERINFO, Some(token)));
        let proofs = [proof.as_str()];
        let answers =
            futures::future::join_all((0..5).map(|_| ask(&server, "GET", USERINFO, &authorization, &proofs))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            challenged(refused, 401, "DPoP", "invalid_dpop_proof");
        }
    })
    .await;
}

#[tokio::test]
async fn a_resource_wants_a_recent_nonce_too__rfc9449_9() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, app) = (Holder::new(&server), public(&server).await);
        let tokens = holder.tokens(&app, "openid").await;
        let token = tokens["access_token"].as_str().unwrap();
        let authorization = format!("DPoP {token}");
        let mut claims = holder.claims("GET", USERINFO, Some(token));
        server.state.platform.clock.advance(Duration::from_secs(400));
        claims["iat"] = json!(server.state.platform.clock.timestamp());
        for nonce in [claims["nonce"].clone(), json!("made up")] {
            claims["nonce"] = nonce;
            let answer = ask(&server, "GET", USERINFO, &authorization, &[&holder.signer.proof(&claims)]).await;
            challenged(&answer, 401, "DPoP", "use_dpop_nonce");
            claims["nonce"] = json!(answer.header("dpop-nonce"));
        }
        // Being sent back used nothing up: the same proof with the nonce serves.
        ask(&server, "GET", USERINFO, &authorization, &[&holder.signer.proof(&claims)]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_bound_token_without_the_scope_hears_so_in_its_scheme__rfc9449_7_1__rfc6750_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let holder = Holder::new(&server);
        let app = server.own_app(|m| m.scopes = vec!["openid".into(), "account:read".into()]).await;
        let tokens = holder.tokens(&app, "account:read").await;
        let token = tokens["access_token"].as_str().unwrap();
        let proof = holder.signer.proof(&holder.claims("GET", USERINFO, Some(token)));
        let answer = ask(&server, "GET", USERINFO, &format!("DPoP {token}"), &[&proof]).await;
        challenged(&answer, 403, "DPoP", "insufficient_scope");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_too_long_ago_is_told_in_the_scheme_that_was_tried__rfc9449_7_1__rfc9470_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let holder = Holder::new(&server);
        let app = server.own_app(|m| m.scopes = vec!["openid".into(), "account:write".into()]).await;
        let bound = holder.tokens(&app, "openid account:write").await;
        let bound = bound["access_token"].as_str().unwrap();
        let scope = [("scope", "openid account:write")];
        let free = app.tokens(&mut server.browser(), "ann@example.com", &scope).await;
        let free = free["access_token"].as_str().unwrap();
        server.state.platform.clock.advance(Duration::from_secs(301));
        let before = server.rows().await;
        let proof = holder.signer.proof(&holder.claims("DELETE", ME, Some(bound)));
        for (scheme, answer) in [
            ("DPoP", ask(&server, "DELETE", ME, &format!("DPoP {bound}"), &[&proof]).await),
            ("Bearer", ask(&server, "DELETE", ME, &format!("Bearer {free}"), &[]).await),
        ] {
            challenged(&answer, 401, scheme, "insufficient_user_authentication");
            let told = answer.headers.get_all("www-authenticate").iter().map(|c| c.to_str().unwrap());
            let told: Vec<&str> = told.filter(|challenge| challenge.contains("max_age=\"300\"")).collect();
            assert!(matches!(told[..], [one] if one.starts_with(scheme)), "{answer:?}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
