//! §3.1.2.1, `acr_values`; §5.5.1.1, `acr` as an essential claim.

use serde_json::{Value, json};
use shared::cache::CacheKey;
use sqlx::types::Json;
use totp_rs::{Builder, Secret, Totp};

use crate::harness::{Answer, App, Browser, PASSWORD, Server, each_server};

const PASSWORD_ACR: &str = "urn:referris:acr:password";
const MFA_ACR: &str = "urn:referris:acr:mfa";

/// Sets an authenticator app up for who is signed in; what it shows is told by [`code`].
async fn set_up_app(server: &Server, browser: &mut Browser) -> Totp {
    let csrf = browser.get("/account/security").await.hidden("csrf");
    let page = browser.post("/account/security/app", &[("csrf", &csrf)]).await;
    let (setup, body) = (page.hidden("setup"), page.body);
    let secret = body.split("aria-labelledby=\"secret-label\">").nth(1).and_then(|rest| rest.split('<').next());
    let secret = Secret::try_from_base32(secret.expect("the secret").replace(' ', "")).expect("base32");
    let app = Builder::new().with_secret(secret).build().expect("a usable secret");
    let form = [("csrf", csrf.as_str()), ("setup", &setup), ("code", &code(server, &app))];
    assert_eq!(browser.post("/account/security/app/confirm", &form).await.status, 200);
    // That code is used up.
    server.state.platform.clock.advance(std::time::Duration::from_secs(60));
    app
}

fn code(server: &Server, app: &Totp) -> String {
    app.generate(u64::try_from(server.state.platform.clock.timestamp()).expect("after 1970")).to_string()
}

fn essential(values: &[&str]) -> String {
    json!({"id_token": {"acr": {"essential": true, "values": values}}}).to_string()
}

/// The claims of the ID token that the request at `answer` ends with.
async fn told(server: &Server, app: &App, browser: &mut Browser, answer: Answer) -> Value {
    let on = browser.follow(answer, "ann@example.com").await;
    let tokens = app.exchange(&on.query()["code"]).await.json(200);
    server.jwt(tokens["id_token"].as_str().expect("an ID token")).await.1
}

#[tokio::test]
async fn who_is_signed_in_is_asked_for_the_missing_factor_alone__rfc9470_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let answer = browser.get(&app.authorization(&[])).await;
        let before = told(&server, &app, &mut browser, answer).await;
        let totp = set_up_app(&server, &mut browser).await;
        // The session began with the password alone.
        let silent = app.authorization(&[("claims", &essential(&[MFA_ACR])), ("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("login_required");
        let to_login = browser.get(&app.authorization(&[("claims", &essential(&[MFA_ACR]))])).await;
        let to_confirm = browser.get(to_login.location()).await;
        assert!(to_confirm.location().starts_with("/account/confirm?request="), "{to_confirm:?}");
        let page = browser.get(to_confirm.location()).await;
        assert!(!page.body.contains("type=\"password\""), "the missing factor alone");
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let mut form = [("csrf", csrf.as_str()), ("request", &request), ("code", "000000")];
        assert_eq!(browser.post("/account/confirm", &form).await.status, 422);
        let code = code(&server, &totp);
        form[2].1 = &code;
        let answer = browser.post("/account/confirm", &form).await;
        let after = told(&server, &app, &mut browser, answer).await;
        assert_eq!((&after["acr"], &after["amr"]), (&json!(MFA_ACR), &json!(["pwd", "otp", "mfa"])));
        assert_eq!(after["sid"], before["sid"], "the same session");

        // Who has shown more has shown what was asked for, and the client is told what it knows.
        for more in [("claims", essential(&[PASSWORD_ACR])), ("acr_values", PASSWORD_ACR.to_owned())] {
            let answer = browser.get(&app.authorization(&[(more.0, &more.1)])).await;
            assert_eq!(told(&server, &app, &mut browser, answer).await["acr"], PASSWORD_ACR);
        }
        let better = app.authorization(&[("claims", &essential(&["phr"])), ("prompt", "none")]);
        browser.get(&better).await.redirects_with_error("login_required");
    })
    .await;
}

#[tokio::test]
async fn who_is_not_signed_in_is_asked_for_both_factors__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let totp = set_up_app(&server, &mut browser).await;
        let mut browser = server.browser();
        let to_login = browser.get(&app.authorization(&[("acr_values", MFA_ACR)])).await;
        let page = browser.get(to_login.location()).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "ann@example.com"), ("password", PASSWORD)];
        assert_eq!(browser.post("/login", &form).await.location(), "/login/second-factor");
        // The request knows nobody yet.
        let back = browser.get(&format!("/oauth/authorize/continue?request={request}")).await;
        assert!(back.location().starts_with("/login"), "{back:?}");
        let csrf = browser.get("/login/second-factor").await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("code", &code(&server, &totp))];
        let answer = browser.post("/login/second-factor", &form).await;
        let told = told(&server, &app, &mut browser, answer).await;
        assert_eq!((&told["acr"], &told["amr"]), (&json!(MFA_ACR), &json!(["pwd", "otp", "mfa"])));
    })
    .await;
}

#[tokio::test]
async fn an_essential_acr_that_the_person_can_not_reach_ends_the_request__oidc_core_5_5_1_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        for acr in [MFA_ACR, "phr"] {
            let asked = app.authorization(&[("claims", &essential(&[acr]))]);
            let answer = server.browser().authorize(&asked, "ann@example.com").await;
            answer.redirects_with_error("unmet_authentication_requirements");
        }
    })
    .await;
}

#[tokio::test]
async fn acr_values_are_wishes_and_the_id_token_tells_what_came_of_them__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        for wish in ["urn:example:gold", "urn:example:gold urn:referris:acr:password"] {
            let tokens = app.tokens(&mut browser, "ann@example.com", &[("acr_values", wish)]).await;
            let (_, claims) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
            assert_eq!((&claims["acr"], &claims["amr"]), (&json!(PASSWORD_ACR), &json!(["pwd"])));
        }
    })
    .await;
}

#[tokio::test]
async fn an_essential_acr_is_met_or_the_request_fails__oidc_core_5_5_1_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let essential =
            |values: serde_json::Value| json!({"id_token": {"acr": {"essential": true, "values": values}}}).to_string();
        let mut browser = server.browser();
        let good = essential(json!(["urn:example:gold", PASSWORD_ACR]));
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("claims", &good)]).await;
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["acr"], PASSWORD_ACR);

        let before = server.rows().await;
        for values in [json!(["urn:example:gold"]), json!([]), json!([7])] {
            let query = browser.get(&app.authorization(&[("claims", &essential(values))])).await;
            let query = query.redirects_with_error("unmet_authentication_requirements");
            assert_eq!(query["state"], "af0ifjsldkj");
        }
        assert_eq!(server.rows().await, before);
        // A wish that can't be met is no obstacle.
        let voluntary = json!({"id_token": {"acr": {"values": ["urn:example:gold"]}}}).to_string();
        app.tokens(&mut browser, "ann@example.com", &[("claims", &voluntary)]).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_client_registered_is_wished_for_where_the_request_wishes_nothing__oidcr_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|m| m.default_acr_values = vec!["urn:example:gold".into(), PASSWORD_ACR.into()]).await;
        let without = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        assert!(browser.get(&app.authorization(&[])).await.query().contains_key("code"));
        // The session began in a way that is not known here any more.
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        let (hash, Json(mut record)): (Vec<u8>, Json<Value>) =
            shared::fetch_one!(&mut tx, (Vec<u8>, Json<Value>), "SELECT id_hash, record FROM browser_sessions")
                .unwrap();
        record["signed_in"]["acr"] = json!("urn:example:bronze");
        shared::execute!(&mut tx, "UPDATE browser_sessions SET record = $1", Json(&record)).unwrap();
        tx.commit().await.unwrap();
        platform.cache.invalidate(&CacheKey::new("session", &hash)).await.unwrap();

        let answer = browser.get(&app.authorization(&[])).await;
        assert!(answer.location().starts_with("/login?"), "{answer:?}");
        for (client, more) in
            [(&app, ("acr_values", "urn:example:gold")), (&app, ("prompt", "none")), (&without, ("acr_values", ""))]
        {
            assert!(browser.get(&client.authorization(&[more])).await.query().contains_key("code"), "{more:?}");
        }
        let asked = browser.get(&without.authorization(&[("acr_values", PASSWORD_ACR)])).await;
        assert!(asked.location().starts_with("/login?"), "{asked:?}");
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["acr"], PASSWORD_ACR);
    })
    .await;
}
