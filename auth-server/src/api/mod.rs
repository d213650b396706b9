//! The JSON API for our own apps: [`signup`] and [`me`]. Errors are problem documents (RFC 9457).

mod docs;
pub mod me;
pub(crate) mod profile;
pub mod signup;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::AppState;
use crate::protocol::dpop;

pub use docs::openapi;

/// Larger than any account.
const MAX_BODY: usize = 16 * 1024;

/// The routes with their descriptions.
pub fn openapi_router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(signup::sign_up))
        .routes(routes!(me::show, me::change, me::delete))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(shared::http::no_store())
}

/// The routes, and the pages that document them.
pub fn router(state: &AppState) -> Router<AppState> {
    let routes = Router::from(openapi_router()).layer(from_fn_with_state(state.clone(), dpop::hand_out_nonce));
    routes.merge(docs::pages(state))
}

#[cfg(test)]
mod tests;
