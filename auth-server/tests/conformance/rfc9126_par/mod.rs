//! RFC 9126: Pushed Authorization Requests.

mod arbitrary_requests;
mod dpop;
mod pushing;
mod refusals;
mod required;
mod taking_up;

use crate::harness::{Answer, App};

/// Pushes the plain authorization request with `more`.
pub async fn push(app: &App, more: &[(&str, &str)]) -> Answer {
    push_with(app, &[], more).await
}

/// The same with headers.
pub async fn push_with(app: &App, headers: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
    let mut form = app.parameters(more);
    // The app adds it as it authenticates.
    form.retain(|(name, _)| *name != "client_id");
    app.post_with("/oauth/par", headers, &form).await
}

/// Pushes the request and gives its `request_uri`.
pub async fn pushed(app: &App, more: &[(&str, &str)]) -> String {
    push(app, more).await.json(201)["request_uri"].as_str().expect("a request_uri").to_owned()
}

/// The authorization request that names a pushed one.
pub fn referring(client_id: &str, request_uri: &str, more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", client_id).append_pair("request_uri", request_uri).extend_pairs(more);
    format!("/oauth/authorize?{}", query.finish())
}
