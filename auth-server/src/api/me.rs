//! `GET, PATCH, DELETE /api/v1/me`: a person's own account, through our own apps.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use shared::db::{Conn, DbError};
use shared::fetch_optional;
use shared::http::Json;
use shared::http::extract::object_or_null;
use shared::ids::UserId;
use shared::outbox::{Notice, SecurityNotice};
use shared::problem::{FieldError, Problem};
use shared::users::{self, Profile, User};
use sqlx::types::Json as SqlJson;
use utoipa::ToSchema;

use super::profile::{self, Given, NewAddress, Wanted};
use crate::AppState;
use crate::accounts::{self, Fault, NotAName, notices};
use crate::protocol::bearer::{Caller, Challenge};

/// How fresh a sign-in must be to delete the account.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct Me {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = true)]
    email_verified: bool,
    #[schema(example = "Ann")]
    given_name: Option<String>,
    #[schema(example = "Lee")]
    family_name: Option<String>,
    #[schema(example = "en")]
    locale: Option<String>,
    /// The standard claims that the person wrote themselves (OpenID Connect Core §5.1).
    #[serde(flatten)]
    profile: Profile,
    /// May others look up this person's referral code by email address?
    discoverable: bool,
    created_at: DateTime<Utc>,
    /// Who invited this person, if anyone.
    referred_by: Option<Referrer>,
    /// What the verification of the address found, once it ran.
    email_check: Option<EmailCheck>,
    /// What was found out about the person, once the address was confirmed and it ran.
    enrichment: Option<Enrichment>,
}

/// Who invited a person.
#[derive(Serialize, ToSchema)]
pub struct Referrer {
    /// Absent when they gave no name.
    #[schema(example = "Bob Ray")]
    display_name: Option<String>,
}

/// What the email verification service said.
#[derive(Serialize, ToSchema)]
pub struct EmailCheck {
    #[schema(example = "hunter")]
    source: String,
    #[schema(example = "valid")]
    status: String,
    #[schema(example = 97)]
    score: Option<i64>,
    /// Did the answer give reason to doubt the address?
    flagged: bool,
    checked_at: DateTime<Utc>,
}

/// What the enrichment service said.
#[derive(Serialize, ToSchema)]
pub struct Enrichment {
    #[schema(example = "clearbit")]
    source: String,
    #[schema(example = "found")]
    status: String,
    fetched_at: DateTime<Utc>,
    /// The person and their company, as the service described them.
    #[schema(value_type = Object)]
    answer: Value,
}

/// What to change; absent fields stay as they are, `null` and empty names are removed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Ann", max_length = 64)]
    given_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Lee", max_length = 64)]
    family_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "ru", max_length = 35)]
    locale: Option<Option<String>>,
    #[serde(default)]
    discoverable: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 64)]
    middle_name: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 64)]
    nickname: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "ann", max_length = 64)]
    preferred_username: Given,
    /// The URL of a page about you.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "https://ann.example/about", max_length = 2048)]
    profile: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "https://ann.example/me.png", max_length = 2048)]
    picture: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "https://ann.example", max_length = 2048)]
    website: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "female", max_length = 64)]
    gender: Given,
    /// `YYYY-MM-DD`, `0000-MM-DD` (no year) or `YYYY`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "1990-05-17")]
    birthdate: Given,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Europe/Paris", max_length = 64)]
    zoneinfo: Given,
    /// In E.164.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "+14155550123", max_length = 16)]
    phone_number: Given,
    /// Replaces the whole address.
    #[serde(default, deserialize_with = "given_object")]
    #[schema(value_type = Option<NewAddress>)]
    address: Option<Option<NewAddress>>,
}

impl Change {
    /// The members that are kept in the profile, and what they are to become.
    fn take_texts(&mut self) -> [(&'static str, Given); 10] {
        [
            ("middle_name", self.middle_name.take()),
            ("nickname", self.nickname.take()),
            ("preferred_username", self.preferred_username.take()),
            ("profile", self.profile.take()),
            ("picture", self.picture.take()),
            ("website", self.website.take()),
            ("gender", self.gender.take()),
            ("birthdate", self.birthdate.take()),
            ("zoneinfo", self.zoneinfo.take()),
            ("phone_number", self.phone_number.take()),
        ]
    }
}

/// Tells `null` from absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The same of an object.
fn given_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    object_or_null(deserializer).map(Some)
}

/// Why there is no answer: the token's fault or the request's.
pub enum Failure {
    Token(Challenge),
    Problem(Problem),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Token(challenge) => challenge.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl From<Challenge> for Failure {
    fn from(challenge: Challenge) -> Self {
        Self::Token(challenge)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Problem(error.into())
    }
}

/// See your account
#[utoipa::path(
    get, path = "/api/v1/me", tag = "Account", operation_id = "getMe",
    security(("oauth2" = ["account:read"]), ("token" = []), ("with-proof" = [])),
    responses((status = 200, description = "Your account", body = Me))
)]
pub async fn show(State(state): State<AppState>, caller: Caller) -> Result<Json<Me>, Failure> {
    caller.require("account:read")?;
    let mut conn = state.platform.db.read().await?;
    let user = users::by_id(&mut conn, caller.user_id).await?.ok_or(Challenge::Invalid)?;
    Ok(Json(describe(&mut conn, user).await?))
}

/// Change your account
#[utoipa::path(
    patch, path = "/api/v1/me", tag = "Account", operation_id = "changeMe",
    security(("oauth2" = ["account:write"]), ("token" = []), ("with-proof" = [])),
    request_body = Change,
    responses(
        (status = 200, description = "Your account, changed", body = Me),
        (status = 422, description = "A field is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Json(mut change): Json<Change>,
) -> Result<Json<Me>, Failure> {
    may_write(&caller)?;
    let platform = &state.platform;
    let (texts, address) = (change.take_texts(), change.address.take());
    let mut faults = vec![];
    let mut name = |given: Option<Option<String>>, fault: fn(NotAName) -> Fault| {
        given.map(|text| {
            accounts::name(text.as_deref()).unwrap_or_else(|why| {
                faults.push(fault(why));
                None
            })
        })
    };
    let given_name = name(change.given_name, NotAName::given);
    let family_name = name(change.family_name, NotAName::family);
    let locale = change.locale.map(|text| {
        accounts::locale(text.as_deref()).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        })
    });
    let mut errors: Vec<FieldError> = faults.into_iter().map(FieldError::from).collect();
    let profile = profile::check(texts, address, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::validation(errors).into());
    }
    let mut tx = platform.db.begin().await?;
    let wanted = Wanted { given_name, family_name, locale, discoverable: change.discoverable, profile };
    let user = profile::write(&mut tx, platform, caller.user_id, wanted, Some(&caller.client_id)).await?;
    let user = user.ok_or(Challenge::Invalid)?;
    let me = describe(&mut tx, user).await?;
    tx.commit().await?;
    Ok(Json(me))
}

/// Delete your account
///
/// Wants a sign-in within the last five minutes. Sessions and tokens end at once; those you invited keep their
/// accounts.
#[utoipa::path(
    delete, path = "/api/v1/me", tag = "Account", operation_id = "deleteMe",
    security(("oauth2" = ["account:write"]), ("token" = []), ("with-proof" = [])),
    responses(
        (status = 204, description = "The account is gone"),
        (status = 401, description = "`unauthorized`: no valid access token. `insufficient-user-authentication`: the sign-in is not fresh enough (RFC 9470)",
            body = Problem, content_type = "application/problem+json"),
    )
)]
// At once, unlike the account's page: an app that had somebody sign in for this, and was told 204, tells them that it is gone.
pub async fn delete(State(state): State<AppState>, caller: Caller) -> Result<StatusCode, Failure> {
    may_write(&caller)?;
    let platform = &state.platform;
    caller.require_fresh(platform.clock.now(), FRESH)?;
    let mut tx = platform.db.begin().await?;
    caller.require_whole(&mut tx).await??;
    let Some(user) = users::by_id(&mut tx, caller.user_id).await? else { return Err(Challenge::Invalid.into()) };
    let told = |notice: &mut SecurityNotice| notice.to = Some(user.email.clone());
    notices::tell_with(&mut tx, platform, &user, Notice::AccountDeleted, told).await?;
    accounts::delete(&mut tx, platform, caller.user_id, "own wish").await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn may_write(caller: &Caller) -> Result<(), Challenge> {
    caller.require("account:write")?;
    if caller.first_party { Ok(()) } else { Err(Challenge::Forbidden("accounts are changed by our own apps only")) }
}

type CheckRow = (String, String, Option<i64>, bool, DateTime<Utc>);
type EnrichmentRow = (String, String, DateTime<Utc>, SqlJson<Value>);

async fn describe(conn: &mut Conn, user: User) -> Result<Me, DbError> {
    let referrer: Option<(Option<String>, Option<String>)> = fetch_optional!(
        conn,
        (Option<String>, Option<String>),
        "SELECT u.given_name, u.family_name FROM referrals r JOIN users u ON u.id = r.referrer_id \
         WHERE r.referral_user_id = $1",
        user.id
    )?;
    let email_check = fetch_optional!(
        conn,
        CheckRow,
        "SELECT source, status, score, flagged, checked_at FROM email_checks WHERE user_id = $1",
        user.id
    )?;
    // Who has not proved the address may have typed a stranger's.
    let enrichment = fetch_optional!(
        conn,
        EnrichmentRow,
        "SELECT source, status, fetched_at, answer FROM enrichments WHERE user_id = $1",
        user.id
    )?
    .filter(|_| user.email_verified_at.is_some());
    Ok(Me {
        id: user.id,
        email: user.email,
        email_verified: user.email_verified_at.is_some(),
        given_name: user.given_name,
        family_name: user.family_name,
        locale: user.locale,
        profile: user.profile.0,
        discoverable: user.discoverable,
        created_at: user.created_at,
        referred_by: referrer.map(|(given, family)| {
            let name: Vec<String> = [given, family].into_iter().flatten().collect();
            Referrer { display_name: (!name.is_empty()).then(|| name.join(" ")) }
        }),
        email_check: email_check.map(|(source, status, score, flagged, checked_at)| EmailCheck {
            source,
            status,
            score,
            flagged,
            checked_at,
        }),
        enrichment: enrichment.map(|(source, status, fetched_at, SqlJson(answer))| Enrichment {
            source,
            status,
            fetched_at,
            answer,
        }),
    })
}
