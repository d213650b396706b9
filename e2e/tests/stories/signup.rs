//! Signing up through a friend's link: on the page, with every kind of code that no longer works, and under limits.

use std::time::Duration;

use serde_json::json;

use crate::world::{PASSWORD, World};

async fn a_friends_link_opens_a_page_that_names_them_and_signs_up(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;

    let mut visitor = world.visitor();
    let page = visitor.open(format!("{}/signup?ref={code}", world.auth_url)).await.page();
    assert!(page.says("Ann"), "the inviter is named:\n{}", page.body);
    assert_eq!(page.value_of("referral_code").as_deref(), Some(code.as_str()));
    let fields = [("email", "ben@example.com"), ("password", PASSWORD), ("given_name", "Ben"), ("family_name", "")];
    let done = visitor.submit(&page, &fields).await.page();
    assert_eq!(done.status, 200, "{}", done.body);

    let referrals = ann.get("/v1/referrers/me/referrals").await.is(200);
    assert_eq!(referrals["items"].as_array().unwrap().len(), 1, "{referrals}");
}
on_both_stores!(a_friends_link_opens_a_page_that_names_them_and_signs_up);

async fn the_pages_speak_the_visitors_language(world: World) {
    let mut visitor = world.visitor();
    visitor.language = "ru-RU,ru;q=0.9,en;q=0.5";
    let page = visitor.open(format!("{}/signup", world.auth_url)).await.page();
    assert!(page.body.contains("lang=\"ru\"") && page.says("Пароль"), "{}", page.body);
    // The switch is a link, and lasts.
    let switch = page.links().into_iter().find(|link| link.as_str().contains("=en")).expect("a link to English");
    let page = visitor.open(switch).await.page();
    assert!(page.body.contains("lang=\"en\"") && page.says("Password"), "{}", page.body);
    let login = visitor.open(format!("{}/login", world.auth_url)).await.page();
    assert!(login.body.contains("lang=\"en\""), "{}", login.body);
}
on_both_stores!(the_pages_speak_the_visitors_language);

async fn a_form_from_elsewhere_is_refused(world: World) {
    let mut visitor = world.visitor();
    let page = visitor.open(format!("{}/signup", world.auth_url)).await.page();
    // Another visitor's browser, which does not hold the cookie that belongs to this form.
    let mut stranger = world.visitor();
    let answer = stranger.submit(&page, &[("email", "eve@example.com"), ("password", PASSWORD)]).await.page();
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    world.cli.password("eve@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(a_form_from_elsewhere_is_refused);

/// Holds a sign-up with `code` to a refusal that creates nothing, on the page and in JSON.
async fn is_refused(world: &World, code: &str) {
    let form = json!({ "email": "ben@example.com", "password": PASSWORD, "referral_code": code });
    world.anon().post("/api/v1/signup", form).await.is_problem(422, "referral_code");

    let mut visitor = world.visitor();
    let page = visitor.open(format!("{}/signup", world.auth_url)).await.page();
    let fields = [("email", "ben@example.com"), ("password", PASSWORD), ("given_name", "Ben"), ("referral_code", code)];
    let page = visitor.submit(&page, &fields).await.page();
    assert_eq!(page.status, 422, "{}", page.body);
    // The form keeps what was typed, except the password.
    assert_eq!(page.value_of("email").as_deref(), Some("ben@example.com"));
    assert_eq!(page.value_of("given_name").as_deref(), Some("Ben"));
    assert_eq!(page.value_of("referral_code").as_deref(), Some(code));
    assert!(!page.body.contains(PASSWORD));

    world.cli.password("ben@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
}

async fn an_expired_code_creates_nothing(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 1).await;
    world.pass(Duration::from_secs(24 * 3600 + 1));
    is_refused(&world, &code).await;
}
on_both_stores!(an_expired_code_creates_nothing);

async fn a_deleted_code_creates_nothing_at_once(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    // Seen, and so cached, before it goes.
    world.visitor().open(format!("{}/signup?ref={code}", world.auth_url)).await.page();
    ann.get("/v1/referral-codes/lookup?email=ann@example.com").await.is(200);
    ann.delete(&format!("/v1/referral-codes/{code}")).await.is(204);
    is_refused(&world, &code).await;
    ann.get("/v1/referral-codes/lookup?email=ann@example.com").await.is_problem(404, "");
}
on_both_stores!(a_deleted_code_creates_nothing_at_once);

async fn an_exhausted_code_creates_nothing(world: World) {
    let ann = world.person("ann").await;
    let expires_at = world.platform.clock.now() + chrono::TimeDelta::days(30);
    let body = json!({ "expires_at": expires_at, "code": "FRIENDS-OF-ANN", "max_uses": 1 });
    let code = ann.post("/v1/referral-codes", body).await.is(201)["code"].as_str().unwrap().to_owned();
    world.person_through("cy", Some(&code)).await;
    is_refused(&world, &code).await;
    assert_eq!(ann.get("/v1/referrers/me/referrals").await.is(200)["items"].as_array().unwrap().len(), 1);
}
on_both_stores!(an_exhausted_code_creates_nothing);

async fn an_unknown_code_creates_nothing(world: World) {
    is_refused(&world, "ZZZZZZZZ").await;
}
on_both_stores!(an_unknown_code_creates_nothing);

async fn a_taken_address_is_told_apart_only_where_addresses_need_no_proof(world: World) {
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    let first = world.anon().post("/api/v1/signup", body.clone()).await;
    let second = world.anon().post("/api/v1/signup", body).await;
    assert_eq!(first.is(202), json!({ "status": "verification_required" }));
    assert_eq!(second.is(202), first.json());
    // Until the address is confirmed there is no account to sign in to.
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(
    a_taken_address_is_told_apart_only_where_addresses_need_no_proof,
    "ACCOUNTS__EMAIL_VERIFICATION" = "required",
);

async fn too_many_signups_from_one_address_are_told_when_to_come_again(world: World) {
    for attempt in 0..4 {
        let body = json!({ "email": format!("p{attempt}@example.com"), "password": PASSWORD });
        let answer = world.anon().post("/api/v1/signup", body).await;
        if answer.status == 429 {
            let seconds: u64 = answer.header("retry-after").parse().expect("Retry-After in seconds");
            assert!((1..=60).contains(&seconds), "{seconds}");
            answer.is_problem(429, "");
            return;
        }
        answer.is(201);
    }
    panic!("nobody was stopped");
}
on_both_stores!(
    too_many_signups_from_one_address_are_told_when_to_come_again,
    "LIMITS__ENABLED" = "true",
    "LIMITS__SIGNUPS_PER_MINUTE" = "3",
);
