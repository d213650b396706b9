//! Discovery: OpenID Connect Discovery 1.0 §4 and RFC 8414. It lists what works and nothing more.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use openidconnect::core::{
    CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreProviderMetadata, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AuthUrl, IssuerUrl, JsonWebKeySetUrl, LanguageTag, ResponseTypes, Scope, TokenUrl, UserInfoUrl};
use serde_json::{Value, json};

use crate::clients::{AUTH_METHODS, GRANT_TYPES, SCOPES};
use crate::keys::Algorithm;
use crate::state::AppState;

/// `GET /.well-known/openid-configuration`.
pub async fn openid_configuration(State(state): State<AppState>) -> Response {
    respond(&state)
}

/// `GET /.well-known/oauth-authorization-server`: the same document (RFC 8414 §2 has the same members).
pub async fn authorization_server(State(state): State<AppState>) -> Response {
    respond(&state)
}

fn respond(state: &AppState) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(document(state))).into_response()
}

/// The metadata document.
pub fn document(state: &AppState) -> Value {
    let base = &state.platform.config.auth.public_url;
    // The configuration checked the URL, and these paths are our own.
    let provider = || -> Result<CoreProviderMetadata, openidconnect::url::ParseError> {
        Ok(CoreProviderMetadata::new(
            IssuerUrl::new(base.as_str().to_owned())?,
            AuthUrl::new(base.join("/oauth/authorize"))?,
            JsonWebKeySetUrl::new(base.join("/oauth/jwks"))?,
            vec![ResponseTypes::new(vec![CoreResponseType::Code])],
            vec![CoreSubjectIdentifierType::Public],
            Algorithm::ALL.map(Algorithm::core).to_vec(),
            Default::default(),
        )
        .set_token_endpoint(Some(TokenUrl::new(base.join("/oauth/token"))?))
        .set_userinfo_endpoint(Some(UserInfoUrl::new(base.join("/oauth/userinfo"))?))
        .set_scopes_supported(Some(SCOPES.iter().map(|s| Scope::new((*s).to_owned())).collect()))
        .set_response_modes_supported(Some(vec![CoreResponseMode::Query]))
        .set_grant_types_supported(Some(vec![
            CoreGrantType::AuthorizationCode,
            CoreGrantType::RefreshToken,
            CoreGrantType::ClientCredentials,
            CoreGrantType::Password,
        ]))
        .set_token_endpoint_auth_methods_supported(Some(vec![
            CoreClientAuthMethod::ClientSecretBasic,
            CoreClientAuthMethod::ClientSecretPost,
            CoreClientAuthMethod::None,
        ]))
        .set_claim_types_supported(Some(vec![CoreClaimType::Normal]))
        .set_claims_supported(Some(
            [
                "sub",
                "iss",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "acr",
                "amr",
                "sid",
                "name",
                "given_name",
                "family_name",
                "locale",
                "updated_at",
                "email",
                "email_verified",
            ]
            .map(|claim| CoreClaimName::new(claim.to_owned()))
            .to_vec(),
        ))
        .set_ui_locales_supported(Some(vec![LanguageTag::new("en".into()), LanguageTag::new("ru".into())]))
        .set_claims_parameter_supported(Some(false))
        .set_request_parameter_supported(Some(false))
        .set_request_uri_parameter_supported(Some(false)))
    };
    let mut document = provider().ok().and_then(|p| serde_json::to_value(p).ok()).unwrap_or_default();
    let members = json!({
        "revocation_endpoint": base.join("/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint": base.join("/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        // RFC 7636 §4.2; `plain` is refused.
        "code_challenge_methods_supported": ["S256"],
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        // OpenID Connect Prompt Create 1.0 §4
        "prompt_values_supported": ["none", "login", "consent", "select_account", "create"],
        "service_documentation": base.join("/docs"),
    });
    if let (Some(document), Value::Object(members)) = (document.as_object_mut(), members) {
        document.extend(members);
    }
    debug_assert_eq!(document["grant_types_supported"].as_array().map(Vec::len), Some(GRANT_TYPES.len()));
    document
}
