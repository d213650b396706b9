//! `/v1/referrals`: all referrals, for who runs the programme, and the steps of their lives.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::db::{Conn, DbError};
use shared::http::{Json, Path, Query};
use shared::idempotency::{Idempotent, KeyHeader};
use shared::ids::{ClientId, ReferralId, UserId};
use shared::problem::{FieldError, Problem};
use shared::referrals::life::{self, EventRow, NoChange, Status};
use shared::referrals::signals::{self, Signal, SignalRow};
use shared::referrals::store::{self, Filter};
use shared::{audit, fetch_optional, users};
use sqlx::types::Json as Stored;
use utoipa::{IntoParams, ToSchema};

use super::{display_name, shown_email};
use crate::access::{Manage, Manager};
use crate::paging::{Page, Position};
use crate::state::AppState;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// A referral as who runs the programme sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManagedReferral {
    /// Of the referral, not of a person.
    id: ReferralId,
    /// Who invited.
    referrer_id: UserId,
    /// Who was invited; null once their account is deleted.
    #[schema(required)]
    referral_user_id: Option<UserId>,
    /// Where it stands.
    status: Status,
    /// How the code came to the sign-up.
    source: ReferralSource,
    /// Does something speak against it?
    review: Review,
    /// The code that was used.
    #[schema(example = "7K2M9QXD")]
    code: String,
    /// Null when the person gave no name or deleted the account.
    #[schema(required, example = "Bob Miller")]
    display_name: Option<String>,
    /// Masked, but for administrators; null when the account was deleted.
    #[schema(required, example = "b•••@e•••.com")]
    email: Option<String>,
    /// When it expires unless it qualifies before; null for any time.
    #[schema(required)]
    lapses_at: Option<DateTime<Utc>>,
    /// When a qualified one is rewarded.
    #[schema(required)]
    held_until: Option<DateTime<Utc>>,
    /// When the person signed up.
    created_at: DateTime<Utc>,
    /// When anything of it last changed.
    updated_at: DateTime<Utc>,
}

/// How the code came to the sign-up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferralSource {
    /// Typed, or in the link that led to the sign-up.
    Code,
    /// Kept since the first link that was followed.
    FirstTouch,
    /// Kept since the last.
    LastTouch,
}

/// Does something speak against it?
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    None,
    /// Yes, and it waits for somebody to look at that.
    Open,
    /// Somebody looked at it, or the referral is closed.
    Cleared,
}

/// A referral with its story.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReferralStory {
    #[serde(flatten)]
    referral: ManagedReferral,
    /// What speaks against it.
    signals: Vec<SignalSeen>,
    /// What happened to it, the first first.
    events: Vec<ReferralEvent>,
    /// What outside services know of the person; for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"person": {"name": {"fullName": "Bob Miller"}}, "company": null}))]
    enrichment: Option<Value>,
}

/// A signal that a referral may not be what it looks like.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalSeen {
    /// Its kind.
    #[schema(value_type = Signal)]
    signal: String,
    /// Numbers that say more, such as how many accounts.
    #[schema(value_type = Object, example = json!({"accounts": 2}))]
    details: Value,
    /// When it was seen.
    seen_at: DateTime<Utc>,
}

/// A step in the life of a referral.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReferralStoryEvent)]
pub struct ReferralEvent {
    /// Null for its beginning.
    #[schema(required)]
    from: Option<Status>,
    /// What it became.
    to: Status,
    /// Why, in words.
    #[schema(example = "first invoice paid")]
    reason: String,
    /// `user:ID` or `client:ID`; null for the rules of the programme.
    #[schema(required, example = "client:shop-backend")]
    actor: Option<String>,
    /// When.
    at: DateTime<Utc>,
}

/// Why a step is taken.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReferralStep, example = json!({"reason": "first invoice paid"}))]
pub struct Step {
    /// For the referral's events, the audit and the webhooks: 1 to 500 characters, without anything about the person.
    #[schema(example = "first invoice paid", min_length = 1, max_length = 500)]
    reason: String,
    /// For `reward` only: also before the hold is over.
    #[serde(default)]
    #[schema(example = false)]
    despite_hold: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ManagedQuery {
    /// Only referrals of this status.
    #[param(inline, example = "verified")]
    status: Option<Status>,
    /// `open`: only those that wait for somebody to look at what speaks against them.
    #[param(inline, example = "open")]
    review: Option<Review>,
    /// Only of this referrer.
    #[param(example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b91")]
    referrer_id: Option<UserId>,
    /// Only the one by which this person came.
    #[param(example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b92")]
    referral_user_id: Option<UserId>,
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

impl ManagedReferral {
    fn of(row: store::ManagedRow, in_full: bool) -> Self {
        let store::ManagedRow { referral, email, given_name, family_name } = row;
        Self {
            id: referral.id,
            referrer_id: referral.referrer_id,
            referral_user_id: referral.referral_user_id,
            status: Status::stored(&referral.status),
            source: match referral.source.as_str() {
                "first_touch" => ReferralSource::FirstTouch,
                "last_touch" => ReferralSource::LastTouch,
                _ => ReferralSource::Code,
            },
            review: match referral.review.as_str() {
                "open" => Review::Open,
                "cleared" => Review::Cleared,
                _ => Review::None,
            },
            code: referral.code,
            display_name: display_name(given_name, family_name),
            email: email.map(|email| shown_email(email, in_full)),
            lapses_at: referral.lapses_at,
            held_until: referral.held_until,
            created_at: referral.created_at,
            updated_at: referral.updated_at,
        }
    }
}

/// List all referrals
///
/// Newest first; for an app with `referrals:manage`, and for administrators, who see addresses in full, which is recorded.
#[utoipa::path(
    get, path = "/v1/referrals", tag = "Programme", operation_id = "listAllReferrals",
    security(("oauth2" = ["referrals:admin"]), ("token" = [])),
    params(ManagedQuery),
    responses(
        (status = 200, description = "A page of referrals", body = Page<ManagedReferral>),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    manager: Manager<Manage>,
    Query(query): Query<ManagedQuery>,
) -> Result<Response, Problem> {
    let position = Position::read(query.limit, query.cursor.as_deref())?;
    if matches!(query.review, Some(Review::None | Review::Cleared)) {
        let wrong = FieldError::query("review", "may only be open");
        return Err(Problem::validation([wrong]));
    }
    record_reading(&state, &manager, json!({ "what": "list of all" })).await?;
    let filter = Filter {
        status: query.status.map(Status::as_str),
        open_review: query.review.is_some(),
        referrer: query.referrer_id,
        referral_user: query.referral_user_id,
    };
    let before = position.before.map(ReferralId);
    let mut conn = state.platform().db.read().await?;
    let rows = store::all_referrals(&mut conn, filter, before, position.rows()).await?;
    drop(conn);
    let in_full = manager.admin().is_some();
    let page = position.page(rows, |row| row.referral.id.0, |row| ManagedReferral::of(row, in_full));
    Ok(super::answered(in_full, Json(page)))
}

/// Get a referral with its story
///
/// What speaks against it and what happened to it; for administrators also what outside services know of the person.
#[utoipa::path(
    get, path = "/v1/referrals/{id}", tag = "Programme", operation_id = "getReferral",
    security(("oauth2" = ["referrals:admin"]), ("token" = [])),
    params(("id" = String, Path, description = "The referral's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b90")),
    responses(
        (status = 200, description = "The referral", body = ReferralStory),
        (status = 404, description = "There is no such referral", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    manager: Manager<Manage>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = referral_id(&id)?;
    record_reading(&state, &manager, json!({ "what": "referral", "referral": id })).await?;
    let mut conn = state.platform().db.read().await?;
    let in_full = manager.admin().is_some();
    let story = story(&mut conn, id, in_full).await?.ok_or_else(Problem::not_found)?;
    Ok(super::answered(in_full, Json(story)))
}

async fn story(conn: &mut Conn, id: ReferralId, in_full: bool) -> Result<Option<ReferralStory>, DbError> {
    let Some(referral) = life::by_id(conn, id).await? else { return Ok(None) };
    let person = match referral.referral_user_id {
        Some(user) => users::by_id(conn, user).await?,
        None => None,
    };
    let enrichment: Option<(Stored<Value>,)> = match &person {
        Some(person) if in_full => fetch_optional!(
            conn,
            (Stored<Value>,),
            "SELECT answer FROM enrichments WHERE user_id = $1 AND status = 'found'",
            person.id
        )?,
        _ => None,
    };
    let signals = signals::of(conn, id).await?;
    let events = life::events(conn, id).await?;
    let (email, given_name, family_name) =
        person.map_or((None, None, None), |person| (Some(person.email), person.given_name, person.family_name));
    let row = store::ManagedRow { referral, email, given_name, family_name };
    Ok(Some(ReferralStory {
        referral: ManagedReferral::of(row, in_full),
        signals: signals.into_iter().map(SignalSeen::from).collect(),
        events: events.into_iter().map(ReferralEvent::from).collect(),
        enrichment: enrichment.map(|(Stored(answer),)| answer),
    }))
}

impl From<SignalRow> for SignalSeen {
    fn from(row: SignalRow) -> Self {
        Self { signal: row.signal, details: row.details.0, seen_at: row.created_at }
    }
}

impl From<EventRow> for ReferralEvent {
    fn from(row: EventRow) -> Self {
        Self {
            from: row.from_status.as_deref().map(Status::stored),
            to: Status::stored(&row.to_status),
            reason: row.reason,
            actor: row.actor,
            at: row.created_at,
        }
    }
}

fn referral_id(text: &str) -> Result<ReferralId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// What an administrator sees of people is put down before they see it; an app sees no more than a referrer does.
async fn record_reading(state: &AppState, manager: &Manager<Manage>, details: Value) -> Result<(), Problem> {
    let Some(admin) = manager.admin() else { return Ok(()) };
    let platform = state.platform();
    let client = ClientId(manager.token.client_id().to_owned());
    let mut tx = platform.db.begin().await?;
    audit::record(&mut tx, platform, "referrals.read", Some(admin), Some(&client), details).await?;
    Ok(tx.commit().await?)
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident $operation:literal $path:literal $what:expr;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "Programme", operation_id = $operation,
            security(("oauth2" = ["referrals:admin"]), ("token" = [])),
            params(
                ("id" = String, Path, description = "The referral's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b90"),
                KeyHeader,
            ),
            request_body = Step,
            responses(
                (status = 200, description = "The referral after it", body = ReferralStory),
                (status = 404, description = "There is no such referral", body = Problem, content_type = "application/problem+json"),
                (status = 409, description = "`referral-status`: it can't be done to a referral of this status. `referral-under-review`: something speaks against it, and somebody has to look at that first. `referral-held`: its hold is not over", body = Problem, content_type = "application/problem+json"),
                (status = 422, description = "A field is at fault", body = Problem, content_type = "application/problem+json"),
            )
        )]
        pub async fn $name(
            State(state): State<AppState>,
            manager: Manager<Manage>,
            Path(id): Path<String>,
            headers: HeaderMap,
            Json(step): Json<Step>,
        ) -> Result<Response, Problem> {
            take(&state, &manager, &id, &headers, $what, &step).await
        }
    )*};
}

/// What can be done to a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Qualify,
    Reward,
    Reject,
    Reverse,
    Clear,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Qualify => "qualify",
            Self::Reward => "reward",
            Self::Reject => "reject",
            Self::Reverse => "reverse",
            Self::Clear => "clear",
        }
    }

    /// As in the audit.
    fn done(self) -> &'static str {
        match self {
            Self::Qualify => "qualified",
            Self::Reward => "rewarded",
            Self::Reject => "rejected",
            Self::Reverse => "reversed",
            Self::Clear => "cleared",
        }
    }
}

steps! {
    /// Say that a referral qualifies
    ///
    /// The person did what the programme is for. From `verified`; it is then held for the programme's days and rewarded.
    qualify "qualifyReferral" "/v1/referrals/{id}/qualify" What::Qualify;
    /// Reward a referral
    ///
    /// From `qualified`, when its hold is over, or before it with `despite_hold`. The rules of the programme say what is
    /// credited. It happens by itself when the hold is over.
    reward "rewardReferral" "/v1/referrals/{id}/reward" What::Reward;
    /// Reject a referral
    ///
    /// It does not count. From `pending`, `verified` and `qualified`; what was rewarded is reversed instead.
    reject "rejectReferral" "/v1/referrals/{id}/reject" What::Reject;
    /// Reverse a referral
    ///
    /// From `rewarded`: everything that was credited for it is taken back.
    reverse "reverseReferral" "/v1/referrals/{id}/reverse" What::Reverse;
    /// Clear a referral of what speaks against it
    ///
    /// Somebody looked at its signals and found nothing in them. It goes on as if there were none.
    clear "clearReferral" "/v1/referrals/{id}/clear" What::Clear;
}

/// One step, in one transaction with its record and the answer that is kept.
async fn take(
    state: &AppState,
    manager: &Manager<Manage>,
    id: &str,
    headers: &HeaderMap,
    what: What,
    step: &Step,
) -> Result<Response, Problem> {
    let platform = state.platform();
    let id = referral_id(id)?;
    check(step, what)?;
    let route = format!("POST /v1/referrals/{id}/{}", what.name());
    let caller = manager.token.caller();
    let request = serde_json::to_vec(step).map_err(|_| Problem::internal())?;
    let key = Idempotent::from_headers(headers, &[&route, &caller], &request)?;
    if let Some(kept) = Idempotent::kept(key.as_ref(), platform).await? {
        return Ok(done(kept.answer));
    }
    let reason = step.reason.trim();
    let actor = manager.actor();
    let mut tx = platform.db.begin().await?;
    let changed = match what {
        What::Qualify => life::transition(&mut tx, platform, id, Status::Qualified, reason, &actor).await?,
        What::Reject => life::transition(&mut tx, platform, id, Status::Rejected, reason, &actor).await?,
        What::Reverse => life::transition(&mut tx, platform, id, Status::Reversed, reason, &actor).await?,
        What::Reward => life::reward(&mut tx, platform, id, reason, &actor, step.despite_hold).await?,
        What::Clear => life::clear(&mut tx, platform, id, reason).await?,
    };
    let row = match changed {
        Ok(row) => row,
        Err(why) => {
            drop(tx);
            // Perhaps this very request, sent twice, was faster.
            return match Idempotent::kept(key.as_ref(), platform).await? {
                Some(kept) => Ok(done(kept.answer)),
                None => Err(refused(why)),
            };
        }
    };
    let kind = format!("referral.{}", what.done());
    let details = json!({ "referral": id, "status": row.status, "reason": reason });
    let client = ClientId(manager.token.client_id().to_owned());
    audit::record(&mut tx, platform, &kind, manager.token.user, Some(&client), details).await?;
    // Nobody's address in full and nothing of what outside services know: answers are kept for a day.
    let answer = json!(story(&mut tx, id, false).await?);
    if let Some(key) = &key {
        match key.keep(&mut tx, platform, 200, &answer).await {
            Err(error) if error.is_unique_violation() => {
                drop(tx);
                let kept = Idempotent::kept(Some(key), platform).await?.ok_or_else(Problem::internal)?;
                return Ok(done(kept.answer));
            }
            kept => kept?,
        }
    }
    tx.commit().await?;
    Ok(done(answer))
}

fn done(answer: Value) -> Response {
    (StatusCode::OK, Json(answer)).into_response()
}

fn check(step: &Step, what: What) -> Result<(), Problem> {
    let mut errors = vec![];
    let length = step.reason.trim().chars().count();
    if !(1..=LONGEST_REASON).contains(&length) || step.reason.contains('\0') {
        errors.push(FieldError::body("reason", format!("must be 1 to {LONGEST_REASON} characters that say why")));
    }
    if step.despite_hold && what != What::Reward {
        errors.push(FieldError::body("despite_hold", "is for reward only"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::validation(errors)) }
}

fn refused(why: NoChange) -> Problem {
    match why {
        NoChange::Unknown => Problem::not_found(),
        NoChange::NotFrom { .. } | NoChange::NotUnderReview => Problem::conflict("referral-status", why.to_string()),
        NoChange::UnderReview => Problem::conflict("referral-under-review", why.to_string()),
        NoChange::Held(_) => Problem::conflict("referral-held", why.to_string()),
    }
}
