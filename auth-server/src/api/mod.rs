//! The JSON API for our own apps: [`signup`] and [`me`]. Errors are problem documents (RFC 9457).

pub mod me;
pub mod signup;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::AppState;

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

/// The routes alone.
pub fn router(_state: &AppState) -> Router<AppState> {
    openapi_router().into()
}
