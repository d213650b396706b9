//! `/v1/invitations`: mails a referrer's active code to a friend. It must neither serve as a mail relay nor tell who has
//! an account.

pub mod own;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::db::{Conn, DbError};
use shared::email::Email;
use shared::http::{ClientIp, Json};
use shared::idempotency::{Idempotent, KeyHeader};
use shared::ids::{ClientId, UserId};
use shared::outbox::{self, Job};
use shared::problem::{FieldError, Problem};
use shared::referrals::invitations;
use shared::users::{self, User};
use shared::{Platform, audit, fetch_all};
use utoipa::ToSchema;

use crate::access::{AccessToken, Caller, Invite, token_needed};
use crate::codes::{CLIENTS_AT_AN_ADDRESS, discoverable_code};
use crate::state::AppState;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LOCALE: &str = "en";

/// Whose code is to be mailed to whom.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// The email address of the person whose code it is.
    #[schema(example = "ann@example.com", format = Email)]
    referrer_email: String,
    /// Where the code is mailed to.
    #[schema(example = "friend@example.org", format = Email)]
    email: String,
}

/// The request was taken. Whether a mail is sent stays unsaid.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// Always the same.
    #[schema(example = "accepted")]
    status: &'static str,
}

/// Mail a referrer's active code to a friend
///
/// Who calls must have confirmed their own email address, and nothing is mailed for a referrer who has not. Apart from
/// that the answer is the same whether there is such a referrer and code or not. Nobody is mailed who asked not to be.
/// Those for one's own code are listed by `GET /v1/invitations`.
/// With an `Idempotency-Key`, a repeated request sends nothing more.
#[utoipa::path(
    post, path = "/v1/invitations", tag = "Invitations", operation_id = "createInvitation",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(KeyHeader),
    request_body = NewInvitation,
    responses(
        (status = 202, description = "Accepted", body = Accepted),
        (status = 403, description = "`email-unverified`: the caller's own email address is to be confirmed first. `insufficient-scope`: the token lacks the scope", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "An address is at fault", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many invitations today; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Option<Caller<Invite>>,
    ip: ClientIp,
    headers: HeaderMap,
    Json(new): Json<NewInvitation>,
) -> Result<Response, Problem> {
    let platform = state.platform();
    let token = caller.map(|caller| caller.token);
    if token.is_none() && !platform.config.invitations.anonymous {
        return Err(token_needed(&state));
    }
    let asker = match token.as_ref().and_then(|token| token.user) {
        Some(user) => Some(proved(platform, user).await?),
        None => None,
    };
    let caller = match &token {
        Some(token) => token.caller(),
        None => ip.to_string(),
    };
    let (referrer, friend) = check(&new)?;
    // For their own code: they are to see what becomes of it. No more is compared than what they know themselves.
    let owner = asker.filter(|asker| asker.email_key == referrer.key).map(|asker| asker.id);
    let request = serde_json::to_vec(&new).map_err(|_| Problem::internal())?;
    let key = Idempotent::from_headers(&headers, &["POST /v1/invitations", &caller], &request)?;
    if Idempotent::kept(key.as_ref(), platform).await?.is_some() {
        return Ok(accepted());
    }
    let bucket = ip.bucket();
    let counted_by = if token.is_some() { caller.as_bytes() } else { bucket.as_slice() };
    // As for look-ups: clients that act for themselves count together where they come from.
    if token.as_ref().is_some_and(|token| token.user.is_none()) {
        let max = platform.config.invitations.per_caller_per_day.saturating_mul(CLIENTS_AT_AN_ADDRESS);
        platform.limits.check("invitation-clients", &bucket, max, DAY).await?;
    }
    let address_may_be_mailed = within_limits(platform, counted_by, &friend).await?;

    let (referrer, code) = discoverable_code(&state, &referrer).await?;
    let mut conn = platform.db.read().await?;
    let objects = objects(&mut conn, platform, &friend).await?;
    drop(conn);
    let referrer = referrer.filter(|referrer| referrer.email_verified_at.is_some() && code.is_some());
    let mails = referrer.is_some() && address_may_be_mailed && !objects;
    let mails = within_the_day(platform, mails).await && mails;
    let asked = Asked { owner, referrer, friend, mails };
    match hand_over(platform, token.as_ref(), asked, key.as_ref()).await {
        // The referrer's account went, or the same request was faster: the same answer.
        Ok(()) | Err(DbError::ForeignKeyViolation(_) | DbError::UniqueViolation(_)) => Ok(accepted()),
        Err(error) => Err(error.into()),
    }
}

struct Asked {
    /// Who asks for their own code to be mailed.
    owner: Option<UserId>,
    /// The referrer, where there is one with a code that may be mailed.
    referrer: Option<User>,
    friend: Email,
    /// Is there somebody who may be mailed, too?
    mails: bool,
}

/// Writes the same rows whether there is a mail to send or not, or the time would tell. For the owner of the code there is
/// a job for whomever they invite, so that they see it go the same way
/// ([`shared::referrals::invitations`]); where nobody is to be mailed, its address is left out.
async fn hand_over(
    platform: &Platform,
    token: Option<&AccessToken>,
    asked: Asked,
    key: Option<&Idempotent>,
) -> Result<(), DbError> {
    let Asked { owner, referrer, friend, mails } = asked;
    let asker = token.and_then(|token| token.user);
    let client = token.map(|token| ClientId(token.client_id().to_owned()));
    let locale = referrer.as_ref().and_then(|r| r.locale.clone()).unwrap_or_else(|| DEFAULT_LOCALE.to_owned());
    let referrer_id = referrer.as_ref().map_or(UserId(uuid::Uuid::nil()), |referrer| referrer.id);

    let mut tx = platform.db.begin().await?;
    let invitation_id = match owner {
        Some(owner) => Some(invitations::insert(&mut tx, platform, owner, &friend, referrer.is_none()).await?),
        None => None,
    };
    let email = if mails { friend.display } else { "-".repeat(friend.display.len()) };
    let job = Job::Invitation { referrer_id, email, locale, invitation_id };
    if mails || (owner.is_some() && referrer.is_some()) {
        outbox::enqueue(&mut tx, platform, &job).await?;
    } else {
        outbox::enqueue_nothing(&mut tx, platform, &job, asker).await?;
    }
    audit::record(&mut tx, platform, "invitation.requested", asker, client.as_ref(), json!({})).await?;
    if let Some(key) = key {
        key.keep(&mut tx, platform, 202, &json!({})).await?;
    }
    tx.commit().await
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(Accepted { status: "accepted" })).into_response()
}

fn check(new: &NewInvitation) -> Result<(Email, Email), Problem> {
    let mut errors = vec![];
    let mut read = |name, text: &str| {
        let email = Email::parse(text);
        if let Err(reason) = &email {
            errors.push(FieldError::body(name, reason.to_string()));
        }
        email.ok()
    };
    match (read("referrer_email", &new.referrer_email), read("email", &new.email)) {
        (Some(referrer), Some(friend)) => Ok((referrer, friend)),
        _ => Err(Problem::validation(errors)),
    }
}

/// Counts this invitation. A caller learns of the limits they reached themselves; that an address was mailed enough by
/// others (`Ok(false)`) is not told.
async fn within_limits(platform: &Platform, caller: &[u8], friend: &Email) -> Result<bool, Problem> {
    let limits = &platform.config.invitations;
    // Tags and dots folded: `ann+1@…` and `ann+2@…` are one mailbox.
    let address = platform.master_key.mac("invitation-limit", friend.canonical.as_bytes());
    let own = [caller, b"\0", &address].concat();
    platform.limits.check("invitation-caller", caller, limits.per_caller_per_day, DAY).await?;
    platform.limits.check("invitation-own-address", &own, limits.per_address_per_day, DAY).await?;
    Ok(platform.limits.check("invitation-address", &address, limits.per_address_per_day, DAY).await.is_ok())
}

/// Is there anything left of what all may send today? Only a mail counts: requests that send nothing must not use it up
/// for everybody. Asked once either way, so that the time tells nothing.
async fn within_the_day(platform: &Platform, mails: bool) -> bool {
    let max = platform.config.invitations.per_day;
    let everything = platform.config.api.public_url.as_str().as_bytes();
    let checked = if mails {
        platform.limits.check("invitation-all", everything, max, DAY).await
    } else {
        platform.limits.is_reached("invitation-all", everything, max).await
    };
    if checked.is_err() {
        tracing::warn!(max, "invitations.per_day is reached: nothing more is mailed today");
    }
    checked.is_ok()
}

/// Anybody can open an account under any address. Only from one whose address is proved do others get mail.
async fn proved(platform: &Platform, user: UserId) -> Result<User, Problem> {
    let mut conn = platform.db.read().await?;
    if let Some(user) = users::by_id(&mut conn, user).await?.filter(|user| user.email_verified_at.is_some()) {
        return Ok(user);
    }
    let unverified = Problem::new(StatusCode::FORBIDDEN, "email-unverified", "The email address is not confirmed");
    Err(unverified.with_detail("confirm your own email address first, by the link that was mailed to it"))
}

/// Has the owner of this address asked not to be mailed by others?
async fn objects(conn: &mut Conn, platform: &Platform, email: &Email) -> Result<bool, DbError> {
    let hash = platform.master_key.mac("mail-objection", email.canonical.as_bytes());
    let found = fetch_all!(conn, (i64,), "SELECT COUNT(*) FROM mail_objections WHERE email_hash = $1", hash)?;
    Ok(found.first().is_some_and(|(count,)| *count > 0))
}
