//! The customer's list, one story a sentence.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::World;

/// "A person can register and sign in (JWT, OAuth 2.0)."
async fn a_person_registers_and_signs_in(world: World) {
    let ann = world.person("ann").await;
    let me = ann.get("/api/v1/me").await.is(200);
    assert_eq!(me["email"], "ann@example.com");
    assert_eq!(me["id"], ann.id.as_str());

    let again = json!({ "email": "Ann@Example.com", "password": "another good password" });
    world.anon().post("/api/v1/signup", again).await.is_problem(409, "");
    world.cli.password(&ann.email, "a wrong password", "openid").await.is_oauth_error(400, "invalid_grant");
    world.cli.password("nobody@example.com", "a wrong password", "openid").await.is_oauth_error(400, "invalid_grant");
    world.anon().get("/api/v1/me").await.is(401);
}
on_both_stores!(a_person_registers_and_signs_in);

/// "An authenticated user can create or delete their referral code; only one is active at a time; the expiry is set when
/// the code is created, and is required."
async fn a_person_creates_and_deletes_their_code(world: World) {
    let ann = world.person("ann").await;
    let now = world.platform.clock.now();
    let body = json!({ "expires_at": now + TimeDelta::days(30) });

    let created = ann.post("/v1/referral-codes", body.clone()).await;
    let code = created.is(201);
    assert!(created.header("location").ends_with(&format!("/v1/referral-codes/{}", code["code"].as_str().unwrap())));
    assert_eq!((code["status"].as_str(), code["uses"].as_i64()), (Some("active"), Some(0)));
    assert_eq!(
        code["share_url"].as_str().unwrap(),
        format!("{}/signup?ref={}", world.auth_url, code["code"].as_str().unwrap())
    );

    ann.post("/v1/referral-codes", body.clone()).await.is_problem(409, "");

    let path = format!("/v1/referral-codes/{}", code["code"].as_str().unwrap());
    assert_eq!(ann.get(&path).await.is(200)["status"], "active");
    ann.delete(&path).await.is(204);
    let next = ann.post("/v1/referral-codes", body).await.is(201);
    assert_ne!(next["code"], code["code"]);

    let own = ann.get("/v1/referral-codes").await.is(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 2, "past ones too: {own}");
}
on_both_stores!(a_person_creates_and_deletes_their_code);

async fn a_code_needs_an_expiry_in_the_future_and_within_bounds(world: World) {
    let ann = world.person("ann").await;
    let now = world.platform.clock.now();
    for body in [
        json!({}),
        json!({ "expires_at": now - TimeDelta::seconds(1) }),
        json!({ "expires_at": now + TimeDelta::days(366) }),
        json!({ "expires_at": null }),
    ] {
        ann.post("/v1/referral-codes", body).await.is_problem(422, "expires_at");
    }
    ann.post("/v1/referral-codes", json!({ "expires_at": "soon" })).await.is_problem(422, "expires_at");
    ann.post("/v1/referral-codes", json!({ "expires_at": now + TimeDelta::days(1), "colour": "red" }))
        .await
        .is_problem(422, "colour");
    let malformed = ann.request(reqwest::Method::POST, "/v1/referral-codes").header("content-type", "application/json");
    crate::actor::Answer::to(malformed.body("{\"expires_at\":")).await.is_problem(400, "");
    let oversized = json!({ "expires_at": now + TimeDelta::days(1), "code": "x".repeat(2_000_000) });
    ann.post("/v1/referral-codes", oversized).await.is_problem(413, "");
    assert_eq!(ann.get("/v1/referral-codes").await.is(200)["items"], json!([]), "none of them left anything");
}
on_both_stores!(a_code_needs_an_expiry_in_the_future_and_within_bounds);

async fn a_code_is_its_owners_alone(world: World) {
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let path = format!("/v1/referral-codes/{code}");
    ben.get(&path).await.is_problem(404, "");
    ben.delete(&path).await.is_problem(404, "");
    ann.get("/v1/referral-codes/ABCDEFGH").await.is_problem(404, "");
    world.anon().get(&path).await.is_problem(401, "");
    // Read back as people copy it: any case.
    ann.get(&format!("/v1/referral-codes/{}", code.to_lowercase())).await.is(200);
}
on_both_stores!(a_code_is_its_owners_alone);

/// "Getting a referral code by the referrer's email address."
async fn a_code_is_found_by_its_referrers_email(world: World) {
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;

    let found = ben.get("/v1/referral-codes/lookup?email=ANN@example.com").await.is(200);
    assert_eq!(found["code"], code.as_str());
    assert!(found["share_url"].as_str().unwrap().ends_with(&code) && found["expires_at"].is_string(), "{found}");

    // No such person and no active code look alike.
    let nobody = ann.get("/v1/referral-codes/lookup?email=nobody@example.com").await.is_problem(404, "");
    let codeless = ann.get("/v1/referral-codes/lookup?email=ben@example.com").await.is_problem(404, "");
    assert_eq!((&nobody["title"], &nobody["detail"]), (&codeless["title"], &codeless["detail"]));

    ann.delete(&format!("/v1/referral-codes/{code}")).await.is(204);
    ben.get("/v1/referral-codes/lookup?email=ann@example.com").await.is_problem(404, "");
}
on_both_stores!(a_code_is_found_by_its_referrers_email);

/// "Registering by a referral code as a referral."
async fn a_friend_registers_with_the_code(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;

    let form = json!({ "email": "ben@example.com", "password": "correct horse battery staple", "referral_code": code });
    let ben = world.anon().post("/api/v1/signup", form).await.is(201);
    assert_eq!((ben["referred"].as_bool(), ben["email_verified"].as_bool()), (Some(true), Some(false)), "{ben}");
    let empty = json!({ "email": "cy@example.com", "password": "correct horse battery staple", "referral_code": "" });
    assert_eq!(world.anon().post("/api/v1/signup", empty).await.is(201)["referred"], false);
    assert_eq!(ann.get(&format!("/v1/referral-codes/{code}")).await.is(200)["uses"], 1);
}
on_both_stores!(a_friend_registers_with_the_code);

/// "Getting the referrals by the referrer's id."
async fn a_referrer_sees_their_referrals(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let ben = world.person_through("ben", Some(&code)).await;
    world.person_through("cy", Some(&code)).await;

    let path = format!("/v1/referrers/{}/referrals", ann.id);
    let referrals = ann.get(&path).await.is(200);
    let items = referrals["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{referrals}");
    for item in items {
        assert_eq!(item["status"], "pending", "{item}");
        let text = item.to_string();
        assert!(!text.contains("ben@example.com") && !text.contains("cy@example.com"), "unmasked: {text}");
    }
    assert_eq!(ann.get("/v1/referrers/me/referrals").await.is(200), referrals);

    let first = ann.get(&format!("{path}?limit=1")).await.is(200);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = ann.get(&format!("{path}?limit=1&cursor={cursor}")).await.is(200);
    assert_eq!(second["next_cursor"], json!(null));
    assert_eq!(json!([first["items"][0], second["items"][0]]), referrals["items"]);
    assert_eq!(ann.get(&format!("{path}?status=rewarded")).await.is(200)["items"], json!([]));

    ben.get(&path).await.is_problem(403, "");
    assert_eq!(ben.get("/v1/referrers/me/referrals").await.is(200)["items"], json!([]));
}
on_both_stores!(a_referrer_sees_their_referrals);

/// "UI documentation (Swagger, ReDoc)."
async fn the_documentation_is_served_without_the_internet(world: World) {
    for service in [&world.auth_url, &world.api_url] {
        let document = world.anon().get(&format!("{service}/openapi.json")).await.is(200);
        assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{service}");
        for page in ["/docs", "/redoc"] {
            let mut visitor = world.visitor();
            let page = visitor.open(format!("{service}{page}")).await.page();
            assert_eq!(page.status, 200, "{}", page.url);
            assert!(!page.body.contains("https://cdn"), "{} loads from elsewhere", page.url);
        }
    }
}
on_both_stores!(the_documentation_is_served_without_the_internet);
