//! `/.well-known/oauth-protected-resource`: where tokens for this API come from (RFC 9728).

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::bearer::{ADMIN_SCOPE, ReadCodes, ReadReferrals, Scope, WriteCodes};
use crate::state::AppState;

/// Metadata of this protected resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResourceMetadata {
    /// The audience of its access tokens.
    #[schema(example = "https://api.example.com")]
    resource: String,
    #[schema(example = json!(["https://id.example.com"]))]
    authorization_servers: Vec<String>,
    #[schema(example = json!(["referral-codes:read", "referral-codes:write", "referrals:read", "referrals:admin"]))]
    scopes_supported: Vec<&'static str>,
    #[schema(example = json!(["header"]))]
    bearer_methods_supported: Vec<&'static str>,
    #[schema(example = "Referris referral API")]
    resource_name: &'static str,
    #[schema(example = "https://api.example.com/docs/")]
    resource_documentation: String,
}

/// Where tokens for this API come from
///
/// Protected resource metadata (RFC 9728).
#[utoipa::path(
    get, path = "/.well-known/oauth-protected-resource", tag = "Discovery", operation_id = "getResourceMetadata",
    responses((status = 200, description = "The metadata", body = ResourceMetadata))
)]
pub async fn get(State(state): State<AppState>) -> impl IntoResponse {
    let config = &state.platform().config;
    let metadata = ResourceMetadata {
        resource: config.api.public_url.to_string(),
        authorization_servers: vec![config.issuer().to_string()],
        scopes_supported: vec![ReadCodes::NAME, WriteCodes::NAME, ReadReferrals::NAME, ADMIN_SCOPE],
        bearer_methods_supported: vec!["header"],
        resource_name: "Referris referral API",
        resource_documentation: config.api.public_url.join("/docs/"),
    };
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (CACHE_CONTROL, "public, max-age=300")], Json(metadata))
}
