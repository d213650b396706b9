//! The OAuth 2.0 and OpenID Connect endpoints: one file each.

mod authorize;
mod device_authorization;
mod introspect;
mod jwks;
pub mod logout;
pub mod metadata;
mod metadata_mtls;
mod metadata_openid;
mod par;
mod register;
mod revoke;
mod token;
mod userinfo;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use shared::dpop::{DPOP, DPOP_NONCE};
use tower_http::cors::{Any, CorsLayer};

use crate::protocol::dpop;
use crate::state::AppState;

/// What apps in browsers may call from their own origin, and how. No cookie is read there, so any origin may.
pub fn open(state: &AppState) -> (Router<AppState>, CorsLayer) {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        // The answer is the same whoever asks.
        .vary([])
        .allow_methods([Method::GET, Method::POST])
        // Swagger UI sends the last one.
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, DPOP, HeaderName::from_static("x-requested-with")])
        .expose_headers([DPOP_NONCE, header::WWW_AUTHENTICATE, header::RETRY_AFTER]);
    let nonce = from_fn_with_state(state.clone(), dpop::hand_out_nonce);
    let routes = Router::new()
        .route("/.well-known/openid-configuration", get(metadata::openid_configuration))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/oauth/jwks", get(jwks::jwks))
        .route("/oauth/token", post(token::token))
        .route("/oauth/device_authorization", post(device_authorization::device_authorization))
        .route("/oauth/par", post(par::par))
        .route("/oauth/revoke", post(revoke::revoke))
        .route("/oauth/userinfo", get(userinfo::userinfo).post(userinfo::userinfo).layer(nonce));
    (routes, cors)
}

/// The other endpoints' routes.
pub fn router(state: &AppState) -> Router<AppState> {
    let interactive = Router::new()
        .route("/oauth/authorize", get(authorize::authorize).post(authorize::authorize))
        .route("/oauth/authorize/continue", get(authorize::resume))
        .route("/oauth/logout", get(logout::logout).post(logout::logout))
        .route("/oauth/logout/continue", get(logout::resume))
        .layer(crate::sessions::layer(state));
    interactive.merge(register::router()).route("/oauth/introspect", post(introspect::introspect))
}
