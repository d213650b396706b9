//! The worker as it runs: outages, crashes, several at once, stopping.

use std::time::Duration;

use shared::outbox::Job;
use shared::testing::{each_store, each_store_with};
use tokio::sync::watch;

use super::*;
use crate::outside::worker;

/// Runs a worker until `done` holds, then stops it.
async fn run_until(outside: &Outside, mut done: impl AsyncFnMut() -> bool) {
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(worker::run(outside.clone(), stopped));
    for _ in 0..100 {
        if done().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(done().await, "within ten seconds");
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), worker).await.expect("it stops").unwrap();
}

fn mails(platform: &Platform) -> usize {
    std::fs::read_dir(platform.config.data_dir.join("mail")).map_or(0, |folder| {
        folder.filter(|entry| !entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.')).count()
    })
}

async fn wish_for_mail(platform: &Platform, address: &str) {
    let user = account(platform, address).await;
    enqueue(platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
}

#[tokio::test]
async fn an_outage_keeps_jobs_waiting_and_costs_nobody_their_sign_up() {
    // Nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = format!("http://{address}");
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &nowhere),
        ("ENRICHMENT__API_KEY", "fake"),
        ("ENRICHMENT__BASE_URL", &nowhere),
    ];
    each_store_with(&settings, |platform| async move {
        let outside = outside(&platform);
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::CheckEmail { user_id: user }).await;
        enqueue(&platform, Job::Enrich { user_id: user }).await;
        let mut longest = TimeDelta::zero();
        for attempt in 1..=4 {
            work(&outside).await;
            let queue = waiting(&platform).await;
            assert_eq!(queue.iter().map(|job| job.attempts).collect::<Vec<_>>(), [attempt, attempt], "{queue:?}");
            assert!(queue.iter().all(|job| job.last_error.as_deref().unwrap().contains("no connection")), "{queue:?}");
            let wait = queue[0].next_attempt_at - platform.clock.now();
            assert!(wait > longest / 2, "the waits grow, give or take the jitter");
            longest = longest.max(wait);
            platform.clock.advance(Duration::from_secs(60));
        }

        // Its time is over: it is given up, and that is on record.
        platform.clock.advance(Duration::from_secs(35 * 86_400));
        work(&outside).await;
        outside.clear().await.unwrap();
        assert!(waiting(&platform).await.is_empty());
        let given_up = audited(&platform, "outbox.given_up").await;
        assert_eq!(given_up.len(), 2);
        assert!(given_up.iter().all(|details| details["attempts"] == 4), "{given_up:?}");
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_worker_died_is_done_by_another_when_its_lease_is_over() {
    each_store(|platform| async move {
        wish_for_mail(&platform, "ann@example.com").await;
        let now = platform.clock.now();
        let taken = outbox::take(&platform.db, "mail", now, TimeDelta::seconds(60), 1).await.unwrap();
        assert_eq!(taken.len(), 1, "this worker dies with it");

        let outside = outside(&platform);
        work(&outside).await;
        assert_eq!(mails(&platform), 0, "the lease holds");
        platform.clock.advance(Duration::from_secs(61));
        run_until(&outside, async || waiting(&platform).await.is_empty()).await;
        assert_eq!(mails(&platform), 1);
    })
    .await;
}

#[tokio::test]
async fn of_several_workers_exactly_one_does_each_job() {
    each_store(|platform| async move {
        for number in 0..40 {
            wish_for_mail(&platform, &format!("a{number}@example.com")).await;
        }
        let outside = outside(&platform);
        let (stop, stopped) = watch::channel(false);
        let others: Vec<_> =
            (0..3).map(|_| tokio::spawn(worker::run(Outside::new(&platform).unwrap(), stopped.clone()))).collect();
        run_until(&outside, async || waiting(&platform).await.is_empty()).await;
        stop.send(true).unwrap();
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(mails(&platform), 40);
    })
    .await;
}

#[tokio::test]
async fn a_slow_hunter_does_not_hold_up_mail_nor_the_stopping() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_store_with(&settings, |platform| async move {
        for number in 0..6 {
            let user = account(&platform, &format!("slow+{number}@example.com")).await;
            enqueue(&platform, Job::CheckEmail { user_id: user }).await;
        }
        wish_for_mail(&platform, "ann@example.com").await;
        run_until(&outside(&platform), async || mails(&platform) == 1).await;
        // What was broken off is still there, and due after its lease.
        let queue = waiting(&platform).await;
        assert_eq!(queue.iter().filter(|job| job.kind == "email_check").count(), 6, "{queue:?}");
    })
    .await;
}

#[tokio::test]
async fn a_woken_worker_does_not_wait_for_its_round() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(worker::run(outside.clone(), stopped));
        // Let it have its first look.
        tokio::time::sleep(Duration::from_millis(650)).await;
        let started = tokio::time::Instant::now();
        wish_for_mail(&platform, "ann@example.com").await;
        while mails(&platform) == 0 && started.elapsed() < Duration::from_secs(5) {
            outside.wake();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(started.elapsed() < Duration::from_millis(450), "{:?}", started.elapsed());
        stop.send(true).unwrap();
        worker.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_job_of_a_deleted_account_ends_quietly() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::Enrich { user_id: user }).await;
        let now = platform.clock.now();
        let mut taken = outbox::take(&platform.db, "enrichment", now, TimeDelta::seconds(60), 1).await.unwrap();
        delete_account(&platform, user).await;
        let person = super::super::enrichment::Enrichment { source: "clearbit", found: None };
        let late = worker::Outcome::Done(worker::Finding::Person(user, "ann@example.com".into(), person));
        outside.settle(&taken.remove(0), late).await.unwrap();
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}
