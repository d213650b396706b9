//! The clients that the scripts are.

use auth_server::clients::NewClient;
use serde_json::{Value, json};

use crate::world::{World, app_client};

/// Nothing listens there: the code is read off the redirect.
const CALLBACK: &str = "http://127.0.0.1:1/callback";
const GRANTS: &[&str] = &["authorization_code", "refresh_token"];

/// Registers one client of each kind. Their credentials, by the names that the scripts use.
pub async fn all(world: &World) -> Value {
    let clients = [
        ("web", app_client("Web app", GRANTS, CALLBACK)),
        ("post", with_method(app_client("Older web app", GRANTS, CALLBACK), "client_secret_post")),
        ("native", with_method(app_client("Desk app", GRANTS, "http://127.0.0.1/callback"), "none")),
        ("service", service()),
        ("manager", manager()),
    ];
    let mut registered = json!({});
    for (name, client) in clients {
        let app = world.register(client).await;
        registered[name] =
            json!({ "client_id": app.client_id, "client_secret": app.secret, "redirect_uri": app.redirect_uri });
    }
    registered
}

fn with_method(mut client: NewClient, method: &str) -> NewClient {
    client.metadata.token_endpoint_auth_method = method.to_owned();
    client
}

/// A public client with these redirect URIs.
pub fn public(redirect_uris: &[String]) -> NewClient {
    let mut client = with_method(app_client("Single-page app", GRANTS, ""), "none");
    client.metadata.redirect_uris = redirect_uris.to_vec();
    client
}

/// The operator's own, that runs the referral programme.
fn manager() -> NewClient {
    let mut client = service();
    client.first_party = true;
    client.metadata.scopes = ["referrals:manage", "webhooks:manage"].map(str::to_owned).to_vec();
    client
}

fn service() -> NewClient {
    let mut client = app_client("Nightly job", &["client_credentials"], "");
    client.metadata.redirect_uris.clear();
    client
}
