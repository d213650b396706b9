//! A referral programme, run by a team's own backend: from the sign-up to the credits and back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::actor::Actor;
use crate::recovery::{link, mail};
use crate::world::{PASSWORD, World, app_client};

const REWARDS: &str = r#"[
    {name="invited", to="referrer", currency="EUR", amount=500},
    {name="welcome", to="referral", currency="EUR", amount=200}
]"#;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The team's backend, with a token that is good now.
struct Backend {
    app: crate::app::App,
}

impl Backend {
    async fn of(world: &World) -> Self {
        let mut client = app_client("Shop backend", &["client_credentials"], "");
        client.first_party = true;
        client.metadata.redirect_uris.clear();
        client.metadata.scopes = vec!["referrals:manage".to_owned()];
        Self { app: world.register(client).await }
    }

    async fn now(&self, world: &World) -> Actor {
        let answer =
            self.app.token(&[("grant_type", "client_credentials"), ("scope", "referrals:manage")]).await.is(200);
        world.anon().with_token(answer["access_token"].as_str().expect("an access token"))
    }
}

/// Follows the link in the mail that came upon sign-up.
async fn confirms(world: &World, person: &Actor) {
    let mailed = mail(&world.platform, &person.email, "Confirm your email address").await;
    let mut visitor = world.visitor();
    let page = visitor.open(link(&mailed, "/verify-email")).await.page();
    let done = visitor.submit(&page, &[("password", PASSWORD)]).await.page();
    assert_eq!(done.status, 200, "{}", done.body);
}

/// The referral by which `person` came, once it has `status`.
async fn comes_to(world: &World, backend: &Backend, person: &Actor, status: &str) -> Value {
    for _ in 0..100 {
        let path = format!("/v1/referrals?referral_user_id={}", person.id);
        let found = backend.now(world).await.get(&path).await.is(200)["items"][0].clone();
        if found["status"] == status {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the referral of {} does not become {status}", person.email);
}

async fn a_team_runs_its_programme_from_the_sign_up_to_the_credits_and_back(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 90).await;
    let ben = world.person_through("ben", Some(&code)).await;
    let backend = Backend::of(&world).await;

    let referral = comes_to(&world, &backend, &ben, "pending").await;
    let id = referral["id"].as_str().unwrap().to_owned();
    assert_eq!((&referral["referrer_id"], &referral["email"]), (&json!(ann.id), &json!("b•••@e•••.com")));
    let step = |what: &str| format!("/v1/referrals/{id}/{what}");
    let paid = json!({ "reason": "first invoice paid" });
    backend.now(&world).await.post(&step("qualify"), paid.clone()).await.is_problem(409, "");

    confirms(&world, &ben).await;
    comes_to(&world, &backend, &ben, "verified").await;
    ann.post(&step("qualify"), paid.clone()).await.is_problem(403, "");
    assert_eq!(backend.now(&world).await.post(&step("qualify"), paid).await.is(200)["status"], "qualified");

    // Fourteen days later, by itself.
    world.pass(14 * DAY);
    comes_to(&world, &backend, &ben, "rewarded").await;
    for (person, amount) in [(&ann, 500), (&ben, 200)] {
        let person = world.signed_in(person.clone()).await;
        let rewards = person.get("/v1/referrers/me/rewards").await.is(200);
        assert_eq!(rewards["balances"], json!([{ "currency": "EUR", "amount": amount }]));
    }

    let reversed = backend.now(&world).await.post(&step("reverse"), json!({ "reason": "refunded" })).await.is(200);
    assert_eq!(reversed["events"].as_array().unwrap().len(), 5);
    let ann = world.signed_in(ann).await;
    let rewards = ann.get("/v1/referrers/me/rewards").await.is(200);
    assert_eq!(rewards["balances"], json!([{ "currency": "EUR", "amount": 0 }]));
    let stats = ann.get("/v1/referrers/me/stats").await.is(200);
    assert_eq!((&stats["totals"]["reversed"], &stats["totals"]["rewarded"]), (&json!(1), &json!(0)));
    let csv = ann.get("/v1/referrers/me/referrals.csv").await;
    assert!(csv.body.lines().nth(1).unwrap().contains(",reversed,Ben,b•••@e•••.com,"), "{}", csv.body);
}
on_both_stores!(
    a_team_runs_its_programme_from_the_sign_up_to_the_credits_and_back,
    "PROGRAMME__REWARDS" = super::REWARDS
);
