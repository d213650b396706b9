//! How many questions a service lets us ask: so many a second, a minute and a month, whichever instance asks them, and
//! none while it wishes to be left alone. One row for each service in the database, moved on by one guarded statement: it
//! holds across instances with and without Redis, through its outages, and a month outlives restarts.
//!
//! What is documented: Hunter, 10 questions a second and 300 a minute to the email verifier, 15 and 500 to enrichment,
//! answered by 403 beyond that, and by 429 once the plan's month is used up (hunter.io/api-documentation/v2). Clearbit, 600 a
//! minute, answered by 429 beyond that, with `X-RateLimit-Limit`, `-Remaining` and `-Reset` in every answer
//! (dashboard.clearbit.com/docs).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Datelike, DurationRound, Months, NaiveTime, TimeDelta, Utc};
use shared::clock::Clock;
use shared::config::{Enrichment, Verification};
use shared::db::{Conn, Db, DbError};
use shared::{Platform, execute, fetch_optional};

use super::call::Failure;

/// For how long the word that there is no room is believed without looking again. Another operator of the same key may
/// have raised the plan meanwhile.
const HEARSAY: TimeDelta = TimeDelta::seconds(60);
/// A window that begins later than this was counted by a clock that was wrong, and counts for nothing.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// No service is believed to wish for a longer rest.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// How many questions in which time; absent: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    per_second: Option<u64>,
    per_minute: Option<u64>,
    per_month: Option<u64>,
    /// 1 to 28.
    month_starts_on: u32,
}

impl Share {
    /// For Hunter's email verifier.
    pub(super) fn of_verification(settings: &Verification) -> Self {
        Self::new(settings.per_second, settings.per_minute, settings.per_month, settings.month_starts_on)
    }

    /// For Clearbit's combined look-up.
    pub(super) fn at_clearbit(settings: &Enrichment) -> Self {
        let (second, minute) = (settings.per_second.unwrap_or(0), settings.per_minute.unwrap_or(600));
        Self::new(second, minute, settings.per_month, settings.month_starts_on)
    }

    /// For Hunter's.
    pub(super) fn at_hunter(settings: &Enrichment) -> Self {
        let (second, minute) = (settings.per_second.unwrap_or(15), settings.per_minute.unwrap_or(500));
        Self::new(second, minute, settings.per_month, settings.month_starts_on)
    }

    fn new(per_second: u64, per_minute: u64, per_month: u64, month_starts_on: u64) -> Self {
        let limit = |most: u64| Some(most).filter(|most| *most > 0);
        Self {
            per_second: limit(per_second),
            per_minute: limit(per_minute),
            per_month: limit(per_month),
            month_starts_on: u32::try_from(month_starts_on).unwrap_or(1).clamp(1, 28),
        }
    }
}

/// What one service lets us ask. Clones share what this process has heard.
#[derive(Clone)]
pub(super) struct Allowance {
    service: &'static str,
    share: Share,
    db: Db,
    clock: Clock,
    /// Until when there is no use in looking.
    closed: Arc<Mutex<Option<DateTime<Utc>>>>,
}

/// Leave to ask once.
pub(super) struct Room {
    month_at: DateTime<Utc>,
}

/// A service's row.
#[derive(sqlx::FromRow)]
struct Standing {
    second_at: DateTime<Utc>,
    second_used: i64,
    minute_at: DateTime<Utc>,
    minute_used: i64,
    month_at: DateTime<Utc>,
    month_used: i64,
    rests_until: Option<DateTime<Utc>>,
}

impl Allowance {
    pub(super) fn new(platform: &Platform, service: &'static str, share: Share) -> Self {
        Self { service, share, db: platform.db.clone(), clock: platform.clock.clone(), closed: Arc::default() }
    }

    /// Is there certainly no room just now? Asks nobody.
    pub(super) fn is_closed(&self) -> bool {
        self.closed_for(self.clock.now()).is_some()
    }

    /// Takes one question out of the second, the minute and the month, or out of none of them.
    ///
    /// # Errors
    /// [`Failure::NoRoom`], with the time until there may be some.
    pub(super) async fn take(&self) -> Result<Room, Failure> {
        let now = self.clock.now();
        if let Some(wait) = self.closed_for(now) {
            return Err(Failure::NoRoom { wait: wait.to_std().unwrap_or_default() });
        }
        let taken = self.take_from_row(now).await;
        let unread = |error: DbError| Failure::Unavailable(format!("its allowance can't be read: {error}"));
        match taken.map_err(unread)? {
            Ok(room) => Ok(room),
            Err(wait) => {
                self.close_for(now, wait);
                Err(Failure::NoRoom { wait: wait.to_std().unwrap_or_default() })
            }
        }
    }

    async fn take_from_row(&self, now: DateTime<Utc>) -> Result<Result<Room, TimeDelta>, DbError> {
        let (month_at, next_month) = month(now, self.share.month_starts_on);
        let most = |limit: Option<u64>| limit.and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX);
        let mut tx = self.db.begin().await?;
        // Of two clocks the later one says which second it is; one that is far ahead is wrong and not followed.
        let taken = fetch_optional!(
            &mut tx,
            (DateTime<Utc>,),
            "INSERT INTO lookup_allowances AS a \
             (service, second_at, second_used, minute_at, minute_used, month_at, month_used) \
             VALUES ($1, $2, 1, $3, 1, $4, 1) \
             ON CONFLICT (service) DO UPDATE SET \
             second_used = CASE WHEN a.second_at >= $2 AND a.second_at <= $6 THEN a.second_used ELSE 0 END + 1, \
             second_at = CASE WHEN a.second_at >= $2 AND a.second_at <= $6 THEN a.second_at ELSE $2 END, \
             minute_used = CASE WHEN a.minute_at >= $3 AND a.minute_at <= $6 THEN a.minute_used ELSE 0 END + 1, \
             minute_at = CASE WHEN a.minute_at >= $3 AND a.minute_at <= $6 THEN a.minute_at ELSE $3 END, \
             month_used = CASE WHEN a.month_at >= $4 AND a.month_at <= $7 THEN a.month_used ELSE 0 END + 1, \
             month_at = CASE WHEN a.month_at >= $4 AND a.month_at <= $7 THEN a.month_at ELSE $4 END \
             WHERE (a.rests_until IS NULL OR a.rests_until <= $5 OR a.rests_until > $8) \
             AND (a.second_at < $2 OR a.second_at > $6 OR a.second_used < $9) \
             AND (a.minute_at < $3 OR a.minute_at > $6 OR a.minute_used < $10) \
             AND (a.month_at < $4 OR a.month_at > $7 OR a.month_used < $11) \
             RETURNING month_at",
            self.service,
            start_of(now, TimeDelta::seconds(1)),
            start_of(now, TimeDelta::minutes(1)),
            month_at,
            now,
            now + SKEW,
            next_month,
            now + TimeDelta::from_std(LONGEST_REST).unwrap_or(TimeDelta::days(1)),
            most(self.share.per_second),
            most(self.share.per_minute),
            most(self.share.per_month)
        )?;
        if let Some((month_at,)) = taken {
            tx.commit().await?;
            return Ok(Ok(Room { month_at }));
        }
        let standing = self.standing(&mut tx).await?;
        Ok(Err(standing.map_or(TimeDelta::seconds(1), |standing| standing.wait(&self.share, now))))
    }

    /// Gives a month's question back: what the service did not answer, it does not charge for.
    pub(super) async fn give_back(&self, room: Room) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        execute!(
            &mut tx,
            "UPDATE lookup_allowances SET month_used = month_used - 1 \
             WHERE service = $1 AND month_at = $2 AND month_used > 0",
            self.service,
            room.month_at
        )?;
        tx.commit().await
    }

    /// The service wishes to be left alone for `rest`, by all of us.
    pub(super) async fn leave_alone(&self, rest: Duration) -> Result<(), DbError> {
        let now = self.clock.now();
        let rest = TimeDelta::from_std(rest.min(LONGEST_REST)).unwrap_or_default();
        self.close_for(now, rest);
        let mut tx = self.db.begin().await?;
        execute!(
            &mut tx,
            "INSERT INTO lookup_allowances AS a \
             (service, second_at, second_used, minute_at, minute_used, month_at, month_used, rests_until) \
             VALUES ($1, $2, 0, $2, 0, $3, 0, $4) \
             ON CONFLICT (service) DO UPDATE SET rests_until = \
             CASE WHEN a.rests_until > $4 AND a.rests_until <= $5 THEN a.rests_until ELSE $4 END",
            self.service,
            now,
            month(now, self.share.month_starts_on).0,
            now + rest,
            now + TimeDelta::from_std(LONGEST_REST).unwrap_or(TimeDelta::days(1))
        )?;
        tx.commit().await
    }

    /// How many questions may go to people whom we know already: none while there is no room, and never the last quarter of
    /// a month, which is for new people.
    pub(super) async fn spare(&self, conn: &mut Conn) -> Result<i64, DbError> {
        let now = self.clock.now();
        if self.closed_for(now).is_some() {
            return Ok(0);
        }
        let standing = self.standing(conn).await?;
        if standing.as_ref().is_some_and(|standing| standing.rests(now).is_some()) {
            return Ok(0);
        }
        let Some(most) = self.share.per_month.and_then(|most| i64::try_from(most).ok()) else { return Ok(i64::MAX) };
        let (month_at, next_month) = month(now, self.share.month_starts_on);
        let of_now = standing.filter(|standing| (month_at..=next_month).contains(&standing.month_at));
        let used = of_now.map_or(0, |standing| standing.month_used);
        Ok((most - most / 4 - used).max(0))
    }

    async fn standing(&self, conn: &mut Conn) -> Result<Option<Standing>, DbError> {
        fetch_optional!(
            conn,
            Standing,
            "SELECT second_at, second_used, minute_at, minute_used, month_at, month_used, rests_until \
             FROM lookup_allowances WHERE service = $1",
            self.service
        )
    }

    fn closed_for(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.map(|until| until - now).filter(|wait| *wait > TimeDelta::zero() && *wait <= HEARSAY)
    }

    fn close_for(&self, now: DateTime<Utc>, wait: TimeDelta) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + wait.min(HEARSAY));
    }
}

impl Standing {
    fn rests(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let longest = TimeDelta::from_std(LONGEST_REST).unwrap_or(TimeDelta::days(1));
        self.rests_until.map(|until| until - now).filter(|rest| *rest > TimeDelta::zero() && *rest <= longest)
    }

    /// Until there is room in each of the windows.
    fn wait(&self, share: &Share, now: DateTime<Utc>) -> TimeDelta {
        let is_full = |used: i64, limit: Option<u64>| {
            limit.is_some_and(|most| u64::try_from(used).is_ok_and(|used| used >= most))
        };
        let mut wait = self.rests(now).unwrap_or_default();
        if is_full(self.second_used, share.per_second) {
            wait = wait.max(self.second_at + TimeDelta::seconds(1) - now);
        }
        if is_full(self.minute_used, share.per_minute) {
            wait = wait.max(self.minute_at + TimeDelta::minutes(1) - now);
        }
        let (month_at, next_month) = month(now, share.month_starts_on);
        if is_full(self.month_used, share.per_month) && self.month_at >= month_at {
            wait = wait.max(next_month - now);
        }
        // Another instance may have made room between the two statements.
        wait.max(TimeDelta::milliseconds(100))
    }
}

fn start_of(now: DateTime<Utc>, window: TimeDelta) -> DateTime<Utc> {
    now.duration_trunc(window).unwrap_or(now)
}

/// The month that `now` is in and the next one, of those that begin on `day` (1 to 28) at midnight UTC.
fn month(now: DateTime<Utc>, day: u32) -> (DateTime<Utc>, DateTime<Utc>) {
    let today = now.date_naive();
    let first = today.with_day(day).unwrap_or(today);
    let begin = if first <= today { first } else { first - Months::new(1) };
    let midnight = |date: chrono::NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    (midnight(begin), midnight(begin + Months::new(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_the_plans_day() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (now, day, begin, next) in [
            ("2026-11-26T08:00:00Z", 1, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-11-26T08:00:00Z", 28, "2026-10-28T00:00:00Z", "2026-11-28T00:00:00Z"),
            ("2026-03-30T00:00:00Z", 28, "2026-03-28T00:00:00Z", "2026-04-28T00:00:00Z"),
            ("2026-01-14T23:59:59Z", 15, "2025-12-15T00:00:00Z", "2026-01-15T00:00:00Z"),
            ("2026-01-15T00:00:00Z", 15, "2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z"),
        ] {
            assert_eq!(month(at(now), day), (at(begin), at(next)), "{now} {day}");
        }
    }
}
