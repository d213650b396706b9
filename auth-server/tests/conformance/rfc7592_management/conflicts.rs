//! Changes that meet each other.

use auth_server::clients::{self, registration};
use serde_json::json;
use shared::secret::PlainToken;

use super::Registration;
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, app, register, web_app};

#[tokio::test]
async fn a_secret_that_was_rotated_while_an_update_was_under_way_stays_rotated__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let mut app = app(&server, &registration.said).await;
        let platform = &server.state.platform;
        let (id, token) = (app.client_id.as_str().into(), PlainToken::presented(registration.token.as_str()));
        // The update has read the registration, and goes to fetch its sector, say.
        let read = registration::authenticate(platform, &id, &token).await.unwrap().unwrap();
        let rotated = clients::rotate_secret(platform, &id).await.unwrap().expect("it has a secret");
        let (name, metadata) = (read.name.clone(), read.metadata.clone());
        let replaced = registration::replace(platform, &read, &token, name, metadata, None).await.unwrap();
        assert!(replaced.is_none());
        server.state.clients.forget(&id).await;
        app.exchange("no-such-code").await.is_error(401, "invalid_client");
        app.secret = Some(rotated.reveal().to_owned());
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        // By HTTP, what the request says of the secret is compared with the one there is by then.
        registration.put(&registration.with(&json!({}))).await.is_error(400, "invalid_client_metadata");
        let body = registration.with(&json!({ "client_secret": rotated.reveal(), "client_name": "New" }));
        assert_eq!(registration.put(&body).await.json(200)["client_name"], "New");
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn of_updates_that_meet_one_is_told_the_secret_there_is__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let mut asked = web_app();
        asked["token_endpoint_auth_method"] = json!("none");
        let registration = Registration::of(&server, register(&server, &asked).await.json(201));
        let body = registration.with(&json!({ "token_endpoint_auth_method": "client_secret_post" }));
        let answers = futures::future::join_all((0..3).map(|_| registration.put(&body))).await;
        let told: Vec<_> = answers.iter().filter_map(|answer| answer.json(200).get("client_secret").cloned()).collect();
        assert_eq!(told.len(), 1, "{answers:?}");
        let mut said = registration.get().await.json(200);
        said["client_secret"] = told[0].clone();
        app(&server, &said).await.exchange("no-such-code").await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_keeps_the_form_the_method_needs__oidc_core_9() {
    each_server(&[], |server| async move {
        let app = server
            .app(|m| {
                m.grant_types = vec!["client_credentials".into()];
                m.token_endpoint_auth_method = "client_secret_jwt".into();
            })
            .await;
        let (platform, id) = (&server.state.platform, app.client_id.as_str().into());
        let secrets = futures::future::join_all((0..3).map(|_| clients::rotate_secret(platform, &id))).await;
        let stored = clients::by_id(&mut platform.db.read().await.unwrap(), &id).await.unwrap().unwrap();
        let opened = stored.open_secret(platform).expect("it opens");
        let told = |secret: &PlainToken| secret.reveal().as_bytes() == opened.as_slice();
        assert_eq!(secrets.iter().flatten().flatten().filter(|secret| told(secret)).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_metadata_changes_nothing_and_other_methods_are_none__rfc7592_2() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let before = (server.rows().await, registration.get().await.body);
        let good = registration.with(&json!({})).to_string();
        let deep = format!("{},\"x\":{}1{}}}", &good[..good.len() - 1], "[".repeat(20), "]".repeat(20));
        let long = format!("{},\"x\":\"{}\"}}", &good[..good.len() - 1], "a".repeat(65_536));
        let twice = format!("{{\"client_name\":\"A\",{}", &good[1..]);
        for body in [deep.as_str(), &long, &twice, "", "{", "null"] {
            let answer = registration.send("PUT", Some(&registration.token), body).await;
            answer.is_error(400, "invalid_client_metadata");
        }
        let plain = axum::http::Request::put(&registration.path)
            .header("content-type", "text/plain")
            .header("authorization", format!("Bearer {}", registration.token));
        server.send(plain, good.clone()).await.is_error(400, "invalid_client_metadata");
        for (method, path) in
            [("POST", registration.path.as_str()), ("PATCH", &registration.path), ("GET", "/oauth/register")]
        {
            let request = axum::http::Request::builder()
                .method(method)
                .uri(path)
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {}", registration.token));
            assert_eq!(server.send(request, good.clone()).await.status.as_u16(), 405, "{method}");
        }
        assert_eq!((server.rows().await, registration.get().await.body), before);
    })
    .await;
}

#[tokio::test]
async fn an_update_that_meets_the_end_of_its_client_brings_nothing_back__rfc7592_2_3() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let platform = &server.state.platform;
        let id = registration.said["client_id"].as_str().expect("an id").into();
        let token = PlainToken::presented(registration.token.as_str());
        let read = registration::authenticate(platform, &id, &token).await.unwrap().unwrap();
        registration.send("DELETE", Some(&registration.token), "").await;
        let before = server.rows().await;
        let replaced =
            registration::replace(platform, &read, &token, "Back".into(), read.metadata.clone(), None).await.unwrap();
        assert!(replaced.is_none());
        assert!(!registration::delete(platform, &id, &token).await.unwrap());
        registration.put(&registration.with(&json!({}))).await.is_error(401, "invalid_token");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn who_manages_a_registration_is_limited_by_address__rfc7592_2() {
    let settings = [OPEN, ("LIMITS__ENABLED", "true"), ("LIMITS__REGISTRATIONS_PER_MINUTE", "2")];
    each_server(&settings, |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        registration.get().await.json(200);
        let before = server.rows().await;
        for (method, body) in
            [("GET", String::new()), ("PUT", registration.with(&json!({})).to_string()), ("DELETE", String::new())]
        {
            let answer = registration.send(method, Some(&registration.token), &body).await;
            answer.is_error(429, "temporarily_unavailable");
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)));
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
