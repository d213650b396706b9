//! `/v1/invitations` for who sent them: what became of the invitations to one's own code, as far as that tells nothing of
//! whom they went to ([`shared::referrals::invitations`]).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::audit;
use shared::email::Email;
use shared::http::{Json, Path, Query};
use shared::idempotency::{Idempotent, KeyHeader};
use shared::ids::{ClientId, InvitationId};
use shared::problem::{FieldError, Problem};
use shared::referrals::invitations::{self, InvitationStatus, Row};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Invite, Person, ReadCodes};
use crate::paging::{Page, Position};
use crate::state::AppState;

/// An invitation that one had mailed. Whether the person then signed up, their referral tells.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// How it is asked about and withdrawn.
    id: InvitationId,
    /// Where to, masked: the address itself is not kept.
    #[schema(example = "f•••@e•••.org")]
    email: String,
    /// What became of it.
    status: InvitationStatus,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When its turn came; null until then.
    #[schema(required)]
    sent_at: Option<DateTime<Utc>>,
}

impl Invitation {
    fn of(row: Row, now: DateTime<Utc>) -> Self {
        let (status, sent_at) = row.told(now);
        Self { id: row.id, email: row.email_masked, status, created_at: row.created_at, sent_at }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those to this mailbox, however its address is written.
    #[param(example = "friend@example.org")]
    email: Option<String>,
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

/// List the invitations to one's own code
///
/// Those that the caller asked for with their own address as `referrer_email`, newest first, for 90 days. `sent` says that
/// its turn came: whether it arrived, and whether there is such a mailbox or its owner wants no invitations, nobody is told.
#[utoipa::path(
    get, path = "/v1/invitations", tag = "Invitations", operation_id = "listInvitations",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(ListQuery),
    responses(
        (status = 200, description = "A page of invitations", body = Page<Invitation>),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let position = Position::read(query.limit, query.cursor.as_deref())?;
    let email = query.email.as_deref().map(Email::parse).transpose();
    let email = email.map_err(|reason| Problem::validation([FieldError::query("email", reason.to_string())]))?;
    let platform = state.platform();
    let before = position.before.map(InvitationId);
    let mut conn = platform.db.read().await?;
    let rows = invitations::page_of(&mut conn, platform, caller.user, email.as_ref(), before, position.rows()).await?;
    drop(conn);
    let now = platform.clock.now();
    Ok(Json(position.page(rows, |row| row.id.0, |row| Invitation::of(row, now))))
}

/// Get one of the invitations to one's own code
///
/// Somebody else's is 404, like one that does not exist.
#[utoipa::path(
    get, path = "/v1/invitations/{id}", tag = "Invitations", operation_id = "getInvitation",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(("id" = String, Path, description = "The invitation's id", example = "0198c0de-7a2b-7000-8000-000000000001")),
    responses(
        (status = 200, description = "The invitation", body = Invitation),
        (status = 404, description = "The caller has no such invitation", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Path(id): Path<String>,
) -> Result<Json<Invitation>, Problem> {
    let id = id.parse().map_err(|_| no_such_invitation())?;
    let platform = state.platform();
    let mut conn = platform.db.read().await?;
    let row = invitations::of(&mut conn, caller.user, id).await?.ok_or_else(no_such_invitation)?;
    Ok(Json(Invitation::of(row, platform.clock.now())))
}

/// Withdraw an invitation that was not sent yet
///
/// Nobody is mailed by it any more. It stays in the list.
#[utoipa::path(
    delete, path = "/v1/invitations/{id}", tag = "Invitations", operation_id = "withdrawInvitation",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(
        ("id" = String, Path, description = "The invitation's id", example = "0198c0de-7a2b-7000-8000-000000000001"),
        KeyHeader,
    ),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 404, description = "The caller has no such invitation", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`invitation-not-waiting`: its turn came, or it was withdrawn before", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn withdraw(
    State(state): State<AppState>,
    caller: Person<Invite>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let platform = state.platform();
    let id: InvitationId = id.parse().map_err(|_| no_such_invitation())?;
    let scope = ["DELETE /v1/invitations", &caller.user.to_string()];
    let key = Idempotent::from_headers(&headers, &scope, id.0.as_bytes())?;
    if Idempotent::kept(key.as_ref(), platform).await?.is_some() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut tx = platform.db.begin().await?;
    if !invitations::withdraw(&mut tx, platform, caller.user, id).await? {
        let known = invitations::of(&mut tx, caller.user, id).await?.is_some();
        drop(tx);
        // Perhaps this very request, sent twice, was faster.
        if Idempotent::kept(key.as_ref(), platform).await?.is_some() {
            return Ok(StatusCode::NO_CONTENT);
        }
        return Err(if known {
            Problem::conflict("invitation-not-waiting", "it was sent, failed or was withdrawn before")
        } else {
            no_such_invitation()
        });
    }
    let client = ClientId(caller.token.client_id().to_owned());
    let details = json!({ "invitation_id": id });
    audit::record(&mut tx, platform, "invitation.withdrawn", Some(caller.user), Some(&client), details).await?;
    if let Some(key) = key {
        key.keep(&mut tx, platform, 204, &Value::Null).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_invitation() -> Problem {
    Problem::not_found().with_detail("there is no such invitation among yours")
}
