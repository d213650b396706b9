//! `/.well-known/oauth-protected-resource`: where tokens for this API come from (RFC 9728).

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::response::IntoResponse;
use serde::Serialize;
use shared::config::Config;
use shared::dpop;
use shared::jose::name_of;
use utoipa::ToSchema;

use crate::access::{ADMIN_SCOPE, DETAILS_TYPE, Manage, ReadCodes, ReadReferrals, Scope, SeeWebhooks, WriteCodes};
use crate::state::AppState;

/// Metadata of this protected resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResourceMetadata {
    /// The audience of its access tokens.
    #[schema(example = "https://api.example.com")]
    resource: String,
    /// The issuers of its access tokens.
    #[schema(example = json!(["https://id.example.com"]))]
    authorization_servers: Vec<String>,
    /// The scopes that its endpoints ask for.
    #[schema(example = json!(["referral-codes:read", "referral-codes:write", "referrals:read", "referrals:manage", "webhooks:manage", "referrals:admin"]))]
    scopes_supported: Vec<&'static str>,
    /// What an authorization request may ask for more closely than by scope (RFC 9396).
    #[schema(example = json!(["referral_code"]))]
    authorization_details_types_supported: [&'static str; 1],
    /// How an access token is sent: in the `Authorization` header alone.
    #[schema(example = json!(["header"]))]
    bearer_methods_supported: Vec<&'static str>,
    /// What people call it.
    #[schema(example = "Referris referral API")]
    resource_name: &'static str,
    /// Where developers read on.
    #[schema(example = "https://api.example.com/docs/")]
    resource_documentation: String,
    /// What DPoP proofs may be signed with (RFC 9449).
    #[schema(example = json!(["ES256", "EdDSA", "PS256"]))]
    dpop_signing_alg_values_supported: [&'static str; 3],
    /// Must every access token be bound to a DPoP key?
    #[schema(example = false)]
    dpop_bound_access_tokens_required: bool,
    /// Does it know access tokens that are bound to a client certificate (RFC 8705)? Absent where no certificate arrives.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = true)]
    tls_client_certificate_bound_access_tokens: bool,
}

/// Can a client's certificate reach us: over our own listener, or from a trusted proxy?
fn sees_client_certificates(config: &Config) -> bool {
    config.api_tls().is_some_and(|tls| tls.request_client_certificates) || config.client_certificate_header().is_some()
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
        scopes_supported: vec![
            ReadCodes::NAME,
            WriteCodes::NAME,
            ReadReferrals::NAME,
            Manage::NAME,
            SeeWebhooks::NAME,
            ADMIN_SCOPE,
        ],
        authorization_details_types_supported: [DETAILS_TYPE],
        bearer_methods_supported: vec!["header"],
        resource_name: "Referris referral API",
        resource_documentation: config.api.public_url.join("/docs/"),
        dpop_signing_alg_values_supported: dpop::ALGORITHMS.map(name_of),
        dpop_bound_access_tokens_required: config.api.require_dpop,
        tls_client_certificate_bound_access_tokens: sees_client_certificates(config),
    };
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (CACHE_CONTROL, "public, max-age=300")], Json(metadata))
}
