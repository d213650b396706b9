//! The OpenAPI document of the JSON API and of the OAuth endpoints, and the pages that show it.

use axum::Router;
use serde_json::json;
use shared::config::Config;
use shared::docs_ui::{self, OAuth, Options};
use shared::problem::Problem;
use utoipa::openapi::security::{AuthorizationCode, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, ServerBuilder};

use crate::AppState;

/// The client as which Swagger UI signs people in.
const SWAGGER_CLIENT: &str = "swagger-ui";

/// The OpenAPI document as configured.
pub fn openapi(config: &Config) -> OpenApi {
    let base = &config.auth.public_url;
    let scopes = Scopes::from_iter([
        ("openid", "Sign in: know who you are"),
        ("profile", "See your name"),
        ("email", "See your email address"),
        ("account:read", "See your account (our own apps only)"),
        ("account:write", "Change or delete your account (our own apps only)"),
    ]);
    let code = AuthorizationCode::new(base.join("/oauth/authorize"), base.join("/oauth/token"), scopes);
    let mut problems = vec![];
    <Problem as utoipa::ToSchema>::schemas(&mut problems);
    let components = ComponentsBuilder::new()
        .security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([Flow::AuthorizationCode(code)])))
        .schema_from::<Problem>()
        .schemas_from_iter(problems)
        .build();
    let mut openapi = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Referris authorization server")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("docs.md")))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url(base.as_str()).build()]))
        .components(Some(components))
        .build();
    openapi.merge(super::openapi_router().into_openapi());
    // The protocol's endpoints are described by their RFCs, which say more than a schema could; what is listed here is
    // what a reader needs to try them.
    match serde_json::from_value::<OpenApi>(oauth_endpoints()) {
        Ok(oauth) => openapi.merge(oauth),
        Err(error) => debug_assert!(false, "the OAuth endpoints' description does not parse: {error}"),
    }
    openapi
}

/// `/openapi.json`, `/docs` and `/redoc`.
pub fn pages(state: &AppState) -> Router<AppState> {
    let config = &state.platform.config;
    docs_ui::router(
        &openapi(config),
        Options {
            title: "Referris authorization server".into(),
            oauth: OAuth {
                client_id: SWAGGER_CLIENT.into(),
                scopes: ["openid", "profile", "email"].map(String::from).into(),
                authorization_server: config.auth.public_url.to_string(),
            },
            to_try_out: None,
        },
    )
}

fn oauth_endpoints() -> serde_json::Value {
    let text = |name: &str, required: bool, description: &str| json!({ "name": name, "in": "query", "required": required, "description": description, "schema": { "type": "string" } });
    let form = |required: &[&str], properties: serde_json::Value| {
        json!({ "required": true, "content": { "application/x-www-form-urlencoded": {
            "schema": { "type": "object", "required": required, "properties": properties } } } })
    };
    let oauth_error = json!({ "description": "An error as in RFC 6749 section 5.2", "content": { "application/json": {
        "schema": { "type": "object", "required": ["error"], "properties": {
            "error": { "type": "string", "examples": ["invalid_grant"] },
            "error_description": { "type": "string" } } } } } });
    let json_answer = |description: &str| json!({ "description": description, "content": { "application/json": { "schema": { "type": "object" } } } });
    let string = json!({ "type": "string" });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "OAuth 2.0 and OpenID Connect", "version": "1" },
        "paths": {
            "/.well-known/openid-configuration": { "get": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "openid_configuration",
                "summary": "Discovery (OpenID Connect Discovery 1.0)", "responses": { "200": json_answer("The metadata") } } },
            "/.well-known/oauth-authorization-server": { "get": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "authorization_server_metadata",
                "summary": "Authorization server metadata (RFC 8414)", "responses": { "200": json_answer("The metadata") } } },
            "/oauth/jwks": { "get": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "jwks",
                "summary": "The public keys (RFC 7517)", "responses": { "200": {
                    "description": "The key set", "content": { "application/jwk-set+json": { "schema": { "type": "object" } } } } } } },
            "/oauth/authorize": { "get": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "authorize",
                "summary": "Authorization endpoint (RFC 6749 section 3.1): for browsers",
                "parameters": [
                    text("response_type", true, "code"), text("client_id", true, "The client"),
                    text("redirect_uri", false, "One that is registered, character by character"),
                    text("scope", false, "Space-separated; default: all that the client registered"),
                    text("state", false, "Given back as it came"), text("nonce", false, "Put into the ID token"),
                    text("code_challenge", false, "PKCE (RFC 7636)"), text("code_challenge_method", false, "S256"),
                    text("prompt", false, "none, login, consent, select_account or create"),
                    text("max_age", false, "Seconds since the person last signed in, at most"),
                    text("login_hint", false, "Fills in the email address"), text("ui_locales", false, "en or ru"),
                    text("resource", false, "Whom the tokens are for (RFC 8707)")
                ],
                "responses": {
                    "303": { "description": "To sign-in or consent, or back to the client" },
                    "400": { "description": "A page: client or redirect URI are not registered" } } } },
            "/oauth/token": { "post": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "token",
                "summary": "Token endpoint (RFC 6749 section 3.2)",
                "requestBody": form(&["grant_type"], json!({
                    "grant_type": { "type": "string", "enum": crate::clients::GRANT_TYPES },
                    "code": string, "redirect_uri": string, "code_verifier": string, "refresh_token": string,
                    "username": string, "password": string, "scope": string, "resource": string,
                    "client_id": string, "client_secret": string })),
                "responses": { "200": json_answer("Tokens"), "400": oauth_error, "401": oauth_error, "429": oauth_error, "503": oauth_error } } },
            "/oauth/revoke": { "post": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "revoke",
                "summary": "Revocation (RFC 7009)",
                "requestBody": form(&["token"], json!({ "token": string, "token_type_hint": string, "client_id": string, "client_secret": string })),
                "responses": { "200": { "description": "Revoked, or never was" }, "400": oauth_error, "401": oauth_error } } },
            "/oauth/introspect": { "post": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "introspect",
                "summary": "Introspection (RFC 7662), for confidential clients",
                "requestBody": form(&["token"], json!({ "token": string, "token_type_hint": string, "client_id": string, "client_secret": string })),
                "responses": { "200": json_answer("What the token says, or that it is not active"), "400": oauth_error, "401": oauth_error } } },
            "/oauth/userinfo": { "get": { "tags": ["OAuth 2.0 and OpenID Connect"], "operationId": "userinfo",
                "summary": "Claims about the person (OpenID Connect Core section 5.3)", "security": [{ "oauth2": ["openid"] }],
                "responses": { "200": json_answer("The claims"), "401": { "description": "No valid access token" }, "403": { "description": "The token lacks the scope openid" } } } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_describes_the_api_and_the_protocol() {
        let openapi = openapi(&shared::config::load_from(None, []).unwrap());
        for path in ["/api/v1/signup", "/api/v1/me", "/oauth/token", "/oauth/authorize", "/oauth/userinfo"] {
            assert!(openapi.paths.paths.contains_key(path), "{path}");
        }
    }
}
