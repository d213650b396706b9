//! Registering endpoints, and who may.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::json;

use super::{
    ENDPOINTS, Receiver, SCOPE, audited, courier, deliveries, endpoint, happens, here, path, program, registered,
};
use crate::world::{Answer, on_each_store, on_each_store_with};

#[tokio::test]
async fn an_endpoint_is_registered_seen_changed_and_deleted() {
    on_each_store_with(&here(&[]), |world| async move {
        let crm = program(&world).await;
        let new = json!({
            "url": "HTTP://127.0.0.1:9/hook?x=1", "events": ["referral.verified", "referral.created"],
            "description": "CRM", "schemes": ["v1", "v1a"],
        });
        let made = crm.post(ENDPOINTS, &new).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.header("location"), path(&made, ""));
        assert_eq!(made.header("cache-control"), "no-store");
        // "Random. At least 24 bytes (192 bits, 512 maximum)", "base64 encoded, prefixed".
        let secret = made.text("secret");
        let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert!((24..=64).contains(&bytes.len()));
        let public = made.text("public_key");
        assert_eq!(STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap().len(), 32);
        assert_eq!(made.body["events"], json!(["referral.created", "referral.verified"]));
        assert_eq!((made.text("url"), made.text("status")), ("http://127.0.0.1:9/hook?x=1".into(), "enabled".into()));

        let seen = crm.get(&path(&made, "")).await;
        assert_eq!(seen.status, 200);
        let mut shown = made.body.clone();
        shown.as_object_mut().unwrap().remove("secret");
        assert_eq!(seen.body, shown, "all but the secret, which is shown once");
        assert_eq!(crm.get(ENDPOINTS).await.body, json!({ "items": [shown], "next_cursor": null }));

        let change = json!({ "events": ["*"], "description": "", "schemes": ["v1"], "status": "disabled" });
        let changed = crm.patch(&path(&made, ""), &change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(changed.body["events"], json!(["*"]));
        assert_eq!((&changed.body["description"], &changed.body["public_key"]), (&json!(null), &json!(null)));
        assert_eq!(changed.body["schemes"], json!(["v1"]));
        assert_eq!((changed.text("status"), changed.text("disabled_reason")), ("disabled".into(), "requested".into()));
        let back = crm.patch(&path(&made, ""), &json!({ "schemes": ["v1", "v1a"], "status": "enabled" })).await;
        assert_eq!((back.text("status"), &back.body["disabled_at"]), ("enabled".into(), &json!(null)));
        assert!(back.text("public_key").starts_with("whpk_") && back.text("public_key") != public, "a new key");
        assert_eq!(back.text("url"), made.text("url"), "what is not named stays");

        assert_eq!(crm.delete(&path(&made, "")).await.status, 204);
        assert_eq!(crm.get(&path(&made, "")).await.problem(), "not-found");
        assert_eq!(crm.delete(&path(&made, "")).await.status, 404);
        assert_eq!(world.count("SELECT COUNT(*) FROM webhook_secrets").await, 0);
        for kind in ["created", "disabled", "enabled", "deleted"] {
            assert_eq!(audited(&world, &format!("webhook_endpoint.{kind}")).await, 1, "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_endpoint_has_keys_of_its_own_and_they_are_sealed_at_rest() {
    on_each_store_with(&here(&[]), |world| async move {
        let crm = program(&world).await.with_header("idempotency-key", "k");
        let new = json!({ "url": "http://127.0.0.1:9/", "events": ["*"], "schemes": ["v1", "v1a"] });
        let made = crm.post(ENDPOINTS, &new).await;
        let other = program(&world).await.post(ENDPOINTS, &new).await;
        assert_ne!(made.text("secret"), other.text("secret"));
        assert_ne!(made.text("public_key"), other.text("public_key"));

        let secret = STANDARD.decode(made.text("secret").trim_start_matches("whsec_")).unwrap();
        let mut conn = world.platform.db.read().await.unwrap();
        let sealed = shared::fetch_all!(&mut conn, (Vec<u8>,), "SELECT sealed FROM webhook_secrets").unwrap();
        assert_eq!(sealed.len(), 4);
        assert!(sealed.iter().all(|(sealed,)| !sealed.windows(secret.len()).any(|part| part == secret)));
        // Nor does it lie open in the answer that is kept for a repeated request.
        let (kept,) = shared::fetch_one!(
            &mut conn,
            (sqlx::types::Json<serde_json::Value>,),
            "SELECT answer FROM idempotency_keys"
        )
        .unwrap();
        let (kept, encoded) = (kept.0.to_string(), made.text("secret").replace("whsec_", ""));
        assert!(kept.contains("sealed") && !kept.contains(&encoded), "{kept}");
    })
    .await;
}

#[tokio::test]
async fn another_clients_endpoint_is_not_there_and_administrators_see_all() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let (crm, other) = (program(&world).await, program(&world).await);
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        let message = deliveries(&crm, &made).await[0]["message_id"].as_str().unwrap().to_owned();

        let since = json!({ "since": "2020-01-01T00:00:00Z" });
        let everywhere = async |who: &crate::world::Actor| -> Vec<Answer> {
            vec![
                who.get(&path(&made, "")).await,
                who.get(&path(&made, "/deliveries")).await,
                who.patch(&path(&made, ""), &json!({ "url": "http://10.0.0.1/" })).await,
                who.post_nothing(&path(&made, "/rotate-secret")).await,
                who.post_nothing(&path(&made, "/test")).await,
                who.post(&path(&made, "/replay"), &since).await,
                who.post_nothing(&path(&made, &format!("/deliveries/{message}/replay"))).await,
                who.delete(&path(&made, "")).await,
            ]
        };
        for answer in everywhere(&other).await {
            assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{answer:?}");
        }
        assert_eq!(other.get(ENDPOINTS).await.body["items"], json!([]));
        assert_eq!(crm.get(&path(&made, "")).await.status, 200, "nothing happened to it");

        // People: administrators alone, with both scopes.
        let ann = world.person("Ann").await;
        let admin_scope = format!("{SCOPE} referrals:admin");
        for (who, status) in [
            (world.anon(), 401),
            (ann.clone(), 403),
            (ann.with_scope(SCOPE), 403),
            (ann.with_scope(&admin_scope), 403),
            (ann.with_scope("referrals:admin"), 403),
            (world.service(), 403),
        ] {
            for answer in everywhere(&who).await {
                assert_eq!(answer.status, status, "{answer:?}");
            }
            assert_eq!(who.get(ENDPOINTS).await.status, status);
            assert_eq!(who.post(ENDPOINTS, &json!({})).await.status, status);
        }
        world.execute("UPDATE users SET role = 'admin' WHERE id = $1", ann.id()).await;
        assert_eq!(ann.with_scope(SCOPE).get(ENDPOINTS).await.status, 403, "the client may not");
        let admin = ann.with_scope(&admin_scope);
        assert_eq!(admin.get(ENDPOINTS).await.body["items"][0]["id"], made.body["id"]);
        assert_eq!(admin.get(&path(&made, "/deliveries")).await.body["items"].as_array().unwrap().len(), 1);
        registered(&world, "demo-app").await;
        let own = endpoint(&admin, "http://127.0.0.1:9/").await;
        assert_eq!(own.text("client_id"), "demo-app", "the client that made it");
        assert_eq!(admin.delete(&path(&made, "")).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn private_addresses_are_refused_at_registration_and_by_a_change() {
    on_each_store(|world| async move {
        let crm = program(&world).await;
        for url in [
            "https://127.0.0.1/hook",
            "https://[::1]/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/",
            // A name that leads there.
            "https://localhost/hook",
            "http://93.184.216.34/",
            "ftp://93.184.216.34/",
            "https://user:password@93.184.216.34/",
            "https://93.184.216.34/#fragment",
            "hook",
            "",
        ] {
            let answer = crm.post(ENDPOINTS, &json!({ "url": url, "events": ["*"] })).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec!["#/url"]), "{url}");
        }
        let made = endpoint(&crm, "https://93.184.216.34/hook").await;
        let answer = crm.patch(&path(&made, ""), &json!({ "url": "https://192.168.0.1/" })).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec!["#/url"]));
        assert_eq!(crm.get(&path(&made, "")).await.text("url"), "https://93.184.216.34/hook");
    })
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    on_each_store_with(&here(&[]), |world| async move {
        let crm = program(&world).await;
        let wrong = json!({
            "url": format!("https://93.184.216.34/{}", "x".repeat(2048)), "events": [], "schemes": ["v1a"],
            "description": "x".repeat(201),
        });
        let answer = crm.post(ENDPOINTS, &wrong).await;
        assert_eq!(answer.pointers(), ["#/url", "#/events", "#/description", "#/schemes"], "{answer:?}");
        for events in [json!(["referral.nothing"]), json!(["*", "referral.created"]), json!(["webhook_endpoint.test"])]
        {
            let answer = crm.post(ENDPOINTS, &json!({ "url": "http://127.0.0.1:9/", "events": events })).await;
            assert_eq!(answer.pointers(), ["#/events"], "{events}");
        }
        let answer =
            crm.post(ENDPOINTS, &json!({ "url": "http://127.0.0.1:9/", "events": ["*"], "secret": "s" })).await;
        assert_eq!(answer.pointers(), ["#/secret"]);
        assert_eq!(crm.get(&format!("{ENDPOINTS}/nonsense")).await.status, 404);
        assert_eq!(crm.get(&format!("{ENDPOINTS}?limit=0")).await.pointers(), ["#/query/limit"]);
    })
    .await;
}

#[tokio::test]
async fn every_write_is_done_once_for_its_idempotency_key() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let keyed = crm.with_header("idempotency-key", "once");
        let new = json!({ "url": receiver.url, "events": ["*"], "schemes": ["v1", "v1a"] });
        let [first, second] = [keyed.post(ENDPOINTS, &new).await, keyed.post(ENDPOINTS, &new).await];
        assert_eq!((first.status, second.status, &first.body), (201, 201, &second.body), "with the secret");
        assert_eq!(first.header("location"), second.header("location"));
        let other = keyed.post(ENDPOINTS, &json!({ "url": receiver.url, "events": ["reward.credited"] })).await;
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"));
        assert_eq!(crm.get(ENDPOINTS).await.body["items"].as_array().unwrap().len(), 1);

        // Rotated twice, the first secret would sign no more.
        let mut answers = vec![];
        for _ in 0..2 {
            answers.push(keyed.post_nothing(&path(&first, "/rotate-secret")).await);
        }
        assert_eq!((answers[0].status, &answers[0].body), (200, &answers[1].body));
        assert_ne!(answers[0].text("secret"), first.text("secret"));
        assert_eq!(world.count("SELECT COUNT(*) FROM webhook_secrets").await, 4);

        let test = keyed.post_nothing(&path(&first, "/test")).await;
        assert_eq!(test.status, 202);
        assert_eq!(keyed.post_nothing(&path(&first, "/test")).await.body, test.body);
        assert_eq!(deliveries(&crm, &first).await.len(), 1);
        courier(&world).work_off().await.unwrap();

        let again = path(&first, &format!("/deliveries/{}/replay", test.text("message_id")));
        for _ in 0..2 {
            assert_eq!(keyed.post_nothing(&again).await.body["replayed"], 1);
            courier(&world).work_off().await.unwrap();
        }
        assert_eq!(receiver.heard().len(), 2, "the test, and it again once");

        happens(&world, "referral.created").await;
        courier(&world).work_off().await.unwrap();
        let since = json!({ "since": "2020-01-01T00:00:00Z" });
        for _ in 0..2 {
            assert_eq!(keyed.post(&path(&first, "/replay"), &since).await.body["replayed"], 1);
            courier(&world).work_off().await.unwrap();
        }
        assert_eq!(receiver.heard().len(), 4);

        for _ in 0..2 {
            let changed = keyed.patch(&path(&first, ""), &json!({ "status": "disabled" })).await;
            assert_eq!(changed.text("status"), "disabled");
            crm.patch(&path(&first, ""), &json!({ "status": "enabled" })).await;
        }
        assert_eq!(audited(&world, "webhook_endpoint.disabled").await, 1);
        for _ in 0..2 {
            assert_eq!(keyed.delete(&path(&first, "")).await.status, 204);
        }
        assert_eq!(audited(&world, "webhook_endpoint.deleted").await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_send_one_request_at_once_one_is_done_and_all_hear_of_it() {
    on_each_store_with(&here(&[]), |world| async move {
        let crm = program(&world).await.with_header("idempotency-key", "k");
        let new = json!({ "url": "http://127.0.0.1:9/", "events": ["*"] });
        let answers = join_all((0..10).map(|_| crm.post(ENDPOINTS, &new))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body), "{answer:?}");
        }
        assert_eq!(world.count("SELECT COUNT(*) FROM webhook_endpoints").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_client_has_so_many_endpoints_and_no_more_also_when_it_asks_for_them_at_once() {
    on_each_store_with(&here(&[("WEBHOOKS__MAX_ENDPOINTS", "3")]), |world| async move {
        let crm = program(&world).await;
        let new = json!({ "url": "http://127.0.0.1:9/", "events": ["*"] });
        let answers = join_all((0..8).map(|_| crm.post(ENDPOINTS, &new))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!((answer.status, answer.problem().as_str()), (409, "too-many-endpoints"));
        }
        assert_eq!(program(&world).await.post(ENDPOINTS, &new).await.status, 201, "another client has its own");

        let page = crm.get(&format!("{ENDPOINTS}?limit=2")).await;
        let cursor = page.text("next_cursor");
        let rest = crm.get(&format!("{ENDPOINTS}?limit=2&cursor={cursor}")).await;
        let count = |page: &Answer| page.body["items"].as_array().unwrap().len();
        assert_eq!((count(&page), count(&rest), &rest.body["next_cursor"]), (2, 1, &json!(null)));
    })
    .await;
}

#[tokio::test]
async fn registrations_tests_and_replays_have_a_limit() {
    on_each_store_with(&here(&[("WEBHOOKS__WRITES_PER_MINUTE", "2")]), |world| async move {
        let crm = program(&world).await;
        let made = endpoint(&crm, "http://127.0.0.1:9/").await;
        assert_eq!(crm.post_nothing(&path(&made, "/test")).await.status, 202);
        let since = json!({ "since": "2020-01-01T00:00:00Z" });
        for limited in [
            crm.post_nothing(&path(&made, "/test")).await,
            crm.post_nothing(&path(&made, "/rotate-secret")).await,
            crm.post(&path(&made, "/replay"), &since).await,
            crm.post(ENDPOINTS, &json!({ "url": "http://127.0.0.1:9/", "events": ["*"] })).await,
        ] {
            assert_eq!((limited.status, limited.problem().as_str()), (429, "too-many-requests"));
            assert!(!limited.header("retry-after").is_empty());
        }
        assert_eq!(program(&world).await.get(ENDPOINTS).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_gone_is_told_nothing_more() {
    on_each_store_with(&here(&[]), |world| async move {
        let receiver = Receiver::start().await;
        let crm = program(&world).await;
        let made = endpoint(&crm, &receiver.url).await;
        happens(&world, "referral.created").await;
        let mut tx = world.platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "DELETE FROM clients WHERE client_id = $1", made.text("client_id")).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(courier(&world).work_off().await.unwrap(), 0);
        assert!(receiver.heard().is_empty());
        // Its last token may live on for some minutes.
        let answer = crm.post(ENDPOINTS, &json!({ "url": receiver.url, "events": ["*"] })).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
    })
    .await;
}
