//! Input that is wrong in every way we could think of: a problem document that points at the fault, and nothing done.

use serde_json::json;

use crate::world::{World, on_each_store};

const CODES: &str = "/v1/referral-codes";

#[tokio::test]
async fn a_new_code_needs_a_good_expiry_code_and_limit() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let good = ann.in_days(1);
        for (body, pointers) in [
            (json!({}), vec!["#/expires_at"]),
            (json!({ "expires_at": null }), vec!["#/expires_at"]),
            (json!({ "expires_at": 1900000000 }), vec!["#/expires_at"]),
            (json!({ "expires_at": "" }), vec!["#/expires_at"]),
            (json!({ "expires_at": "tomorrow" }), vec!["#/expires_at"]),
            (json!({ "expires_at": "2030-01-31" }), vec!["#/expires_at"]),
            (json!({ "expires_at": "2030-01-31T12:00:00" }), vec!["#/expires_at"]),
            (json!({ "expires_at": "2030-02-31T12:00:00Z" }), vec!["#/expires_at"]),
            (json!({ "expires_at": world.now().to_rfc3339() }), vec!["#/expires_at"]),
            (json!({ "expires_at": ann.in_days(-1) }), vec!["#/expires_at"]),
            (json!({ "expires_at": "0000-01-01T00:00:00Z" }), vec!["#/expires_at"]),
            (json!({ "expires_at": ann.in_days(366) }), vec!["#/expires_at"]),
            (json!({ "expires_at": "9999-12-31T23:59:59Z" }), vec!["#/expires_at"]),
            (json!({ "expires_at": good, "code": "abc" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "a".repeat(33) }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "привет" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "look up" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "lookup" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": "a/../b" }), vec!["#/code"]),
            (json!({ "expires_at": good, "code": 7 }), vec!["#/code"]),
            (json!({ "expires_at": good, "max_uses": 0 }), vec!["#/max_uses"]),
            (json!({ "expires_at": good, "max_uses": -1 }), vec!["#/max_uses"]),
            (json!({ "expires_at": good, "max_uses": 1_000_001 }), vec!["#/max_uses"]),
            (json!({ "expires_at": good, "max_uses": 1.5 }), vec!["#/max_uses"]),
            (json!({ "expires_at": good, "max_uses": "3" }), vec!["#/max_uses"]),
            (json!({ "expires_at": good, "colour": "red" }), vec!["#/colour"]),
            (json!({ "expires_at": "x", "code": "y", "max_uses": 0 }), vec!["#/expires_at", "#/code", "#/max_uses"]),
        ] {
            let answer = ann.post(CODES, &body).await;
            assert_eq!((answer.status, answer.problem().as_str()), (422, "validation"), "{body}: {answer:?}");
            assert_eq!(answer.pointers(), pointers, "{body}: {answer:?}");
        }
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 0);
        let latest = ann.post(CODES, &json!({ "expires_at": ann.in_days(365) })).await;
        assert_eq!(latest.status, 201, "{latest:?}");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        for path in [CODES, "/v1/invitations"] {
            for (body, status) in [
                (String::new(), 400),
                ("{".into(), 400),
                ("{nonsense}".into(), 400),
                ("null".into(), 422),
                ("[]".into(), 422),
                ("\"text\"".into(), 422),
                (format!("{{\"expires_at\":\"{}\"}}", "9".repeat(70_000)), 413),
            ] {
                let answer = ann.post_text(path, &body).await;
                assert_eq!(answer.status, status, "{path} {}", &body[..body.len().min(40)]);
                answer.problem();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn bad_addresses_are_named() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        for (referrer, friend, pointers) in [
            ("nobody", "friend@example.org", vec!["#/referrer_email"]),
            ("ann@example.com", "friend@", vec!["#/email"]),
            ("", "", vec!["#/referrer_email", "#/email"]),
            ("ann@example.com", "a@b.cd\r\nBcc: x@y.zz", vec!["#/email"]),
        ] {
            let answer = ann.invite(referrer, friend).await;
            assert_eq!((answer.status, answer.pointers()), (422, pointers));
        }
        let extra = json!({ "referrer_email": "a@b.cd", "email": "c@d.ef", "text": "Buy now" });
        assert_eq!(ann.post("/v1/invitations", &extra).await.pointers(), ["#/text"], "no text of a caller's is mailed");
        assert_eq!(world.count("SELECT COUNT(*) FROM outbox").await, 0);

        for (query, pointer) in [
            ("", "#/query/email"),
            ("?email=", "#/query/email"),
            ("?email=x", "#/query/email"),
            ("?mail=a@b.cd", "#/query/mail"),
            ("?email=a@b.cd&email=c@d.ef", "#/query/email"),
        ] {
            let answer = ann.get(&format!("{CODES}/lookup{query}")).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_pages_and_filters_are_named() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        for list in [CODES, "/v1/referrers/me/referrals"] {
            for (query, pointer) in [
                ("limit=0", "#/query/limit"),
                ("limit=101", "#/query/limit"),
                ("limit=-1", "#/query/limit"),
                ("limit=ten", "#/query/limit"),
                ("limit=99999999999", "#/query/limit"),
                ("cursor=nonsense", "#/query/cursor"),
                ("cursor=", "#/query/cursor"),
                ("offset=3", "#/query/offset"),
            ] {
                let answer = ann.get(&format!("{list}?{query}")).await;
                assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{list}?{query}");
            }
        }
        let answer = ann.get("/v1/referrers/me/referrals?status=rich").await;
        assert_eq!((answer.status, answer.pointers()), (422, vec!["#/query/status"]));
    })
    .await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.get("/v1/nothing").await.problem(), "not-found");
        let answer = ann.delete(CODES).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
        assert!(answer.header("allow").contains("POST"), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_503_with_retry_after() {
    // A port where nothing listens: what PostgreSQL looks like while it restarts.
    let settings = [("DATABASE__URL", "postgres://nobody@127.0.0.1:9/none"), ("DATABASE__MIGRATE_ON_START", "false")];
    let world = World::on(shared::testing::Store::Embedded, &settings).await.unwrap();
    let id = world.platform.random.uuid_v4().to_string();
    let ann = world.bearer(&world.token(&world.claims(&id, crate::world::EVERYTHING)));
    for answer in [ann.get(CODES).await, ann.create_code().await, world.anon().get("/readyz").await] {
        assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"));
        assert_eq!(answer.header("retry-after"), "2");
    }
    assert_eq!(world.anon().get("/livez").await.status, 200);
}
