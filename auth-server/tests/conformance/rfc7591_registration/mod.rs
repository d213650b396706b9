//! RFC 7591: OAuth 2.0 Dynamic Client Registration, and OpenID Connect Dynamic Client Registration 1.0 (`oidcr`).

mod audit;
mod consent;
mod credentials;
mod metadata;
mod policy;
mod response;
mod sector;
mod strangers;

use auth_server::clients::initial_access_tokens;
use axum::http::Request;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Server};

pub const OPEN: (&str, &str) = ("REGISTRATION__POLICY", "open");

/// An initial access token of this name.
pub async fn permit(server: &Server, name: &str, uses: Option<i64>) -> String {
    let made = initial_access_tokens::create(&server.state.platform, name, uses, TimeDelta::days(1)).await;
    made.expect("the database answers").expect("a new name").0.reveal().to_owned()
}

/// A registration request as it is.
pub async fn send(server: &Server, authorization: Option<&str>, kind: &str, body: &str) -> Answer {
    let mut request = Request::post("/oauth/register").header("content-type", kind);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    server.send(request, body.to_owned()).await
}

/// A registration request where registration is open.
pub async fn register(server: &Server, metadata: &Value) -> Answer {
    send(server, None, "application/json", &metadata.to_string()).await
}

/// The least that a web app registers.
pub fn web_app() -> Value {
    json!({ "client_name": "Wonder App", "redirect_uris": ["https://app.example/callback"] })
}

/// The app that has this registration.
pub async fn app(server: &Server, registration: &Value) -> App {
    let id = registration["client_id"].as_str().expect("a client_id").into();
    let client = server.state.clients.get(&id).await.expect("the database answers").expect("the client is there");
    App::new(server.clone(), &client, registration["client_secret"].as_str().map(str::to_owned))
}
