//! The tables of referral codes and referrals. Each function runs inside the caller's connection or transaction.

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::code::{CodeKey, ReferralCode};
use super::signals::{self, Newcomer};
use super::trace::Trace;
use super::{clicks, life};
use crate::db::{Conn, DbError, Tx};
use crate::ids::{CodeId, ReferralId, UserId};
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_optional};

/// More uses than this are not a limit any more.
pub const MAX_USES: i64 = 1_000_000;

/// The latest expiry that a code may be given now.
pub fn latest_expiry(platform: &Platform) -> DateTime<Utc> {
    let days = i64::try_from(platform.config.referrals.max_code_days).unwrap_or(i64::MAX);
    platform.clock.now() + TimeDelta::days(days)
}

/// A referral code's row. `status` is as stored: an `active` code past its expiry has not been retired yet.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, sqlx::FromRow)]
pub struct CodeRow {
    pub id: CodeId,
    pub referrer_id: UserId,
    pub code: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub max_uses: Option<i64>,
    pub uses: i64,
}

impl CodeRow {
    /// Could someone sign up with it now?
    pub fn is_usable(&self, now: DateTime<Utc>) -> bool {
        self.status == "active" && self.expires_at > now && self.max_uses.is_none_or(|max| self.uses < max)
    }

    /// The status as told to its owner: the stored one, with what the clock and the counter add.
    pub fn status_at(&self, now: DateTime<Utc>) -> &'static str {
        match self.status.as_str() {
            "deleted" => "deleted",
            "active" if self.expires_at > now => match self.max_uses {
                Some(max) if self.uses >= max => "exhausted",
                _ => "active",
            },
            _ => "expired",
        }
    }
}

/// Why a code does not serve for a sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such referral code")]
    Unknown,
    #[error("this referral code has expired")]
    Expired,
    #[error("this referral code has been deleted by its owner")]
    Deleted,
    #[error("this referral code has been used as often as it may be")]
    Exhausted,
    #[error("you can't refer yourself")]
    SelfReferral,
}

/// Adds a code for `referrer`, retiring one of theirs that has expired. `Ok(None)` when one is active.
///
/// A chosen code that somebody has (or had) is [`DbError::UniqueViolation`] of the caller's transaction, which must
/// then be dropped.
pub async fn create(
    tx: &mut Tx,
    platform: &Platform,
    referrer: UserId,
    code: &ReferralCode,
    expires_at: DateTime<Utc>,
    max_uses: Option<i64>,
) -> Result<Option<CodeRow>, DbError> {
    let now = platform.clock.now();
    execute!(
        tx,
        "UPDATE referral_codes SET status = 'expired' WHERE referrer_id = $1 AND status = 'active' AND expires_at <= $2",
        referrer,
        now
    )?;
    // The partial unique index decides, also under races: no row comes back when another active code exists.
    fetch_optional!(
        tx,
        CodeRow,
        "INSERT INTO referral_codes (id, referrer_id, code, code_key, status, created_at, expires_at, max_uses) \
         VALUES ($1, $2, $3, $4, 'active', $5, $6, $7) \
         ON CONFLICT (referrer_id) WHERE status = 'active' DO NOTHING \
         RETURNING id, referrer_id, code, status, created_at, expires_at, max_uses, uses",
        CodeId::new(&platform.random, &platform.clock),
        referrer,
        &code.shown,
        code.key.as_str(),
        now,
        expires_at,
        max_uses
    )
}

/// The code that folds to `key`, whoever owns it and whatever its status.
pub async fn by_key(conn: &mut Conn, key: &CodeKey) -> Result<Option<CodeRow>, DbError> {
    fetch_optional!(
        conn,
        CodeRow,
        "SELECT id, referrer_id, code, status, created_at, expires_at, max_uses, uses FROM referral_codes \
         WHERE code_key = $1",
        key.as_str()
    )
}

/// The active code of `referrer`, if any; it may have expired since.
pub async fn active_of(conn: &mut Conn, referrer: UserId) -> Result<Option<CodeRow>, DbError> {
    fetch_optional!(
        conn,
        CodeRow,
        "SELECT id, referrer_id, code, status, created_at, expires_at, max_uses, uses FROM referral_codes \
         WHERE referrer_id = $1 AND status = 'active'",
        referrer
    )
}

/// Codes of `referrer`, newest first, below the id `before`.
pub async fn page_of(
    conn: &mut Conn,
    referrer: UserId,
    before: Option<CodeId>,
    limit: i64,
) -> Result<Vec<CodeRow>, DbError> {
    fetch_all!(
        conn,
        CodeRow,
        "SELECT id, referrer_id, code, status, created_at, expires_at, max_uses, uses FROM referral_codes \
         WHERE referrer_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        referrer,
        before.unwrap_or(CodeId(uuid::Uuid::max())),
        limit
    )
}

/// Deletes a code that `referrer` owns and that is not deleted yet: it stops working with the commit.
pub async fn delete(
    tx: &mut Tx,
    referrer: UserId,
    key: &CodeKey,
    now: DateTime<Utc>,
) -> Result<Option<CodeRow>, DbError> {
    fetch_optional!(
        tx,
        CodeRow,
        "UPDATE referral_codes SET status = 'deleted', deleted_at = $3 \
         WHERE code_key = $2 AND referrer_id = $1 AND status <> 'deleted' \
         RETURNING id, referrer_id, code, status, created_at, expires_at, max_uses, uses",
        referrer,
        key.as_str(),
        now
    )
}

/// Who signs up with a code, and how it came to them.
#[derive(Clone, Copy, Debug)]
pub struct Redemption<'a> {
    pub key: &'a CodeKey,
    pub newcomer: UserId,
    pub canonical_email: &'a str,
    pub email_is_verified: bool,
    pub source: Source,
    pub trace: &'a Trace,
}

/// How a code came to a sign-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Typed, or in the link that led to the sign-up.
    #[default]
    Code,
    /// Kept since the first link that was followed.
    FirstTouch,
    /// Kept since the last.
    LastTouch,
}

impl Source {
    /// As in `referrals.source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::FirstTouch => "first_touch",
            Self::LastTouch => "last_touch",
        }
    }

    /// Reads what [`Source::as_str`] wrote.
    pub fn stored(text: &str) -> Self {
        match text {
            "first_touch" => Self::FirstTouch,
            "last_touch" => Self::LastTouch,
            _ => Self::Code,
        }
    }
}

/// Counts one use of the code and records the referral. Call it last in the sign-up's transaction: a popular code's
/// row is locked from here to the commit.
///
/// The outer error is the database's; the inner one says why the code does not serve, and then nothing was written.
pub async fn redeem(
    tx: &mut Tx,
    platform: &Platform,
    redemption: Redemption<'_>,
) -> Result<Result<ReferralId, Refusal>, DbError> {
    let Redemption { key, newcomer, canonical_email, email_is_verified, source, trace } = redemption;
    let now = platform.clock.now();
    let Some(code) = by_key(tx, key).await? else { return Ok(Err(Refusal::Unknown)) };
    if let Some(refusal) = refusal(&code, now) {
        return Ok(Err(refusal));
    }
    let referrer = crate::users::by_id(tx, code.referrer_id).await?;
    if referrer.as_ref().is_some_and(|referrer| referrer.deletion_at.is_some()) {
        return Ok(Err(Refusal::Deleted));
    }
    if referrer.is_some_and(|r| r.email_canonical == canonical_email) {
        return Ok(Err(Refusal::SelfReferral));
    }
    let signals =
        signals::examine(tx, platform, Newcomer { referrer: code.referrer_id, user: newcomer, canonical_email, trace })
            .await?;
    trace.keep(tx, platform, newcomer).await?;
    // The guard repeats what was read above: between the two, the code may have been deleted or used up.
    let counted = fetch_optional!(
        tx,
        CodeRow,
        "UPDATE referral_codes SET uses = uses + 1 \
         WHERE id = $1 AND status = 'active' AND expires_at > $2 AND (max_uses IS NULL OR uses < max_uses) \
         RETURNING id, referrer_id, code, status, created_at, expires_at, max_uses, uses",
        code.id,
        now
    )?;
    if counted.is_none() {
        let code = by_key(tx, key).await?;
        return Ok(Err(code.and_then(|code| refusal(&code, now)).unwrap_or(Refusal::Unknown)));
    }
    let id = ReferralId::new(&platform.random, &platform.clock);
    let lapses_at = match platform.config.programme.lapse_days {
        0 => None,
        days => now.checked_add_days(Days::new(days)),
    };
    execute!(
        tx,
        "INSERT INTO referrals (id, referrer_id, referral_user_id, code_id, status, source, lapses_at, created_at, \
         updated_at, mailbox_hash) VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $7, $8)",
        id,
        code.referrer_id,
        newcomer,
        code.id,
        source.as_str(),
        lapses_at,
        now,
        signals::mailbox(platform, canonical_email)
    )?;
    clicks::signed_up(tx, platform, code.id).await?;
    life::began(tx, platform, id, code.referrer_id).await?;
    signals::raise(tx, platform, id, &signals).await?;
    // What the rules reject at once uses nothing up: else throw-away addresses would end somebody's code.
    execute!(
        tx,
        "UPDATE referral_codes SET uses = uses - 1 WHERE id = $1 AND uses > 0 \
         AND EXISTS (SELECT 1 FROM referrals WHERE id = $2 AND status = 'rejected')",
        code.id,
        id
    )?;
    if email_is_verified {
        life::verify(tx, platform, id).await?;
    }
    Ok(Ok(id))
}

/// Why `code` can't be used at `now`; `None` when it can.
pub fn refusal(code: &CodeRow, now: DateTime<Utc>) -> Option<Refusal> {
    match code.status_at(now) {
        "active" => None,
        "deleted" => Some(Refusal::Deleted),
        "exhausted" => Some(Refusal::Exhausted),
        _ => Some(Refusal::Expired),
    }
}

/// A referral with what its referrer may see of the person.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ReferralRow {
    pub id: ReferralId,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub code: String,
    pub email: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
}

/// Referrals of `referrer`, newest first, below the id `before`, of one status or of any.
pub async fn referrals_of(
    conn: &mut Conn,
    referrer: UserId,
    status: Option<&str>,
    before: Option<ReferralId>,
    limit: i64,
) -> Result<Vec<ReferralRow>, DbError> {
    let before = before.unwrap_or(ReferralId(uuid::Uuid::max()));
    // Two texts rather than `$n IS NULL OR …`, so that each is served by its own index.
    match status {
        None => fetch_all!(
            conn,
            ReferralRow,
            "SELECT r.id, r.status, r.created_at, r.updated_at, c.code, u.email, u.given_name, u.family_name \
             FROM referrals r JOIN referral_codes c ON c.id = r.code_id LEFT JOIN users u ON u.id = r.referral_user_id \
             WHERE r.referrer_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3",
            referrer,
            before,
            limit
        ),
        Some(status) => fetch_all!(
            conn,
            ReferralRow,
            "SELECT r.id, r.status, r.created_at, r.updated_at, c.code, u.email, u.given_name, u.family_name \
             FROM referrals r JOIN referral_codes c ON c.id = r.code_id LEFT JOIN users u ON u.id = r.referral_user_id \
             WHERE r.referrer_id = $1 AND r.status = $4 AND r.id < $2 ORDER BY r.id DESC LIMIT $3",
            referrer,
            before,
            limit,
            status
        ),
    }
}

/// A referral as who runs the programme sees it.
#[derive(Clone, Debug)]
pub struct ManagedRow {
    pub referral: life::Row,
    pub email: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for ManagedRow
where
    life::Row: sqlx::FromRow<'r, R>,
    &'static str: sqlx::ColumnIndex<R>,
    Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            referral: life::Row::from_row(row)?,
            email: row.try_get("email")?,
            given_name: row.try_get("given_name")?,
            family_name: row.try_get("family_name")?,
        })
    }
}

/// Which referrals are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    pub status: Option<&'a str>,
    /// Only those that wait for somebody to look at what speaks against them.
    pub open_review: bool,
    pub referrer: Option<UserId>,
    pub referral_user: Option<UserId>,
}

macro_rules! managed {
    ($conn:expr, $condition:literal $(, $value:expr)*) => {
        fetch_all!(
            $conn,
            ManagedRow,
            concat!(
                "SELECT r.id, r.referrer_id, r.referral_user_id, c.code, r.status, r.source, r.review, r.lapses_at, \
                 r.held_until, r.created_at, r.updated_at, u.email, u.given_name, u.family_name \
                 FROM referrals r JOIN referral_codes c ON c.id = r.code_id LEFT JOIN users u ON u.id = r.referral_user_id \
                 WHERE r.id < $1 ",
                $condition,
                " ORDER BY r.id DESC LIMIT $2"
            )
            $(, $value)*
        )
    };
}

/// Referrals of everybody, newest first, below the id `before`. One text for each way to ask, so that each is served by an
/// index of its own; what is asked beyond that is looked for among those.
pub async fn all_referrals(
    conn: &mut Conn,
    filter: Filter<'_>,
    before: Option<ReferralId>,
    limit: i64,
) -> Result<Vec<ManagedRow>, DbError> {
    let before = before.unwrap_or(ReferralId(uuid::Uuid::max()));
    let Filter { status, open_review, referrer, referral_user } = filter;
    let review = if open_review { "open" } else { "" };
    match (referral_user, referrer, status) {
        (Some(user), _, _) => managed!(
            conn,
            "AND r.referral_user_id = $3 AND ($4 = '' OR r.status = $4) AND ($5 = '' OR r.review = $5)",
            before,
            limit,
            user,
            status.unwrap_or_default(),
            review
        )
        .map(|rows| rows.into_iter().filter(|row| referrer.is_none_or(|id| row.referral.referrer_id == id)).collect()),
        (None, Some(referrer), Some(status)) => managed!(
            conn,
            "AND r.referrer_id = $3 AND r.status = $4 AND ($5 = '' OR r.review = $5)",
            before,
            limit,
            referrer,
            status,
            review
        ),
        (None, Some(referrer), None) => {
            managed!(conn, "AND r.referrer_id = $3 AND ($4 = '' OR r.review = $4)", before, limit, referrer, review)
        }
        (None, None, Some(status)) if open_review => {
            managed!(conn, "AND r.review = 'open' AND r.status = $3", before, limit, status)
        }
        (None, None, None) if open_review => managed!(conn, "AND r.review = 'open'", before, limit),
        (None, None, Some(status)) => managed!(conn, "AND r.status = $3", before, limit, status),
        (None, None, None) => managed!(conn, "", before, limit),
    }
}
