//! Stories of our own app.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::AppState;
use crate::accounts::testing::{PASSWORD, code_of, count, each_state, person};
use crate::clients::{ClientMetadata, NewClient, Origin};

struct App {
    router: Router,
    token: Option<String>,
}

struct Answer {
    status: u16,
    body: Value,
    challenge: String,
}

impl App {
    async fn new(state: &AppState) -> Self {
        let metadata = ClientMetadata {
            redirect_uris: vec![],
            grant_types: vec!["password".into()],
            scopes: vec!["account:read".into(), "account:write".into()],
            token_endpoint_auth_method: "none".into(),
            ..ClientMetadata::default()
        };
        let client = NewClient {
            client_id: Some("own-app".into()),
            name: "Own app".into(),
            first_party: true,
            origin: Origin::Operator,
            metadata,
        };
        crate::clients::create(&state.platform, client).await.unwrap();
        Self { router: crate::router(state.clone()), token: None }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>, key: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let challenge = challenge.map(|c| c.to_str().unwrap().to_owned()).unwrap_or_default();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), challenge }
    }

    async fn sign_up(&self, body: Value, key: Option<&str>) -> Answer {
        self.send(Method::POST, "/api/v1/signup", Some(body), key).await
    }

    async fn me(&self, method: Method, body: Option<Value>) -> Answer {
        self.send(method, "/api/v1/me", body, None).await
    }

    async fn sign_in(&mut self, email: &str) {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "password"),
                ("client_id", "own-app"),
                ("username", email),
                ("password", PASSWORD),
            ])
            .finish();
        let request = Request::post("/oauth/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let tokens: Value = serde_json::from_slice(&bytes).unwrap();
        self.token = Some(tokens["access_token"].as_str().expect("an access token").to_owned());
    }
}

#[tokio::test]
async fn an_app_signs_a_person_up_and_is_told_what_is_wrong() {
    each_state(&[], |state| async move {
        let app = App::new(&state).await;
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await.code;
        let ann = json!({"email": "ann@example.com", "password": PASSWORD, "referral_code": code, "given_name": ""});
        let created = app.sign_up(ann.clone(), None).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.body["email"], "ann@example.com");
        assert_eq!((&created.body["email_verified"], &created.body["referred"]), (&json!(false), &json!(true)));
        let taken = app.sign_up(ann, None).await;
        assert_eq!((taken.status, &taken.body["type"]), (409, &json!("urn:referris:problem:email-taken")));

        for (body, status, pointer) in [
            (
                json!({"email": "x@example.com", "password": PASSWORD, "referral_code": "NEVERWAS"}),
                422,
                "#/referral_code",
            ),
            (json!({"email": "x", "password": PASSWORD}), 422, "#/email"),
            (json!({"email": "x@example.com", "password": "short"}), 422, "#/password"),
            (json!({"email": "x@example.com"}), 422, "#/password"),
            (json!({"email": "x@example.com", "password": PASSWORD, "admin": true}), 422, "#/admin"),
            (json!({"email": 7, "password": PASSWORD}), 422, "#/email"),
        ] {
            let answer = app.sign_up(body, None).await;
            assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (status, &json!(pointer)));
        }
        let none = json!({"email": "eve@example.com", "password": PASSWORD, "referral_code": ""});
        assert_eq!(app.sign_up(none, None).await.body["referred"], false);
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_sign_up_repeated_with_its_idempotency_key_is_done_once_and_answered_alike() {
    each_state(&[], |state| async move {
        let app = App::new(&state).await;
        let ann = json!({"email": "ann@example.com", "password": PASSWORD});
        let answers = futures::future::join_all((0..8).map(|_| app.sign_up(ann.clone(), Some("once")))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
        let other = app.sign_up(json!({"email": "bob@example.com", "password": PASSWORD}), Some("once")).await;
        assert_eq!((other.status, &other.body["type"]), (422, &json!("urn:referris:problem:idempotency-key-reused")));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_free_and_a_taken_address_are_answered_alike_where_verification_is_required() {
    each_state(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state| async move {
        let app = App::new(&state).await;
        for _ in 0..2 {
            let answer = app.sign_up(json!({"email": "ann@example.com", "password": PASSWORD}), None).await;
            assert_eq!((answer.status, answer.body), (202, json!({"status": "verification_required"})));
        }
    })
    .await;
}

#[tokio::test]
async fn a_person_sees_changes_and_deletes_their_account() {
    each_state(&[], |state| async move {
        let mut app = App::new(&state).await;
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await.code;
        app.sign_up(json!({"email": "ann@example.com", "password": PASSWORD, "referral_code": code}), None).await;
        assert_eq!(app.me(Method::GET, None).await.status, 401);
        app.sign_in("ann@example.com").await;

        let me = app.me(Method::GET, None).await;
        assert_eq!((me.status, &me.body["email"]), (200, &json!("ann@example.com")));
        assert_eq!(me.body["referred_by"], json!({"display_name": null}));
        assert_eq!((&me.body["email_check"], &me.body["enrichment"]), (&Value::Null, &Value::Null));

        // What is known of an address's owner is told to who proved to be them.
        let mut tx = state.platform.db.begin().await.unwrap();
        let now = state.platform.clock.now();
        shared::execute!(
            &mut tx,
            "INSERT INTO enrichments (user_id, source, status, answer, fetched_at) \
             SELECT id, 'clearbit', 'found', $1, $2 FROM users WHERE email_key = 'ann@example.com'",
            sqlx::types::Json(json!({"person": {"name": "Ann"}})),
            now
        )
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(app.me(Method::GET, None).await.body["enrichment"], Value::Null);
        let mut tx = state.platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "UPDATE users SET email_verified_at = $1 WHERE email_key = 'ann@example.com'", now)
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(app.me(Method::GET, None).await.body["enrichment"]["answer"]["person"]["name"], "Ann");

        let changed = app.me(Method::PATCH, Some(json!({"given_name": " Ann ", "discoverable": false}))).await;
        assert_eq!((&changed.body["given_name"], &changed.body["discoverable"]), (&json!("Ann"), &json!(false)));
        let changed = app.me(Method::PATCH, Some(json!({"locale": "ru"}))).await;
        assert_eq!((&changed.body["given_name"], &changed.body["locale"]), (&json!("Ann"), &json!("ru")));
        let changed = app.me(Method::PATCH, Some(json!({"given_name": null}))).await;
        assert_eq!((&changed.body["given_name"], &changed.body["locale"]), (&Value::Null, &json!("ru")));
        let refused = app.me(Method::PATCH, Some(json!({"family_name": "www.spam.example"}))).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("#/family_name")));
        assert_eq!(app.me(Method::PATCH, Some(json!({"role": "admin"}))).await.status, 422);

        state.platform.clock.advance(Duration::from_secs(301));
        let stale = app.me(Method::DELETE, None).await;
        assert_eq!(stale.status, 401);
        assert_eq!(stale.body["type"], "urn:referris:problem:insufficient-user-authentication");
        assert_eq!(
            stale.challenge,
            "Bearer realm=\"referris\", error=\"insufficient_user_authentication\", \
             error_description=\"sign in again and come back within 300 seconds\", max_age=\"300\""
        );
        app.sign_in("ann@example.com").await;
        assert_eq!(app.me(Method::DELETE, None).await.status, 204);
        assert_eq!(app.me(Method::GET, None).await.status, 401);
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM referrals WHERE referral_user_id IS NULL").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM grants").await, 0);
    })
    .await;
}

/// On a remembered device, or by a code from the mailbox: enough for an app, and not to take the account away.
#[tokio::test]
async fn a_sign_in_that_was_spared_the_second_factor_deletes_no_account() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let mut app = App::new(&state).await;
        app.sign_in("ann@example.com").await;
        let setup = crate::accounts::factors::totp::Setup::new(platform);
        let code = crate::accounts::factors::totp::code_at(&setup.in_groups(), platform.clock.now());
        let mut tx = platform.db.begin().await.unwrap();
        assert!(setup.confirm(&mut tx, platform, ann, &code).await.unwrap());
        // As if it had been there before the sign-in.
        let before = platform.clock.now() - chrono::TimeDelta::hours(1);
        shared::execute!(&mut tx, "UPDATE totp_secrets SET created_at = $1", before).unwrap();
        tx.commit().await.unwrap();
        let refused = app.me(Method::DELETE, None).await;
        assert_eq!(refused.status, 401);
        assert!(refused.challenge.contains("insufficient_user_authentication"), "{}", refused.challenge);
        assert!(refused.challenge.contains("acr_values=\"urn:referris:acr:mfa\""), "{}", refused.challenge);
        // With the code it is.
        let mut tx = platform.db.begin().await.unwrap();
        let (details,) =
            shared::fetch_one!(&mut tx, (sqlx::types::Json<Value>,), "SELECT details FROM grants LIMIT 1").unwrap();
        let mut details = details.0;
        details["amr"] = json!(["pwd", "otp", "mfa"]);
        shared::execute!(&mut tx, "UPDATE grants SET details = $1", sqlx::types::Json(details)).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(app.me(Method::DELETE, None).await.status, 204);
    })
    .await;
}
