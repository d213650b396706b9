//! RFC 9396: OAuth 2.0 Rich Authorization Requests, with the one type there is, `referral_code`.

mod request;
mod token;

use crate::harness::{App, Server};

/// A client that may ask for authorization details.
pub async fn rich_app(server: &Server) -> App {
    server.app(|client| client.authorization_details_types = vec!["referral_code".into()]).await
}

/// To create a code that may be used 10 times at most, and to see codes.
pub const DETAILS: &str = r#"[{"type":"referral_code","actions":["create","read"],"max_uses":10}]"#;
