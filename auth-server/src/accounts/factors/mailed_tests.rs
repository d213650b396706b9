use chrono::TimeDelta;

use super::super::tests::{codes_of, with_app};
use super::super::use_code;
use super::*;
use crate::accounts::testing::{HERE, PASSWORD, count, each_state};
use crate::accounts::{recovery, signin};

const ON: &[(&str, &str)] = &[("FACTORS__MAILED_CODE", "true")];

/// A sign-in of `email` that waits for its second factor, by password.
async fn begun(state: &AppState, email: &str) -> PlainToken {
    let verified = signin::authenticate(state, email, PASSWORD, &HERE, "login").await.unwrap();
    waits(state, &verified).await
}

async fn waits(state: &AppState, verified: &signin::Verified) -> PlainToken {
    let mut tx = state.platform.db.begin().await.unwrap();
    let phc_digest = signin::set_aside(&mut tx, &state.platform, verified).await.unwrap();
    let begun =
        Unfinished { user_id: verified.id, amr: vec!["pwd".into()], phc_digest, onward: "/".into(), attempts: 0 };
    let key = unfinished::keep(&mut tx, &state.platform, &begun).await.unwrap();
    tx.commit().await.unwrap();
    key
}

/// Somebody with an app, whose address is proved.
async fn ann(state: &AppState) -> UserId {
    let (ann, _) = with_app(state, "ann@example.com").await;
    let mut tx = state.platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", ann).unwrap();
    tx.commit().await.unwrap();
    ann
}

/// What the newest mail says, as if it were being made.
async fn mailed(state: &AppState, key: &PlainToken) -> Option<String> {
    let mut tx = state.platform.db.begin().await.unwrap();
    let (id,) = shared::fetch_one!(
        &mut tx,
        (MailedCodeId,),
        "SELECT id FROM mailed_codes WHERE signin_hash = $1 AND consumed_at IS NULL",
        key.hash()
    )
    .unwrap();
    let minted = mint(&mut tx, &state.platform, id).await.unwrap();
    tx.commit().await.unwrap();
    minted.map(|(to, code)| {
        assert_eq!(to, "ann@example.com");
        code
    })
}

async fn asks(state: &AppState, key: &PlainToken) -> Option<String> {
    ask(state, key, "en", &HERE).await.unwrap();
    mailed(state, key).await
}

#[tokio::test]
async fn a_mailed_code_serves_once_and_the_sign_in_that_asked() {
    each_state(ON, |state| async move {
        ann(&state).await;
        let (key, other) = (begun(&state, "ann@example.com").await, begun(&state, "ann@example.com").await);
        let code = asks(&state, &key).await.unwrap();
        let elsewhere = use_up(&state.platform, &other, &code).await;
        assert!(matches!(elsewhere, Err(MailedError::NoneWaits)), "{elsewhere:?}");
        asks(&state, &other).await.unwrap();
        let crossed = use_up(&state.platform, &other, &code).await;
        assert!(matches!(crossed, Err(MailedError::Wrong)), "{crossed:?}");
        let all = (0..8).map(|_| use_up(&state.platform, &key, &code));
        let let_in = futures::future::join_all(all).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(let_in, 1);
        let mut conn = state.platform.db.read().await.unwrap();
        for (kind, times) in [("factor.mailed_code_used", 1), ("factor.code_mail_asked", 2)] {
            let (n,) = shared::fetch_one!(&mut conn, (i64,), "SELECT COUNT(*) FROM audit_events WHERE kind = $1", kind)
                .unwrap();
            assert_eq!(n, times, "{kind}");
        }
        let told = "SELECT COUNT(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%mailed-code-used%'";
        assert_eq!(count(&mut conn, told).await, 1, "the owner is told");
    })
    .await;
}

#[tokio::test]
async fn a_mailed_code_is_guessed_at_five_times_and_is_over_after_its_minutes() {
    each_state(ON, |state| async move {
        ann(&state).await;
        let key = begun(&state, "ann@example.com").await;
        let code = asks(&state, &key).await.unwrap();
        let guesses = (0..20).map(|_| use_up(&state.platform, &key, "0000-0000"));
        let answers = futures::future::join_all(guesses).await;
        assert_eq!(answers.iter().filter(|a| matches!(a, Err(MailedError::Wrong))).count(), 5);
        assert!(matches!(use_up(&state.platform, &key, &code).await, Err(MailedError::NoneWaits)));
        // Another mail, whose code the former one is not.
        let second = asks(&state, &key).await.unwrap();
        assert!(matches!(use_up(&state.platform, &key, &code).await, Err(MailedError::Wrong)));
        state.platform.clock.advance(LIFETIME.to_std().unwrap());
        assert!(matches!(use_up(&state.platform, &key, &second).await, Err(MailedError::Gone)));
        crate::sweeper::sweep(&state.platform).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM mailed_codes").await, 0);
    })
    .await;
}

/// Whoever reads the mailbox replaces the password: with a code from the same mailbox they would have the account.
#[tokio::test]
async fn a_mailbox_alone_opens_no_account_that_has_an_app() {
    each_state(ON, |state| async move {
        let platform = &state.platform;
        let ann = ann(&state).await;
        let codes = codes_of(&state, ann).await;
        let early = begun(&state, "ann@example.com").await;
        let before = asks(&state, &early).await.unwrap();
        const NEW: &str = "staple battery horse";
        let email = shared::email::Email::parse("ann@example.com").unwrap();
        for (round, recovery_code) in codes.iter().take(2).enumerate() {
            let id = recovery::ask(&state, &email, "en", &HERE).await.unwrap();
            let mut tx = platform.db.begin().await.unwrap();
            let minted = recovery::mint(&mut tx, platform, id).await.unwrap().unwrap();
            tx.commit().await.unwrap();
            recovery::reset(&state, &recovery::Proof::Link(minted.token), NEW, &HERE).await.unwrap();
            // What was under way is over.
            assert!(matches!(use_up(platform, &early, &before).await, Err(MailedError::Gone)));
            let verified = signin::authenticate(&state, "ann@example.com", NEW, &HERE, "login").await.unwrap();
            let key = waits(&state, &verified).await;
            assert!(asks(&state, &key).await.is_none(), "round {round}: no code is mailed");
            for guess in ["0000-0000", &before] {
                assert!(matches!(use_up(platform, &key, guess).await, Err(MailedError::Wrong)), "{guess}");
            }
            // What the owner shows without the password says nothing of whose that is.
            let mut tx = platform.db.begin().await.unwrap();
            assert!(use_code(&mut tx, platform, ann, recovery_code).await.unwrap());
            tx.commit().await.unwrap();
            state.platform.clock.advance(HOUR);
            assert!(asks(&state, &waits(&state, &verified).await).await.is_none(), "round {round}");
            // Both, and the mailbox serves again; until the next time.
            let mut tx = platform.db.begin().await.unwrap();
            allow_again(&mut tx, ann).await.unwrap();
            tx.commit().await.unwrap();
            let code = asks(&state, &waits(&state, &verified).await).await;
            assert!(code.is_some(), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_code_that_is_not_mailed_takes_the_same_work_and_answer() {
    each_state(ON, |state| async move {
        let ann = ann(&state).await;
        let mut traces = vec![];
        for proved in [true, false] {
            let mut tx = state.platform.db.begin().await.unwrap();
            let at = proved.then(|| state.platform.clock.now());
            execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", ann, at).unwrap();
            tx.commit().await.unwrap();
            let key = begun(&state, "ann@example.com").await;
            let jobs = |conn| async move {
                let mut conn: Conn = conn;
                count(&mut conn, "SELECT COUNT(*) FROM outbox WHERE kind = 'account_mail'").await
            };
            let before = (jobs(state.platform.db.read().await.unwrap()).await, state.platform.db.transactions());
            ask(&state, &key, "en", &HERE).await.unwrap();
            let after = (jobs(state.platform.db.read().await.unwrap()).await, state.platform.db.transactions());
            traces.push((after.0 - before.0, after.1 - before.1));
            let mut conn = state.platform.db.read().await.unwrap();
            assert!(was_asked(&mut conn, &state.platform, &key).await.unwrap());
            drop(conn);
            assert_eq!(mailed(&state, &key).await.is_some(), proved);
            assert!(matches!(use_up(&state.platform, &key, "0000-0000").await, Err(MailedError::Wrong)));
        }
        assert_eq!(traces, [(1, 1), (1, 1)]);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_moved_takes_its_code_along() {
    each_state(ON, |state| async move {
        let ann = ann(&state).await;
        let key = begun(&state, "ann@example.com").await;
        let code = asks(&state, &key).await.unwrap();
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE users SET email_key = 'new@example.com' WHERE id = $1", ann).unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(use_up(&state.platform, &key, &code).await, Err(MailedError::Gone)));
    })
    .await;
}

#[tokio::test]
async fn nobody_fills_a_mailbox_with_sign_in_codes() {
    each_state(&[ON[0], ("LIMITS__ENABLED", "true")], |state| async move {
        ann(&state).await;
        let mut sent = 0;
        for _ in 0..5 {
            // Another sign-in each time.
            let key = begun(&state, "ann@example.com").await;
            sent += u64::from(ask(&state, &key, "en", &HERE).await.is_ok());
        }
        assert_eq!(sent, MAILS_PER_HOUR);
        let key = begun(&state, "ann@example.com").await;
        let limited = ask(&state, &key, "en", &HERE).await;
        assert!(matches!(limited, Err(MailedError::Limited(_))), "{limited:?}");
    })
    .await;
}

#[tokio::test]
async fn tries_of_mailed_codes_have_a_count_of_their_own() {
    each_state(&[ON[0], ("LIMITS__ENABLED", "true")], |state| async move {
        let ann = ann(&state).await;
        let key = begun(&state, "ann@example.com").await;
        for _ in 0..TRIES {
            let _ = use_up(&state.platform, &key, "0000-0000").await;
        }
        let limited = use_up(&state.platform, &key, "0000-0000").await;
        assert!(matches!(limited, Err(MailedError::Limited(_))), "{limited:?}");
        super::super::count_try(&state.platform, ann, "123456").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn none_is_mailed_where_that_is_off_or_beside_anything_but_a_password() {
    for (on, by_password) in [("false", true), ("true", false)] {
        each_state(&[("FACTORS__MAILED_CODE", on)], |state| async move {
            let ann = ann(&state).await;
            let key = match by_password {
                true => begun(&state, "ann@example.com").await,
                // By another provider.
                false => {
                    let waits =
                        Unfinished { user_id: ann, amr: vec![], phc_digest: None, onward: "/".into(), attempts: 0 };
                    let mut tx = state.platform.db.begin().await.unwrap();
                    let key = unfinished::keep(&mut tx, &state.platform, &waits).await.unwrap();
                    tx.commit().await.unwrap();
                    key
                }
            };
            assert!(matches!(ask(&state, &key, "en", &HERE).await, Err(MailedError::Gone)), "{on}");
            assert!(matches!(use_up(&state.platform, &key, "0000-0000").await, Err(MailedError::Gone)), "{on}");
        })
        .await;
    }
    each_state(ON, |state| async move {
        ann(&state).await;
        let gone = ask(&state, &PlainToken::presented("A".repeat(43)), "en", &HERE).await;
        assert!(matches!(gone, Err(MailedError::Gone)));
        // Nor for one that waits too long.
        let key = begun(&state, "ann@example.com").await;
        state.platform.clock.advance((LIFETIME + TimeDelta::seconds(1)).to_std().unwrap());
        assert!(matches!(ask(&state, &key, "en", &HERE).await, Err(MailedError::Gone)));
    })
    .await;
}
