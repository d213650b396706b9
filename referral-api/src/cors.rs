//! Apps in browsers may call from any origin, or from those of `api.cors_origins`: nothing here is done on the strength
//! of a cookie, and a token must be brought along (Fetch §3.2.5: without credentials).

use std::time::Duration;

use axum::http::header::{
    AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, Method};
use shared::config::Config;
use shared::dpop::{DPOP, DPOP_NONCE};
use shared::http::Readers;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::access::{RATE_LIMIT, RATE_LIMIT_POLICY};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// For the routes that take a token.
pub fn layer(config: &Config) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins(&config.api.cors_origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // A wildcard does not cover Authorization.
        .allow_headers([AUTHORIZATION, DPOP, CONTENT_TYPE, IDEMPOTENCY_KEY, IF_NONE_MATCH])
        .expose_headers([
            DPOP_NONCE,
            WWW_AUTHENTICATE,
            LOCATION,
            RETRY_AFTER,
            ETAG,
            LINK,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            CONTENT_DISPOSITION,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(600))
}

/// Who may read answers.
pub fn readers(config: &Config) -> Readers {
    if any(&config.api.cors_origins) { Readers::Anyone } else { Readers::Some }
}

fn any(allowed: &[String]) -> bool {
    allowed.iter().any(|origin| origin == "*")
}

/// The configuration was checked: each is `*` or an origin as browsers write it (RFC 6454 §6.2).
fn origins(allowed: &[String]) -> AllowOrigin {
    if any(allowed) {
        return AllowOrigin::any();
    }
    AllowOrigin::list(allowed.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()))
}
