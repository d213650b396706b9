//! RFC 6749, The OAuth 2.0 Authorization Framework.

mod arbitrary_requests;
mod authorization_code;
mod refresh_token;
