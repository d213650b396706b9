//! §2.2 and authorization requests that wait while the registration changes.

use auth_server::protocol::authorization::{Loaded, allow, deny, issue, load};
use auth_server::sessions::SignedIn;
use serde_json::{Value, json};
use shared::ids::{AuthorizationRequestId, SessionId};

use super::Registration;
use crate::harness::{App, Server, each_server};
use crate::rfc7591_registration::{OPEN, app, register, web_app};

/// What an update may withdraw of what a request was accepted with.
fn withdrawals() -> [Value; 3] {
    [
        json!({ "redirect_uris": ["https://elsewhere.example/cb"] }),
        json!({ "scope": "profile" }),
        json!({ "grant_types": ["client_credentials"], "response_types": [] }),
    ]
}

async fn registered(server: &Server) -> (Registration, App) {
    let said = register(server, &web_app()).await.json(201);
    let app = app(server, &said).await;
    (Registration::of(server, said), app)
}

/// A request that waits; the path of its consent page.
async fn waiting(server: &Server, app: &App) -> (AuthorizationRequestId, String) {
    let answer = server.post("/oauth/authorize", &app.parameters(&[])).await;
    let id = answer.location().split_once("request=").expect("an id").1.to_owned();
    (id.parse().expect("an id"), format!("/consent?request={id}"))
}

#[tokio::test]
async fn a_waiting_request_for_what_was_withdrawn_is_gone__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        for withdrawn in withdrawals() {
            let (registration, app) = registered(&server).await;
            let (_, consent) = waiting(&server, &app).await;
            let mut browser = server.browser();
            browser.sign_in("ann@example.com").await;
            let page = browser.get(&consent).await;
            let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
            registration.put(&registration.with(&withdrawn)).await.json(200);
            let before = server.rows().await;
            let onward = format!("/oauth/authorize/continue?request={request}");
            for path in [&consent, &onward] {
                let page = browser.get(path).await;
                assert!(!page.is_error_page().body.contains("https://app.example"), "{withdrawn}: {page:?}");
            }
            for decision in ["allow", "deny"] {
                let form = [("csrf", &*csrf), ("request", &request), ("decision", decision)];
                browser.post("/consent", &form).await.is_error_page();
            }
            assert_eq!(server.rows().await, before);
        }
        // Nor does one that is too old lead there.
        let (registration, app) = registered(&server).await;
        let (_, consent) = waiting(&server, &app).await;
        registration.put(&registration.with(&withdrawals()[0])).await.json(200);
        server.state.platform.clock.advance(std::time::Duration::from_secs(3601));
        let page = server.browser().get(&consent).await;
        assert!(!page.is_error_page().body.contains("https://app.example"), "{page:?}");
    })
    .await;
}

#[tokio::test]
async fn the_registration_counts_as_it_is_when_the_request_is_decided__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let user_id = server.person("ann@example.com").await;
        server.browser().sign_in("ann@example.com").await;
        let mut conn = server.state.platform.db.read().await.unwrap();
        let session = shared::fetch_optional!(&mut conn, (SessionId,), "SELECT sid FROM browser_sessions").unwrap();
        drop(conn);
        let ann = SignedIn {
            user_id,
            sid: session.expect("a session").0,
            auth_time: server.state.platform.clock.now(),
            acr: "urn:referris:acr:password".into(),
            amr: vec!["pwd".into()],
        };
        for withdrawn in withdrawals() {
            let (registration, app) = registered(&server).await;
            let (id, _) = waiting(&server, &app).await;
            // Read a moment before the update, and decided a moment after it.
            let Ok(Loaded::Live(pending)) = load(&server.state, id).await else { panic!("it waits") };
            registration.put(&registration.with(&withdrawn)).await.json(200);
            let before = server.rows().await;
            let (state, client, request) = (&server.state, &pending.client, &pending.request);
            for decided in [
                allow(state, pending.clone(), &ann).await,
                deny(state, pending.clone()).await,
                issue(state, client, request, Some(&pending), &ann).await,
                issue(state, client, request, None, &ann).await,
            ] {
                let error = decided.expect_err("nothing is delivered");
                assert_eq!(error.code.as_str(), "invalid_request", "{withdrawn}");
            }
            assert_eq!(server.rows().await, before);
        }
    })
    .await;
}
