//! RFC 8693, OAuth 2.0 Token Exchange.

mod bad_tokens;
mod bound_tokens;
mod errors;
mod exchange;

use crate::harness::{App, Server};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A service of our own that calls on with the tokens it is called with.
async fn service(server: &Server) -> App {
    server
        .own_app(|metadata| {
            metadata.redirect_uris.clear();
            metadata.grant_types = vec!["client_credentials".into(), GRANT.into()];
        })
        .await
}

fn form<'f>(subject_token: &'f str, more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let mut form = vec![("grant_type", GRANT), ("subject_token", subject_token), ("subject_token_type", ACCESS_TOKEN)];
    for (name, value) in more {
        form.retain(|(known, _)| known != name || *known == "audience");
        if !value.is_empty() {
            form.push((name, value));
        }
    }
    form
}
