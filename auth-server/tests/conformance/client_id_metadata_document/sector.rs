//! A document that leads its client into another sector.

use std::time::Duration;

use serde_json::json;

use super::{ON, app, document};
use crate::harness::{ALLOWED, Site, each_server};

#[tokio::test]
async fn a_document_that_changes_its_sector_starts_its_client_anew__oidc_core_8_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let id = format!("{}/client", site.url);
        let mut published = document(&id);
        published["subject_type"] = json!("pairwise");
        published["grant_types"] = json!(["authorization_code", "refresh_token"]);
        site.publish("/client", &published);
        let app = app(&server, &id).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;

        published["redirect_uris"] = json!(["https://victim.example/cb"]);
        site.publish("/client", &published);
        server.state.platform.clock.advance(Duration::from_secs(3600));
        server.state.clients.forget(&id.as_str().into()).await;
        let refreshed = app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await;
        refreshed.is_error(400, "invalid_grant");
        assert_eq!(site.asked("/client"), 2);
        let rows = server.rows().await;
        assert_eq!((rows.count("refresh_tokens"), rows.count("consents")), (0, 0));
    })
    .await;
}
