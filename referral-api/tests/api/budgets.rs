//! Each caller has so many requests a minute and is told what is left (draft-ietf-httpapi-ratelimit-headers-10).

use crate::world::{Answer, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

/// What is left, and in how many seconds it is renewed.
fn left(answer: &Answer) -> (u64, u64) {
    let text = answer.header("ratelimit");
    let mut parameters = text.strip_prefix("\"api\";r=").unwrap_or_else(|| panic!("{answer:?}")).split(";t=");
    let mut number = || parameters.next().unwrap().parse().unwrap();
    (number(), number())
}

#[tokio::test]
async fn every_answer_tells_what_is_left_and_beyond_it_is_429() {
    on_each_store_with(&[("LIMITS__API_REQUESTS_PER_MINUTE", "5")], |world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let path = format!("{CODES}/NOTHERE1");
        let answers = [
            (200, ann.get(CODES).await),
            (404, ann.get(&path).await),
            (422, ann.post(CODES, &serde_json::json!({})).await),
            // Of one person, whatever the token.
            (403, ann.with_scope("openid").get(CODES).await),
            (404, ann.delete(&path).await),
        ];
        for (n, (status, answer)) in answers.iter().enumerate() {
            assert_eq!(answer.status, *status, "{answer:?}");
            assert_eq!(answer.header("ratelimit-policy"), "\"api\";q=5;w=60", "{answer:?}");
            let (remaining, seconds) = left(answer);
            assert_eq!(remaining, 4 - u64::try_from(n).unwrap(), "{answer:?}");
            assert!((1..=60).contains(&seconds), "{answer:?}");
        }
        let limited = ann.get(CODES).await;
        assert_eq!((limited.status, limited.problem().as_str()), (429, "too-many-requests"));
        let (remaining, seconds) = left(&limited);
        assert_eq!((remaining, seconds.to_string().as_str()), (0, limited.header("retry-after")));
        assert_eq!(bob.get(CODES).await.status, 200, "each caller is counted alone");
        let service = world.service();
        assert_eq!(left(&service.look_up("nobody@example.com").await).0, 4, "a client that speaks for itself, too");
    })
    .await;
}

#[tokio::test]
async fn who_is_nobody_has_no_budget_and_uses_up_nobodys() {
    on_each_store_with(&[("LIMITS__API_REQUESTS_PER_MINUTE", "2")], |world| async move {
        let ann = world.person("Ann").await;
        let mut claims = world.claims(&ann.id().to_string(), crate::world::EVERYTHING);
        claims["exp"] = 1.into();
        let expired = world.bearer(&world.token(&claims));
        for _ in 0..5 {
            for actor in [&world.anon(), &world.bearer("nonsense"), &expired] {
                let answer = actor.get(CODES).await;
                assert_eq!((answer.status, answer.header("ratelimit")), (401, ""));
            }
        }
        assert_eq!(left(&ann.get(CODES).await).0, 1);
    })
    .await;
}

#[tokio::test]
async fn instances_share_a_budget_where_they_share_a_redis() {
    on_each_store_with(&[("LIMITS__API_REQUESTS_PER_MINUTE", "20")], |world| async move {
        if !world.platform.cache.is_shared() {
            return;
        }
        let (ann, other) = (world.person("Ann").await, world.another_instance(&[]).await);
        let mut passed = 0;
        for _ in 0..20 {
            for instance in [&world, &other] {
                passed += u64::from(ann.at(instance).get(CODES).await.status == 200);
            }
        }
        assert!((20..=22).contains(&passed), "{passed}");
    })
    .await;
}

#[tokio::test]
async fn without_limits_nothing_is_counted_and_nothing_is_told() {
    on_each_store_with(&[("LIMITS__API_REQUESTS_PER_MINUTE", "1"), ("LIMITS__ENABLED", "false")], |world| async move {
        let ann = world.person("Ann").await;
        for _ in 0..3 {
            let answer = ann.get(CODES).await;
            assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
        }
    })
    .await;
}

#[tokio::test]
async fn the_usual_budget_is_a_generous_one() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(left(&ann.get(CODES).await).0, 599);
    })
    .await;
}
