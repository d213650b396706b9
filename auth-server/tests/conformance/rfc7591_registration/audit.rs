//! §5: who registered what, changed it and ended it is on record, and nothing secret with it.

use auth_server::clients::{self, ClientMetadata, NewClient, Origin, initial_access_tokens};
use serde_json::json;

use super::{app, permit, send, web_app};
use crate::harness::{Server, each_server};
use crate::rfc7592_management::Registration;

/// Kind, client, details of what the audit says of clients, oldest first.
pub async fn events(server: &Server) -> Vec<(String, Option<String>, String)> {
    let mut conn = server.state.platform.db.read().await.unwrap();
    shared::fetch_all!(
        &mut conn,
        (String, Option<String>, String),
        "SELECT kind, client_id, CAST(details AS TEXT) FROM audit_events \
         WHERE kind LIKE 'client.%' OR kind LIKE 'initial_access_token.%' ORDER BY created_at, id"
    )
    .unwrap()
}

#[tokio::test]
async fn what_becomes_of_clients_and_of_who_may_register_is_on_record__rfc7591_5() {
    each_server(&[], |server| async move {
        let platform = &server.state.platform;
        let token = permit(&server, "partners", Some(2)).await;
        let bearer = format!("Bearer {token}");
        let said = send(&server, Some(&bearer), "application/json", &web_app().to_string()).await.json(201);
        let registration = Registration::of(&server, said);
        let mut before = events(&server).await.len();
        // What is refused is nothing that happened.
        send(&server, Some(&bearer), "application/json", "{}").await.is_error(400, "invalid_redirect_uri");
        registration.put(&registration.with(&json!({ "client_secret": "guessed" }))).await;
        assert_eq!(events(&server).await.len(), before);
        registration.put(&registration.with(&json!({ "client_name": "New" }))).await.json(200);
        let own = app(&server, &registration.said).await.client_id;
        clients::rotate_secret(platform, &own.as_str().into()).await.unwrap().unwrap();
        registration.send("DELETE", Some(&registration.token), "").await;
        assert!(initial_access_tokens::revoke(platform, "partners").await.unwrap());
        let metadata = ClientMetadata { redirect_uris: vec!["https://app.example/cb".into()], ..Default::default() };
        let new = NewClient {
            client_id: Some("brought".into()),
            name: "App".into(),
            first_party: true,
            origin: Origin::Operator,
            metadata,
        };
        clients::ensure(platform, new.clone(), None).await.unwrap();
        clients::ensure(platform, new, None).await.unwrap();
        assert!(clients::delete(platform, &"brought".into()).await.unwrap());

        let events = events(&server).await;
        let told: Vec<_> = events.iter().map(|(kind, client, _)| (kind.as_str(), client.as_deref())).collect();
        let own = Some(own.as_str());
        assert_eq!(
            told,
            [
                ("initial_access_token.created", None),
                ("client.created", own),
                ("initial_access_token.used", own),
                ("client.changed", own),
                ("client.secret_rotated", own),
                ("client.deleted", own),
                ("initial_access_token.revoked", None),
                ("client.created", Some("brought")),
                ("client.deleted", Some("brought")),
            ]
        );
        let by = [
            "operator",
            "registration",
            "partners",
            "registration",
            "operator",
            "registration",
            "operator",
            "installation",
            "operator",
        ];
        for ((kind, _, details), by) in events.iter().zip(by) {
            assert!(details.contains(by), "{kind}: {details}");
            assert!(!details.contains(&token) && !details.contains(&registration.token), "{details}");
        }
        before = events.len();
        assert!(!clients::delete(platform, &"brought".into()).await.unwrap());
        assert_eq!(super::audit::events(&server).await.len(), before);
    })
    .await;
}
