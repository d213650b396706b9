//! Discovery: OpenID Connect Discovery 1.0 §4 and RFC 8414. It lists what works and nothing more.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jsonwebtoken::Algorithm::HS256;
use openidconnect::core::{
    CoreClaimType, CoreGrantType, CoreProviderMetadata, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AuthUrl, IssuerUrl, JsonWebKeySetUrl, LanguageTag, ResponseTypes, Scope, TokenUrl, UserInfoUrl};
use serde_json::{Value, json};
use shared::config::RegistrationPolicy;
use shared::dpop;
use shared::jose::{ASYMMETRIC, name_of};

use super::{metadata_mtls, metadata_openid};
use crate::clients::{AUTH_METHODS, GRANT_TYPES, SCOPES, TOKEN_EXCHANGE};
use crate::keys::Algorithm;
use crate::locales::Locale;
use crate::protocol::{authorization_details, request_object};
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
            vec![CoreSubjectIdentifierType::Public, CoreSubjectIdentifierType::Pairwise],
            Algorithm::ALL.map(Algorithm::core).to_vec(),
            Default::default(),
        )
        .set_token_endpoint(Some(TokenUrl::new(base.join("/oauth/token"))?))
        .set_userinfo_endpoint(Some(UserInfoUrl::new(base.join("/oauth/userinfo"))?))
        .set_scopes_supported(Some(SCOPES.iter().map(|s| Scope::new((*s).to_owned())).collect()))
        .set_grant_types_supported(Some(vec![
            CoreGrantType::AuthorizationCode,
            CoreGrantType::RefreshToken,
            CoreGrantType::ClientCredentials,
            CoreGrantType::Password,
            CoreGrantType::DeviceCode,
            CoreGrantType::JwtBearer,
            CoreGrantType::Extension(TOKEN_EXCHANGE.to_owned()),
        ]))
        .set_claim_types_supported(Some(vec![CoreClaimType::Normal]))
        .set_ui_locales_supported(Some(Locale::ALL.map(|locale| LanguageTag::new(locale.tag().into())).to_vec()))
        .set_request_parameter_supported(Some(true))
        .set_request_uri_parameter_supported(Some(false)))
    };
    let mut document = provider().ok().and_then(|p| serde_json::to_value(p).ok()).unwrap_or_default();
    // A public client has nothing to ask about tokens (RFC 7662 §2.1).
    let confidential: Vec<_> = AUTH_METHODS.iter().filter(|method| **method != "none").collect();
    let assertion_algs: Vec<_> = ASYMMETRIC.into_iter().chain([HS256]).map(name_of).collect();
    let members = json!({
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "token_endpoint_auth_signing_alg_values_supported": assertion_algs,
        "revocation_endpoint": base.join("/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": assertion_algs,
        "introspection_endpoint": base.join("/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": assertion_algs,
        // RFC 8628 §4
        "device_authorization_endpoint": base.join("/oauth/device_authorization"),
        // RFC 9701 §7
        "introspection_signing_alg_values_supported": Algorithm::NAMES,
        // RFC 9449 §5.1
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS.map(name_of),
        // RFC 9126 §5. A request_uri that is not from there is not supported: see request_uri_parameter_supported above.
        "pushed_authorization_request_endpoint": base.join("/oauth/par"),
        "require_pushed_authorization_requests": false,
        // RFC 9101 §10.5
        "request_object_signing_alg_values_supported": request_object::algorithms(),
        "require_signed_request_object": false,
        // RFC 9396 §10
        "authorization_details_types_supported": authorization_details::TYPES,
        // RFC 7636 §4.2; `plain` is refused.
        "code_challenge_methods_supported": ["S256"],
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        // RP-Initiated Logout §2.1, Back-Channel Logout §2.1, Front-Channel Logout §3
        "end_session_endpoint": base.join("/oauth/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
        "service_documentation": base.join("/docs"),
    });
    if let (Some(document), Value::Object(members)) = (document.as_object_mut(), members) {
        document.extend(members);
        metadata_openid::add(&state.platform.config, document);
        metadata_mtls::add(document, &state.platform.config);
        let registration = &state.platform.config.registration;
        if registration.policy != RegistrationPolicy::Off {
            // RFC 7591 §3.
            document.insert("registration_endpoint".into(), json!(base.join("/oauth/register")));
        }
        if registration.metadata_documents {
            document.insert("client_id_metadata_document_supported".into(), json!(true));
        }
    }
    debug_assert_eq!(document["grant_types_supported"].as_array().map(Vec::len), Some(GRANT_TYPES.len()));
    document
}
