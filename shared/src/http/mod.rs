//! What every request of both services passes, whatever it asks for: [`layers`] on the way in and out, [`extract`] for
//! what it carries, [`client_ip`] for where it comes from, [`health`], and [`serve`].

pub mod client_ip;
mod edge;
pub mod extract;
pub mod health;
pub mod request_id;
mod serve;
mod strings;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use tower_http::set_header::SetResponseHeaderLayer;

pub use client_ip::ClientIp;
pub use edge::Edge;
pub use extract::{Json, Path, Query};
pub use request_id::current as current_request_id;
pub use serve::serve;

use crate::platform::Platform;

/// Wraps a service's whole router: request id, span, metrics, panics, timeout, body limit, security headers, and a
/// problem document wherever axum itself would answer with plain text or nothing. Call it last.
///
/// A route that takes larger bodies says so with its own [`axum::extract::DefaultBodyLimit`].
pub fn layers(router: Router, platform: &Platform) -> Router {
    Edge::new(platform.clock.clone(), platform.random.clone(), platform.config.trusted_proxies.clone()).wrap(router)
}

/// Keeps answers out of every cache: for what holds tokens, personal data or a form's CSRF token.
pub fn no_store() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
