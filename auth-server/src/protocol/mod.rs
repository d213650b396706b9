//! What the OAuth endpoints share. No HTTP routes here.

pub mod authorization;
pub mod authorization_details;
pub mod bearer;
pub mod binding;
pub mod claims;
pub mod client_auth;
pub mod device;
pub mod dpop;
pub mod error;
pub mod grants;
pub mod id_token_hint;
pub mod logout_request;
pub mod machines;
pub mod proofs;
pub mod pushed_requests;
pub mod registrar;
pub mod request;
pub mod request_object;
pub mod token_request;
pub mod tokens;
