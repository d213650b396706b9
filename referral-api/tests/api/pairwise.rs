//! People whom a client knows by a pairwise `sub` (OpenID Connect Core §8.1).

use serde_json::json;
use shared::revocations::{Kind, revoke};
use shared::subjects;

use crate::world::{Actor, EVERYTHING, World, on_each_store};

const CODES: &str = "/v1/referral-codes";

/// `person` as the clients of `sector` know them, and by which `sub`.
async fn known_to(world: &World, sector: &str, person: &Actor, scope: &str) -> (Actor, String) {
    let mut tx = world.platform.db.begin().await.unwrap();
    subjects::remember(&mut tx, &world.platform, sector, person.id()).await.unwrap();
    tx.commit().await.unwrap();
    let sub = subjects::pairwise(&world.platform, sector, person.id());
    (person.with_token(&world.token(&world.claims(&sub, scope))), sub)
}

fn referrals(id: &str) -> String {
    format!("/v1/referrers/{id}/referrals")
}

#[tokio::test]
async fn a_pairwise_caller_is_the_same_person_by_another_name__oidc_core_8_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let (at_a, sub) = known_to(&world, "a.example", &ann, EVERYTHING).await;
        let (at_b, _) = known_to(&world, "b.example", &ann, EVERYTHING).await;
        for caller in [&at_a, &at_b] {
            assert_eq!(caller.get(CODES).await.body["items"][0]["code"], code);
            assert_eq!(caller.get(&format!("{CODES}/{code}")).await.status, 200);
            assert_eq!(caller.create_code().await.problem(), "code-active", "one code a person, not one a name");
        }
        assert_eq!(at_a.get(&referrals("me")).await.status, 200);
        assert_eq!(at_a.get(&referrals(&sub)).await.status, 200);
        assert_eq!(at_a.invite(&ann.email, "friend@example.org").await.status, 202);
        assert_eq!(at_a.delete(&format!("{CODES}/{code}")).await.status, 204);
        assert_eq!(at_b.create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_pairwise_caller_learns_no_id_but_its_own__oidc_core_8_1() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let (at_a, _) = known_to(&world, "a.example", &ann, EVERYTHING).await;
        let (_, sub_at_b) = known_to(&world, "b.example", &ann, EVERYTHING).await;

        // Whether the account's id, or the name at another client's, is theirs: both would link two clients' users.
        let own = at_a.get(&referrals(&ann.id().to_string())).await;
        let others = at_a.get(&referrals(&bob.id().to_string())).await;
        for answer in [&own, &others] {
            assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
        }
        assert_eq!(own.body["detail"], others.body["detail"]);
        assert_eq!(at_a.get(&referrals(&sub_at_b)).await.status, 404);
        assert_eq!(at_a.get(&referrals("nonsense")).await.status, 404);
        // Nor does a caller who is known by the account's id go by a pairwise name.
        assert_eq!(ann.get(&referrals(&sub_at_b)).await.status, 404);

        at_a.new_code().await;
        for path in [CODES, &referrals("me"), &format!("{CODES}/lookup?email={}", ann.email)] {
            let answer = at_a.get(path).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(!answer.body.to_string().contains(&ann.id().to_string()), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_subject_is_nobody__rfc9068_4() {
    on_each_store(|world| async move {
        for sub in ["nobody", "", "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let answer = world.bearer(&world.token(&world.claims(sub, EVERYTHING))).create_code().await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{sub}: {answer:?}");
        }
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_ends_the_account_ends_its_pairwise_tokens() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let (ann_at_a, _) = known_to(&world, "a.example", &ann, EVERYTHING).await;
        let (bob_at_a, _) = known_to(&world, "a.example", &bob, EVERYTHING).await;
        assert_eq!((ann_at_a.get(CODES).await.status, bob_at_a.get(CODES).await.status), (200, 200));

        // Listed by the account's id alone: the name is looked up before the list is.
        let mut tx = world.platform.db.begin().await.unwrap();
        revoke(&mut tx, &world.platform, Kind::User, &ann.id().to_string()).await.unwrap();
        tx.commit().await.unwrap();
        world.platform.revocations.refresh(&world.platform.db, world.now()).await.unwrap();
        let revoked = ann_at_a.get(CODES).await;
        assert_eq!((revoked.status, revoked.error("Bearer")), (401, "invalid_token"), "{revoked:?}");
        assert_eq!(bob_at_a.get(CODES).await.status, 200);

        world.execute("DELETE FROM users WHERE id = $1", bob.id()).await;
        let fresh = world.another_instance(&[]).await;
        let gone = bob_at_a.at(&fresh).get(CODES).await;
        assert_eq!((gone.status, gone.error("Bearer")), (401, "invalid_token"), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn a_person_is_counted_once_by_however_many_names() {
    let limit = [("LIMITS__LOOKUPS_PER_MINUTE", "2")];
    crate::world::on_each_store_with(&limit, |world| async move {
        let ann = world.person("Ann").await;
        let (at_a, _) = known_to(&world, "a.example", &ann, EVERYTHING).await;
        let (at_b, _) = known_to(&world, "b.example", &ann, EVERYTHING).await;
        assert_eq!(at_a.look_up("nobody@example.com").await.status, 404);
        assert_eq!(at_b.look_up("nobody@example.com").await.status, 404);
        assert_eq!(ann.look_up("nobody@example.com").await.status, 429);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_known_by_a_pairwise_name_is_one_all_the_same() {
    on_each_store(|world| async move {
        let (ann, root) = (world.person("Ann").await, world.person("Root").await);
        world.execute("UPDATE users SET role = 'admin' WHERE id = $1", root.id()).await;
        let scope = format!("{EVERYTHING} referrals:admin");
        let (at_a, sub) = known_to(&world, "a.example", &root, &scope).await;
        assert_eq!(at_a.get(&referrals(&ann.id().to_string())).await.status, 200);
        let own = at_a.get(&referrals(&sub)).await;
        assert_eq!((own.status, &own.body["items"]), (200, &json!([])));
    })
    .await;
}
