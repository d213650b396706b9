//! Forty at once: single-use things are used once, and what may exist once exists once.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use crate::actor::Answer;
use crate::app::App;
use crate::world::World;

const FORTY: usize = 40;

#[track_caller]
fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    for answer in answers {
        assert!(answer.status < 500, "{}: {} {}", answer.request, answer.status, answer.body);
    }
    answers.iter().filter(|answer| answer.status == status).collect()
}

async fn forty_creating_a_code_leave_exactly_one_active(world: World) {
    let ann = world.person("ann").await;
    let body = json!({ "expires_at": world.platform.clock.now() + chrono::TimeDelta::days(30) });
    let answers = join_all((0..FORTY).map(|_| ann.post("/v1/referral-codes", body.clone()))).await;
    assert_eq!(with_status(&answers, 201).len(), 1);
    assert_eq!(with_status(&answers, 409).len(), FORTY - 1);
    let own = ann.get("/v1/referral-codes").await.is(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
}
on_both_stores!(forty_creating_a_code_leave_exactly_one_active);

async fn forty_exchanging_one_code_give_one_token_response_and_the_second_use_revokes_it__rfc6749_4_1_2(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let authorization = app.authorization("openid referral-codes:read offline_access");
    let code = app.code(&mut world.visitor(), &ann.email, &authorization).await;

    let answers = join_all((0..FORTY).map(|_| app.exchange(&code, &authorization.verifier))).await;
    let [won] = with_status(&answers, 200)[..] else { panic!("{} token responses", with_status(&answers, 200).len()) };
    for lost in with_status(&answers, 400) {
        lost.is_oauth_error(400, "invalid_grant");
    }
    assert_eq!(with_status(&answers, 400).len(), FORTY - 1);

    let tokens = won.json();
    app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_oauth_error(400, "invalid_grant");
    let access_token = tokens["access_token"].as_str().unwrap();
    is_soon_inactive(&app, access_token).await;
    is_soon_refused(&world, access_token).await;
}
on_both_stores!(forty_exchanging_one_code_give_one_token_response_and_the_second_use_revokes_it__rfc6749_4_1_2);

async fn forty_refreshing_with_one_token_all_receive_the_same_successor(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let tokens = app.signs_in(&mut world.visitor(), &ann.email, "openid offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();

    let answers = join_all((0..FORTY).map(|_| app.refresh(token))).await;
    let successors: BTreeSet<_> =
        answers.iter().map(|answer| answer.is(200)["refresh_token"].as_str().unwrap().to_owned()).collect();
    assert_eq!(successors.len(), 1);
    let successor = successors.first().unwrap();
    assert_ne!(successor, token);
    app.refresh(successor).await.is(200);
    // The successor was used: its predecessor is no longer a retry.
    app.refresh(token).await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(forty_refreshing_with_one_token_all_receive_the_same_successor);

async fn without_leeway_one_of_forty_refreshes_and_the_family_ends__rfc9700_4_14_2(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let tokens = app.signs_in(&mut world.visitor(), &ann.email, "openid referral-codes:read offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();

    let answers = join_all((0..FORTY).map(|_| app.refresh(token))).await;
    let [won] = with_status(&answers, 200)[..] else { panic!("{} successors", with_status(&answers, 200).len()) };
    assert_eq!(with_status(&answers, 400).len(), FORTY - 1);
    let tokens = won.json();
    app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_oauth_error(400, "invalid_grant");
    is_soon_refused(&world, tokens["access_token"].as_str().unwrap()).await;
}
on_both_stores!(
    without_leeway_one_of_forty_refreshes_and_the_family_ends__rfc9700_4_14_2,
    "TOKENS__REFRESH_LEEWAY_SECONDS" = "0",
);

async fn forty_signing_up_with_the_last_use_of_a_code_leave_one_referral(world: World) {
    let ann = world.person("ann").await;
    let expires_at = world.platform.clock.now() + chrono::TimeDelta::days(30);
    let body = json!({ "expires_at": expires_at, "max_uses": 1 });
    let code = ann.post("/v1/referral-codes", body).await.is(201)["code"].as_str().unwrap().to_owned();

    let anon = world.anon();
    let answers = join_all((0..FORTY).map(|n| {
        let email = format!("friend{n}@example.com");
        anon.post(
            "/api/v1/signup",
            json!({ "email": email, "password": crate::world::PASSWORD, "referral_code": code }),
        )
    }))
    .await;
    assert_eq!(with_status(&answers, 201).len(), 1);
    assert_eq!(with_status(&answers, 422).len(), FORTY - 1);
    assert_eq!(ann.get("/v1/referrers/me/referrals").await.is(200)["items"].as_array().unwrap().len(), 1);
}
on_both_stores!(forty_signing_up_with_the_last_use_of_a_code_leave_one_referral);

async fn forty_signing_up_with_one_address_make_one_account(world: World) {
    let anon = world.anon();
    let body = json!({ "email": "ann@example.com", "password": crate::world::PASSWORD });
    let answers = join_all((0..FORTY).map(|_| anon.post("/api/v1/signup", body.clone()))).await;
    assert_eq!(with_status(&answers, 201).len(), 1);
    assert_eq!(with_status(&answers, 409).len(), FORTY - 1);
}
on_both_stores!(forty_signing_up_with_one_address_make_one_account);

/// A revoked access token is refused by the API within about a second.
pub async fn is_soon_refused(world: &World, access_token: &str) {
    let actor = world.anon().with_token(access_token);
    for _ in 0..20 {
        let answer = actor.get("/v1/referral-codes").await;
        if answer.status == 401 {
            assert!(answer.header("www-authenticate").contains("invalid_token"), "RFC 6750 §3.1");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("a revoked token still works after two seconds");
}

/// Introspection knows of a revocation within about a second, on any instance.
pub async fn is_soon_inactive(app: &App, access_token: &str) {
    for _ in 0..20 {
        if app.introspect(access_token).await == json!({ "active": false }) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("a revoked token is still active after two seconds");
}
