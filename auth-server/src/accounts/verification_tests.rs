use std::time::Duration;

use shared::referrals::store::by_key;

use super::super::signin::{SignInError, authenticate, still_holds};
use super::super::signup::{Outcome, sign_up};
use super::super::testing::{HERE, PASSWORD, account, code_of, count, each_state, person, referral_of};
use super::*;
use shared::outbox::Job;

/// Somebody on a device where nobody is signed in.
fn with(password: &str) -> Asker<'_> {
    Asker { ip: &HERE, signed_in: None, password }
}

async fn jobs(state: &AppState) -> Vec<Job> {
    let mut conn = state.platform.db.read().await.unwrap();
    let rows: Vec<(sqlx::types::Json<Job>,)> =
        shared::fetch_all!(&mut conn, (sqlx::types::Json<Job>,), "SELECT payload FROM outbox ORDER BY id").unwrap();
    rows.into_iter().map(|(job,)| job.0).collect()
}

async fn link(state: &AppState, user: UserId) -> PlainToken {
    let mut tx = state.platform.db.begin().await.unwrap();
    let token = mint_link(&mut tx, &state.platform, user).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    token
}

/// Puts a sign-up down as if verification were required, and makes its link.
async fn pending(state: &AppState, email: &str, password: &str, code: Option<&str>) -> PlainToken {
    let platform = &state.platform;
    let phc = state.passwords.hash(password).await.unwrap();
    let now = platform.clock.now();
    let id = PendingSignupId::new(&platform.random, &platform.clock);
    let mut tx = platform.db.begin().await.unwrap();
    execute!(
        &mut tx,
        "INSERT INTO pending_signups (id, email, email_key, phc, given_name, referral_code, created_at, expires_at) \
         VALUES ($1, $2, $2, $3, 'Ann', $4, $5, $6)",
        id,
        email,
        &phc,
        code,
        now,
        now + TimeDelta::hours(24)
    )
    .unwrap();
    let token = mint_signup_link(&mut tx, platform, id).await.unwrap().unwrap();
    let twice = mint_signup_link(&mut tx, platform, id).await.unwrap().unwrap();
    assert_eq!(token.reveal(), twice.reveal(), "a mail sent twice has a working link both times");
    tx.commit().await.unwrap();
    token
}

/// Somebody proves that `email`, which an account holds that never did, is theirs.
pub(crate) async fn takes_over(state: &AppState, email: &str) {
    let token = pending(state, email, PASSWORD, None).await;
    confirm(state, &token, &with(PASSWORD), false).await.unwrap();
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_exactly_one_succeeds() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        sign_up(&state, account("ann@example.com", Some(&code.code)), &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        let ann = users::by_email(&mut conn, "ann@example.com").await.unwrap().unwrap();
        drop(conn);
        let token = link(&state, ann.id).await;
        let tries: Vec<_> = (0..20)
            .map(|_| {
                let (state, token) = (state.clone(), token.clone());
                tokio::spawn(async move { confirm(&state, &token, &with(PASSWORD), false).await })
            })
            .collect();
        let mut won = 0;
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(confirmed) => {
                    assert_eq!(confirmed, Confirmed::Address { user_id: ann.id });
                    won += 1;
                }
                Err(ConfirmError::Invalid) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1);
        let mut conn = state.platform.db.read().await.unwrap();
        assert!(users::by_id(&mut conn, ann.id).await.unwrap().unwrap().email_verified_at.is_some());
        let referrals = store::referrals_of(&mut conn, bob, Some("verified"), None, 10).await.unwrap();
        assert_eq!(referrals.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn looking_uses_nothing_and_a_link_expires() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let token = link(&state, ann).await;
        for _ in 0..2 {
            let mut conn = state.platform.db.read().await.unwrap();
            let found = look(&mut conn, &state.platform, &token).await.unwrap();
            assert_eq!(found, Some(Pending::Address { user_id: ann, email: "ann@example.com".into() }));
        }
        state.platform.clock.advance(Duration::from_secs(25 * 3600));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(look(&mut conn, &state.platform, &token).await.unwrap(), None);
        drop(conn);
        assert!(matches!(confirm(&state, &token, &with(PASSWORD), false).await, Err(ConfirmError::Invalid)));
        assert!(matches!(
            confirm(&state, &PlainToken::presented("x"), &with(PASSWORD), false).await,
            Err(ConfirmError::Invalid)
        ));
    })
    .await;
}

#[tokio::test]
async fn a_required_sign_up_comes_into_being_with_its_confirmation() {
    each_state(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state| async move {
        let outcome = sign_up(&state, account("ann@example.com", None), &HERE).await.unwrap();
        assert_eq!(outcome, Outcome::VerificationRequired);
        let mut tx = state.platform.db.begin().await.unwrap();
        let (id,): (PendingSignupId,) =
            shared::fetch_one!(&mut tx, (PendingSignupId,), "SELECT id FROM pending_signups").unwrap();
        let token = mint_signup_link(&mut tx, &state.platform, id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(
            confirm(&state, &token, &with(PASSWORD), false).await,
            Ok(Confirmed::Account { referred: false, .. })
        ));
        assert!(matches!(confirm(&state, &token, &with(PASSWORD), false).await, Err(ConfirmError::Invalid)));
        let ann = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
        assert!(ann.email_verified_at.is_some());
        // A second sign-up of the same person, confirmed late.
        let late = pending(&state, "ann@example.com", "another password", None).await;
        assert!(matches!(confirm(&state, &late, &with("another password"), false).await, Err(ConfirmError::Taken)));
    })
    .await;
}

#[tokio::test]
async fn a_code_that_stopped_serving_creates_nothing_until_the_person_goes_on_without_it() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(platform, bob, None).await;
        let token = pending(&state, "ann@example.com", PASSWORD, Some(&code.code)).await;
        let key = CodeKey::fold(&code.code).unwrap();
        let mut tx = platform.db.begin().await.unwrap();
        store::delete(&mut tx, bob, &key, platform.clock.now()).await.unwrap().unwrap();
        tx.commit().await.unwrap();

        for _ in 0..2 {
            let refused = confirm(&state, &token, &with(PASSWORD), false).await;
            assert!(matches!(refused, Err(ConfirmError::CodeRefused(Refusal::Deleted))));
        }
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
        drop(conn);
        assert!(matches!(
            confirm(&state, &token, &with(PASSWORD), true).await,
            Ok(Confirmed::Account { referred: false, .. })
        ));
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(by_key(&mut conn, &key).await.unwrap().unwrap().uses, 0);
    })
    .await;
}

#[tokio::test]
async fn who_proves_an_address_gets_the_account_without_the_sessions_tokens_and_password_of_who_did_not() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        // Mallory opened an account with Ann's address, and is signed in.
        let squatted = person(&state, "ann@example.com").await;
        let now = platform.clock.now();
        let sid = shared::ids::SessionId::new(&platform.random, &platform.clock);
        let mut tx = platform.db.begin().await.unwrap();
        execute!(
            &mut tx,
            "INSERT INTO browser_sessions (id_hash, user_id, sid, record, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            vec![1u8; 32],
            squatted,
            sid,
            sqlx::types::Json(serde_json::json!({})),
            now,
            now + TimeDelta::days(1)
        )
        .unwrap();
        tx.commit().await.unwrap();

        let token = pending(&state, "ann@example.com", "what Ann chose", None).await;
        let confirmed = confirm(&state, &token, &with("what Ann chose"), false).await.unwrap();
        assert_eq!(confirmed, Confirmed::Account { user_id: squatted, referred: false });

        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM browser_sessions").await, 0);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM revocations WHERE kind = 'session'").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM revocations WHERE kind = 'user'").await, 0);
        drop(conn);
        let mallory = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await;
        assert!(matches!(mallory, Err(SignInError::Refused)));
        let ann = authenticate(&state, "ann@example.com", "what Ann chose", &HERE, "login").await.unwrap();
        assert_eq!(ann.given_name.as_deref(), Some("Ann"));
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_opens_an_account_earns_nothing_with_it_once_its_owner_comes() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let (mallory, carl) = (person(&state, "mallory@example.com").await, person(&state, "carl@example.com").await);
        let (planted, own) = (code_of(platform, mallory, None).await, code_of(platform, carl, None).await);
        for address in ["ann@example.com", "bea@example.com"] {
            sign_up(&state, account(address, Some(&planted.code)), &HERE).await.unwrap();
        }
        // Ann comes by a code of her own: that one counts, and the stranger's does not.
        let token = pending(&state, "ann@example.com", "what Ann chose", Some(&own.code)).await;
        let confirmed = confirm(&state, &token, &with("what Ann chose"), false).await.unwrap();
        let Confirmed::Account { user_id: ann, referred: true } = confirmed else { panic!("{confirmed:?}") };
        let mut conn = platform.db.read().await.unwrap();
        let by_carl = store::referrals_of(&mut conn, carl, Some("verified"), None, 10).await.unwrap();
        assert_eq!(by_carl.len(), 1);
        let by_mallory = store::referrals_of(&mut conn, mallory, Some("rejected"), None, 10).await.unwrap();
        assert_eq!((by_mallory.len(), by_mallory[0].email.as_deref()), (1, None), "and does not name her");
        drop(conn);
        assert_eq!(referral_of(&state, ann).await, Some(("verified".into(), "none".into(), vec![])));

        // Bea has none: somebody has to look before the stranger is credited.
        takes_over(&state, "bea@example.com").await;
        let mut conn = platform.db.read().await.unwrap();
        let bea = users::by_email(&mut conn, "bea@example.com").await.unwrap().unwrap().id;
        drop(conn);
        assert_eq!(
            referral_of(&state, bea).await,
            Some(("verified".into(), "open".into(), vec!["taken_over".to_owned()]))
        );
    })
    .await;
}

#[tokio::test]
async fn an_account_one_did_not_open_can_be_removed_by_its_link_and_a_proved_one_can_not() {
    each_state(&[], |state| async move {
        let squatted = person(&state, "ann@example.com").await;
        let (first, second) = (link(&state, squatted).await, link(&state, squatted).await);
        disown(&state, &first).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 0);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM revocations WHERE kind = 'user'").await, 1);
        drop(conn);
        assert!(matches!(disown(&state, &second).await, Err(ConfirmError::Invalid)));

        let own = person(&state, "ann@example.com").await;
        let (old, new) = (link(&state, own).await, link(&state, own).await);
        confirm(&state, &new, &with(PASSWORD), false).await.unwrap();
        assert!(matches!(disown(&state, &old).await, Err(ConfirmError::Invalid)));
        authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn whose_password_it_is_not_confirms_no_sign_up_and_uses_nothing() {
    each_state(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state| async move {
        // Mallory signed up with Ann's address; so did Ann. Both links are in her mailbox.
        let planted = pending(&state, "ann@example.com", "what Mallory chose", None).await;
        let own = pending(&state, "ann@example.com", "what Ann chose", None).await;
        for typed in ["", "what Ann chose"] {
            let refused = confirm(&state, &planted, &with(typed), false).await;
            assert!(matches!(refused, Err(ConfirmError::WrongPassword)), "{typed:?}");
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 0);
        drop(conn);
        let confirmed = confirm(&state, &own, &with("what Ann chose"), false).await;
        assert!(matches!(confirmed, Ok(Confirmed::Account { .. })));
        // The planted one is gone, for those too who know its password.
        let late = confirm(&state, &planted, &with("what Mallory chose"), false).await;
        assert!(matches!(late, Err(ConfirmError::Invalid)));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM pending_signups WHERE consumed_at IS NULL").await, 0);
        drop(conn);
        authenticate(&state, "ann@example.com", "what Ann chose", &HERE, "login").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_address_is_proved_by_who_knows_the_password_or_is_signed_in() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let bob = person(&state, "bob@example.com").await;
        let (first, second) = (link(&state, ann).await, link(&state, ann).await);
        for asker in [with(""), with("a wrong one"), Asker { signed_in: Some(bob), ..with("") }] {
            let refused = confirm(&state, &first, &asker, false).await;
            assert!(matches!(refused, Err(ConfirmError::WrongPassword)));
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(users::by_id(&mut conn, ann).await.unwrap().unwrap().email_verified_at, None);
        drop(conn);
        confirm(&state, &first, &Asker { signed_in: Some(ann), ..with("") }, false).await.unwrap();
        confirm(&state, &second, &with(PASSWORD), false).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn passwords_are_not_guessed_with_a_link() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        let token = pending(&state, "ann@example.com", PASSWORD, None).await;
        let from = |n: u8| ClientIp(std::net::IpAddr::from([198, 51, 100, n]));
        for n in 0..20 {
            let refused = confirm(&state, &token, &Asker { ip: &from(n), ..with("a guess") }, false).await;
            assert!(matches!(refused, Err(ConfirmError::WrongPassword)));
        }
        let limited = confirm(&state, &token, &Asker { ip: &from(99), ..with(PASSWORD) }, false).await;
        assert!(matches!(limited, Err(ConfirmError::Limited(_))));
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_who_a_person_is_before_the_address_is_proved() {
    each_state(&[("VERIFICATION__API_KEY", "k"), ("ENRICHMENT__PROVIDER", "hunter")], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let asked = Job::Enrich { user_id: ann };
        let sign_up = jobs(&state).await;
        assert!(sign_up.contains(&Job::CheckEmail { user_id: ann }) && !sign_up.contains(&asked));
        let (first, second) = (link(&state, ann).await, link(&state, ann).await);
        for token in [first, second] {
            confirm(&state, &token, &with(PASSWORD), false).await.unwrap();
            assert_eq!(jobs(&state).await.iter().filter(|job| **job == asked).count(), 1);
        }

        let token = pending(&state, "bob@example.com", PASSWORD, None).await;
        let confirmed = confirm(&state, &token, &with(PASSWORD), false).await.unwrap();
        let Confirmed::Account { user_id: bob, .. } = confirmed else { panic!("{confirmed:?}") };
        let jobs = jobs(&state).await;
        assert!(jobs.contains(&Job::CheckEmail { user_id: bob }) && jobs.contains(&Job::Enrich { user_id: bob }));
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_a_hand_over_overtakes_does_not_hold() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mallory = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
        let holds = async || {
            let mut tx = state.platform.db.begin().await.unwrap();
            let holds = still_holds(&mut tx, &state.platform, &mallory).await.unwrap();
            tx.commit().await.unwrap();
            holds
        };
        assert!(holds().await);
        let token = pending(&state, "ann@example.com", "what Ann chose", None).await;
        confirm(&state, &token, &with("what Ann chose"), false).await.unwrap();
        assert!(!holds().await);
    })
    .await;
}

#[tokio::test]
async fn a_hand_over_takes_the_factors_of_who_did_not_prove_the_address() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let mut tx = platform.db.begin().await.unwrap();
        let setup = factors::totp::Setup::new(platform);
        let code = factors::totp::code_at(&setup.in_groups(), platform.clock.now());
        assert!(setup.confirm(&mut tx, platform, ann, &code).await.unwrap());
        factors::recovery_codes::make(&mut tx, platform, ann).await.unwrap();
        let now = platform.clock.now();
        execute!(
            &mut tx,
            "INSERT INTO passkeys (id, user_id, credential_id, credential, name, created_at) \
             VALUES ($1, $1, $2, '{}', 'Mallory', $3)",
            ann,
            b"id".as_slice(),
            now
        )
        .unwrap();
        // A change of the address that was confirmed beforehand, and the end of the account.
        execute!(
            &mut tx,
            "INSERT INTO email_changes (id, user_id, old_email_key, new_email, new_email_key, old_confirmed_at, \
             created_at, expires_at) VALUES ($1, $1, 'ann@example.com', 'm@example.com', 'm@example.com', $2, $2, $3)",
            ann,
            now,
            now + TimeDelta::days(1)
        )
        .unwrap();
        let leaves = now + TimeDelta::days(7);
        execute!(&mut tx, "UPDATE users SET deletion_at = $2 WHERE id = $1", ann, leaves).unwrap();
        tx.commit().await.unwrap();
        let token = pending(&state, "ann@example.com", "what Ann chose", None).await;
        confirm(&state, &token, &with("what Ann chose"), false).await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        assert!(!factors::has_second(&mut conn, ann).await.unwrap());
        assert_eq!(factors::recovery_codes::left(&mut conn, ann).await.unwrap(), 0);
        assert!(factors::passkeys::all_of(&mut conn, ann).await.unwrap().is_empty());
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM email_changes WHERE consumed_at IS NULL").await, 0);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users WHERE deletion_at IS NOT NULL").await, 0);
    })
    .await;
}
