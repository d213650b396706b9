//! `/v1/referrers/{id}/rewards`: what somebody was credited, as a referrer or as a referral.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::http::{Json, Path, Query};
use shared::ids::ReferralId;
use shared::problem::Problem;
use shared::referrals::rewards::{self, Balance, Entry};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Reader;
use crate::paging::PageQuery;
use crate::state::AppState;

/// An entry of the ledger. Entries never change; what is taken back is an entry of its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct RewardEntry {
    /// Of the entry.
    #[schema(example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b90")]
    id: Uuid,
    /// What it was credited for; null once the referrer's account is deleted.
    #[schema(required)]
    referral_id: Option<ReferralId>,
    /// As whom.
    side: RewardSide,
    /// The rule of the programme.
    #[schema(example = "welcome")]
    rule: String,
    /// Its name, such as `EUR`.
    #[schema(example = "EUR")]
    currency: String,
    /// In the smallest unit of the currency; below zero when it was taken back.
    #[schema(example = 500)]
    amount: i64,
    /// The entry that this one takes back.
    #[schema(required, example = json!(null))]
    reverses: Option<Uuid>,
    /// When.
    created_at: DateTime<Utc>,
}

/// As whom a person was credited.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RewardSide {
    Referrer,
    Referral,
}

/// What somebody has in a currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct RewardBalance {
    /// Its name, such as `EUR`.
    #[schema(example = "EUR")]
    currency: String,
    /// In the smallest unit of the currency: credits less what was taken back.
    #[schema(example = 2500)]
    amount: i64,
}

/// A page of the ledger with the sums of all of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rewards {
    /// What they have, by currency.
    balances: Vec<RewardBalance>,
    /// Newest first.
    items: Vec<RewardEntry>,
    /// Give it as `cursor` to get what follows; null on the last page.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
}

impl RewardEntry {
    fn of(entry: Entry) -> Self {
        Self {
            id: entry.id,
            referral_id: entry.referral_id,
            side: if entry.side == "referral" { RewardSide::Referral } else { RewardSide::Referrer },
            rule: entry.rule,
            currency: entry.currency,
            amount: entry.amount,
            reverses: entry.reverses,
            created_at: entry.created_at,
        }
    }
}

/// List the rewards of a person
///
/// What they were credited by the rules of the programme, for those they invited and for having been invited. For the same
/// people as the list of referrals.
#[utoipa::path(
    get, path = "/v1/referrers/{id}/rewards", tag = "Referrals", operation_id = "listRewards",
    security(("oauth2" = ["referrals:read"]), ("token" = [])),
    params(("id" = String, Path, description = "The person's id, or `me`", example = "me"), PageQuery),
    responses(
        (status = 200, description = "Balances, and a page of the ledger", body = Rewards),
        (status = 404, description = "For administrators: there is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Rewards>, Problem> {
    let about = caller.about(&state, &id).await?;
    let position = query.position()?;
    let mut conn = state.platform().db.read().await?;
    let balances = rewards::balances(&mut conn, about.referrer).await?;
    let rows = rewards::page_of(&mut conn, about.referrer, position.before, position.rows()).await?;
    drop(conn);
    let page = position.page(rows, |entry| entry.id, RewardEntry::of);
    let balances =
        balances.into_iter().map(|Balance { currency, amount }| RewardBalance { currency, amount }).collect();
    Ok(Json(Rewards { balances, items: page.items, next_cursor: page.next_cursor }))
}
