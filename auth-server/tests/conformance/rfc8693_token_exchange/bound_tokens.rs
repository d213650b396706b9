//! §5, what must not be laundered: a token that is bound to a key, one for another place, one that has ended.

use serde_json::{Value, json};

use super::{ACCESS_TOKEN, GRANT, form, service};
use crate::harness::{App, EveryGrant, Server, each_server};
use crate::rfc9449_dpop::Holder;

fn access(tokens: &Value) -> String {
    tokens["access_token"].as_str().unwrap().to_owned()
}

async fn said(app: &App, token: &str) -> Value {
    app.post("/oauth/introspect", &[("token", token)]).await.json(200)
}

#[tokio::test]
async fn a_bound_token_becomes_none_that_anybody_can_use__rfc8693_5__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let (owner, own) = (Holder::new(&server), Holder::new(&server));
        let bound = access(&owner.tokens(&app, "openid email").await);
        let before = server.rows().await;
        // Whoever stole it, and has a service's credentials besides.
        service.token(&form(&bound, &[])).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        // With a key of the service's own it gets a token for that key.
        let answer = own.token(&service, &form(&bound, &[])).await.json(200);
        assert_eq!(answer["token_type"], "DPoP");
        assert_eq!(said(&service, &access(&answer)).await["cnf"], json!({ "jkt": own.jkt() }));
    })
    .await;
}

#[tokio::test]
async fn a_bound_actor_token_wants_a_key_too__rfc8693_2_1() {
    each_server(&[], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let app = server.app(|_| {}).await;
        let desk = server.own_app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let key = Holder::new(&server);
        let subject = access(&app.tokens(&mut server.browser(), "ann@example.com", &[]).await);
        let code = desk.code(&mut server.browser(), "bob@example.com", &[]).await;
        let actor = access(&key.exchange(&desk, &code).await.json(200));
        let form = form(&subject, &[("actor_token", &actor), ("actor_token_type", ACCESS_TOKEN)]);
        let before = server.rows().await;
        desk.token(&form).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        let answer = key.token(&desk, &form).await.json(200);
        assert_eq!(said(&desk, &access(&answer)).await["cnf"]["jkt"], key.jkt());
    })
    .await;
}

#[tokio::test]
async fn a_third_partys_token_for_one_place_becomes_none_for_another__rfc8693_2_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let (issuer, api) = (server.state.issuer(), server.state.platform.config.api.public_url.as_str());
        let asked = [("scope", "openid referral-codes:read"), ("resource", issuer)];
        let token = access(&app.tokens(&mut server.browser(), "ann@example.com", &asked).await);
        let before = server.rows().await;
        for name in ["audience", "resource"] {
            app.token(&form(&token, &[(name, api)])).await.is_error(400, "invalid_target");
        }
        assert_eq!(server.rows().await, before);
        let less = app.token(&form(&token, &[("audience", issuer)])).await.json(200);
        assert_eq!(said(&app, &access(&less)).await["aud"], issuer);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_revoked_is_not_exchanged__rfc8693_2_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let token = access(&app.tokens(&mut server.browser(), "ann@example.com", &[]).await);
        service.token(&form(&token, &[])).await.json(200);
        app.post("/oauth/revoke", &[("token", &token)]).await;
        let before = server.rows().await;
        service.token(&form(&token, &[])).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn each_pairwise_client_knows_the_person_by_its_own_name__oidc_core_8() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let pairwise = |host: &'static str| {
            move |metadata: &mut auth_server::clients::ClientMetadata| {
                metadata.redirect_uris = vec![format!("https://{host}/callback")];
                metadata.subject_type = auth_server::clients::SubjectType::Pairwise;
                metadata.grant_types.push(GRANT.into());
            }
        };
        let plain = service(&server).await;
        let (one, two) = (server.own_app(pairwise("a.example")).await, server.own_app(pairwise("b.example")).await);
        let tokens = one.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
        let first = said(&one, &access(&tokens)).await["sub"].clone();
        let exchanged = two.token(&form(&access(&tokens), &[])).await.json(200);
        let second = said(&two, &access(&exchanged)).await["sub"].clone();
        let exchanged = plain.token(&form(&access(&exchanged), &[])).await.json(200);
        let third = said(&plain, &access(&exchanged)).await["sub"].clone();
        assert!(first != second && first != json!(ann) && second != json!(ann), "{first} {second}");
        assert_eq!(third, json!(ann));
        // The new name is known: what the token opens is Ann's.
        let mut conn = server.state.platform.db.read().await.unwrap();
        assert_eq!(shared::subjects::resolve(&mut conn, second.as_str().unwrap()).await.unwrap(), Some(ann));
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_is_what_is_issued__rfc8693_2_2_1() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "client_secret_basic").await;
        let jwt = "urn:ietf:params:oauth:token-type:jwt";
        for (asked, issued) in [(None, ACCESS_TOKEN), (Some(ACCESS_TOKEN), ACCESS_TOKEN), (Some(jwt), jwt)] {
            let mut form = service.prepare(GRANT, "openid").await;
            form.extend(asked.map(|asked| ("requested_token_type", asked.to_owned())));
            assert_eq!(service.token(&form).await.json(200)["issued_token_type"], issued);
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_client_can_not_register_the_grant__rfc8693_5() {
    each_server(&[], |server| async move {
        let metadata = auth_server::clients::ClientMetadata {
            redirect_uris: vec!["https://app.example/callback".into()],
            grant_types: vec!["authorization_code".into(), GRANT.into()],
            scopes: vec!["openid".into()],
            token_endpoint_auth_method: "none".into(),
            ..Default::default()
        };
        assert!(refused(&server, metadata).await);
    })
    .await;
}

async fn refused(server: &Server, metadata: auth_server::clients::ClientMetadata) -> bool {
    let new = auth_server::clients::NewClient {
        client_id: None,
        name: "Wonder App".into(),
        first_party: true,
        origin: auth_server::clients::Origin::Operator,
        metadata,
    };
    let before = server.rows().await;
    let refused = auth_server::clients::create(&server.state.platform, new).await.is_err();
    refused && server.rows().await == before
}
