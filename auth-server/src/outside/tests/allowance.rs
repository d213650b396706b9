//! As often as the services allow and no more, whichever instance asks.

use std::time::Duration;

use shared::email::Email;
use shared::ids::UserId;
use shared::outbox::Job;

use super::*;
use crate::outside::hunter::EmailVerdict;

/// So many people to be looked up.
async fn people(platform: &Platform, number: usize) -> Vec<UserId> {
    let mut ids = vec![];
    for n in 0..number {
        let id = account(platform, &format!("person{n}@example.com")).await;
        enqueue(platform, Job::Enrich { user_id: id }).await;
        ids.push(id);
    }
    ids
}

/// Both do half of what is due, at the same time.
async fn both_work(two: &Two) {
    let mut jobs = vec![];
    for outside in [&two.first, &two.second] {
        let lease = TimeDelta::seconds(60);
        for job in outbox::take(&outside.platform.db, "enrichment", two.clock.now(), lease, 6).await.unwrap() {
            jobs.push((outside.clone(), job));
        }
    }
    let working = jobs.into_iter().map(|(outside, job)| tokio::spawn(async move { outside.work(job).await }));
    for job in working.collect::<Vec<_>>() {
        job.await.unwrap();
    }
}

fn asked(two: &Two) -> usize {
    two.fakes.calls().len()
}

#[tokio::test]
async fn two_instances_together_ask_as_often_a_second_and_a_minute_as_is_allowed() {
    let settings = [("ENRICHMENT__PER_SECOND", "3"), ("ENRICHMENT__PER_MINUTE", "7")];
    two_instances(&settings, |two| async move {
        let platform = &two.first.platform;
        people(platform, 12).await;
        both_work(&two).await;
        assert_eq!(asked(&two), 3);
        let queue = waiting(platform).await;
        assert_eq!(queue.len(), 9);
        for job in &queue {
            assert_eq!(job.attempts, 0, "what had no room was not tried: {job:?}");
            assert!(job.last_error.as_deref().is_some_and(|reason| reason.contains("allowance")), "{job:?}");
            assert!(job.next_attempt_at > two.clock.now(), "{job:?}");
        }
        // The second is over.
        two.clock.advance(Duration::from_secs(3));
        both_work(&two).await;
        assert_eq!(asked(&two), 6);
        // One is left of the minute.
        two.clock.advance(Duration::from_secs(3));
        both_work(&two).await;
        assert_eq!(asked(&two), 7);
        for later in [120, 3, 3, 3] {
            two.clock.advance(Duration::from_secs(later));
            both_work(&two).await;
        }
        assert_eq!(asked(&two), 12);
        assert!(waiting(platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_months_questions_outlive_restarts_and_what_is_not_answered_is_not_counted() {
    let settings = [("ENRICHMENT__PER_MONTH", "3"), ("ENRICHMENT__MONTH_STARTS_ON", "15")];
    two_instances(&settings, |two| async move {
        let platform = &two.first.platform;
        // Errors cost nothing.
        let broken = account(platform, "status-500@example.com").await;
        enqueue(platform, Job::Enrich { user_id: broken }).await;
        for _ in 0..4 {
            work(&two.first).await;
            two.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(asked(&two), 4);
        delete_account(platform, broken).await;

        people(platform, 5).await;
        both_work(&two).await;
        assert_eq!(asked(&two), 4 + 3);
        let queue = waiting(platform).await;
        assert_eq!(queue.len(), 2);
        two.clock.advance(Duration::from_secs(120));
        let mut restarted = two;
        restarted.first = outside(&restarted.first.platform);
        restarted.second = outside(&restarted.second.platform);
        let platform = &restarted.first.platform;
        let person = account(platform, "late@example.com").await;
        enqueue(platform, Job::Enrich { user_id: person }).await;
        both_work(&restarted).await;
        assert_eq!(asked(&restarted), 4 + 3);

        // Whenever that is: the next month begins within 31 days.
        restarted.clock.advance(Duration::from_secs(31 * 86_400 + 7200));
        both_work(&restarted).await;
        assert_eq!(asked(&restarted), 4 + 6);
        assert!(waiting(platform).await.is_empty(), "none was given up");
        assert!(audited(platform, "outbox.given_up").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_a_service_wishes_is_heeded_by_every_instance() {
    two_instances(&[], |two| async move {
        let platform = &two.first.platform;
        // (who makes it say so, and for how long it is left alone)
        for (case, least, most) in [
            ("last-one", 20, 40),
            ("status-429", 7, 7),
            ("status-503", 7, 7),
            ("month-over", 1, 61),
            ("status-403", 1, 61),
        ] {
            let limiting = account(platform, &format!("{case}@example.com")).await;
            enqueue(platform, Job::Enrich { user_id: limiting }).await;
            // The clock stands still at the full hour, and the stand-in's does not.
            two.clock.advance((Clock::system().now() - two.clock.now()).to_std().unwrap_or_default());
            let first = outside(platform);
            work(&first).await;
            let before = asked(&two);
            // Later, so that it stands last among those that wait.
            two.clock.advance(Duration::from_millis(1));
            let other = account(platform, &format!("other-{case}@example.com")).await;
            enqueue(platform, Job::Enrich { user_id: other }).await;
            let second = outside(&two.second.platform);
            work(&second).await;
            assert_eq!(asked(&two), before, "{case}: the other one asks nothing");
            let queue = waiting(platform).await;
            let job = queue.last().unwrap();
            let wait = job.next_attempt_at - two.clock.now();
            assert!(wait >= TimeDelta::seconds(least) && wait <= TimeDelta::seconds(2 * most), "{case}: {wait}");
            assert_eq!(job.attempts, 0, "{case}");
            if case != "status-503" && case != "last-one" {
                assert_eq!(queue[0].attempts, 0, "{case}: that there was no room is nobody's failure");
            }
            delete_account(platform, limiting).await;
            two.clock.advance(Duration::from_secs(130));
            work(&second).await;
            assert_eq!(asked(&two), before + 1, "{case}: then it does");
            delete_account(platform, other).await;
        }
    })
    .await;
}

#[tokio::test]
async fn hunter_whose_month_is_over_is_left_alone_for_an_hour() {
    two_instances(&[], |two| async move {
        let platform = &two.first.platform;
        let user = account(platform, "month-over@example.com").await;
        enqueue(platform, Job::CheckEmail { user_id: user }).await;
        work(&two.first).await;
        let ann = Email::parse("ann@example.com").unwrap();
        two.clock.advance(Duration::from_secs(3500));
        // Inline nobody waits for it.
        assert_eq!(two.second.inline_email_check(&ann).await, EmailVerdict::Accept);
        work(&two.second).await;
        assert_eq!(asked(&two), 1);
        two.clock.advance(Duration::from_secs(3800));
        work(&two.second).await;
        assert_eq!(asked(&two), 2);
    })
    .await;
}

#[tokio::test]
async fn an_inline_check_without_room_lets_the_person_in_and_is_made_later() {
    let settings = [("VERIFICATION__INLINE", "true"), ("VERIFICATION__PER_MINUTE", "1")];
    two_instances(&settings, |two| async move {
        let disposable = Email::parse("disposable@example.com").unwrap();
        assert_ne!(two.first.inline_email_check(&disposable).await, EmailVerdict::Accept);
        assert_eq!(two.second.inline_email_check(&disposable).await, EmailVerdict::Accept);
        assert_eq!(asked(&two), 1);
        let platform = &two.first.platform;
        let user = account(platform, "disposable@example.com").await;
        enqueue(platform, Job::CheckEmail { user_id: user }).await;
        work(&two.first).await;
        assert_eq!(asked(&two), 1);
        two.clock.advance(Duration::from_secs(121));
        work(&two.first).await;
        assert_eq!((asked(&two), audited(platform, "email_check.flagged").await.len()), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_neither_frees_nor_blocks_the_others() {
    let settings = [("ENRICHMENT__PER_SECOND", "2"), ("ENRICHMENT__PER_MINUTE", "0")];
    two_instances(&settings, |two| async move {
        let platform = &two.first.platform;
        let mut ahead = two.second.platform.clone();
        for (by, room) in [(TimeDelta::seconds(2), 0), (TimeDelta::days(700), 2)] {
            reset_allowances(platform).await;
            ahead.clock = Clock::fixed(two.clock.now() + by);
            let early = outside(&ahead);
            for _ in 0..2 {
                early.enrichment.as_ref().unwrap().take().await.ok().unwrap();
            }
            assert!(early.enrichment.as_ref().unwrap().take().await.is_err());
            // Two seconds ahead may be right; two years are not.
            let ours = outside(platform);
            let mut taken = 0;
            while taken < 5 && ours.enrichment.as_ref().unwrap().take().await.is_ok() {
                taken += 1;
            }
            assert_eq!(taken, room, "{by}");
        }
    })
    .await;
}
