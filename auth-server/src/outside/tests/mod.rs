//! Stories of the outside services, on both stores, against the stand-ins.

mod allowance;
mod invitations;
mod lookups;
mod mails;
mod refresh;
mod running;

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use shared::cache::Cache;
use shared::clock::Clock;
use shared::db::DbError;
use shared::email::Email;
use shared::ids::UserId;
use shared::outbox::{self, Job};
use shared::random::Random;
use shared::testing::{Scratch, Store};
use shared::users::{self, NewUser};
use shared::{Platform, execute, fetch_all};

use super::Outside;

/// An account, signed up as `email`.
async fn account(platform: &Platform, email: &str) -> UserId {
    named_account(platform, email, Some("Ann"), Some("Lee")).await
}

async fn named_account(platform: &Platform, email: &str, given: Option<&str>, family: Option<&str>) -> UserId {
    let user = NewUser {
        id: UserId::new(&platform.random, &platform.clock),
        email: Email::parse(email).unwrap(),
        email_verified_at: None,
        given_name: given.map(Into::into),
        family_name: family.map(Into::into),
        locale: None,
    };
    let mut tx = platform.db.begin().await.unwrap();
    users::insert(&mut tx, &user, platform.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    user.id
}

async fn enqueue(platform: &Platform, job: Job) {
    let mut tx = platform.db.begin().await.unwrap();
    outbox::enqueue(&mut tx, platform, &job).await.unwrap();
    tx.commit().await.unwrap();
}

fn outside(platform: &Platform) -> Outside {
    Outside::new(platform).unwrap()
}

/// Does all due jobs once, one after the other.
async fn work(outside: &Outside) {
    let platform = &outside.platform;
    for kind in ["mail", outbox::ACCOUNT_MAIL, "email_check", "enrichment"] {
        let lease = TimeDelta::seconds(60);
        let taken = outbox::take(&platform.db, kind, platform.clock.now(), lease, 100).await.unwrap();
        for job in taken {
            outside.work(job).await;
        }
    }
}

/// Two instances of the server on one store, on a clock that stands still, and what they ask.
struct Two {
    fakes: Arc<fakes::Handle>,
    /// Which both tell the time by.
    clock: Clock,
    first: Outside,
    second: Outside,
}

/// Runs `test` on each store. Hunter and Clearbit have keys there, and each store has stand-ins of its own.
async fn two_instances<F: Future<Output = ()>>(settings: &[(&str, &str)], test: impl Fn(Two) -> F) {
    for store in [Store::Embedded, Store::Server] {
        let Some(scratch) = Scratch::new(store).await else { continue };
        // Held here too: a test that asks it nothing would let go of it at once.
        let fakes = Arc::new(fakes::start_anywhere().await.unwrap());
        let (hunter, clearbit) = (fakes.hunter(), fakes.clearbit());
        let mut all = vec![
            ("VERIFICATION__API_KEY", "fake"),
            ("VERIFICATION__BASE_URL", hunter.as_str()),
            ("ENRICHMENT__API_KEY", "fake"),
            ("ENRICHMENT__BASE_URL", clearbit.as_str()),
        ];
        all.extend(settings);
        let clock = Clock::fixed(Clock::system().now().duration_trunc(TimeDelta::hours(1)).unwrap());
        let open = async || {
            let opened = Platform::open_with(scratch.config(&all), clock.clone(), Random::system()).await;
            opened.expect("the platform opens")
        };
        let (first, mut second) = (open().await, open().await);
        // As if this one had no Redis.
        second.cache = Cache::disabled(clock.clone());
        let (a, b) = (first.db.clone(), second.db.clone());
        test(Two { fakes: fakes.clone(), clock, first: outside(&first), second: outside(&second) }).await;
        a.close().await;
        b.close().await;
    }
}

/// What a service wished is over.
async fn reset_allowances(platform: &Platform) {
    let mut tx = platform.db.begin().await.unwrap();
    execute!(&mut tx, "DELETE FROM lookup_allowances").unwrap();
    tx.commit().await.unwrap();
}

/// Its owner follows the mailed link.
async fn prove(platform: &Platform, id: UserId) {
    let mut tx = platform.db.begin().await.unwrap();
    let now = platform.clock.now();
    execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", id, now).unwrap();
    tx.commit().await.unwrap();
}

/// A job that waits.
#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    kind: String,
    attempts: i64,
    last_error: Option<String>,
    next_attempt_at: DateTime<Utc>,
}

async fn waiting(platform: &Platform) -> Vec<Waiting> {
    let mut conn = platform.db.read().await.unwrap();
    fetch_all!(
        &mut conn,
        Waiting,
        "SELECT kind, attempts, last_error, next_attempt_at FROM outbox ORDER BY created_at, id"
    )
    .unwrap()
}

/// What the audit says, newest last.
async fn audited(platform: &Platform, kind: &str) -> Vec<serde_json::Value> {
    let mut conn = platform.db.read().await.unwrap();
    let rows: Result<Vec<(sqlx::types::Json<serde_json::Value>,)>, DbError> = fetch_all!(
        &mut conn,
        (sqlx::types::Json<serde_json::Value>,),
        "SELECT details FROM audit_events WHERE kind = $1 ORDER BY id",
        kind
    );
    rows.unwrap().into_iter().map(|(details,)| details.0).collect()
}

async fn delete_account(platform: &Platform, id: UserId) {
    let mut tx = platform.db.begin().await.unwrap();
    execute!(&mut tx, "DELETE FROM users WHERE id = $1", id).unwrap();
    tx.commit().await.unwrap();
}
