//! What is old is asked again, and only where it may be.

use std::time::Duration;

use serde_json::json;
use shared::fetch_one;
use shared::ids::UserId;

use super::*;
use crate::outside::enrichment::{self, Enrichment};
use crate::outside::forgotten;
use crate::outside::hunter::{self, EmailCheck};

const DAY: Duration = Duration::from_secs(86_400);

/// Somebody about whom both were asked just now.
async fn known(platform: &Platform, email: &str, proved: bool) -> UserId {
    let id = account(platform, email).await;
    if proved {
        prove(platform, id).await;
    }
    let check = EmailCheck { source: "hunter", status: "webmail".into(), score: None, answer: json!({}) };
    let mut tx = platform.db.begin().await.unwrap();
    hunter::store(&mut tx, platform, id, &check).await.unwrap();
    enrichment::store(&mut tx, platform, id, &Enrichment { source: "clearbit", found: None }).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn jobs_about(platform: &Platform, id: UserId) -> i64 {
    let mut conn = platform.db.read().await.unwrap();
    fetch_one!(&mut conn, (i64,), "SELECT COUNT(*) FROM outbox WHERE user_id = $1", id).unwrap().0
}

#[tokio::test]
async fn who_proved_their_address_is_asked_about_again_when_it_is_time_by_one_of_two_instances() {
    let settings = [("VERIFICATION__REFRESH_DAYS", "30"), ("ENRICHMENT__REFRESH_DAYS", "30")];
    two_instances(&settings, |two| async move {
        let platform = &two.first.platform;
        let ann = known(platform, "ann@example.com", true).await;
        let unproved = known(platform, "ben@example.com", false).await;
        let leaving = known(platform, "cleo@example.com", true).await;
        let forgotten = known(platform, "dan@example.com", true).await;
        let mut tx = platform.db.begin().await.unwrap();
        let soon = two.clock.now() + TimeDelta::days(60);
        execute!(&mut tx, "UPDATE users SET deletion_at = $2 WHERE id = $1", leaving, soon).unwrap();
        forgotten::remember(&mut tx, platform, "dan@example.com").await.unwrap();
        tx.commit().await.unwrap();

        two.clock.advance(29 * DAY);
        assert_eq!(two.first.refresh().await.unwrap(), 0, "not yet");
        let fresh = known(platform, "eve@example.com", true).await;
        two.clock.advance(2 * DAY);
        let (first, second) = tokio::join!(two.first.refresh(), two.second.refresh());
        assert_eq!(first.unwrap() + second.unwrap(), 2, "once for each of the two");
        for (id, jobs) in [(ann, 2), (unproved, 0), (leaving, 0), (forgotten, 0), (fresh, 0)] {
            assert_eq!(jobs_about(platform, id).await, jobs);
        }
        assert_eq!(two.second.refresh().await.unwrap(), 0);

        two.clock.advance(Duration::from_secs(61));
        work(&two.first).await;
        let mut conn = platform.db.read().await.unwrap();
        let sql = "SELECT c.status, e.status, c.checked_at, e.fetched_at FROM email_checks c \
                   JOIN enrichments e ON e.user_id = c.user_id WHERE c.user_id = $1";
        type Row = (String, String, DateTime<Utc>, DateTime<Utc>);
        let (check, found, checked_at, fetched_at): Row = fetch_one!(&mut conn, Row, sql, ann).unwrap();
        drop(conn);
        assert_eq!((check.as_str(), found.as_str()), ("valid", "found"), "the new answers are in the place of the old");
        assert_eq!((checked_at, fetched_at), (two.clock.now(), two.clock.now()));
        // Its time counts from there.
        two.clock.advance(29 * DAY);
        assert_eq!(two.first.refresh().await.unwrap(), 2, "only who was fresh then");
        assert_eq!(jobs_about(platform, fresh).await, 2);
    })
    .await;
}

#[tokio::test]
async fn many_at_once_are_spread_and_leave_a_quarter_of_the_month_to_new_people() {
    let settings = [("ENRICHMENT__REFRESH_DAYS", "1"), ("ENRICHMENT__PER_MONTH", "8")];
    two_instances(&settings, |two| async move {
        let platform = &two.first.platform;
        for n in 0..10 {
            known(platform, &format!("person{n}@example.com"), true).await;
        }
        two.clock.advance(DAY);
        assert_eq!(two.first.refresh().await.unwrap(), 6);
        assert_eq!(two.second.refresh().await.unwrap(), 0, "those wait for their turn");
        let queue = waiting(platform).await;
        let times: std::collections::BTreeSet<_> = queue.iter().map(|job| job.next_attempt_at).collect();
        assert!(
            times.len() >= 5 && times.iter().all(|at| *at <= two.clock.now() + TimeDelta::seconds(60)),
            "{times:?}"
        );
        two.clock.advance(Duration::from_secs(60));
        work(&two.first).await;
        assert_eq!(two.fakes.calls().len(), 6);
        assert_eq!(two.first.refresh().await.unwrap(), 0, "the rest of the month is for others");
        let new = account(platform, "new@example.com").await;
        enqueue(platform, Job::Enrich { user_id: new }).await;
        work(&two.first).await;
        assert_eq!(two.fakes.calls().len(), 7);
        two.clock.advance(32 * DAY);
        assert!(two.first.refresh().await.unwrap() > 0, "until the next one");
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_about_again_unless_the_operator_wishes_it() {
    two_instances(&[], |two| async move {
        known(&two.first.platform, "ann@example.com", true).await;
        two.clock.advance(5000 * DAY);
        assert_eq!(two.first.refresh().await.unwrap(), 0);
    })
    .await;
}
