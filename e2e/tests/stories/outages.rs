//! Redis or PostgreSQL stop, or answer nothing, while people use the services; then they come back.

use std::time::Duration;

use serde_json::json;
use shared::testing::Scratch;
use tokio::time::{Instant, sleep, timeout};
use xtask::servers::Server;

use crate::actor::{Actor, Answer};
use crate::visitor::Stop;
use crate::world::{PASSWORD, Store, World};

/// Within this time there is an answer, whatever is broken.
const SECONDS: Duration = Duration::from_secs(10);

/// A world on servers of its own.
async fn world() -> (World, Server, Server) {
    let postgres = Server::postgres(&[]).await.expect("PostgreSQL starts");
    let redis = Server::redis().await.expect("Redis starts");
    let mut scratch = Scratch::new(Store::Embedded).await.expect("a folder");
    scratch.store = Store::Server;
    let settings =
        [("DATABASE__URL", postgres.url.as_str()), ("DATABASE__MIGRATE_ON_START", "true"), ("REDIS__URL", &redis.url)];
    let world = World::on(scratch, &settings).await;
    (world, postgres, redis)
}

const LOOKUP: &str = "/v1/referral-codes/lookup?email=ann@example.com";

/// Ann has a code, which Ben has looked up: it is cached.
async fn a_code_that_was_looked_up(world: &World) -> (Actor, Actor, String) {
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    for _ in 0..2 {
        assert_eq!(ben.get(LOOKUP).await.is(200)["code"], code.as_str());
    }
    (ann, ben, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_people_stay_signed_in_and_codes_stay_right() {
    let (world, _postgres, mut redis) = world().await;
    let (ann, ben, code) = a_code_that_was_looked_up(&world).await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    app.code(&mut visitor, &ann.email, &app.authorization("openid")).await;

    redis.stop();
    let story = async {
        let ann = world.signed_in(ann.clone()).await;
        if let Stop::Page(page) = visitor.open(&app.authorization("openid").url).await {
            assert!(page.status < 500 && !page.has_field("password"), "signed out:\n{}", page.body);
        }
        assert_eq!(ben.get(LOOKUP).await.is(200)["code"], code.as_str());
        world.person_through("cy", Some(&code)).await;
        ann.delete(&format!("/v1/referral-codes/{code}")).await.is(204);
        ben.get(LOOKUP).await.is_problem(404, "");
        is_refused_at_signup(&world, &code).await;
        let next = ann.creates_a_code(world.platform.clock.now(), 30).await;
        assert_eq!(ben.get(LOOKUP).await.is(200)["code"], next.as_str());
        next
    };
    let next = timeout(4 * SECONDS, story).await.expect("slower, but no hang");

    redis.start().await.expect("Redis starts again");
    for _ in 0..20 {
        assert_eq!(ben.get(LOOKUP).await.is(200)["code"], next.as_str());
        sleep(Duration::from_millis(100)).await;
    }
    ann.get("/v1/referrers/me/referrals").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_deleted_while_redis_could_not_be_told_is_not_seen_again() {
    let (world, _postgres, redis) = world().await;
    let (ann, ben, code) = a_code_that_was_looked_up(&world).await;

    // It answers nothing, and still holds the code.
    redis.freeze(true);
    let story = async {
        ann.delete(&format!("/v1/referral-codes/{code}")).await.is(204);
        ben.get(LOOKUP).await.is_problem(404, "");
    };
    timeout(3 * SECONDS, story).await.expect("slower, but no hang");

    redis.freeze(false);
    for _ in 0..30 {
        ben.get(LOOKUP).await.is_problem(404, "");
        sleep(Duration::from_millis(50)).await;
    }
    is_refused_at_signup(&world, &code).await;
}

async fn is_refused_at_signup(world: &World, code: &str) {
    let form = json!({ "email": "late@example.com", "password": PASSWORD, "referral_code": code });
    world.anon().post("/api/v1/signup", form).await.is_problem(422, "referral_code");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_everyone_is_told_when_to_come_again() {
    let (world, mut postgres, _redis) = world().await;
    let (ann, _, code) = a_code_that_was_looked_up(&world).await;
    postgres.stop();
    everyone_is_told_when_to_come_again(&world, &ann, &code).await;
    postgres.start().await.expect("PostgreSQL starts again");
    everything_works_again(&world, &ann, &code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_nothing_hangs_nobody() {
    let (world, postgres, _redis) = world().await;
    let (ann, _, code) = a_code_that_was_looked_up(&world).await;
    postgres.freeze(true);
    everyone_is_told_when_to_come_again(&world, &ann, &code).await;
    postgres.freeze(false);
    everything_works_again(&world, &ann, &code).await;
}

async fn everyone_is_told_when_to_come_again(world: &World, ann: &Actor, code: &str) {
    let signup = json!({ "email": "dan@example.com", "password": PASSWORD, "referral_code": code });
    let begun = Instant::now();
    let anon = world.anon();
    let [account, own, delete, ready] = [
        (reqwest::Method::POST, "/api/v1/signup".to_owned()),
        (reqwest::Method::GET, "/v1/referral-codes".to_owned()),
        (reqwest::Method::DELETE, format!("/v1/referral-codes/{code}")),
        (reqwest::Method::GET, "/readyz".to_owned()),
    ]
    .map(|(method, path)| match path.as_str() {
        "/api/v1/signup" => anon.request(method, &path).json(&signup),
        "/readyz" => anon.request(method, &path),
        _ => ann.request(method, &path),
    });
    let all = async {
        tokio::join!(
            Answer::to(account),
            Answer::to(own),
            Answer::to(delete),
            world.cli.password(&ann.email, PASSWORD, "openid"),
            Answer::to(ready),
        )
    };
    let (account, own, delete, token, ready) = timeout(2 * SECONDS, all).await.expect("nobody is kept waiting");
    assert!(begun.elapsed() < SECONDS, "answered after {:?}", begun.elapsed());
    for answer in [&account, &own, &delete, &token, &ready] {
        assert_eq!(answer.status, 503, "{}: {}", answer.request, answer.body);
    }
    for answer in [&account, &own, &delete, &token] {
        let seconds = answer.header("retry-after").parse::<u64>();
        assert!(seconds.is_ok_and(|s| (1..=60).contains(&s)), "{}: {:?}", answer.request, answer.headers);
        let body = answer.body.to_lowercase();
        assert!(!body.contains("sqlx") && !body.contains("pool") && !body.contains("panicked"), "{body}");
    }
    token.is_not_cached();
}

async fn everything_works_again(world: &World, ann: &Actor, code: &str) {
    let recovered = async {
        while world.cli.password(&ann.email, PASSWORD, "openid").await.status != 200 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(3 * SECONDS, recovered).await.expect("it recovers by itself");
    let ann = world.signed_in(ann.clone()).await;
    ann.get("/v1/referral-codes").await.is(200);
    world.person_through("eve", Some(code)).await;
    world.anon().get("/readyz").await.is(200);
}
