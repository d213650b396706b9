//! §4.1 and §4.6: the verifier, as the token endpoint checks it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::harness::{Answer, App, CHALLENGE, each_server};

/// Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// §4.2
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A code for Ann, who has an account.
async fn code(app: &App, challenge: &str) -> String {
    app.code(&mut app.server.browser(), "ann@example.com", &[("code_challenge", challenge)]).await
}

/// Redeems it; an empty verifier is none.
async fn exchange(app: &App, code: &str, verifier: &str) -> Answer {
    let mut form = app.exchange_form(code);
    form.retain(|(name, _)| *name != "code_verifier");
    if !verifier.is_empty() {
        form.push(("code_verifier", verifier));
    }
    app.token(&form).await
}

#[tokio::test]
async fn the_verifier_of_the_example_opens_its_challenge__rfc7636_4_6__rfc7636_b() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        assert_eq!(s256(VERIFIER), CHALLENGE);
        exchange(&app, &code(&app, CHALLENGE).await, VERIFIER).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_verifier_that_is_wrong_or_missing_is_an_invalid_grant_and_uses_nothing_up__rfc7636_4_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for method in ["none", "client_secret_basic"] {
            let app = server.app(|m| m.token_endpoint_auth_method = method.into()).await;
            let code = code(&app, CHALLENGE).await;
            let before = server.rows().await;
            // The challenge itself is no verifier: that would be `plain`.
            for wrong in ["", CHALLENGE, &VERIFIER.to_lowercase(), &format!("{VERIFIER}A")] {
                exchange(&app, &code, wrong).await.is_error(400, "invalid_grant");
            }
            assert_eq!(server.rows().await, before);
            exchange(&app, &code, VERIFIER).await.json(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_verifier_has_43_to_128_unreserved_characters__rfc7636_4_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let of = |length: usize| "a".repeat(length);
        for good in [of(43), of(128), format!("-._~{}", of(39))] {
            exchange(&app, &code(&app, &s256(&good)).await, &good).await.json(200);
        }
        // Each of them hashes to the challenge that was sent.
        for wrong in [of(42), of(129), format!("+{}", of(43)), format!("{} ", of(43)), format!("é{}", of(43))] {
            let code = code(&app, &s256(&wrong)).await;
            let before = server.rows().await;
            exchange(&app, &code, &wrong).await.is_error(400, "invalid_grant");
            assert_eq!(server.rows().await, before, "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_code_keeps_the_challenge_of_its_own_request__rfc7636_4_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (one, two) = ("1".repeat(43), "2".repeat(43));
        let (first, second) = (code(&app, &s256(&one)).await, code(&app, &s256(&two)).await);
        let before = server.rows().await;
        exchange(&app, &first, &two).await.is_error(400, "invalid_grant");
        exchange(&app, &second, &one).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        exchange(&app, &first, &one).await.json(200);
        exchange(&app, &second, &two).await.json(200);
    })
    .await;
}
