//! Which answers a script of another origin may read: those of routes that take a token, with no cookie involved.

use serde_json::json;

use crate::world::{Answer, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

/// Any origin, and never with credentials: with a cookie of ours in the request the browser hides the answer.
fn assert_readable(answer: &Answer, why: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), "*", "{why}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), "", "{why}: {answer:?}");
}

#[tokio::test]
async fn a_script_may_call_every_route_that_takes_a_token_and_read_the_answer() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await.with_header("origin", "https://app.example");
        let path = format!("{CODES}/{}", ann.new_code().await);
        let lookup = format!("{CODES}/lookup?email=a@b.cd");
        let referrals = "/v1/referrers/me/referrals";
        for (path, method) in [
            (CODES, "GET"),
            (CODES, "POST"),
            (&path, "GET"),
            (&path, "DELETE"),
            (&lookup, "GET"),
            ("/v1/invitations", "POST"),
            (referrals, "GET"),
        ] {
            let preflight = ann.without_token().with_header("access-control-request-method", method);
            let preflight = preflight
                .with_header("access-control-request-headers", "authorization,content-type,dpop,idempotency-key")
                .options(path)
                .await;
            assert_eq!(preflight.status, 200, "{method} {path}: {preflight:?}");
            assert_readable(&preflight, path);
            assert!(preflight.header("access-control-allow-methods").contains(method), "{preflight:?}");
            let headers = preflight.header("access-control-allow-headers").to_lowercase();
            for name in ["authorization", "content-type", "dpop", "idempotency-key", "if-none-match"] {
                // A wildcard would not cover Authorization (Fetch §4.8).
                assert!(headers.split(',').any(|listed| listed.trim() == name), "{name}: {preflight:?}");
            }
        }
        // Answers of each kind: what is asked for, what is at fault, what may not be, and who is not known.
        let stranger = world.anon().with_header("origin", "https://app.example");
        for (status, answer) in [
            (200, ann.get(CODES).await),
            (409, ann.create_code().await),
            (422, ann.post(CODES, &json!({})).await),
            (400, ann.post_text(CODES, "{").await),
            (403, ann.with_scope("openid").get(CODES).await),
            (404, ann.look_up("nobody@example.com").await),
            (202, ann.invite(&ann.email, "friend@example.org").await),
            (401, stranger.get(CODES).await),
            (401, world.bearer("nonsense").with_header("origin", "https://app.example").delete(&path).await),
        ] {
            assert_eq!(answer.status, status, "{answer:?}");
            assert_readable(&answer, "an answer");
            let exposed = answer.header("access-control-expose-headers").to_lowercase();
            for name in [
                "dpop-nonce",
                "www-authenticate",
                "location",
                "retry-after",
                "etag",
                "ratelimit",
                "ratelimit-policy",
                "x-request-id",
            ] {
                assert!(exposed.split(',').any(|listed| listed.trim() == name), "{name}: {answer:?}");
            }
        }
        assert_eq!(ann.get(CODES).await.body["items"][0]["status"], "active");
    })
    .await;
}

#[tokio::test]
async fn where_origins_are_listed_other_scripts_read_nothing() {
    let listed = r#"["https://app.example", "http://localhost:3000"]"#;
    on_each_store_with(&[("API__CORS_ORIGINS", listed)], |world| async move {
        let ann = world.person("Ann").await;
        for (origin, allowed) in [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("https://evil.example", false),
            ("https://app.example.evil.example", false),
            ("http://app.example", false),
            ("null", false),
        ] {
            let expected = if allowed { origin } else { "" };
            let script = ann.with_header("origin", origin);
            let anon = script.without_token();
            let preflight = anon.with_header("access-control-request-method", "GET").options(CODES).await;
            for answer in [script.get(CODES).await, preflight, anon.get(CODES).await] {
                assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}: {answer:?}");
                assert_eq!(answer.header("access-control-allow-credentials"), "", "{origin}: {answer:?}");
                let varies = answer.headers.get_all("vary").iter().any(|v| v.to_str().unwrap().contains("origin"));
                assert!(varies, "{origin}: caches must tell origins apart: {answer:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_script_may_read_the_metadata__rfc9728_3_1() {
    on_each_store(|world| async move {
        let script = world.anon().with_header("origin", "https://app.example");
        let answer = script.get("/.well-known/oauth-protected-resource").await;
        assert_eq!(answer.status, 200);
        assert_readable(&answer, "the metadata");
    })
    .await;
}

#[tokio::test]
async fn pages_and_probes_are_not_for_scripts_of_others() {
    on_each_store(|world| async move {
        let script = world.anon().with_header("origin", "https://app.example");
        for path in ["/livez", "/readyz", "/docs/", "/redoc"] {
            let answer = script.get(path).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}: {answer:?}");
        }
    })
    .await;
}
