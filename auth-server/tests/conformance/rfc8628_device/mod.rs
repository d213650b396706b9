//! RFC 8628, OAuth 2.0 Device Authorization Grant.

mod authorization;
mod ended_session;
mod page;
mod polling;

use serde_json::Value;

use crate::harness::{Answer, App, Browser, Server};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An app on a device: public, with nothing but this grant and refresh.
async fn device(server: &Server) -> App {
    server
        .app(|m| {
            m.redirect_uris = vec![];
            m.grant_types = vec![GRANT.into(), "refresh_token".into()];
            m.token_endpoint_auth_method = "none".into();
        })
        .await
}

async fn begin(app: &App) -> Value {
    app.post("/oauth/device_authorization", &[("scope", "openid email")]).await.json(200)
}

async fn poll(app: &App, begun: &Value) -> Answer {
    app.token(&[("grant_type", GRANT), ("device_code", begun["device_code"].as_str().unwrap())]).await
}

/// The person decides on the page, as `email`.
async fn decide(browser: &mut Browser, begun: &Value, decision: &str) -> Answer {
    let code = begun["user_code"].as_str().unwrap();
    let page = browser.get(&format!("/device?user_code={code}")).await;
    let (csrf, code) = (page.hidden("csrf"), page.hidden("user_code"));
    browser.post("/device", &[("csrf", &csrf), ("user_code", &code), ("decision", decision)]).await
}

/// The interval's end.
fn wait(server: &Server, seconds: u64) {
    server.state.platform.clock.advance(std::time::Duration::from_secs(seconds));
}
