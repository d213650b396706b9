//! How long a document is believed.

use std::time::Duration;

use serde_json::json;

use super::{ON, app, document, publish};
use crate::harness::{ALLOWED, Server, Site, each_server};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets time pass for documents and for what is kept of clients in memory.
async fn later(server: &Server, client_id: &str, by: Duration) {
    server.state.platform.clock.advance(by);
    server.state.clients.forget(&client_id.into()).await;
}

#[tokio::test]
async fn a_document_is_fetched_anew_once_it_is_stale__cimd_5_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let headers = [("content-type", "application/json"), ("cache-control", "max-age=1800")];
        let id = format!("{}/client", site.url);
        site.answer("/client", 200, &headers, &document(&id).to_string());
        let app = app(&server, &id).await;
        for expected in [1, 1] {
            server.browser().get(&app.authorization(&[])).await.location();
            server.state.clients.forget(&id.as_str().into()).await;
            assert_eq!(site.asked("/client"), expected);
        }
        let mut moved = document(&id);
        moved["redirect_uris"] = json!(["https://app.example/new"]);
        site.answer("/client", 200, &headers, &moved.to_string());
        later(&server, &id, HOUR).await;
        server.browser().get(&app.authorization(&[])).await.is_error_page();
        assert_eq!(site.asked("/client"), 2);
    })
    .await;
}

#[tokio::test]
async fn an_error_is_not_kept__cimd_5_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let id = format!("{}/client", site.url);
        let app = app(&server, &id).await;
        server.browser().get(&app.authorization(&[])).await.is_error_page();
        publish(&site, "/client");
        assert!(server.browser().get(&app.authorization(&[])).await.location().starts_with("/login"));
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_the_clients_host_ends_nothing_for_a_day_but_a_withdrawn_document_does__cimd_5_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let id = publish(&site, "/client");
        let app = app(&server, &id).await;
        server.browser().get(&app.authorization(&[])).await.location();
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        site.answer("/client", 503, &[], "");
        later(&server, &id, HOUR).await;
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        later(&server, &id, 25 * HOUR).await;
        app.exchange("no-such-code").await.is_error(401, "invalid_client");
        publish(&site, "/client");
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        site.answer("/client", 410, &[], "");
        later(&server, &id, HOUR).await;
        app.exchange("no-such-code").await.is_error(401, "invalid_client");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_nobody_uses_is_forgotten__cimd_9_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        server.person("ann@example.com").await;
        let (id, used) = (publish(&site, "/client"), publish(&site, "/used"));
        let app = app(&server, &id).await;
        server.browser().get(&app.authorization(&[])).await.location();
        let mut kept = app.clone();
        kept.client_id = used;
        kept.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let before = server.rows().await;
        // A request waits for its person; later its tab still leads back to the client.
        for hours in [0, 2] {
            later(&server, &id, hours * HOUR).await;
            auth_server::sweeper::sweep(&server.state.platform).await.unwrap();
            assert_eq!(server.rows().await.count("clients"), before.count("clients"));
        }
        later(&server, &id, 2 * HOUR).await;
        auth_server::sweeper::sweep(&server.state.platform).await.unwrap();
        assert_eq!(server.rows().await.count("clients"), before.count("clients") - 1);
    })
    .await;
}
