//! `kill -9` in the middle of a run of sign-ups: what was answered 201 is there afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock;
use shared::testing::Scratch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::actor::Actor;
use crate::processes::{Standalone, free_ports};
use crate::world::PASSWORD;

/// How many people sign up at the same time.
const AT_ONCE: usize = 8;
/// How many sign-ups are answered before the process is killed.
const ANSWERED: usize = 30;

async fn no_signup_answered_201_is_lost(scratch: Scratch) {
    let mut running = Standalone::start(&scratch, free_ports()).await;
    let ann = running.person("ann").await;
    let code = ann.creates_a_code(Clock::system().now(), 30).await;

    let (answered, mut answers) = mpsc::unbounded_channel();
    let asked = Arc::new(AtomicU32::new(0));
    let mut people = JoinSet::new();
    for _ in 0..AT_ONCE {
        people.spawn(sign_up_until_it_dies(running.anon(), code.clone(), asked.clone(), answered.clone()));
    }
    drop(answered);
    let mut emails = vec![];
    let enough = async {
        while emails.len() < ANSWERED {
            emails.push(answers.recv().await.expect("sign-ups are answered until it is killed"));
        }
    };
    timeout(Duration::from_secs(60), enough).await.expect("people sign up");

    // SIGKILL, with the others' sign-ups under way.
    running.child.kill().await.unwrap();
    timeout(Duration::from_secs(30), people.join_all()).await.expect("nobody waits for the dead");
    while let Some(email) = answers.recv().await {
        emails.push(email);
    }

    let running = Standalone::start(&scratch, free_ports()).await;
    for email in &emails {
        running.signed_in(email).await;
    }
    // Account, referral and use of the code commit together: also those whose answer was lost are whole.
    let ann = running.signed_in(&ann.email).await;
    let uses = ann.get(&format!("/v1/referral-codes/{code}")).await.is(200)["uses"].as_u64().unwrap();
    assert_eq!(number_of_referrals(&ann).await, uses);
    let asked = u64::from(asked.load(Ordering::Relaxed));
    assert!((emails.len() as u64..=asked).contains(&uses), "{} answered, {uses} there, {asked} asked", emails.len());
    assert!(running.terminate().await);
}
on_both_stores_by_program!(no_signup_answered_201_is_lost);

/// Counts them page by page.
async fn number_of_referrals(referrer: &Actor) -> u64 {
    let (mut number, mut cursor) = (0, String::new());
    loop {
        let page = referrer.get(&format!("/v1/referrers/me/referrals?limit=100{cursor}")).await.is(200);
        number += page["items"].as_array().unwrap().len() as u64;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return number,
        }
    }
}

/// One person after another signs up with `code`; tells of each who was answered 201.
async fn sign_up_until_it_dies(
    anon: Actor,
    code: String,
    asked: Arc<AtomicU32>,
    answered: mpsc::UnboundedSender<String>,
) {
    loop {
        let email = format!("friend{}@example.com", asked.fetch_add(1, Ordering::Relaxed));
        let form = json!({ "email": email, "password": PASSWORD, "referral_code": code });
        let Ok(answer) = anon.request(reqwest::Method::POST, "/api/v1/signup").json(&form).send().await else { return };
        // The status line is the promise, whether or not the body follows.
        assert_eq!(answer.status().as_u16(), 201, "{email}");
        if answered.send(email).is_err() {
            return;
        }
    }
}
