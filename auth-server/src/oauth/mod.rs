//! The OAuth 2.0 and OpenID Connect endpoints: one file each.

mod authorize;
mod introspect;
mod jwks;
pub mod metadata;
mod revoke;
mod token;
mod userinfo;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::routing::{get, post};
use tower_http::cors::{Any, CorsLayer};

use crate::state::AppState;

/// The endpoints' routes.
pub fn router(state: &AppState) -> Router<AppState> {
    // Browser-based clients call these from their own origin. No cookie is read here, so any origin may.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        // Swagger UI sends the last one.
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("x-requested-with")]);
    let public = Router::new()
        .route("/.well-known/openid-configuration", get(metadata::openid_configuration))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/oauth/jwks", get(jwks::jwks))
        .route("/oauth/token", post(token::token))
        .route("/oauth/revoke", post(revoke::revoke))
        .route("/oauth/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .layer(cors);
    let interactive = Router::new()
        .route("/oauth/authorize", get(authorize::authorize).post(authorize::authorize))
        .route("/oauth/authorize/continue", get(authorize::resume))
        .layer(crate::sessions::layer(state));
    Router::new().merge(public).merge(interactive).route("/oauth/introspect", post(introspect::introspect))
}
