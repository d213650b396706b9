//! RFC 6749, The OAuth 2.0 Authorization Framework.

mod arbitrary_requests;
mod authorization_code;
mod authorization_endpoint;
mod consent;
mod instances;
mod refresh_token;
mod token_endpoint;
mod transactions;
mod unavailable;
