use super::super::testing::{count, each_state, person};
use super::*;

const TERMS: &[(&str, &str)] =
    &[("ACCOUNTS__TERMS_URL", "https://example.com/terms"), ("ACCOUNTS__TERMS_VERSION", "2026-02")];

/// Somebody from before there were terms: with none agreed to.
async fn ann(state: &AppState) -> UserId {
    let platform = &state.platform;
    let id = UserId::new(&platform.random, &platform.clock);
    let email = shared::email::Email::parse("ann@example.com").unwrap();
    let user = shared::users::NewUser {
        id,
        email,
        email_verified_at: None,
        given_name: None,
        family_name: None,
        locale: None,
    };
    let mut tx = platform.db.begin().await.unwrap();
    super::super::signup::insert(&mut tx, platform, &user, None).await.unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn terms_that_are_new_are_wanted_of_everybody_once() {
    each_state(TERMS, |state| async move {
        let platform = &state.platform;
        let ann = ann(&state).await;
        assert!(are_wanted(&state, ann).await.unwrap());
        let mut tx = platform.db.begin().await.unwrap();
        record_terms(&mut tx, platform, ann, "2026-01", platform.clock.now()).await.unwrap();
        assert!(!agree(&mut tx, platform, ann, "2026-01").await.unwrap(), "those of before");
        tx.commit().await.unwrap();
        assert!(are_wanted(&state, ann).await.unwrap(), "older ones do not count");
        for _ in 0..2 {
            let mut tx = platform.db.begin().await.unwrap();
            assert!(agree(&mut tx, platform, ann, "2026-02").await.unwrap());
            tx.commit().await.unwrap();
        }
        assert!(!are_wanted(&state, ann).await.unwrap());
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM terms_agreements").await, 2);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'terms.agreed'").await, 2);
    })
    .await;
}

#[tokio::test]
async fn where_there_are_no_terms_nobody_is_asked() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        assert!(!are_wanted(&state, ann).await.unwrap());
        let mut tx = state.platform.db.begin().await.unwrap();
        assert!(!agree(&mut tx, &state.platform, ann, "1").await.unwrap());
    })
    .await;
}
