use super::super::signup::sign_up;
use super::super::testing::{HERE, account, code_of, count, each_state, person, referral_of, session_of, user};
use super::*;

async fn verified(state: &AppState, address: &str) -> UserId {
    let id = person(state, address).await;
    let mut tx = state.platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", id).unwrap();
    tx.commit().await.unwrap();
    id
}

async fn began(state: &AppState, id: UserId, new: &str) -> EmailChange {
    let account = user(state, id).await.unwrap();
    begin(state, &account, &Email::parse(new).unwrap(), "en").await.unwrap();
    waiting(&mut state.platform.db.read().await.unwrap(), &state.platform, &account).await.unwrap().unwrap()
}

async fn mailed(state: &AppState, id: EmailChangeId, side: Side) -> Minted {
    let mut tx = state.platform.db.begin().await.unwrap();
    let minted = mint(&mut tx, &state.platform, id, side).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    minted
}

#[tokio::test]
async fn the_address_changes_once_both_have_confirmed() {
    each_state(&[], |state| async move {
        let ann = verified(&state, "ann@example.com").await;
        let (here, there) = (session_of(&state, ann).await, session_of(&state, ann).await);
        let change = began(&state, ann, "Ann+new@Gmail.com").await;
        let (old, new) = (mailed(&state, change.id, Side::Old).await, mailed(&state, change.id, Side::New).await);
        assert_eq!((old.to.as_str(), new.to.as_str()), ("ann@example.com", "Ann+new@Gmail.com"));
        let (token, _) = new.confirmation.unwrap();
        let first = confirm_by_link(&state, &token, Some(&here)).await.unwrap();
        assert_eq!(first, Confirmed::Waiting);
        assert_eq!(confirm_by_link(&state, &token, Some(&here)).await.unwrap(), Confirmed::Waiting, "replayed");
        assert_eq!(user(&state, ann).await.unwrap().email, "ann@example.com");
        let (_, code) = old.confirmation.unwrap();
        assert_eq!(confirm_by_code(&state, &here, &code).await.unwrap(), Confirmed::Changed);

        let changed = user(&state, ann).await.unwrap();
        assert_eq!(changed.email, "Ann+new@Gmail.com");
        assert_eq!(changed.email_key, "ann+new@gmail.com");
        assert_eq!(changed.email_canonical, "ann@gmail.com");
        assert!(changed.email_verified_at.is_some());
        let again = confirm_by_link(&state, &token, Some(&here)).await;
        assert!(matches!(again, Err(ChangeError::Invalid)), "replayed");
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM browser_sessions").await, 1, "{} ends", there.sid);
        let told: Vec<(sqlx::types::Json<Job>,)> = shared::fetch_all!(
            &mut conn,
            (sqlx::types::Json<Job>,),
            "SELECT payload FROM outbox WHERE kind = 'account_mail' ORDER BY id"
        )
        .unwrap();
        let mut told: Vec<_> = told
            .into_iter()
            .filter_map(|(job,)| match job.0 {
                Job::SecurityNotice(notice) => notice.to,
                _ => None,
            })
            .collect();
        told.sort();
        assert_eq!(told, ["Ann+new@Gmail.com", "ann@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn who_changes_to_another_spelling_of_their_referrers_address_is_seen() {
    each_state(&[], |state| async move {
        let ann = verified(&state, "ann@example.com").await;
        let code = code_of(&state.platform, ann, None).await;
        sign_up(&state, account("new@example.org", Some(&code.code)), &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        let newcomer = users::by_email(&mut conn, "new@example.org").await.unwrap().unwrap().id;
        drop(conn);
        assert_eq!(referral_of(&state, newcomer).await, Some(("pending".into(), "none".into(), vec![])));
        let here = session_of(&state, newcomer).await;
        let change = began(&state, newcomer, "ann+second@example.com").await;
        // The first address was never proved: there the new one is enough.
        let (token, _) = mailed(&state, change.id, Side::New).await.confirmation.unwrap();
        let changed = confirm_by_link(&state, &token, Some(&here)).await.unwrap();
        assert_eq!(changed, Confirmed::Changed);
        assert_eq!(
            referral_of(&state, newcomer).await,
            Some(("verified".into(), "open".into(), vec!["cycle".to_owned()]))
        );
    })
    .await;
}

#[tokio::test]
async fn a_careless_click_in_a_mailbox_gives_its_address_to_nobody() {
    each_state(&[], |state| async move {
        let mallory = person(&state, "mallory@example.com").await;
        let ann = person(&state, "ann@example.com").await;
        let change = began(&state, mallory, "victim@example.com").await;
        let (token, _) = mailed(&state, change.id, Side::New).await.confirmation.unwrap();
        let anns = session_of(&state, ann).await;
        for browser in [None, Some(&anns)] {
            assert!(matches!(confirm_by_link(&state, &token, browser).await, Err(ChangeError::NotTheirs)));
        }
        // Stopping needs the link alone.
        stop(&state, &token).await.unwrap();
        let own = session_of(&state, mallory).await;
        assert!(matches!(confirm_by_link(&state, &token, Some(&own)).await, Err(ChangeError::Invalid)));
        assert!(matches!(stop(&state, &token).await, Err(ChangeError::Invalid)));
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_a_taken_address_is_told_and_who_wants_it_is_not() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let here = session_of(&state, ann).await;
        let change = began(&state, ann, "bob@example.com").await;
        let minted = mailed(&state, change.id, Side::New).await;
        assert_eq!(minted.to, "bob@example.com");
        assert!(minted.confirmation.is_none());
        let guess = confirm_by_code(&state, &here, "0000-0000").await;
        assert!(matches!(guess, Err(ChangeError::WrongCode)));
    })
    .await;
}

#[tokio::test]
async fn of_a_change_and_a_sign_up_with_one_address_at_once_one_gets_it() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let here = session_of(&state, ann).await;
        for n in 0..6 {
            let wanted = format!("wanted{n}@example.com");
            let change = began(&state, ann, &wanted).await;
            let (token, _) = mailed(&state, change.id, Side::New).await.confirmation.unwrap();
            // Where the address of now was proved by an earlier round, it has to confirm as well.
            let (old, _) = mailed(&state, change.id, Side::Old).await.confirmation.unwrap();
            confirm_by_link(&state, &old, Some(&here)).await.unwrap();
            let (changed, signed_up) = tokio::join!(
                confirm_by_link(&state, &token, Some(&here)),
                sign_up(&state, account(&wanted, None), &HERE)
            );
            assert_ne!(changed.is_ok(), signed_up.is_ok(), "{changed:?} {:?}", signed_up.is_ok());
            assert!(matches!(changed, Ok(Confirmed::Changed) | Err(ChangeError::Taken)), "{changed:?}");
        }
        // And one that signed up before the click.
        let change = began(&state, ann, "late@example.com").await;
        let (token, _) = mailed(&state, change.id, Side::New).await.confirmation.unwrap();
        let (old, _) = mailed(&state, change.id, Side::Old).await.confirmation.unwrap();
        let _ = confirm_by_link(&state, &old, Some(&here)).await;
        sign_up(&state, account("late@example.com", None), &HERE).await.unwrap();
        assert!(matches!(confirm_by_link(&state, &token, Some(&here)).await, Err(ChangeError::Taken)));
    })
    .await;
}

#[tokio::test]
async fn codes_are_guessed_at_ten_times_and_links_end_with_their_hours() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let here = session_of(&state, ann).await;
        let change = began(&state, ann, "new@example.com").await;
        let (token, code) = mailed(&state, change.id, Side::New).await.confirmation.unwrap();
        let guesses = (0..30).map(|_| confirm_by_code(&state, &here, "0000-0000"));
        let answers = futures::future::join_all(guesses).await;
        assert_eq!(answers.iter().filter(|a| matches!(a, Err(ChangeError::WrongCode))).count(), 10);
        assert!(matches!(confirm_by_code(&state, &here, &code).await, Err(ChangeError::Invalid)));
        state.platform.clock.advance(Duration::from_secs(24 * 3600));
        assert!(matches!(confirm_by_link(&state, &token, Some(&here)).await, Err(ChangeError::Invalid)));
    })
    .await;
}

#[tokio::test]
async fn a_newer_change_replaces_the_one_that_waits() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let here = session_of(&state, ann).await;
        let first = began(&state, ann, "first@example.com").await;
        let (token, _) = mailed(&state, first.id, Side::New).await.confirmation.unwrap();
        began(&state, ann, "second@example.com").await;
        assert!(matches!(confirm_by_link(&state, &token, Some(&here)).await, Err(ChangeError::Invalid)));
        cancel(&state.platform, ann).await.unwrap();
        let account = user(&state, ann).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        assert!(waiting(&mut conn, &state.platform, &account).await.unwrap().is_none());
    })
    .await;
}
