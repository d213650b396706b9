//! OpenID Connect RP-Initiated Logout 1.0.

mod asking;
mod hint;
mod redirecting;

use crate::harness::{App, Browser, Server};
use url::form_urlencoded;

const BYE: &str = "https://app.example/bye?from=op";

/// An app that registered [`BYE`].
async fn app(server: &Server) -> App {
    server.app(|m| m.post_logout_redirect_uris = vec![BYE.into()]).await
}

/// The person's ID token.
async fn id_token(app: &App, browser: &mut Browser) -> String {
    let tokens = app.tokens(browser, "ann@example.com", &[]).await;
    tokens["id_token"].as_str().unwrap().to_owned()
}

fn logout(parameters: &[(&str, &str)]) -> String {
    format!("/oauth/logout?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish())
}

/// Is somebody signed in in this browser?
async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/account").await.body.contains("href=\"/logout\"")
}
