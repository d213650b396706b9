//! `/v1/referrers/{id}/referrals`: who signed up with a referrer's codes.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::email::Email;
use shared::http::{Json, Path, Query};
use shared::ids::{ReferralId, UserId};
use shared::problem::Problem;
use shared::referrals::store::{self, ReferralRow};
use shared::users;
use utoipa::{IntoParams, ToSchema};

use crate::access::{ADMIN_SCOPE, Person, ReadReferrals};
use crate::paging::{Page, Position};
use crate::state::AppState;

/// A person who signed up with a referrer's code, as the referrer sees them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Referral {
    /// Of the referral, not of the person.
    id: ReferralId,
    status: ReferralStatus,
    /// Null when the person gave no name or deleted the account.
    #[schema(required, example = "Bob Miller")]
    display_name: Option<String>,
    /// Masked; null when the account was deleted.
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

/// `pending` until the address is confirmed, then `verified`, `qualified`, `rewarded`; or `rejected`, `reversed`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReferralStatus {
    Pending,
    Verified,
    Qualified,
    Rewarded,
    Rejected,
    Reversed,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReferralsQuery {
    /// Only referrals of this status.
    #[param(inline, example = "verified")]
    status: Option<ReferralStatus>,
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

impl ReferralStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Qualified => "qualified",
            Self::Rewarded => "rewarded",
            Self::Rejected => "rejected",
            Self::Reversed => "reversed",
        }
    }

    /// The schema's CHECK knows the same six.
    fn stored(text: &str) -> Self {
        match text {
            "verified" => Self::Verified,
            "qualified" => Self::Qualified,
            "rewarded" => Self::Rewarded,
            "rejected" => Self::Rejected,
            "reversed" => Self::Reversed,
            _ => Self::Pending,
        }
    }
}

impl Referral {
    fn of(row: ReferralRow) -> Self {
        let name = [row.given_name, row.family_name].into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self {
            id: row.id,
            status: ReferralStatus::stored(&row.status),
            display_name: (!name.is_empty()).then_some(name),
            email: row.email.as_deref().map(Email::masked),
            code: row.code,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// List the referrals of a referrer
///
/// Newest first. Of oneself (`me`), or of anybody for an administrator whose token has the scope `referrals:admin`.
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
    caller: Person<ReadReferrals>,
    Path(id): Path<String>,
    Query(query): Query<ReferralsQuery>,
) -> Result<Json<Page<Referral>>, Problem> {
    let referrer = whose(&state, &caller, &id).await?;
    let position = Position::read(query.limit, query.cursor.as_deref())?;
    let status = query.status.map(ReferralStatus::as_str);
    let before = position.before.map(ReferralId);
    let mut conn = state.platform().db.read().await?;
    let rows = store::referrals_of(&mut conn, referrer, status, before, position.rows()).await?;
    drop(conn);
    Ok(Json(position.page(rows, |row| row.id.0, Referral::of)))
}

/// Whose referrals are asked for, if the caller may see them. Who may not is not told whether the account exists.
async fn whose(state: &AppState, caller: &Person<ReadReferrals>, id: &str) -> Result<UserId, Problem> {
    if caller.is(id) {
        return Ok(caller.user);
    }
    let referrer: UserId = id.parse().map_err(|_| Problem::not_found())?;
    let forbidden = || Problem::forbidden().with_detail("these are another person's referrals");
    if !caller.token.has_scope(ADMIN_SCOPE) {
        return Err(forbidden());
    }
    let mut conn = state.platform().db.read().await?;
    // The scope says what the client may do, the role what the person may: read anew, for it may have been taken away.
    if !users::by_id(&mut conn, caller.user).await?.is_some_and(|user| user.is_admin()) {
        return Err(forbidden());
    }
    users::by_id(&mut conn, referrer).await?.ok_or_else(Problem::not_found)?;
    Ok(referrer)
}
