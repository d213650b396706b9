//! Who may manage a registration.

use axum::http::Request;
use serde_json::json;

use super::Registration;
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, register, web_app};

#[tokio::test]
async fn only_the_registration_access_token_opens_a_registration_and_unknown_clients_look_the_same__rfc7592_2() {
    each_server(&[OPEN], |server| async move {
        let mine = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let other = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let operators = server.app(|_| ()).await;
        let before = (server.rows().await, mine.get().await.body);
        let put = mine.with(&json!({ "client_name": "Stolen" })).to_string();
        let secret = mine.said["client_secret"].as_str().expect("a secret");
        for (method, body) in [("GET", ""), ("PUT", put.as_str()), ("DELETE", "")] {
            let answer = mine.send(method, None, body).await;
            answer.is_error(401, "invalid_token");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"registration\"");
            let refused = mine.send(method, Some("nonsense"), body).await;
            refused.is_error(401, "invalid_token");
            assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"registration\", error=\"invalid_token\"");
            // Another client's token, the client's secret, no such client, a client that did not register itself.
            for (path, token) in [
                (mine.path.as_str(), other.token.as_str()),
                (&mine.path, secret),
                ("/oauth/register/client-0", &mine.token),
                (&format!("/oauth/register/{}", operators.client_id), &mine.token),
            ] {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header("content-type", "application/json")
                    .header("authorization", format!("Bearer {token}"));
                let answer = server.send(request, body.to_owned()).await;
                assert_eq!((answer.status, &answer.body), (refused.status, &refused.body), "{method} {path}");
                assert_eq!(answer.header("www-authenticate"), refused.header("www-authenticate"));
            }
        }
        assert_eq!((server.rows().await, mine.get().await.body), before);
    })
    .await;
}

#[tokio::test]
async fn who_registered_may_manage_also_when_registration_was_switched_off__rfc7592_1() {
    each_server(&[("REGISTRATION__POLICY", "off")], |server| async move {
        let metadata = auth_server::clients::ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".into()],
            ..Default::default()
        };
        let new = auth_server::clients::NewClient {
            client_id: None,
            name: "Early".into(),
            first_party: false,
            origin: auth_server::clients::Origin::Registered,
            metadata,
        };
        let made = auth_server::clients::registration::register(&server.state.platform, new, None).await.unwrap();
        let said = json!({
            "registration_client_uri": format!("/oauth/register/{}", made.client.client_id),
            "registration_access_token": made.token.reveal(),
        });
        Registration::of(&server, said).get().await.json(200);
    })
    .await;
}
