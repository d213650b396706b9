//! Security Profile §5.2.3, §5.3.2.1 and §5.3.2.2, Message Signing §5.5.1: what holds of the endpoints themselves.

use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use axum::http::Request;
use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::Signer;

use super::FapiApp;
use crate::harness::{PASSWORD, each_server};

#[tokio::test]
async fn the_authorization_endpoint_is_not_for_scripts_of_other_origins__fapi2_sp_5_2_3() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let preflight = Request::options("/oauth/authorize").header("access-control-request-method", "GET");
        for request in [preflight, Request::get(app.authorization(&[]))] {
            let answer = server.send(request.header("origin", "https://app.example"), "").await;
            let cors = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(cors, None, "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_password_is_a_303__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let login = browser.get(&app.authorization(&[])).await;
        let page = browser.get(login.location()).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "ann@example.com"), ("password", PASSWORD)];
        let mut answer = browser.post("/login", &form).await;
        assert_eq!(answer.status, 303);
        while !answer.location().starts_with("/consent?") {
            answer = browser.get(server.path_of(answer.location()).unwrap()).await;
        }
        let page = browser.get(answer.location()).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("decision", "allow")];
        assert_eq!(browser.post("/consent", &form).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_authenticate_pushes_nothing__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let object = fapi.signing.object(json!({}));
        let before = server.rows().await;
        let form = [("request", object.as_str()), ("client_id", &fapi.app().client_id)];
        server.post("/oauth/par", &form).await.is_error(401, "invalid_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_code_serves_once_and_nonces_may_have_64_characters__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        fapi.push(&fapi.signing.object(json!({ "nonce": "n".repeat(64), "response_mode": "jwt" }))).await.json(201);
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        assert!(tokens["id_token"].is_string(), "§5.3.2.3: {tokens}");
        fapi.token(&fapi.app().exchange_form(&code)).await.is_error(400, "invalid_grant");
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
        fapi.token(&refresh).await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn there_is_no_password_grant_under_the_profile__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        let signer = Signer::new(Algorithm::ES256);
        let mut metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/callback".into()],
            grant_types: vec!["authorization_code".into(), "password".into()],
            scopes: vec!["openid".into()],
            ..ClientMetadata::default()
        };
        super::metadata(&signer, &mut metadata);
        let before = server.rows().await;
        let new = |metadata| NewClient {
            client_id: None,
            name: "Bank".into(),
            first_party: true,
            origin: Origin::Operator,
            metadata,
        };
        let refused = clients::create(&server.state.platform, new(metadata.clone())).await.unwrap_err().to_string();
        assert!(refused.contains("password"), "{refused}");
        assert_eq!(server.rows().await, before);
        metadata.grant_types.pop();
        clients::create(&server.state.platform, new(metadata)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn introspection_is_signed_on_request__fapi2_ms_5_5_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let accept = [("accept", "application/token-introspection+jwt")];
        let token = tokens["access_token"].as_str().unwrap();
        let answer = fapi.post("/oauth/introspect", &accept, &[("token", token)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, accept[0].1));
        let (header, said) = server.jwt(&answer.body).await;
        assert_eq!(header["typ"], "token-introspection+jwt");
        assert_eq!(
            (&said["aud"], &said["token_introspection"]["active"]),
            (&json!(fapi.app().client_id), &json!(true))
        );
    })
    .await;
}
