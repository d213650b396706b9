//! `/v1/referrers/{id}/stats`: how a referrer fares. Read from roll-ups that are written with each change, so that it costs
//! the same for who invited a million.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use shared::fetch_all;
use shared::http::{Json, Path, Query};
use shared::problem::{FieldError, Problem};
use shared::referrals::life::Status;
use utoipa::{IntoParams, ToSchema};

use crate::access::Reader;
use crate::state::AppState;

/// Days that are shown unless asked otherwise.
const USUAL: u64 = 30;
/// Days that are shown at most.
const MOST: i64 = 366;

/// How many referrals of each status.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    /// Whose address is not confirmed yet.
    #[schema(example = 3)]
    pending: i64,
    /// Whose address is.
    #[schema(example = 5)]
    verified: i64,
    /// Who did what the programme is for, and are held.
    #[schema(example = 2)]
    qualified: i64,
    /// For whom credits were given.
    #[schema(example = 8)]
    rewarded: i64,
    /// That do not count.
    #[schema(example = 1)]
    rejected: i64,
    /// Whose credits were taken back.
    #[schema(example = 0)]
    reversed: i64,
    /// That did not qualify in time.
    #[schema(example = 0)]
    expired: i64,
}

impl Counts {
    fn add(&mut self, status: &str, n: i64) {
        let count = match Status::stored(status) {
            Status::Pending => &mut self.pending,
            Status::Verified => &mut self.verified,
            Status::Qualified => &mut self.qualified,
            Status::Rewarded => &mut self.rewarded,
            Status::Rejected => &mut self.rejected,
            Status::Reversed => &mut self.reversed,
            Status::Expired => &mut self.expired,
        };
        *count += n.max(0);
    }
}

/// A day of a referrer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Day {
    /// The day (UTC).
    #[schema(example = "2030-01-31")]
    day: NaiveDate,
    /// How many referrals got each status on it.
    #[serde(flatten)]
    counts: Counts,
}

/// How a referrer fares.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// How many referrals have each status now.
    totals: Counts,
    /// The days in question on which anything happened, the first first.
    by_day: Vec<Day>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// The first day (UTC). Default: 29 days before the last.
    #[param(example = "2030-01-01")]
    from: Option<NaiveDate>,
    /// The last day (UTC), at most 365 days after the first. Default: today.
    #[param(example = "2030-01-31")]
    to: Option<NaiveDate>,
}

/// Statistics of a referrer
///
/// Counts by status now, and by day how many referrals got which status. For the same people as the list.
#[utoipa::path(
    get, path = "/v1/referrers/{id}/stats", tag = "Referrals", operation_id = "getReferrerStats",
    security(("oauth2" = ["referrals:read"]), ("token" = [])),
    params(("id" = String, Path, description = "The referrer's id, or `me`", example = "me"), StatsQuery),
    responses(
        (status = 200, description = "The statistics", body = Stats),
        (status = 404, description = "For administrators: there is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A day is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Stats>, Problem> {
    let about = caller.about(&state, &id).await?;
    let platform = state.platform();
    let to = query.to.unwrap_or_else(|| platform.clock.now().date_naive());
    let from = query.from.unwrap_or_else(|| to.checked_sub_days(Days::new(USUAL - 1)).unwrap_or(to));
    if !(0..MOST).contains(&(to - from).num_days()) {
        let wrong = FieldError::query("from", "must lie before `to`, by 365 days at most");
        return Err(Problem::validation([wrong]));
    }
    let mut conn = platform.db.read().await?;
    let now: Vec<(String, i64)> = fetch_all!(
        &mut conn,
        (String, i64),
        "SELECT status, n FROM referral_totals WHERE referrer_id = $1",
        about.referrer
    )?;
    let days: Vec<(String, String, i64)> = fetch_all!(
        &mut conn,
        (String, String, i64),
        "SELECT day, status, n FROM referral_days WHERE referrer_id = $1 AND day >= $2 AND day <= $3",
        about.referrer,
        from.to_string(),
        to.to_string()
    )?;
    drop(conn);
    let mut totals = Counts::default();
    for (status, n) in now {
        totals.add(&status, n);
    }
    let mut by_day = BTreeMap::<NaiveDate, Counts>::new();
    for (day, status, n) in days {
        let Ok(day) = day.parse() else { continue };
        by_day.entry(day).or_default().add(&status, n);
    }
    let by_day = by_day.into_iter().map(|(day, counts)| Day { day, counts }).collect();
    Ok(Json(Stats { totals, by_day }))
}
