//! §6: a client that must push.

use super::{pushed, referring};
use crate::harness::each_server;

#[tokio::test]
async fn a_client_that_must_push_can_ask_in_no_other_way__rfc9126_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|client| client.require_pushed_authorization_requests = true).await;
        let mut browser = server.browser();
        let before = server.rows().await;
        let told = browser.get(&app.authorization(&[])).await.redirects_with_error("invalid_request");
        assert_eq!(told["state"], "af0ifjsldkj");
        let told = browser.post("/oauth/authorize", &app.parameters(&[])).await;
        told.redirects_with_error("invalid_request");
        assert_eq!(server.rows().await, before);
        let uri = pushed(&app, &[]).await;
        let code = browser.code(&referring(&app.client_id, &uri, &[]), "ann@example.com").await;
        app.exchange(&code).await.json(200);
    })
    .await;
}
