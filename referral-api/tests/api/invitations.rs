//! Invitations: always 202, and a mail only where there is something to send to somebody who may be mailed.

use serde_json::json;
use shared::execute;

use crate::world::{World, on_each_store, on_each_store_with};

/// Jobs that mail somebody: those that mail nobody have no address.
const MAILS: &str = "SELECT COUNT(*) FROM outbox WHERE kind = 'mail' AND CAST(payload AS TEXT) LIKE '%@%'";
const ROWS: &str = "SELECT COUNT(*) FROM outbox";

#[tokio::test]
async fn the_answer_and_the_work_are_the_same_whether_a_mail_is_sent_or_not() {
    on_each_store_with(&[("INVITATIONS__PER_ADDRESS_PER_DAY", "10")], |world| async move {
        let (ann, bob, shy) = (world.person("Ann").await, world.person("Bob").await, world.person("Shy").await);
        ann.new_code().await;
        shy.new_code().await;
        world.execute("UPDATE users SET discoverable = FALSE WHERE id = $1", shy.id()).await;

        let mut rows = 0;
        for (referrer, mails) in [(&ann.email, 1), (&shy.email, 1), (&bob.email, 1), (&"no@example.com".to_owned(), 1)]
        {
            let answer = bob.invite(referrer, "Friend@Example.org").await;
            assert_eq!((answer.status, answer.body), (202, json!({ "status": "accepted" })), "{referrer}");
            rows += 1;
            assert_eq!(world.count(MAILS).await, mails, "{referrer}");
            assert_eq!(world.count(ROWS).await, rows, "one row each, so that the time tells nothing");
        }
        let mut conn = world.platform.db.read().await.unwrap();
        let (payload,): (sqlx::types::Json<serde_json::Value>,) = shared::fetch_one!(
            &mut conn,
            (sqlx::types::Json<serde_json::Value>,),
            "SELECT payload FROM outbox WHERE kind = 'mail' AND CAST(payload AS TEXT) LIKE '%@%'"
        )
        .unwrap();
        assert_eq!(
            payload.0,
            json!({ "job": "invitation", "referrer_id": ann.id(), "email": "Friend@Example.org", "locale": "en" })
        );
        drop(conn);

        // What asks for nothing is never due.
        let due = shared::outbox::take(&world.platform.db, "nothing", world.now(), chrono::TimeDelta::minutes(1), 10);
        assert!(due.await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_asked_not_to_be_mailed_is_not_mailed() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        ann.new_code().await;
        let hash = world.platform.master_key.mac("mail-objection", b"friend@example.org");
        let mut tx = world.platform.db.begin().await.unwrap();
        execute!(&mut tx, "INSERT INTO mail_objections (email_hash, created_at) VALUES ($1, $2)", hash, world.now())
            .unwrap();
        tx.commit().await.unwrap();
        // Nor under another name of the same mailbox.
        for friend in ["FRIEND@example.org", "friend+again@example.org"] {
            assert_eq!(ann.invite(&ann.email, friend).await.status, 202);
            assert_eq!(world.count(MAILS).await, 0, "{friend}");
        }
        assert_eq!(ann.invite(&ann.email, "another@example.org").await.status, 202);
        assert_eq!(world.count(MAILS).await, 1);
    })
    .await;
}

#[tokio::test]
async fn before_an_address_is_confirmed_its_owner_invites_nobody_and_nobody_is_mailed_their_code() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        ann.new_code().await;
        bob.new_code().await;
        world.execute("UPDATE users SET email_verified_at = NULL WHERE id = $1", ann.id()).await;

        for referrer in [&ann.email, &bob.email, &"no@example.com".to_owned()] {
            let answer = ann.invite(referrer, "friend@example.org").await;
            assert_eq!((answer.status, answer.problem().as_str()), (403, "email-unverified"), "{referrer}");
            assert!(answer.text("detail").contains("confirm"), "{answer:?}");
        }
        assert_eq!(world.count(ROWS).await, 0);

        for other in [bob.clone(), world.service()] {
            let answer = other.invite(&ann.email, "friend@example.org").await;
            assert_eq!((answer.status, answer.body), (202, json!({ "status": "accepted" })));
        }
        assert_eq!((world.count(MAILS).await, world.count(ROWS).await), (0, 2));
        assert_eq!(world.service().invite(&bob.email, "friend@example.org").await.status, 202);
        assert_eq!(world.count(MAILS).await, 1);
    })
    .await;
}

#[tokio::test]
async fn without_a_token_nobody_invites_unless_the_operator_allows_it() {
    on_each_store(|world| async move {
        let answer = world.anon().invite("a@example.com", "b@example.com").await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
        assert!(answer.header("www-authenticate").starts_with("Bearer realm="));
    })
    .await;
    on_each_store_with(
        &[("INVITATIONS__ANONYMOUS", "true"), ("INVITATIONS__PER_CALLER_PER_DAY", "1000")],
        |world| async move {
            let ann = world.person("Ann").await;
            ann.new_code().await;
            let friend = format!("{}@example.org", world.unique());
            assert_eq!(world.anon().invite(&ann.email, &friend).await.status, 202);
            assert_eq!(world.count(MAILS).await, 1);
            assert_eq!(
                world.bearer("nonsense").invite(&ann.email, &friend).await.status,
                401,
                "a bad token is no token"
            );
        },
    )
    .await;
}

async fn send(world: &World, times: usize, friend: impl Fn(usize) -> String) -> Vec<u16> {
    let ann = world.person("Ann").await;
    ann.new_code().await;
    let mut statuses = vec![];
    for n in 0..times {
        let answer = ann.invite(&ann.email, &friend(n)).await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "86400");
        }
        statuses.push(answer.status);
    }
    statuses
}

#[tokio::test]
async fn a_caller_an_address_and_a_day_have_their_limits() {
    on_each_store_with(&[("INVITATIONS__PER_CALLER_PER_DAY", "2")], |world| async move {
        assert_eq!(send(&world, 3, |n| format!("f{n}@example.org")).await, [202, 202, 429]);
    })
    .await;
    on_each_store_with(&[("INVITATIONS__PER_DAY", "2")], |world| async move {
        let ann = world.person("Ann").await;
        for n in 0..3 {
            let answer = ann.invite("nobody@example.com", &format!("e{n}@example.org")).await;
            assert_eq!(answer.status, 202, "what sends nothing does not count");
        }
        assert_eq!(send(&world, 3, |n| format!("f{n}@example.org")).await, [202; 3]);
        assert_eq!(world.count(MAILS).await, 2, "the third is dropped, and nobody is told");
        assert_eq!(send(&world, 1, |n| format!("g{n}@example.org")).await, [202]);
        assert_eq!(world.count(MAILS).await, 2, "whoever asks");
    })
    .await;
    on_each_store_with(&[("INVITATIONS__PER_ADDRESS_PER_DAY", "2")], |world| async move {
        let friend = world.unique();
        let mailbox = |n: usize| format!("{friend}+{n}@example.org");
        assert_eq!(send(&world, 3, mailbox).await, [202, 202, 429], "tags do not make another mailbox");
        assert_eq!(world.count(MAILS).await, 2);
        // Others are not told that the address had its share.
        assert_eq!(send(&world, 1, mailbox).await, [202]);
        assert_eq!(world.count(MAILS).await, 2);
    })
    .await;
}

#[tokio::test]
async fn the_same_request_sent_again_with_its_key_mails_once() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await.with_header("idempotency-key", "k");
        ann.with_header("x", "y").post("/v1/referral-codes", &json!({ "expires_at": ann.in_days(3) })).await;
        for _ in 0..2 {
            assert_eq!(ann.invite(&ann.email, "friend@example.org").await.status, 202);
        }
        assert_eq!(world.count(MAILS).await, 1);
        let other = ann.invite(&ann.email, "other@example.org").await;
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"));
    })
    .await;
}

#[tokio::test]
async fn who_registers_many_clients_invites_no_more_people() {
    on_each_store_with(&[("INVITATIONS__PER_CALLER_PER_DAY", "2")], |world| async move {
        let ann = world.person("Ann").await;
        ann.new_code().await;
        let (here, elsewhere) = ("192.0.2.7:5000", "192.0.2.8:5000");
        for n in 0..8 {
            let answer = world.service().from(here).invite(&ann.email, &format!("f{n}@example.org")).await;
            assert_eq!(answer.status, 202, "{n}");
        }
        let limited = world.service().from(here).invite(&ann.email, "g@example.org").await;
        assert_eq!((limited.status, limited.problem().as_str()), (429, "too-many-requests"));
        assert_eq!(limited.header("retry-after"), "86400");
        assert_eq!(world.count(MAILS).await, 8);
        assert_eq!(world.service().from(elsewhere).invite(&ann.email, "h@example.org").await.status, 202);
        assert_eq!(ann.from(here).invite(&ann.email, "i@example.org").await.status, 202, "people count each alone");
        assert_eq!(world.count(MAILS).await, 10);
    })
    .await;
}

#[tokio::test]
async fn who_comes_without_a_token_is_counted_by_address() {
    let settings = [("INVITATIONS__ANONYMOUS", "true"), ("INVITATIONS__PER_CALLER_PER_DAY", "2")];
    on_each_store_with(&settings, |world| async move {
        let mut invited = 0;
        for (peer, statuses) in [
            ("192.0.2.7:5000", [202, 202, 429]),
            ("192.0.2.8:5000", [202, 202, 429]),
            // Whoever has one address of a /64 has them all.
            ("[2001:db8::1]:5000", [202, 202, 429]),
            ("[2001:db8::ffff:2]:5000", [429, 429, 429]),
            ("[2001:db8:0:1::1]:5000", [202, 202, 429]),
        ] {
            for status in statuses {
                invited += 1;
                let friend = format!("f{invited}@example.org");
                let answer = world.anon().from(peer).invite("nobody@example.com", &friend).await;
                assert_eq!(answer.status, status, "{peer}: {answer:?}");
            }
        }
    })
    .await;
}
