//! Asking again, once what is known is `verification.refresh_days` or `enrichment.refresh_days` old: of people who have
//! proved their address, a few at a time, out of what new people leave of the month.

use std::time::Duration;

use chrono::TimeDelta;
use shared::db::{DbError, Tx};
use shared::ids::UserId;
use shared::outbox::{self, Job};
use shared::{fetch_all, fetch_one, users};
use tokio::sync::watch;
use tracing::{info, warn};

use super::worker::is_stopped;
use super::{Outside, forgotten};

/// How often somebody looks.
const ROUND: Duration = Duration::from_secs(60);
/// How many a round takes on: 144,000 a day.
const BATCH: i64 = 100;

/// One of the two things that are asked again.
struct Again {
    kind: &'static str,
    days: u64,
    job: fn(UserId) -> Job,
    /// Moves up to `$3` rows that were last seen to at `$2` or before on to `$1`. The outer condition repeats the inner one:
    /// of two instances that chose the same rows, the second finds them moved.
    take: &'static str,
}

/// Asks again, until `stopped`.
pub(super) async fn refreshing(outside: &Outside, mut stopped: watch::Receiver<bool>) {
    loop {
        match outside.refresh().await {
            Ok(0) => {}
            Ok(people) => info!(people, "what is known of people is old, and asked for again"),
            Err(error) => warn!(%error, "nobody is asked about again now"),
        }
        tokio::select! {
            () = is_stopped(&mut stopped) => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

impl Outside {
    /// One round. Returns how many people are asked about again.
    pub(super) async fn refresh(&self) -> Result<usize, DbError> {
        let config = &self.platform.config;
        let mut asked = 0;
        if self.verifier.is_some() {
            asked += self
                .refresh_one(&Again {
                    kind: "email_check",
                    days: config.verification.refresh_days,
                    job: |user_id| Job::CheckEmail { user_id },
                    take: "UPDATE email_checks SET asked_at = $1 WHERE user_id IN (SELECT user_id FROM email_checks \
                           WHERE COALESCE(asked_at, checked_at) <= $2 ORDER BY COALESCE(asked_at, checked_at) LIMIT $3) \
                           AND COALESCE(asked_at, checked_at) <= $2 RETURNING user_id",
                })
                .await?;
        }
        if self.enricher.is_some() {
            asked += self
                .refresh_one(&Again {
                    kind: "enrichment",
                    days: config.enrichment.refresh_days,
                    job: |user_id| Job::Enrich { user_id },
                    take: "UPDATE enrichments SET asked_at = $1 WHERE user_id IN (SELECT user_id FROM enrichments \
                           WHERE COALESCE(asked_at, fetched_at) <= $2 ORDER BY COALESCE(asked_at, fetched_at) LIMIT $3) \
                           AND COALESCE(asked_at, fetched_at) <= $2 RETURNING user_id",
                })
                .await?;
        }
        Ok(asked)
    }

    async fn refresh_one(&self, again: &Again) -> Result<usize, DbError> {
        let Some(allowance) = self.allowance(again.kind).filter(|_| again.days > 0) else { return Ok(0) };
        let platform = &self.platform;
        let now = platform.clock.now();
        let before =
            now - TimeDelta::try_days(i64::try_from(again.days).unwrap_or(3650)).unwrap_or(TimeDelta::days(3650));
        let mut conn = platform.db.read().await?;
        let room = allowance.spare(&mut conn).await?;
        // What waits already uses it up first.
        let (waiting,): (i64,) = fetch_one!(
            &mut conn,
            (i64,),
            "SELECT COUNT(*) FROM (SELECT id FROM outbox WHERE kind = $1 LIMIT $2) w",
            again.kind,
            BATCH
        )?;
        drop(conn);
        let most = (room - waiting).min(BATCH - waiting);
        if most <= 0 {
            return Ok(0);
        }
        let mut tx = platform.db.begin().await?;
        let due = fetch_all!(&mut tx, (UserId,), again.take, now, before, most)?;
        let mut asked = 0;
        for (user_id,) in due {
            if self.may_be_asked_about(&mut tx, user_id, again.kind).await? {
                let share = f64::from(u16::from_le_bytes(platform.random.bytes())) / f64::from(u16::MAX);
                let wait = TimeDelta::from_std(ROUND.mul_f64(share)).unwrap_or_default();
                outbox::enqueue_after(&mut tx, platform, &(again.job)(user_id), wait).await?;
                asked += 1;
            }
        }
        tx.commit().await?;
        Ok(asked)
    }

    /// Not about an address that nobody has proved, who is about to go, who was forgotten, or whom a job is about already.
    async fn may_be_asked_about(&self, tx: &mut Tx, id: UserId, kind: &str) -> Result<bool, DbError> {
        let Some(user) = users::by_id(tx, id).await? else { return Ok(false) };
        if user.email_verified_at.is_none() || user.deletion_at.is_some() {
            return Ok(false);
        }
        if forgotten::contains(tx, &self.platform, &user.email_key).await? {
            return Ok(false);
        }
        let (open,): (i64,) =
            fetch_one!(tx, (i64,), "SELECT COUNT(*) FROM outbox WHERE user_id = $1 AND kind = $2", id, kind)?;
        Ok(open == 0)
    }
}
