use std::time::Duration;

use chrono::TimeDelta;
use shared::fetch_one;

use super::*;
use crate::accounts::testing::{count, each_state, person};
use crate::clients::{ClientMetadata, NewClient, Origin};
use crate::protocol::grants::{self, GrantDetails, GrantRef, RefreshTokens};
use crate::state::AppState;

async fn app(state: &AppState, name: &str) -> Client {
    let metadata = ClientMetadata {
        redirect_uris: vec!["https://app.example/cb".into()],
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        scopes: ["openid", "profile", "email", "offline_access"].map(str::to_owned).into(),
        token_endpoint_auth_method: "client_secret_basic".into(),
        ..ClientMetadata::default()
    };
    let client = NewClient {
        client_id: Some(name.into()),
        name: name.into(),
        first_party: false,
        origin: Origin::Registered,
        metadata,
    };
    crate::clients::create(&state.platform, client).await.unwrap().0
}

/// A grant, as a sign-in to the app makes one; also a refresh token, if there is to be one.
async fn grant(state: &AppState, user: UserId, client: &Client, details: &GrantDetails, refreshes: bool) -> GrantRef {
    let platform = &state.platform;
    platform.clock.advance(Duration::from_secs(1));
    let mut tx = platform.db.begin().await.unwrap();
    let made = grants::insert_grant(&mut tx, platform, client, user, None, details).await.unwrap();
    if refreshes {
        RefreshTokens::new(&mut tx, platform, client).first(&made).await.unwrap();
    }
    tx.commit().await.unwrap();
    made
}

fn allowing(scope: &[&str]) -> GrantDetails {
    GrantDetails { scope: scope.iter().map(|scope| (*scope).to_owned()).collect(), ..GrantDetails::default() }
}

async fn of(state: &AppState, user: UserId, name: &str) -> Option<Connected> {
    let mut conn = state.platform.db.read().await.unwrap();
    let apps = connected(&mut conn, user, state.platform.clock.now()).await.unwrap();
    apps.into_iter().find(|app| app.client.client_id.as_str() == name)
}

#[tokio::test]
async fn no_number_of_sign_ins_hides_what_an_app_may_do_and_when_it_was_used() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let (wide, busy) = (app(&state, "wide").await, app(&state, "busy").await);
        let detail = json!({ "type": "referral_code", "actions": ["create"] });
        let details =
            GrantDetails { authorization_details: vec![detail.clone()], ..allowing(&["openid", "profile", "email"]) };
        let before = state.platform.clock.now();
        grant(&state, ann, &wide, &details, true).await;
        let then = before..=state.platform.clock.now();
        // Its consent says less, and so do all its later sign-ins.
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(
            &mut tx,
            "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4)",
            ann,
            &wide.client_id,
            Json(json!({ "scope": ["openid"] })),
            state.platform.clock.now()
        )
        .unwrap();
        tx.commit().await.unwrap();
        for n in 0..120 {
            grant(&state, ann, [&wide, &busy][n % 2], &allowing(&["openid"]), false).await;
        }
        let told = of(&state, ann, "wide").await.unwrap();
        assert_eq!(told.scope.join(" "), "openid profile email");
        assert_eq!(told.authorization_details, [detail]);
        assert!(then.contains(&told.since) && told.used_at.is_some_and(|at| then.contains(&at)), "{told:?}");
        let told = of(&state, ann, "busy").await.unwrap();
        assert_eq!((told.scope.join(" ").as_str(), told.used_at), ("openid", None));
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM app_permissions").await, 3, "each once");
    })
    .await;
}

#[tokio::test]
async fn what_ended_is_not_told_and_begins_anew_when_it_is_allowed_again() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let (ann, bob) = (person(&state, "ann@example.com").await, person(&state, "bob@example.com").await);
        let notes = app(&state, "notes").await;
        let wide = grant(&state, ann, &notes, &allowing(&["openid", "email"]), true).await;
        grant(&state, ann, &notes, &allowing(&["openid"]), false).await;
        grant(&state, bob, &notes, &allowing(&["openid", "email"]), true).await;
        let mut tx = platform.db.begin().await.unwrap();
        grants::end_grant(&mut tx, platform, wide.id).await.unwrap();
        tx.commit().await.unwrap();
        let told = of(&state, ann, "notes").await.unwrap();
        assert_eq!((told.scope.join(" ").as_str(), told.used_at), ("openid", None), "one ended, the other goes on");
        assert_eq!(of(&state, bob, "notes").await.unwrap().scope.join(" "), "openid email");

        let before = platform.clock.now();
        let again = grant(&state, ann, &notes, &allowing(&["email", "openid"]), false).await;
        let mut conn = platform.db.read().await.unwrap();
        let (since, used_at): (DateTime<Utc>, Option<DateTime<Utc>>) = fetch_one!(
            &mut conn,
            (DateTime<Utc>, Option<DateTime<Utc>>),
            "SELECT p.since, p.used_at FROM app_permissions p JOIN grants g ON g.permission_id = p.id WHERE g.id = $1",
            again.id
        )
        .unwrap();
        drop(conn);
        assert!(since > before && used_at.is_none(), "{since} {used_at:?}");

        let mut tx = platform.db.begin().await.unwrap();
        assert!(disconnect(&mut tx, platform, ann, &notes.client_id).await.unwrap());
        tx.commit().await.unwrap();
        assert!(of(&state, ann, "notes").await.is_none());
        assert!(of(&state, bob, "notes").await.is_some());
        let mut conn = platform.db.read().await.unwrap();
        let left = "SELECT COUNT(*) FROM refresh_tokens";
        assert_eq!(count(&mut conn, left).await, 1, "Bob's");
        drop(conn);

        // Once the last grant of it has expired, nothing is left of a permission.
        platform.clock.advance(Duration::from_secs(200 * 86_400));
        assert!(of(&state, bob, "notes").await.is_none());
        crate::sweeper::sweep(platform).await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM app_permissions").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_app_that_comes_to_refresh_before_its_code_is_exchanged_is_told_for_as_long_as_it_may() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let refreshing = app(&state, "sly").await;
        let mut once = refreshing.clone();
        once.metadata.grant_types.retain(|grant| grant != "refresh_token");
        let mut tx = platform.db.begin().await.unwrap();
        let made = grants::insert_grant(&mut tx, platform, &once, ann, None, &allowing(&["openid"])).await.unwrap();
        let soon = platform.clock.now() + TimeDelta::seconds(60);
        grants::wait_for_exchange(&mut tx, made.id, soon).await.unwrap();
        let (_, _, begun) = grants::begin(&mut tx, platform, &refreshing, made.id).await.unwrap().unwrap();
        RefreshTokens::new(&mut tx, platform, &refreshing).first(&begun).await.unwrap();
        tx.commit().await.unwrap();
        platform.clock.advance(Duration::from_secs(30 * 86_400));
        crate::sweeper::sweep(platform).await.unwrap();
        let told = of(&state, ann, "sly").await.unwrap();
        assert!(told.scope.join(" ") == "openid" && told.used_at.is_some(), "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn what_a_release_before_granted_is_told_too() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let notes = app(&state, "notes").await;
        grant(&state, ann, &notes, &allowing(&["openid", "email"]), false).await;
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE grants SET permission_id = NULL").unwrap();
        execute!(&mut tx, "DELETE FROM app_permissions").unwrap();
        tx.commit().await.unwrap();
        assert_eq!(of(&state, ann, "notes").await.unwrap().scope.join(" "), "openid email");
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_may_be_about_to_begin_is_ended_with_the_others() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let notes = app(&state, "notes").await;
        let made = grant(&state, ann, &notes, &allowing(&["openid"]), false).await;
        let mut tx = platform.db.begin().await.unwrap();
        grants::wait_for_exchange(&mut tx, made.id, platform.clock.now() - TimeDelta::seconds(1)).await.unwrap();
        assert!(disconnect(&mut tx, platform, ann, &notes.client_id).await.unwrap());
        assert!(grants::begin(&mut tx, platform, &notes, made.id).await.unwrap().is_none());
        tx.commit().await.unwrap();
    })
    .await;
}
