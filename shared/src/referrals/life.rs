//! The life of a referral: pending until the address is confirmed, then verified, qualified and rewarded; rejected,
//! reversed or expired on the way. Each step is one guarded update with an event that stays, the statistics, the message
//! to other systems and, where there are any, the credits: all of it in the caller's transaction, or none.

use std::fmt;

use chrono::{DateTime, Days, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::signals::{self, Signal};
use super::{rewards, trace};
use crate::config::QualifyOn;
use crate::db::{Conn, DbError, Tx};
use crate::ids::{ReferralId, UserId};
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_optional, webhooks};

/// Where a referral stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The person's address is not confirmed yet.
    Pending,
    /// It is.
    Verified,
    /// The person did what the programme is for. It is held for a while.
    Qualified,
    /// The credits were given.
    Rewarded,
    /// It does not count.
    Rejected,
    /// It was rewarded, and the credits were taken back.
    Reversed,
    /// It did not qualify in time.
    Expired,
}

impl Status {
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Verified, Self::Qualified, Self::Rewarded, Self::Rejected, Self::Reversed, Self::Expired];

    /// As in the tables and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Qualified => "qualified",
            Self::Rewarded => "rewarded",
            Self::Rejected => "rejected",
            Self::Reversed => "reversed",
            Self::Expired => "expired",
        }
    }

    /// Reads what [`Status::as_str`] wrote. The schema's CHECK knows the same seven.
    pub fn stored(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Pending)
    }

    /// May it become `to`?
    pub fn may_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Pending, Self::Verified | Self::Rejected | Self::Expired)
                | (Self::Verified, Self::Qualified | Self::Rejected | Self::Expired)
                | (Self::Qualified, Self::Rewarded | Self::Rejected)
                | (Self::Rewarded, Self::Reversed)
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The rules of the programme.
    Rule,
    User(UserId),
    /// An app, by its `client_id`.
    Client(String),
}

impl Actor {
    /// As in `referral_events.actor`.
    pub fn stored(&self) -> Option<String> {
        match self {
            Self::Rule => None,
            Self::User(id) => Some(format!("user:{id}")),
            Self::Client(id) => Some(format!("client:{id}")),
        }
    }
}

/// A referral's row as the programme sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub id: ReferralId,
    pub referrer_id: UserId,
    pub referral_user_id: Option<UserId>,
    pub code: String,
    pub status: String,
    pub source: String,
    pub review: String,
    pub lapses_at: Option<DateTime<Utc>>,
    pub held_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Why a referral did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChange {
    #[error("there is no such referral")]
    Unknown,
    #[error("a referral that is {from} can't become {to}")]
    NotFrom { from: Status, to: Status },
    #[error("something speaks against it: it waits for somebody to look at that")]
    UnderReview,
    #[error("nothing waits for somebody to look at it")]
    NotUnderReview,
    /// The hold period is not over.
    #[error("it is held until {0}")]
    Held(DateTime<Utc>),
}

/// The referral with this id.
pub async fn by_id(conn: &mut Conn, id: ReferralId) -> Result<Option<Row>, DbError> {
    fetch_optional!(
        conn,
        Row,
        "SELECT r.id, r.referrer_id, r.referral_user_id, c.code, r.status, r.source, r.review, r.lapses_at, r.held_until, \
         r.created_at, r.updated_at FROM referrals r JOIN referral_codes c ON c.id = r.code_id WHERE r.id = $1",
        id
    )
}

/// The referral that brought this person.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Option<Row>, DbError> {
    fetch_optional!(
        conn,
        Row,
        "SELECT r.id, r.referrer_id, r.referral_user_id, c.code, r.status, r.source, r.review, r.lapses_at, r.held_until, \
         r.created_at, r.updated_at FROM referrals r JOIN referral_codes c ON c.id = r.code_id \
         WHERE r.referral_user_id = $1",
        user
    )
}

/// Records that a referral began, after its row was written.
pub(super) async fn began(tx: &mut Tx, platform: &Platform, id: ReferralId, referrer: UserId) -> Result<(), DbError> {
    append(tx, platform, id, None, Status::Pending, "sign-up with a referral code", &Actor::Rule).await?;
    count(tx, platform, referrer, None, Status::Pending).await?;
    publish(tx, platform, id, "referral.created", None, "sign-up with a referral code").await
}

/// Changes the status of a referral, with everything that goes with it.
///
/// The outer error is the database's; the inner one says why nothing changed, and then nothing was written. Rewarding one
/// that is held or under review is refused: [`reward`] says which of that may be set aside.
pub async fn transition(
    tx: &mut Tx,
    platform: &Platform,
    id: ReferralId,
    to: Status,
    reason: &str,
    actor: &Actor,
) -> Result<Result<Row, NoChange>, DbError> {
    step(tx, platform, id, to, reason, actor, false).await
}

/// Rewards a qualified referral, at somebody's word also before its hold is over.
pub async fn reward(
    tx: &mut Tx,
    platform: &Platform,
    id: ReferralId,
    reason: &str,
    actor: &Actor,
    despite_hold: bool,
) -> Result<Result<Row, NoChange>, DbError> {
    step(tx, platform, id, Status::Rewarded, reason, actor, despite_hold).await
}

async fn step(
    tx: &mut Tx,
    platform: &Platform,
    id: ReferralId,
    to: Status,
    reason: &str,
    actor: &Actor,
    despite_hold: bool,
) -> Result<Result<Row, NoChange>, DbError> {
    let now = platform.clock.now();
    // Whoever changes it between our look and our update has us look again; a status is never taken twice, so it ends.
    for _ in 0..Status::ALL.len() {
        let Some(row) = by_id(tx, id).await? else { return Ok(Err(NoChange::Unknown)) };
        let from = Status::stored(&row.status);
        if !from.may_become(to) {
            return Ok(Err(NoChange::NotFrom { from, to }));
        }
        if to == Status::Rewarded {
            if row.review == "open" {
                return Ok(Err(NoChange::UnderReview));
            }
            if let Some(until) = row.held_until.filter(|until| *until > now && !despite_hold) {
                return Ok(Err(NoChange::Held(until)));
            }
        }
        let held_until = match to {
            Status::Qualified => now.checked_add_days(Days::new(platform.config.programme.hold_days)),
            _ => None,
        };
        let lapses_at = if to == Status::Verified { row.lapses_at } else { None };
        // What was read above is in the guard: between the two, somebody may have been faster.
        let changed = execute!(
            tx,
            "UPDATE referrals SET status = $3, held_until = $4, lapses_at = $5, updated_at = $6, \
               review = CASE WHEN $3 IN ('rejected', 'reversed', 'expired') AND review = 'open' THEN 'cleared' ELSE review END \
             WHERE id = $1 AND status = $2 AND ($3 <> 'rewarded' OR review <> 'open')",
            id,
            from.as_str(),
            to.as_str(),
            held_until,
            lapses_at,
            now
        )?;
        if changed == 0 {
            continue;
        }
        append(tx, platform, id, Some(from), to, reason, actor).await?;
        count(tx, platform, row.referrer_id, Some(from), to).await?;
        match to {
            Status::Rewarded => rewards::credit(tx, platform, &row).await?,
            Status::Reversed => rewards::reverse(tx, platform, &row).await?,
            _ => {}
        }
        publish(tx, platform, id, &format!("referral.{to}"), Some(from), reason).await?;
        let updated = Row { status: to.as_str().into(), held_until, lapses_at, updated_at: now, ..row };
        return Ok(Ok(updated));
    }
    let row = by_id(tx, id).await?;
    Ok(Err(row.map_or(NoChange::Unknown, |row| NoChange::NotFrom { from: Status::stored(&row.status), to })))
}

/// The referral's address was confirmed: pending becomes verified, and qualified where the programme asks no more. Nothing
/// happens to any other status.
pub async fn mark_verified(tx: &mut Tx, platform: &Platform, newcomer: UserId) -> Result<(), DbError> {
    let Some(row) = of_user(tx, newcomer).await? else { return Ok(()) };
    signals::examine_again(tx, platform, &row).await?;
    if row.status == "pending" { verify(tx, platform, row.id).await } else { Ok(()) }
}

/// An account whose address nobody had proved is its owner's now, who proved it in another way than the sign-up's: whoever
/// opened it may have been a stranger with a code of their own. Somebody has to look, before anything is credited for it.
pub async fn taken_over(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
    let Some(row) = of_user(tx, user).await? else { return Ok(()) };
    signals::raise(tx, platform, row.id, &[(Signal::TakenOver, json!({}))]).await
}

/// The owner of an address signs up with a code of their own, where a stranger had opened the account: the stranger's
/// referral does not count, and is theirs no more.
pub async fn part(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
    let Some(row) = of_user(tx, user).await? else { return Ok(()) };
    let reason = "the account was opened by somebody else than its owner";
    // One that is closed stays as it is.
    let _ = transition(tx, platform, row.id, Status::Rejected, reason, &Actor::Rule).await?;
    execute!(tx, "UPDATE referrals SET referral_user_id = NULL WHERE id = $1", row.id)?;
    Ok(())
}

pub(super) async fn verify(tx: &mut Tx, platform: &Platform, id: ReferralId) -> Result<(), DbError> {
    let verified = transition(tx, platform, id, Status::Verified, "email address confirmed", &Actor::Rule).await?;
    if let Ok(row) = verified
        && row.review != "open"
        && platform.config.programme.qualify_on == QualifyOn::Verified
    {
        let _ = transition(tx, platform, id, Status::Qualified, "its address is confirmed", &Actor::Rule).await?;
    }
    Ok(())
}

/// Somebody looked at what speaks against a referral and found nothing in it. One that only waited for that goes on.
pub async fn clear(
    tx: &mut Tx,
    platform: &Platform,
    id: ReferralId,
    reason: &str,
) -> Result<Result<Row, NoChange>, DbError> {
    let cleared = execute!(
        tx,
        "UPDATE referrals SET review = 'cleared', updated_at = $2 WHERE id = $1 AND review = 'open'",
        id,
        platform.clock.now()
    )?;
    let Some(row) = by_id(tx, id).await? else { return Ok(Err(NoChange::Unknown)) };
    if cleared == 0 {
        return Ok(Err(NoChange::NotUnderReview));
    }
    publish(tx, platform, id, "referral.cleared", None, reason).await?;
    if row.status == "verified" && platform.config.programme.qualify_on == QualifyOn::Verified {
        return transition(tx, platform, id, Status::Qualified, "its address is confirmed", &Actor::Rule).await;
    }
    Ok(Ok(row))
}

/// What the clock has happen: referrals whose hold is over are rewarded, those that did not qualify in time expire. A few
/// at a time, each in a transaction of its own; several instances may do it at once. Returns how many changed.
pub async fn advance(platform: &Platform) -> Result<usize, DbError> {
    const AT_ONCE: i64 = 100;
    let now = platform.clock.now();
    let mut conn = platform.db.read().await?;
    let held: Vec<(ReferralId,)> = fetch_all!(
        &mut conn,
        (ReferralId,),
        // Who has left, or is about to, brings nothing more by themselves: that is for somebody to decide.
        "SELECT id FROM referrals WHERE status = 'qualified' AND review <> 'open' AND held_until <= $1 \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = referral_user_id AND u.deletion_at IS NULL) \
         ORDER BY held_until LIMIT $2",
        now,
        AT_ONCE
    )?;
    let lapsed: Vec<(ReferralId,)> = fetch_all!(
        &mut conn,
        (ReferralId,),
        "SELECT id FROM referrals WHERE lapses_at <= $1 AND status IN ('pending', 'verified') ORDER BY lapses_at LIMIT $2",
        now,
        AT_ONCE
    )?;
    drop(conn);
    let held = held.into_iter().map(|(id,)| (id, Status::Rewarded, "its hold is over"));
    let lapsed = lapsed.into_iter().map(|(id,)| (id, Status::Expired, "it did not qualify in time"));
    let mut changed = 0;
    for (id, to, reason) in held.chain(lapsed) {
        let advanced = async {
            let mut tx = platform.db.begin().await?;
            let done = transition(&mut tx, platform, id, to, reason, &Actor::Rule).await?.is_ok();
            if done {
                tx.commit().await?;
            }
            Ok::<_, DbError>(done)
        };
        match advanced.await {
            Ok(done) => changed += usize::from(done),
            // One must not keep the others: an account may be on its way out at this very moment.
            Err(error) => tracing::warn!(%error, referral = %id, "a referral is not advanced now; it is tried again"),
        }
    }
    Ok(changed)
}

/// An event in the life of a referral.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRow {
    pub from_status: Option<String>,
    pub to_status: String,
    pub reason: String,
    pub actor: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// What happened to a referral, the first first.
pub async fn events(conn: &mut Conn, id: ReferralId) -> Result<Vec<EventRow>, DbError> {
    fetch_all!(
        conn,
        EventRow,
        "SELECT from_status, to_status, reason, actor, created_at FROM referral_events WHERE referral_id = $1 ORDER BY id",
        id
    )
}

async fn append(
    tx: &mut Tx,
    platform: &Platform,
    referral: ReferralId,
    from: Option<Status>,
    to: Status,
    reason: &str,
    actor: &Actor,
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO referral_events (id, referral_id, from_status, to_status, reason, actor, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        platform.random.uuid_v7(&platform.clock),
        referral,
        from.map(Status::as_str),
        to.as_str(),
        reason,
        actor.stored(),
        platform.clock.now()
    )?;
    Ok(())
}

/// Moves the statistics along. Rows are taken in one order, so that two changes never wait for each other.
async fn count(
    tx: &mut Tx,
    platform: &Platform,
    referrer: UserId,
    from: Option<Status>,
    to: Status,
) -> Result<(), DbError> {
    let mut moves: Vec<(Status, i64)> = from.map(|from| (from, -1)).into_iter().chain([(to, 1)]).collect();
    moves.sort_unstable();
    for (status, by) in moves {
        execute!(
            tx,
            "INSERT INTO referral_totals (referrer_id, status, n) VALUES ($1, $2, $3) \
             ON CONFLICT (referrer_id, status) DO UPDATE SET n = referral_totals.n + $3",
            referrer,
            status.as_str(),
            by
        )?;
    }
    execute!(
        tx,
        "INSERT INTO referral_days (referrer_id, day, status, n) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (referrer_id, day, status) DO UPDATE SET n = referral_days.n + 1",
        referrer,
        trace::day(platform.clock.now()),
        to.as_str()
    )?;
    Ok(())
}

/// Tells other systems of a change, with the state after it.
pub(super) async fn publish(
    tx: &mut Tx,
    platform: &Platform,
    id: ReferralId,
    kind: &str,
    from: Option<Status>,
    reason: &str,
) -> Result<(), DbError> {
    let Some(row) = by_id(tx, id).await? else { return Ok(()) };
    let mut data = document(&row);
    data["previous_status"] = json!(from);
    data["reason"] = json!(reason);
    webhooks::publish(tx, platform, kind, &data).await
}

/// A referral as other systems are told of it: ids, and nothing by which a person is known elsewhere.
pub fn document(row: &Row) -> Value {
    json!({
        "id": row.id,
        "referrer_id": row.referrer_id,
        "referral_user_id": row.referral_user_id,
        "code": row.code,
        "status": row.status,
        "source": row.source,
        "review": row.review,
        "held_until": row.held_until,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_through_a_life_ends() {
        for status in Status::ALL {
            assert_eq!(Status::stored(status.as_str()), status);
            assert!(!status.may_become(status));
            assert!(!status.may_become(Status::Pending), "nothing begins again");
        }
        for end in [Status::Rejected, Status::Reversed, Status::Expired] {
            assert!(Status::ALL.into_iter().all(|to| !end.may_become(to)));
        }
    }
}
