//! Passkeys and the second factor in a real browser, with an authenticator of the driver's making. Passkeys want a name
//! for an address: the server is `localhost` here.

use std::time::Duration;

use auth_server::AppState;
use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};
use shared::Platform;
use shared::clock::Clock;
use shared::random::Random;
use shared::testing::Scratch;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use totp_rs::{Builder, Secret, Totp};
use url::Url;

use crate::browser::{Browser, Driver};
use crate::world::PASSWORD;

const EMAIL: &str = "ben@example.com";

/// The authorization server alone, by name.
struct Server {
    url: String,
    platform: Platform,
    _running: JoinSet<anyhow::Result<()>>,
}

impl Server {
    async fn start(scratch: &Scratch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://localhost:{}", listener.local_addr().expect("it listens").port());
        let config = scratch.config(&[("AUTH__PUBLIC_URL", &url), ("LIMITS__ENABLED", "false")]);
        let platform =
            Platform::open_with(config, Clock::system(), Random::system()).await.expect("the platform opens");
        let state = AppState::new(platform.clone()).await.expect("the authorization server starts");
        let mut running = JoinSet::new();
        running.spawn(auth_server::serve_with(state, listener, std::future::pending()));
        Self { url, platform, _running: running }
    }

    async fn goes(&self, browser: &Browser, path: &str) {
        browser.goto(&format!("{}{path}", self.url)).await;
    }

    async fn signs_up(&self, browser: &Browser) {
        self.goes(browser, "/signup").await;
        browser.fill("email", EMAIL).await;
        browser.fill("password", PASSWORD).await;
        browser.click("form[action='/signup'] button[type=submit]").await;
        browser.gone("form[action='/signup']").await;
    }

    async fn signs_out(&self, browser: &Browser) {
        self.goes(browser, "/logout").await;
        browser.click("form[action='/logout'] button[type=submit]").await;
        browser.gone("form[action='/logout']").await;
    }

    async fn types_password(&self, browser: &Browser) {
        self.goes(browser, "/login").await;
        browser.fill("email", EMAIL).await;
        browser.fill("password", PASSWORD).await;
        browser.click("form[action='/login'] button[type=submit]").await;
    }
}

/// Of the driver's own protocol (Web Authentication §11, and Chromium's).
#[derive(Debug)]
struct Say {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Say {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.expect("a session"), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A device with a fingerprint sensor, whose owner agrees to all.
async fn has_authenticator(browser: &Browser) {
    let body = json!({
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserConsenting": true, "isUserVerified": true,
    });
    browser.client.issue_cmd(Say { path: "webauthn/authenticator", body }).await.expect("an authenticator");
}

async fn browser_says(browser: &Browser, command: &str, parameters: Value) {
    let body = json!({"cmd": command, "params": parameters});
    browser.client.issue_cmd(Say { path: "goog/cdp/execute", body }).await.expect(command);
}

/// The page as a person at a desk and one with a telephone see it, by day and by night.
async fn is_seen(browser: &Browser, name: &str) {
    for (device, width, height) in [("desktop", 1280, 900), ("phone", 390, 844)] {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": device == "phone"});
        browser_says(browser, "Emulation.setDeviceMetricsOverride", metrics).await;
        for theme in ["light", "dark"] {
            let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
            browser_says(browser, "Emulation.setEmulatedMedia", features).await;
            // Colours change gently.
            tokio::time::sleep(Duration::from_millis(400)).await;
            browser.shows(&format!("factors-{name}-{device}-{theme}")).await;
        }
    }
    browser_says(browser, "Emulation.clearDeviceMetricsOverride", json!({})).await;
}

async fn a_passkey_is_added_named_used_without_typing_and_deleted(scratch: Scratch) {
    let server = Server::start(&scratch).await;
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, scratch.store, None).await;
    server.signs_up(&browser).await;
    has_authenticator(&browser).await;

    server.goes(&browser, "/account/security").await;
    browser.fill("name", "My laptop").await;
    browser.click("form[data-passkey] button").await;
    let key = browser.find(".keys .key").await.text().await.unwrap();
    assert!(key.contains("My laptop") && key.contains("Not used yet"), "{key}");
    is_seen(&browser, "security").await;

    // The same authenticator is told not to make another.
    browser.click("form[data-passkey] button").await;
    let fault = "form[data-passkey] .fault:not(:empty)";
    assert!(browser.find(fault).await.text().await.unwrap().contains("already"));

    browser.click(".keys summary").await;
    browser.fill("name", "Ben’s laptop").await;
    browser.click(".keys button[value=rename]").await;
    // The page anew, not the one that is about to go.
    browser.find(".keys input[value='Ben’s laptop']").await;
    let key = browser.find(".keys .key").await.text().await.unwrap();
    assert!(key.contains("Ben’s laptop"), "{key}");

    // The browser offers it by itself in the field for the address, and its owner takes it: nothing is typed or clicked.
    server.signs_out(&browser).await;
    server.goes(&browser, "/login").await;
    browser.gone("form[action='/login']").await;
    server.goes(&browser, "/account/security").await;
    let key = browser.find(".keys .key").await.text().await.unwrap();
    assert!(key.contains("Last used"), "{key}");
    let mut conn = server.platform.db.read().await.unwrap();
    let (record,): (sqlx::types::Json<Value>,) =
        shared::fetch_one!(&mut conn, (sqlx::types::Json<Value>,), "SELECT record FROM browser_sessions").unwrap();
    drop(conn);
    assert_eq!(record["signed_in"]["acr"], "phr", "{record:?}");
    assert!(record["signed_in"]["amr"].as_array().unwrap().contains(&json!("mfa")), "{record:?}");

    // Deleted here, it is of no use, though the authenticator has it still.
    browser.click(".keys summary").await;
    browser.click(".keys button[value=delete]").await;
    browser.gone(".keys").await;
    server.signs_out(&browser).await;
    server.goes(&browser, "/login").await;
    let alert = browser.find("#alert").await.text().await.unwrap();
    assert!(alert.contains("not accepted"), "{alert}");
    browser.client.close().await.unwrap();
}
on_both_stores_by_program!(a_passkey_is_added_named_used_without_typing_and_deleted);

async fn a_passkey_is_asked_for_by_the_button_and_shows_who_one_is(scratch: Scratch) {
    let server = Server::start(&scratch).await;
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, scratch.store, None).await;
    server.signs_up(&browser).await;
    has_authenticator(&browser).await;
    server.goes(&browser, "/account/security").await;
    browser.click("form[data-passkey] button").await;
    browser.find(".keys .key").await;
    server.platform.clock.advance(Duration::from_secs(700));

    // Ten minutes later one shows anew who one is before another change: here by the button.
    browser.click("form[action='/account/security/app'] button").await;
    browser.find("form[action='/account/confirm'] input[name=password]").await;
    is_seen(&browser, "confirm").await;
    browser.click("form[action='/account/confirm/passkey'] button").await;
    browser.find("form[action='/account/security/app']").await;
    browser.click("form[action='/account/security/app'] button").await;
    browser.find("svg.app-qr").await;
    browser.client.close().await.unwrap();
}
on_both_stores_by_program!(a_passkey_is_asked_for_by_the_button_and_shows_who_one_is);

fn code(app: &Totp, server: &Server, steps: u64) -> String {
    let now = u64::try_from(server.platform.clock.timestamp()).expect("after 1970");
    app.generate(now + 30 * steps).to_string()
}

async fn an_app_is_set_up_asked_for_and_lost(scratch: Scratch) {
    let server = Server::start(&scratch).await;
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, scratch.store, None).await;
    server.signs_up(&browser).await;
    server.goes(&browser, "/account/security").await;
    browser.click("form[action='/account/security/app'] button").await;
    browser.find("svg.app-qr").await;
    is_seen(&browser, "app").await;
    let secret = browser.find(".secret code").await.text().await.unwrap();
    let secret = Secret::try_from_base32(secret.replace(' ', "")).expect("base32");
    let app = Builder::new().with_secret(secret).build().expect("a usable secret");
    browser.fill("code", &code(&app, &server, 0)).await;
    browser.click("form[action='/account/security/app/confirm'] button").await;
    let recovery = browser.find(".codes code").await.text().await.unwrap();
    is_seen(&browser, "codes").await;

    // The second factor before the first leads to the first.
    server.signs_out(&browser).await;
    server.goes(&browser, "/login/second-factor").await;
    browser.find("form[action='/login']").await;
    is_seen(&browser, "login").await;

    server.platform.clock.advance(Duration::from_secs(60));
    server.types_password(&browser).await;
    browser.find("input[name=code]").await;
    is_seen(&browser, "second-factor").await;
    browser.fill("code", "000000").await;
    browser.click("form[action='/login/second-factor'] button").await;
    browser.find("#code-error").await;
    browser.fill("code", &code(&app, &server, 0)).await;
    browser.click("form[action='/login/second-factor'] button").await;
    browser.gone("form[action='/login/second-factor']").await;
    server.goes(&browser, "/account/security").await;
    browser.find("form[action='/account/security/app/remove']").await;

    // The telephone is lost: a recovery code, which serves once.
    for serves in [true, false] {
        server.signs_out(&browser).await;
        server.types_password(&browser).await;
        browser.click("a[href='/login/second-factor?with=recovery']").await;
        browser.fill("code", &recovery.to_lowercase()).await;
        browser.click("form[action='/login/second-factor'] button").await;
        if serves {
            browser.gone("form[action='/login/second-factor']").await;
        } else {
            browser.find("#code-error").await;
        }
    }
    browser.client.close().await.unwrap();
}
on_both_stores_by_program!(an_app_is_set_up_asked_for_and_lost);
