//! Finding a referrer's code by email address.

use std::time::Duration;

use serde_json::json;

use crate::world::{on_each_store, on_each_store_with};

#[tokio::test]
async fn a_code_is_found_by_its_referrers_address_and_tells_nothing_more() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let created = ann.create_code().await;
        let found = bob.look_up(&ann.email.to_uppercase()).await;
        assert_eq!(found.status, 200, "{found:?}");
        assert_eq!(
            found.body,
            json!({
                "code": created.body["code"],
                "expires_at": created.body["expires_at"],
                "share_url": created.body["share_url"],
            })
        );
    })
    .await;
}

#[tokio::test]
async fn nobody_no_code_and_not_to_be_found_are_the_same_404() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let (shy, used_up, late) = (world.person("Shy").await, world.person("Uma").await, world.person("Lea").await);
        shy.new_code().await;
        world.execute("UPDATE users SET discoverable = FALSE WHERE id = $1", shy.id()).await;
        used_up.new_code().await;
        world.execute("UPDATE referral_codes SET max_uses = 1, uses = 1 WHERE referrer_id = $1", used_up.id()).await;
        late.new_code().await;
        world.platform.clock.advance(Duration::from_secs(20));
        let soon = (world.now() + chrono::TimeDelta::seconds(5)).to_rfc3339();
        let eve = world.person("Eve").await;
        assert_eq!(eve.post("/v1/referral-codes", &json!({ "expires_at": soon })).await.status, 201);
        assert_eq!(bob.look_up(&eve.email).await.status, 200);
        world.platform.clock.advance(Duration::from_secs(5));

        let mut answers = vec![];
        for email in [&ann.email, &shy.email, &used_up.email, &eve.email, "nobody@example.com"] {
            let mut answer = bob.look_up(email).await;
            assert_eq!(answer.status, 404, "{email}");
            answer.body["request_id"] = json!(null);
            answers.push(answer.body);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        assert_eq!(bob.look_up(&late.email).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_want_to_be_found_any_more_is_not_found_within_a_second_anywhere() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        ann.new_code().await;
        for _ in 0..3 {
            assert_eq!(bob.look_up(&ann.email).await.status, 200);
        }
        world.execute("UPDATE users SET discoverable = FALSE WHERE id = $1", ann.id()).await;
        world.platform.clock.advance(Duration::from_secs(1));
        assert_eq!(bob.look_up(&ann.email).await.status, 404);
        world.execute("UPDATE users SET discoverable = TRUE WHERE id = $1", ann.id()).await;
        world.platform.clock.advance(Duration::from_secs(1));
        assert_eq!(bob.look_up(&ann.email).await.status, 200);
        // Nobody's address is remembered as long, and no longer.
        let new = format!("new-{}@example.com", world.unique());
        assert_eq!(bob.look_up(&new).await.status, 404);
        ann.delete(&format!("/v1/referral-codes/{}", bob.look_up(&ann.email).await.text("code"))).await;
        assert_eq!(bob.look_up(&ann.email).await.status, 404, "a deleted code is gone at once");
    })
    .await;
}

#[tokio::test]
async fn nobody_can_try_a_list_of_addresses() {
    on_each_store_with(&[("LIMITS__LOOKUPS_PER_MINUTE", "3")], |world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        for _ in 0..3 {
            assert_eq!(ann.look_up("nobody@example.com").await.status, 404);
        }
        let limited = ann.look_up(&bob.email).await;
        assert_eq!((limited.status, limited.problem().as_str()), (429, "too-many-requests"));
        assert_eq!(limited.header("retry-after"), "60");
        assert_eq!(bob.look_up("nobody@example.com").await.status, 404, "each caller is counted alone");
    })
    .await;
}

#[tokio::test]
async fn who_registers_many_clients_tries_no_more_addresses() {
    on_each_store_with(&[("LIMITS__LOOKUPS_PER_MINUTE", "2")], |world| async move {
        for n in 0..8 {
            let client = world.service().from("192.0.2.7:5000");
            assert_eq!(client.look_up("nobody@example.com").await.status, 404, "{n}");
        }
        let limited = world.service().from("192.0.2.7:5000").look_up("nobody@example.com").await;
        assert_eq!((limited.status, limited.problem().as_str()), (429, "too-many-requests"));
        let elsewhere = world.service().from("192.0.2.8:5000").look_up("nobody@example.com").await;
        assert_eq!(elsewhere.status, 404, "another address");
    })
    .await;
}
