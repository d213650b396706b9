//! What the OAuth endpoints share. No HTTP routes here.

pub mod authorization_request;
pub mod bearer;
pub mod client_auth;
pub mod error;
pub mod grants;
pub mod machines;
pub mod registrar;
pub mod request;
pub mod tokens;
