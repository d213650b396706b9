//! Who signed up with whose code.

use serde_json::json;
use shared::referrals::trace::Trace;

use crate::world::{EVERYTHING, on_each_store};

#[tokio::test]
async fn a_referrer_sees_names_masked_addresses_statuses_and_dates() {
    on_each_store(|world| async move {
        let (ann, bob, cleo) = (world.person("Ann").await, world.person("Bob").await, world.person("Cleo").await);
        let code = ann.new_code().await;
        world.redeem(&code, &bob, false, &Trace::default()).await;
        world.platform.clock.advance(std::time::Duration::from_millis(2));
        world.redeem(&code, &cleo, true, &Trace::default()).await;

        let own = ann.get("/v1/referrers/me/referrals").await;
        assert_eq!(own.status, 200, "{own:?}");
        let newest = &own.body["items"][0];
        assert_eq!(
            *newest,
            json!({
                "id": newest["id"],
                "status": "verified",
                "display_name": "Cleo",
                "email": "c•••@e•••.com",
                "code": code,
                "created_at": newest["created_at"],
                "updated_at": newest["updated_at"],
            })
        );
        assert_eq!(own.body["items"][1]["display_name"], "Bob");
        assert!(!own.body.to_string().contains(&bob.email));
        assert_eq!(ann.get(&format!("/v1/referrers/{}/referrals", ann.id())).await.body, own.body);

        let pending = ann.get("/v1/referrers/me/referrals?status=pending").await;
        assert_eq!(pending.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(pending.body["items"][0]["display_name"], "Bob");
        let first = ann.get("/v1/referrers/me/referrals?limit=1").await;
        let second = ann.get(&format!("/v1/referrers/me/referrals?limit=1&cursor={}", first.text("next_cursor"))).await;
        assert_eq!((&first.body["items"][0], &second.body["items"][0]), (newest, &own.body["items"][1]));

        world.execute("DELETE FROM users WHERE id = $1", cleo.id()).await;
        let gone = &ann.get("/v1/referrers/me/referrals").await.body["items"][0];
        assert_eq!((&gone["display_name"], &gone["email"]), (&json!(null), &json!(null)));
    })
    .await;
}

#[tokio::test]
async fn others_see_them_only_as_administrators_with_the_scope_for_it() {
    on_each_store(|world| async move {
        let (ann, bob, root) = (world.person("Ann").await, world.person("Bob").await, world.person("Root").await);
        world.execute("UPDATE users SET role = 'admin' WHERE id = $1", root.id()).await;
        let of_ann = format!("/v1/referrers/{}/referrals", ann.id());
        let of_nobody = format!("/v1/referrers/{}/referrals", world.platform.random.uuid_v4());
        let admin_scope = format!("{EVERYTHING} referrals:admin");

        for other in [bob.clone(), bob.with_scope(&admin_scope), root.clone()] {
            for path in [&of_ann, &of_nobody] {
                let answer = other.get(path).await;
                assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
            }
        }
        let root = root.with_scope(&admin_scope);
        assert_eq!(root.get(&of_ann).await.status, 200);
        assert_eq!(root.get(&of_nobody).await.status, 404);
        assert_eq!(root.get("/v1/referrers/nonsense/referrals").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_sees_addresses_in_full_and_that_is_recorded_and_nobody_else_does() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let bob = world.signed_up(&code, "Bob", true, &Trace::default()).await;
        let root = world.admin().await;
        let reads = "SELECT COUNT(*) FROM audit_events WHERE kind = 'referrals.read'";
        let path = format!("/v1/referrers/{}/referrals", ann.id());

        for (actor, own) in [(&ann, "/v1/referrers/me"), (&world.manager(), path.trim_end_matches("/referrals"))] {
            for list in ["referrals", "referrals.csv"] {
                let seen = actor.get(&format!("{own}/{list}")).await;
                assert_eq!(seen.status, 200, "{seen:?}");
                assert!(!seen.body.to_string().contains(&bob.email), "{seen:?}");
                assert!(seen.body.to_string().contains("b•••@e•••.com"), "{seen:?}");
            }
        }
        assert_eq!(world.count(reads).await, 0);
        let seen = root.get(&path).await;
        assert_eq!((&seen.body["items"][0]["email"], seen.header("cache-control")), (&json!(bob.email), "no-store"));
        assert!(root.get(&format!("{path}.csv")).await.body.to_string().contains(&bob.email));
        assert_eq!(world.count(reads).await, 2);
    })
    .await;
}

#[tokio::test]
async fn the_export_has_every_referral_once_and_no_formula() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let mallory = world.signed_up(&code, "=HYPERLINK(1)", true, &Trace::default()).await;
        // More than are read at a time.
        let some = world.signed_up(&code, "Bob", false, &Trace::default()).await;
        for _ in 0..600 {
            copy_of_referral(&world, some.id()).await;
        }
        let csv = ann.get("/v1/referrers/me/referrals.csv").await;
        assert_eq!((csv.status, csv.header("content-type")), (200, "text/csv; charset=utf-8; header=present"));
        let text = csv.body.as_str().unwrap();
        let mut ids: Vec<&str> = text.lines().skip(1).map(|line| line.split_once(',').unwrap().0).collect();
        assert_eq!(ids.len(), 602);
        assert!(ids.is_sorted_by(|a, b| a > b), "newest first, none twice");
        ids.dedup();
        assert_eq!(ids.len(), 602);
        assert!(text.contains(",'=HYPERLINK(1),"), "{}", mallory.email);
        let verified = ann.get("/v1/referrers/me/referrals.csv?status=verified").await;
        assert_eq!(verified.body.as_str().unwrap().lines().count(), 2);
    })
    .await;
}

/// One more referral as this person's, of somebody whose account is gone.
async fn copy_of_referral(world: &crate::world::World, of: shared::ids::UserId) {
    let mut tx = world.platform.db.begin().await.unwrap();
    let id = world.platform.random.uuid_v7(&world.platform.clock);
    let copied = shared::execute!(
        &mut tx,
        "INSERT INTO referrals (id, referrer_id, code_id, status, created_at, updated_at) \
         SELECT $1, referrer_id, code_id, status, created_at, updated_at FROM referrals WHERE referral_user_id = $2",
        id,
        of
    )
    .unwrap();
    assert_eq!(copied, 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn statistics_follow_each_change_and_are_asked_by_day() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        world.signed_up(&code, "Bob", false, &Trace::default()).await;
        world.signed_up(&code, "Cleo", true, &Trace::default()).await;
        let today = world.now().date_naive().to_string();

        let stats = ann.get("/v1/referrers/me/stats").await;
        assert_eq!(stats.status, 200, "{stats:?}");
        let none = json!({ "pending": 0, "verified": 0, "qualified": 0, "rewarded": 0, "rejected": 0, "reversed": 0, "expired": 0 });
        let with = |changed: &[(&str, i64)]| {
            let mut counts = none.clone();
            changed.iter().for_each(|(status, n)| counts[*status] = json!(n));
            counts
        };
        assert_eq!(stats.body["totals"], with(&[("pending", 1), ("verified", 1)]));
        let mut day = with(&[("pending", 2), ("verified", 1)]);
        day["day"] = json!(today);
        assert_eq!(stats.body["by_day"], json!([day]));

        let before = ann.get("/v1/referrers/me/stats?from=2020-01-01&to=2020-01-31").await;
        assert_eq!(before.body["by_day"], json!([]));
        for wrong in ["from=2020-01-02&to=2020-01-01", "from=2020-01-01&to=2021-01-01", "from=x", "to=2020-02-30"] {
            let refused = ann.get(&format!("/v1/referrers/me/stats?{wrong}")).await;
            assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        }
        let bob = world.person("Bob").await;
        assert_eq!(bob.get(&format!("/v1/referrers/{}/stats", ann.id())).await.status, 403);
    })
    .await;
}
