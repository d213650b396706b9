//! One's own codes.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::world::on_each_store;

const CODES: &str = "/v1/referral-codes";

#[tokio::test]
async fn a_code_is_created_shown_listed_and_deleted() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let expires_at = ann.in_days(30);
        let created = ann.post(CODES, &json!({ "expires_at": expires_at, "max_uses": 3 })).await;
        assert_eq!(created.status, 201, "{created:?}");
        let code = created.text("code");
        assert_eq!(code.len(), 8);
        assert_eq!(created.header("location"), format!("/v1/referral-codes/{code}"));
        assert_eq!(created.header("cache-control"), "no-store");
        let server = world.issuer.url();
        assert_eq!(
            created.body,
            json!({
                "code": code,
                "status": "active",
                "created_at": created.body["created_at"],
                "expires_at": created.body["expires_at"],
                "uses": 0,
                "max_uses": 3,
                "share_url": format!("{server}/signup?ref={code}"),
                "link": format!("{server}/r/{code}"),
                "qr_url": world.platform.config.api.public_url.join(&format!("/v1/referral-codes/{code}/qr.svg")),
            })
        );
        let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
        assert_eq!(at(&created.text("expires_at")), at(&expires_at));

        for path in [format!("{CODES}/{code}"), format!("{CODES}/{}", code.to_lowercase())] {
            let shown = ann.get(&path).await;
            assert_eq!((shown.status, &shown.body), (200, &created.body));
        }
        let listed = ann.get(CODES).await;
        let mut item = created.body.clone();
        for (member, value) in [("clicks", json!(0)), ("visitors", json!(0)), ("deleted_at", json!(null))] {
            item[member] = value;
        }
        assert_eq!(listed.body, json!({ "items": [item], "next_cursor": null }));

        assert_eq!(ann.delete(&format!("{CODES}/{code}")).await.status, 204);
        let deleted = ann.get(&format!("{CODES}/{code}")).await;
        assert_eq!(deleted.text("status"), "deleted");
        assert_eq!(ann.delete(&format!("{CODES}/{code}")).await.status, 404);
        assert_eq!(ann.get(CODES).await.body["items"][0]["status"], "deleted");
        assert_eq!(ann.create_code().await.status, 201, "the place is free again");
    })
    .await;
}

#[tokio::test]
async fn a_second_active_code_is_409_until_the_first_expires() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let first = ann.new_code().await;
        let second = ann.create_code().await;
        assert_eq!((second.status, second.problem().as_str()), (409, "code-active"));

        world.platform.clock.advance(Duration::from_secs(31 * 86400));
        let ann = ann.with_scope(crate::world::EVERYTHING);
        assert_eq!(ann.get(&format!("{CODES}/{first}")).await.text("status"), "expired");
        let second = ann.new_code().await;
        assert_ne!(second, first);
        let statuses: Vec<_> =
            ann.get(CODES).await.body["items"].as_array().unwrap().iter().map(|code| code["status"].clone()).collect();
        assert_eq!(statuses, ["active", "expired"]);
    })
    .await;
}

#[tokio::test]
async fn of_forty_tasks_that_create_a_code_for_one_person_exactly_one_succeeds() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let tasks = (0..40).map(|_| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.create_code().await.status })
        });
        let mut statuses: Vec<u16> =
            futures::future::join_all(tasks).await.into_iter().map(|status| status.unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201);
        assert_eq!(statuses[1..], [409; 39]);
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await, 1);
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_chosen_code_belongs_to_the_first_who_takes_it_however_it_is_written() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let wish = format!("ann-o{}", world.unique());
        let created = ann.post(CODES, &json!({ "expires_at": ann.in_days(1), "code": wish })).await;
        assert_eq!((created.status, created.text("code")), (201, wish.to_uppercase()));

        let lookalike = wish.replace("-o", "0");
        let taken = bob.post(CODES, &json!({ "expires_at": bob.in_days(1), "code": lookalike })).await;
        assert_eq!((taken.status, taken.problem().as_str(), taken.pointers()), (409, "code-taken", vec!["#/code"]));
        assert_eq!(ann.delete(&format!("{CODES}/{wish}")).await.status, 204);
        let never_again = bob.post(CODES, &json!({ "expires_at": bob.in_days(1), "code": wish })).await;
        assert_eq!(never_again.problem(), "code-taken", "old links must not lead to somebody else");
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_code_and_an_unknown_one_are_404_alike() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        for path in
            [format!("{CODES}/{code}"), format!("{CODES}/00000000"), format!("{CODES}/%20"), format!("{CODES}/%ff")]
        {
            for answer in [bob.get(&path).await, bob.delete(&path).await] {
                assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
            }
        }
        assert_eq!(ann.get(&format!("{CODES}/{code}")).await.text("status"), "active");
    })
    .await;
}

#[tokio::test]
async fn the_same_request_sent_again_with_its_key_is_answered_as_the_first_time() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let body = json!({ "expires_at": ann.in_days(5) });
        let (ann_once, bob_once) = (ann.with_header("idempotency-key", "k1"), bob.with_header("idempotency-key", "k1"));
        let first = ann_once.post(CODES, &body).await;
        let again = ann_once.post(CODES, &body).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.header("location"), first.header("location"));
        let other = ann_once.post(CODES, &json!({ "expires_at": ann.in_days(6) })).await;
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"));
        assert_ne!(bob_once.post(CODES, &body).await.text("code"), first.text("code"), "keys of two people never meet");

        let path = format!("{CODES}/{}", first.text("code"));
        let delete = ann.with_header("idempotency-key", "k2");
        assert_eq!((delete.delete(&path).await.status, delete.delete(&path).await.status), (204, 204));
        assert_eq!(ann.with_header("idempotency-key", "").create_code().await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn of_one_request_sent_twenty_times_at_once_all_get_the_same_answer() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await.with_header("idempotency-key", "once");
        let body = json!({ "expires_at": ann.in_days(5) });
        let tasks = (0..20).map(|_| {
            let (ann, body) = (ann.clone(), body.clone());
            tokio::spawn(async move { ann.post(CODES, &body).await })
        });
        let answers: Vec<_> = futures::future::join_all(tasks).await.into_iter().map(|a| a.unwrap()).collect();
        let codes: HashSet<_> = answers.iter().map(|answer| (answer.status, answer.text("code"))).collect();
        assert_eq!(codes.len(), 1, "{codes:?}");
        assert_eq!(codes.iter().next().unwrap().0, 201);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_read_page_by_page_while_it_grows() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let mut made = vec![];
        for _ in 0..5 {
            let code = ann.new_code().await;
            ann.delete(&format!("{CODES}/{code}")).await;
            made.push(code);
            world.platform.clock.advance(Duration::from_millis(2));
        }
        let first = ann.get(&format!("{CODES}?limit=2")).await;
        let seen = |answer: &crate::world::Answer| -> Vec<String> {
            answer.body["items"].as_array().unwrap().iter().map(|c| c["code"].as_str().unwrap().to_owned()).collect()
        };
        // Newer ones do not shift the pages.
        let sixth = ann.new_code().await;
        let second = ann.get(&format!("{CODES}?limit=2&cursor={}", first.text("next_cursor"))).await;
        let third = ann.get(&format!("{CODES}?limit=2&cursor={}", second.text("next_cursor"))).await;
        let all: Vec<String> = [&first, &second, &third].into_iter().flat_map(seen).collect();
        made.reverse();
        assert_eq!(all, made);
        assert_eq!(third.body["next_cursor"], json!(null));
        assert_eq!(seen(&ann.get(CODES).await)[0], sixth);
        let bob = world.person("Bob").await;
        let foreign = bob.get(&format!("{CODES}?cursor={}", first.text("next_cursor"))).await;
        assert_eq!(foreign.body["items"], json!([]), "a cursor opens nobody's list");
    })
    .await;
}
