//! Links to codes: what came of them, their pictures, and one code for another.

use std::time::Duration;

use serde_json::json;
use shared::referrals::cached::Entry;
use shared::referrals::code::CodeKey;
use shared::referrals::{clicks, store};

use crate::world::{Actor, World, on_each_store};

const CODES: &str = "/v1/referral-codes";
const DAY: Duration = Duration::from_secs(86_400);

/// What the authorization server does when a link is followed.
async fn click(world: &World, code: &str, address: u8) {
    let mut tx = world.platform.db.begin().await.unwrap();
    let row = store::by_key(&mut tx, &CodeKey::fold(code).unwrap()).await.unwrap().unwrap();
    clicks::record(&mut tx, &world.platform, row.id, &[address; 16]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn clicks_are_counted_by_day_and_addresses_once_a_day() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        let path = format!("{CODES}/{code}/stats");
        let none = json!({ "clicks": 0, "visitors": 0, "sign_ups": 0, "by_day": [] });
        assert_eq!(ann.get(&path).await.body, none);
        for address in [1, 1, 2] {
            click(&world, &code, address).await;
        }
        let first = world.now().date_naive().to_string();
        world.platform.clock.advance(DAY);
        click(&world, &code, 1).await;
        let second = world.now().date_naive().to_string();
        let ann = ann.with_scope(crate::world::EVERYTHING);
        let stats = ann.get(&path).await;
        assert_eq!(
            stats.body,
            json!({ "clicks": 4, "visitors": 3, "sign_ups": 0, "by_day": [
                { "day": first, "clicks": 3, "visitors": 2, "sign_ups": 0 },
                { "day": second, "clicks": 1, "visitors": 1, "sign_ups": 0 },
            ]})
        );
        assert_eq!(ann.get(&format!("{path}?days=1")).await.body["by_day"].as_array().unwrap().len(), 1);
        let item = &ann.get(CODES).await.body["items"][0];
        assert_eq!((&item["clicks"], &item["visitors"], &item["deleted_at"]), (&json!(4), &json!(3), &json!(null)));
        ann.delete(&format!("{CODES}/{code}")).await;
        let item = &ann.get(CODES).await.body["items"][0];
        assert!(item["deleted_at"].is_string() && item["status"] == "deleted" && item["clicks"] == 4, "{item}");
        assert_eq!(ann.get(&path).await.body["clicks"], 4, "past ones keep their history");

        let bob = bob.with_scope(crate::world::EVERYTHING);
        for foreign in [&path, &format!("{CODES}/NEVERWAS/stats")] {
            assert_eq!(bob.get(foreign).await.problem(), "not-found", "{foreign}");
        }
        for days in ["0", "367", "x", "-1"] {
            let answer = ann.get(&format!("{path}?days={days}")).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec!["#/query/days"]), "{days}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_who_clicked_nothing_is_kept_beyond_the_day() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        click(&world, &code, 7).await;
        let mut conn = world.platform.db.read().await.unwrap();
        type Row = (Vec<u8>, chrono::DateTime<chrono::Utc>);
        let (hash, until): Row =
            shared::fetch_one!(&mut conn, Row, "SELECT address_hash, expires_at FROM referral_visitors").unwrap();
        drop(conn);
        assert!(hash.len() == 32 && !hash.windows(4).any(|w| w == [7; 4]), "hashed");
        assert_eq!(until.date_naive(), world.now().date_naive().succ_opt().unwrap());
        let unequal = "SELECT COUNT(*) FROM referral_visitors v, daily_salts s WHERE v.expires_at <> s.expires_at";
        assert_eq!(world.count(unequal).await, 0, "with the salt of the day");
    })
    .await;
}

#[tokio::test]
async fn the_picture_of_a_link_is_for_its_owner() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let created = ann.create_code().await;
        let code = created.text("code");
        let qr = ann.get(&format!("{CODES}/{}/qr.svg", code.to_lowercase())).await;
        assert_eq!((qr.status, qr.header("content-type")), (200, "image/svg+xml"), "{qr:?}");
        assert!(qr.header("content-security-policy").contains("default-src 'none'"));
        let link = created.text("link");
        assert_eq!(qr.body.as_str(), shared::qr::svg(&link, "qr", Some(&link)).as_deref());
        assert!(created.text("qr_url").ends_with(&format!("{CODES}/{code}/qr.svg")));
        assert_eq!(bob.get(&format!("{CODES}/{code}/qr.svg")).await.problem(), "not-found");
        assert_eq!(world.anon().get(&format!("{CODES}/{code}/qr.svg")).await.status, 401);
    })
    .await;
}

async fn rotate(who: &Actor, code: &str, body: serde_json::Value) -> crate::world::Answer {
    who.post(&format!("{CODES}/{code}/rotate"), &body).await
}

#[tokio::test]
async fn a_code_is_replaced_in_one_step_and_the_old_one_is_found_no_more() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let old = ann.new_code().await;
        assert_eq!(ann.get(&format!("{CODES}/{old}")).await.text("status"), "active");
        assert_eq!(bob.look_up(&ann.email).await.text("code"), old);
        let body = json!({ "expires_at": ann.in_days(9), "max_uses": 5 });
        for (who, code, status) in [(&bob, old.as_str(), 404), (&ann, "NEVERWAS", 404), (&ann, "%20", 404)] {
            assert_eq!(rotate(who, code, body.clone()).await.status, status, "{code}");
        }
        let new = rotate(&ann, &old.to_lowercase(), body.clone()).await;
        assert_eq!((new.status, new.body["max_uses"].clone(), new.text("status")), (201, json!(5), "active".into()));
        let code = new.text("code");
        assert_eq!(new.header("location"), format!("{CODES}/{code}"));
        assert_ne!(code, old);
        // Everywhere, also where it was in the cache.
        assert_eq!(bob.look_up(&ann.email).await.text("code"), code);
        assert_eq!(ann.get(&format!("{CODES}/{old}")).await.text("status"), "deleted");
        assert!(
            Entry::Code(CodeKey::fold(&old).unwrap())
                .get(&world.platform)
                .await
                .is_none_or(|found| found.row.status != "active")
        );
        assert_eq!(world.count("SELECT COUNT(*) FROM cache_invalidations").await, 0, "delivered");
        assert_eq!(rotate(&ann, &old, body).await.status, 404, "once");
        assert_eq!(world.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'referral_code.rotated'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_code_that_can_not_be_had_leaves_the_old_one_as_it_was() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let old = ann.new_code().await;
        let bobs = bob.new_code().await;
        let taken = rotate(&ann, &old, json!({ "expires_at": ann.in_days(1), "code": bobs })).await;
        assert_eq!((taken.status, taken.problem().as_str(), taken.pointers()), (409, "code-taken", vec!["#/code"]));
        let itself = rotate(&ann, &old, json!({ "expires_at": ann.in_days(1), "code": old })).await;
        assert_eq!(itself.problem(), "code-taken", "a code is given out once");
        for (body, pointer) in [
            (json!({}), "#/expires_at"),
            (json!({ "expires_at": ann.in_days(400) }), "#/expires_at"),
            (json!({ "expires_at": ann.in_days(1), "max_uses": 0 }), "#/max_uses"),
            (json!({ "expires_at": ann.in_days(1), "colour": 1 }), "#/colour"),
        ] {
            let answer = rotate(&ann, &old, body).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]));
        }
        assert_eq!(ann.get(&format!("{CODES}/{old}")).await.text("status"), "active");

        // One that has expired is replaced only where no other is active.
        world.platform.clock.advance(DAY * 31);
        let ann = ann.with_scope(crate::world::EVERYTHING);
        let second = ann.new_code().await;
        let expired = rotate(&ann, &old, json!({ "expires_at": ann.in_days(1) })).await;
        assert_eq!((expired.status, expired.problem().as_str()), (409, "code-active"));
        assert_eq!(ann.get(&format!("{CODES}/{old}")).await.text("status"), "expired");
        assert_eq!(ann.get(&format!("{CODES}/{second}")).await.text("status"), "active");
    })
    .await;
}

#[tokio::test]
async fn of_twenty_that_replace_one_code_exactly_one_does() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let old = ann.new_code().await;
        let body = json!({ "expires_at": ann.in_days(3) });
        let tasks = (0..20).map(|_| {
            let (ann, old, body) = (ann.clone(), old.clone(), body.clone());
            tokio::spawn(async move { rotate(&ann, &old, body).await.status })
        });
        let mut statuses: Vec<u16> =
            futures::future::join_all(tasks).await.into_iter().map(|status| status.unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201);
        assert_eq!(statuses[1..], [404; 19]);
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await, 1);
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 2);
    })
    .await;
}

#[tokio::test]
async fn of_one_replacement_sent_ten_times_at_once_all_get_the_same_answer() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let old = ann.new_code().await;
        let once = ann.with_header("idempotency-key", "once");
        let body = json!({ "expires_at": ann.in_days(3) });
        let tasks = (0..10).map(|_| {
            let (once, old, body) = (once.clone(), old.clone(), body.clone());
            tokio::spawn(async move { rotate(&once, &old, body).await })
        });
        let answers: Vec<_> = futures::future::join_all(tasks).await.into_iter().map(|a| a.unwrap()).collect();
        let codes: std::collections::HashSet<_> = answers.iter().map(|a| (a.status, a.text("code"))).collect();
        assert_eq!(codes.len(), 1, "{codes:?}");
        assert_eq!(codes.iter().next().unwrap().0, 201);
        let other = rotate(&once, &old, json!({ "expires_at": ann.in_days(4) })).await;
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"));
    })
    .await;
}

#[tokio::test]
async fn looking_up_an_address_costs_the_same_and_writes_nothing_whoever_it_is() {
    on_each_store(|world| async move {
        let (ann, bob, shy) = (world.person("Ann").await, world.person("Bob").await, world.person("Shy").await);
        ann.new_code().await;
        shy.new_code().await;
        world.execute("UPDATE users SET discoverable = FALSE WHERE id = $1", shy.id()).await;
        let before = world.platform.db.transactions();
        let mut absent = vec![];
        for email in [&ann.email, &shy.email, &bob.email, &"nobody@example.com".to_owned()] {
            let answer = bob.look_up(email).await;
            let names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
            if answer.status == 404 {
                absent.push((names, answer.header("content-type").to_owned(), answer.header("content-length").len()));
            }
        }
        assert_eq!(absent.len(), 3);
        assert!(absent.windows(2).all(|pair| pair[0] == pair[1]), "{absent:?}");
        assert_eq!(world.platform.db.transactions(), before, "nothing is written on a read path");
    })
    .await;
}
