//! `/v1/referral-codes/{code}/stats`: what came of one of one's own codes.

use axum::extract::State;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use shared::http::{Json, Path, Query};
use shared::problem::{FieldError, Problem};
use shared::referrals::clicks;
use utoipa::{IntoParams, ToSchema};

use super::own;
use crate::access::{Person, ReadCodes};
use crate::state::AppState;

const DEFAULT_DAYS: u32 = 30;
const MAX_DAYS: u32 = 366;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Of how many days `by_day` tells, today included, 1 to 366. Default: 30.
    #[param(minimum = 1, maximum = 366, default = 30, example = 30)]
    days: Option<u32>,
}

/// What came of a code.
#[derive(Debug, Serialize, ToSchema)]
pub struct CodeStats {
    /// How often its link was followed, since there is the code. Robots that say so, and what browsers fetch ahead, do not
    /// count.
    #[schema(example = 12)]
    clicks: i64,
    /// By how many network addresses, each counted once a day.
    #[schema(example = 9)]
    visitors: i64,
    /// How many signed up with it.
    #[schema(example = 3)]
    sign_ups: i64,
    /// The days (UTC) on which anything came of it, the first first.
    by_day: Vec<CodeDay>,
}

/// What came of a code on one day.
#[derive(Debug, Serialize, ToSchema)]
pub struct CodeDay {
    /// The day, in UTC.
    #[schema(example = "2030-01-31", format = Date)]
    day: String,
    /// How often the link was followed on it.
    #[schema(example = 4)]
    clicks: i64,
    /// By how many network addresses.
    #[schema(example = 3)]
    visitors: i64,
    /// How many signed up.
    #[schema(example = 1)]
    sign_ups: i64,
}

/// Get what came of one of one's own referral codes
///
/// Clicks on its `link`, and sign-ups, in all and by day. Of who clicked nothing is kept but a hash, until the day is over.
#[utoipa::path(
    get, path = "/v1/referral-codes/{code}/stats", tag = "Referral codes", operation_id = "getReferralCodeStats",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(
        ("code" = String, Path, description = "The code, in upper or lower case", example = "7K2M9QXD"),
        StatsQuery,
    ),
    responses(
        (status = 200, description = "What came of it", body = CodeStats),
        (status = 404, description = "The caller has no such code", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Path(code): Path<String>,
    Query(query): Query<StatsQuery>,
) -> Result<Json<CodeStats>, Problem> {
    let days = query.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let detail = format!("must be a number from 1 to {MAX_DAYS}");
        return Err(Problem::validation([FieldError::query("days", detail)]));
    }
    let row = own(&state, caller.user, &code).await?;
    let platform = state.platform();
    let since = platform.clock.now() - TimeDelta::days(i64::from(days) - 1);
    let mut conn = platform.db.read().await?;
    let totals = clicks::totals(&mut conn, row.id).await?;
    let by_day = clicks::days(&mut conn, row.id, since).await?;
    drop(conn);
    let day = |clicks::Day { day, clicks, visitors, sign_ups }| CodeDay { day, clicks, visitors, sign_ups };
    Ok(Json(CodeStats {
        clicks: totals.clicks,
        visitors: totals.visitors,
        sign_ups: totals.sign_ups,
        by_day: by_day.into_iter().map(day).collect(),
    }))
}
