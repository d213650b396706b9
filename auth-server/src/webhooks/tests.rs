//! Clearbit calls, or somebody who would like to be taken for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use fakes::webhook::{self, person_and_company, signature};
use futures::future::join_all;
use serde_json::{Value, json};
use shared::ids::UserId;
use shared::outbox::{self, Job};
use shared::{Platform, execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::AppState;
use crate::accounts::testing::{count, each_state, person};

const KEY: &str = "sk_0123456789abcdef";
const EMAIL: &str = "queued-forever@example.com";

/// The running server, and the stand-in that it asks.
struct World {
    state: AppState,
    router: Router,
    fakes: Arc<fakes::Handle>,
}

async fn each_world<F: Future<Output = ()>>(settings: &[(&str, &str)], test: impl Fn(World) -> F) {
    let fakes = Arc::new(fakes::start_anywhere().await.unwrap());
    let clearbit = fakes.clearbit();
    let mut all = vec![
        // Where nobody listens: these stories call by themselves.
        ("AUTH__PUBLIC_URL", "http://127.0.0.1:9"),
        ("ENRICHMENT__API_KEY", KEY),
        ("ENRICHMENT__BASE_URL", clearbit.as_str()),
        ("ENRICHMENT__WEBHOOK_SECRET", KEY),
    ];
    all.extend(settings);
    each_state(&all, |state| test(World { router: crate::router(state.clone()), state, fakes: fakes.clone() })).await;
}

impl World {
    fn platform(&self) -> &Platform {
        &self.state.platform
    }

    /// Somebody whom Clearbit has to look for first, and the id by which it will tell.
    async fn asked_about(&self, email: &str) -> (UserId, String) {
        let user = person(&self.state, email).await;
        let platform = self.platform();
        let mut tx = platform.db.begin().await.unwrap();
        let now = platform.clock.now();
        execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", user, now).unwrap();
        outbox::enqueue(&mut tx, platform, &Job::Enrich { user_id: user }).await.unwrap();
        tx.commit().await.unwrap();
        (user, self.asks_again(email).await)
    }

    /// The id of the next question about `email`.
    async fn asks_again(&self, email: &str) -> String {
        let about = || self.fakes.wanted_webhooks().into_iter().filter(|wanted| wanted.email == email);
        let (asked, expected) = (about().count(), self.expected().await);
        let (stop, stopped) = watch::channel(false);
        let worker = crate::outside::spawn(&self.state, stopped);
        for _ in 0..100 {
            if about().count() > asked && self.expected().await > expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stop.send(true).unwrap();
        worker.await.unwrap();
        let wanted = about().next_back().expect("Clearbit is asked, and told where to call");
        assert_eq!(wanted.url, "http://127.0.0.1:9/webhooks/clearbit");
        let id = wanted.id.unwrap();
        assert!(!id.contains("example") && id.len() == 43, "{id} says nothing about anybody");
        id
    }

    async fn expected(&self) -> i64 {
        count(&mut self.platform().db.read().await.unwrap(), "SELECT COUNT(*) FROM lookup_callbacks").await
    }

    async fn jobs(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM outbox WHERE kind = 'enrichment'";
        count(&mut self.platform().db.read().await.unwrap(), sql).await
    }

    async fn post(&self, body: &str, signature: Option<&str>) -> (u16, Value) {
        let mut request = Request::post("/webhooks/clearbit").header(header::CONTENT_TYPE, "application/json");
        if let Some(signature) = signature {
            request = request.header("x-request-signature", signature);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let mut answer: Value =
            serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap_or_default();
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("request_id");
        }
        (status, answer)
    }

    /// Calls as Clearbit does.
    async fn call(&self, id: &str, kind: &str, status: u16, found: &Value) -> u16 {
        let body = webhook::body(Some(id), kind, status, found).to_string();
        self.post(&body, Some(&signature(KEY, body.as_bytes()))).await.0
    }

    async fn enrichment_of(&self, user: UserId) -> Option<(String, String, Value)> {
        let mut conn = self.platform().db.read().await.unwrap();
        let row: Option<(String, String, Json<Value>)> = fetch_optional!(
            &mut conn,
            (String, String, Json<Value>),
            "SELECT source, status, answer FROM enrichments WHERE user_id = $1",
            user
        )
        .unwrap();
        row.map(|(source, status, Json(answer))| (source, status, answer))
    }

    async fn audited(&self, kind: &str) -> usize {
        let mut conn = self.platform().db.read().await.unwrap();
        fetch_all!(&mut conn, (String,), "SELECT kind FROM audit_events WHERE kind = $1", kind).unwrap().len()
    }

    async fn forget_enrichment(&self, user: UserId) {
        let mut tx = self.platform().db.begin().await.unwrap();
        execute!(&mut tx, "DELETE FROM enrichments WHERE user_id = $1", user).unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_signed_webhook_is_kept_as_a_fetched_answer_would_be_and_serves_once() {
    each_world(&[], |world| async move {
        let (user, first) = world.asked_about(EMAIL).await;
        world.platform().clock.advance(Duration::from_secs(60));
        let second = world.asks_again(EMAIL).await;
        assert_ne!(first, second);
        assert_eq!((world.jobs().await, world.expected().await), (1, 2));

        // The earlier question's answer is as good as the later one's, and what PostgreSQL can't store is taken out of it.
        let mut told = person_and_company(EMAIL);
        told["person"]["bio"] = json!("a\u{0}b");
        assert_eq!(world.call(&first, "person_company", 200, &told).await, 204);
        told["person"]["bio"] = json!("ab");
        let kept = world.enrichment_of(user).await.unwrap();
        assert_eq!(kept, ("clearbit".into(), "found".into(), told.clone()));
        assert_eq!((world.jobs().await, world.expected().await), (0, 0), "nobody asks any more");

        // Neither serves again.
        world.forget_enrichment(user).await;
        for id in [&first, &second] {
            assert_eq!(world.call(id, "person_company", 200, &told).await, 204);
            assert_eq!(world.enrichment_of(user).await, None);
        }
        assert_eq!(world.audited("lookup.called_back").await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_many_copies_of_a_webhook_one_counts() {
    each_world(&[], |world| async move {
        let (user, id) = world.asked_about(EMAIL).await;
        let told = person_and_company(EMAIL);
        let statuses = join_all((0..8).map(|_| world.call(&id, "person_company", 200, &told))).await;
        assert_eq!(statuses, [204; 8]);
        assert!(world.enrichment_of(user).await.is_some());
        assert_eq!(world.audited("lookup.called_back").await, 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_believed_that_is_not_signed_and_nobody_learns_which_ids_there_are() {
    each_world(&[], |world| async move {
        let (user, id) = world.asked_about(EMAIL).await;
        let told = person_and_company(EMAIL);
        let body = webhook::body(Some(&id), "person_company", 200, &told).to_string();
        let right = signature(KEY, body.as_bytes());
        let sha256 = right.replace("sha1=", "sha256=");
        let mut refusals = vec![];
        for wrong in [
            None,
            Some(""),
            Some("sha1="),
            Some(&right[5..]),
            Some(&right[..44]),
            Some(&sha256),
            Some(&signature("another key", body.as_bytes())),
            Some(&signature("", body.as_bytes())),
            Some(&signature(KEY, body.replace("Alex", "Eve").as_bytes())),
            Some("sha1=0000000000000000000000000000000000000000"),
        ] {
            let refused = world.post(&body, wrong.map(|wrong: &str| wrong)).await;
            assert_eq!(refused.0, 401, "{wrong:?}");
            refusals.push(refused);
        }
        refusals.dedup();
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert_eq!(world.post("not even JSON", None).await, refusals[0], "read only once it is believed");
        assert_eq!(world.enrichment_of(user).await, None);

        // Who signs, and knows no id, is told what everybody is told.
        let stranger = "A".repeat(43);
        for id in [stranger.as_str(), "", "x", &"A".repeat(5000)] {
            assert_eq!(world.call(id, "person_company", 200, &told).await, 204);
        }
        let without = webhook::body(None, "person_company", 200, &told).to_string();
        assert_eq!(world.post(&without, Some(&signature(KEY, without.as_bytes()))).await, (204, Value::Null));
        for odd in ["", "[]", "{}", "null", r#"{"type": 1}"#, r#"{"type":"person_company","status":"x"}"#] {
            assert_eq!(world.post(odd, Some(&signature(KEY, odd.as_bytes()))).await.0, 400, "{odd}");
        }
        let large = "x".repeat(70 * 1024);
        assert_eq!(world.post(&large, Some(&signature(KEY, large.as_bytes()))).await.0, 413);
        assert_eq!((world.jobs().await, world.expected().await), (1, 1), "nothing has happened");
        assert_eq!(world.post(&body, Some(&right)).await, (204, Value::Null));
        assert!(world.enrichment_of(user).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn only_a_final_answer_ends_the_asking() {
    each_world(&[], |world| async move {
        let (user, id) = world.asked_about(EMAIL).await;
        for status in [202, 429, 500, 422] {
            assert_eq!(world.call(&id, "person_company", status, &Value::Null).await, 204);
        }
        let broken = json!({ "hello": 1 });
        assert_eq!(world.call(&id, "person_company", 200, &broken).await, 400);
        assert_eq!((world.jobs().await, world.expected().await), (1, 1));

        // A half of the answer says that the whole is there: it is fetched at once.
        let due = "SELECT COUNT(*) FROM outbox WHERE kind = 'enrichment' AND attempts = 1 AND next_attempt_at <= $1";
        let is_due = async || {
            let now = world.platform().clock.now();
            let mut conn = world.platform().db.read().await.unwrap();
            shared::fetch_one!(&mut conn, (i64,), due, now).unwrap().0 == 1
        };
        assert!(!is_due().await);
        let half = person_and_company(EMAIL)["person"].clone();
        assert_eq!(world.call(&id, "person", 200, &half).await, 204);
        assert_eq!((world.enrichment_of(user).await, world.expected().await), (None, 0));
        assert!(is_due().await);

        let id = world.asks_again(EMAIL).await;
        assert_eq!(world.call(&id, "person_company", 404, &Value::Null).await, 204);
        let kept = world.enrichment_of(user).await.unwrap();
        assert_eq!(kept, ("clearbit".into(), "not_found".into(), json!({})));
        assert_eq!(world.jobs().await, 0);
    })
    .await;
}

#[tokio::test]
async fn who_wants_to_be_left_alone_is_forgotten_by_a_webhook_too() {
    each_world(&[], |world| async move {
        let (user, id) = world.asked_about(EMAIL).await;
        let platform = world.platform();
        let mut tx = platform.db.begin().await.unwrap();
        let earlier = crate::outside::enrichment::Enrichment { source: "clearbit", found: None };
        crate::outside::enrichment::store(&mut tx, platform, user, &earlier).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.call(&id, "person_company", 451, &Value::Null).await, 204);
        assert_eq!((world.enrichment_of(user).await, world.jobs().await, world.expected().await), (None, 0, 0));
        assert_eq!(world.audited("lookup.forgotten").await, 1);
        let mut conn = platform.db.read().await.unwrap();
        assert!(crate::outside::forgotten::contains(&mut conn, platform, EMAIL).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_webhook_about_who_is_gone_forgotten_or_moved_comes_to_nothing() {
    each_world(&[], |world| async move {
        let platform = world.platform();
        let told = person_and_company(EMAIL);
        // Gone.
        let (user, id) = world.asked_about(EMAIL).await;
        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "DELETE FROM users WHERE id = $1", user).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.expected().await, 0, "what late answers are known by goes with the account");
        assert_eq!(world.call(&id, "person_company", 200, &told).await, 204);

        // Back under another address than the one that was asked about: the question goes on about that one.
        let (user, id) = world.asked_about("queued-forever+2@example.com").await;
        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE users SET email_key = 'moved@example.com' WHERE id = $1", user).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.call(&id, "person_company", 200, &told).await, 204);
        assert_eq!((world.enrichment_of(user).await, world.jobs().await, world.expected().await), (None, 1, 0));
        assert_eq!(world.call(&id, "person_company", 451, &Value::Null).await, 204);
        let mut tx = platform.db.begin().await.unwrap();
        let forgotten = crate::outside::forgotten::contains(&mut tx, platform, "moved@example.com").await.unwrap();
        assert!(!forgotten, "nor is who moved forgotten in the place of another");
        execute!(&mut tx, "DELETE FROM users WHERE id = $1", user).unwrap();
        tx.commit().await.unwrap();

        // Forgotten, by what Hunter said meanwhile.
        let (user, id) = world.asked_about("queued-forever+3@example.com").await;
        let mut tx = platform.db.begin().await.unwrap();
        let email = "queued-forever+3@example.com";
        crate::outside::forgotten::forget(&mut tx, platform, user, email).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.expected().await, 0);
        assert_eq!(world.call(&id, "person_company", 200, &told).await, 204);
        assert_eq!(world.enrichment_of(user).await, None);

        // Too late.
        let (user, id) = world.asked_about("queued-forever@example.org").await;
        platform.clock.advance(Duration::from_secs(3 * 86_400 + 1));
        assert_eq!(world.call(&id, "person_company", 200, &told).await, 204);
        assert_eq!(world.enrichment_of(user).await, None);
        crate::sweeper::sweep(platform).await.unwrap();
        assert_eq!(world.expected().await, 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_secret_there_is_no_such_address() {
    each_state(&[("ENRICHMENT__API_KEY", KEY)], |state| async move {
        let router = crate::router(state);
        let body = webhook::body(Some("x"), "person_company", 200, &Value::Null).to_string();
        let request =
            Request::post("/webhooks/clearbit").header("x-request-signature", signature(KEY, body.as_bytes()));
        let answer = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 404);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_calls_too_often_or_forges_too_often_is_not_heard_for_a_minute() {
    let settings = [("LIMITS__ENABLED", "true"), ("ENRICHMENT__WEBHOOKS_PER_MINUTE", "100")];
    each_world(&settings, |world| async move {
        let body = webhook::body(Some("x"), "person_company", 200, &Value::Null).to_string();
        let right = signature(KEY, body.as_bytes());
        for _ in 0..60 {
            assert_eq!(world.post(&body, Some("sha1=forged")).await.0, 401);
        }
        assert_eq!(world.post(&body, Some(&right)).await.0, 429, "after so many forgeries even a signed one");
        world.platform().clock.advance(Duration::from_secs(61));
        if world.platform().db.is_embedded() {
            for _ in 0..100 {
                assert_eq!(world.post(&body, Some(&right)).await.0, 204);
            }
            assert_eq!(world.post(&body, Some(&right)).await.0, 429);
        }
    })
    .await;
}
