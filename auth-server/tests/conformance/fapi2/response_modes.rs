//! Message Signing §5.3.3, the client metadata `response_modes`: what a client may ask for.

use serde_json::{Value, json};

use super::{FapiApp, signed};
use crate::harness::each_server;

#[tokio::test]
async fn a_client_is_answered_in_the_ways_it_registered_and_in_no_other__fapi2_ms_5_3_3() {
    each_server(&[], |server| async move {
        let app = server.app(|client| client.response_modes = vec!["form_post".into(), "jwt".into()]).await;
        let silent = |mode| app.authorization(&[("response_mode", mode), ("prompt", "none")]);
        let before = server.rows().await;
        assert_eq!(server.get(&silent("form_post")).await.form().1["error"], "login_required");
        // One mode by two names (JARM §2.3.4).
        for mode in ["jwt", "query.jwt"] {
            assert_eq!(signed(&server.get(&silent(mode)).await.query())["error"], "login_required");
        }
        // The default is no exception.
        for mode in ["", "query"] {
            let told = server.get(&silent(mode)).await.redirects_with_error("invalid_request");
            assert!(told["error_description"].contains("response_modes"), "{told:?}");
        }
        assert_eq!(server.get(&silent("fragment")).await.fragment()["error"], "invalid_request");
        let pushed = crate::rfc9126_par::push(&app, &[("response_mode", "fragment.jwt")]).await;
        pushed.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        crate::rfc9126_par::push(&app, &[("response_mode", "form_post")]).await.json(201);
    })
    .await;
}

#[tokio::test]
async fn a_client_registers_modes_that_there_are_and_reads_them_back__fapi2_ms_5_3_3() {
    each_server(&[("REGISTRATION__POLICY", "open")], |server| async move {
        let register = async |modes: Value| {
            let body = json!({ "redirect_uris": ["https://app.example/callback"], "response_modes": modes });
            let request = axum::http::Request::post("/oauth/register").header("content-type", "application/json");
            server.send(request, body.to_string()).await
        };
        let registered = register(json!(["form_post.jwt", "jwt"])).await.json(201);
        assert_eq!(registered["response_modes"], json!(["form_post.jwt", "jwt"]));
        assert!(register(json!([])).await.json(201).get("response_modes").is_none());
        let before = server.rows().await;
        for wrong in [json!(["web_message"]), json!("jwt"), json!([1])] {
            let refused = register(wrong.clone()).await.json(400);
            assert_eq!(refused["error"], "invalid_client_metadata", "{wrong}");
            let named = refused["error_description"].as_str().unwrap().replace('_', " ");
            assert!(named.contains("response mode"), "{refused}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_of_the_profile_may_narrow_its_modes_down__fapi2_ms_5_3_3() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::changed(&server, |client| client.response_modes = vec!["form_post.jwt".into()]).await;
        let before = server.rows().await;
        fapi.push(&fapi.object(json!({"response_mode": "jwt"}))).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        fapi.push(&fapi.object(json!({"response_mode": "form_post.jwt"}))).await.json(201);
    })
    .await;
}
