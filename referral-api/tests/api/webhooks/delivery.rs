//! How messages arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::json;
use shared::webhooks::publish;
use standardwebhooks::Webhook;

use super::{
    Call, ENDPOINTS, Receiver, Reply, courier, deliveries, endpoint, endpoint_for, happens, here, path, program,
};
use crate::world::{Answer, on_each_store_with};

/// As a receiver without a library for `v1a` would verify it.
pub fn verifies_v1a(public_key: &str, call: &Call) -> bool {
    let bytes = STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
    let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
    let content = format!("{}.{}.{}", call.id(), call.header("webhook-timestamp"), call.body);
    call.signatures().iter().filter_map(|signature| signature.strip_prefix("v1a,")).any(|signature| {
        let signature = Signature::from_slice(&STANDARD.decode(signature).unwrap()).unwrap();
        key.verify_strict(content.as_bytes(), &signature).is_ok()
    })
}

/// As the library for Standard Webhooks verifies it, the time included.
pub fn verifies_v1(secret: &str, call: &Call) -> bool {
    Webhook::new(secret).unwrap().verify(call.body.as_bytes(), &call.headers).is_ok()
}

async fn made_with_both(program: &crate::world::Actor, url: &str) -> Answer {
    let new = json!({ "url": url, "events": ["*"], "schemes": ["v1", "v1a"] });
    program.post(ENDPOINTS, &new).await
}

#[tokio::test]
async fn a_message_comes_by_post_with_its_headers_and_signatures_that_verify() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = made_with_both(&crm, &receiver.url).await;
        let before = world.platform.clock.timestamp();
        let mut tx = world.platform.db.begin().await.unwrap();
        let data = json!({ "id": "x", "text": "caf\u{e9} \"quoted\"" });
        publish(&mut tx, &world.platform, "referral.verified", &data).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(courier(&world).work_off().await.unwrap(), 1);

        let [call] = &receiver.heard()[..] else { panic!("{:?}", receiver.heard()) };
        assert!(call.id().starts_with("msg_") && !call.id().contains('.'), "{}", call.id());
        let timestamp: i64 = call.header("webhook-timestamp").parse().unwrap();
        assert!((before..=world.platform.clock.timestamp()).contains(&timestamp), "seconds since the epoch");
        assert_eq!(call.header("content-type"), "application/json");
        let body = call.json();
        assert_eq!((&body["type"], &body["data"]), (&json!("referral.verified"), &data));
        assert!(call.body.starts_with(r#"{"type":"referral.verified","timestamp":""#), "minified: {}", call.body);
        assert!(call.body.len() < 20_000, "the specification recommends to keep it small");

        let kinds: Vec<&str> = call.signatures().iter().map(|s| s.split_once(',').unwrap().0).collect();
        assert_eq!(kinds, ["v1", "v1a"]);
        assert!(verifies_v1(&made.text("secret"), call) && verifies_v1a(&made.text("public_key"), call));
        let mut changed = call.clone();
        changed.body.push(' ');
        assert!(!verifies_v1(&made.text("secret"), &changed) && !verifies_v1a(&made.text("public_key"), &changed));
        let other = endpoint(&crm, "http://127.0.0.1:9/").await;
        assert!(!verifies_v1(&other.text("secret"), call), "no other endpoint's secret");

        let [delivery] = &deliveries(&crm, &made).await[..] else { panic!() };
        assert_eq!((&delivery["message_id"], &delivery["type"]), (&json!(call.id()), &body["type"]));
        assert_eq!((&delivery["outcome"], &delivery["next_attempt_at"]), (&json!("delivered"), &json!(null)));
        assert_eq!(
            (&delivery["attempts"][0]["status"], &delivery["attempts"][0]["error"]),
            (&json!(204), &json!(null))
        );
        assert_eq!(courier(&world).work_off().await.unwrap(), 0, "once is enough");
    })
    .await;
}

#[tokio::test]
async fn each_endpoint_is_told_what_it_wants() {
    on_each_store_with(&here(&[]), |world| async move {
        let [all, some, none] = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
        let (crm, other) = (program(&world).await, program(&world).await);
        endpoint(&crm, &all.url).await;
        endpoint_for(&other, &some.url, &["referral.created", "reward.credited"]).await;
        endpoint_for(&crm, &none.url, &["referral.expired"]).await;
        for kind in ["referral.created", "referral.verified", "reward.credited"] {
            happens(&world, kind).await;
        }
        assert_eq!(courier(&world).work_off().await.unwrap(), 5);
        assert_eq!(all.kinds(), ["referral.created", "referral.verified", "reward.credited"]);
        assert_eq!(some.kinds(), ["referral.created", "reward.credited"]);
        assert!(none.heard().is_empty());
        let ids = |receiver: &Receiver| receiver.heard().iter().map(|c| c.id().to_owned()).collect::<BTreeSet<_>>();
        assert!(ids(&some).is_subset(&ids(&all)), "a message has one id, wherever it is sent");
    })
    .await;
}

#[tokio::test]
async fn the_secret_of_before_signs_along_for_a_day() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = made_with_both(&crm, &receiver.url).await;
        let rotated = crm.post_nothing(&path(&made, "/rotate-secret")).await;
        assert_eq!(rotated.status, 200, "{rotated:?}");
        let until: chrono::DateTime<chrono::Utc> = rotated.text("previous_valid_until").parse().unwrap();
        assert!((until - world.now() - chrono::TimeDelta::hours(24)).num_seconds().abs() < 5);

        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        let call = receiver.heard().pop().unwrap();
        assert_eq!(call.signatures().len(), 4, "separated by spaces");
        for endpoint in [&made, &rotated] {
            assert!(verifies_v1(&endpoint.text("secret"), &call), "receivers with either secret");
            assert!(verifies_v1a(&endpoint.text("public_key"), &call));
        }

        // Another rotation ends the oldest at once.
        let again = crm.post_nothing(&path(&made, "/rotate-secret")).await;
        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        let call = receiver.heard().pop().unwrap();
        let verified: Vec<bool> = [&made, &rotated, &again].map(|e| verifies_v1(&e.text("secret"), &call)).into();
        assert_eq!((call.signatures().len(), verified), (4, vec![false, true, true]));

        world.platform.clock.advance(Duration::from_secs(24 * 3600 + 1));
        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        let call = receiver.heard().pop().unwrap();
        let timestamp = call.header("webhook-timestamp").parse().unwrap();
        let expected = Webhook::new(&again.text("secret")).unwrap().sign(call.id(), timestamp, call.body.as_bytes());
        assert_eq!((call.signatures().len(), call.signatures()[0]), (2, expected.unwrap().as_str()));
    })
    .await;
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_for_days_under_the_same_id() {
    const SCHEDULE: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Status(500));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let courier = courier(&world);
        for (n, wait) in SCHEDULE.into_iter().enumerate() {
            let now = world.now();
            assert_eq!(courier.work_off().await.unwrap(), 1, "attempt {n}");
            let next: chrono::DateTime<chrono::Utc> =
                deliveries(&crm, &made).await[0]["next_attempt_at"].as_str().unwrap().parse().unwrap();
            let waited = next - now;
            let (least, most) = (chrono::TimeDelta::seconds(wait), chrono::TimeDelta::milliseconds(wait * 1250 + 5000));
            assert!(waited >= least && waited <= most, "attempt {n}: {waited}");
            assert_eq!(courier.work_off().await.unwrap(), 0, "not before its time");
            world.platform.clock.advance((next - world.now()).to_std().unwrap_or_default());
            // One that failed three times is left alone for a minute.
            world.platform.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(courier.work_off().await.unwrap(), 1, "the last");
        world.platform.clock.advance(Duration::from_secs(3 * 24 * 3600));
        assert_eq!(courier.work_off().await.unwrap(), 0);

        let calls = receiver.heard();
        let distinct = |of: fn(&Call) -> &str| calls.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!((calls.len(), distinct(Call::id), distinct(|call| &call.body)), (10, 1, 1));
        assert_eq!(distinct(|call| call.header("webhook-timestamp")), 10, "each attempt has a time of its own");
        let verifier = Webhook::new(&made.text("secret")).unwrap();
        for call in &calls {
            let timestamp = call.header("webhook-timestamp").parse().unwrap();
            let expected = verifier.sign(call.id(), timestamp, call.body.as_bytes()).unwrap();
            assert_eq!(call.header("webhook-signature"), expected, "signed with its own time");
        }
        let delivery = &deliveries(&crm, &made).await[0];
        assert_eq!((&delivery["outcome"], &delivery["next_attempt_at"]), (&json!("failed"), &json!(null)));
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 10);
        let seen = crm.get(&path(&made, "")).await;
        assert_eq!(seen.text("status"), "enabled", "three days are not five");
        assert!(!seen.text("failing_since").is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_schedule_is_the_operators() {
    on_each_store_with(&here(&[("WEBHOOKS__RETRY_SECONDS", "[10]")]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Status(404));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let courier = courier(&world);
        for _ in 0..3 {
            courier.work_off().await.unwrap();
            world.platform.clock.advance(Duration::from_secs(13));
        }
        assert_eq!(receiver.heard().len(), 2);
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "failed");
    })
    .await;
}

#[tokio::test]
async fn a_success_ends_it_and_forgets_the_failures() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers_once(Reply::Status(500));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        assert!(!crm.get(&path(&made, "")).await.text("failing_since").is_empty());
        world.platform.clock.advance(Duration::from_secs(7));
        courier(&world).work_off().await.unwrap();
        assert_eq!(crm.get(&path(&made, "")).await.body["failing_since"], json!(null));
        let delivery = &deliveries(&crm, &made).await[0];
        let statuses: Vec<_> = delivery["attempts"].as_array().unwrap().iter().map(|a| a["status"].clone()).collect();
        assert_eq!((statuses, &delivery["outcome"]), (vec![json!(500), json!(204)], &json!("delivered")));
    })
    .await;
}

#[tokio::test]
async fn a_test_is_sent_to_an_endpoint_that_asks_for_it_and_to_no_other() {
    on_each_store_with(&here(&[]), |world| async move {
        let [asked, other] = [Receiver::start().await, Receiver::start().await];
        let crm = program(&world).await;
        let made = endpoint_for(&crm, &asked.url, &["reward.credited"]).await;
        endpoint(&crm, &other.url).await;
        let test = crm.post_nothing(&path(&made, "/test")).await;
        assert_eq!((test.status, test.text("outcome")), (202, "pending".into()));
        courier(&world).work_off().await.unwrap();
        let call = asked.heard().pop().unwrap();
        assert_eq!(call.id(), test.text("message_id"));
        assert_eq!(call.json()["type"], "webhook_endpoint.test");
        assert_eq!(call.json()["data"], json!({ "endpoint_id": made.body["id"] }));
        assert!(verifies_v1(&made.text("secret"), &call) && other.heard().is_empty());

        crm.patch(&path(&made, ""), &json!({ "status": "disabled" })).await;
        let refused = crm.post_nothing(&path(&made, "/test")).await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "endpoint-disabled"));
    })
    .await;
}

#[tokio::test]
async fn the_log_is_paged_and_can_be_asked_for_what_failed() {
    on_each_store_with(&here(&[("WEBHOOKS__RETRY_SECONDS", "[]")]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        receiver.answers(Reply::With(500, "x-secret", "in a header".into()));
        for _ in 0..2 {
            happens(&world, "referral.created").await;
        }
        courier(&world).work_off().await.unwrap();
        receiver.answers(Reply::Status(200));
        for _ in 0..3 {
            happens(&world, "referral.created").await;
        }
        courier(&world).work_off().await.unwrap();

        let failed = crm.get(&path(&made, "/deliveries?outcome=failed")).await;
        let items = failed.body["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        assert!(items.iter().all(|d| d["outcome"] == "failed" && d["attempts"][0]["status"] == 500), "{failed:?}");
        assert!(!failed.body.to_string().contains("in a header"), "of an answer its status is shown, and nothing else");
        assert_eq!(crm.get(&path(&made, "/deliveries?outcome=pending")).await.body["items"], json!([]));
        assert_eq!(crm.get(&path(&made, "/deliveries?outcome=lost")).await.pointers(), ["#/query/outcome"]);

        let all = deliveries(&crm, &made).await;
        let (mut paged, mut cursor) = (vec![], String::new());
        loop {
            let page = crm.get(&path(&made, &format!("/deliveries?limit=2{cursor}"))).await;
            paged.extend(page.body["items"].as_array().unwrap().clone());
            if page.body["next_cursor"].is_null() {
                break;
            }
            cursor = format!("&cursor={}", page.text("next_cursor"));
        }
        assert_eq!((paged.len(), &paged), (5, &all));
        assert!(paged.iter().all(|delivery| delivery["attempts"].as_array().unwrap().len() == 1));
    })
    .await;
}
