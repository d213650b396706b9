//! The issuer's keys: when they are fetched, and what happens while they can't be.

use std::time::Duration;

use crate::world::{EVERYTHING, SigningKey, on_each_store};

const CODES: &str = "/v1/referral-codes";

#[tokio::test]
async fn a_storm_of_unknown_keys_causes_one_fetch_and_a_new_key_is_found_later() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.get(CODES).await.status, 200);
        let before = world.issuer.fetches();
        assert_eq!(before, 1);
        world.platform.clock.advance(Duration::from_secs(10));

        let claims = world.claims(&ann.id().to_string(), EVERYTHING);
        let stranger = SigningKey::new("stranger");
        let storm = (0..100).map(|n| {
            let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
            header.typ = Some("at+jwt".into());
            header.kid = Some(format!("unknown-{n}"));
            let token = jsonwebtoken::encode(&header, &claims, &stranger.key).unwrap();
            let actor = world.bearer(&token);
            tokio::spawn(async move { actor.get(CODES).await.status })
        });
        for answer in futures::future::join_all(storm).await {
            assert_eq!(answer.unwrap(), 401);
        }
        assert_eq!(world.issuer.fetches(), before + 1, "one for all of them");
        assert_eq!(ann.get(CODES).await.status, 200, "who has a good token notices nothing");

        // The issuer publishes a new key: found as soon as fetching is allowed again.
        let next = SigningKey::new("key-2");
        world.issuer.publish(&[&world.key, &next]);
        let token = next.sign("at+jwt", &claims);
        assert_eq!(world.bearer(&token).get(CODES).await.status, 401);
        assert_eq!(world.issuer.fetches(), before + 1);
        world.platform.clock.advance(Duration::from_secs(5));
        assert_eq!(world.bearer(&token).get(CODES).await.status, 200);
        assert_eq!(world.issuer.fetches(), before + 2);
    })
    .await;
}

#[tokio::test]
async fn requests_that_find_no_keys_yet_share_one_fetch() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let crowd = (0..40).map(|_| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.get(CODES).await.status })
        });
        for answer in futures::future::join_all(crowd).await {
            assert_eq!(answer.unwrap(), 200);
        }
        assert_eq!(world.issuer.fetches(), 1);
    })
    .await;
}

#[tokio::test]
async fn while_the_issuer_has_never_answered_requests_are_503_and_the_service_is_not_ready() {
    on_each_store(|world| async move {
        world.issuer.set_down(true);
        let ann = world.person("Ann").await;
        let answer = ann.get(CODES).await;
        assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"));
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(world.anon().get("/livez").await.status, 200);
        assert_eq!(world.anon().get("/readyz").await.status, 503);
        assert_eq!(ann.get(CODES).await.status, 503);
        assert_eq!(world.issuer.fetches(), 1, "not every request asks again");

        world.issuer.set_down(false);
        world.platform.clock.advance(Duration::from_secs(2));
        assert_eq!(ann.get(CODES).await.status, 200);
        assert_eq!(world.anon().get("/readyz").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down_but_not_for_ever() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.get(CODES).await.status, 200);
        world.issuer.set_down(true);
        assert!(!world.state.keys().refresh().await);
        world.platform.clock.advance(Duration::from_secs(1800));
        assert_eq!(ann.with_scope(EVERYTHING).get(CODES).await.status, 200);
        world.platform.clock.advance(Duration::from_secs(1800));
        assert_eq!(ann.with_scope(EVERYTHING).get(CODES).await.status, 503);
        world.issuer.set_down(false);
        world.platform.clock.advance(Duration::from_secs(2));
        assert_eq!(ann.with_scope(EVERYTHING).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_was_withdrawn_passes_no_more_after_the_next_fetch() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.get(CODES).await.status, 200);
        world.issuer.publish(&[&SigningKey::new("key-2")]);
        assert!(world.state.keys().refresh().await);
        let answer = ann.get(CODES).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    })
    .await;
}
