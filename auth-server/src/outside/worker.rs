//! The outbox worker: takes due jobs, does them, records what came of it.
//!
//! Each kind of job has a lane of its own with its own bound, so that a slow Hunter never holds up a mail. A job is
//! taken for a lease: if this process dies, it is due again when the lease is over, here or in another instance, any
//! number of which may run. That makes every job *at least once*: a crash between the sending of a mail and the commit
//! that forgets the job sends the mail twice, with a link of its own each time. What a look-up finds is stored in the
//! transaction that forgets its job, so twice is the same as once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::audit;
use shared::db::DbError;
use shared::ids::UserId;
use shared::outbound::Backoff;
use shared::outbox::{self, Job, Taken};
use shared::secret::PlainToken;
use shared::users::{self, User};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::allowance::Allowance;
use super::call::{Failure, patience};
use super::callbacks::Callback;
use super::enrichment::Enrichment;
use super::hunter::EmailCheck;
use super::refresh::refreshing;
use super::{Outside, enrichment, forgotten, hunter};

/// How often a lane looks for due jobs.
const ROUND: Duration = Duration::from_millis(500);
/// The longest pause between looks while the database is out of reach.
const LONGEST_ROUND: Duration = Duration::from_secs(10);
/// How often jobs that outlived their time are cleared away.
const CLEARING: Duration = Duration::from_secs(60);
/// For how long a job is taken.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// When a job is broken off. Well below the lease, or two workers would be at it.
const DEADLINE: Duration = Duration::from_secs(45);
/// What jobs under way get when the process is asked to stop. The lease takes care of the others.
const GRACE: Duration = Duration::from_secs(3);
/// Between the tries of one job.
const BACKOFF: Backoff =
    Backoff { attempts: u32::MAX, first: Duration::from_secs(5), longest: Duration::from_secs(3600) };

/// How often a look-up is tried, what had no room not counted: three days of it, once the waits are an hour.
const TRIES_OF_LOOKUPS: i64 = 80;

/// What came of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Done, with this to be recorded.
    Done(Finding),
    /// Not now. `after`: not before that, whatever the backoff says.
    Later { reason: String, after: TimeDelta },
    /// Not tried: others are being called. It counts for nothing.
    Postponed { after: TimeDelta },
    /// Nor does this: as much as the service lets us ask was asked.
    NoRoom { reason: String, after: TimeDelta },
    /// The service is still looking; where it calls back, by this it is known what about.
    Queued { reason: String, after: TimeDelta, callback: Option<Callback> },
    /// Never.
    Hopeless { reason: String },
}

/// What a job found out.
#[derive(Debug)]
pub(super) enum Finding {
    Nothing,
    /// About an account's address, which comes second.
    Check(UserId, String, EmailCheck),
    Person(UserId, String, Enrichment),
    /// The person wants to be left alone.
    Claim(UserId, String),
}

/// Works until `stopped` becomes true or its sender is gone.
pub async fn run(outside: Outside, stopped: watch::Receiver<bool>) {
    tokio::join!(
        lane(&outside, "mail", 8, stopped.clone()),
        lane(&outside, outbox::ACCOUNT_MAIL, 8, stopped.clone()),
        lane(&outside, "email_check", 4, stopped.clone()),
        lane(&outside, "enrichment", 4, stopped.clone()),
        lane(&outside, "backchannel_logout", 8, stopped.clone()),
        refreshing(&outside, stopped.clone()),
        clearing(&outside, stopped),
    );
}

pub(super) async fn is_stopped(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody could stop this any more.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn lane(outside: &Outside, kind: &'static str, width: usize, mut stopped: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut pause = ROUND;
    // Did the last look fill every place? Then there is probably more.
    let mut backlog = false;
    loop {
        tokio::select! {
            biased;
            () = is_stopped(&mut stopped) => break,
            Some(_) = running.join_next(), if backlog => {}
            () = outside.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        while running.try_join_next().is_some() {}
        let free = width - running.len();
        match take(outside, kind, free).await {
            Ok(jobs) => {
                pause = ROUND;
                backlog = jobs.len() >= free;
                for job in jobs {
                    let outside = outside.clone();
                    running.spawn(async move { outside.work(job).await });
                }
            }
            Err(error) => {
                // Once, not with every round of an outage.
                if pause == ROUND {
                    warn!(kind, %error, "the outbox can't be read; trying again");
                }
                pause = (pause * 2).min(LONGEST_ROUND);
            }
        }
    }
    let finished = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        info!(kind, jobs = running.len(), "stopping with jobs under way; they are done after the next start");
    }
}

async fn take(outside: &Outside, kind: &str, free: usize) -> Result<Vec<Taken>, DbError> {
    // What would only be put back is not taken.
    if free == 0 || outside.allowance(kind).is_some_and(Allowance::is_closed) {
        return Ok(vec![]);
    }
    let now = outside.platform.clock.now();
    outbox::take(&outside.platform.db, kind, now, LEASE, i64::try_from(free).unwrap_or(1)).await
}

async fn clearing(outside: &Outside, mut stopped: watch::Receiver<bool>) {
    loop {
        if let Err(error) = outside.clear().await {
            warn!(%error, "expired jobs can't be cleared away");
        }
        tokio::select! {
            () = is_stopped(&mut stopped) => return,
            () = tokio::time::sleep(CLEARING) => {}
        }
    }
}

impl Outside {
    /// Clears away jobs that outlived their time, and says so.
    pub(super) async fn clear(&self) -> Result<(), DbError> {
        let mut tx = self.platform.db.begin().await?;
        let expired = outbox::take_expired(&mut tx, self.platform.clock.now(), 100).await?;
        // «Nothing» was never to be done: it only cost what a job costs, so that an answer tells nothing by its time.
        for job in expired.iter().filter(|job| job.kind != "nothing") {
            let details = json!({ "kind": job.kind, "attempts": job.attempts });
            // Whom an invitation could not be mailed to is kept from its referrer.
            let user = job.user_id.filter(|_| !job.is_invitation());
            audit::record(&mut tx, &self.platform, "outbox.given_up", user, None, details).await?;
            error!(id = %job.id, kind = job.kind, attempts = job.attempts, "a job is given up: its time is over");
        }
        tx.commit().await
    }

    /// Does one job and records what came of it.
    pub(super) async fn work(&self, taken: Taken) {
        let outcome = tokio::time::timeout(DEADLINE, self.attempt(&taken)).await;
        let outcome = outcome.unwrap_or_else(|_| Outcome::Later { reason: "timeout".into(), after: TimeDelta::zero() });
        match self.settle(&taken, outcome).await {
            Ok(()) => {}
            // The account went while its job was under way, and the job with it.
            Err(DbError::ForeignKeyViolation(_)) => debug!(id = %taken.id, "a job's account is gone"),
            Err(error) => warn!(id = %taken.id, %error, "a job's outcome can't be recorded; it will be done again"),
        }
    }

    async fn attempt(&self, taken: &Taken) -> Outcome {
        let outcome = match &taken.job {
            Job::CheckEmail { user_id } => self.check_email(*user_id).await,
            Job::Enrich { user_id } => self.enrich(*user_id).await,
            Job::BackchannelLogout { client_id, user_id, sid, sector } => {
                self.tell_of_logout(client_id, *user_id, *sid, sector.as_deref(), taken.attempts).await
            }
            mail => self.mail(mail).await,
        };
        outcome.unwrap_or_else(|error| Outcome::Later { reason: error.to_string(), after: TimeDelta::zero() })
    }

    /// The account to ask about, unless it is gone or wants to be left alone.
    async fn person(&self, id: UserId) -> Result<Option<User>, DbError> {
        let mut conn = self.platform.db.read().await?;
        let Some(user) = users::by_id(&mut conn, id).await? else { return Ok(None) };
        let forgotten = forgotten::contains(&mut conn, &self.platform, &user.email_key).await?;
        Ok(Some(user).filter(|_| !forgotten))
    }

    async fn check_email(&self, id: UserId) -> Result<Outcome, DbError> {
        let (Some(verifier), Some(user)) = (&self.verifier, self.person(id).await?) else {
            return Ok(Outcome::Done(Finding::Nothing));
        };
        let answer = match self.answered.remove(&user.email_key).await {
            Some(check) => Ok(check),
            None => verifier.verify(&user.email_key).await,
        };
        let about = user.email_key.clone();
        Ok(conclude(&user, answer, None, |check| Finding::Check(id, about, check)))
    }

    async fn enrich(&self, id: UserId) -> Result<Outcome, DbError> {
        let (Some(enricher), Some(user)) = (&self.enricher, self.person(id).await?) else {
            return Ok(Outcome::Done(Finding::Nothing));
        };
        let webhook_id = enricher.calls_back().then(|| PlainToken::new(&self.platform.random));
        let answer = enricher.find(&user.email_key, webhook_id.as_ref()).await;
        let callback = webhook_id.map(|id| Callback::new(&self.platform, &id, &user.email_key));
        let about = user.email_key.clone();
        Ok(conclude(&user, answer, callback, |person| Finding::Person(id, about, person)))
    }

    /// Records what came of a job, in one transaction.
    pub(super) async fn settle(&self, taken: &Taken, outcome: Outcome) -> Result<(), DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        match outcome {
            Outcome::Done(finding) => {
                // First, and only if the job is still there: its account may have been deleted meanwhile, or its
                // person forgotten by the other look-up's answer.
                let was_there = outbox::done(&mut tx, taken.id).await?;
                match finding {
                    Finding::Claim(user, email) => forgotten::forget(&mut tx, platform, user, &email).await?,
                    _ if !was_there => {}
                    Finding::Nothing => {}
                    Finding::Check(user, about, check) => {
                        if is_still(&mut tx, user, &about).await? {
                            hunter::store(&mut tx, platform, user, &check).await?;
                        }
                    }
                    Finding::Person(user, about, person) => {
                        if is_still(&mut tx, user, &about).await? {
                            enrichment::store(&mut tx, platform, user, &person).await?;
                        }
                    }
                }
            }
            Outcome::Later { reason, after } => {
                self.wait_or_give_up(&mut tx, taken, &reason, after).await?;
            }
            Outcome::Queued { reason, after, callback } => {
                if self.wait_or_give_up(&mut tx, taken, &reason, after).await?
                    && let Some(callback) = callback
                {
                    callback.expect(&mut tx, platform, taken.id).await?;
                }
            }
            Outcome::Postponed { after } => {
                outbox::postponed(&mut tx, taken.id, self.spread(after)).await?;
            }
            Outcome::NoRoom { reason, after } => {
                debug!(id = %taken.id, reason, "a job has to wait for room");
                outbox::postponed_because(&mut tx, taken.id, &reason, self.spread(after)).await?;
            }
            Outcome::Hopeless { reason } => self.give_up(&mut tx, taken, &reason).await?,
        }
        tx.commit().await
    }

    /// Whether it waits.
    async fn wait_or_give_up(
        &self,
        tx: &mut shared::db::Tx,
        taken: &Taken,
        reason: &str,
        after: TimeDelta,
    ) -> Result<bool, DbError> {
        let next = self.next_attempt(taken.attempts, after);
        let is_lookup = matches!(taken.job, Job::CheckEmail { .. } | Job::Enrich { .. });
        let waits = next < taken.expires_at && !(is_lookup && taken.attempts >= TRIES_OF_LOOKUPS);
        if waits {
            debug!(id = %taken.id, attempts = taken.attempts, reason, "a job has to wait");
            outbox::failed(tx, taken.id, reason, next).await?;
        } else {
            self.give_up(tx, taken, reason).await?;
        }
        Ok(waits)
    }

    /// Not before `after`, and not all of them at once.
    fn spread(&self, after: TimeDelta) -> DateTime<Utc> {
        let spread = Backoff { first: after.to_std().unwrap_or_default(), ..BACKOFF };
        let spread = TimeDelta::from_std(spread.wait(1, &self.platform.random)).unwrap_or_default();
        self.platform.clock.now() + after + spread
    }

    async fn give_up(&self, tx: &mut shared::db::Tx, taken: &Taken, reason: &str) -> Result<(), DbError> {
        let (kind, user) = match &taken.job {
            Job::VerifyEmail { user_id, .. } => ("verify_email", Some(*user_id)),
            Job::ConfirmSignup { .. } => ("confirm_signup", None),
            Job::AlreadyRegistered { user_id, .. } => ("already_registered", Some(*user_id)),
            // Nobody's: that an address takes no mail is kept from who invited it.
            Job::Invitation { .. } => ("invitation", None),
            Job::CheckEmail { user_id } => ("check_email", Some(*user_id)),
            Job::Enrich { user_id } => ("enrich", Some(*user_id)),
            Job::BackchannelLogout { user_id, .. } => ("backchannel_logout", Some(*user_id)),
            Job::SecurityNotice(notice) => (notice.what.name(), Some(notice.user_id)),
            Job::ResetPassword { .. } => ("reset_password", None),
            Job::ConfirmEmailChange { .. } => ("confirm_email_change", None),
            Job::MailCode { .. } => ("mail_code", None),
            Job::ProveUpstreamAddress { .. } => ("prove_upstream_address", None),
        };
        let client = match &taken.job {
            Job::BackchannelLogout { client_id, .. } => Some(client_id),
            _ => None,
        };
        let details = json!({ "kind": kind, "attempts": taken.attempts, "reason": reason });
        audit::record(tx, &self.platform, "outbox.given_up", user, client, details).await?;
        error!(id = %taken.id, kind, attempts = taken.attempts, reason, "a job is given up");
        outbox::done(tx, taken.id).await?;
        Ok(())
    }

    fn next_attempt(&self, attempts: i64, after: TimeDelta) -> DateTime<Utc> {
        let wait = BACKOFF.wait(u32::try_from(attempts).unwrap_or(u32::MAX), &self.platform.random);
        self.platform.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1)).max(after)
    }
}

/// Is this the account's address still? An answer about another one is not about its owner.
async fn is_still(tx: &mut shared::db::Tx, user: UserId, email_key: &str) -> Result<bool, DbError> {
    Ok(users::by_id(tx, user).await?.is_some_and(|user| user.email_key == email_key))
}

fn conclude<T>(
    user: &User,
    answer: Result<T, Failure>,
    callback: Option<Callback>,
    found: impl FnOnce(T) -> Finding,
) -> Outcome {
    let failure = match answer {
        Ok(answer) => return Outcome::Done(found(answer)),
        Err(Failure::Claimed) => return Outcome::Done(Finding::Claim(user.id, user.email_key.clone())),
        Err(failure) => failure,
    };
    if let Failure::NotEntitled(status) = &failure {
        error!(status, "an outside service does not accept the configured key or plan");
    }
    let reason = failure.to_string();
    match (&failure, patience(&failure)) {
        (_, None) => Outcome::Hopeless { reason },
        (Failure::NoRoom { .. } | Failure::Limited { .. }, Some(after)) => Outcome::NoRoom { reason, after },
        (Failure::NotYet { .. }, Some(after)) => Outcome::Queued { reason, after, callback },
        (_, Some(after)) => Outcome::Later { reason, after },
    }
}
