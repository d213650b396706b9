//! §2.1: `resource` at the authorization endpoint.

use serde_json::json;

use super::{claims, resources};
use crate::harness::each_server;
use crate::rfc9126_par::push;

const SCOPE: (&str, &str) = ("scope", "openid referral-codes:read");

#[tokio::test]
async fn a_token_is_for_the_resources_that_were_named__rfc8707_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (issuer, api) = resources(&server);
        let mut browser = server.browser();
        for (named, expected) in [
            (vec![&api], json!(api)),
            (vec![&issuer], json!(issuer)),
            (vec![&api, &issuer], json!([&issuer, &api])),
            (vec![&api, &api], json!(api)),
            // None: what the scope implies.
            (vec![], json!([&issuer, &api])),
        ] {
            let mut url = app.authorization(&[SCOPE]);
            for resource in &named {
                url.push_str("&resource=");
                url.extend(url::form_urlencoded::byte_serialize(resource.as_bytes()));
            }
            let code = browser.code(&url, "ann@example.com").await;
            let tokens = app.exchange(&code).await.json(200);
            let mut aud = claims(&tokens["access_token"])["aud"].clone();
            let mut expected = expected;
            for list in [&mut aud, &mut expected] {
                if let Some(list) = list.as_array_mut() {
                    list.sort_by_key(ToString::to_string);
                }
            }
            assert_eq!(aud, expected, "{named:?}");
            // The ID token is for the client, whatever the resource.
            assert_eq!(claims(&tokens["id_token"])["aud"], json!([app.client_id]));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_resource_of_ours_is_an_invalid_target__rfc8707_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let (issuer, api) = resources(&server);
        let before = server.rows().await;
        let (fragment, path) = (format!("{api}#x"), format!("{api}/../x"));
        for wrong in ["https://elsewhere.example", "api", "/v1", "urn:example:api", &fragment, &path, " "] {
            let told = server.get(&app.authorization(&[("resource", wrong)])).await;
            assert_eq!(told.redirects_with_error("invalid_target")["state"], "af0ifjsldkj", "{wrong}");
            push(&app, &[("resource", wrong)]).await.is_error(400, "invalid_target");
        }
        // One good resource does not make up for a bad one.
        let mut url = app.authorization(&[("resource", &issuer)]);
        url.push_str("&resource=https%3A%2F%2Felsewhere.example");
        server.get(&url).await.redirects_with_error("invalid_target");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
