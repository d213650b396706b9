use std::time::Duration;

use shared::referrals::store::by_key;

use super::super::signin::{SignInError, authenticate};
use super::super::signup::{Outcome, sign_up};
use super::super::testing::{HERE, PASSWORD, account, code_of, count, each_state, person};
use super::*;

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
                tokio::spawn(async move { confirm(&state, &token, false).await })
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
            assert_eq!(found, Some(Pending::Address { email: "ann@example.com".into() }));
        }
        state.platform.clock.advance(Duration::from_secs(25 * 3600));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(look(&mut conn, &state.platform, &token).await.unwrap(), None);
        drop(conn);
        assert!(matches!(confirm(&state, &token, false).await, Err(ConfirmError::Invalid)));
        assert!(matches!(confirm(&state, &PlainToken::presented("x"), false).await, Err(ConfirmError::Invalid)));
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
        assert!(matches!(confirm(&state, &token, false).await, Ok(Confirmed::Account { referred: false, .. })));
        assert!(matches!(confirm(&state, &token, false).await, Err(ConfirmError::Invalid)));
        let ann = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
        assert!(ann.email_verified_at.is_some());
        // A second sign-up of the same person, confirmed late.
        let late = pending(&state, "ann@example.com", "another password", None).await;
        assert!(matches!(confirm(&state, &late, false).await, Err(ConfirmError::Taken)));
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
            let refused = confirm(&state, &token, false).await;
            assert!(matches!(refused, Err(ConfirmError::CodeRefused(Refusal::Deleted))));
        }
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users").await, 1);
        drop(conn);
        assert!(matches!(confirm(&state, &token, true).await, Ok(Confirmed::Account { referred: false, .. })));
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
        let confirmed = confirm(&state, &token, false).await.unwrap();
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
        confirm(&state, &new, false).await.unwrap();
        assert!(matches!(disown(&state, &old).await, Err(ConfirmError::Invalid)));
        authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
    })
    .await;
}
