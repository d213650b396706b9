//! §2.3: what is refused, and how. Nothing is kept of it.

use axum::body::Body;
use axum::http::{Method, Request};

use super::push;
use crate::harness::each_server;

#[tokio::test]
async fn the_whole_request_is_checked_as_at_the_authorization_endpoint__rfc9126_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let long = "x".repeat(2049);
        let before = server.rows().await;
        for (name, value, code) in [
            ("redirect_uri", "https://evil.example/callback", "invalid_request"),
            ("redirect_uri", "https://app.example/callback/", "invalid_request"),
            ("response_type", "", "invalid_request"),
            ("response_type", "token", "unsupported_response_type"),
            ("scope", "openid account:write", "invalid_scope"),
            ("scope", "open\"id", "invalid_scope"),
            ("state", long.as_str(), "invalid_request"),
            ("code_challenge", "", "invalid_request"),
            ("code_challenge", "short", "invalid_request"),
            ("code_challenge_method", "plain", "invalid_request"),
            ("code_challenge_method", "", "invalid_request"),
            ("prompt", "none login", "invalid_request"),
            ("max_age", "soon", "invalid_request"),
            ("resource", "https://elsewhere.example", "invalid_target"),
            ("dpop_jkt", "short", "invalid_request"),
            ("authorization_details", "[]", "invalid_authorization_details"),
            ("request", "not.a.jwt", "invalid_request_object"),
            ("request_uri", "urn:ietf:params:oauth:request_uri:x", "invalid_request"),
            ("request_uri", "https://app.example/request.jwt", "invalid_request"),
        ] {
            let answer = push(&app, &[(name, value)]).await;
            answer.is_error(400, code);
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused__rfc6749_3_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let mut form = app.parameters(&[]);
        form.push(("state", "another"));
        let before = server.rows().await;
        app.post("/oauth/par", &form).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_client_authenticates_as_at_the_token_endpoint__rfc9126_2() {
    each_server(&[], |server| async move {
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let before = server.rows().await;
        // Nothing shown, though it has a secret.
        let bare = server.post("/oauth/par", &app.parameters(&[])).await;
        bare.is_error(401, "invalid_client");
        let mut wrong = app.clone();
        wrong.secret = Some("wrong".into());
        let refused = push(&wrong, &[]).await;
        refused.is_error(401, "invalid_client");
        assert!(refused.header("www-authenticate").starts_with("Basic "), "{refused:?}");
        let mut unknown = app.clone();
        unknown.client_id = "nobody".into();
        push(&unknown, &[]).await.is_error(401, "invalid_client");
        // In another's name, and in two ways at once.
        app.post("/oauth/par", &other.parameters(&[])).await.is_error(400, "invalid_request");
        let secret = app.secret.clone().unwrap();
        push(&app, &[("client_secret", &secret)]).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_without_the_code_grant_can_push_nothing__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let app = server.app(|client| client.grant_types = vec!["client_credentials".into()]).await;
        let before = server.rows().await;
        push(&app, &[]).await.is_error(400, "unauthorized_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_form_or_too_long_is_told_by_its_status__rfc9126_2_3() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = server.send(Request::builder().method(method).uri("/oauth/par"), Body::empty()).await;
            assert_eq!(answer.status.as_u16(), 405, "{answer:?}");
            assert_eq!(answer.header("allow"), "POST");
        }
        let json = Request::post("/oauth/par").header("content-type", "application/json");
        let json = json.header("authorization", app.basic());
        server.send(json, "{\"response_type\":\"code\"}").await.is_error(415, "invalid_request");
        server.send(Request::post("/oauth/par"), "response_type=code").await.is_error(415, "invalid_request");
        let long = "x".repeat(64 * 1024);
        push(&app, &[("login_hint", &long)]).await.is_error(413, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_again__rfc9126_2_3() {
    let settings = [("LIMITS__ENABLED", "true"), ("LIMITS__AUTHORIZATIONS_PER_MINUTE", "2")];
    each_server(&settings, |server| async move {
        let app = server.app(|client| client.token_endpoint_auth_method = "none".into()).await;
        push(&app, &[]).await.json(201);
        push(&app, &[]).await.json(201);
        let before = server.rows().await;
        let answer = push(&app, &[]).await;
        answer.is_error(429, "temporarily_unavailable");
        assert!((1..=60).contains(&answer.header("retry-after").parse::<u64>().unwrap()), "{answer:?}");
        assert_eq!(server.rows().await, before);
        // A confidential client is counted for itself.
        let confidential = server.app(|_| {}).await;
        push(&confidential, &[]).await.json(201);
    })
    .await;
}
