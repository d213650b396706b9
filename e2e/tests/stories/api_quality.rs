//! What programs count on when they use the referral API: versions of what they read, what is left of their budget, and
//! problems that lead to a page that says what to do.

use std::time::Duration;

use reqwest::Method;

use crate::actor::Answer;
use crate::world::World;

const CODES: &str = "/v1/referral-codes";

async fn a_read_is_not_sent_again_to_who_has_it(world: World) {
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let path = format!("{CODES}/{code}");
    let first = ann.get(&path).await;
    first.is(200);
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let conditional = |tag: &str| Answer::to(ann.request(Method::GET, &path).header("if-none-match", tag));
    let again = conditional(first.header("etag")).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), first.header("etag"));

    // It is used once: another version.
    world.person_through("ben", Some(&code)).await;
    let soon = async {
        loop {
            let answer = conditional(first.header("etag")).await;
            if answer.status == 200 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // Entries of the cache live for seconds.
    let changed = tokio::time::timeout(Duration::from_secs(30), soon).await.expect("the use is counted");
    assert_eq!(changed.is(200)["uses"], 1);
}
on_both_stores!(a_read_is_not_sent_again_to_who_has_it);

async fn who_asks_too_much_is_told_when_to_come_back_and_where_to_read_on(world: World) {
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    for left in (0..5).rev() {
        let answer = ann.get(CODES).await;
        answer.is(200);
        assert!(answer.header("ratelimit").starts_with(&format!("\"api\";r={left};t=")), "{answer:?}");
        assert_eq!(answer.header("ratelimit-policy"), "\"api\";q=5;w=60");
    }
    let limited = ann.get(CODES).await;
    limited.is_problem(429, "urn:referris:problem:too-many-requests");
    let seconds: u64 = limited.header("retry-after").parse().expect("a number of seconds");
    assert!((1..=60).contains(&seconds), "{limited:?}");
    ben.get(CODES).await.is(200);

    let link = limited.header("link");
    let page = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"help\"")).expect("a link");
    // The same page at both services.
    for url in [&world.api_url, &world.auth_url] {
        let page = ann.get(&format!("{url}{page}")).await;
        page.is(200);
        assert!(page.body.contains("urn:referris:problem:too-many-requests"), "{page:?}");
    }
}
on_both_stores!(
    who_asks_too_much_is_told_when_to_come_back_and_where_to_read_on,
    "LIMITS__ENABLED" = "true",
    "LIMITS__API_REQUESTS_PER_MINUTE" = "5"
);

async fn a_token_that_passed_many_times_does_not_outlive_its_time(world: World) {
    let ann = world.person("ann").await;
    for _ in 0..20 {
        ann.get(CODES).await.is(200);
    }
    world.pass(Duration::from_secs(606));
    let late = ann.get(CODES).await;
    late.is_problem(401, "the access token has expired");
    assert_eq!(late.header("ratelimit"), "", "nobody has no budget");
}
on_both_stores!(a_token_that_passed_many_times_does_not_outlive_its_time);

async fn only_scripts_of_listed_origins_read_answers(world: World) {
    let ann = world.person("ann").await;
    for (origin, allowed) in [("https://app.example", "https://app.example"), ("https://evil.example", "")] {
        let answer = Answer::to(ann.request(Method::GET, CODES).header("origin", origin)).await;
        answer.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}
on_both_stores!(only_scripts_of_listed_origins_read_answers, "API__CORS_ORIGINS" = r#"["https://app.example"]"#);
