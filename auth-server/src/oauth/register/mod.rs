//! `POST /oauth/register`: clients register themselves (RFC 7591, OpenID Connect Dynamic Client Registration 1.0), as far
//! as `registration.policy` lets them.

mod client;

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use shared::config::RegistrationPolicy;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::jose::json::{Bounds, parse_object};
use shared::secret::PlainToken;
use tower_http::cors::{Any, CorsLayer};

use crate::clients::registration::{self, Registered};
use crate::clients::{
    self, Client, ClientError, ClientMetadata, Fault, NewClient, Origin, Unknown, default_scopes,
    inferred_application_type, initial_access_tokens,
};
use crate::protocol::error::{Code, OAuthError};
use crate::state::AppState;

const BODY: Bounds = Bounds { max_bytes: 64 * 1024, max_depth: 8 };

pub fn router() -> Router<AppState> {
    // Apps in browsers register too. No cookie is read here.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER]);
    Router::new()
        .route("/oauth/register", post(register))
        .route("/oauth/register/{client_id}", get(client::read).put(client::update).delete(client::delete))
        .layer(cors)
}

/// A request that is refused.
enum Refusal {
    Error(OAuthError),
    /// RFC 6750 §3: no error code where no token was sent.
    Token {
        sent: bool,
    },
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::Error(error)
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::Error(error.into())
    }
}

impl From<Fault> for Refusal {
    fn from(Fault { member, reason }: Fault) -> Self {
        let code = if member == "redirect_uris" { Code::InvalidRedirectUri } else { Code::InvalidClientMetadata };
        // error_description is ASCII (RFC 6749 §5.2).
        Self::Error(OAuthError::new(code, reason.replace('§', "section ")))
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Invalid(fault) => fault.into(),
            ClientError::NotPermitted => Self::Token { sent: true },
            ClientError::Database(error) => error.into(),
            // Ids are drawn at random.
            ClientError::Exists(_) => Self::Error(OAuthError::new(Code::ServerError, "try again")),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Error(error) => error.into_response(),
            Self::Token { sent } => {
                let error = OAuthError::new(Code::InvalidToken, "a valid token is needed: Authorization: Bearer TOKEN");
                let challenge = match sent {
                    true => "Bearer realm=\"registration\", error=\"invalid_token\"",
                    false => "Bearer realm=\"registration\"",
                };
                let mut response = error.into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                response
            }
        }
    }
}

async fn register(State(state): State<AppState>, ip: ClientIp, request: Request) -> Result<Response, Refusal> {
    limit(&state, &ip).await?;
    let platform = &state.platform;
    let permit = match platform.config.registration.policy {
        RegistrationPolicy::Off => return Err(OAuthError::forbidden("clients do not register themselves here").into()),
        RegistrationPolicy::Open => None,
        RegistrationPolicy::InitialAccessToken => {
            let token = bearer(request.headers())?;
            let good = initial_access_tokens::is_good(&mut platform.db.read().await?, platform, &token).await?;
            Some(if good { token } else { return Err(Refusal::Token { sent: true }) })
        }
    };
    let members = body(request).await?;
    let (name, metadata) = requested(&members, platform.config.registration.require_pkce)?;
    let client_id = clients::drawn_id(platform);
    let client = NewClient {
        name: name.unwrap_or_else(|| client_id.to_string()),
        client_id: Some(client_id),
        first_party: false,
        origin: Origin::Registered,
        metadata,
    };
    let Registered { client, secret, token } = registration::register(platform, client, permit.as_ref()).await?;
    // It may have been asked for before it was there.
    state.clients.forget(&client.client_id).await;
    Ok(answer(StatusCode::CREATED, &state, &client, secret.as_ref(), &token))
}

/// Counts a request, whatever becomes of it.
async fn limit(state: &AppState, ip: &ClientIp) -> Result<(), Refusal> {
    let per_minute = state.platform.config.limits.registrations_per_minute;
    let limited = state.platform.limits.check("register", &ip.bucket(), per_minute, Duration::from_secs(60)).await;
    limited.map_err(|limited| OAuthError::too_many_requests(limited.retry_after).into())
}

/// The token in the one `Authorization` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<PlainToken, Refusal> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Err(Refusal::Token { sent: false }) };
    let token = line
        .to_str()
        .ok()
        .and_then(|line| line.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match (token, lines.next()) {
        (Some((_, token)), None) => Ok(PlainToken::presented(token.trim())),
        _ => Err(Refusal::Token { sent: true }),
    }
}

/// The JSON object of the body.
async fn body(request: Request) -> Result<Map<String, Value>, Refusal> {
    let refuse = |reason: String| Refusal::Error(OAuthError::new(Code::InvalidClientMetadata, reason));
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A form of another site can't be of this type, so browsers ask us first.
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(refuse("send the metadata as application/json".into()));
    }
    let bytes = to_bytes(request.into_body(), BODY.max_bytes).await;
    let bytes = bytes.map_err(|_| refuse("the metadata is longer than 64 KiB or was cut off".into()))?;
    parse_object(&bytes, &BODY).map_err(|error| refuse(format!("the metadata: {error}")))
}

/// The metadata that a client asks to have, over the defaults.
fn requested(members: &Map<String, Value>, require_pkce: bool) -> Result<(Option<String>, ClientMetadata), Refusal> {
    match members.get("software_statement") {
        None | Some(Value::Null) => {}
        // RFC 7591 §3.2.2.
        Some(Value::String(statement)) if statement.split('.').count() == 3 => {
            let reason = "software statements are not accepted here; leave it out";
            return Err(OAuthError::new(Code::UnapprovedSoftwareStatement, reason).into());
        }
        Some(_) => {
            return Err(OAuthError::new(Code::InvalidSoftwareStatement, "software_statement must be a JWT").into());
        }
    }
    let base = ClientMetadata { require_pkce, scopes: default_scopes(), ..ClientMetadata::default() };
    let mut requested = clients::parse(members, base, Unknown::Ignore)?;
    let metadata = &mut requested.metadata;
    if metadata.application_type.is_none() {
        metadata.application_type = inferred_application_type(Origin::Registered, &metadata.redirect_uris);
    }
    Ok((requested.client_name, requested.metadata))
}

/// The client information response (RFC 7591 §3.2.1, RFC 7592 §3).
fn answer(
    status: StatusCode,
    state: &AppState,
    client: &Client,
    secret: Option<&PlainToken>,
    token: &PlainToken,
) -> Response {
    let mut said = clients::describe(client);
    let uri = state.platform.config.auth.public_url.join(&format!("/oauth/register/{}", client.client_id));
    said.insert("client_id_issued_at".into(), json!(client.created_at.timestamp()));
    if let Some(secret) = secret {
        said.insert("client_secret".into(), json!(secret.reveal()));
    }
    if client.metadata.has_secret() {
        // It does not expire.
        said.insert("client_secret_expires_at".into(), json!(0));
    }
    said.insert("registration_access_token".into(), json!(token.reveal()));
    said.insert("registration_client_uri".into(), json!(uri));
    let no_store = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (status, no_store, Json(Value::Object(said))).into_response()
}
