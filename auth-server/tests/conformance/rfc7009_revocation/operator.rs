//! Not of the RFC: the operator revokes by person, client, session and grant (`auth-server grant revoke`).

use auth_server::protocol::grants::revocation::{Which, list, revoke};
use serde_json::Value;
use shared::ids::{ClientId, SessionId};
use shared::jose::jwt::Unverified;

use crate::harness::{App, Server, each_server};

async fn is_live(app: &App, tokens: &Value) -> bool {
    let answer = app.refresh(tokens["refresh_token"].as_str().unwrap()).await;
    if answer.status != 200 {
        answer.is_error(400, "invalid_grant");
    }
    answer.status == 200
}

async fn listed(server: &Server, which: &Which) -> usize {
    let platform = &server.state.platform;
    list(&mut platform.db.read().await.unwrap(), which, platform.clock.now(), 100).await.unwrap().len()
}

#[tokio::test]
async fn each_way_of_naming_grants_ends_those_and_no_others() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        server.person("bob@example.com").await;
        let (one, two) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let platform = &server.state.platform;
        let mut annes = server.browser();
        let first = one.tokens(&mut annes, "ann@example.com", &[]).await;
        let second = two.tokens(&mut annes, "ann@example.com", &[]).await;
        let bobs = one.tokens(&mut server.browser(), "bob@example.com", &[]).await;
        let everything = Which::default();
        assert_eq!(listed(&server, &everything).await, 3);

        // By person and client.
        let which = Which { user: Some(ann), client: Some(ClientId(one.client_id.clone())), ..Which::default() };
        assert_eq!(listed(&server, &which).await, 1);
        assert_eq!(revoke(platform, &which).await.unwrap().len(), 1);
        assert_eq!(listed(&server, &which).await, 0);
        assert!(!is_live(&one, &first).await && is_live(&two, &second).await && is_live(&one, &bobs).await);
        assert!(annes.get("/account").await.body.contains("href=\"/logout\""), "still signed in");

        // By grant.
        let claims = Unverified::parse(second["access_token"].as_str().unwrap(), 8192).unwrap();
        let grant = claims.claims()["grant_id"].as_str().unwrap().parse().unwrap();
        let which = Which { grant: Some(grant), ..Which::default() };
        assert_eq!(revoke(platform, &which).await.unwrap(), [grant]);
        assert!(revoke(platform, &which).await.unwrap().is_empty(), "once");

        // By client.
        let which = Which { client: Some(ClientId(one.client_id.clone())), ..Which::default() };
        assert_eq!(revoke(platform, &which).await.unwrap().len(), 1);
        assert!(!is_live(&one, &bobs).await);
        assert_eq!(listed(&server, &everything).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_client_by_itself_loses_what_it_got_in_its_own_name_and_may_get_more() {
    each_server(&[], |server| async move {
        let machine = server.app(|metadata| metadata.grant_types = vec!["client_credentials".into()]).await;
        let token = || async {
            let form = [("grant_type", "client_credentials"), ("scope", "referral-codes:read")];
            machine.token(&form).await.json(200)["access_token"].as_str().unwrap().to_owned()
        };
        let is_active = |token: String| {
            let machine = machine.clone();
            async move {
                let said = machine.post("/oauth/introspect", &[("token", &token)]).await;
                said.json(200)["active"] == true
            }
        };
        let old = token().await;
        assert!(is_active(old.clone()).await);
        let platform = &server.state.platform;
        let which = Which { client: Some(ClientId(machine.client_id.clone())), ..Which::default() };
        assert!(revoke(platform, &which).await.unwrap().is_empty(), "it has no grants");
        assert!(!is_active(old).await);
        // What was under way at another instance is over a few seconds later.
        platform.clock.advance(std::time::Duration::from_secs(7));
        assert!(is_active(token().await).await);
    })
    .await;
}

#[tokio::test]
async fn a_session_is_signed_out_and_a_person_everywhere() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let platform = &server.state.platform;
        let (mut here, mut there) = (server.browser(), server.browser());
        let tokens = app.tokens(&mut here, "ann@example.com", &[]).await;
        let offline = [("scope", "openid offline_access"), ("prompt", "consent")];
        let lasting = app.tokens(&mut here, "ann@example.com", &offline).await;
        let elsewhere = app.tokens(&mut there, "ann@example.com", &[]).await;
        let sid: SessionId = Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap().claims()["sid"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let ended = revoke(platform, &Which { session: Some(sid), ..Which::default() }).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert!(!here.get("/account").await.body.contains("href=\"/logout\""));
        assert!(there.get("/account").await.body.contains("href=\"/logout\""));
        assert!(!is_live(&app, &tokens).await && is_live(&app, &elsewhere).await && is_live(&app, &lasting).await);

        let ended = revoke(platform, &Which { user: Some(ann), ..Which::default() }).await.unwrap();
        assert_eq!(ended.len(), 2);
        assert!(!there.get("/account").await.body.contains("href=\"/logout\""));
        assert!(!is_live(&app, &elsewhere).await && !is_live(&app, &lasting).await);
    })
    .await;
}
