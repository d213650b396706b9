//! Apps in browsers may call from any origin: nothing here is done on the strength of a cookie, and a token must be
//! brought along (Fetch §3.2.5: without credentials).

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, Method};
use shared::dpop::{DPOP, DPOP_NONCE};
use tower_http::cors::{Any, CorsLayer};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// For the routes that take a token.
pub fn layer() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // A wildcard does not cover Authorization.
        .allow_headers([AUTHORIZATION, DPOP, CONTENT_TYPE, IDEMPOTENCY_KEY])
        .expose_headers([DPOP_NONCE, WWW_AUTHENTICATE, LOCATION, RETRY_AFTER, REQUEST_ID])
        .max_age(Duration::from_secs(600))
}
