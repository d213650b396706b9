//! The life of a referral: who may change it, what may follow what, what is credited, what speaks against it.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::config::Config;
use shared::referrals::life::{self, Actor as By, NoChange, Status};
use shared::referrals::rewards;
use shared::referrals::trace::Trace;

use crate::world::{Actor, EVERYTHING, World, on_each_store, on_each_store_with};

const REWARDS: &str = r#"[
    {name="first-two", to="referrer", currency="EUR", amount=500, from=1, up_to=2},
    {name="later", to="referrer", currency="EUR", amount=800, from=3, cap=1000},
    {name="welcome", to="referral", currency="POINTS", amount=100}
]"#;

async fn step(by: &Actor, id: &str, what: &str) -> crate::world::Answer {
    by.post(&format!("/v1/referrals/{id}/{what}"), &json!({ "reason": "as agreed" })).await
}

/// A verified referral of `code`: the person and its id.
async fn verified(world: &World, code: &str, name: &str) -> (Actor, String) {
    let person = world.person(name).await;
    let id = world.redeem(code, &person, true, &Trace::default()).await;
    (person, id.to_string())
}

async fn story(world: &World, id: &str) -> Value {
    world.manager().get(&format!("/v1/referrals/{id}")).await.body
}

/// Lets the clock run and does what it has happen.
async fn days_pass(world: &World, days: u64) {
    world.platform.clock.advance(std::time::Duration::from_secs(days * 24 * 3600));
    while life::advance(&world.platform).await.unwrap() > 0 {}
}

#[tokio::test]
async fn a_referral_is_verified_qualified_held_rewarded_and_may_be_reversed() {
    let settings = [("PROGRAMME__REWARDS", REWARDS), ("PROGRAMME__HOLD_DAYS", "7")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let (bob, id) = verified(&world, &ann.new_code().await, "Bob").await;
        let qualified = step(&world.manager(), &id, "qualify").await;
        assert_eq!((qualified.status, qualified.text("status").as_str()), (200, "qualified"), "{qualified:?}");
        days_pass(&world, 6).await;
        assert_eq!(story(&world, &id).await["status"], "qualified");
        let early = step(&world.manager(), &id, "reward").await;
        assert_eq!((early.status, early.problem().as_str()), (409, "referral-held"));

        days_pass(&world, 1).await;
        assert_eq!(story(&world, &id).await["status"], "rewarded");
        let of_ann = rewards_of(&world, &ann).await;
        assert_eq!(of_ann["balances"], json!([{ "currency": "EUR", "amount": 500 }]));
        assert_eq!(rewards_of(&world, &bob).await["balances"], json!([{ "currency": "POINTS", "amount": 100 }]));

        let reversed = step(&world.manager(), &id, "reverse").await;
        assert_eq!((reversed.status, reversed.text("status").as_str()), (200, "reversed"));
        let of_ann = rewards_of(&world, &ann).await;
        assert_eq!(of_ann["balances"], json!([{ "currency": "EUR", "amount": 0 }]));
        assert_eq!((&of_ann["items"][0]["amount"], &of_ann["items"][1]["amount"]), (&json!(-500), &json!(500)));
        assert_eq!(of_ann["items"][0]["reverses"], of_ann["items"][1]["id"]);

        let told = story(&world, &id).await;
        let steps: Vec<&str> = told["events"].as_array().unwrap().iter().map(|e| e["to"].as_str().unwrap()).collect();
        assert_eq!(steps, ["pending", "verified", "qualified", "rewarded", "reversed"]);
        assert!(told["events"][2]["actor"].as_str().unwrap().starts_with("client:backend-"));
        assert_eq!(told["events"][3]["actor"], json!(null));
    })
    .await;
}

/// A token that is good now: the clock moves in these stories.
async fn rewards_of(world: &World, person: &Actor) -> Value {
    let answer = person.with_scope(EVERYTHING).get("/v1/referrers/me/rewards").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut conn = world.platform.db.read().await.unwrap();
    assert!(rewards::is_balanced(&mut conn, person.id()).await.unwrap());
    answer.body
}

#[tokio::test]
async fn no_step_is_taken_from_a_status_that_does_not_lead_there() {
    on_each_store_with(&[("PROGRAMME__HOLD_DAYS", "0")], |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let pending = world.person("Bob").await;
        let pending = world.redeem(&code, &pending, false, &Trace::default()).await.to_string();
        let manager = world.manager();
        for what in ["qualify", "reward", "reverse", "clear"] {
            let refused = step(&manager, &pending, what).await;
            assert_eq!((refused.status, refused.problem().as_str()), (409, "referral-status"), "{what}");
        }
        assert_eq!(step(&manager, &pending, "reject").await.status, 200);
        for what in ["qualify", "reward", "reject", "reverse"] {
            assert_eq!(step(&manager, &pending, what).await.status, 409, "{what} after reject");
        }
        let (_, id) = verified(&world, &code, "Cleo").await;
        assert_eq!(step(&manager, &id, "reward").await.status, 409);
        for (what, status) in [("qualify", 200), ("qualify", 409), ("reward", 200), ("reject", 409), ("reverse", 200)] {
            assert_eq!(step(&manager, &id, what).await.status, status, "{what}");
        }
        for what in ["qualify", "reward", "reject", "reverse"] {
            assert_eq!(step(&manager, &id, what).await.status, 409, "{what} after reverse");
        }
        let unknown = world.platform.random.uuid_v4().to_string();
        assert_eq!(step(&manager, &unknown, "qualify").await.status, 404);
        assert_eq!(step(&manager, "nonsense", "qualify").await.status, 404);
        for bad in [json!({}), json!({ "reason": " " }), json!({ "reason": "x".repeat(501) }), json!({ "reason": 1 })] {
            let refused = manager.post(&format!("/v1/referrals/{id}/reject"), &bad).await;
            assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_apps_with_the_scope_and_administrators_run_the_programme() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let (bob, id) = verified(&world, &ann.new_code().await, "Bob").await;
        let root = world.admin().await;
        let paths = ["/v1/referrals".to_owned(), format!("/v1/referrals/{id}")];
        let refused = [
            ann.clone(),
            bob,
            world.service(),
            // The scope alone makes no person an administrator, nor does the role without it.
            ann.with_scope("referrals:manage"),
            ann.with_scope("referrals:admin referrals:manage"),
            root.with_scope(EVERYTHING),
            root.with_scope("referrals:manage"),
        ];
        for actor in &refused {
            for path in &paths {
                assert_eq!(actor.get(path).await.status, 403, "{path}");
            }
            assert_eq!(step(actor, &id, "reject").await.status, 403);
        }
        assert_eq!(world.anon().get("/v1/referrals").await.status, 401);
        assert_eq!(story(&world, &id).await["status"], "verified");
        for actor in [world.manager(), root] {
            for path in &paths {
                assert_eq!(actor.get(path).await.status, 200, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn only_administrators_see_addresses_and_what_outside_services_know_and_each_look_is_recorded() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let (bob, id) = verified(&world, &ann.new_code().await, "Bob").await;
        world
            .execute(
                "INSERT INTO enrichments (user_id, source, status, answer, fetched_at) \
                 SELECT id, 'clearbit', 'found', '{\"person\": {\"id\": 7}}', created_at FROM users WHERE id = $1",
                bob.id(),
            )
            .await;
        let path = format!("/v1/referrals/{id}");
        let seen = world.manager().get(&path).await;
        assert_eq!((seen.text("email").as_str(), &seen.body["enrichment"]), ("b•••@e•••.com", &json!(null)));
        let of_bob = world.manager().get(&format!("/v1/referrals?referral_user_id={}", bob.id())).await;
        assert_eq!(of_bob.body["items"][0]["id"], json!(id));

        let root = world.admin().await;
        let seen = root.get(&path).await;
        assert_eq!(
            (seen.text("email"), &seen.body["enrichment"]),
            (bob.email.clone(), &json!({ "person": { "id": 7 } }))
        );
        assert_eq!(root.get("/v1/referrals").await.body["items"][0]["email"], bob.email);
        assert_eq!(world.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'referrals.read'").await, 2);
        let kept =
            root.with_header("idempotency-key", "k").post(&format!("{path}/qualify"), &json!({ "reason": "x" })).await;
        assert!(!kept.body.to_string().contains(&bob.email), "answers are kept for a day");
    })
    .await;
}

#[tokio::test]
async fn tiers_follow_the_count_of_rewarded_referrals_and_a_cap_is_never_passed() {
    let settings =
        [("PROGRAMME__REWARDS", REWARDS), ("PROGRAMME__HOLD_DAYS", "0"), ("PROGRAMME__QUALIFY_ON", "verified")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let mut ids = vec![];
        for name in ["Bob", "Cleo", "Dan", "Eve", "Fay"] {
            ids.push(verified(&world, &code, name).await.1);
            // They qualify by themselves and are held no time.
            while life::advance(&world.platform).await.unwrap() > 0 {}
        }
        // 500 and 500 of the first tier, 800 and what is left of 1000 of the second, then nothing.
        assert_eq!(rewards_of(&world, &ann).await["balances"], json!([{ "currency": "EUR", "amount": 2000 }]));
        assert_eq!(story(&world, &ids[4]).await["status"], "rewarded");
        let amounts = amounts(&rewards_of(&world, &ann).await);
        assert_eq!(amounts, [200, 800, 500, 500]);

        // What is taken back leaves room under the cap again.
        assert_eq!(step(&world.manager(), &ids[2], "reverse").await.status, 200);
        let (_, next) = verified(&world, &code, "Gil").await;
        while life::advance(&world.platform).await.unwrap() > 0 {}
        assert_eq!(story(&world, &next).await["status"], "rewarded");
        assert_eq!(rewards_of(&world, &ann).await["balances"], json!([{ "currency": "EUR", "amount": 2000 }]));
    })
    .await;
}

fn amounts(rewards: &Value) -> Vec<i64> {
    rewards["items"].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn of_many_rewards_and_reversals_at_once_the_ledger_balances_and_nothing_is_credited_twice() {
    let settings = [("PROGRAMME__REWARDS", REWARDS), ("PROGRAMME__HOLD_DAYS", "0")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let mut ids = vec![];
        for name in ["Bob", "Cleo", "Dan", "Eve"] {
            let (_, id) = verified(&world, &code, name).await;
            assert_eq!(step(&world.manager(), &id, "qualify").await.status, 200);
            ids.push(id);
        }
        let manager = world.manager();
        let tries = ids.iter().flat_map(|id| {
            let manager = &manager;
            ["reward", "reward", "reverse", "reward", "reverse"]
                .map(|what| async move { step(manager, id, what).await.status })
        });
        let statuses = join_all(tries).await;
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        for id in &ids {
            let rewarded =
                story(&world, id).await["events"].as_array().unwrap().iter().filter(|e| e["to"] == "rewarded").count();
            assert_eq!(rewarded, 1);
            let _ = step(&manager, id, "reverse").await;
            assert_eq!(story(&world, id).await["status"], "reversed");
        }
        let of_ann = rewards_of(&world, &ann).await;
        assert_eq!(of_ann["balances"], json!([{ "currency": "EUR", "amount": 0 }]));
        assert_eq!(amounts(&of_ann).iter().sum::<i64>(), 0);
        // Every place that was given is free again, however often it was given.
        let places = world.count("SELECT places FROM reward_counts").await;
        assert_eq!(world.count("SELECT COUNT(*) FROM reward_free_places").await, places);
        assert!((1..=4).contains(&places), "{places}");
        let doubles = "SELECT COUNT(*) FROM (SELECT referral_id, rule FROM reward_entries WHERE reverses IS NULL \
                       GROUP BY referral_id, rule HAVING COUNT(*) > 1) d";
        assert_eq!(world.count(doubles).await, 0);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_take_the_same_step_one_does() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let (_, id) = verified(&world, &ann.new_code().await, "Bob").await;
        let manager = world.manager();
        let statuses = join_all((0..8).map(|_| async { step(&manager, &id, "qualify").await.status })).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
        let totals = ann.get("/v1/referrers/me/stats").await.body["totals"].clone();
        assert_eq!((&totals["verified"], &totals["qualified"]), (&json!(0), &json!(1)));
    })
    .await;
}

#[tokio::test]
async fn a_step_asked_for_again_with_its_key_is_taken_once_and_answered_alike() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let (_, id) = verified(&world, &ann.new_code().await, "Bob").await;
        let manager = world.manager().with_header("idempotency-key", "one");
        let path = format!("/v1/referrals/{id}/qualify");
        let paid = json!({ "reason": "paid" });
        let answers = join_all((0..4).map(|_| manager.post(&path, &paid))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        }
        let other = manager.post(&path, &json!({ "reason": "another" })).await;
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"));
        assert_eq!(story(&world, &id).await["events"].as_array().unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_qualify_in_time_expires_and_what_does_is_never_lost() {
    on_each_store_with(&[("PROGRAMME__LAPSE_DAYS", "30")], |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let bob = world.person("Bob").await;
        let pending = world.redeem(&code, &bob, false, &Trace::default()).await.to_string();
        let (_, waits) = verified(&world, &code, "Cleo").await;
        let (_, qualifies) = verified(&world, &code, "Dan").await;
        assert_eq!(step(&world.manager(), &qualifies, "qualify").await.status, 200);
        days_pass(&world, 29).await;
        assert_eq!(story(&world, &waits).await["status"], "verified");
        days_pass(&world, 1).await;
        assert_eq!(story(&world, &pending).await["status"], "expired");
        assert_eq!(story(&world, &waits).await["status"], "expired");
        assert_eq!(story(&world, &qualifies).await["status"], "rewarded", "its hold of 14 days is over");
        assert_eq!(step(&world.manager(), &waits, "qualify").await.status, 409);
    })
    .await;
}

#[tokio::test]
async fn signs_that_two_people_are_one_wait_for_somebody_to_look() {
    let settings = [("PROGRAMME__HOLD_DAYS", "0"), ("PROGRAMME__ADDRESS_VELOCITY", "2")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let manager = world.manager();
        let from = |address: &str, device: &str| Trace {
            address_hash: Some(address.as_bytes().to_vec()),
            device_hash: (!device.is_empty()).then(|| device.as_bytes().to_vec()),
        };
        let signals = async |name: &str, trace: &Trace| {
            let person = world.person(name).await;
            let id = world.redeem(&code, &person, true, trace).await.to_string();
            let told = story(&world, &id).await;
            let names = told["signals"].as_array().unwrap().iter().map(|s| s["signal"].as_str().unwrap().to_owned());
            (id, names.collect::<Vec<_>>(), told["review"].as_str().unwrap().to_owned())
        };
        let (_, none, review) = signals("Bob", &from("home", "phone")).await;
        assert_eq!((none, review.as_str()), (vec![], "none"));
        let (same_device, seen, review) = signals("Bobby", &from("elsewhere", "phone")).await;
        assert_eq!((seen, review.as_str()), (vec!["same_device".to_owned()], "open"));
        assert_eq!(signals("Cleo", &from("home", "")).await.1, Vec::<String>::new());
        assert_eq!(signals("Dan", &from("home", "")).await.1, ["address_velocity"]);

        // Nothing is rewarded meanwhile, and what was looked at goes on.
        assert_eq!(step(&manager, &same_device, "qualify").await.status, 200);
        days_pass(&world, 1).await;
        let refused = step(&world.manager(), &same_device, "reward").await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "referral-under-review"));
        let open = world.manager().get("/v1/referrals?review=open").await;
        assert_eq!(open.body["items"].as_array().unwrap().len(), 2);
        assert_eq!(step(&world.manager(), &same_device, "clear").await.text("review"), "cleared");
        days_pass(&world, 1).await;
        assert_eq!(story(&world, &same_device).await["status"], "rewarded");
        assert_eq!(step(&world.manager(), &same_device, "clear").await.status, 409);
    })
    .await;
}

#[tokio::test]
async fn the_same_mailbox_a_throw_away_address_and_a_circle_are_seen() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let told = async |person: &Actor| {
            let found = world.manager().get(&format!("/v1/referrals?referral_user_id={}", person.id())).await;
            let id = found.body["items"][0]["id"].as_str().unwrap().to_owned();
            let story = story(&world, &id).await;
            story["signals"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s["signal"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let local = world.unique();
        let first = world.person_with_email("Bob", &format!("{local}@gmail.com")).await;
        world.redeem(&code, &first, true, &Trace::default()).await;
        let second =
            world.person_with_email("Bob", &format!("{}.{}+again@googlemail.com", &local[..2], &local[2..])).await;
        world.redeem(&code, &second, true, &Trace::default()).await;
        assert_eq!(told(&first).await, Vec::<String>::new());
        assert_eq!(told(&second).await, ["same_mailbox"]);

        let thrown = world.person_with_email("Eve", &format!("{}@sub.mailinator.com", world.unique())).await;
        world.redeem(&code, &thrown, true, &Trace::default()).await;
        assert_eq!(told(&thrown).await, ["disposable_domain"]);

        // Ann invited Cleo, Cleo invited Dan, and Dan's code brings Ann's other spelling.
        let (cleo, dan) = (world.person("Cleo").await, world.person("Dan").await);
        world.redeem(&code, &cleo, true, &Trace::default()).await;
        world.redeem(&cleo.new_code().await, &dan, true, &Trace::default()).await;
        let (name, domain) = ann.email.split_once('@').unwrap();
        let again = world.person_with_email("Ann", &format!("{name}+other@{domain}")).await;
        world.redeem(&dan.new_code().await, &again, true, &Trace::default()).await;
        assert_eq!(told(&again).await, ["cycle"]);
        assert_eq!(told(&dan).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn the_rules_of_the_programme_may_reject_for_a_signal_at_once() {
    let settings = [("PROGRAMME__REJECT_ON", r#"["disposable_domain"]"#), ("PROGRAMME__QUALIFY_ON", "verified")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let thrown = world.person_with_email("Eve", &format!("{}@mailinator.com", world.unique())).await;
        let id = world.redeem(&ann.new_code().await, &thrown, true, &Trace::default()).await.to_string();
        let told = story(&world, &id).await;
        assert_eq!((&told["status"], &told["review"]), (&json!("rejected"), &json!("cleared")));
        assert!(told["events"][1]["reason"].as_str().unwrap().contains("disposable_domain"));
    })
    .await;
}

#[tokio::test]
async fn a_verdict_about_an_address_that_comes_later_opens_a_review() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let (bob, id) = verified(&world, &ann.new_code().await, "Bob").await;
        for (status, review) in [("valid", "none"), ("invalid", "open")] {
            let mut tx = world.platform.db.begin().await.unwrap();
            shared::referrals::signals::email_verdict(&mut tx, &world.platform, bob.id(), status).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(story(&world, &id).await["review"], review);
        }
        assert_eq!(story(&world, &id).await["signals"][0]["details"], json!({ "status": "invalid" }));
    })
    .await;
}

#[tokio::test]
async fn the_ledger_outlives_accounts_without_saying_whose_it_was() {
    let settings = [("PROGRAMME__REWARDS", REWARDS), ("PROGRAMME__HOLD_DAYS", "0")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let (bob, id) = verified(&world, &ann.new_code().await, "Bob").await;
        assert_eq!(step(&world.manager(), &id, "qualify").await.status, 200);
        while life::advance(&world.platform).await.unwrap() > 0 {}
        world.execute("DELETE FROM users WHERE id = $1", bob.id()).await;
        let nobody = "SELECT COUNT(*) FROM reward_entries WHERE user_id IS NULL AND side = 'referral'";
        assert_eq!(world.count(nobody).await, 1);
        // It can still be taken back from the referrer.
        assert_eq!(step(&world.manager(), &id, "reverse").await.status, 200);
        assert_eq!(rewards_of(&world, &ann).await["balances"], json!([{ "currency": "EUR", "amount": 0 }]));
        world.execute("DELETE FROM users WHERE id = $1", ann.id()).await;
        assert_eq!(world.count("SELECT COUNT(*) FROM reward_entries").await, 4);
        assert_eq!(
            world
                .count("SELECT COUNT(*) FROM reward_entries WHERE user_id IS NOT NULL OR referral_id IS NOT NULL")
                .await,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_writes_nothing() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let bob = world.person("Bob").await;
        let id = world.redeem(&ann.new_code().await, &bob, false, &Trace::default()).await;
        let mut tx = world.platform.db.begin().await.unwrap();
        let refused = life::transition(&mut tx, &world.platform, id, Status::Rewarded, "", &By::Rule).await.unwrap();
        let (from, to) = (Status::Pending, Status::Rewarded);
        assert_eq!(refused.unwrap_err(), NoChange::NotFrom { from, to });
        tx.commit().await.unwrap();
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_events").await, 1);
    })
    .await;
}

#[test]
fn rules_that_make_no_sense_are_told_all_at_once() {
    let rules = r#"[
        {name="A b", to="referrer", currency="eur", amount=0},
        {name="x", to="referral", currency="EUR", amount=5, from=3, up_to=2},
        {name="x", to="referral", currency="EUR", amount=5, cap=0}
    ]"#;
    let env = [("REFERRIS__PROGRAMME__REWARDS".to_owned(), rules.to_owned())];
    let error = shared::config::load_from(None, env).map(|_: Config| ()).unwrap_err().to_string();
    for part in ["\"A b\"", "\"eur\"", "amount of A b", "no referral", "two rules", "cap of x"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_bonus_for_one_place_is_credited_for_one_referral_at_a_time_whatever_is_reversed() {
    let rules = r#"[{name="second", to="referrer", currency="EUR", amount=1000, from=2, up_to=2}]"#;
    let settings =
        [("PROGRAMME__REWARDS", rules), ("PROGRAMME__HOLD_DAYS", "0"), ("PROGRAMME__QUALIFY_ON", "verified")];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let mut ids = vec![];
        for name in ["Bob", "Cleo"] {
            ids.push(verified(&world, &code, name).await.1);
            while life::advance(&world.platform).await.unwrap() > 0 {}
        }
        // The first is refunded, again and again: its place is the first, not the second.
        for name in ["Dan", "Eve", "Fay"] {
            let first = ids[0].clone();
            assert_eq!(step(&world.manager(), &first, "reverse").await.status, 200);
            ids[0] = verified(&world, &code, name).await.1;
            while life::advance(&world.platform).await.unwrap() > 0 {}
            assert_eq!(story(&world, &ids[0]).await["status"], "rewarded");
            assert_eq!(rewards_of(&world, &ann).await["balances"], json!([{ "currency": "EUR", "amount": 1000 }]));
        }
        // The second is: whoever takes its place earns its bonus.
        assert_eq!(step(&world.manager(), &ids[1], "reverse").await.status, 200);
        verified(&world, &code, "Gil").await;
        while life::advance(&world.platform).await.unwrap() > 0 {}
        assert_eq!(rewards_of(&world, &ann).await["balances"], json!([{ "currency": "EUR", "amount": 1000 }]));
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_is_known_again_after_its_account_is_gone_or_has_another_address() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let address = format!("bob-{}@example.com", world.unique());
        for (gone, expected) in [(true, json!([])), (false, json!(["same_mailbox"])), (false, json!(["same_mailbox"]))]
        {
            let bob = world.person_with_email("Bob", &address).await;
            let id = world.redeem(&code, &bob, true, &Trace::default()).await.to_string();
            let told = story(&world, &id).await;
            let seen = told["signals"].as_array().unwrap().iter().map(|s| s["signal"].clone()).collect::<Vec<_>>();
            assert_eq!(json!(seen), expected);
            if gone {
                world.execute("DELETE FROM users WHERE id = $1", bob.id()).await;
            } else {
                let elsewhere =
                    "UPDATE users SET email_key = CAST(id AS TEXT), email_canonical = CAST(id AS TEXT) WHERE id = $1";
                world.execute(elsewhere, bob.id()).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_left_or_is_about_to_is_not_rewarded_for_by_the_clock() {
    on_each_store_with(&[("PROGRAMME__HOLD_DAYS", "1")], |world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let mut ids = vec![];
        for name in ["Bob", "Cleo", "Dan"] {
            let (person, id) = verified(&world, &code, name).await;
            assert_eq!(step(&world.manager(), &id, "qualify").await.status, 200);
            ids.push((person, id));
        }
        world.execute("DELETE FROM users WHERE id = $1", ids[0].0.id()).await;
        world.execute("UPDATE users SET deletion_at = created_at WHERE id = $1", ids[1].0.id()).await;
        days_pass(&world, 2).await;
        for ((_, id), status) in ids.iter().zip(["qualified", "qualified", "rewarded"]) {
            assert_eq!(story(&world, id).await["status"], status);
        }
        assert_eq!(step(&world.manager(), &ids[0].1, "reject").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn what_is_rejected_at_once_uses_nothing_up() {
    let settings = [("PROGRAMME__REJECT_ON", r#"["disposable_domain"]"#)];
    on_each_store_with(&settings, |world| async move {
        let ann = world.person("Ann").await;
        let new = json!({ "expires_at": ann.in_days(30), "max_uses": 1 });
        let code = ann.post("/v1/referral-codes", &new).await.text("code");
        let thrown = world.person_with_email("Eve", &format!("{}@mailinator.com", world.unique())).await;
        world.redeem(&code, &thrown, true, &Trace::default()).await;
        let bob = world.person("Bob").await;
        let id = world.redeem(&code, &bob, true, &Trace::default()).await.to_string();
        assert_eq!(story(&world, &id).await["status"], "verified");
    })
    .await;
}
