//! Reads tell what version they show, and are not sent again to who has it (RFC 9110 §13.1.2).

use crate::world::on_each_store;

const CODES: &str = "/v1/referral-codes";

#[tokio::test]
async fn who_has_the_answer_is_told_that_it_still_holds_until_it_does_not__rfc9110_13_1_2() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        let one = format!("{CODES}/{code}");
        let lookup = format!("{CODES}/lookup?email={}", ann.email);
        for path in [CODES, &one, &lookup, "/v1/referrers/me/referrals"] {
            let first = ann.get(path).await;
            assert_eq!(first.status, 200, "{path}");
            let tag = first.header("etag").to_owned();
            assert!(tag.starts_with('"'), "{path}: {first:?}");
            assert_eq!(first.header("cache-control"), "private, no-cache", "{path}");
            let varies = first.headers.get_all("vary").iter().any(|v| v.to_str().unwrap().contains("authorization"));
            assert!(varies, "{path}: {first:?}");
            let again = ann.with_header("if-none-match", &tag).get(path).await;
            assert_eq!((again.status, again.body.as_str()), (304, Some("")), "{path}");
            assert_eq!(again.header("etag"), tag, "{path}");
            assert_eq!(again.header("ratelimit-policy"), "\"api\";q=600;w=60", "{path}");
            // Who may not read it learns nothing from what they guess.
            let guess = world.anon().with_header("if-none-match", &tag).get(path).await;
            assert_eq!((guess.status, guess.header("etag")), (401, ""), "{path}");
        }
        let tag = ann.get(&one).await.header("etag").to_owned();
        assert_eq!(bob.with_header("if-none-match", &tag).get(&one).await.status, 404, "somebody else's code");
        assert_eq!(ann.delete(&one).await.status, 204);
        let changed = ann.with_header("if-none-match", &tag).get(&one).await;
        assert_eq!((changed.status, changed.text("status").as_str()), (200, "deleted"));
        assert_ne!(changed.header("etag"), tag);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_read_is_kept_nowhere_and_has_no_version() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let created = ann.with_header("if-none-match", "*").create_code().await;
        assert_eq!((created.status, created.header("etag")), (201, ""));
        for answer in [created, ann.get(&format!("{CODES}/NOTHERE1")).await, world.anon().get(CODES).await] {
            assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", ""), "{answer:?}");
        }
    })
    .await;
}
