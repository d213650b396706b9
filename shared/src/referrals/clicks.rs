//! What came of a code: how often its link (`/r/CODE`) was followed, from how many network addresses, and how many signed
//! up. Counted by day. Of who followed it there is a hash for the rest of the day, and nothing after it.

use chrono::{DateTime, Days, NaiveTime, Utc};

use super::store::CodeRow;
use super::trace;
use crate::db::{Conn, DbError, Tx};
use crate::ids::{CodeId, UserId};
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_one};

/// Counts one click, by an address ([`ClientIp::bucket`](crate::http::ClientIp::bucket)).
pub async fn record(tx: &mut Tx, platform: &Platform, code: CodeId, address: &[u8]) -> Result<(), DbError> {
    let hash = trace::hash_of_the_day(tx, platform, address).await?;
    let now = platform.clock.now();
    let end = now.date_naive().checked_add_days(Days::new(1)).unwrap_or(now.date_naive());
    let new = execute!(
        tx,
        "INSERT INTO referral_visitors (address_hash, code_id, expires_at) VALUES ($1, $2, $3) \
         ON CONFLICT (address_hash, code_id) DO NOTHING",
        hash,
        code,
        end.and_time(NaiveTime::MIN).and_utc()
    )?;
    add(tx, code, now, [1, i64::try_from(new).unwrap_or(1), 0]).await
}

/// Counts one sign-up, in its transaction.
pub(super) async fn signed_up(tx: &mut Tx, platform: &Platform, code: CodeId) -> Result<(), DbError> {
    add(tx, code, platform.clock.now(), [0, 0, 1]).await
}

async fn add(
    tx: &mut Tx,
    code: CodeId,
    now: DateTime<Utc>,
    [clicks, visitors, sign_ups]: [i64; 3],
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO referral_code_days (code_id, day, clicks, visitors, sign_ups) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (code_id, day) DO UPDATE SET clicks = referral_code_days.clicks + $3, \
         visitors = referral_code_days.visitors + $4, sign_ups = referral_code_days.sign_ups + $5",
        code,
        trace::day(now),
        clicks,
        visitors,
        sign_ups
    )?;
    Ok(())
}

/// What came of a code in all. A visitor who came on two days is two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Totals {
    pub clicks: i64,
    pub visitors: i64,
    pub sign_ups: i64,
}

/// The sums of all days.
pub async fn totals(conn: &mut Conn, code: CodeId) -> Result<Totals, DbError> {
    fetch_one!(
        conn,
        Totals,
        "SELECT CAST(COALESCE(SUM(clicks), 0) AS BIGINT) AS clicks, \
         CAST(COALESCE(SUM(visitors), 0) AS BIGINT) AS visitors, \
         CAST(COALESCE(SUM(sign_ups), 0) AS BIGINT) AS sign_ups FROM referral_code_days WHERE code_id = $1",
        code
    )
}

/// What came of a code on one day.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Day {
    /// `2030-01-31`, UTC.
    pub day: String,
    pub clicks: i64,
    pub visitors: i64,
    pub sign_ups: i64,
}

/// The days since `since` on which anything came of it, the first first.
pub async fn days(conn: &mut Conn, code: CodeId, since: DateTime<Utc>) -> Result<Vec<Day>, DbError> {
    fetch_all!(
        conn,
        Day,
        "SELECT day, clicks, visitors, sign_ups FROM referral_code_days WHERE code_id = $1 AND day >= $2 ORDER BY day",
        code,
        trace::day(since)
    )
}

/// A code with what its history tells.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Listed {
    #[sqlx(flatten)]
    pub code: CodeRow,
    pub deleted_at: Option<DateTime<Utc>>,
    pub clicks: i64,
    pub visitors: i64,
}

/// Codes of `referrer`, past ones too, newest first, below the id `before`.
pub async fn page_of(
    conn: &mut Conn,
    referrer: UserId,
    before: Option<CodeId>,
    limit: i64,
) -> Result<Vec<Listed>, DbError> {
    fetch_all!(
        conn,
        Listed,
        "SELECT c.id, c.referrer_id, c.code, c.status, c.created_at, c.expires_at, c.max_uses, c.uses, c.deleted_at, \
         (SELECT CAST(COALESCE(SUM(d.clicks), 0) AS BIGINT) FROM referral_code_days d WHERE d.code_id = c.id) AS clicks, \
         (SELECT CAST(COALESCE(SUM(d.visitors), 0) AS BIGINT) FROM referral_code_days d WHERE d.code_id = c.id) \
         AS visitors FROM referral_codes c WHERE c.referrer_id = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3",
        referrer,
        before.unwrap_or(CodeId(uuid::Uuid::max())),
        limit
    )
}
