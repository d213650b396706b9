//! How the OpenAPI document describes the endpoints of the protocol: each path and method, what it takes, what it
//! answers, and how a caller is let in. Their RFCs say more than a schema could; here is what it takes to try them.

use serde_json::{Map, Value, json};
use shared::config::{Config, RegistrationPolicy};

use super::{examples, schemas};
use crate::clients::{GRANT_TYPES, SCOPES};
use crate::protocol::error::Code;

const TAG: &str = "OAuth 2.0 and OpenID Connect";
const REGISTRATION: &str = "Client registration";
const FORM: &str = "application/x-www-form-urlencoded";
/// What a form proves who its client is by; the `Authorization` header or the certificate of the connection do as well.
const AUTHENTICATION: [(&str, &str); 4] = [
    ("client_id", "Of a client that does not authenticate by the Authorization header"),
    ("client_secret", "client_secret_post"),
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ("client_assertion", "private_key_jwt or client_secret_jwt (RFC 7523)"),
];
/// An authorization request's parameters, beside client_id.
const AUTHORIZATION: [(&str, &str); 22] = [
    ("response_type", "code"),
    ("redirect_uri", "One that is registered, character by character"),
    ("scope", "Space-separated; default: all that the client registered"),
    ("state", "Given back as it came"),
    ("response_mode", "query, fragment, form_post, or one of them signed: jwt, query.jwt, fragment.jwt, form_post.jwt"),
    ("code_challenge", "PKCE (RFC 7636)"),
    ("code_challenge_method", "S256"),
    ("resource", "Whom the tokens are for (RFC 8707); may come several times"),
    ("authorization_details", "A JSON array (RFC 9396)"),
    ("dpop_jkt", "The thumbprint of the key that the code is bound to (RFC 9449)"),
    ("nonce", "Put into the ID token"),
    ("prompt", "none, login, consent, select_account or create"),
    ("max_age", "Seconds since the person last signed in, at most"),
    ("acr_values", "How the person should sign in"),
    ("claims", "Claims asked for one by one, as JSON (OpenID Connect Core 5.5)"),
    ("id_token_hint", "Whom the client believes to be signed in"),
    ("login_hint", "Fills in the email address"),
    ("ui_locales", "Space-separated, such as en or ru"),
    ("display", "page, popup or touch"),
    ("claims_locales", "Taken and of no effect"),
    ("request", "All of these as a signed request object (RFC 9101)"),
    ("request_uri", "What pushing the request gave (RFC 9126)"),
];
const TOKEN: [(&str, &str); 18] = [
    ("code", "authorization_code"),
    ("redirect_uri", "authorization_code: as in the authorization request"),
    ("code_verifier", "authorization_code: PKCE (RFC 7636)"),
    ("refresh_token", "refresh_token"),
    ("username", "password: the email address"),
    ("password", "password"),
    ("device_code", "device_code (RFC 8628)"),
    ("assertion", "jwt-bearer (RFC 7523)"),
    ("subject_token", "token-exchange (RFC 8693)"),
    ("subject_token_type", "token-exchange"),
    ("actor_token", "token-exchange"),
    ("actor_token_type", "token-exchange"),
    ("requested_token_type", "token-exchange"),
    ("audience", "token-exchange; may come several times"),
    ("scope", "Space-separated"),
    ("resource", "Whom the token is for (RFC 8707); may come several times"),
    ("authorization_details", "A JSON array, within what was granted (RFC 9396)"),
    ("grant_type", "What the token is asked for with"),
];

/// What may be wrong with any request of a client that authenticates.
const ANY: [Code; 2] = [Code::InvalidRequest, Code::UnauthorizedClient];

fn texts(names: &[(&str, &str)]) -> Map<String, Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    names.iter().map(|(name, description)| ((*name).to_owned(), text(description))).collect()
}

fn form(required: &[&str], properties: impl Into<Value>) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties.into() });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    json!({ "required": true, "content": { FORM: { "schema": schema } } })
}

/// A form of a client that authenticates.
fn clients_form(required: &[&str], names: &[(&str, &str)]) -> Value {
    let mut properties = texts(names);
    properties.extend(texts(&AUTHENTICATION));
    form(required, properties)
}

fn parameter(place: &str, name: &str, required: bool, description: &str) -> Value {
    let schema = json!({ "type": "string" });
    json!({ "name": name, "in": place, "required": required, "description": description, "schema": schema })
}

fn proof() -> Value {
    parameter("header", "DPoP", false, "A DPoP proof (RFC 9449), for tokens that are bound to its key")
}

fn answer(description: &str, media_type: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": description, "content": { media_type: { "schema": schema } } })
}

fn json_answer(description: &str, schema: &str) -> Value {
    answer(description, "application/json", schema)
}

fn page(description: &str) -> Value {
    let page = json!({ "schema": { "type": "string" }, "example": examples::page() });
    json!({ "description": description, "content": { "text/html": page } })
}

fn headers(mut answer: Value, headers: &[(&str, &str)]) -> Value {
    for (name, description) in headers {
        answer["headers"][name] = json!({ "description": description, "schema": { "type": "string" } });
    }
    answer
}

/// The same as a JWT.
fn signed() -> Value {
    json!({ "schema": { "type": "string" }, "example": examples::jwt() })
}

/// An error as in RFC 6749 §5.2, by its codes.
fn refused(codes: &[Code]) -> Value {
    let codes: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let mut answer = json_answer(&format!("Refused: {}", codes.join(", ")), "OAuthError");
    let examples =
        codes.into_iter().map(|code| (code.to_owned(), json!({ "summary": code, "value": { "error": code } })));
    answer["content"]["application/json"]["examples"] = Value::Object(examples.collect());
    answer
}

fn unknown_client() -> Value {
    let answer = refused(&[Code::InvalidClient]);
    headers(answer, &[("WWW-Authenticate", "Basic, where the client tried the Authorization header (RFC 6749 5.2)")])
}

fn too_many() -> Value {
    let mut answer = refused(&[Code::TemporarilyUnavailable]);
    answer["description"] = "Too many requests".into();
    headers(answer, &[("Retry-After", "Seconds")])
}

/// Adds what every endpoint may answer.
fn responses(own: Value) -> Value {
    let mut all = own;
    all["429"] = too_many();
    all["503"] = headers(refused(&[Code::TemporarilyUnavailable]), &[("Retry-After", "Seconds")]);
    all
}

/// The same where a browser asks.
fn pages(own: Value) -> Value {
    let mut all = own;
    all["429"] = headers(page("Too many requests"), &[("Retry-After", "Seconds")]);
    all["503"] = headers(page("Not just now"), &[("Retry-After", "Seconds")]);
    all
}

/// The ways in which a client authenticates that OpenAPI has a name for; the others are members of the form.
fn client_security() -> Value {
    json!([{ "client_secret_basic": [] }, { "client_certificate": [] }, {}])
}

fn operation(tag: &str, id: &str, summary: &str, own: Value) -> Value {
    let mut operation = json!({ "tags": [tag], "operationId": id, "summary": summary });
    if let (Some(operation), Value::Object(own)) = (operation.as_object_mut(), own) {
        operation.extend(own);
    }
    operation
}

fn public(id: &str, summary: &str, answers: Value) -> Value {
    json!({ "get": operation(TAG, id, summary, json!({ "security": [{}], "responses": { "200": answers } })) })
}

fn authorize() -> Value {
    let answers = pages(json!({
        "303": headers(
            json!({ "description": "To sign-in or consent, or back to the client with a code or an error" }),
            &[("Location", "Where the browser goes on")],
        ),
        "200": page("response_mode=form_post: a page that posts the answer to the client"),
        "400": page("Client or redirect URI are not registered, or the request can't be read"),
    }));
    let query: Vec<_> = [("client_id", "The client")]
        .iter()
        .chain(&AUTHORIZATION)
        .map(|(name, description)| parameter("query", name, *name == "client_id", description))
        .collect();
    let mut posted = texts(&[("client_id", "The client")]);
    posted.extend(texts(&AUTHORIZATION));
    json!({
        "get": operation(TAG, "authorize", "Authorization endpoint (RFC 6749 section 3.1): for browsers", json!({
            "security": [{}], "parameters": query, "responses": answers })),
        "post": operation(TAG, "authorize_by_post", "The same by a form that the browser posts (OpenID Connect Core 3.1.2.1)",
            json!({ "security": [{}], "requestBody": form(&["client_id"], posted), "responses": answers })),
    })
}

fn par() -> Value {
    let pushed: Vec<_> = AUTHORIZATION.into_iter().filter(|(name, _)| *name != "request_uri").collect();
    let codes: Vec<Code> = ANY
        .into_iter()
        .chain([
            Code::InvalidScope,
            Code::InvalidTarget,
            Code::UnsupportedResponseType,
            Code::InvalidRequestObject,
            Code::InvalidAuthorizationDetails,
            Code::UnmetAuthenticationRequirements,
            Code::InvalidDpopProof,
            Code::UseDpopNonce,
        ])
        .collect();
    let own = json!({
        "security": client_security(),
        "parameters": [proof()],
        "requestBody": clients_form(&[], &pushed),
        "responses": responses(json!({
            "201": json_answer("Kept; send the browser to the authorization endpoint with client_id and request_uri", "PushedRequest"),
            "400": with_nonce(refused(&codes)),
            "401": unknown_client(),
            "413": refused(&[Code::InvalidRequest]),
            "415": refused(&[Code::InvalidRequest]),
        })),
    });
    json!({ "post": operation(TAG, "par", "Pushed authorization request (RFC 9126)", own) })
}

fn with_nonce(answer: Value) -> Value {
    headers(answer, &[("DPoP-Nonce", "The nonce for the next DPoP proof (RFC 9449), when there was one")])
}

fn token() -> Value {
    let mut properties = texts(&TOKEN);
    properties.extend(texts(&AUTHENTICATION));
    properties["grant_type"]["enum"] = json!(GRANT_TYPES);
    let codes: Vec<Code> = ANY
        .into_iter()
        .chain([
            Code::InvalidGrant,
            Code::UnsupportedGrantType,
            Code::InvalidScope,
            Code::InvalidTarget,
            Code::InvalidAuthorizationDetails,
            Code::InvalidDpopProof,
            Code::UseDpopNonce,
            Code::AuthorizationPending,
            Code::SlowDown,
            Code::ExpiredToken,
            Code::AccessDenied,
        ])
        .collect();
    let own = json!({
        "security": client_security(),
        "parameters": [proof()],
        "requestBody": form(&["grant_type"], properties),
        "responses": responses(json!({
            "200": headers(json_answer("Tokens", "Tokens"), &[("Cache-Control", "no-store")]),
            "400": with_nonce(refused(&codes)),
            "401": unknown_client(),
        })),
    });
    json!({ "post": operation(TAG, "token", "Token endpoint (RFC 6749 section 3.2)", own) })
}

fn device_authorization() -> Value {
    let names = [("scope", "Space-separated"), ("resource", "Whom the tokens are for (RFC 8707)")];
    let codes = [Code::InvalidRequest, Code::UnauthorizedClient, Code::InvalidScope, Code::InvalidTarget];
    let own = json!({
        "security": client_security(),
        "requestBody": clients_form(&[], &names),
        "responses": responses(json!({
            "200": json_answer("What to show the person, and what to ask the token endpoint with", "DeviceAuthorization"),
            "400": refused(&codes),
            "401": unknown_client(),
        })),
    });
    json!({ "post": operation(TAG, "device_authorization", "Device authorization (RFC 8628)", own) })
}

fn about_a_token(id: &str, summary: &str, answered: Value) -> Value {
    let names = [("token", "An access token or a refresh token"), ("token_type_hint", "Not needed")];
    let own = json!({
        "security": client_security(),
        "requestBody": clients_form(&["token"], &names),
        "responses": responses(json!({
            "200": answered,
            "400": refused(&[Code::InvalidRequest]),
            "401": unknown_client(),
        })),
    });
    json!({ "post": operation(TAG, id, summary, own) })
}

fn introspect() -> Value {
    let mut answered = json_answer("What the token says, or that it is not active", "Introspection");
    // RFC 9701
    answered["content"]["application/token-introspection+jwt"] = signed();
    about_a_token("introspect", "Introspection (RFC 7662), for confidential clients", answered)
}

fn userinfo() -> Value {
    let mut claims =
        json_answer("The claims; as a JWT for a client that registered userinfo_signed_response_alg", "UserInfo");
    claims["content"]["application/jwt"] = signed();
    let challenged = |description: &str| {
        let answer = answer(description, "application/problem+json", "Problem");
        let challenge = "A challenge for each scheme, Bearer and DPoP (RFC 6750, 9449)";
        headers(answer, &[("WWW-Authenticate", challenge)])
    };
    let own = json!({
        "security": [{ "oauth2": ["openid"] }, { "token": [] }, { "with-proof": [] }],
        "responses": {
            "200": claims,
            "400": challenged("More than one access token, or none that can be read"),
            "401": with_nonce(challenged("No valid access token, or no proof of the key it is bound to")),
            "403": challenged("The token lacks the scope openid"),
        },
    });
    let mut posted = own.clone();
    posted["requestBody"] = form(&[], texts(&[("access_token", "Where it is not in the Authorization header")]));
    posted["requestBody"]["required"] = false.into();
    json!({
        "get": operation(TAG, "userinfo", "Claims about the person (OpenID Connect Core section 5.3)", own),
        "post": operation(TAG, "userinfo_by_post", "The same by POST", posted),
    })
}

fn logout() -> Value {
    let names = [
        ("id_token_hint", "An ID token of the session that is to end"),
        ("client_id", "Where there is no hint"),
        ("post_logout_redirect_uri", "One that is registered"),
        ("state", "Given back as it came"),
        ("logout_hint", "Taken and of no effect"),
        ("ui_locales", "Space-separated, such as en or ru"),
    ];
    let answers = pages(json!({
        "303": headers(json!({ "description": "To the client, or on with the request" }), &[("Location", "Where to")]),
        "200": page("Asks whether to sign out, or says good-bye"),
        "400": page("The request is not one that can be followed"),
    }));
    let query: Vec<_> = names.iter().map(|(name, description)| parameter("query", name, false, description)).collect();
    json!({
        "get": operation(TAG, "logout", "End of session (OpenID Connect RP-Initiated Logout 1.0): for browsers", json!({
            "security": [{}], "parameters": query, "responses": answers })),
        "post": operation(TAG, "logout_by_post", "The same by a form that the browser posts", json!({
            "security": [{}], "requestBody": form(&[], texts(&names)), "responses": answers })),
    })
}

fn metadata_body(schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn registration_answers(status: &str, described: Value) -> Value {
    let codes = [
        Code::InvalidRequest,
        Code::InvalidRedirectUri,
        Code::InvalidClientMetadata,
        Code::InvalidSoftwareStatement,
        Code::UnapprovedSoftwareStatement,
    ];
    let mut answers = json!({
        "400": refused(&codes),
        "401": headers(refused(&[Code::InvalidToken]), &[("WWW-Authenticate", "Bearer")]),
    });
    answers[status] = described;
    responses(answers)
}

/// `None` where clients do not register themselves.
fn registration(config: &Config) -> Option<[(&'static str, Value); 2]> {
    let security = match config.registration.policy {
        RegistrationPolicy::Off => return None,
        RegistrationPolicy::Open => json!([{}]),
        RegistrationPolicy::InitialAccessToken => json!([{ "initial_access_token": [] }]),
    };
    let register = json!({
        "security": security,
        "requestBody": metadata_body("ClientMetadata"),
        "responses": registration_answers("201", json_answer("Registered", "ClientRegistration")),
    });
    let own = json!([{ "registration_access_token": [] }]);
    let mut managed = json!({
        "get": operation(REGISTRATION, "read_client", "Your registration (RFC 7592)", json!({
            "security": own,
            "responses": registration_answers("200", json_answer("As it is", "ClientRegistration")) })),
        "put": operation(REGISTRATION, "update_client", "Replace your registration (RFC 7592)", json!({
            "security": own,
            "requestBody": metadata_body("ClientUpdate"),
            "responses": registration_answers("200", json_answer("As it is now", "ClientRegistration")) })),
        "delete": operation(REGISTRATION, "delete_client", "End your registration (RFC 7592)", json!({
            "security": own,
            "responses": registration_answers("204", json!({ "description": "Ended, with every token" })) })),
    });
    managed["parameters"] = json!([parameter("path", "client_id", true, "The client")]);
    let register = operation(REGISTRATION, "register_client", "Register a client (RFC 7591)", register);
    Some([("/oauth/register", json!({ "post": register })), ("/oauth/register/{client_id}", managed)])
}

/// The endpoints of the protocol, as an OpenAPI document of their own.
pub fn document(config: &Config) -> Value {
    let metadata = |description: &str| json_answer(description, "ServerMetadata");
    let keys = answer("The key set", "application/jwk-set+json", "KeySet");
    let mut paths = json!({
        "/.well-known/openid-configuration": public(
            "openid_configuration", "Discovery (OpenID Connect Discovery 1.0)", metadata("The metadata")),
        "/.well-known/oauth-authorization-server": public(
            "authorization_server_metadata", "Authorization server metadata (RFC 8414)", metadata("The same")),
        "/oauth/jwks": public("jwks", "The public keys (RFC 7517)", keys),
        "/oauth/authorize": authorize(),
        "/oauth/par": par(),
        "/oauth/token": token(),
        "/oauth/device_authorization": device_authorization(),
        "/oauth/introspect": introspect(),
        "/oauth/revoke": about_a_token("revoke", "Revocation (RFC 7009)", json!({ "description": "Revoked, or never was" })),
        "/oauth/userinfo": userinfo(),
        "/oauth/logout": logout(),
    });
    if let Some(registration) = registration(config) {
        for (path, item) in registration {
            paths[path] = item;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "OAuth 2.0 and OpenID Connect", "version": "1" },
        "paths": paths,
        "components": { "schemas": schemas::all(), "securitySchemes": security_schemes() },
    })
}

fn security_schemes() -> Value {
    json!({
        "client_secret_basic": { "type": "http", "scheme": "basic", "description": "A client's id and secret, each percent-encoded (RFC 6749 section 2.3.1)" },
        "client_certificate": { "type": "mutualTLS", "description": "A client's certificate (RFC 8705), where one can arrive" },
        "token": { "type": "http", "scheme": "bearer", "bearerFormat": "at+jwt", "description": "An access token (RFC 9068) got by other means" },
        "with-proof": { "type": "apiKey", "in": "header", "name": "DPoP",
            "description": "A DPoP proof (RFC 9449), for an access token that is bound to its key and comes as `Authorization: DPoP …`" },
        "initial_access_token": { "type": "http", "scheme": "bearer", "description": "Lets a client register (RFC 7591 section 3)" },
        "registration_access_token": { "type": "http", "scheme": "bearer", "description": "What the client was given when it registered (RFC 7592)" },
    })
}

/// The scopes, each with a word on it.
pub fn scopes() -> impl Iterator<Item = (&'static str, &'static str)> {
    SCOPES.iter().filter_map(|scope| {
        let meaning = match *scope {
            "openid" => "Sign in: know who you are",
            "profile" => "See your name and what else you wrote about yourself",
            "email" => "See your email address",
            "address" => "See your postal address",
            "phone" => "See your telephone number",
            "offline_access" => "Keep access while you are away",
            "account:read" => "See your account (our own apps only)",
            "account:write" => "Change or delete your account (our own apps only)",
            // The referral API's own document has these.
            _ => return None,
        };
        Some((*scope, meaning))
    })
}
