//! Who may register: `registration.policy`.

use axum::http::Request;
use chrono::TimeDelta;

use super::{OPEN, permit, register, send, web_app};
use crate::harness::{Answer, each_server};

#[track_caller]
fn needs_a_token(answer: &Answer, challenge: &str) {
    answer.is_error(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate"), challenge);
}

const MISSING: &str = "Bearer realm=\"registration\"";
const INVALID: &str = "Bearer realm=\"registration\", error=\"invalid_token\"";

#[tokio::test]
async fn an_initial_access_token_is_needed_unless_configured_otherwise__rfc7591_3() {
    each_server(&[], |server| async move {
        let token = permit(&server, "partners", None).await;
        let before = server.rows().await;
        let body = web_app().to_string();
        needs_a_token(&send(&server, None, "application/json", &body).await, MISSING);
        for wrong in ["Bearer nonsense", "Bearer ", &format!("Basic {token}"), "Bearer", &format!("Bearer {token}x")] {
            needs_a_token(&send(&server, Some(wrong), "application/json", &body).await, INVALID);
        }
        let twice = Request::post("/oauth/register")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .header("authorization", format!("Bearer {token}"));
        needs_a_token(&server.send(twice, body.clone()).await, INVALID);
        assert_eq!(server.rows().await, before);
        for _ in 0..2 {
            send(&server, Some(&format!("bearer {token}")), "application/json", &body).await.json(201);
        }
    })
    .await;
}

#[tokio::test]
async fn an_initial_access_token_serves_as_often_as_it_was_made_for_also_in_a_race__rfc7591_1_2() {
    each_server(&[], |server| async move {
        let token = format!("Bearer {}", permit(&server, "one", Some(3)).await);
        // What is refused does not use it up.
        send(&server, Some(&token), "application/json", "{\"grant_types\":[\"magic\"]}")
            .await
            .is_error(400, "invalid_client_metadata");
        let body = web_app().to_string();
        let tries = (0..12).map(|_| send(&server, Some(&token), "application/json", &body));
        let answers = futures::future::join_all(tries.collect::<Vec<_>>()).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!(made.len(), 3);
        for answer in refused {
            needs_a_token(answer, INVALID);
        }
    })
    .await;
}

#[tokio::test]
async fn an_initial_access_token_ends_by_time_and_by_revocation__rfc7591_1_2() {
    each_server(&[], |server| async move {
        let body = web_app().to_string();
        let revoked = format!("Bearer {}", permit(&server, "revoked", None).await);
        let old = format!("Bearer {}", permit(&server, "old", None).await);
        let platform = &server.state.platform;
        assert!(auth_server::clients::initial_access_tokens::revoke(platform, "revoked").await.unwrap());
        needs_a_token(&send(&server, Some(&revoked), "application/json", &body).await, INVALID);
        platform.clock.advance(TimeDelta::hours(25).to_std().unwrap());
        needs_a_token(&send(&server, Some(&old), "application/json", &body).await, INVALID);
    })
    .await;
}

#[tokio::test]
async fn where_registration_is_off_nobody_registers_and_nobody_is_told_that_they_could__rfc7591_3() {
    each_server(&[("REGISTRATION__POLICY", "off")], |server| async move {
        let token = format!("Bearer {}", permit(&server, "any", None).await);
        let before = server.rows().await;
        send(&server, Some(&token), "application/json", &web_app().to_string()).await.is_error(403, "access_denied");
        assert_eq!(server.rows().await, before);
        let discovery = server.get("/.well-known/openid-configuration").await.json(200);
        assert!(discovery.get("registration_endpoint").is_none());
    })
    .await;
}

#[tokio::test]
async fn open_registration_is_limited_by_address__rfc7591_5() {
    let settings = [OPEN, ("LIMITS__ENABLED", "true"), ("LIMITS__REGISTRATIONS_PER_MINUTE", "3")];
    each_server(&settings, |server| async move {
        for _ in 0..3 {
            register(&server, &web_app()).await.json(201);
        }
        let before = server.rows().await;
        let answer = register(&server, &web_app()).await;
        answer.is_error(429, "temporarily_unavailable");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)));
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn apps_in_browsers_may_register__rfc7591_3_1() {
    each_server(&[OPEN], |server| async move {
        let preflight = Request::builder()
            .method("OPTIONS")
            .uri("/oauth/register")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,authorization");
        let answer = server.send(preflight, String::new()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    })
    .await;
}
