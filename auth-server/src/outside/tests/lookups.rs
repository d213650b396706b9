//! What Hunter and Clearbit answer, case by documented case, and what becomes of it.

use std::time::Duration;

use serde_json::Value;
use shared::email::Email;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::outbox::Job;
use shared::testing::each_store_with;
use shared::{Platform, fetch_optional};
use sqlx::types::Json;

use super::*;
use crate::AppState;
use crate::accounts::signup::{NewAccount, Outcome as SignedUp, SignUpError, sign_up};
use crate::accounts::testing::{HERE, account as sign_up_form, code_of, each_state, person, referral_of};
use crate::outside::enrichment::Enrichment;
use crate::outside::hunter::{EmailVerdict, Reason};
use crate::outside::worker::{Finding, Outcome};

async fn check_of(platform: &Platform, id: UserId) -> Option<(String, bool)> {
    let mut conn = platform.db.read().await.unwrap();
    fetch_optional!(&mut conn, (String, bool), "SELECT status, flagged FROM email_checks WHERE user_id = $1", id)
        .unwrap()
}

async fn enrichment_of(platform: &Platform, id: UserId) -> Option<(String, String, Value)> {
    let mut conn = platform.db.read().await.unwrap();
    let row: Option<(String, String, Json<Value>)> = fetch_optional!(
        &mut conn,
        (String, String, Json<Value>),
        "SELECT source, status, answer FROM enrichments WHERE user_id = $1",
        id
    )
    .unwrap();
    row.map(|(source, status, answer)| (source, status, answer.0))
}

#[tokio::test]
async fn hunter_flags_invalid_and_disposable_addresses_and_nobody_else_whatever_it_answers() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_store_with(&settings, |platform| async move {
        // (case, what is stored, is it asked again later?)
        for (case, stored, waits) in [
            ("valid", Some(("valid", false)), false),
            ("invalid", Some(("invalid", true)), false),
            ("accept_all", Some(("accept_all", false)), false),
            ("webmail", Some(("webmail", false)), false),
            ("disposable", Some(("disposable", true)), false),
            ("unknown", Some(("unknown", false)), false),
            ("nul", Some(("valid", false)), false),
            ("queued-forever", None, true),
            ("smtp-failed", None, true),
            ("status-400", None, false),
            ("status-401", None, true),
            ("status-403", None, true),
            ("status-404", None, false),
            ("status-429", None, true),
            ("status-451", None, false),
            ("status-500", None, true),
            ("status-503", None, true),
            ("garbage", None, true),
            ("huge", None, false),
            ("month-over", None, true),
        ] {
            reset_allowances(&platform).await;
            let outside = outside(&platform);
            let user = account(&platform, &format!("{case}@example.com")).await;
            enqueue(&platform, Job::CheckEmail { user_id: user }).await;
            work(&outside).await;
            let found = check_of(&platform, user).await;
            assert_eq!(found.as_ref().map(|(status, flagged)| (status.as_str(), *flagged)), stored, "{case}");
            let queue = waiting(&platform).await;
            assert_eq!(queue.len(), usize::from(waits), "{case}: {queue:?}");
            if let Some(job) = queue.first() {
                assert!(job.next_attempt_at > platform.clock.now(), "{case}");
                let error = job.last_error.as_deref().unwrap();
                assert!(!error.contains("example.com") && !error.contains("fake"), "{case}: {error}");
            }
            delete_account(&platform, user).await;
        }
        assert_eq!(audited(&platform, "email_check.flagged").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_hunter_says_of_an_address_speaks_against_the_referral_of_its_owner_and_of_nobody_else() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_state(&settings, |state| async move {
        let referrer = person(&state, "valid@example.com").await;
        let code = code_of(&state.platform, referrer, None).await;
        let outside = outside(&state.platform);
        for (address, review, signals) in [
            ("webmail@example.com", "none", vec![]),
            ("invalid@example.com", "open", vec!["undeliverable_email".to_owned()]),
            ("disposable@example.com", "open", vec!["undeliverable_email".to_owned()]),
        ] {
            let outcome = sign_up(&state, sign_up_form(address, Some(&code.code)), &HERE).await.unwrap();
            let SignedUp::Created { id, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(referral_of(&state, id).await.unwrap().1, "none", "before it was asked");
            reset_allowances(&state.platform).await;
            work(&outside).await;
            assert_eq!(referral_of(&state, id).await, Some(("pending".into(), review.into(), signals)), "{address}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_queued_verification_is_asked_again_until_it_is_there() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_store_with(&settings, |platform| async move {
        let outside = outside(&platform);
        // One address a store: the stand-in counts by address.
        let user = account(&platform, &format!("queued+{}@example.com", platform.db.is_embedded())).await;
        enqueue(&platform, Job::CheckEmail { user_id: user }).await;
        for _ in 0..2 {
            work(&outside).await;
            assert_eq!(check_of(&platform, user).await, None);
            platform.clock.advance(Duration::from_secs(60));
        }
        work(&outside).await;
        assert_eq!(check_of(&platform, user).await, Some(("valid".into(), false)));
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn whom_a_service_must_not_tell_about_is_forgotten_and_never_asked_about_again() {
    let fakes = std::sync::Arc::new(fakes::start_anywhere().await.unwrap());
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("VERIFICATION__INLINE", "true"),
        ("ENRICHMENT__API_KEY", "fake"),
        ("ENRICHMENT__BASE_URL", &fakes.clearbit()),
    ];
    each_store_with(&settings, |platform| {
        let fakes = fakes.clone();
        async move {
            let outside = outside(&platform);
            let email = format!("claimed+{}@example.com", platform.db.is_embedded());
            let user = account(&platform, &email).await;
            let earlier = Enrichment { source: "clearbit", found: None };
            let mut tx = platform.db.begin().await.unwrap();
            super::super::enrichment::store(&mut tx, &platform, user, &earlier).await.unwrap();
            tx.commit().await.unwrap();
            enqueue(&platform, Job::CheckEmail { user_id: user }).await;
            enqueue(&platform, Job::Enrich { user_id: user }).await;
            // The enrichment is under way while the check is told to forget.
            let now = platform.clock.now();
            let mut under_way = outbox::take(&platform.db, "enrichment", now, TimeDelta::seconds(60), 1).await.unwrap();
            work(&outside).await;
            assert_eq!(enrichment_of(&platform, user).await, None);
            let late = Outcome::Done(Finding::Person(user, email.clone(), earlier));
            outside.settle(&under_way.remove(0), late).await.unwrap();

            assert_eq!(check_of(&platform, user).await, None);
            assert_eq!(enrichment_of(&platform, user).await, None, "an answer that comes late is not kept");
            assert!(waiting(&platform).await.is_empty());
            assert_eq!(audited(&platform, "lookup.forgotten").await.len(), 1);

            let asked = fakes.calls().iter().filter(|call| call.email == email).count();
            delete_account(&platform, user).await;
            let again = account(&platform, &email).await;
            // The same mailbox, by another of its names.
            let alias = account(&platform, "claimed+again@example.com").await;
            for user_id in [again, alias] {
                enqueue(&platform, Job::CheckEmail { user_id }).await;
                enqueue(&platform, Job::Enrich { user_id }).await;
            }
            work(&outside).await;
            assert_eq!(fakes.calls_about("hunter.verifier", "claimed+again@example.com"), 0);
            let verdict = outside.inline_email_check(&Email::parse(&email).unwrap()).await;
            assert_eq!(verdict, EmailVerdict::Accept);
            assert_eq!(fakes.calls().iter().filter(|call| call.email == email).count(), asked);
            assert!(waiting(&platform).await.is_empty());
        }
    })
    .await;
}

/// Both providers, case by case. `user` is asked about by the address of the case.
async fn enrichment_cases(platform: Platform, source: &'static str) {
    for (case, stored, waits) in [
        ("valid", Some("found"), false),
        ("person-only", Some("found"), false),
        ("nul", Some("found"), false),
        ("nobody", Some("not_found"), false),
        ("queued-forever", None, true),
        ("status-400", None, false),
        ("status-401", None, true),
        ("status-402", None, true),
        ("status-422", None, false),
        ("status-429", None, true),
        ("status-451", None, false),
        ("status-500", None, true),
        ("status-503", None, true),
        ("garbage", None, true),
        ("huge", None, false),
        ("last-one", Some("found"), false),
        ("month-over", None, true),
    ] {
        reset_allowances(&platform).await;
        let outside = outside(&platform);
        let user = account(&platform, &format!("{case}@example.com")).await;
        enqueue(&platform, Job::Enrich { user_id: user }).await;
        work(&outside).await;
        let found = enrichment_of(&platform, user).await;
        assert_eq!(found.as_ref().map(|(_, status, _)| status.as_str()), stored, "{case}");
        if let Some((from, status, answer)) = found {
            assert_eq!(from, source);
            if status == "found" {
                assert_eq!(answer["person"]["name"]["fullName"], "Alex Example");
                assert_eq!(answer["company"].is_null(), case == "person-only", "{case}");
                assert_eq!(answer.as_object().unwrap().len(), 2);
            }
        }
        assert_eq!(waiting(&platform).await.len(), usize::from(waits), "{case}");
        delete_account(&platform, user).await;
        assert_eq!(enrichment_of(&platform, user).await, None, "it goes with the account");
    }
    reset_allowances(&platform).await;
    // Still looking, in each of the three shapes: the third answer is it.
    for case in ["queued", "queued-error", "queued-partial"] {
        let outside = outside(&platform);
        let user = account(&platform, &format!("{case}+{}@example.com", platform.db.is_embedded())).await;
        enqueue(&platform, Job::Enrich { user_id: user }).await;
        for _ in 0..2 {
            work(&outside).await;
            assert_eq!(enrichment_of(&platform, user).await, None, "{case}");
            platform.clock.advance(Duration::from_secs(60));
        }
        work(&outside).await;
        assert!(enrichment_of(&platform, user).await.is_some_and(|(_, status, _)| status == "found"), "{case}");
        assert!(waiting(&platform).await.is_empty());
    }
}

#[tokio::test]
async fn clearbit_tells_who_a_person_is_or_is_asked_again_or_not() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("ENRICHMENT__API_KEY", "fake"), ("ENRICHMENT__BASE_URL", &fakes.clearbit())];
    each_store_with(&settings, |platform| enrichment_cases(platform, "clearbit")).await;
}

#[tokio::test]
async fn hunter_does_the_same_where_clearbit_has_no_key() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_store_with(&settings, |platform| enrichment_cases(platform, "hunter")).await;
}

#[tokio::test]
async fn nobody_is_asked_without_keys_or_when_it_is_off() {
    for settings in [&[][..], &[("ENRICHMENT__PROVIDER", "off"), ("ENRICHMENT__API_KEY", "fake")][..]] {
        each_store_with(settings, |platform| async move {
            let outside = outside(&platform);
            assert!(outside.enricher.is_none() && outside.verifier.is_none());
            let user = account(&platform, "ann@example.com").await;
            enqueue(&platform, Job::CheckEmail { user_id: user }).await;
            enqueue(&platform, Job::Enrich { user_id: user }).await;
            work(&outside).await;
            assert!(waiting(&platform).await.is_empty());
        })
        .await;
    }
}

#[tokio::test]
async fn inline_only_invalid_and_disposable_addresses_are_refused_and_failures_count_for_the_person() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("VERIFICATION__INLINE", "true"),
    ];
    each_store_with(&settings, |platform| async move {
        for (case, verdict) in [
            ("invalid", EmailVerdict::Refuse(Reason::Invalid)),
            ("disposable", EmailVerdict::Refuse(Reason::Disposable)),
            ("valid", EmailVerdict::Accept),
            ("accept_all", EmailVerdict::Accept),
            ("webmail", EmailVerdict::Accept),
            ("unknown", EmailVerdict::Accept),
            ("queued-forever", EmailVerdict::Accept),
            ("smtp-failed", EmailVerdict::Accept),
            ("status-400", EmailVerdict::Accept),
            ("status-401", EmailVerdict::Accept),
            ("status-403", EmailVerdict::Accept),
            ("status-429", EmailVerdict::Accept),
            ("status-451", EmailVerdict::Accept),
            ("status-500", EmailVerdict::Accept),
            ("garbage", EmailVerdict::Accept),
            ("huge", EmailVerdict::Accept),
        ] {
            reset_allowances(&platform).await;
            let email = Email::parse(&format!("{case}@example.com")).unwrap();
            assert_eq!(outside(&platform).inline_email_check(&email).await, verdict, "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_hunter_costs_a_sign_up_700_ms_at_most_and_soon_nothing() {
    let fakes = std::sync::Arc::new(fakes::start_anywhere().await.unwrap());
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("VERIFICATION__INLINE", "true"),
    ];
    each_store_with(&settings, |platform| async move {
        let outside = outside(&platform);
        let slow = Email::parse("slow@example.com").unwrap();
        let ask = async || {
            let started = tokio::time::Instant::now();
            assert_eq!(outside.inline_email_check(&slow).await, EmailVerdict::Accept);
            started.elapsed()
        };
        // After five failures in a row Hunter is left alone. A machine that is busy may have been too slow to ask at all.
        let (mut asked, mut took) = (0, ask().await);
        while took > Duration::from_millis(200) {
            asked += 1;
            assert!(took < Duration::from_millis(1500) && asked < 12, "{asked}: {took:?}");
            took = ask().await;
        }
        assert!(asked >= 5, "{asked}");
        for _ in 0..2 {
            assert!(ask().await < Duration::from_millis(200));
        }
    })
    .await;
}

#[tokio::test]
async fn a_question_that_is_paid_for_is_asked_for_who_could_sign_up_and_so_often_an_hour_for_one_address() {
    let fakes = std::sync::Arc::new(fakes::start_anywhere().await.unwrap());
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("VERIFICATION__INLINE", "true"),
        ("LIMITS__ENABLED", "true"),
    ];
    each_state(&settings, |state| {
        let fakes = fakes.clone();
        async move {
            let before = fakes.calls().len();
            let asked = || fakes.calls().len() - before;
            let unique = state.platform.random.uuid_v4();
            let here = ClientIp(std::net::Ipv6Addr::from_bits(unique.as_u128()).into());
            let weak = NewAccount { password: "password".into(), ..sign_up_form("disposable@example.com", None) };
            assert!(matches!(sign_up(&state, weak, &here).await, Err(SignUpError::Invalid(_))));
            assert_eq!(asked(), 0, "it would have been refused anyway");
            let disposable = sign_up(&state, sign_up_form("disposable@example.com", None), &here).await;
            assert!(matches!(disposable, Err(SignUpError::Invalid(_))), "{disposable:?}");
            assert_eq!(asked(), 1);
            let hour = Duration::from_secs(3600);
            while state.platform.limits.check("inline-email-check", &here.bucket(), 100, hour).await.is_ok() {}
            assert!(sign_up(&state, sign_up_form("disposable@example.com", None), &here).await.is_ok());
            assert_eq!(asked(), 1, "beyond the hour's, people pass unasked");
        }
    })
    .await;
}

#[tokio::test]
async fn without_inline_the_verifier_is_not_asked_during_sign_up() {
    let fakes = std::sync::Arc::new(fakes::start_anywhere().await.unwrap());
    let settings = [("VERIFICATION__API_KEY", "fake"), ("VERIFICATION__BASE_URL", &fakes.hunter())];
    each_store_with(&settings, |platform| {
        let fakes = fakes.clone();
        async move {
            let email = Email::parse("disposable@example.com").unwrap();
            assert_eq!(outside(&platform).inline_email_check(&email).await, EmailVerdict::Accept);
            assert!(fakes.calls().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_still_looked_for_is_asked_about_again_when_the_service_says_and_not_for_ever() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("ENRICHMENT__API_KEY", "fake"),
        ("ENRICHMENT__BASE_URL", &fakes.clearbit()),
    ];
    each_store_with(&settings, |platform| async move {
        let outside = outside(&platform);
        let later = account(&platform, &format!("queued-later+{}@example.com", platform.db.is_embedded())).await;
        enqueue(&platform, Job::CheckEmail { user_id: later }).await;
        enqueue(&platform, Job::Enrich { user_id: later }).await;
        work(&outside).await;
        let queue = waiting(&platform).await;
        let soonest = platform.clock.now() + TimeDelta::seconds(115);
        assert!(queue.len() == 2 && queue.iter().all(|job| job.next_attempt_at > soonest), "{queue:?}");
        platform.clock.advance(Duration::from_secs(240));
        work(&outside).await;
        platform.clock.advance(Duration::from_secs(240));
        work(&outside).await;
        assert!(check_of(&platform, later).await.is_some() && enrichment_of(&platform, later).await.is_some());

        let never = account(&platform, "queued-forever@example.com").await;
        enqueue(&platform, Job::Enrich { user_id: never }).await;
        let mut tries = 0;
        while !waiting(&platform).await.is_empty() {
            work(&outside).await;
            platform.clock.advance(Duration::from_secs(3600));
            tries += 1;
            assert!(tries <= 100, "for ever");
        }
        assert_eq!(tries, 80);
        let given_up = audited(&platform, "outbox.given_up").await;
        assert_eq!(given_up[0]["reason"], "the look-up is still queued", "{given_up:?}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_about_an_address_that_is_no_longer_the_accounts_is_not_kept() {
    each_store_with(&[], |platform| async move {
        let outside = outside(&platform);
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::Enrich { user_id: user }).await;
        let now = platform.clock.now();
        let mut taken = outbox::take(&platform.db, "enrichment", now, TimeDelta::seconds(60), 1).await.unwrap();
        let person = Enrichment { source: "clearbit", found: None };
        let late = Outcome::Done(Finding::Person(user, "former@example.com".into(), person));
        outside.settle(&taken.remove(0), late).await.unwrap();
        assert_eq!(enrichment_of(&platform, user).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_sign_up_never_fails_with_hunter_and_the_background_check_follows_where_the_inline_one_had_no_answer() {
    let fakes = std::sync::Arc::new(fakes::start_anywhere().await.unwrap());
    let settings = [
        ("VERIFICATION__API_KEY", "fake"),
        ("VERIFICATION__BASE_URL", &fakes.hunter()),
        ("VERIFICATION__INLINE", "true"),
        ("ENRICHMENT__PROVIDER", "off"),
    ];
    each_state(&settings, |state| {
        let fakes = fakes.clone();
        async move {
            let platform = &state.platform;
            let tag = platform.db.is_embedded();
            let asked = |email: &str| fakes.calls_about("hunter.verifier", email);
            for case in ["smtp-failed", "status-403", "status-429", "status-500", "status-503", "garbage", "slow"] {
                reset_allowances(platform).await;
                // A breaker of its own for each.
                let state = AppState::new(platform.clone()).await.unwrap();
                let email = format!("{case}+{tag}@example.com");
                let started = tokio::time::Instant::now();
                let user = person(&state, &email).await;
                assert!(started.elapsed() < Duration::from_millis(2000), "{case}: {:?}", started.elapsed());
                assert_eq!(
                    asked(&email),
                    usize::from(case != "slow"),
                    "{case} was asked about, and the slow one still is"
                );
                let queue = waiting(platform).await;
                assert!(queue.iter().any(|job| job.kind == "email_check" && job.attempts == 0), "{case}: {queue:?}");
                delete_account(platform, user).await;
            }

            reset_allowances(platform).await;
            let state = AppState::new(platform.clone()).await.unwrap();
            let email = format!("queued+{tag}@example.com");
            let queued = person(&state, &email).await;
            for _ in 0..2 {
                work(&state.outside).await;
                platform.clock.advance(Duration::from_secs(60));
            }
            assert_eq!((check_of(platform, queued).await, asked(&email)), (Some(("valid".into(), false)), 3));

            // What was answered inline is not asked and paid for again.
            let email = format!("webmail+{tag}@example.com");
            let answered = person(&state, &email).await;
            work(&state.outside).await;
            assert_eq!((check_of(platform, answered).await, asked(&email)), (Some(("webmail".into(), false)), 1));

            // The breaker is open: nobody is asked inline, and the background check has a breaker of its own.
            for _ in 0..5 {
                state.outside.inline_email_check(&Email::parse("status-500@example.com").unwrap()).await;
            }
            let email = format!("accept_all+{tag}@example.com");
            let unasked = person(&state, &email).await;
            assert_eq!(asked(&email), 0);
            work(&state.outside).await;
            assert_eq!((check_of(platform, unasked).await, asked(&email)), (Some(("accept_all".into(), false)), 1));
        }
    })
    .await;
}
