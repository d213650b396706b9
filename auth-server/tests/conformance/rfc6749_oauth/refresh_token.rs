//! §6, refreshing an access token; §10.4 and RFC 9700 §4.14, how long a refresh token lives and what ends it.

use std::time::Duration;

use auth_server::clients::{self, ClientMetadata, Profile};
use auth_server::sessions;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::ids::{ClientId, SessionId};
use shared::jose::testing::Signer;
use sqlx::types::Json;

use crate::harness::{App, Server, each_server};

const DAY: u64 = 86_400;
/// Days: unused for two or four in all, and it is over.
const SHORT: [(&str, &str); 2] = [("TOKENS__REFRESH_TOKEN_DAYS", "2"), ("TOKENS__GRANT_DAYS", "4")];

fn advance(server: &Server, seconds: u64) {
    server.state.platform.clock.advance(Duration::from_secs(seconds));
}

async fn tokens(app: &App, scope: &str) -> Value {
    app.tokens(&mut app.server.browser(), "ann@example.com", &[("scope", scope)]).await
}

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().unwrap_or_else(|| panic!("no refresh token: {tokens}")).to_owned()
}

#[tokio::test]
async fn a_refresh_token_that_is_not_used_expires__rfc9700_4_14_2() {
    each_server(&SHORT, |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let first = refresh_token(&tokens(&app, "openid").await);
        advance(&server, 2 * DAY - 60);
        let second = refresh_token(&app.refresh(&first).await.json(200));
        // Its time begins anew with each use.
        advance(&server, DAY);
        let third = refresh_token(&app.refresh(&second).await.json(200));
        let unused = refresh_token(&tokens(&app, "openid").await);
        advance(&server, 2 * DAY);
        let before = server.rows().await;
        app.refresh(&unused).await.is_error(400, "invalid_grant");
        app.refresh(&third).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_grant_ends_however_often_it_is_refreshed__rfc9700_4_14_2() {
    each_server(&SHORT, |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut token = refresh_token(&tokens(&app, "openid").await);
        for _ in 0..3 {
            advance(&server, DAY);
            token = refresh_token(&app.refresh(&token).await.json(200));
        }
        advance(&server, DAY - 60);
        token = refresh_token(&app.refresh(&token).await.json(200));
        advance(&server, 120);
        let before = server.rows().await;
        app.refresh(&token).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_without_the_grant_gets_no_refresh_token_and_may_not_use_one__rfc6749_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let token = refresh_token(&tokens(&app, "openid").await);
        let without = server.app(|metadata| metadata.grant_types = vec!["authorization_code".into()]).await;
        assert!(tokens(&without, "openid offline_access").await.get("refresh_token").is_none());
        let another = server.app(|_| {}).await;
        let before = server.rows().await;
        without.refresh(&token).await.is_error(400, "unauthorized_client");
        // Nor another client that may: the token is the first one's, and stays so.
        another.refresh(&token).await.is_error(400, "invalid_grant");
        app.token(&[("grant_type", "refresh_token")]).await.is_error(400, "invalid_request");
        app.refresh("made-up").await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        app.refresh(&token).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_used_token_ends_its_family_but_for_an_answer_that_got_lost__rfc9700_4_14_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let first = refresh_token(&tokens(&app, "openid").await);
        let second = refresh_token(&app.refresh(&first).await.json(200));
        // Within the leeway: the same successor, as long as it was not used.
        assert_eq!(refresh_token(&app.refresh(&first).await.json(200)), second);
        advance(&server, 11);
        app.refresh(&first).await.is_error(400, "invalid_grant");
        app.refresh(&second).await.is_error(400, "invalid_grant");
        // Another family of the same person and client goes on.
        let other = refresh_token(&tokens(&app, "openid").await);
        app.refresh(&other).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn under_fapi_the_token_stays_the_same_and_stays_live__fapi2_sp_5_3_2_1() {
    each_server(&SHORT, |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (key, mut proofs) = (Signer::new(Algorithm::ES256), 0);
        let token = refresh_token(&tokens(&app, "openid").await);
        set_profile(&server, &app, Some(Profile::Fapi2)).await;
        for _ in 0..3 {
            // Used within two days each time.
            advance(&server, DAY);
            proofs += 1;
            let now = server.state.platform.clock.timestamp();
            let url = server.state.platform.config.auth.public_url.join("/oauth/token");
            let mut claims = key.proof_claims("POST", &url, now, &proofs.to_string(), None);
            claims["nonce"] = json!(server.state.nonces.issue(now));
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            let answer = app.post_with("/oauth/token", &[("dpop", &key.proof(&claims))], &form).await;
            assert_eq!(refresh_token(&answer.json(200)), token);
        }
        // The grant's own end holds here too.
        advance(&server, DAY + 60);
        set_profile(&server, &app, None).await;
        app.refresh(&token).await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn a_scope_that_was_taken_from_the_client_is_not_given_any_more__rfc6749_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let all = refresh_token(&tokens(&app, "openid email referral-codes:read").await);
        let only = refresh_token(&tokens(&app, "referral-codes:read").await);
        change(&server, &app, |metadata| metadata.scopes = vec!["openid".into(), "email".into()]).await;
        let before = server.rows().await;
        app.refresh(&only).await.is_error(400, "invalid_scope");
        assert_eq!(server.rows().await, before, "it is not used up");
        let narrowed = app.refresh(&all).await.json(200);
        assert_eq!(narrowed["scope"], "openid email");
        assert_eq!(payload(&narrowed["access_token"])["scope"], "openid email");
        // The grant keeps its own: what is given back is there again.
        let all = "openid email referral-codes:read".split(' ').map(str::to_owned).collect();
        change(&server, &app, |metadata| metadata.scopes = all).await;
        let again = app.refresh(&refresh_token(&narrowed)).await.json(200);
        assert_eq!(again["scope"], "openid email referral-codes:read");
    })
    .await;
}

/// Puts the client under the profile, or takes it out, as the operator would.
async fn set_profile(server: &Server, app: &App, profile: Option<Profile>) {
    change(server, app, |metadata| metadata.profile = profile).await;
}

/// Changes the client's registration.
async fn change(server: &Server, app: &App, change: impl FnOnce(&mut ClientMetadata)) {
    let id = ClientId(app.client_id.clone());
    let mut tx = server.state.platform.db.begin().await.unwrap();
    let client = clients::by_id(&mut tx, &id).await.unwrap().unwrap();
    let mut metadata = client.metadata;
    change(&mut metadata);
    shared::execute!(&mut tx, "UPDATE clients SET metadata = $2 WHERE client_id = $1", &id, Json(metadata)).unwrap();
    tx.commit().await.unwrap();
    server.state.clients.forget(&id).await;
}

#[tokio::test]
async fn revocation_by_the_client_ends_the_family_and_its_access_tokens__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = tokens(&app, "openid").await;
        let (old, access_token) = (refresh_token(&tokens), tokens["access_token"].as_str().unwrap());
        let live = refresh_token(&app.refresh(&old).await.json(200));
        assert_eq!(app.post("/oauth/revoke", &[("token", &live)]).await.status, 200);
        app.refresh(&live).await.is_error(400, "invalid_grant");
        app.refresh(&old).await.is_error(400, "invalid_grant");
        ended(&server, &app, access_token).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_deleted_takes_its_tokens_along__rfc7009_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let tokens_of = tokens(&app, "openid").await;
        let kept = refresh_token(&tokens(&other, "openid").await);
        assert!(clients::delete(&server.state.platform, &ClientId(app.client_id.clone())).await.unwrap());
        server.state.clients.forget(&ClientId(app.client_id.clone())).await;
        app.refresh(&refresh_token(&tokens_of)).await.is_error(401, "invalid_client");
        assert_eq!(server.rows().await.count("refresh_tokens"), 1);
        other.refresh(&kept).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_takes_along_what_was_not_granted_for_longer__oidc_core_11() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let code = app.code(&mut browser, "ann@example.com", &[("scope", "openid")]).await;
        let online = app.exchange(&code).await.json(200);
        let more = [("scope", "openid offline_access"), ("prompt", "consent")];
        let code = app.code(&mut browser, "ann@example.com", &more).await;
        let offline = app.exchange(&code).await.json(200);
        let sid: SessionId = payload(&online["id_token"])["sid"].as_str().unwrap().parse().unwrap();
        assert_eq!(payload(&offline["id_token"])["sid"], json!(sid));
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        sessions::end(&mut tx, platform, sid).await.unwrap();
        tx.commit().await.unwrap();
        app.refresh(&refresh_token(&online)).await.is_error(400, "invalid_grant");
        let offline = app.refresh(&refresh_token(&offline)).await.json(200);
        // All of a person's sessions, and with them every grant.
        let mut tx = platform.db.begin().await.unwrap();
        sessions::end_all_of(&mut tx, platform, ann).await.unwrap();
        tx.commit().await.unwrap();
        app.refresh(&refresh_token(&offline)).await.is_error(400, "invalid_grant");
    })
    .await;
}

/// The access token is refused everywhere, at once.
async fn ended(server: &Server, app: &App, access_token: &str) {
    let told = app.post("/oauth/introspect", &[("token", access_token)]).await.json(200);
    assert_eq!(told, json!({ "active": false }));
    let request = axum::http::Request::get("/oauth/userinfo").header("authorization", format!("Bearer {access_token}"));
    assert_eq!(server.send(request, "").await.status, 401);
}

fn payload(token: &Value) -> Value {
    use base64::Engine;
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
