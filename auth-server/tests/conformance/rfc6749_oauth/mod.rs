//! RFC 6749, The OAuth 2.0 Authorization Framework.

mod authorization_code;
mod instances;
mod refresh_token;
mod transactions;
mod unavailable;
