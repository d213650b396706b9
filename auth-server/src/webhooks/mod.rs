//! Where services outside call us.

mod clearbit;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;

use crate::AppState;
use crate::outside::callbacks;

/// The routes of the services that the configuration lets call.
pub fn router(state: &AppState) -> Router<AppState> {
    if !state.outside.takes_callbacks() {
        return Router::new();
    }
    Router::new()
        .route(callbacks::PATH, post(clearbit::called))
        .layer(DefaultBodyLimit::max(clearbit::MAX_BODY))
        .layer(shared::http::no_store())
}

#[cfg(test)]
mod tests;
