//! §6, §7, §9: what the token says, how it is narrowed, and what introspection tells.

use serde_json::{Value, json};

use super::{DETAILS, rich_app};
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, app, register, web_app};
use crate::rfc7592_management::Registration;
use crate::rfc8707_resource::claims;

#[tokio::test]
async fn what_was_granted_stands_in_answer_token_and_introspection__rfc9396_7__rfc9396_9() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = rich_app(&server).await;
        let expected: Value = serde_json::from_str(DETAILS).unwrap();
        let more = [("authorization_details", DETAILS)];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &more).await;
        assert_eq!(tokens["authorization_details"], expected);
        assert_eq!(claims(&tokens["access_token"])["authorization_details"], expected);
        for token in ["access_token", "refresh_token"] {
            let told = app.post("/oauth/introspect", &[("token", tokens[token].as_str().unwrap())]).await.json(200);
            assert_eq!(told["active"], true, "{told}");
            assert_eq!(told["authorization_details"], expected, "{token}");
        }
        // Who asked for none is told of none.
        let plain = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        assert!(plain.get("authorization_details").is_none(), "{plain}");
        assert!(claims(&plain["access_token"]).get("authorization_details").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_token_request_may_ask_for_less_and_for_no_more__rfc9396_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = rich_app(&server).await;
        let code = app.code(&mut server.browser(), "ann@example.com", &[("authorization_details", DETAILS)]).await;
        let too_much = [
            r#"[{"type":"referral_code","actions":["delete"]}]"#,
            r#"[{"type":"referral_code","actions":["create"]}]"#,
            r#"[{"type":"referral_code","actions":["create"],"max_uses":11}]"#,
            r#"[{"type":"referral_code","actions":["read"]},{"type":"referral_code","actions":["delete"]}]"#,
            r#"[{"type":"payment_initiation"}]"#,
            "[]",
            "x",
        ];
        let before = server.rows().await;
        for wrong in too_much {
            let mut form = app.exchange_form(&code);
            form.push(("authorization_details", wrong));
            app.token(&form).await.is_error(400, "invalid_authorization_details");
        }
        assert_eq!(server.rows().await, before);
        // The code is still good.
        let less = r#"[{"type":"referral_code","actions":["create"],"code":"SPRING","max_uses":5}]"#;
        let mut form = app.exchange_form(&code);
        form.push(("authorization_details", less));
        let tokens = app.token(&form).await.json(200);
        let expected: Value = serde_json::from_str(less).unwrap();
        assert_eq!(tokens["authorization_details"], expected);
        assert_eq!(claims(&tokens["access_token"])["authorization_details"], expected);

        // The grant itself keeps all of it.
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let before = server.rows().await;
        for wrong in too_much {
            let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("authorization_details", wrong)];
            app.token(&form).await.is_error(400, "invalid_authorization_details");
        }
        assert_eq!(server.rows().await, before);
        let read = r#"[{"type":"referral_code","actions":["read"]}]"#;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("authorization_details", read)];
        let tokens = app.token(&form).await.json(200);
        assert_eq!(tokens["authorization_details"], json!([{"type": "referral_code", "actions": ["read"]}]));
        let all = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        assert_eq!(all["authorization_details"], serde_json::from_str::<Value>(DETAILS).unwrap());
    })
    .await;
}

#[tokio::test]
async fn without_a_grant_of_them_there_are_none__rfc9396_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = rich_app(&server).await;
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        let service = server.app(|client| client.grant_types = vec!["client_credentials".into()]).await;
        let before = server.rows().await;
        let mut form = app.exchange_form(&code);
        form.push(("authorization_details", DETAILS));
        app.token(&form).await.is_error(400, "invalid_authorization_details");
        // Referral codes are people's: a client by itself has none.
        let form = [("grant_type", "client_credentials"), ("authorization_details", DETAILS)];
        service.token(&form).await.is_error(400, "invalid_authorization_details");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_type_that_was_taken_from_the_client_is_refreshed_no_more__rfc9396_10() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let mut wanted = web_app();
        wanted["grant_types"] = json!(["authorization_code", "refresh_token"]);
        wanted["authorization_details_types"] = json!(["referral_code"]);
        let said = register(&server, &wanted).await.json(201);
        let (app, registration) = (app(&server, &said).await, Registration::of(&server, said));
        let more = [("scope", "openid offline_access"), ("authorization_details", DETAILS)];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &more).await;
        let plain = [("scope", "openid offline_access")];
        let without = app.tokens(&mut server.browser(), "ann@example.com", &plain).await;
        let refresh_token = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
        let refresh = refresh_token(&tokens);

        registration.put(&registration.with(&json!({ "authorization_details_types": [] }))).await.json(200);
        let before = server.rows().await;
        app.refresh(&refresh).await.is_error(400, "invalid_grant");
        // Nor a part of them.
        let read = r#"[{"type":"referral_code","actions":["read"]}]"#;
        let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("authorization_details", read)];
        app.token(&form).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        // What has none is none the worse for it.
        app.refresh(&refresh_token(&without)).await.json(200);

        // Nothing was used up.
        let again = json!({ "authorization_details_types": ["referral_code"] });
        registration.put(&registration.with(&again)).await.json(200);
        let refreshed = app.refresh(&refresh).await.json(200);
        assert_eq!(refreshed["authorization_details"], tokens["authorization_details"]);
    })
    .await;
}
