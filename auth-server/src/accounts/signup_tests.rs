use std::time::Duration;

use shared::fetch_all;
use shared::referrals::code::CodeKey;

use super::super::testing::{HERE, PASSWORD, account, code_of, count, each_state, person};
use super::*;
use crate::accounts::signin::{SignInError, authenticate};

const REQUIRED: &[(&str, &str)] = &[("ACCOUNTS__EMAIL_VERIFICATION", "required")];

async fn jobs(state: &AppState) -> Vec<Job> {
    let mut conn = state.platform.db.read().await.unwrap();
    let rows: Vec<(sqlx::types::Json<Job>,)> =
        fetch_all!(&mut conn, (sqlx::types::Json<Job>,), "SELECT payload FROM outbox ORDER BY id").unwrap();
    rows.into_iter().map(|(job,)| job.0).collect()
}

#[tokio::test]
async fn account_referral_and_use_of_the_code_come_together() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        let typed = format!(" {} ", code.code.to_lowercase());
        let outcome = sign_up(&state, account("Ann@Example.com", Some(&typed)), &HERE).await.unwrap();
        let Outcome::Created { id, email, referred } = outcome else { panic!() };
        assert_eq!((email.as_str(), referred), ("Ann@Example.com", true));
        let mut conn = state.platform.db.read().await.unwrap();
        let code = store::by_key(&mut conn, &CodeKey::fold(&code.code).unwrap()).await.unwrap().unwrap();
        assert_eq!(code.uses, 1);
        let referrals = store::referrals_of(&mut conn, bob, None, None, 10).await.unwrap();
        assert_eq!(referrals.len(), 1);
        assert_eq!(referrals[0].status, "pending");
        assert!(jobs(&state).await.contains(&Job::VerifyEmail { user_id: id, locale: "en".into() }));
    })
    .await;
}

#[tokio::test]
async fn a_code_that_does_not_serve_creates_nothing() {
    for mode in [&[][..], REQUIRED] {
        each_state(mode, |state| async move {
            let platform = &state.platform;
            let mut tx = platform.db.begin().await.unwrap();
            let now = platform.clock.now();
            let bob = NewUser {
                id: UserId::new(&platform.random, &platform.clock),
                email: Email::parse("bob@gmail.com").unwrap(),
                email_verified_at: Some(now),
                given_name: None,
                family_name: None,
                locale: None,
            };
            insert(&mut tx, platform, &bob, Some("x")).await.unwrap();
            tx.commit().await.unwrap();
            let used_up = code_of(platform, bob.id, Some(1)).await;
            let mut tx = platform.db.begin().await.unwrap();
            execute!(&mut tx, "UPDATE referral_codes SET uses = 1").unwrap();
            tx.commit().await.unwrap();

            let refused = |code: String| {
                let state = state.clone();
                async move { sign_up(&state, account("ann@example.com", Some(&code)), &HERE).await.unwrap_err() }
            };
            let expect = |error: SignUpError, refusal: Refusal| match error {
                SignUpError::Invalid(faults) => assert_eq!(faults, [Fault::ReferralCode(refusal)]),
                other => panic!("{other:?}"),
            };
            expect(refused(used_up.code.clone()).await, Refusal::Exhausted);
            expect(refused("NEVERWAS".into()).await, Refusal::Unknown);
            expect(refused("что-то".into()).await, Refusal::Unknown);

            let mut tx = platform.db.begin().await.unwrap();
            execute!(&mut tx, "UPDATE referral_codes SET uses = 0").unwrap();
            tx.commit().await.unwrap();
            platform.clock.advance(Duration::from_secs(31 * 86_400));
            expect(refused(used_up.code.clone()).await, Refusal::Expired);
            let mut tx = platform.db.begin().await.unwrap();
            let key = CodeKey::fold(&used_up.code).unwrap();
            store::delete(&mut tx, bob.id, &key, platform.clock.now()).await.unwrap().unwrap();
            tx.commit().await.unwrap();
            expect(refused(used_up.code).await, Refusal::Deleted);

            let mut conn = platform.db.read().await.unwrap();
            assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
            assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM pending_signups").await, 0);
            assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM outbox").await, 0);
        })
        .await;
    }
}

#[tokio::test]
async fn what_only_the_transaction_finds_out_rolls_everything_back() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob.ray@gmail.com").await;
        let code = code_of(&state.platform, bob, None).await;
        // Another spelling of the referrer's own mailbox.
        let error = sign_up(&state, account("bobray+me@googlemail.com", Some(&code.code)), &HERE).await.unwrap_err();
        assert!(matches!(error, SignUpError::Invalid(f) if f == [Fault::ReferralCode(Refusal::SelfReferral)]));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM password_credentials").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM outbox").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM referral_codes WHERE uses > 0").await, 0);
    })
    .await;
}

#[tokio::test]
async fn of_forty_who_sign_up_with_the_last_use_of_a_code_exactly_one_succeeds() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, Some(1)).await;
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let (state, code) = (state.clone(), code.code.clone());
                tokio::spawn(
                    async move { sign_up(&state, account(&format!("p{n}@example.com"), Some(&code)), &HERE).await },
                )
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(Outcome::Created { referred: true, .. }) => won += 1,
                Err(SignUpError::Invalid(faults)) => assert_eq!(faults, [Fault::ReferralCode(Refusal::Exhausted)]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1);
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 2);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM referrals").await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_twenty_who_sign_up_with_one_address_exactly_one_succeeds() {
    each_state(&[], |state| async move {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let state = state.clone();
                tokio::spawn(async move { sign_up(&state, account("ann@example.com", None), &HERE).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(SignUpError::TakenEmail) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1);
        assert!(matches!(sign_up(&state, account("ANN@Example.com", None), &HERE).await, Err(SignUpError::TakenEmail)));
    })
    .await;
}

#[tokio::test]
async fn where_verification_is_required_a_free_and_a_taken_address_are_answered_alike() {
    each_state(REQUIRED, |state| async move {
        let platform = &state.platform;
        let now = platform.clock.now();
        let mut tx = platform.db.begin().await.unwrap();
        let owner = NewUser {
            id: UserId::new(&platform.random, &platform.clock),
            email: Email::parse("taken@example.com").unwrap(),
            email_verified_at: Some(now),
            given_name: None,
            family_name: None,
            locale: None,
        };
        insert(&mut tx, platform, &owner, Some("x")).await.unwrap();
        tx.commit().await.unwrap();
        for address in ["free@example.com", "taken@example.com"] {
            let outcome = sign_up(&state, account(address, None), &HERE).await.unwrap();
            assert_eq!(outcome, Outcome::VerificationRequired);
        }
        // The same rows were written for both; only the mails differ.
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM pending_signups").await, 2);
        drop(conn);
        match jobs(&state).await.as_slice() {
            [Job::ConfirmSignup { .. }, Job::AlreadyRegistered { user_id, .. }] => assert_eq!(*user_id, owner.id),
            other => panic!("{other:?}"),
        }
        // Until the confirmation, signing in fails like a wrong password.
        let refused = authenticate(&state, "free@example.com", PASSWORD, &HERE, "login").await;
        assert!(matches!(refused, Err(SignInError::Refused)));
    })
    .await;
}

#[tokio::test]
async fn nobodys_mailbox_is_filled_by_other_peoples_sign_ups() {
    each_state(&[REQUIRED[0], ("LIMITS__ENABLED", "true")], |state| async move {
        for _ in 0..8 {
            let outcome = sign_up(&state, account("free@example.com", None), &HERE).await.unwrap();
            assert_eq!(outcome, Outcome::VerificationRequired);
        }
        // Five, and one of those that trickle: others' sign-ups do not use up the owner's mails.
        assert_eq!(jobs(&state).await.len(), 6);
        if state.platform.db.is_embedded() {
            state.platform.clock.advance(DRIP + Duration::from_secs(1));
            for _ in 0..2 {
                sign_up(&state, account("free@example.com", None), &HERE).await.unwrap();
            }
            assert_eq!(jobs(&state).await.len(), 7);
        }
    })
    .await;
}

#[tokio::test]
async fn tags_and_dots_do_not_make_more_mailboxes() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        for n in 0..7 {
            let outcome = sign_up(&state, account(&format!("a.nn+{n}@gmail.com"), None), &HERE).await.unwrap();
            assert!(matches!(outcome, Outcome::Created { .. }));
        }
        let mails = |jobs: Vec<Job>| jobs.iter().filter(|job| matches!(job, Job::VerifyEmail { .. })).count();
        assert_eq!(mails(jobs(&state).await), 5);
        sign_up(&state, account("bob@gmail.com", None), &HERE).await.unwrap();
        assert_eq!(mails(jobs(&state).await), 6);
    })
    .await;
}

#[tokio::test]
async fn a_password_that_anyone_guesses_first_is_refused() {
    each_state(&[], |state| async move {
        for password in ["Password123", "annabelle", "referris1"] {
            let account = NewAccount { password: password.into(), ..account("annabelle@example.com", None) };
            match sign_up(&state, account, &HERE).await {
                Err(SignUpError::Invalid(faults)) => assert_eq!(faults, [Fault::PasswordCommon], "{password}"),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn sign_ups_are_limited_by_address_and_every_fault_is_told_at_once() {
    each_state(&[("LIMITS__ENABLED", "true"), ("LIMITS__SIGNUPS_PER_MINUTE", "2")], |state| async move {
        let bad = NewAccount {
            email: "x".into(),
            password: "short".into(),
            given_name: Some("https://spam.example".into()),
            ..NewAccount::default()
        };
        match sign_up(&state, bad, &HERE).await {
            Err(SignUpError::Invalid(faults)) => {
                assert_eq!(faults, [Fault::EmailInvalid, Fault::PasswordShort { min: 8 }, Fault::GivenName]);
            }
            other => panic!("{other:?}"),
        }
        sign_up(&state, account("ann@example.com", None), &HERE).await.unwrap();
        let limited = sign_up(&state, account("bob@example.com", None), &HERE).await;
        assert!(matches!(limited, Err(SignUpError::Limited(_))));
        let elsewhere = ClientIp("198.51.100.7".parse().unwrap());
        sign_up(&state, account("bob@example.com", None), &elsewhere).await.unwrap();
    })
    .await;
}

async fn faults(state: &AppState, change: impl FnOnce(&mut NewAccount)) -> Vec<Fault> {
    let mut account = account("ann@example.com", None);
    change(&mut account);
    match sign_up(state, account, &HERE).await {
        Err(SignUpError::Invalid(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_weak_password_is_told_why() {
    each_state(&[], |state| async move {
        use super::super::Weakness;
        for (password, weakness) in
            [("zxcvbnm,.", Weakness::Keys), ("aaaaaaaaaaa", Weakness::Repeats), ("abcdefghijk", Weakness::Sequence)]
        {
            let told = faults(&state, |account| account.password = password.into()).await;
            assert_eq!(told, [Fault::PasswordWeak(weakness)], "{password}");
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 0);
    })
    .await;
    each_state(&[("ACCOUNTS__PASSWORD_MIN_SCORE", "0")], |state| async move {
        let mut weak = account("ann@example.com", None);
        weak.password = "aaaaaaaaaaa".into();
        sign_up(&state, weak, &HERE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_password_that_others_have_lost_is_refused_and_nobody_is_told_it() {
    let fakes = fakes::start_anywhere().await.unwrap();
    let url = fakes.pwned();
    for mode in ["optional", "required"] {
        each_state(
            &[("BREACHED_PASSWORDS__URL", url.as_str()), ("ACCOUNTS__EMAIL_VERIFICATION", mode)],
            |state| async move {
                for lost in fakes::pwned::LOST {
                    assert_eq!(faults(&state, |a| a.password = lost.into()).await, [Fault::PasswordBreached], "{lost}");
                }
                // In doubt it is taken: who answers late, or with an error, keeps nobody out.
                for (n, odd) in [PASSWORD, fakes::pwned::SLOW, fakes::pwned::FAILING].into_iter().enumerate() {
                    let mut account = account(&format!("p{n}@example.com"), None);
                    account.password = odd.into();
                    let in_time = tokio::time::timeout(Duration::from_secs(10), sign_up(&state, account, &HERE)).await;
                    in_time.expect(odd).unwrap();
                }
            },
        )
        .await;
    }
    let asked = fakes.calls();
    assert!(asked.iter().all(|call| call.service == "pwned.range" && call.email.len() == 5), "{asked:?}");
    assert!(asked.len() >= 6, "{asked:?}");
}

#[tokio::test]
async fn a_list_of_lost_passwords_that_is_out_of_reach_keeps_nobody_out() {
    // Nothing listens on the discard port of a test machine.
    each_state(&[("BREACHED_PASSWORDS__URL", "http://127.0.0.1:9")], |state| async move {
        person(&state, "ann@example.com").await;
    })
    .await;
}

#[tokio::test]
async fn where_sign_up_is_by_invitation_a_code_is_needed_until_the_account_is_there() {
    for mode in ["optional", "required"] {
        each_state(&[("ACCOUNTS__SIGNUP", "invitation"), ("ACCOUNTS__EMAIL_VERIFICATION", mode)], |state| async move {
            let platform = &state.platform;
            for code in [None, Some(" "), Some("NEVERWAS")] {
                let told = faults(&state, |account| account.referral_code = code.map(str::to_owned)).await;
                let expected = if code == Some("NEVERWAS") {
                    Fault::ReferralCode(Refusal::Unknown)
                } else {
                    Fault::InvitationNeeded
                };
                assert_eq!(told, [expected], "{code:?}");
            }
            let now = platform.clock.now();
            let bob = NewUser {
                id: UserId::new(&platform.random, &platform.clock),
                email: Email::parse("bob@example.com").unwrap(),
                email_verified_at: Some(now),
                given_name: None,
                family_name: None,
                locale: None,
            };
            let mut tx = platform.db.begin().await.unwrap();
            insert(&mut tx, platform, &bob, None).await.unwrap();
            tx.commit().await.unwrap();
            let code = code_of(platform, bob.id, None).await;
            sign_up(&state, account("ann@example.com", Some(&code.code)), &HERE).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn where_sign_up_is_off_nobody_signs_up() {
    each_state(&[("ACCOUNTS__SIGNUP", "off")], |state| async move {
        let refused = sign_up(&state, account("ann@example.com", None), &HERE).await;
        assert!(matches!(refused, Err(SignUpError::Closed)));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 0);
    })
    .await;
}

#[tokio::test]
async fn terms_are_agreed_to_in_their_version_of_today_and_the_agreement_is_kept() {
    let terms = [("ACCOUNTS__TERMS_URL", "https://example.com/terms"), ("ACCOUNTS__TERMS_VERSION", "2026-01")];
    each_state(&terms, |state| async move {
        for version in [None, Some(""), Some("2025-01")] {
            let told = faults(&state, |account| account.terms_version = version.map(str::to_owned)).await;
            assert_eq!(told, [Fault::Terms], "{version:?}");
        }
        let mut agreed = account("ann@example.com", None);
        agreed.terms_version = Some("2026-01".into());
        let Outcome::Created { id, .. } = sign_up(&state, agreed, &HERE).await.unwrap() else { panic!() };
        let mut conn = state.platform.db.read().await.unwrap();
        let kept: Vec<(UserId, String)> =
            fetch_all!(&mut conn, (UserId, String), "SELECT user_id, version FROM terms_agreements").unwrap();
        assert_eq!(kept, [(id, "2026-01".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn addresses_and_names_that_look_like_others_are_told_so_and_spaces_around_them_do_no_harm() {
    each_state(&[], |state| async move {
        for email in ["ann@exаmple.com", "аnn@example.com", "ａｎｎ@example.com"] {
            assert_eq!(faults(&state, |a| a.email = email.into()).await, [Fault::EmailLookalike], "{email}");
        }
        let told = faults(&state, |a| (a.given_name, a.family_name) = (Some("Аnn".into()), Some("Lее".into()))).await;
        assert_eq!(told, [Fault::GivenNameLookalike, Fault::FamilyNameLookalike]);
        for (email, stored) in [
            (" ann@example.com\u{a0}", "ann@example.com"),
            ("\tAnn.Lee+shop@Example.com \n", "Ann.Lee+shop@Example.com"),
            ("иван@пример.рф", "иван@пример.рф"),
        ] {
            let mut good = account(email, None);
            good.given_name = Some("Ａｎｎ".into());
            let Outcome::Created { id, email, .. } = sign_up(&state, good, &HERE).await.unwrap() else { panic!() };
            assert_eq!(email, stored);
            let mut conn = state.platform.db.read().await.unwrap();
            assert_eq!(users::by_id(&mut conn, id).await.unwrap().unwrap().given_name.as_deref(), Some("Ann"));
        }
    })
    .await;
}

/// What `sql` counts of the referrals by a code whose deletion raced with sign-ups.
async fn referrals_by(state: &AppState, code: &str) -> (i64, i64) {
    let mut conn = state.platform.db.read().await.unwrap();
    shared::fetch_one!(
        &mut conn,
        (i64, i64),
        "SELECT c.uses, (SELECT COUNT(*) FROM referrals r WHERE r.code_id = c.id) FROM referral_codes c WHERE c.code = $1",
        code
    )
    .unwrap()
}

#[tokio::test]
async fn a_deletion_among_sign_ups_leaves_no_referral_that_it_did_not_come_after() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        for round in 0..4 {
            let code = code_of(&state.platform, bob, None).await;
            let key = CodeKey::fold(&code.code).unwrap();
            let sign_ups = (0..16).map(|n| {
                let (state, code) = (state.clone(), code.code.clone());
                tokio::spawn(async move {
                    let friend = account(&format!("r{round}f{n}@example.com"), Some(&code));
                    sign_up(&state, friend, &HERE).await
                })
            });
            let ends = {
                let (state, key) = (state.clone(), key.clone());
                tokio::spawn(async move {
                    // Among them, not before or after all of them.
                    tokio::time::sleep(Duration::from_millis(round * 15)).await;
                    let mut tx = state.platform.db.begin().await.unwrap();
                    let deleted = store::delete(&mut tx, bob, &key, state.platform.clock.now()).await.unwrap();
                    tx.commit().await.unwrap();
                    assert!(deleted.is_some());
                })
            };
            let (outcomes, ended) = tokio::join!(futures::future::join_all(sign_ups), ends);
            ended.unwrap();
            let mut referred = 0;
            for outcome in outcomes {
                match outcome.unwrap() {
                    Ok(Outcome::Created { referred: true, .. }) => referred += 1,
                    Err(SignUpError::Invalid(faults)) => {
                        assert_eq!(faults, [Fault::ReferralCode(Refusal::Deleted)]);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(referrals_by(&state, &code.code).await, (referred, referred), "all or nothing of each");
            let late = sign_up(&state, account(&format!("late{round}@example.com"), Some(&code.code)), &HERE).await;
            assert!(matches!(late, Err(SignUpError::Invalid(_))), "{late:?}");
            assert_eq!(referrals_by(&state, &code.code).await, (referred, referred));
        }
    })
    .await;
}

#[tokio::test]
async fn where_sign_up_is_by_invitation_a_remembered_code_lets_in_only_while_it_works() {
    each_state(&[("ACCOUNTS__SIGNUP", "invitation")], |state| async move {
        let platform = &state.platform;
        let bob = NewUser {
            id: UserId::new(&platform.random, &platform.clock),
            email: Email::parse("bob@example.com").unwrap(),
            email_verified_at: None,
            given_name: None,
            family_name: None,
            locale: None,
        };
        let mut tx = platform.db.begin().await.unwrap();
        insert(&mut tx, platform, &bob, None).await.unwrap();
        tx.commit().await.unwrap();
        let code = code_of(platform, bob.id, Some(1)).await;
        let remembered =
            |email: &str| NewAccount { source: Source::LastTouch, ..account(email, Some(code.code.as_str())) };
        let outcome = sign_up(&state, remembered("ann@example.com"), &HERE).await.unwrap();
        assert!(matches!(outcome, Outcome::Created { referred: true, .. }), "{outcome:?}");
        match sign_up(&state, remembered("eve@example.com"), &HERE).await {
            Err(SignUpError::Invalid(faults)) => assert_eq!(faults, [Fault::InvitationNeeded]),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn every_sign_up_leaves_its_trace_hashed() {
    each_state(&[], |state| async move {
        let mut ann = account("ann@example.com", None);
        ann.device = Some(vec![7; 16]);
        sign_up(&state, ann, &HERE).await.unwrap();
        person(&state, "bob@example.com").await;
        let mut conn = state.platform.db.read().await.unwrap();
        type Row = (String, Option<Vec<u8>>, Option<Vec<u8>>);
        let rows: Vec<Row> = fetch_all!(
            &mut conn,
            Row,
            "SELECT u.email, t.address_hash, t.device_hash FROM signup_traces t JOIN users u ON u.id = t.user_id \
             ORDER BY u.email"
        )
        .unwrap();
        let [(_, ann_address, ann_device), (_, bob_address, bob_device)] = &rows[..] else { panic!("{rows:?}") };
        assert!(ann_address.is_some() && ann_address == bob_address && bob_device.is_none(), "{rows:?}");
        assert_ne!(ann_device.as_deref(), Some(&[7; 16][..]), "hashed");
        assert_ne!(ann_address.as_deref(), Some(&HERE.bucket()[..]), "hashed");
    })
    .await;
}
