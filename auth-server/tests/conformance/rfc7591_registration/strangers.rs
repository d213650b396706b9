//! §5: what a client that nobody vouched for may not say of itself, and how long it stays.

use std::time::Duration;

use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use axum::http::Request;
use serde_json::{Value, json};

use super::{OPEN, app, register, web_app};
use crate::harness::{Server, each_server};

async fn refused(server: &Server, code: &str, changes: &Value) {
    let mut asked = web_app();
    asked.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    let before = server.rows().await;
    let answer = register(server, &asked).await;
    assert_eq!(answer.status.as_u16(), 400, "{changes}: {answer:?}");
    answer.is_error(400, code);
    assert_eq!(server.rows().await, before);
}

#[tokio::test]
async fn a_name_that_reads_otherwise_than_it_is_written_is_refused__rfc7591_5() {
    each_server(&[OPEN], |server| async move {
        for name in
            ["\u{202e}knaB ruoY", "Refer\u{200b}ris", "\u{2066}Bank\u{2069}", "Bank\u{ad}", "\u{3164}", "\u{feff}App"]
        {
            refused(&server, "invalid_client_metadata", &json!({ "client_name": name })).await;
        }
        for name in ["Чудо", "山田商店", "Café No. 5"] {
            let mut asked = web_app();
            asked["client_name"] = json!(name);
            register(&server, &asked).await.json(201);
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_of_this_server_is_no_strangers_redirect_uri__rfc9700_4_11() {
    let settings =
        [OPEN, ("AUTH__PUBLIC_URL", "https://id.example.com"), ("API__PUBLIC_URL", "https://api.example.com")];
    each_server(&settings, |server| async move {
        for uri in [
            "https://id.example.com/oauth/authorize?client_id=x",
            "https://api.example.com/",
            "https://ID.example.com:443/",
        ] {
            refused(&server, "invalid_redirect_uri", &json!({ "redirect_uris": [uri] })).await;
            refused(&server, "invalid_client_metadata", &json!({ "post_logout_redirect_uris": [uri] })).await;
        }
        // The operator knows what is there: the interactive documentation, say.
        let metadata =
            ClientMetadata { redirect_uris: vec!["https://api.example.com/docs".into()], ..Default::default() };
        let new =
            NewClient { client_id: None, name: "Docs".into(), first_party: false, origin: Origin::Operator, metadata };
        clients::create(&server.state.platform, new).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_private_scheme_has_no_authority__rfc8252_7_1() {
    each_server(&[OPEN], |server| async move {
        for uri in ["com.example.app://accounts.example.com/cb", "com.example.app://cb", "com.example.app:///cb"] {
            refused(&server, "invalid_redirect_uri", &json!({ "redirect_uris": [uri] })).await;
        }
        let asked = json!({ "redirect_uris": ["com.example.app:/cb"], "token_endpoint_auth_method": "none" });
        assert_eq!(register(&server, &asked).await.json(201)["application_type"], "native");
    })
    .await;
}

#[tokio::test]
async fn an_app_on_this_machine_is_native_also_over_https__oidcr_2() {
    each_server(&[OPEN], |server| async move {
        let asked = json!({ "redirect_uris": ["https://localhost:8443/cb"] });
        assert_eq!(register(&server, &asked).await.json(201)["application_type"], "native");
    })
    .await;
}

#[tokio::test]
async fn apps_in_browsers_can_read_why_and_when__rfc7591_3_2_2() {
    each_server(&[], |server| async move {
        let request = Request::post("/oauth/register")
            .header("content-type", "application/json")
            .header("origin", "https://app.example");
        let answer = server.send(request, web_app().to_string()).await;
        answer.is_error(401, "invalid_token");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        assert!(exposed.contains("www-authenticate") && exposed.contains("retry-after"), "{exposed}");
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_nobody_uses_is_forgotten__rfc7591_5() {
    each_server(&[OPEN, ("REGISTRATION__UNUSED_DAYS", "30")], |server| async move {
        server.person("ann@example.com").await;
        let operators = server.app(|_| ()).await;
        let unused = register(&server, &web_app()).await.json(201);
        let machine = json!({ "grant_types": ["client_credentials"] });
        let machine = app(&server, &register(&server, &machine).await.json(201)).await;
        let mut granted = web_app();
        granted["grant_types"] = json!(["authorization_code", "refresh_token"]);
        let granted = app(&server, &register(&server, &granted).await.json(201)).await;
        let tokens =
            granted.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid offline_access")]).await;
        let platform = &server.state.platform;
        let mut refresh_token = tokens["refresh_token"].as_str().expect("a refresh token").to_owned();
        for _ in 0..2 {
            platform.clock.advance(Duration::from_secs(20 * 86_400));
            machine.token(&[("grant_type", "client_credentials")]).await.json(200);
            let refreshed = granted.refresh(&refresh_token).await.json(200);
            refresh_token = refreshed["refresh_token"].as_str().expect("another").to_owned();
            auth_server::sweeper::sweep(platform).await.unwrap();
        }
        let there = |id: String| async move {
            clients::by_id(&mut platform.db.read().await.unwrap(), &id.as_str().into()).await.unwrap().is_some()
        };
        let id = unused["client_id"].as_str().expect("an id").to_owned();
        assert!(!there(id.clone()).await);
        for app in [&operators, &machine, &granted] {
            assert!(there(app.client_id.clone()).await);
        }
        let deleted = super::audit::events(&server).await;
        assert!(deleted.iter().any(|(kind, client, details)| {
            kind == "client.deleted" && client.as_deref() == Some(&id) && details.contains("sweeper")
        }));
    })
    .await;
}
