//! The specifications, one folder each: every test names the section it holds the server to, and runs on SQLite and on
//! PostgreSQL with Redis. `harness` has the server under test and who speaks to it.

mod harness;

mod back_channel_logout;
mod client_id_metadata_document;
mod discovery;
mod fapi2;
mod form_post;
mod front_channel_logout;
mod jarm;
mod multiple_response_types;
mod oidc_core;
mod prompt_create;
mod rfc6749_oauth;
mod rfc6750_bearer;
mod rfc7009_revocation;
mod rfc7523_assertions;
mod rfc7591_registration;
mod rfc7592_management;
mod rfc7636_pkce;
mod rfc7662_introspection;
mod rfc8628_device;
mod rfc8693_token_exchange;
mod rfc8705_mutual_tls;
mod rfc8707_resource;
mod rfc9068_access_tokens;
mod rfc9101_jar;
mod rfc9126_par;
mod rfc9207_iss;
mod rfc9396_rar;
mod rfc9449_dpop;
mod rfc9470_step_up;
mod rfc9700_security;
mod rfc9701_jwt_introspection;
mod rp_initiated_logout;
