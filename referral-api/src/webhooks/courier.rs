//! Hands messages out to the endpoints that want them, and delivers them. Any number of instances may do it at once.
//!
//! A delivery is taken for a lease. If this process dies between the sending and the record of it, the message is sent
//! again when the lease is over, under the same id: at least once, in no certain order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::db::DbError;
use shared::ids::WebhookEndpointId;
use shared::webhooks::MessageId;
use shared::{Platform, execute, fetch_all, fetch_optional};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, info, warn};
use url::Url;
use uuid::Uuid;

use super::keys::SigningKeys;
use super::places::{Place, Places};
use super::sending::{self, Outcome, Verdict};
use super::store::{self, Ending};

/// How often it looks for something to do.
const ROUND: Duration = Duration::from_millis(500);
/// The longest pause between looks while the database is out of reach.
const LONGEST_ROUND: Duration = Duration::from_secs(10);
/// For how long a delivery is taken. Well above the longest time-out, or two would be at it.
const LEASE: TimeDelta = TimeDelta::seconds(90);
/// What attempts under way get when the process is asked to stop. The lease takes care of the others.
const GRACE: Duration = Duration::from_secs(3);
/// Messages handed out in one transaction.
const HANDED_OUT: i64 = 100;
/// After so many failures in a row an endpoint is left alone for a while, and then asked one thing at a time.
const FAILURES: i64 = 3;
const REST: TimeDelta = TimeDelta::seconds(60);

/// Delivers until `stopped` becomes true or its sender is gone.
pub fn spawn(platform: Platform, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(run(Courier::new(platform), stopped))
}

async fn run(courier: Courier, mut stopped: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut pause = ROUND;
    // Did the last look find something? Then there is probably more.
    let mut backlog = false;
    loop {
        tokio::select! {
            biased;
            // In a block of its own: what `wait_for` gives may not be held.
            () = async { let _ = stopped.wait_for(|stop| *stop).await; } => break,
            Some(_) = running.join_next(), if backlog => {}
            () = tokio::time::sleep(pause) => {}
        }
        while running.try_join_next().is_some() {}
        match courier.take().await {
            Ok(taken) => {
                pause = ROUND;
                backlog = !taken.is_empty();
                for delivery in taken {
                    let courier = courier.clone();
                    running.spawn(async move { courier.deliver(delivery).await });
                }
            }
            Err(error) => {
                // Once, not with every round of an outage.
                if pause == ROUND {
                    warn!(%error, "webhooks can't be looked for; trying again");
                }
                pause = (pause * 2).min(LONGEST_ROUND);
            }
        }
    }
    let finished = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        info!(attempts = running.len(), "stopping with webhooks under way; they are sent after the next start");
    }
}

/// Clones share their places.
#[derive(Clone)]
pub struct Courier {
    platform: Platform,
    places: Places,
    turn: std::sync::Arc<AtomicUsize>,
}

/// A delivery that was taken.
pub struct Taken {
    endpoint: WebhookEndpointId,
    message: MessageId,
    lease: Uuid,
    _place: Place,
}

/// An endpoint that something is due for.
#[derive(sqlx::FromRow)]
struct Due {
    id: WebhookEndpointId,
    url: String,
    failures: i64,
}

/// What an attempt needs, read when it begins.
#[derive(sqlx::FromRow)]
struct Letter {
    url: String,
    status: String,
    revision: i64,
    payload: String,
    attempts: i64,
    expires_at: DateTime<Utc>,
}

impl Courier {
    pub fn new(platform: Platform) -> Self {
        Self { platform, places: Places::default(), turn: std::sync::Arc::default() }
    }

    /// Delivers what is due now, attempts included that fail, and returns how many there were: for tests.
    pub async fn work_off(&self) -> Result<usize, DbError> {
        let mut attempts = 0;
        loop {
            let taken = self.take().await?;
            if taken.is_empty() {
                return Ok(attempts);
            }
            attempts += taken.len();
            let mut running: JoinSet<()> = taken
                .into_iter()
                .map(|delivery| {
                    let courier = self.clone();
                    async move { courier.deliver(delivery).await }
                })
                .collect();
            while running.join_next().await.is_some() {}
        }
    }

    /// Hands out what waits, and takes what is due as far as there are places.
    pub async fn take(&self) -> Result<Vec<Taken>, DbError> {
        self.hand_out().await?;
        if self.places.is_full() {
            return Ok(vec![]);
        }
        let mut due = self.due().await?;
        // Another one is first each time: who has much to be told must not be told it all before the others.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn % due.len().max(1);
        due.rotate_left(first);
        let mut taken = vec![];
        for endpoint in due {
            let places: Vec<Place> = std::iter::from_fn(|| self.place(&endpoint)).collect();
            if places.is_empty() {
                continue;
            }
            taken.extend(self.lease(endpoint.id, places).await?);
        }
        Ok(taken)
    }

    fn place(&self, endpoint: &Due) -> Option<Place> {
        let url = Url::parse(&endpoint.url).ok()?;
        let host =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        self.places.take(&host, endpoint.id, endpoint.failures >= FAILURES)
    }

    /// Puts each message down for every endpoint that wants it; also for those that were disabled since it came to be.
    async fn hand_out(&self) -> Result<(), DbError> {
        loop {
            let mut conn = self.platform.db.read().await?;
            let waiting = fetch_optional!(
                &mut conn,
                (MessageId,),
                "SELECT id FROM webhook_messages WHERE handed_out_at IS NULL ORDER BY id LIMIT 1"
            )?;
            drop(conn);
            if waiting.is_none() {
                return Ok(());
            }
            let now = self.platform.clock.now();
            let mut tx = self.platform.db.begin().await?;
            // The outer condition repeats the inner one: of two that chose the same rows, the second finds them done.
            let messages = fetch_all!(
                &mut tx,
                (MessageId, String),
                "UPDATE webhook_messages SET handed_out_at = $1 WHERE handed_out_at IS NULL AND id IN \
                   (SELECT id FROM webhook_messages WHERE handed_out_at IS NULL ORDER BY id LIMIT $2) \
                 RETURNING id, kind",
                now,
                HANDED_OUT
            )?;
            for (message, kind) in &messages {
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_deliveries (endpoint_id, message_id, status, next_attempt_at, expires_at) \
                     SELECT e.id, m.id, 'pending', $3, m.expires_at FROM webhook_messages m JOIN webhook_endpoints e \
                       ON m.client_id IS NULL OR m.client_id = e.client_id \
                     WHERE m.id = $1 AND (e.status = 'enabled' OR e.disabled_at > m.created_at) \
                       AND EXISTS (SELECT 1 FROM webhook_subscriptions s WHERE s.endpoint_id = e.id AND s.kind IN ($2, '*')) \
                     ON CONFLICT (endpoint_id, message_id) DO NOTHING",
                    *message,
                    kind,
                    now
                )?;
            }
            tx.commit().await?;
            if messages.len() < usize::try_from(HANDED_OUT).unwrap_or_default() {
                return Ok(());
            }
        }
    }

    async fn due(&self) -> Result<Vec<Due>, DbError> {
        let mut conn = self.platform.db.read().await?;
        fetch_all!(
            &mut conn,
            Due,
            "SELECT e.id, e.url, e.failures FROM webhook_endpoints e \
             WHERE e.status = 'enabled' AND (e.not_before IS NULL OR e.not_before <= $1) AND EXISTS \
               (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.status = 'pending' \
                AND d.next_attempt_at <= $1 AND (d.leased_until IS NULL OR d.leased_until <= $1)) \
             ORDER BY e.id",
            self.platform.clock.now()
        )
    }

    /// Takes at most as many due deliveries of an endpoint as there are places for them.
    async fn lease(&self, endpoint: WebhookEndpointId, places: Vec<Place>) -> Result<Vec<Taken>, DbError> {
        let now = self.platform.clock.now();
        let lease = self.platform.random.uuid_v4();
        let mut tx = self.platform.db.begin().await?;
        let messages = fetch_all!(
            &mut tx,
            (MessageId,),
            "UPDATE webhook_deliveries SET lease = $3, leased_until = $4 \
             WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at <= $2 \
               AND (leased_until IS NULL OR leased_until <= $2) AND message_id IN \
                 (SELECT message_id FROM webhook_deliveries WHERE endpoint_id = $1 AND status = 'pending' \
                    AND next_attempt_at <= $2 AND (leased_until IS NULL OR leased_until <= $2) \
                  ORDER BY next_attempt_at, message_id LIMIT $5) \
             RETURNING message_id",
            endpoint,
            now,
            lease,
            now + LEASE,
            i64::try_from(places.len()).unwrap_or(1)
        )?;
        tx.commit().await?;
        let taken = |((message,), place)| Taken { endpoint, message, lease, _place: place };
        Ok(messages.into_iter().zip(places).map(taken).collect())
    }

    /// Makes one attempt and records what came of it.
    pub async fn deliver(&self, taken: Taken) {
        if let Err(error) = self.attempt(&taken).await {
            warn!(id = %taken.message, %error, "an attempt to deliver a webhook can't be recorded; it is made again");
        }
    }

    async fn attempt(&self, taken: &Taken) -> Result<(), DbError> {
        let Some((letter, keys)) = self.read(taken).await? else { return Ok(()) };
        let began = self.platform.clock.now();
        let outcome = sending::post(&self.platform, &letter.url, &keys, taken.message, letter.payload.clone()).await;
        debug!(id = %taken.message, endpoint = %taken.endpoint, ?outcome, "a webhook was sent");
        self.settle(taken, &letter, began, &outcome).await
    }

    /// Read when it is sent: its owner may have changed or disabled the endpoint since it was taken.
    async fn read(&self, taken: &Taken) -> Result<Option<(Letter, SigningKeys)>, DbError> {
        let mut conn = self.platform.db.read().await?;
        let letter = fetch_optional!(
            &mut conn,
            Letter,
            "SELECT e.url, e.status, e.revision, m.payload, d.attempts, d.expires_at \
             FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id \
               JOIN webhook_messages m ON m.id = d.message_id \
             WHERE d.endpoint_id = $1 AND d.message_id = $2 AND d.lease = $3",
            taken.endpoint,
            taken.message,
            taken.lease
        )?;
        let Some(letter) = letter.filter(|letter| letter.status == "enabled") else {
            drop(conn);
            self.give_back(taken).await?;
            return Ok(None);
        };
        match SigningKeys::of(&mut conn, &self.platform, taken.endpoint).await? {
            Ok(keys) => Ok(Some((letter, keys))),
            // That is ours to repair, and counts for nothing against the endpoint.
            Err(sealed) => {
                error!(endpoint = %taken.endpoint, "{sealed}");
                Ok(None)
            }
        }
    }

    async fn give_back(&self, taken: &Taken) -> Result<(), DbError> {
        let mut tx = self.platform.db.begin().await?;
        execute!(
            &mut tx,
            "UPDATE webhook_deliveries SET lease = NULL, leased_until = NULL \
             WHERE endpoint_id = $1 AND message_id = $2 AND lease = $3",
            taken.endpoint,
            taken.message,
            taken.lease
        )?;
        tx.commit().await
    }

    /// In one transaction: what it means for the endpoint, for the message, and the log. The endpoint's row is always
    /// changed before its deliveries', so that nobody waits for each other.
    async fn settle(
        &self,
        taken: &Taken,
        letter: &Letter,
        began: DateTime<Utc>,
        outcome: &Outcome,
    ) -> Result<(), DbError> {
        let platform = &self.platform;
        let now = platform.clock.now();
        let verdict = outcome.verdict();
        let (status, next) = match verdict {
            Verdict::Delivered => ("delivered", None),
            // It waits for the endpoint to be enabled again.
            Verdict::Gone => ("pending", Some(now)),
            Verdict::Failed => match self.next_attempt(letter.attempts, outcome).filter(|at| *at < letter.expires_at) {
                Some(at) => ("pending", Some(at)),
                None => ("failed", None),
            },
        };
        let mut tx = platform.db.begin().await?;
        self.judge(&mut tx, taken, letter, outcome).await?;
        let settled = execute!(
            &mut tx,
            "UPDATE webhook_deliveries SET status = $4, next_attempt_at = $5, attempts = attempts + 1, \
               lease = NULL, leased_until = NULL \
             WHERE endpoint_id = $1 AND message_id = $2 AND lease = $3",
            taken.endpoint,
            taken.message,
            taken.lease,
            status,
            next
        )?;
        if settled == 0 {
            // Taken by another since, or gone: they record what they find.
            return Ok(());
        }
        execute!(
            &mut tx,
            "INSERT INTO webhook_attempts (id, endpoint_id, message_id, at, duration_ms, status, error, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            platform.random.uuid_v7(&platform.clock),
            taken.endpoint,
            taken.message,
            began,
            i64::try_from(outcome.duration.as_millis()).unwrap_or(i64::MAX),
            outcome.status.map(i64::from),
            outcome.error,
            letter.expires_at
        )?;
        tx.commit().await
    }

    /// What an attempt says about the endpoint, of the revision that it was made to.
    async fn judge(
        &self,
        tx: &mut shared::db::Tx,
        taken: &Taken,
        letter: &Letter,
        outcome: &Outcome,
    ) -> Result<(), DbError> {
        let platform = &self.platform;
        let now = platform.clock.now();
        let verdict = outcome.verdict();
        if verdict == Verdict::Delivered {
            execute!(
                tx,
                "UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, not_before = NULL \
                 WHERE id = $1 AND revision = $2 AND failures > 0",
                taken.endpoint,
                letter.revision
            )?;
            return Ok(());
        }
        let failing: Option<(DateTime<Utc>, i64)> = fetch_optional!(
            tx,
            (DateTime<Utc>, i64),
            "UPDATE webhook_endpoints SET failures = failures + 1, failing_since = COALESCE(failing_since, $3) \
             WHERE id = $1 AND revision = $2 AND status = 'enabled' RETURNING failing_since, failures",
            taken.endpoint,
            letter.revision,
            now
        )?;
        let Some((since, failures)) = failing else { return Ok(()) };
        let rest = (failures >= FAILURES).then_some(REST);
        if let Some(rest) = [rest, outcome.throttle()].into_iter().flatten().max() {
            execute!(
                tx,
                "UPDATE webhook_endpoints SET not_before = $2 WHERE id = $1 AND (not_before IS NULL OR not_before < $2)",
                taken.endpoint,
                now + rest
            )?;
        }
        let patience = TimeDelta::days(i64::try_from(platform.config.webhooks.disable_after_days).unwrap_or(365));
        let ending = match verdict {
            Verdict::Gone => Some(Ending::Gone),
            _ if now - since >= patience => Some(Ending::Failing),
            _ => None,
        };
        match ending {
            Some(ending) => store::give_up(tx, platform, taken.endpoint, letter.revision, ending).await,
            None => Ok(()),
        }
    }

    /// When to try again after attempt number `made` (from 0), if at all: by the schedule and up to a quarter more, so that
    /// those who failed together do not come back together; and not before the endpoint wants it.
    fn next_attempt(&self, made: i64, outcome: &Outcome) -> Option<DateTime<Utc>> {
        let platform = &self.platform;
        let wait = *platform.config.webhooks.retry_seconds.get(usize::try_from(made).ok()?)?;
        let wait = TimeDelta::seconds(i64::try_from(wait).ok()?);
        let share = i32::from(u16::from_le_bytes(platform.random.bytes()));
        let jitter = wait / 4 * share / i32::from(u16::MAX);
        Some(platform.clock.now() + (wait + jitter).max(outcome.throttle().unwrap_or_default()))
    }
}
