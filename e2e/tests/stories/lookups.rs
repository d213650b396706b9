//! What Hunter and Clearbit find out about people, from the sign-up to the day they are forgotten. The stand-ins answer.

use std::time::Duration;

use fakes::Handle;
use serde_json::Value;
use shared::execute;
use shared::ids::UserId;

use crate::actor::Actor;
use crate::recovery::{link, mail};
use crate::world::{PASSWORD, Store, World};

const KEY: &str = "sk_fake_0123456789abcdef";

/// The running system, with stand-ins that have a key for it.
async fn asking(store: Store, settings: &[(&str, &str)]) -> Option<(World, Handle)> {
    let fakes = fakes::start_anywhere().await.expect("the stand-ins start");
    let (hunter, clearbit) = (fakes.hunter(), fakes.clearbit());
    let mut all = vec![
        ("VERIFICATION__API_KEY", KEY),
        ("VERIFICATION__BASE_URL", hunter.as_str()),
        ("ENRICHMENT__API_KEY", KEY),
        ("ENRICHMENT__BASE_URL", clearbit.as_str()),
        ("ENRICHMENT__WEBHOOK_SECRET", KEY),
    ];
    all.extend(settings);
    Some((World::new(store, &all).await?, fakes))
}

/// Somebody who signs up and follows the mailed link.
async fn proved(world: &World, name: &str) -> Actor {
    let person = world.person(name).await;
    let mailed = mail(&world.platform, &person.email, "Confirm your email address").await;
    let mut visitor = world.visitor();
    let page = visitor.open(&link(&mailed, "/verify-email")).await.page();
    visitor.submit(&page, &[("password", PASSWORD)]).await;
    let person = world.signed_in(person).await;
    assert_eq!(person.get("/api/v1/me").await.is(200)["email_verified"], true);
    person
}

/// The mails so far are thrown away.
fn empties_the_mailbox(world: &World) {
    let mails = std::fs::read_dir(world.platform.config.data_dir.join("mail")).expect("mails are there");
    for mail in mails {
        std::fs::remove_file(mail.expect("a mail").path()).expect("it can be thrown away");
    }
}

/// One's own account, once `until` holds of it.
async fn me(person: &Actor, until: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..100 {
        let me = person.get("/api/v1/me").await.is(200);
        if until(&me) {
            return me;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not come to that: {}", person.get("/api/v1/me").await.is(200));
}

async fn clearbit_calls_when_it_has_found_somebody_and_only_a_signed_call_counts((world, fakes): (World, Handle)) {
    let ann = proved(&world, "hook").await;
    let found = me(&ann, |me| !me["enrichment"].is_null()).await;
    assert_eq!(found["enrichment"]["source"], "clearbit", "{found}");
    assert_eq!(found["enrichment"]["answer"]["person"]["name"]["fullName"], "Alex Example", "{found}");
    assert_eq!(fakes.calls_about("clearbit.combined", &ann.email), 1, "it was not asked twice");
    let called: Vec<_> = fakes.calls().into_iter().filter(|call| call.service == "clearbit.webhook").collect();
    assert_eq!(called.iter().map(|call| call.status).collect::<Vec<_>>(), [204]);

    // Somebody else signs with a key of their own.
    let eve = proved(&world, "hook-forged").await;
    for _ in 0..100 {
        if fakes.calls_about("clearbit.webhook", &eve.email) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let forged: Vec<_> = fakes.calls().into_iter().filter(|call| call.email == eve.email).collect();
    assert!(forged.iter().any(|call| call.service == "clearbit.webhook" && call.status == 401), "{forged:?}");
    assert!(me(&eve, |_| true).await["enrichment"].is_null());
}
on_both_stores_with!(clearbit_calls_when_it_has_found_somebody_and_only_a_signed_call_counts, |store| {
    super::asking(store, &[])
});

async fn who_asks_clearbit_to_be_left_alone_is_forgotten_and_stays_forgotten((world, fakes): (World, Handle)) {
    let ann = proved(&world, "hook-claimed").await;
    for _ in 0..100 {
        if fakes.calls_about("clearbit.webhook", &ann.email) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fakes.calls_about("hunter.verifier", &ann.email), 1);
    let left = me(&ann, |me| me["email_check"].is_null()).await;
    assert!(left["enrichment"].is_null(), "{left}");

    // She leaves, and comes back.
    let id: UserId = ann.id.parse().expect("an id");
    let mut tx = world.platform.db.begin().await.expect("a transaction");
    execute!(&mut tx, "DELETE FROM users WHERE id = $1", id).expect("it is deleted");
    tx.commit().await.expect("it is deleted");
    let asked = fakes.calls().iter().filter(|call| call.email == ann.email).count();
    empties_the_mailbox(&world);
    proved(&world, "hook-claimed").await;
    // Somebody who came after her has been asked about by now.
    let ben = proved(&world, "ben").await;
    me(&ben, |me| !me["enrichment"].is_null() && !me["email_check"].is_null()).await;
    assert_eq!(fakes.calls().iter().filter(|call| call.email == ann.email).count(), asked);
}
on_both_stores_with!(who_asks_clearbit_to_be_left_alone_is_forgotten_and_stays_forgotten, |store| {
    super::asking(store, &[])
});

async fn a_slow_hunter_costs_a_sign_up_no_second_and_a_throw_away_address_gets_no_account(
    (world, _fakes): (World, Handle),
) {
    let anon = world.anon();
    let form = |email: &str| serde_json::json!({ "email": email, "password": PASSWORD });
    anon.post("/api/v1/signup", form("disposable@example.com")).await.is_problem(422, "#/email");
    // What hashing the password takes besides is what it takes without Hunter.
    let measure = async |email: &str| {
        let started = tokio::time::Instant::now();
        anon.post("/api/v1/signup", form(email)).await.is(201);
        started.elapsed()
    };
    let prompt = measure("ann@example.com").await;
    let slow = measure("slow@example.com").await;
    assert!(slow < prompt + Duration::from_millis(1500), "{slow:?}, where {prompt:?} is usual");
    for failing in ["status-500", "status-429", "smtp-failed", "queued-forever"] {
        measure(&format!("{failing}@example.com")).await;
    }
}
on_both_stores_with!(a_slow_hunter_costs_a_sign_up_no_second_and_a_throw_away_address_gets_no_account, |store| {
    super::asking(store, &[("VERIFICATION__INLINE", "true")])
});
