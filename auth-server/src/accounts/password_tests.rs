use std::time::Duration;

use super::super::signin::authenticate;
use super::super::testing::{HERE, PASSWORD, count, each_state, grant_of, person, session_of, user};
use super::*;

const NEW: &str = "staple battery horse";

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_what_was_granted_outside_of_this_one() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let (here, there) = (session_of(&state, ann).await, session_of(&state, ann).await);
        let kept = grant_of(&state, ann, Some(here.sid)).await;
        grant_of(&state, ann, Some(there.sid)).await;
        grant_of(&state, ann, None).await;
        let mut tx = state.platform.db.begin().await.unwrap();
        let proved = "UPDATE users SET email_verified_at = created_at WHERE id = $1";
        shared::execute!(&mut tx, proved, ann).unwrap();
        tx.commit().await.unwrap();
        let account = user(&state, ann).await.unwrap();
        change(&state, &account, &here, PASSWORD, NEW).await.unwrap();
        authenticate(&state, "ann@example.com", NEW, &HERE, "login").await.unwrap();

        let mut conn = state.platform.db.read().await.unwrap();
        let sessions: Vec<(shared::ids::SessionId,)> =
            shared::fetch_all!(&mut conn, (shared::ids::SessionId,), "SELECT sid FROM browser_sessions").unwrap();
        assert_eq!(sessions, [(here.sid,)]);
        let grants: Vec<(shared::ids::GrantId,)> =
            shared::fetch_all!(&mut conn, (shared::ids::GrantId,), "SELECT id FROM grants WHERE revoked_at IS NULL")
                .unwrap();
        assert_eq!(grants, [(kept,)]);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM outbox WHERE kind = 'account_mail'").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'password.changed'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_at_once_the_second_has_to_know_the_firsts_password() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let here = session_of(&state, ann).await;
        let account = user(&state, ann).await.unwrap();
        let changes = (0..6).map(|n| {
            let new = format!("{NEW} {n}");
            let (state, account, here) = (&state, &account, &here);
            async move { change(state, account, here, PASSWORD, &new).await }
        });
        let done = futures::future::join_all(changes).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
        assert!(done.iter().all(|done| matches!(done, Ok(()) | Err(PasswordFailure::Wrong))));
    })
    .await;
}

#[tokio::test]
async fn who_took_over_a_browser_does_not_guess_on() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let here = session_of(&state, ann).await;
        let guesses = (0..30).map(|_| confirm(&state, &here, "wrong horse"));
        let told = futures::future::join_all(guesses).await;
        let told = told.iter().filter(|answer| matches!(answer, Err(PasswordFailure::Wrong))).count();
        assert_eq!(told, usize::try_from(FAILURES_IN_A_WHILE).unwrap());
        assert!(matches!(confirm(&state, &here, PASSWORD).await, Err(PasswordFailure::Limited(_))));
    })
    .await;
}

#[tokio::test]
async fn an_account_without_a_password_is_asked_for_a_recent_sign_in() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "DELETE FROM password_credentials WHERE user_id = $1", ann).unwrap();
        tx.commit().await.unwrap();
        let here = session_of(&state, ann).await;
        assert!(confirm(&state, &here, "").await.unwrap().is_none());
        state.platform.clock.advance(Duration::from_secs(601));
        assert!(matches!(confirm(&state, &here, "").await, Err(PasswordFailure::SignInAgain)));
    })
    .await;
}
