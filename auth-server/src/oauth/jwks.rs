//! `GET /oauth/jwks`: the public keys (RFC 7517 §5).

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::state::AppState;

/// A verifier may keep the set for five minutes: a new key is published a day before it signs.
pub async fn jwks(State(state): State<AppState>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, state.keys.jwks()).into_response()
}
