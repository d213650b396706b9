//! What every request of both services passes, whatever it asks for: [`edge()`] on the way in and out, [`extract`] for
//! what it carries, [`client_ip`] for where it comes from, [`client_certificate`] for what the client showed of itself, [`health`], and
//! [`serve`].

pub mod client_certificate;
pub mod client_ip;
mod cors;
mod current;
pub mod distinguished_name;
mod edge;
mod etag;
pub mod extract;
mod gzip;
pub mod health;
pub mod request_id;
mod serve;
mod strings;
pub(crate) mod tls;
#[cfg(test)]
mod tls_tests;
mod workers;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use tower_http::set_header::SetResponseHeaderLayer;

pub use client_certificate::{ClientAuthorities, ClientCertificate};
pub use client_ip::ClientIp;
pub use cors::{Readers, for_browsers};
pub use current::{id as current_request_id, send_along};
pub use edge::Edge;
pub use etag::private_answers;
pub use extract::{Json, Path, Query};
pub use gzip::{accepts_gzip, gzip};
pub use serve::{Listener, serve, serve_all};
pub use tls::TlsError;

use crate::platform::Platform;

/// What all of a service's router is wrapped in: request id, span, metrics, panics, timeout, body limit, security headers,
/// and a problem document wherever axum itself would answer with plain text or nothing. The last to be called.
///
/// A route that takes larger bodies says so with its own [`axum::extract::DefaultBodyLimit`].
pub fn edge(platform: &Platform) -> Edge {
    Edge::new(platform.clock.clone(), platform.random.clone(), platform.config.trusted_proxies.clone())
        .with_certificates_from(platform.config.client_certificate_header())
}

/// Keeps answers out of every cache: for what holds tokens, personal data or a form's CSRF token.
pub fn no_store() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
