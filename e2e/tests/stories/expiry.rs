//! Everything that expires does so on time; the services' clock is moved by hand.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{PASSWORD, World};

const DAY: u64 = 24 * 3600;

async fn a_code_expires_after_a_minute__rfc6749_4_1_2(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    let authorization = app.authorization("openid");
    let code = app.code(&mut visitor, &ann.email, &authorization).await;
    world.pass(Duration::from_secs(55));
    app.exchange(&code, &authorization.verifier).await.is(200);

    let authorization = app.authorization("openid");
    let code = app.code(&mut visitor, &ann.email, &authorization).await;
    world.pass(Duration::from_secs(61));
    app.exchange(&code, &authorization.verifier).await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(a_code_expires_after_a_minute__rfc6749_4_1_2);

async fn an_access_token_expires_after_ten_minutes__rfc9068_4(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let tokens = app.signs_in(&mut world.visitor(), &ann.email, "openid referral-codes:read").await;
    let token = tokens["access_token"].as_str().unwrap();
    let holder = world.anon().with_token(token);
    world.pass(Duration::from_secs(590));
    holder.get("/oauth/userinfo").await.is(200);
    holder.get("/v1/referral-codes").await.is(200);
    assert_eq!(app.introspect(token).await["active"], true);

    // The API allows for clocks that differ by up to half a minute.
    world.pass(Duration::from_secs(41));
    for path in ["/oauth/userinfo", "/v1/referral-codes"] {
        let answer = holder.get(path).await;
        answer.is_problem(401, "");
        assert!(answer.header("www-authenticate").contains("invalid_token"), "RFC 6750 §3.1");
    }
    assert_eq!(app.introspect(token).await, json!({ "active": false }));
}
on_both_stores!(an_access_token_expires_after_ten_minutes__rfc9068_4);

async fn a_refresh_token_expires_when_it_lies_unused_for_thirty_days(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let tokens = app.signs_in(&mut world.visitor(), &ann.email, "openid offline_access").await;
    world.pass(Duration::from_secs(29 * DAY));
    // Using it begins another thirty days.
    let tokens = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is(200);
    world.pass(Duration::from_secs(29 * DAY));
    let tokens = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is(200);
    world.pass(Duration::from_secs(30 * DAY + 1));
    app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(a_refresh_token_expires_when_it_lies_unused_for_thirty_days);

async fn an_expired_referral_code_signs_nobody_up_and_makes_room_for_the_next(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 1).await;
    world.person_through("cy", Some(&code)).await;
    ann.get("/v1/referral-codes/lookup?email=ann@example.com").await.is(200);
    world.pass(Duration::from_secs(DAY + 1));

    let form = json!({ "email": "ben@example.com", "password": PASSWORD, "referral_code": code });
    world.anon().post("/api/v1/signup", form).await.is_problem(422, "referral_code");
    world.cli.password("ben@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
    let ann = world.signed_in(ann).await;
    ann.get("/v1/referral-codes/lookup?email=ann@example.com").await.is_problem(404, "");
    let own = ann.get(&format!("/v1/referral-codes/{code}")).await.is(200);
    assert_eq!((&own["status"], &own["uses"]), (&json!("expired"), &json!(1)), "{own}");

    let expires_at = world.platform.clock.now() + TimeDelta::days(1);
    let next = ann.post("/v1/referral-codes", json!({ "expires_at": expires_at })).await.is(201);
    world.person_through("ben", next["code"].as_str()).await;
}
on_both_stores!(an_expired_referral_code_signs_nobody_up_and_makes_room_for_the_next);

async fn an_authorization_request_that_waited_too_long_leads_back_to_its_app(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let authorization = app.authorization("openid");
    let mut visitor = world.visitor();
    let login = visitor.open(&authorization.url).await.page();
    world.pass(Duration::from_secs(3601));
    let page = visitor.open(&login.url).await.page();
    assert_eq!(page.status, 410, "{}", page.body);
    let back = page.links().into_iter().find(|link| link.as_str().starts_with(&app.redirect_uri));
    let back = back.unwrap_or_else(|| panic!("no way back to the app:\n{}", page.body));
    assert_eq!(crate::app_library::parameter(&back, "state").as_deref(), Some(authorization.state.as_str()));
    assert_eq!(crate::app_library::parameter(&back, "error").as_deref(), Some("access_denied"));
    // Starting anew works.
    app.signs_in(&mut visitor, &ann.email, "openid").await;
}
on_both_stores!(an_authorization_request_that_waited_too_long_leads_back_to_its_app);
