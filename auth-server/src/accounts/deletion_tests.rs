use std::time::Duration;

use shared::referrals::code::CodeKey;

use super::super::signup::{SignUpError, sign_up};
use super::super::testing::{HERE, account, code_of, count, each_state, grant_of, person, session_of, user};
use super::super::{Fault, signin};
use super::*;
use shared::referrals::store::Refusal;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn until_its_day_an_account_is_nobodys_and_its_code_rests() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        let here = session_of(&state, bob).await;
        grant_of(&state, bob, Some(here.sid)).await;
        let before = user(&state, bob).await.unwrap();
        let Planned::For(at) = plan(&state, &before).await.unwrap() else { panic!("there are days of grace") };
        assert!((TimeDelta::days(13)..=TimeDelta::days(14)).contains(&(at - state.platform.clock.now())));
        // In another tab: the first wish counts.
        assert_eq!(plan(&state, &before).await.unwrap(), Planned::For(at));

        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM browser_sessions").await, 0);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL").await, 0);
        drop(conn);
        let refused = sign_up(&state, account("ann@example.com", Some(&code.code)), &HERE).await;
        let Err(SignUpError::Invalid(faults)) = refused else { panic!("the code rests") };
        assert_eq!(faults, [Fault::ReferralCode(Refusal::Deleted)]);
        // The session of a sign-in meanwhile grants nothing.
        let meanwhile = session_of(&state, bob).await;
        let mut tx = state.platform.db.begin().await.unwrap();
        assert!(!sessions::hold(&mut tx, &state.platform, meanwhile.sid).await.unwrap());
        drop(tx);

        assert!(keep(&state, bob).await.unwrap());
        assert!(!keep(&state, bob).await.unwrap());
        let mut tx = state.platform.db.begin().await.unwrap();
        assert!(sessions::hold(&mut tx, &state.platform, meanwhile.sid).await.unwrap());
        drop(tx);
        sign_up(&state, account("ann@example.com", Some(&code.code)), &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        let key = CodeKey::fold(&code.code).unwrap();
        assert_eq!(store::by_key(&mut conn, &key).await.unwrap().unwrap().uses, 1);
        for kind in ["deletion.planned", "deletion.cancelled"] {
            let events: Vec<(i64,)> =
                fetch_all!(&mut conn, (i64,), "SELECT COUNT(*) FROM audit_events WHERE kind = $1", kind).unwrap();
            assert_eq!(events, [(1,)], "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_grants_nothing_for_an_account_that_is_about_to_be_deleted() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let password = super::super::testing::PASSWORD;
        let granted = signin::authenticate(&state, "bob@example.com", password, &HERE, "password_grant").await.unwrap();
        let signing_in = signin::authenticate(&state, "bob@example.com", password, &HERE, "login").await.unwrap();
        plan(&state, &user(&state, bob).await.unwrap()).await.unwrap();
        let mut tx = state.platform.db.begin().await.unwrap();
        assert!(!signin::still_holds(&mut tx, &state.platform, &granted).await.unwrap());
        assert!(signin::still_holds(&mut tx, &state.platform, &signing_in).await.unwrap(), "it leads to one question");
    })
    .await;
}

#[tokio::test]
async fn the_sweeper_deletes_when_the_day_has_come_and_not_what_was_kept() {
    each_state(&[], |state| async move {
        let (ann, bob) = (person(&state, "ann@example.com").await, person(&state, "bob@example.com").await);
        for id in [ann, bob] {
            plan(&state, &user(&state, id).await.unwrap()).await.unwrap();
        }
        state.platform.clock.advance(DAY * 13);
        assert_eq!(sweep(&state.platform).await.unwrap(), 0);
        assert!(keep(&state, bob).await.unwrap());
        state.platform.clock.advance(DAY);
        assert!(!keep(&state, ann).await.unwrap(), "too late");
        let (one, other) = tokio::join!(sweep(&state.platform), sweep(&state.platform));
        assert_eq!(one.unwrap() + other.unwrap(), 1);
        assert!(user(&state, ann).await.is_none());
        assert!(user(&state, bob).await.is_some());
        let mut conn = state.platform.db.read().await.unwrap();
        let last = "SELECT COUNT(*) FROM outbox WHERE kind = 'account_mail' AND user_id IS NULL";
        assert_eq!(count(&mut conn, last).await, 1, "the news does not go with the account");
    })
    .await;
}

#[tokio::test]
async fn without_days_of_grace_it_is_deleted_at_once() {
    each_state(&[("ACCOUNTS__DELETION_GRACE_DAYS", "0")], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        assert_eq!(plan(&state, &user(&state, bob).await.unwrap()).await.unwrap(), Planned::Deleted);
        assert!(user(&state, bob).await.is_none());
    })
    .await;
}
