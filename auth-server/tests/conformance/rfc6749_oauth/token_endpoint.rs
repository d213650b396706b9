//! §3.2, §5.1 and §5.2: the token endpoint, its answer, and each of its errors, which leave everything as it was.

use std::collections::BTreeSet;

use axum::http::{Method, Request};

use crate::harness::{App, Server, each_server};

/// A program that may use client credentials, with two scopes.
async fn machine(server: &Server) -> App {
    server
        .app(|m| {
            m.grant_types = vec!["client_credentials".into()];
            m.scopes = vec!["referral-codes:read".into(), "referral-codes:write".into()];
        })
        .await
}

const CREDENTIALS: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn the_answer_has_the_members_it_must_and_is_not_cached__rfc6749_5_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let code = app.code(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
        let answer = app.exchange(&code).await;
        let tokens = answer.json(200);
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
        let names: BTreeSet<&str> = tokens.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"];
        assert_eq!(names, BTreeSet::from(expected));
        assert_eq!((tokens["token_type"].as_str(), tokens["scope"].as_str()), (Some("Bearer"), Some("openid email")));
        assert_eq!(tokens["expires_in"], 600);
        let program = machine(&server).await.token(&[CREDENTIALS]).await.json(200);
        assert!(program.get("refresh_token").is_none() && program.get("id_token").is_none(), "§4.4.3: {program}");
    })
    .await;
}

#[tokio::test]
async fn without_a_scope_the_clients_own_is_given_and_told__rfc6749_3_3() {
    each_server(&[], |server| async move {
        let app = machine(&server).await;
        for form in [&[CREDENTIALS][..], &[CREDENTIALS, ("scope", "")]] {
            assert_eq!(app.token(form).await.json(200)["scope"], "referral-codes:read referral-codes:write");
        }
        let less = app.token(&[CREDENTIALS, ("scope", "referral-codes:read")]).await.json(200);
        assert_eq!(less["scope"], "referral-codes:read");
    })
    .await;
}

#[tokio::test]
async fn only_a_post_is_answered_and_what_is_unknown_in_it_is_ignored__rfc6749_3_2() {
    each_server(&[], |server| async move {
        let app = machine(&server).await;
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let request = Request::builder().method(method).uri("/oauth/token?grant_type=client_credentials");
            let answer = server.send(request.header("authorization", app.basic()), "").await;
            assert_eq!(answer.status, 405, "{answer:?}");
        }
        app.token(&[CREDENTIALS, ("unheard_of", "x"), ("code", "")]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_malformed_is_an_invalid_request__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let (app, job) = (server.app(|_| {}).await, machine(&server).await);
        let before = server.rows().await;
        for form in [
            &[][..],
            &[("grant_type", "")],
            &[CREDENTIALS, CREDENTIALS],
            &[CREDENTIALS, ("scope", "openid"), ("scope", "email")],
            &[CREDENTIALS, ("unheard_of", "1"), ("unheard_of", "2")],
            &[CREDENTIALS, ("scope", "a\0b")],
        ] {
            job.token(form).await.is_error(400, "invalid_request");
        }
        for form in [&[("grant_type", "authorization_code")][..], &[("grant_type", "refresh_token")]] {
            app.token(form).await.is_error(400, "invalid_request");
        }
        for (uri, kind, body) in [
            ("/oauth/token", "application/json", "{\"grant_type\":\"client_credentials\"}"),
            ("/oauth/token", "text/plain", "grant_type=client_credentials"),
            // Secrets in the URI end up in logs (§2.3.1).
            ("/oauth/token?grant_type=client_credentials", "application/x-www-form-urlencoded", ""),
        ] {
            let request = Request::post(uri).header("content-type", kind).header("authorization", job.basic());
            server.send(request, body).await.is_error(400, "invalid_request");
        }
        // One way to authenticate (§2.3).
        let secret = job.secret.clone().unwrap();
        job.token(&[CREDENTIALS, ("client_secret", &secret)]).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_prove_itself_is_an_invalid_client__rfc6749_5_2__rfc6749_3_2_1() {
    each_server(&[], |server| async move {
        let app = machine(&server).await;
        let before = server.rows().await;
        let secret = app.secret.clone().unwrap();
        for (id, secret) in [(&*app.client_id, "wrong"), ("nobody", &*secret), (&*app.client_id, "")] {
            let mut somebody = app.clone();
            (somebody.client_id, somebody.secret) = (id.into(), Some(secret.into()));
            let answer = somebody.token(&[CREDENTIALS]).await;
            answer.is_error(401, "invalid_client");
            // It tried the header, so it is told the scheme.
            assert!(answer.header("www-authenticate").starts_with("Basic "), "{answer:?}");
        }
        // By the form it has not registered to authenticate.
        let form = [CREDENTIALS, ("client_id", &*app.client_id), ("client_secret", &*secret)];
        server.post("/oauth/token", &form).await.is_error(401, "invalid_client");
        server.post("/oauth/token", &[CREDENTIALS]).await.is_error(401, "invalid_client");
        server
            .post("/oauth/token", &[CREDENTIALS, ("client_id", &app.client_id)])
            .await
            .is_error(401, "invalid_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_does_not_hold_is_an_invalid_grant__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        app.exchange("made-up").await.is_error(400, "invalid_grant");
        app.refresh("made-up").await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_the_client_may_not_use_is_unauthorized_client__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let (app, job) = (server.app(|_| {}).await, machine(&server).await);
        let before = server.rows().await;
        app.token(&[CREDENTIALS]).await.is_error(400, "unauthorized_client");
        job.exchange("any").await.is_error(400, "unauthorized_client");
        job.refresh("any").await.is_error(400, "unauthorized_client");
        let password = [("grant_type", "password"), ("username", "a@example.com"), ("password", "x")];
        app.token(&password).await.is_error(400, "unauthorized_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_there_is_not_is_an_unsupported_grant_type__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let app = machine(&server).await;
        let before = server.rows().await;
        for grant in ["implicit", "Client_Credentials", "urn:example:none"] {
            app.token(&[("grant_type", grant)]).await.is_error(400, "unsupported_grant_type");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_scope_beyond_the_clients_or_malformed_is_an_invalid_scope__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let app = machine(&server).await;
        let before = server.rows().await;
        for scope in ["email", "referral-codes:read email", "dragons", "\"quoted\"", "back\\slash", "\u{e9}"] {
            app.token(&[CREDENTIALS, ("scope", scope)]).await.is_error(400, "invalid_scope");
        }
        let refused = app.token(&[CREDENTIALS, ("scope", "email referral-codes:read dragons")]).await;
        let told = refused.is_error(400, "invalid_scope").json(400)["error_description"].clone();
        assert!(
            told.as_str().is_some_and(|told| told.ends_with(" dragons email")),
            "{told} names what is not registered"
        );
        assert_eq!(server.rows().await, before);
    })
    .await;
}
