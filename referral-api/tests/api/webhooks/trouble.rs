//! Endpoints that are gone, slow, huge, elsewhere or not what they seem; and workers that die.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use referral_api::webhooks::courier;
use serde_json::json;
use tokio::sync::watch;

use super::{
    Receiver, Reply, audited, courier as courier_of, deliveries, endpoint, endpoint_for, happens, here, path, program,
};
use crate::world::on_each_store_with;

#[tokio::test]
async fn who_says_that_it_is_gone_is_sent_nothing_more() {
    on_each_store_with(&here(&[]), |world| async move {
        let [gone, other, stranger] = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
        gone.answers_once(Reply::Status(410));
        let (crm, else_) = (program(&world).await, program(&world).await);
        let made = endpoint_for(&crm, &gone.url, &["referral.created"]).await;
        endpoint_for(&crm, &other.url, &["webhook_endpoint.disabled"]).await;
        endpoint_for(&else_, &stranger.url, &["webhook_endpoint.disabled"]).await;
        happens(&world, "referral.created").await;
        courier_of(&world).work_off().await.unwrap();
        let seen = crm.get(&path(&made, "")).await;
        assert_eq!((seen.text("status"), seen.text("disabled_reason")), ("disabled".into(), "gone".into()));
        assert!(!seen.text("disabled_at").is_empty());
        assert_eq!(audited(&world, "webhook_endpoint.disabled").await, 1);
        // "Notify the consumers using other channels": the client's other endpoints, and nobody else's.
        let told = other.heard().pop().unwrap().json();
        assert_eq!((&told["data"]["id"], &told["data"]["reason"]), (&made.body["id"], &json!("gone")));
        assert!(stranger.heard().is_empty());

        happens(&world, "referral.created").await;
        world.platform.clock.advance(Duration::from_secs(3600));
        courier_of(&world).work_off().await.unwrap();
        assert_eq!(gone.heard().len(), 1);

        // What was not delivered goes on once it is enabled again.
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "pending");
        let back = crm.patch(&path(&made, ""), &json!({ "status": "enabled" })).await;
        assert_eq!((back.text("status"), &back.body["disabled_reason"]), ("enabled".into(), &json!(null)));
        courier_of(&world).work_off().await.unwrap();
        let heard = gone.heard();
        assert_eq!((heard.len(), heard[0].id() == heard[1].id()), (2, true));
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "delivered");
    })
    .await;
}

#[tokio::test]
async fn what_has_failed_for_days_is_disabled_and_goes_on_when_it_is_enabled() {
    on_each_store_with(&here(&[("WEBHOOKS__DISABLE_AFTER_DAYS", "2")]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Status(503));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let courier = courier_of(&world);
        let mut hours = 0;
        while crm.get(&path(&made, "")).await.text("status") == "enabled" {
            courier.work_off().await.unwrap();
            world.platform.clock.advance(Duration::from_secs(3600));
            hours += 1;
            assert!(hours < 100);
        }
        assert!((48..80).contains(&hours), "at the first attempt after two days: {hours}");
        assert_eq!(crm.get(&path(&made, "")).await.text("disabled_reason"), "failing");
        assert_eq!(audited(&world, "webhook_endpoint.disabled").await, 1);
        let attempts = receiver.heard().len();
        world.platform.clock.advance(Duration::from_secs(24 * 3600));
        courier.work_off().await.unwrap();
        assert_eq!(receiver.heard().len(), attempts);

        receiver.answers(Reply::Status(200));
        let back = crm.patch(&path(&made, ""), &json!({ "status": "enabled" })).await;
        assert_eq!(back.body["failing_since"], json!(null));
        courier.work_off().await.unwrap();
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "delivered");
    })
    .await;
}

#[tokio::test]
async fn what_an_attempt_found_out_is_not_held_against_a_url_that_was_changed_meanwhile() {
    on_each_store_with(&here(&[]), |world| async move {
        let [old, new] = [Receiver::start().await, Receiver::start().await];
        old.answers(Reply::Slow(Duration::from_millis(800), 410));
        let crm = program(&world).await;
        let made = endpoint(&crm, &old.url).await;
        happens(&world, "referral.created").await;
        let courier = courier_of(&world);
        let working = tokio::spawn({
            let courier = courier.clone();
            async move { courier.work_off().await.unwrap() }
        });
        old.until_heard(1).await;
        assert_eq!(crm.patch(&path(&made, ""), &json!({ "url": new.url })).await.status, 200);
        assert_eq!(working.await.unwrap(), 2);
        assert_eq!(crm.get(&path(&made, "")).await.text("status"), "enabled");
        assert_eq!(new.heard().len(), 1, "it went on to the new one");
    })
    .await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    on_each_store_with(&here(&[("WEBHOOKS__RETRY_SECONDS", "[3600]")]), |world| async move {
        let [here, there] = [Receiver::start().await, Receiver::start().await];
        let crm = program(&world).await;
        let made = endpoint(&crm, &here.url).await;
        for status in [301, 302, 303, 307, 308] {
            here.answers_once(Reply::With(status, "location", there.url.clone()));
            crm.post_nothing(&path(&made, "/test")).await;
            courier_of(&world).work_off().await.unwrap();
            let attempt = &deliveries(&crm, &made).await[0]["attempts"][0];
            assert_eq!((&attempt["status"], &attempt["error"]), (&json!(status), &json!(null)));
            assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "pending", "a failure, tried again");
        }
        assert!(there.heard().is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_does_not_answer_in_time_has_failed_and_an_endless_answer_is_not_read() {
    on_each_store_with(
        &here(&[("WEBHOOKS__TIMEOUT_SECONDS", "1"), ("WEBHOOKS__RETRY_SECONDS", "[3600]")]),
        |world| async move {
            let receiver = Receiver::start().await;
            let crm = program(&world).await;
            let made = endpoint(&crm, &receiver.url).await;
            receiver.answers_once(Reply::Slow(Duration::from_secs(10), 200));
            happens(&world, "referral.created").await;
            let began = tokio::time::Instant::now();
            courier_of(&world).work_off().await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(5));
            let delivery = &deliveries(&crm, &made).await[0];
            let attempt = &delivery["attempts"][0];
            assert_eq!((&attempt["status"], &attempt["error"]), (&json!(null), &json!("timeout")));
            assert!(attempt["duration_ms"].as_i64().unwrap() >= 1000 && delivery["outcome"] == "pending", "{delivery}");

            receiver.answers_once(Reply::Endless);
            happens(&world, "referral.created").await;
            courier_of(&world).work_off().await.unwrap();
            assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "delivered", "its status says so");
            // Nobody listens there.
            let nobody = endpoint(&crm, "http://127.0.0.1:9/").await;
            crm.post_nothing(&path(&nobody, "/test")).await;
            courier_of(&world).work_off().await.unwrap();
            assert_eq!(deliveries(&crm, &nobody).await[0]["attempts"][0]["error"], "no_connection");
        },
    )
    .await;
}

/// The name is let through where it is registered and leads to a private address where it is delivered, as one would whose
/// owner changes it.
#[tokio::test]
async fn a_name_that_leads_to_a_private_address_by_then_is_not_called() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let allowed = format!(r#"["localhost:{port}"]"#);
    let url = format!("https://localhost:{port}/hook");
    on_each_store_with(&[("OUTBOUND__ALLOW", &allowed)], |world| {
        let url = url.clone();
        async move {
            let crm = program(&world).await;
            let made = endpoint(&crm, &url).await;
            happens(&world, "referral.created").await;
            let strict = world.another_instance(&[("OUTBOUND__ALLOW", "[]")]).await;
            assert_eq!(courier_of(&strict).work_off().await.unwrap(), 1);
            let delivery = &deliveries(&crm, &made).await[0];
            let attempt = &delivery["attempts"][0];
            assert_eq!((&attempt["status"], &attempt["error"]), (&json!(null), &json!("private_address")));
            assert_eq!(delivery["outcome"], "pending", "it may get a better address");
            // Plain http was let through with it, and is not any more.
            let plain = endpoint(&crm, &url.replace("https", "http")).await;
            crm.post_nothing(&path(&plain, "/test")).await;
            courier_of(&strict).work_off().await.unwrap();
            assert_eq!(deliveries(&crm, &plain).await[0]["attempts"][0]["error"], "refused");
        }
    })
    .await;
    let knocked = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(knocked.is_err(), "nobody knocked");
}

#[tokio::test]
async fn who_asks_to_be_left_alone_is_left_alone() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        let courier = courier_of(&world);
        receiver.answers_once(Reply::With(429, "retry-after", "600".into()));
        happens(&world, "referral.created").await;
        courier.work_off().await.unwrap();
        happens(&world, "referral.verified").await;
        world.platform.clock.advance(Duration::from_secs(590));
        assert_eq!(courier.work_off().await.unwrap(), 0, "with that message, and with the next");
        world.platform.clock.advance(Duration::from_secs(15));
        assert_eq!(courier.work_off().await.unwrap(), 2);
        assert_eq!(receiver.kinds(), ["referral.created", "referral.created", "referral.verified"]);

        // Overloaded, and without a word about when.
        for status in [502, 504] {
            receiver.answers_once(Reply::Status(status));
            happens(&world, "referral.created").await;
            assert_eq!(courier.work_off().await.unwrap(), 1);
            world.platform.clock.advance(Duration::from_secs(30));
            assert_eq!(courier.work_off().await.unwrap(), 0, "{status}");
            world.platform.clock.advance(Duration::from_secs(31));
            assert_eq!(courier.work_off().await.unwrap(), 1, "{status}");
        }
        // Not for longer than a day, and not against somebody who looks after it.
        receiver.answers_once(Reply::With(503, "retry-after", "99999999".into()));
        happens(&world, "referral.created").await;
        courier.work_off().await.unwrap();
        crm.post_nothing(&path(&made, "/test")).await;
        assert_eq!(courier.work_off().await.unwrap(), 1, "the test");
        world.platform.clock.advance(Duration::from_secs(24 * 3600 + 1));
        assert_eq!(courier.work_off().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_several_instances_one_delivers_each_message() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Slow(Duration::from_millis(20), 200));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        for _ in 0..40 {
            happens(&world, "referral.created").await;
        }
        let mut couriers = vec![courier_of(&world)];
        for _ in 0..2 {
            couriers.push(courier_of(&world.another_instance(&[]).await));
        }
        // Who loses a race of the database's looks again.
        let work = |courier: courier::Courier| async move {
            for _ in 0..100 {
                match courier.work_off().await {
                    Ok(0) => tokio::time::sleep(Duration::from_millis(10)).await,
                    Ok(_) => {}
                    Err(error) => assert!(error.is_unavailable(), "{error}"),
                }
            }
        };
        join_all(couriers.into_iter().map(work)).await;
        let ids: Vec<String> = receiver.heard().iter().map(|call| call.id().to_owned()).collect();
        assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (40, 40), "each once");
        assert!(deliveries(&crm, &made).await.iter().all(|d| d["attempts"].as_array().unwrap().len() == 1));
    })
    .await;
}

#[tokio::test]
async fn who_dies_between_sending_and_recording_has_it_sent_again_under_the_same_id() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let [dying, other] = [courier_of(&world), courier_of(&world.another_instance(&[]).await)];
        receiver.answers_once(Reply::Slow(Duration::from_secs(30), 200));
        let taken = dying.take().await.unwrap().pop().unwrap();
        let sending = tokio::spawn({
            let dying = dying.clone();
            async move { dying.deliver(taken).await }
        });
        receiver.until_heard(1).await;
        sending.abort();
        let _ = sending.await;
        assert_eq!(other.work_off().await.unwrap(), 0, "it may still be at it");
        // The clocks of the two are apart here, as those of two machines are.
        other_clock(&world, Duration::from_secs(91)).await;
        assert_eq!(other.work_off().await.unwrap(), 1);
        let heard = receiver.heard();
        assert_eq!((heard.len(), heard[0].id()), (2, heard[1].id()));
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "delivered");
    })
    .await;
}

/// Has every lease be older by so much.
async fn other_clock(world: &crate::world::World, by: Duration) {
    let mut tx = world.platform.db.begin().await.unwrap();
    let past = world.now() - by;
    shared::execute!(&mut tx, "UPDATE webhook_deliveries SET leased_until = $1 WHERE leased_until IS NOT NULL", past)
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn who_comes_late_with_what_another_took_over_records_nothing() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let courier = courier_of(&world);
        receiver.answers_once(Reply::Slow(Duration::from_millis(700), 410));
        let late = courier.take().await.unwrap().pop().unwrap();
        let slow = tokio::spawn({
            let courier = courier.clone();
            async move { courier.deliver(late).await }
        });
        receiver.until_heard(1).await;
        world.platform.clock.advance(Duration::from_secs(91));
        assert_eq!(courier.work_off().await.unwrap(), 1);
        slow.await.unwrap();
        let delivery = &deliveries(&crm, &made).await[0];
        assert_eq!((&delivery["outcome"], delivery["attempts"].as_array().unwrap().len()), (&json!("delivered"), 1));
        assert_eq!(crm.get(&path(&made, "")).await.text("status"), "enabled", "its 410 came too late to count");

        // Taken, and not sent before its lease was over.
        happens(&world, "referral.created").await;
        let late = courier.take().await.unwrap().pop().unwrap();
        world.platform.clock.advance(Duration::from_secs(91));
        assert_eq!(courier.work_off().await.unwrap(), 1);
        courier.deliver(late).await;
        assert_eq!(receiver.heard().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_holds_nobody_back() {
    on_each_store_with(&here(&[]), |world| async move {
        let [stuck, well] = [Receiver::start().await, Receiver::start().await];
        stuck.answers(Reply::Slow(Duration::from_secs(60), 200));
        let (crm, other) = (program(&world).await, program(&world).await);
        endpoint(&crm, &stuck.url).await;
        endpoint(&other, &well.url).await;
        for _ in 0..30 {
            happens(&world, "referral.created").await;
        }
        let (stop, stopped) = watch::channel(false);
        let worker = courier::spawn(world.platform.clone(), stopped);
        let began = tokio::time::Instant::now();
        well.until_heard(30).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(stuck.heard().len() <= 4, "its host has its share of places: {}", stuck.heard().len());
        stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(5), worker).await.expect("it stops").unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_fails_again_and_again_is_asked_one_thing_at_a_time() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Status(500));
        let crm = program(&world).await;
        endpoint(&crm, &receiver.url).await;
        for _ in 0..20 {
            happens(&world, "referral.created").await;
        }
        let courier = courier_of(&world);
        courier.work_off().await.unwrap();
        let first = receiver.heard().len();
        assert!(first <= 8, "it is left alone after the third failure, and what was under way: {first}");
        for round in 1..=3 {
            world.platform.clock.advance(Duration::from_secs(61));
            courier.work_off().await.unwrap();
            assert_eq!(receiver.heard().len(), first + round);
        }
        receiver.answers(Reply::Status(200));
        world.platform.clock.advance(Duration::from_secs(400));
        courier.work_off().await.unwrap();
        assert_eq!(receiver.heard().len(), first + 3 + 20, "it is well again, and is told all of it");
    })
    .await;
}
