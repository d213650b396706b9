use std::sync::Arc;

use shared::fetch_one;
use shared::testing::{Scratch, Store as TestStore};

use super::*;
use crate::accounts::testing::{count, each_state, person};

fn browser(state: &AppState, id: Option<Id>) -> Session {
    Session::new(id, Arc::new(Store { platform: state.platform.clone() }), None)
}

#[tokio::test]
async fn a_visitor_leaves_no_row_and_a_sign_in_is_found_again() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let session = browser(&state, None);
        assert_eq!(current(&session, &state).await.unwrap(), None);
        let (signed_in, _) = sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        // What the layer does on the way out.
        session.save().await.unwrap();
        let id = session.id().unwrap();
        for _ in 0..2 {
            assert_eq!(current(&browser(&state, Some(id)), &state).await.unwrap().as_ref(), Some(&signed_in));
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM browser_sessions").await, 1);
        let (stored,): (Vec<u8>,) = fetch_one!(&mut conn, (Vec<u8>,), "SELECT id_hash FROM browser_sessions").unwrap();
        assert_ne!(stored, id.0.to_le_bytes(), "only a hash of the key is kept");
        let unknown = Id(i128::from_le_bytes(state.platform.random.bytes()));
        assert_eq!(current(&browser(&state, Some(unknown)), &state).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_key_changes_at_sign_in_so_that_a_planted_one_opens_nothing() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let bob = person(&state, "bob@example.com").await;
        let session = browser(&state, None);
        let (first, _) = sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        let planted = session.id().unwrap();

        let session = browser(&state, Some(planted));
        let (again, _) = sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        assert_eq!(again.sid, first.sid, "the same person goes on with the same sid");
        assert_ne!(session.id().unwrap(), planted);
        assert_eq!(current(&browser(&state, Some(planted)), &state).await.unwrap(), None);

        let session = browser(&state, session.id());
        let (other, _) = sign_in(&session, &state, bob, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        assert_ne!(other.sid, first.sid);
        assert!(state.platform.revocations.contains([(Kind::Session, first.sid.to_string().as_str())]));
        assert_eq!(current(&session, &state).await.unwrap(), Some(other));
    })
    .await;
}

#[tokio::test]
async fn signing_out_ends_the_session_its_tokens_and_its_grants_but_not_those_meant_to_last() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let session = browser(&state, None);
        let (signed_in, _) = sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        let id = session.id();
        let now = platform.clock.now();
        let mut tx = platform.db.begin().await.unwrap();
        execute!(
            &mut tx,
            "INSERT INTO clients (client_id, name, first_party, metadata, created_at, updated_at) \
             VALUES ('app', 'App', $1, $2, $3, $3)",
            false,
            Json(serde_json::json!({})),
            now
        )
        .unwrap();
        for scope in [vec!["openid"], vec!["openid", "offline_access"]] {
            execute!(
                &mut tx,
                "INSERT INTO grants (id, user_id, client_id, sid, details, created_at, expires_at) \
                 VALUES ($1, $2, 'app', $3, $4, $5, $6)",
                GrantId::new(&platform.random, &platform.clock),
                ann,
                signed_in.sid,
                Json(serde_json::json!({"scope": scope})),
                now,
                now + TimeDelta::days(1)
            )
            .unwrap();
        }
        tx.commit().await.unwrap();

        sign_out(&browser(&state, id), &state).await.unwrap();
        assert_eq!(current(&browser(&state, id), &state).await.unwrap(), None);
        assert!(platform.revocations.contains([(Kind::Session, signed_in.sid.to_string().as_str())]));
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM grants WHERE revoked_at IS NOT NULL").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL AND sid IS NULL").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_after_its_fixed_life_and_with_its_account() {
    each_state(&[("SESSIONS__LIFETIME_HOURS", "2")], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let session = browser(&state, None);
        sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        let id = session.id();
        platform.clock.advance(Duration::from_secs(7000));
        assert!(current(&browser(&state, id), &state).await.unwrap().is_some());
        platform.clock.advance(Duration::from_secs(300));
        assert!(current(&browser(&state, id), &state).await.unwrap().is_none());

        let session = browser(&state, None);
        sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
        let mut tx = platform.db.begin().await.unwrap();
        crate::accounts::delete(&mut tx, platform, ann, "test").await.unwrap();
        tx.commit().await.unwrap();
        // The cache may still hold it: the list of revocations does not.
        assert!(current(&browser(&state, session.id()), &state).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn without_its_cache_it_signs_nobody_out_and_nobody_in() {
    let scratch = Scratch::new(TestStore::Embedded).await.unwrap();
    // Nothing listens on the discard port of a test machine.
    let settings =
        [("REDIS__URL", "redis://127.0.0.1:9"), ("PASSWORDS__MEMORY_KIB", "7168"), ("PASSWORDS__ITERATIONS", "1")];
    let state = AppState::new(scratch.platform(&settings).await).await.unwrap();
    let ann = person(&state, "ann@example.com").await;
    let session = browser(&state, None);
    let (signed_in, _) = sign_in(&session, &state, ann, ACR_PASSWORD, &[AMR_PASSWORD]).await.unwrap();
    let id = session.id();
    assert_eq!(current(&browser(&state, id), &state).await.unwrap(), Some(signed_in));
    sign_out(&browser(&state, id), &state).await.unwrap();
    assert_eq!(current(&browser(&state, id), &state).await.unwrap(), None);
    // And without its database it says so, rather than that nobody is signed in.
    state.platform.db.close().await;
    assert!(current(&browser(&state, id), &state).await.unwrap_err().is_unavailable());
}
