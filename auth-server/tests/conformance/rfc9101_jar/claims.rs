//! §4 and §6.3: who says so, to whom, and when.

use serde_json::json;

use super::SigningApp;
use crate::harness::each_server;

#[tokio::test]
async fn the_object_names_its_client_and_this_server__rfc9101_4() {
    each_server(&[], |server| async move {
        let (signing, other) = (SigningApp::new(&server, |_| {}).await, server.app(|_| {}).await);
        let issuer = server.state.issuer();
        for wrong in [
            json!({"iss": null}),
            json!({"iss": ""}),
            json!({"iss": other.client_id}),
            json!({"iss": 7}),
            json!({"aud": null}),
            json!({"aud": []}),
            json!({"aud": "https://elsewhere.example"}),
            json!({"aud": format!("{issuer}x")}),
            json!({"aud": ["https://elsewhere.example"]}),
            json!({"aud": [issuer, 7]}),
            json!({"client_id": null}),
            json!({"client_id": other.client_id}),
        ] {
            signing.refuses(&signing.object(wrong)).await;
        }
        let many = signing.object(json!({"aud": ["https://elsewhere.example", issuer]}));
        server.get(&signing.carrying(&many, &[])).await.location();
        // In another client's name.
        let theirs = SigningApp { app: other, signer: signing.signer };
        let before = server.rows().await;
        server.get(&theirs.carrying(&many, &[])).await.is_error_page();
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_stands_twice_says_the_same__rfc9101_5() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({}));
        let before = server.rows().await;
        let beside = [("redirect_uri", signing.app.redirect_uri.as_str()), ("response_type", "token")];
        let told = server.get(&signing.carrying(&object, &beside)).await;
        told.redirects_with_error("invalid_request_object");
        let lacking = signing.object(json!({"response_type": null}));
        let beside = [("redirect_uri", signing.app.redirect_uri.as_str()), ("response_type", "code")];
        server.get(&signing.carrying(&lacking, &beside)).await.redirects_with_error("invalid_request_object");
        assert_eq!(server.rows().await, before);
        server.get(&signing.carrying(&object, &beside)).await.location();
    })
    .await;
}

#[tokio::test]
async fn the_object_is_taken_while_it_is_valid__rfc9101_6_3() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let now = server.state.platform.clock.timestamp();
        for wrong in [
            json!({"exp": now - 11}),
            json!({"exp": "soon"}),
            json!({"exp": -1}),
            json!({"nbf": now + 60}),
            json!({"iat": now + 60}),
            json!({"iat": now + 60, "exp": null}),
            json!({"nbf": now + 60, "exp": null}),
            json!({"nbf": "now", "exp": null}),
        ] {
            signing.refuses(&signing.object(wrong)).await;
        }
        // A clock that is a little off, and none of the three, which RFC 9101 does not ask for.
        for good in [
            json!({"exp": now - 5}),
            json!({"nbf": now + 8, "iat": now + 8}),
            json!({"exp": null, "nbf": null, "iat": null}),
        ] {
            server.get(&signing.carrying(&signing.object(good), &[])).await.location();
        }
    })
    .await;
}

#[tokio::test]
async fn the_parameters_within_are_checked_as_any_others__rfc9101_6_3() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let before = server.rows().await;
        let evil = signing.object(json!({"redirect_uri": "https://evil.example/callback"}));
        server.get(&signing.carrying(&evil, &[])).await.is_error_page();
        for (more, code) in [
            (json!({"response_type": "token"}), "unsupported_response_type"),
            (json!({"scope": "account:write"}), "invalid_scope"),
            (json!({"prompt": "none login"}), "invalid_request"),
            (json!({"resource": ["https://elsewhere.example"]}), "invalid_target"),
            (json!({"code_challenge_method": "plain"}), "invalid_request"),
        ] {
            let object = signing.object(more);
            let told = server.get(&signing.carrying(&object, &[])).await.redirects_with_error(code);
            assert_eq!(told["state"], "af0ifjsldkj");
            signing.push(&object).await.is_error(400, code);
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
