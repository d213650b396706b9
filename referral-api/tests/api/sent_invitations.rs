//! What a referrer sees of the invitations to their own code, and what they can't learn by it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::execute;
use shared::ids::InvitationId;
use shared::referrals::invitations::{self, Turn};

use crate::world::{Answer, World, on_each_store, on_each_store_with};

const PATH: &str = "/v1/invitations";

async fn object(world: &World, canonical: &str) {
    let hash = world.platform.master_key.mac("mail-objection", canonical.as_bytes());
    let mut tx = world.platform.db.begin().await.unwrap();
    execute!(&mut tx, "INSERT INTO mail_objections (email_hash, created_at) VALUES ($1, $2)", hash, world.now())
        .unwrap();
    tx.commit().await.unwrap();
}

/// What the worker does when an invitation's turn comes.
async fn turn(world: &World, id: &str, turn: Option<Turn>) {
    let id: InvitationId = id.parse().unwrap();
    let mut tx = world.platform.db.begin().await.unwrap();
    invitations::begin(&mut tx, id).await.unwrap();
    if let Some(turn) = turn {
        invitations::settle(&mut tx, &world.platform, id, turn).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn items(answer: &Answer) -> &[Value] {
    answer.body["items"].as_array().unwrap()
}

/// Everything but what any two invitations differ in.
fn without_id(item: &Value) -> Value {
    let mut item = item.clone();
    for member in ["id", "created_at", "email"] {
        item[member].take();
    }
    item
}

#[tokio::test]
async fn who_objects_who_had_their_share_and_who_does_neither_look_alike() {
    on_each_store_with(&[("INVITATIONS__PER_ADDRESS_PER_DAY", "1")], |world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        ann.new_code().await;
        bob.new_code().await;
        object(&world, "objects@example.org").await;
        assert_eq!(bob.invite(&bob.email, "crowded@example.org").await.status, 202);
        let mut answers = vec![];
        for friend in ["objects@example.org", "crowded@example.org", "friend@example.org"] {
            let answer = ann.invite(&ann.email, friend).await;
            answers.push((answer.status, answer.body.clone(), answer.headers.len()));
        }
        assert_eq!(answers[0].1, json!({ "status": "accepted" }));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        let listed = ann.get(PATH).await;
        let [friend, crowded, objects] = items(&listed) else { panic!("{listed:?}") };
        assert_eq!(friend["email"], "f•••@e•••.org");
        assert_eq!((&friend["status"], &friend["sent_at"]), (&json!("accepted"), &json!(null)));
        assert!([crowded, objects].into_iter().all(|item| without_id(item) == without_id(friend)), "{listed:?}");
        // A job in the same lane for each, and an address only where somebody is to be mailed.
        assert_eq!(world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'mail'").await, 4);
        let named = "SELECT COUNT(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%objects%'";
        assert_eq!(world.count(named).await, 0, "the address of who objects is not kept");
        let dashes = "SELECT COUNT(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%\"-------------------\"%'";
        assert_eq!(world.count(dashes).await, 2, "as long as the address that they stand for");
        for item in [objects, crowded, friend] {
            turn(&world, item["id"].as_str().unwrap(), Some(Turn::Sent)).await;
        }
        let listed = ann.get(PATH).await;
        assert!(
            items(&listed).iter().all(|item| item["status"] == "sent" && item["sent_at"].is_string()),
            "{listed:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn ones_own_invitations_are_listed_found_by_address_and_nobody_elses() {
    on_each_store_with(&[("INVITATIONS__PER_ADDRESS_PER_DAY", "9")], |world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        ann.new_code().await;
        for friend in ["one@example.org", "two@example.org", "one+more@example.org"] {
            assert_eq!(ann.invite(&ann.email.to_uppercase(), friend).await.status, 202);
            world.platform.clock.advance(Duration::from_millis(2));
        }
        assert_eq!(bob.invite(&ann.email, "three@example.org").await.status, 202);
        assert_eq!(world.service().invite(&ann.email, "four@example.org").await.status, 202);
        let first = ann.get(&format!("{PATH}?limit=2")).await;
        let second = ann.get(&format!("{PATH}?limit=2&cursor={}", first.text("next_cursor"))).await;
        assert_eq!((items(&first).len(), items(&second).len(), &second.body["next_cursor"]), (2, 1, &json!(null)));
        assert_eq!(items(&ann.get(&format!("{PATH}?email=ONE%2Bx@example.org")).await).len(), 2, "by mailbox");
        assert_eq!(items(&ann.get(&format!("{PATH}?email=nobody@example.org")).await).len(), 0);
        assert_eq!(ann.get(&format!("{PATH}?email=x")).await.pointers(), ["#/query/email"]);
        let id = items(&first)[0]["id"].as_str().unwrap();
        assert_eq!(ann.get(&format!("{PATH}/{id}")).await.body, items(&first)[0]);
        assert_eq!(items(&bob.get(PATH).await).len(), 0, "what one asks for somebody else is not one's own");
        for path in [format!("{PATH}/{id}"), format!("{PATH}/{}", world.platform.random.uuid_v4()), format!("{PATH}/x")]
        {
            for answer in [bob.get(&path).await, bob.delete(&path).await] {
                assert_eq!(answer.problem(), "not-found", "{path}");
            }
        }
        let stored = "SELECT COUNT(*) FROM invitations WHERE CAST(email_masked AS TEXT) LIKE '%one%'";
        assert_eq!(world.count(stored).await, 0, "no address is kept");
        assert_eq!(world.execute("DELETE FROM users WHERE id = $1", ann.id()).await, 1);
        assert_eq!(world.count("SELECT COUNT(*) FROM invitations").await, 0, "they go with the account");
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_withdrawn_until_its_turn_comes() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        ann.new_code().await;
        for friend in ["one@example.org", "two@example.org", "three@example.org", "four@example.org"] {
            ann.invite(&ann.email, friend).await;
            world.platform.clock.advance(Duration::from_millis(2));
        }
        let listed = ann.get(PATH).await;
        let ids: Vec<String> = items(&listed).iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
        let [four, three, two, one] = [0, 1, 2, 3].map(|n| format!("{PATH}/{}", ids[n]));
        let again = ann.with_header("idempotency-key", "w");
        assert_eq!((again.delete(&one).await.status, again.delete(&one).await.status), (204, 204));
        assert_eq!(ann.delete(&one).await.problem(), "invitation-not-waiting");
        assert_eq!(ann.get(&one).await.text("status"), "withdrawn");
        turn(&world, &ids[3], None).await;
        turn(&world, &ids[3], Some(Turn::Sent)).await;
        assert_eq!(ann.get(&one).await.text("status"), "withdrawn", "its turn does not come any more");

        // Under way: still waiting to who looks, and too late to withdraw.
        turn(&world, &ids[2], None).await;
        assert_eq!(ann.get(&two).await.text("status"), "accepted");
        assert_eq!(ann.delete(&two).await.problem(), "invitation-not-waiting");
        // No mail server: it waits, and can be withdrawn.
        turn(&world, &ids[2], Some(Turn::Waits)).await;
        assert_eq!(ann.delete(&two).await.status, 204);
        turn(&world, &ids[1], Some(Turn::Sent)).await;
        assert_eq!(ann.delete(&three).await.problem(), "invitation-not-waiting");
        // Three days without one.
        world.platform.clock.advance(Duration::from_secs(3 * 86_400));
        let ann = ann.with_scope(crate::world::EVERYTHING);
        assert_eq!(ann.get(&four).await.text("status"), "failed");
        assert_eq!(ann.delete(&four).await.problem(), "invitation-not-waiting");
        assert_eq!(ann.get(&three).await.text("status"), "sent");
    })
    .await;
}

#[tokio::test]
async fn of_ten_that_withdraw_one_invitation_one_does() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        ann.new_code().await;
        ann.invite(&ann.email, "one@example.org").await;
        let id = items(&ann.get(PATH).await)[0]["id"].as_str().unwrap().to_owned();
        let tasks = (0..10).map(|_| {
            let (ann, path) = (ann.clone(), format!("{PATH}/{id}"));
            tokio::spawn(async move { ann.delete(&path).await.status })
        });
        let mut statuses: Vec<u16> = futures::future::join_all(tasks).await.into_iter().map(|s| s.unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (204, &[409; 9][..]));
    })
    .await;
}

#[tokio::test]
async fn what_stands_against_an_invitation_on_ones_own_side_is_told() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.invite(&ann.email, "friend@example.org").await.body, json!({ "status": "accepted" }));
        assert_eq!(items(&ann.get(PATH).await)[0]["status"], "failed", "no code");
        assert_eq!(world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'mail'").await, 0);
        ann.new_code().await;
        world.execute("UPDATE users SET discoverable = FALSE WHERE id = $1", ann.id()).await;
        // For as long whose an address is may be remembered.
        world.platform.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(ann.invite(&ann.email, "friend@example.org").await.status, 202);
        assert_eq!(items(&ann.get(PATH).await)[0]["status"], "failed", "not to be found by email");
    })
    .await;
}
