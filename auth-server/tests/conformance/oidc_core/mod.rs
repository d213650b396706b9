//! OpenID Connect Core 1.0.

mod acr;
mod arbitrary_requests;
mod authentication_request;
mod claims_parameter;
mod discovery;
pub mod ended_session;
mod id_token;
pub mod id_token_hint;
mod key_rotation;
mod max_age;
mod offline_access;
mod pairwise;
mod profile;
mod prompt;
mod scope_claims;
mod userinfo;
