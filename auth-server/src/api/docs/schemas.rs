//! What the endpoints of the protocol take and answer, as schemas.

use serde_json::{Map, Value, json};

/// A member of each of these names.
fn members(kind: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), kind.clone())).collect()
}

fn object(required: &[&str], kinds: impl IntoIterator<Item = Map<String, Value>>) -> Value {
    let properties: Map<String, Value> = kinds.into_iter().flatten().collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A member may be null, and a URL empty, which is as if it was not there (RFC 7591 §2, RFC 7592 §2.2).
fn nullable(members: Map<String, Value>) -> Map<String, Value> {
    let nullable = members.into_iter().map(|(name, mut kind)| {
        kind["type"] = json!([kind["type"].take(), "null"]);
        if kind.as_object_mut().is_some_and(|kind| kind.remove("format").is_some()) {
            kind["description"] = "A URL; null or empty for none".into();
        }
        (name, kind)
    });
    nullable.collect()
}

struct Kinds {
    text: Value,
    url: Value,
    texts: Value,
    urls: Value,
    flag: Value,
    number: Value,
    object: Value,
    objects: Value,
}

fn kinds() -> Kinds {
    let (text, url) = (json!({ "type": "string" }), json!({ "type": "string", "format": "uri" }));
    Kinds {
        texts: json!({ "type": "array", "items": text }),
        urls: json!({ "type": "array", "items": url }),
        text,
        url,
        flag: json!({ "type": "boolean" }),
        number: json!({ "type": "integer" }),
        object: json!({ "type": "object" }),
        objects: json!({ "type": "array", "items": { "type": "object" } }),
    }
}

/// The members of a client's metadata (RFC 7591 §2, and the specifications that add to it).
fn client_metadata(kinds: &Kinds) -> [Map<String, Value>; 7] {
    [
        members(
            &kinds.text,
            &[
                "client_name",
                "scope",
                "token_endpoint_auth_method",
                "token_endpoint_auth_signing_alg",
                "application_type",
                "subject_type",
                "id_token_signed_response_alg",
                "userinfo_signed_response_alg",
                "request_object_signing_alg",
                "authorization_signed_response_alg",
                "introspection_signed_response_alg",
                "tls_client_auth_subject_dn",
                "tls_client_auth_san_dns",
                "tls_client_auth_san_uri",
                "tls_client_auth_san_ip",
                "tls_client_auth_san_email",
                "software_id",
                "software_version",
            ],
        ),
        members(
            &kinds.url,
            &[
                "client_uri",
                "logo_uri",
                "policy_uri",
                "tos_uri",
                "jwks_uri",
                "sector_identifier_uri",
                "initiate_login_uri",
                "backchannel_logout_uri",
                "frontchannel_logout_uri",
            ],
        ),
        members(&kinds.urls, &["redirect_uris", "post_logout_redirect_uris"]),
        members(
            &kinds.texts,
            &["grant_types", "response_types", "default_acr_values", "contacts", "authorization_details_types"],
        ),
        members(
            &kinds.flag,
            &[
                "require_auth_time",
                "require_signed_request_object",
                "require_pushed_authorization_requests",
                "dpop_bound_access_tokens",
                "tls_client_certificate_bound_access_tokens",
                "backchannel_logout_session_required",
                "frontchannel_logout_session_required",
            ],
        ),
        members(&kinds.number, &["default_max_age"]),
        members(&kinds.object, &["jwks"]),
    ]
}

/// The members of the server's metadata (RFC 8414 §2, OpenID Connect Discovery §3, and what adds to them).
fn server_metadata(kinds: &Kinds) -> [Map<String, Value>; 4] {
    [
        members(
            &kinds.url,
            &[
                "issuer",
                "authorization_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
                "jwks_uri",
                "registration_endpoint",
                "revocation_endpoint",
                "introspection_endpoint",
                "device_authorization_endpoint",
                "pushed_authorization_request_endpoint",
                "end_session_endpoint",
                "service_documentation",
            ],
        ),
        members(
            &kinds.texts,
            &[
                "scopes_supported",
                "response_types_supported",
                "response_modes_supported",
                "grant_types_supported",
                "subject_types_supported",
                "acr_values_supported",
                "display_values_supported",
                "prompt_values_supported",
                "ui_locales_supported",
                "claim_types_supported",
                "claims_supported",
                "code_challenge_methods_supported",
                "authorization_details_types_supported",
                "token_endpoint_auth_methods_supported",
                "token_endpoint_auth_signing_alg_values_supported",
                "revocation_endpoint_auth_methods_supported",
                "revocation_endpoint_auth_signing_alg_values_supported",
                "introspection_endpoint_auth_methods_supported",
                "introspection_endpoint_auth_signing_alg_values_supported",
                "id_token_signing_alg_values_supported",
                "userinfo_signing_alg_values_supported",
                "authorization_signing_alg_values_supported",
                "introspection_signing_alg_values_supported",
                "request_object_signing_alg_values_supported",
                "dpop_signing_alg_values_supported",
            ],
        ),
        members(
            &kinds.flag,
            &[
                "claims_parameter_supported",
                "request_parameter_supported",
                "request_uri_parameter_supported",
                "require_pushed_authorization_requests",
                "require_signed_request_object",
                "authorization_response_iss_parameter_supported",
                "tls_client_certificate_bound_access_tokens",
                "backchannel_logout_supported",
                "backchannel_logout_session_supported",
                "frontchannel_logout_supported",
                "frontchannel_logout_session_supported",
                "client_id_metadata_document_supported",
            ],
        ),
        members(&kinds.object, &["mtls_endpoint_aliases"]),
    ]
}

/// Every schema by its name.
pub fn all() -> Value {
    let kinds = kinds();
    let Kinds { text, url, flag, number, object: any, objects, .. } = &kinds;
    // How the hosted pages look in its flow: told, where the operator said so (`auth-server client brand`), and not asked.
    let looks = json!({ "type": "string", "readOnly": true });
    let registered = [
        members(&looks, &["brand_accent_light", "brand_accent_dark", "brand_theme"]),
        members(text, &["client_id", "client_secret", "registration_access_token"]),
        members(url, &["registration_client_uri"]),
        members(number, &["client_id_issued_at", "client_secret_expires_at"]),
    ];
    let server = ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported"];
    let mut schemas = json!({
        "OAuthError": {
            "type": "object", "description": "An error as in RFC 6749 section 5.2", "required": ["error"],
            "properties": {
                "error": { "type": "string", "description": "One of the registered codes; programs decide by it" },
                "error_description": { "type": "string", "description": "For the client's developer" },
            },
        },
        "Tokens": object(&["access_token", "token_type", "expires_in"], [
            members(text, &["access_token", "token_type", "refresh_token", "id_token", "scope", "issued_token_type"]),
            members(number, &["expires_in"]),
            members(objects, &["authorization_details"]),
        ]),
        "PushedRequest": object(&["request_uri", "expires_in"], [
            members(text, &["request_uri"]), members(number, &["expires_in"]),
        ]),
        "DeviceAuthorization": object(&["device_code", "user_code", "verification_uri", "expires_in"], [
            members(text, &["device_code", "user_code"]),
            members(url, &["verification_uri", "verification_uri_complete"]),
            members(number, &["expires_in", "interval"]),
        ]),
        "Introspection": object(&["active"], [
            members(flag, &["active"]),
            members(text, &["client_id", "sub", "iss", "scope", "token_type", "jti", "sid", "acr", "grant_id"]),
            members(number, &["iat", "exp", "auth_time"]),
            members(any, &["cnf", "act"]),
            members(objects, &["authorization_details"]),
            members(&json!({ "type": ["string", "array"] }), &["aud"]),
        ]),
        "UserInfo": object(&["sub"], [
            members(text, &[
                "sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "gender",
                "birthdate", "zoneinfo", "locale", "email", "phone_number",
            ]),
            members(url, &["profile", "picture", "website"]),
            members(flag, &["email_verified", "phone_number_verified"]),
            members(number, &["updated_at"]),
            members(any, &["address"]),
        ]),
        "ClientMetadata": object(&[], client_metadata(&kinds).map(nullable)),
        // It says again which client it is about (RFC 7592 §2.2).
        "ClientUpdate": object(&["client_id"], client_metadata(&kinds).map(nullable).into_iter().chain([
            members(text, &["client_id"]), nullable(members(text, &["client_secret"])),
        ])),
        "ClientRegistration": object(
            &["client_id", "registration_access_token", "registration_client_uri"],
            client_metadata(&kinds).into_iter().chain(registered),
        ),
        "ServerMetadata": object(&server, server_metadata(&kinds)),
        "KeySet": object(&["keys"], [members(objects, &["keys"])]),
    });
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        schema["example"] = super::examples::of(name);
    }
    schemas
}
