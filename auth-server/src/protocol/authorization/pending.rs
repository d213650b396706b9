//! An authorization request that has been validated and waits, under an id, for the person to sign in and consent.
//! Everything between happens on that id, so two tabs never disturb each other, and an expired one still knows the way
//! back to its client.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use shared::db::{DbError, Tx};
use shared::ids::{AuthorizationRequestId, ClientId, SessionId};
use shared::{execute, fetch_optional};
use sqlx::types::Json;

use super::ValidatedRequest;
use super::response::Delivery;
use crate::clients::{self, Client};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::registrar::matches_registered;
use crate::state::AppState;

/// How long a person may take to sign in and decide.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// A request that waits.
#[derive(Clone, Debug)]
pub struct Pending {
    pub id: AuthorizationRequestId,
    pub client: Arc<Client>,
    pub request: ValidatedRequest,
    pub created_at: DateTime<Utc>,
}

impl Pending {
    /// Where the page of an expired request leads: to the client, which can start anew.
    pub fn expired(&self, state: &AppState) -> Result<Delivery, OAuthError> {
        let error = OAuthError::new(Code::AccessDenied, "the request expired or was decided already; start again");
        self.request.return_address().refuse(state, &self.client, &error)
    }
}

/// What became of a request.
pub enum Loaded {
    Live(Pending),
    /// Too late, or decided already: lead the person back to the client.
    Expired(Pending),
    /// Never was, or long gone; or its client may not ask for this any more.
    Gone,
}

/// What is said of a request that is [`Loaded::Gone`].
pub fn gone() -> OAuthError {
    OAuthError::invalid_request("this request is unknown or long gone; start again from the app")
}

/// Does the client's registration stand behind this request? It was checked when the request came, and may have changed
/// while it waited: nothing, not even an error, goes to a redirect URI that was withdrawn.
fn stands(client: &Client, request: &ValidatedRequest) -> bool {
    let metadata = &client.metadata;
    let of_registered_type = |detail: &serde_json::Value| {
        metadata.authorization_details_types.iter().any(|registered| detail["type"] == **registered)
    };
    client.may_use("authorization_code")
        && matches_registered(client, &request.redirect_uri)
        && (request.pkce.is_some() || !client.requires_pkce())
        && request.to_allow().iter().all(|scope| metadata.scopes.contains(scope))
        && request.authorization_details.iter().all(of_registered_type)
}

/// The same for the registration as it is in the deciding transaction, beyond what any process remembers of it.
pub(super) async fn check_standing(
    tx: &mut Tx,
    client: &ClientId,
    request: &ValidatedRequest,
) -> Result<(), OAuthError> {
    let client = clients::by_id(tx, client).await?;
    if client.is_some_and(|client| stands(&client, request)) { Ok(()) } else { Err(gone()) }
}

/// Where a person goes on after signing in or up.
pub fn continue_url(id: AuthorizationRequestId) -> String {
    format!("/oauth/authorize/continue?request={id}")
}

/// The request that such a path goes on with.
pub fn continued(path: &str) -> Option<AuthorizationRequestId> {
    path.strip_prefix("/oauth/authorize/continue?request=")?.parse().ok()
}

/// Keeps a validated request.
pub async fn persist(state: &AppState, client: Arc<Client>, request: ValidatedRequest) -> Result<Pending, DbError> {
    let platform = &state.platform;
    // Random, not time-ordered: knowing one id must not help to guess another.
    let id = AuthorizationRequestId(platform.random.uuid_v4());
    let mut tx = platform.db.begin().await?;
    let created_at = insert(&mut tx, state, id, &client, &request).await?;
    tx.commit().await?;
    Ok(Pending { id, client, request, created_at })
}

/// The same under an id and in a transaction of the caller's. Gives the time.
pub async fn insert(
    tx: &mut Tx,
    state: &AppState,
    id: AuthorizationRequestId,
    client: &Client,
    request: &ValidatedRequest,
) -> Result<DateTime<Utc>, DbError> {
    let now = state.platform.clock.now();
    execute!(
        tx,
        "INSERT INTO authorization_requests (id, client_id, request, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
        id,
        &client.client_id,
        Json(request),
        now,
        now + LIFETIME
    )?;
    Ok(now)
}

/// Reads a request back.
pub async fn load(state: &AppState, id: AuthorizationRequestId) -> Result<Loaded, DbError> {
    let mut conn = state.platform.db.read().await?;
    let row = fetch_optional!(
        &mut conn,
        (ClientId, Json<ValidatedRequest>, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>),
        "SELECT client_id, request, created_at, expires_at, consumed_at FROM authorization_requests WHERE id = $1",
        id
    )?;
    drop(conn);
    let Some((client_id, Json(request), created_at, expires_at, consumed_at)) = row else { return Ok(Loaded::Gone) };
    let Some(client) = state.clients.get(&client_id).await? else { return Ok(Loaded::Gone) };
    if !stands(&client, &request) {
        return Ok(Loaded::Gone);
    }
    let pending = Pending { id, client, request, created_at };
    let live = consumed_at.is_none() && expires_at > state.platform.clock.now();
    Ok(if live { Loaded::Live(pending) } else { Loaded::Expired(pending) })
}

/// The person goes on with a request as who is signed in: what `prompt=select_account` asks for, and no new sign-in.
pub async fn choose(state: &AppState, pending: &Pending, sid: SessionId) -> Result<(), DbError> {
    let platform = &state.platform;
    let request = ValidatedRequest { chosen: Some(sid), ..pending.request.clone() };
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "UPDATE authorization_requests SET request = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $3",
        pending.id,
        Json(request),
        platform.clock.now()
    )?;
    tx.commit().await
}

/// Uses a request up. `false` when it was decided already, or expired.
///
/// # Errors
/// When the client may not ask for it any more ([`gone`]).
pub(super) async fn consume(tx: &mut Tx, state: &AppState, pending: &Pending) -> Result<bool, OAuthError> {
    check_standing(tx, &pending.client.client_id, &pending.request).await?;
    let consumed = execute!(
        tx,
        "UPDATE authorization_requests SET consumed_at = $2 \
         WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        pending.id,
        state.platform.clock.now()
    )?;
    Ok(consumed == 1)
}
