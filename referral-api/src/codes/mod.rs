//! `/v1/referral-codes`: people's own codes, and the look-up of a referrer's code by email address.

pub mod qr;
pub mod rotate;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::db::DbError;
use shared::email::Email;
use shared::http::{ClientIp, Json, Path, Query};
use shared::idempotency::{Idempotent, KeyHeader};
use shared::ids::{ClientId, CodeId, UserId};
use shared::platform::seldom;
use shared::problem::{FieldError, Problem};
use shared::referrals::cached::Found;
use shared::referrals::clicks::{self, Listed};
use shared::referrals::code::{CodeKey, ReferralCode};
use shared::referrals::store::{self, CodeRow, MAX_USES};
use shared::{audit, users};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Caller, Person, ReadCodes, WriteCodes, account_gone};
use crate::addresses::Address;
use crate::paging::{Page, PageQuery};
use crate::state::AppState;

/// Of 10^12 codes, drawing a taken one twice means that something else is wrong.
const DRAWS: usize = 5;
/// How many clients that act for themselves may look addresses up at full speed from one address.
pub(crate) const CLIENTS_AT_AN_ADDRESS: u64 = 4;
const MINUTE: Duration = Duration::from_secs(60);

/// A new referral code.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_at": "2030-01-31T12:00:00Z"}))]
pub struct NewCode {
    /// When it stops working (RFC 3339): in the future, within the configured maximum (365 days by default).
    #[schema(value_type = DateTime<Utc>)]
    expires_at: String,
    /// A code of one's own choice: 4 to 32 letters, digits and hyphens. Drawn at random when absent.
    #[schema(example = "ANN-2030", min_length = 4, max_length = 32)]
    code: Option<String>,
    /// How many people may sign up with it; any number when absent.
    #[schema(example = 100, minimum = 1, maximum = 1_000_000)]
    max_uses: Option<i64>,
}

/// A referral code as its owner sees it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Code {
    /// As it is shown; upper or lower case, `O` or `0`, `I`, `L` or `1` make no difference.
    #[schema(example = "7K2M9QXD")]
    code: String,
    status: CodeStatus,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it stops working.
    expires_at: DateTime<Utc>,
    /// How many people signed up with it.
    #[schema(example = 3)]
    uses: i64,
    /// How many may; null for any number.
    #[schema(required, example = 100)]
    max_uses: Option<i64>,
    /// The sign-up page with this code filled in.
    #[schema(example = "https://id.example.com/signup?ref=7K2M9QXD")]
    share_url: String,
    /// A short link to that page, by which clicks are counted and remembered: the one to share, and in the QR code.
    #[schema(example = "https://id.example.com/r/7K2M9QXD")]
    link: String,
    /// The QR code of that link, for who may read the code.
    #[schema(example = "https://api.example.com/v1/referral-codes/7K2M9QXD/qr.svg")]
    qr_url: String,
}

/// A referral code in the list of its owner's.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedCode {
    #[serde(flatten)]
    code: Code,
    /// How often its link was followed, as far as it was a person who did.
    #[schema(example = 12)]
    clicks: i64,
    /// By how many network addresses, each counted once a day.
    #[schema(example = 9)]
    visitors: i64,
    /// When its owner deleted it; null for one that was not.
    #[schema(required, example = json!(null))]
    deleted_at: Option<DateTime<Utc>>,
}

/// Only an active code can be signed up with.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodeStatus {
    Active,
    Expired,
    /// Used as often as it may be.
    Exhausted,
    Deleted,
}

/// The active code of a referrer.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundCode {
    /// The code, as its owner shows it.
    #[schema(example = "7K2M9QXD")]
    code: String,
    /// When it stops working.
    expires_at: DateTime<Utc>,
    /// The sign-up page with this code filled in.
    #[schema(example = "https://id.example.com/signup?ref=7K2M9QXD")]
    share_url: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LookupQuery {
    /// The referrer's email address.
    #[param(example = "ann@example.com", format = Email)]
    email: String,
}

impl Code {
    fn of(row: CodeRow, state: &AppState) -> Self {
        let status = match row.status_at(state.platform().clock.now()) {
            "active" => CodeStatus::Active,
            "exhausted" => CodeStatus::Exhausted,
            "deleted" => CodeStatus::Deleted,
            _ => CodeStatus::Expired,
        };
        Self {
            share_url: share_url(&row.code, state),
            link: link(&row.code, state),
            qr_url: state.platform().config.api.public_url.join(&format!("/v1/referral-codes/{}/qr.svg", row.code)),
            code: row.code,
            status,
            created_at: row.created_at,
            expires_at: row.expires_at,
            uses: row.uses,
            max_uses: row.max_uses,
        }
    }
}

/// Codes are letters, digits and hyphens: nothing to encode.
fn share_url(code: &str, state: &AppState) -> String {
    state.platform().config.auth.public_url.join(&format!("/signup?ref={code}"))
}

/// The same.
fn link(code: &str, state: &AppState) -> String {
    state.platform().config.auth.public_url.join(&format!("/r/{code}"))
}

/// Create a referral code
///
/// A person has one active code at most. With an `Idempotency-Key`, a repeated request gets the first one's answer.
#[utoipa::path(
    post, path = "/v1/referral-codes", tag = "Referral codes", operation_id = "createReferralCode",
    security(("oauth2" = ["referral-codes:write"]), ("token" = [])),
    params(KeyHeader),
    request_body = NewCode,
    responses(
        (status = 201, description = "Created", body = Code, headers(("Location" = String, description = "The new code"))),
        (status = 409, description = "`code-active`: the person has an active code. `code-taken`: somebody has this code", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/expires_at`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Person<WriteCodes>,
    headers: HeaderMap,
    Json(new): Json<NewCode>,
) -> Result<Response, Problem> {
    let platform = state.platform();
    let (expires_at, chosen) = check(&new, &state)?;
    caller.token.may_create(new.code.as_deref(), new.max_uses, &state)?;
    let user = caller.user;
    let request = serde_json::to_vec(&new).map_err(|_| Problem::internal())?;
    let key = Idempotent::from_headers(&headers, &["POST /v1/referral-codes", &user.to_string()], &request)?;
    if let Some(kept) = Idempotent::kept(key.as_ref(), platform).await? {
        return created(kept.answer);
    }

    for _ in 0..DRAWS {
        let code = chosen.clone().unwrap_or_else(|| ReferralCode::draw(&platform.random));
        match insert(&state, &caller, &code, expires_at, new.max_uses, key.as_ref()).await {
            Ok(Some(answer)) => return created(answer),
            // Somebody was faster: perhaps this very request, sent twice.
            Ok(None) => match Idempotent::kept(key.as_ref(), platform).await? {
                Some(kept) => return created(kept.answer),
                None => {
                    return Err(Problem::conflict(
                        "code-active",
                        "there is an active code; delete it before making another",
                    ));
                }
            },
            Err(DbError::UniqueViolation(_)) => {
                if let Some(kept) = Idempotent::kept(key.as_ref(), platform).await? {
                    return created(kept.answer);
                }
                if chosen.is_some() {
                    let taken = FieldError::body("code", "is taken; choose another");
                    return Err(Problem::conflict("code-taken", "somebody has or had this code").with_error(taken));
                }
            }
            Err(DbError::ForeignKeyViolation(_)) => return Err(account_gone(&caller.token, &state)),
            Err(error) => return Err(error.into()),
        }
    }
    tracing::error!("drew {DRAWS} codes that are all taken");
    Err(Problem::internal())
}

/// One try in a transaction of its own: a code that is taken ends it. `Ok(None)` when another code is active.
async fn insert(
    state: &AppState,
    caller: &Person<WriteCodes>,
    code: &ReferralCode,
    expires_at: DateTime<Utc>,
    max_uses: Option<i64>,
    key: Option<&Idempotent>,
) -> Result<Option<Value>, DbError> {
    let platform = state.platform();
    let mut tx = platform.db.begin().await?;
    let Some(row) = store::create(&mut tx, platform, caller.user, code, expires_at, max_uses).await? else {
        return Ok(None);
    };
    record(&mut tx, state, "referral_code.created", caller, row.id).await?;
    let answer = json!(Code::of(row, state));
    if let Some(key) = key {
        key.keep(&mut tx, platform, 201, &answer).await?;
    }
    tx.commit().await?;
    Ok(Some(answer))
}

fn created(answer: Value) -> Result<Response, Problem> {
    let location = format!("/v1/referral-codes/{}", answer["code"].as_str().unwrap_or_default());
    let location = HeaderValue::try_from(location).map_err(|_| Problem::internal())?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(answer)).into_response())
}

/// Everything that is wrong with a request, at once.
fn check(new: &NewCode, state: &AppState) -> Result<(DateTime<Utc>, Option<ReferralCode>), Problem> {
    let platform = state.platform();
    let now = platform.clock.now();
    let max_days = platform.config.referrals.max_code_days;
    let latest = store::latest_expiry(platform);
    let mut errors = vec![];
    let mut wrong = |name, detail: String| errors.push(FieldError::body(name, detail));

    // What is stored is whole microseconds, and the answer says what is stored.
    let expires_at = DateTime::parse_from_rfc3339(&new.expires_at).map(|at| at.to_utc().trunc_subsecs(6));
    match expires_at {
        Err(_) => wrong("expires_at", "must be a date and time as in RFC 3339, such as 2030-01-31T12:00:00Z".into()),
        Ok(at) if at <= now => wrong("expires_at", "must lie in the future".into()),
        Ok(at) if at > latest => wrong("expires_at", format!("must lie within {max_days} days")),
        Ok(_) => {}
    }
    let code = new.code.as_deref().map(ReferralCode::vanity);
    if let Some(Err(reason)) = code {
        wrong("code", reason.to_string());
    }
    if new.max_uses.is_some_and(|max| !(1..=MAX_USES).contains(&max)) {
        wrong("max_uses", format!("must be a number from 1 to {MAX_USES}"));
    }
    match (expires_at, code.transpose()) {
        (Ok(expires_at), Ok(code)) if errors.is_empty() => Ok((expires_at, code)),
        _ => Err(Problem::validation(errors)),
    }
}

/// List own referral codes
///
/// Past ones too, newest first.
#[utoipa::path(
    get, path = "/v1/referral-codes", tag = "Referral codes", operation_id = "listReferralCodes",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of codes", body = Page<ListedCode>),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ListedCode>>, Problem> {
    let position = query.position()?;
    let mut conn = state.platform().db.read().await?;
    let rows = clicks::page_of(&mut conn, caller.user, position.before.map(CodeId), position.rows()).await?;
    drop(conn);
    let shown = |Listed { code, deleted_at, clicks, visitors }| ListedCode {
        code: Code::of(code, &state),
        clicks,
        visitors,
        deleted_at,
    };
    Ok(Json(position.page(rows, |row| row.code.id.0, shown)))
}

/// Get one of one's own referral codes
///
/// Somebody else's code is 404, like one that does not exist.
#[utoipa::path(
    get, path = "/v1/referral-codes/{code}", tag = "Referral codes", operation_id = "getReferralCode",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(("code" = String, Path, description = "The code, in upper or lower case", example = "7K2M9QXD")),
    responses(
        (status = 200, description = "The code", body = Code),
        (status = 404, description = "The caller has no such code", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Path(code): Path<String>,
) -> Result<Json<Code>, Problem> {
    let row = own(&state, caller.user, &code).await?;
    Ok(Json(Code::of(row, &state)))
}

/// Delete one of one's own referral codes
///
/// It stops working at once, everywhere. What it brought stays; the code is never given out again.
#[utoipa::path(
    delete, path = "/v1/referral-codes/{code}", tag = "Referral codes", operation_id = "deleteReferralCode",
    security(("oauth2" = ["referral-codes:write"]), ("token" = [])),
    params(
        ("code" = String, Path, description = "The code, in upper or lower case", example = "7K2M9QXD"),
        KeyHeader,
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "The caller has no such code, or deleted it before", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(state): State<AppState>,
    caller: Person<WriteCodes>,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Result<StatusCode, Problem> {
    let platform = state.platform();
    let folded = CodeKey::fold(&code).ok_or_else(no_such_code)?;
    let scope = ["DELETE /v1/referral-codes", &caller.user.to_string()];
    let key = Idempotent::from_headers(&headers, &scope, folded.as_str().as_bytes())?;
    if Idempotent::kept(key.as_ref(), platform).await?.is_some() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut tx = platform.db.begin().await?;
    let deleted = store::delete(&mut tx, caller.user, &folded, platform.clock.now()).await?;
    let Some(row) = deleted else {
        drop(tx);
        // Perhaps this very request, sent twice, was faster.
        let kept = Idempotent::kept(key.as_ref(), platform).await?;
        return kept.map(|_| StatusCode::NO_CONTENT).ok_or_else(no_such_code);
    };
    let queued_at = state.codes().queue(&mut tx, &row).await?;
    record(&mut tx, &state, "referral_code.deleted", &caller, row.id).await?;
    if let Some(key) = key {
        key.keep(&mut tx, platform, 204, &Value::Null).await?;
    }
    tx.commit().await?;
    state.codes().deliver(&row, queued_at).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Find a referrer's active code by email address
///
/// 404 alike for nobody, for somebody without an active code, and for somebody who does not want to be found.
#[utoipa::path(
    get, path = "/v1/referral-codes/lookup", tag = "Referral codes", operation_id = "lookUpReferralCode",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(LookupQuery),
    responses(
        (status = 200, description = "The code", body = FoundCode),
        (status = 404, description = "No active code can be found for this address", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not an email address", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many look-ups; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn lookup(
    State(state): State<AppState>,
    caller: Caller<ReadCodes>,
    ip: ClientIp,
    Query(query): Query<LookupQuery>,
) -> Result<Response, Problem> {
    let platform = state.platform();
    let address = Address::read(&query.email, &state)
        .map_err(|reason| Problem::validation([FieldError::query("email", reason.to_string())]))?;
    // Whoever may look addresses up must not be able to try a list of them.
    let max = platform.config.limits.lookups_per_minute;
    if platform.config.limits.enabled {
        state.lookups().check(caller.token.counted_as()).await?;
    }
    // Where anybody may register clients, they are as many as one likes: so they count together where they come from.
    if caller.token.user.is_none() {
        let max = max.saturating_mul(CLIENTS_AT_AN_ADDRESS);
        seldom(platform.limits.check("lookup-clients", &ip.bucket(), max, MINUTE)).await?;
    }
    let (_, found) = discover(&state, address).await?;
    let found =
        found.ok_or_else(|| Problem::not_found().with_detail("no active code can be found for this address"))?;
    let told = match found.told.get() {
        Some(told) => told.clone(),
        None => {
            let row = &found.row;
            let (code, expires_at) = (row.code.clone(), row.expires_at);
            let told = FoundCode { share_url: share_url(&code, &state), code, expires_at };
            let told = Bytes::from(serde_json::to_vec(&told).map_err(|_| Problem::internal())?);
            found.told.get_or_init(|| told).clone()
        }
    };
    let mut answer = Response::new(Body::from(told));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// The referrer with this address and their usable code, where they may be found by it. It does the same work, in the
/// same stores, whether there is such a person or not.
pub(crate) async fn discoverable_code(
    state: &AppState,
    email: &Email,
) -> Result<(Option<users::User>, Option<CodeRow>), DbError> {
    let (referrer, found) = discover(state, Address::of(email, state)).await?;
    Ok((referrer.as_deref().cloned(), found.map(|found| found.row.clone())))
}

async fn discover(
    state: &AppState,
    address: Address<'_>,
) -> Result<(Option<Arc<users::User>>, Option<Arc<Found>>), DbError> {
    let user = address.person(state).await?;
    let referrer = user.filter(|user| user.discoverable);
    // Nobody's id: it is looked for in the cache and in the database like anybody's without a code.
    let nobody = UserId(state.platform().random.uuid_v7(&state.platform().clock));
    let found = state.codes().usable_of(referrer.as_ref().map_or(nobody, |user| user.id)).await?;
    Ok((referrer, found))
}

/// The caller's own code of this name.
async fn own(state: &AppState, user: UserId, code: &str) -> Result<CodeRow, Problem> {
    let key = CodeKey::fold(code).ok_or_else(no_such_code)?;
    let row = state.codes().by_key(&key).await?;
    row.filter(|row| row.referrer_id == user).ok_or_else(no_such_code)
}

async fn record(
    tx: &mut shared::db::Tx,
    state: &AppState,
    kind: &str,
    caller: &Person<WriteCodes>,
    code: CodeId,
) -> Result<(), DbError> {
    let client = ClientId(caller.token.client_id().to_owned());
    audit::record(tx, state.platform(), kind, Some(caller.user), Some(&client), json!({ "code_id": code })).await
}

fn no_such_code() -> Problem {
    Problem::not_found().with_detail("there is no such code among yours")
}
