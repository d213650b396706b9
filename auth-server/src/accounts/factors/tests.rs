use std::time::Duration;

use chrono::DateTime;
use shared::ids::SessionId;
use shared::{execute, fetch_one};

use super::totp::{Setup, code_at};
use super::unfinished::{ATTEMPTS, Unfinished};
use super::*;
use crate::AppState;
use crate::accounts::signin::{SignInError, authenticate, authenticate_alone, set_aside, take_up};
use crate::accounts::testing::{HERE, PASSWORD, count, each_state, person, session_of};

/// An account with an app; returns what was typed into the app.
pub(super) async fn with_app(state: &AppState, email: &str) -> (UserId, String) {
    let user = person(state, email).await;
    let platform = &state.platform;
    let setup = Setup::new(platform);
    let secret = setup.in_groups();
    let code = code_at(&secret, platform.clock.now());
    let mut tx = platform.db.begin().await.unwrap();
    assert!(setup.confirm(&mut tx, platform, user, &code).await.unwrap());
    tx.commit().await.unwrap();
    (user, secret)
}

async fn tried(state: &AppState, user: UserId, code: &str) -> bool {
    let mut tx = state.platform.db.begin().await.unwrap();
    let right = use_code(&mut tx, &state.platform, user, code).await.unwrap();
    tx.commit().await.unwrap();
    right
}

pub(super) async fn codes_of(state: &AppState, user: UserId) -> Vec<String> {
    let mut tx = state.platform.db.begin().await.unwrap();
    let codes = recovery_codes::make(&mut tx, &state.platform, user).await.unwrap();
    tx.commit().await.unwrap();
    codes
}

fn steps(state: &AppState, n: i64) -> DateTime<chrono::Utc> {
    state.platform.clock.now() + chrono::TimeDelta::seconds(30 * n)
}

#[tokio::test]
async fn a_code_serves_once_and_within_a_step_of_its_time__rfc6238_5_2() {
    each_state(&[], |state| async move {
        let (ann, secret) = with_app(&state, "ann@example.com").await;
        let code = |n| code_at(&secret, steps(&state, n));
        assert!(!tried(&state, ann, &code(0)).await, "the one that confirmed the app is used up");
        assert!(!tried(&state, ann, &code(-1)).await, "and so are those before it");
        assert!(!tried(&state, ann, &code(2)).await, "two steps ahead");
        assert!(tried(&state, ann, &code(1)).await, "a clock that runs ahead");
        state.platform.clock.advance(Duration::from_secs(120));
        assert!(!tried(&state, ann, &code(-2)).await, "two steps behind");
        let spaced = format!("{} {}", &code(-1)[..3], &code(-1)[3..]);
        assert!(tried(&state, ann, &spaced).await, "a clock that lags, and a space");
        assert!(!tried(&state, ann, &code(-1)).await, "once more");
        assert!(tried(&state, ann, &code(0)).await);
        let (bob, _) = with_app(&state, "bob@example.com").await;
        assert!(!tried(&state, bob, &code(1)).await, "somebody else's app");
        let mut conn = state.platform.db.read().await.unwrap();
        let failed = "SELECT COUNT(*) FROM audit_events WHERE kind = 'signin.second_factor_failed'";
        assert_eq!(count(&mut conn, failed).await, 6);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_use_a_code_at_once_one_is_let_in() {
    each_state(&[], |state| async move {
        let (ann, secret) = with_app(&state, "ann@example.com").await;
        let recovery = codes_of(&state, ann).await.remove(3);
        for code in [code_at(&secret, steps(&state, 1)), recovery] {
            let all = (0..8).map(|_| tried(&state, ann, &code));
            let let_in = futures::future::join_all(all).await.into_iter().filter(|right| *right).count();
            assert_eq!(let_in, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_recovery_code_serves_once_its_owner_and_until_new_ones_are_made() {
    each_state(&[], |state| async move {
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let (bob, _) = with_app(&state, "bob@example.com").await;
        let codes = codes_of(&state, ann).await;
        assert_eq!(codes.len(), recovery_codes::COUNT);
        assert!(!tried(&state, bob, &codes[0]).await);
        assert!(tried(&state, ann, &codes[0].to_lowercase().replace('-', " ")).await);
        assert!(!tried(&state, ann, &codes[0]).await);
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(recovery_codes::left(&mut conn, ann).await.unwrap(), 9);
        let used = "SELECT COUNT(*) FROM audit_events WHERE kind = 'factor.recovery_code_used'";
        assert_eq!(count(&mut conn, used).await, 1);
        drop(conn);
        let new = codes_of(&state, ann).await;
        assert!(!tried(&state, ann, &codes[1]).await);
        assert!(tried(&state, ann, &new[1]).await);
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_of_secrets_is_not_what_was_shown() {
    each_state(&[], |state| async move {
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let (bob, secret) = with_app(&state, "bob@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        let sealed = "SELECT sealed_secret FROM totp_secrets WHERE user_id = $1";
        let (sealed,): (Vec<u8>,) = fetch_one!(&mut tx, (Vec<u8>,), sealed, bob).unwrap();
        assert_eq!(sealed.len(), 12 + 20 + 16, "nonce, secret, tag");
        // Moved to another account it opens nothing.
        let moved = "UPDATE totp_secrets SET sealed_secret = $2, last_step = 0 WHERE user_id = $1";
        execute!(&mut tx, moved, ann, sealed).unwrap();
        tx.commit().await.unwrap();
        assert!(!tried(&state, ann, &code_at(&secret, steps(&state, 1))).await);
        assert!(tried(&state, bob, &code_at(&secret, steps(&state, 1))).await);
    })
    .await;
}

#[tokio::test]
async fn a_set_up_serves_its_session_and_a_while() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let user = UserId::new(&platform.random, &platform.clock);
        let sid = SessionId::new(&platform.random, &platform.clock);
        let setup = Setup::new(platform);
        let sealed = setup.seal(platform, (user, sid));
        assert_eq!(Setup::open(platform, (user, sid), &sealed).unwrap().in_groups(), setup.in_groups());
        let other = SessionId::new(&platform.random, &platform.clock);
        assert!(Setup::open(platform, (user, other), &sealed).is_none());
        assert!(Setup::open(platform, (user, sid), "nonsense").is_none());
        platform.clock.advance(Duration::from_secs(1801));
        assert!(Setup::open(platform, (user, sid), &sealed).is_none());
    })
    .await;
}

fn begun(user_id: UserId) -> Unfinished {
    Unfinished { user_id, amr: vec!["pwd".into()], phc_digest: None, onward: "/".into(), attempts: 0 }
}

#[tokio::test]
async fn a_sign_in_that_waits_bears_few_codes_and_ends_by_itself() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let mut tx = platform.db.begin().await.unwrap();
        let tired = unfinished::keep(&mut tx, platform, &begun(ann)).await.unwrap();
        let old = unfinished::keep(&mut tx, platform, &begun(ann)).await.unwrap();
        for n in 1..=ATTEMPTS {
            assert_eq!(unfinished::attempt(&mut tx, platform, &tired).await.unwrap().unwrap().attempts, n);
        }
        assert!(unfinished::attempt(&mut tx, platform, &tired).await.unwrap().is_none());
        assert!(unfinished::look(&mut tx, platform, &old).await.unwrap().is_some());
        assert!(unfinished::consume(&mut tx, platform, &old).await.unwrap());
        assert!(!unfinished::consume(&mut tx, platform, &old).await.unwrap());
        assert!(unfinished::attempt(&mut tx, platform, &old).await.unwrap().is_none());
        let late = unfinished::keep(&mut tx, platform, &begun(ann)).await.unwrap();
        tx.commit().await.unwrap();
        platform.clock.advance(Duration::from_secs(601));
        let mut tx = platform.db.begin().await.unwrap();
        assert!(unfinished::attempt(&mut tx, platform, &late).await.unwrap().is_none());
        tx.commit().await.unwrap();
        crate::sweeper::sweep(platform).await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM unfinished_signins").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_password_changed_between_the_factors_ends_the_sign_in() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let verified = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
        let mut tx = platform.db.begin().await.unwrap();
        let digest = set_aside(&mut tx, platform, &verified).await.unwrap().unwrap();
        assert!(take_up(&mut tx, ann, &digest).await.unwrap().is_some());
        execute!(&mut tx, "UPDATE password_credentials SET phc = 'another' WHERE user_id = $1", ann).unwrap();
        assert!(take_up(&mut tx, ann, &digest).await.unwrap().is_none());
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_right_password_alone_is_answered_and_counted_like_a_wrong_one() {
    let few = [("LIMITS__ENABLED", "true"), ("LIMITS__FAILURES_WITHOUT_DELAY", "3")];
    each_state(&few, |state| async move {
        with_app(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        assert!(authenticate_alone(&state, "bob@example.com", PASSWORD, &HERE, "password_grant").await.is_ok());
        for password in [PASSWORD, "wrong horse", PASSWORD] {
            let refused = authenticate_alone(&state, "ann@example.com", password, &HERE, "password_grant").await;
            assert!(matches!(refused, Err(SignInError::Refused)), "{refused:?}");
        }
        let limited = authenticate_alone(&state, "ann@example.com", PASSWORD, &HERE, "password_grant").await;
        assert!(matches!(limited, Err(SignInError::Limited(_))), "{limited:?}");
    })
    .await;
}

#[tokio::test]
async fn codes_are_counted_for_the_account_whatever_sign_in_they_are_tried_in() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let (bob, _) = with_app(&state, "bob@example.com").await;
        for _ in 0..TRIES {
            count_try(&state.platform, ann, "123456").await.unwrap();
        }
        assert!(count_try(&state.platform, ann, "123456").await.is_err());
        count_try(&state.platform, bob, "123456").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_ceremony_is_answered_once_in_time_and_by_whom_it_was_begun_for() {
    each_state(&[("AUTH__PUBLIC_URL", "http://localhost:8080")], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let user = shared::users::by_id(&mut platform.db.read().await.unwrap(), ann).await.unwrap().unwrap();
        let here = session_of(&state, ann).await;
        let (options, key) = passkeys::begin_registration(platform, &user, here.sid).await.unwrap();
        let asked = &options["publicKey"];
        assert_eq!(asked["rp"]["id"], "localhost");
        assert_eq!(asked["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(asked["authenticatorSelection"]["userVerification"], "required");
        let mut conn = platform.db.read().await.unwrap();
        let waiting = "SELECT COUNT(*) FROM passkey_ceremonies WHERE consumed_at IS NULL";
        assert_eq!(count(&mut conn, waiting).await, 1);
        drop(conn);
        // Nonsense uses it up too: nobody tries one answer after another.
        assert!(passkeys::finish_registration(platform, &here, &key, "{}", "x").await.is_err());
        let (sign_in, key) = passkeys::begin_sign_in(platform).await.unwrap();
        assert_eq!(sign_in["publicKey"]["userVerification"], "required");
        assert!(sign_in["publicKey"]["allowCredentials"].as_array().is_none_or(Vec::is_empty));
        assert!(passkeys::finish_registration(platform, &here, &key, "{}", "x").await.is_err(), "one to sign in with");
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, waiting).await, 0);
        drop(conn);
        passkeys::begin_sign_in(platform).await.unwrap();
        platform.clock.advance(Duration::from_secs(301));
        crate::sweeper::sweep(platform).await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM passkey_ceremonies WHERE consumed_at IS NULL").await, 0);
    })
    .await;
}

/// A request may have been let in before its session ended, and have held its body back.
#[tokio::test]
async fn a_session_that_has_ended_begins_no_passkey() {
    each_state(&[("AUTH__PUBLIC_URL", "http://localhost:8080")], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let user = shared::users::by_id(&mut platform.db.read().await.unwrap(), ann).await.unwrap().unwrap();
        let here = session_of(&state, ann).await;
        assert!(passkeys::begin_registration(platform, &user, here.sid).await.is_ok());
        let mut tx = platform.db.begin().await.unwrap();
        crate::sessions::end_all_of(&mut tx, platform, ann).await.unwrap();
        tx.commit().await.unwrap();
        assert!(passkeys::begin_registration(platform, &user, here.sid).await.is_err());
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM passkey_ceremonies").await, 1);
    })
    .await;
}

/// Whoever knows the password uses up the tries of the app, and not those of what stands in for it.
#[tokio::test]
async fn codes_that_stand_in_for_the_app_are_not_counted_with_its_own() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        let (ann, _) = with_app(&state, "ann@example.com").await;
        let codes = codes_of(&state, ann).await;
        for _ in 0..TRIES {
            count_try(&state.platform, ann, "000000").await.unwrap();
        }
        assert!(count_try(&state.platform, ann, "000 000").await.is_err());
        assert!(count_try(&state.platform, ann, &codes[0]).await.is_ok());
        assert!(tried(&state, ann, &codes[0]).await);
    })
    .await;
}

#[tokio::test]
async fn passkeys_are_offered_where_browsers_know_them() {
    for (url, offered) in [
        ("http://localhost:8080", true),
        ("http://127.0.0.1:8080", false),
        ("https://id.example", true),
        ("https://192.0.2.1", false),
    ] {
        each_state(&[("AUTH__PUBLIC_URL", url)], |state| async move {
            assert_eq!(passkeys::relying_party(&state.platform).is_some(), offered, "{url}");
        })
        .await;
    }
}

#[tokio::test]
async fn who_proves_an_address_gets_none_of_the_former_owners_factors() {
    each_state(&[], |state| async move {
        let (ann, _) = with_app(&state, "ann@example.com").await;
        codes_of(&state, ann).await;
        let mut tx = state.platform.db.begin().await.unwrap();
        unfinished::keep(&mut tx, &state.platform, &begun(ann)).await.unwrap();
        delete_all(&mut tx, ann).await.unwrap();
        assert!(!has_second(&mut tx, ann).await.unwrap());
        assert_eq!(count(&mut tx, "SELECT COUNT(*) FROM recovery_codes").await, 0);
        assert_eq!(count(&mut tx, "SELECT COUNT(*) FROM unfinished_signins").await, 0);
        assert!(!still_has_second(&mut tx, &state.platform, ann).await.unwrap());
        tx.commit().await.unwrap();
    })
    .await;
}
