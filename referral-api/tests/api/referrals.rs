//! Who signed up with whose code.

use serde_json::json;
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Redemption, Source};
use shared::referrals::trace::Trace;

use crate::world::{Actor, EVERYTHING, World, on_each_store};

/// Signs `newcomer` up with `code`, as the authorization server does.
async fn sign_up(world: &World, code: &str, newcomer: &Actor, verified: bool) {
    let mut tx = world.platform.db.begin().await.unwrap();
    let key = CodeKey::fold(code).unwrap();
    store::redeem(
        &mut tx,
        &world.platform,
        Redemption {
            key: &key,
            newcomer: newcomer.id(),
            canonical_email: &newcomer.email,
            email_is_verified: verified,
            source: Source::Code,
            trace: &Trace::default(),
        },
    )
    .await
    .unwrap()
    .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_referrer_sees_names_masked_addresses_statuses_and_dates() {
    on_each_store(|world| async move {
        let (ann, bob, cleo) = (world.person("Ann").await, world.person("Bob").await, world.person("Cleo").await);
        let code = ann.new_code().await;
        sign_up(&world, &code, &bob, false).await;
        world.platform.clock.advance(std::time::Duration::from_millis(2));
        sign_up(&world, &code, &cleo, true).await;

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
