//! Having messages sent again ("Visibility into failures and manual retries").

use std::time::Duration;

use serde_json::json;
use shared::webhooks::publish;

use super::{Receiver, Reply, audited, courier, deliveries, endpoint, endpoint_for, happens, here, path, program};
use crate::world::on_each_store_with;

#[tokio::test]
async fn one_message_is_sent_again_under_its_id_by_the_whole_schedule() {
    on_each_store_with(&here(&[("WEBHOOKS__RETRY_SECONDS", "[5]")]), |world| async move {
        let receiver = Receiver::start().await;
        receiver.answers(Reply::Status(500));
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let courier = courier(&world);
        for _ in 0..2 {
            courier.work_off().await.unwrap();
            world.platform.clock.advance(Duration::from_secs(7));
        }
        let failed = deliveries(&crm, &made).await.remove(0);
        assert_eq!(failed["outcome"], "failed");
        let replay = path(&made, &format!("/deliveries/{}/replay", failed["message_id"].as_str().unwrap()));
        let answer = crm.post_nothing(&replay).await;
        assert_eq!((answer.status, answer.body), (202, json!({ "replayed": 1, "next_since": null })));
        courier.work_off().await.unwrap();
        assert_eq!(deliveries(&crm, &made).await[0]["outcome"], "pending", "another try is to come");
        receiver.answers(Reply::Status(200));
        world.platform.clock.advance(Duration::from_secs(61));
        courier.work_off().await.unwrap();
        let delivered = deliveries(&crm, &made).await.remove(0);
        assert_eq!((&delivered["outcome"], delivered["attempts"].as_array().unwrap().len()), (&json!("delivered"), 4));
        assert!(receiver.heard().iter().all(|call| call.id() == failed["message_id"].as_str().unwrap()));
        assert_eq!(audited(&world, "webhook_endpoint.replayed").await, 1);

        for id in ["msg_00000000000000000000000000000000", "nonsense", "msg_1"] {
            let answer = crm.post_nothing(&path(&made, &format!("/deliveries/{id}/replay"))).await;
            assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_span_of_time_is_sent_again_all_of_it_or_what_failed() {
    on_each_store_with(&here(&[("WEBHOOKS__RETRY_SECONDS", "[]")]), |world| async move {
        let [receiver, other] = [Receiver::start().await, Receiver::start().await];
        let crm = program(&world).await;
        let made = endpoint_for(&crm, &receiver.url, &["referral.created", "referral.verified"]).await;
        endpoint(&crm, &other.url).await;
        let courier = courier(&world);
        let at = |seconds: u64| world.platform.clock.advance(Duration::from_secs(seconds));
        let again = async |body: serde_json::Value| {
            let answer = crm.post(&path(&made, "/replay"), &body).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            courier.work_off().await.unwrap();
            answer.body["replayed"].as_u64().unwrap()
        };

        happens(&world, "referral.created").await;
        courier.work_off().await.unwrap();
        at(100);
        let since = world.now();
        receiver.answers(Reply::Status(500));
        happens(&world, "referral.created").await;
        courier.work_off().await.unwrap();
        receiver.answers(Reply::Status(200));
        happens(&world, "referral.verified").await;
        happens(&world, "reward.credited").await;
        crm.post_nothing(&path(&made, "/test")).await;
        courier.work_off().await.unwrap();
        at(100);
        let until = world.now();
        // While it is disabled it is not told, and nothing is put down for it.
        crm.patch(&path(&made, ""), &json!({ "status": "disabled" })).await;
        happens(&world, "referral.verified").await;
        courier.work_off().await.unwrap();
        let refused = crm.post(&path(&made, "/replay"), &json!({ "since": since })).await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "endpoint-disabled"));
        crm.patch(&path(&made, ""), &json!({ "status": "enabled" })).await;
        courier.work_off().await.unwrap();
        assert_eq!(receiver.heard().len(), 4);

        assert_eq!(again(json!({ "since": since, "only_failed": true })).await, 1);
        assert_eq!(receiver.heard().len(), 5);
        assert_eq!(again(json!({ "since": since, "only_failed": true })).await, 0, "it did not fail again");
        assert_eq!(again(json!({ "since": since, "until": until })).await, 2, "no test, and nothing it does not want");
        assert_eq!(receiver.heard().len(), 7);
        assert_eq!(again(json!({ "since": since })).await, 3, "with what it missed while it was disabled");
        assert_eq!(again(json!({ "since": world.now() })).await, 0);
        assert_eq!(other.heard().len(), 5, "that is nothing to the others");

        for (body, pointer) in [
            (json!({ "since": until, "until": since }), "#/until"),
            (json!({}), "#/since"),
            (json!({ "since": "yesterday" }), "#/since"),
            (json!({ "since": since, "outcome": "failed" }), "#/outcome"),
        ] {
            let answer = crm.post(&path(&made, "/replay"), &body).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{body}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_replay_takes_a_thousand_messages_and_says_where_to_go_on() {
    on_each_store_with(&here(&[]), |world| async move {
        let crm = program(&world).await;
        let made = endpoint(&crm, "http://127.0.0.1:9/").await;
        let since = world.now();
        let mut tx = world.platform.db.begin().await.unwrap();
        for _ in 0..1005 {
            publish(&mut tx, &world.platform, "referral.created", &json!({})).await.unwrap();
        }
        shared::execute!(&mut tx, "UPDATE webhook_messages SET handed_out_at = $1", world.now()).unwrap();
        tx.commit().await.unwrap();
        let first = crm.post(&path(&made, "/replay"), &json!({ "since": since })).await;
        assert_eq!(first.body["replayed"], 1000);
        let rest = crm.post(&path(&made, "/replay"), &json!({ "since": first.body["next_since"] })).await;
        assert_eq!(rest.body, json!({ "replayed": 5, "next_since": null }));
        assert_eq!(world.count("SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'pending'").await, 1005);
        // Those that failed, the same way.
        let mut tx = world.platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL").unwrap();
        tx.commit().await.unwrap();
        let failed = json!({ "since": since, "only_failed": true });
        assert_eq!(crm.post(&path(&made, "/replay"), &failed).await.body["replayed"], 1000);
        let rest = crm.post(&path(&made, "/replay"), &failed).await;
        assert_eq!(rest.body, json!({ "replayed": 5, "next_since": null }));
    })
    .await;
}
