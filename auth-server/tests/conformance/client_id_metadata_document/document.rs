//! What a document may be.

use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{ON, app, document};
use crate::harness::{ALLOWED, Server, Site, each_server};

/// The request ends on a page, and no client is kept.
async fn refused(server: &Server, client_id: &str) {
    let app = app(server, client_id).await;
    let before = server.rows().await;
    server.browser().get(&app.authorization(&[])).await.is_error_page();
    app.exchange("no-such-code").await.is_error(401, "invalid_client");
    assert_eq!(server.rows().await, before, "{client_id}");
}

#[tokio::test]
async fn a_document_that_breaks_a_rule_makes_no_client__cimd_4() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let key = Signer::new(jsonwebtoken::Algorithm::ES256).jwk();
        let mut private = key.clone();
        private["d"] = json!("AQ");
        for (n, changes) in [
            json!({ "client_id": format!("{}/another", site.url) }),
            json!({ "client_id": null }),
            json!({ "client_secret": "shared" }),
            json!({ "client_secret_expires_at": 0 }),
            json!({ "token_endpoint_auth_method": "client_secret_basic" }),
            json!({ "token_endpoint_auth_method": "client_secret_post" }),
            json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [private] } }),
            json!({ "redirect_uris": [] }),
            json!({ "redirect_uris": ["http://app.example/cb"] }),
            json!({ "redirect_uris": ["javascript:alert(1)"] }),
            json!({ "grant_types": ["authorization_code", "password"] }),
            json!({ "grant_types": ["client_credentials"] }),
            json!({ "scope": "openid account:write" }),
            json!({ "scope": "referrals:admin" }),
            json!({ "client_name": 1 }),
            json!({ "sector_identifier_uri": format!("{}/sector", site.url) }),
        ]
        .iter()
        .enumerate()
        {
            let path = format!("/client-{n}");
            let id = format!("{}{path}", site.url);
            let mut published = document(&id);
            published.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
            site.publish(&path, &published);
            refused(&server, &id).await;
            assert!(site.asked(&path) > 0, "{changes}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_no_document_makes_no_client__cimd_5() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let json = [("content-type", "application/json")];
        let good = |path: &str| document(&format!("{}{path}", site.url)).to_string();
        site.publish("/target", &document(&format!("{}/moved", site.url)));
        let mut long: Value = document(&format!("{}/long", site.url));
        long["padding"] = json!("a".repeat(6000));
        for (path, status, headers, body) in [
            ("/moved", 302, &[("location", "/target")][..], String::new()),
            ("/created", 201, &json, good("/created")),
            ("/gone", 410, &json, good("/gone")),
            ("/broken", 500, &json, good("/broken")),
            ("/html", 200, &[("content-type", "text/html")], good("/html")),
            ("/untyped", 200, &[], good("/untyped")),
            ("/long", 200, &json, long.to_string()),
            ("/array", 200, &json, "[]".into()),
            ("/cut", 200, &json, "{".into()),
            ("/twice", 200, &json, format!("{{\"client_name\":\"A\",{}", &good("/twice")[1..])),
        ] {
            refused(&server, &site.answer(path, status, headers, &body)).await;
        }
        assert_eq!(site.asked("/target"), 0, "redirects are not followed");
        refused(&server, &format!("{}/nothing-there", site.url)).await;
        // A more specific type of JSON is one as well.
        let id = site.answer("/client", 200, &[("content-type", "application/cimd+json; v=1")], &good("/client"));
        let app = app(&server, &id).await;
        assert!(server.browser().get(&app.authorization(&[])).await.location().starts_with("/login"));
    })
    .await;
}

#[tokio::test]
async fn an_id_is_the_url_in_its_plain_form__cimd_3() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let user = site.url.replace("http://", "http://user@");
        for id in [
            site.url.clone(),
            format!("{}/a/../client", site.url),
            format!("{}/./client", site.url),
            format!("{}/%2e%2e/client", site.url),
            format!("{}/client#fragment", site.url),
            format!("{user}/client"),
            format!("{}/client", site.url.replace("http", "HTTP")),
            format!("{}/{}", site.url, "a".repeat(600)),
        ] {
            site.publish("/client", &document(&id));
            refused(&server, &id).await;
        }
        assert_eq!(site.asked("/client"), 0);
    })
    .await;
}

#[tokio::test]
async fn a_registered_client_never_has_such_an_id__cimd_7_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        let new = auth_server::clients::NewClient {
            client_id: Some("https://app.example/client".into()),
            name: "App".into(),
            first_party: true,
            origin: auth_server::clients::Origin::Operator,
            metadata: auth_server::clients::ClientMetadata {
                redirect_uris: vec!["https://app.example/cb".into()],
                ..Default::default()
            },
        };
        assert!(auth_server::clients::create(&server.state.platform, new).await.is_err());
    })
    .await;
}
