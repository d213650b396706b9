//! §3 and §4: tokens that are good on connections with one certificate only.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::Value;
use shared::testing::certificates::Identity;

use super::{each_stage, jwks, machine, parsed, post};
use crate::harness::{Answer, App};

const ANN: &str = "ann@example.com";

async fn userinfo(app: &App, identity: Option<&Identity>, token: &str) -> Answer {
    let mut request = Request::get("/oauth/userinfo").header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(identity) = identity {
        request = request.extension(parsed(identity));
    }
    app.server.send(request, Body::empty()).await
}

async fn tokens(app: &App, identity: &Identity) -> Value {
    let code = app.code(&mut app.server.browser(), ANN, &[]).await;
    post(app, Some(identity), "/oauth/token", &app.exchange_form(&code)).await.json(200)
}

async fn refresh(app: &App, identity: Option<&Identity>, answer: &Value) -> Answer {
    let token = answer["refresh_token"].as_str().unwrap();
    post(app, identity, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

#[track_caller]
fn is_invalid_token(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{answer:?}");
}

#[tokio::test]
async fn a_bound_token_is_refused_without_its_certificate__rfc8705_3() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let (own, thief) = (Identity::self_signed("client"), Identity::self_signed("client"));
        let app = stage.server.app(|m| m.tls_client_certificate_bound_access_tokens = true).await;
        let answer = tokens(&app, &own).await;
        // §3: the type stays Bearer.
        assert_eq!(answer["token_type"], "Bearer");
        let token = answer["access_token"].as_str().unwrap();
        userinfo(&app, Some(&own), token).await.json(200);
        is_invalid_token(&userinfo(&app, None, token).await);
        is_invalid_token(&userinfo(&app, Some(&thief), token).await);
    })
    .await;
}

#[tokio::test]
async fn introspection_tells_what_a_token_is_bound_to__rfc8705_3_2() {
    each_stage(|stage| async move {
        let own = stage.authority.client("client", |_| {});
        let app = stage.server.app(|m| {
            machine(m, "tls_client_auth");
            m.tls_client_auth_subject_dn = Some("CN=client".into());
            m.tls_client_certificate_bound_access_tokens = true;
        });
        let app = app.await;
        let answer = super::token(&app, Some(&own)).await.json(200);
        let form = [("token", answer["access_token"].as_str().unwrap())];
        let told = post(&app, Some(&own), "/oauth/introspect", &form).await.json(200);
        assert_eq!(told["active"], true);
        assert_eq!(told["cnf"]["x5t#S256"], parsed(&own).thumbprint());
        assert!(told["cnf"].get("jkt").is_none());
        post(&app, None, "/oauth/introspect", &form).await.is_error(401, "invalid_client");
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_tokens_are_bound_gets_none_without_a_certificate__rfc8705_3_4() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let own = Identity::self_signed("client");
        let app = stage.server.app(|m| m.tls_client_certificate_bound_access_tokens = true).await;
        let code = app.code(&mut stage.server.browser(), ANN, &[]).await;
        let before = stage.server.rows().await;
        post(&app, None, "/oauth/token", &app.exchange_form(&code)).await.is_error(400, "invalid_request");
        assert_eq!(stage.server.rows().await, before);
        // The code was not used up.
        post(&app, Some(&own), "/oauth/token", &app.exchange_form(&code)).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_did_not_ask_for_it_gets_tokens_that_are_not_bound__rfc8705_3_4() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let app = stage.server.app(|_| {}).await;
        let answer = tokens(&app, &Identity::self_signed("client")).await;
        userinfo(&app, None, answer["access_token"].as_str().unwrap()).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_public_clients_refresh_token_is_bound_to_its_certificate__rfc8705_4() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let (own, thief) = (Identity::self_signed("client"), Identity::self_signed("client"));
        let app = stage.server.app(|m| {
            m.token_endpoint_auth_method = "none".into();
            m.tls_client_certificate_bound_access_tokens = true;
        });
        let app = app.await;
        let first = tokens(&app, &own).await;
        let before = stage.server.rows().await;
        refresh(&app, Some(&thief), &first).await.is_error(400, "invalid_grant");
        refresh(&app, None, &first).await.is_error(400, "invalid_request");
        assert_eq!(stage.server.rows().await, before);
        // The thief did not use it up, and its successor is bound as well.
        let second = refresh(&app, Some(&own), &first).await.json(200);
        refresh(&app, Some(&thief), &second).await.is_error(400, "invalid_grant");
        refresh(&app, Some(&own), &second).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_confidential_client_may_change_its_certificate__rfc8705_6_3() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let (old, new) = (stage.authority.client("client", |_| {}), stage.authority.client("client", |_| {}));
        let app = stage.server.app(|m| {
            m.token_endpoint_auth_method = "tls_client_auth".into();
            m.tls_client_auth_subject_dn = Some("CN=client".into());
            m.tls_client_certificate_bound_access_tokens = true;
        });
        let app = app.await;
        let answer = tokens(&app, &old).await;
        let answer = refresh(&app, Some(&new), &answer).await.json(200);
        let token = answer["access_token"].as_str().unwrap();
        userinfo(&app, Some(&new), token).await.json(200);
        is_invalid_token(&userinfo(&app, Some(&old), token).await);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_of_another_client_is_of_no_use_with_ones_own_certificate__rfc8705_2() {
    each_stage(|stage| async move {
        stage.server.person(ANN).await;
        let (own, other) = (Identity::self_signed("client"), Identity::self_signed("other"));
        let app = async |identity: &Identity| {
            let keys = jwks(identity);
            let app = stage.server.app(|m| {
                m.token_endpoint_auth_method = "self_signed_tls_client_auth".into();
                m.jwks = Some(keys);
            });
            app.await
        };
        let (ours, theirs) = (app(&own).await, app(&other).await);
        let answer = tokens(&ours, &own).await;
        let before = stage.server.rows().await;
        refresh(&theirs, Some(&other), &answer).await.is_error(400, "invalid_grant");
        refresh(&ours, Some(&other), &answer).await.is_error(401, "invalid_client");
        assert_eq!(stage.server.rows().await, before);
    })
    .await;
}
