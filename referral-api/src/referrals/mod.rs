//! Referrals: of a referrer (`/v1/referrers/{id}/referrals`, as CSV too, with statistics and rewards), and all of them for
//! who runs the programme (`/v1/referrals`).

pub mod csv;
pub mod manage;
pub mod rewards;
pub mod stats;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::audit;
use shared::email::Email;
use shared::http::{Json, Path, Query};
use shared::ids::{ClientId, ReferralId};
use shared::problem::Problem;
use shared::referrals::life::Status;
use shared::referrals::store::{self, ReferralRow};
use utoipa::{IntoParams, ToSchema};

use crate::access::{About, AccessToken, Reader};
use crate::paging::{Page, Position};
use crate::state::AppState;

/// A person who signed up with a referrer's code, as the referrer sees them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Referral {
    /// Of the referral, not of the person.
    id: ReferralId,
    status: Status,
    /// Null when the person gave no name or deleted the account.
    #[schema(required, example = "Bob Miller")]
    display_name: Option<String>,
    /// Masked, but for administrators; null when the account was deleted.
    #[schema(required, example = "b•••@e•••.com")]
    email: Option<String>,
    /// The code they used.
    #[schema(example = "7K2M9QXD")]
    code: String,
    /// When they signed up.
    created_at: DateTime<Utc>,
    /// When the status last changed.
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReferralsQuery {
    /// Only referrals of this status.
    #[param(inline, example = "verified")]
    status: Option<Status>,
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

impl Referral {
    fn of(row: ReferralRow, about: About) -> Self {
        Self {
            id: row.id,
            status: Status::stored(&row.status),
            display_name: display_name(row.given_name, row.family_name),
            email: row.email.map(|email| shown_email(email, about.admin.is_some())),
            code: row.code,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The name that others see: never the address.
fn display_name(given: Option<String>, family: Option<String>) -> Option<String> {
    let name = [given, family].into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// An address in full for administrators, masked for everybody else.
fn shown_email(email: String, in_full: bool) -> String {
    if in_full { email } else { Email::masked(&email) }
}

/// What an administrator sees of people stays in no cache.
fn answered(in_full: bool, answer: impl IntoResponse) -> Response {
    if in_full { ([(CACHE_CONTROL, "no-store")], answer).into_response() } else { answer.into_response() }
}

/// An administrator looked at another person's referrals: that is put down before they see them.
async fn record_reading(state: &AppState, token: &AccessToken, about: About, what: &str) -> Result<(), Problem> {
    let Some(admin) = about.admin else { return Ok(()) };
    let platform = state.platform();
    let client = ClientId(token.client_id().to_owned());
    let mut tx = platform.db.begin().await?;
    let details = json!({ "referrer": about.referrer, "what": what });
    audit::record(&mut tx, platform, "referrals.read", Some(admin), Some(&client), details).await?;
    Ok(tx.commit().await?)
}

/// List the referrals of a referrer
///
/// Newest first. Of oneself (`me`); of anybody for an app with `referrals:manage`, and for an administrator whose token has
/// the scope `referrals:admin`, who sees addresses in full, which is recorded.
#[utoipa::path(
    get, path = "/v1/referrers/{id}/referrals", tag = "Referrals", operation_id = "listReferrals",
    security(("oauth2" = ["referrals:read"]), ("token" = [])),
    params(("id" = String, Path, description = "The referrer's id, or `me`", example = "me"), ReferralsQuery),
    responses(
        (status = 200, description = "A page of referrals", body = Page<Referral>),
        (status = 404, description = "For administrators: there is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<ReferralsQuery>,
) -> Result<Response, Problem> {
    let about = caller.about(&state, &id).await?;
    let position = Position::read(query.limit, query.cursor.as_deref())?;
    let status = query.status.map(Status::as_str);
    let before = position.before.map(ReferralId);
    record_reading(&state, &caller.token, about, "list").await?;
    let mut conn = state.platform().db.read().await?;
    let rows = store::referrals_of(&mut conn, about.referrer, status, before, position.rows()).await?;
    drop(conn);
    Ok(answered(about.admin.is_some(), Json(position.page(rows, |row| row.id.0, |row| Referral::of(row, about)))))
}
