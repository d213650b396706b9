//! §9.1: strangers choose which documents are fetched. How many, and at whose pace, they do not.

use std::time::Duration;

use axum::http::Request;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::json;
use shared::http::ClientIp;

use super::{ON, app, document, publish};
use crate::harness::{ALLOWED, Answer, Server, Site, Trap, each_server};

const LIMITED: (&str, &str) = ("LIMITS__ENABLED", "true");

/// A flow begins at a device, for `id`, from the address 192.0.2.`caller`. (A document without the device grant is refused
/// after it was fetched: that is enough here.)
async fn begin(server: &Server, id: &str, caller: u8) -> Answer {
    let request = Request::post("/oauth/device_authorization")
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(ClientIp([192, 0, 2, caller].into()));
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    server.send(request, format!("client_id={id}")).await
}

#[track_caller]
fn was_fetched(answer: &Answer) {
    answer.is_error(400, "unauthorized_client");
}

#[track_caller]
fn comes_too_early(answer: &Answer) {
    answer.is_error(429, "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{answer:?}");
}

#[tokio::test]
async fn a_document_is_fetched_for_the_first_time_where_a_flow_begins__cimd_9_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let mut app = app(&server, &publish(&site, "/client")).await;
        let before = server.rows().await;
        app.exchange("no-such-code").await.is_error(401, "invalid_client");
        for path in ["/oauth/introspect", "/oauth/revoke"] {
            app.post(path, &[("token", "no-such-token")]).await.is_error(401, "invalid_client");
        }
        let out = format!("/oauth/logout?client_id={}&post_logout_redirect_uri=https://app.example/", app.client_id);
        server.browser().get(&out).await.is_error_page();
        assert_eq!((site.asked("/client"), server.rows().await), (0, before));

        server.browser().get(&app.authorization(&[])).await.location();
        assert_eq!(site.asked("/client"), 1);
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        app.client_id = publish(&site, "/pushing");
        app.post("/oauth/par", &app.parameters(&[("client_id", "")])).await.json(201);
        app.client_id = publish(&site, "/device");
        was_fetched(&begin(&server, &app.client_id, 1).await);
        assert_eq!((site.asked("/client"), site.asked("/pushing"), site.asked("/device")), (1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn fetches_are_limited_by_caller_and_by_host__cimd_9_1() {
    let settings = [ON, ALLOWED, LIMITED, ("LIMITS__CLIENT_DOCUMENTS_PER_MINUTE", "2")];
    each_server(&settings, |server| async move {
        let site = Site::start().await;
        let id = |name: &str| format!("{}/{name}", site.url);
        site.publish("/known", &document(&id("known")));
        was_fetched(&begin(&server, &id("known"), 8).await);
        // It goes stale; the clock stands still, for the limits' sake.
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        let now = platform.clock.now();
        shared::execute!(&mut tx, "UPDATE clients SET document_expires_at = $2 WHERE client_id = $1", id("known"), now)
            .unwrap();
        tx.commit().await.unwrap();
        server.state.clients.forget(&id("known").as_str().into()).await;

        let before = server.rows().await;
        // Nothing is there: made-up ids.
        for caller in 1..=2 {
            for n in 0..2 {
                begin(&server, &id(&format!("{caller}-{n}")), caller).await.is_error(401, "invalid_client");
            }
            comes_too_early(&begin(&server, &id(&format!("{caller}-more")), caller).await);
        }
        begin(&server, &id("3-0"), 3).await.is_error(401, "invalid_client");
        // The host has had its share.
        comes_too_early(&begin(&server, &id("3-1"), 3).await);
        comes_too_early(&begin(&server, &id("more"), 9).await);
        let asked = |path: &str| site.asked(path);
        assert_eq!(["/1-more", "/2-more", "/3-1", "/more"].map(asked), [0; 4]);
        assert_eq!(["/1-0", "/1-1", "/2-0", "/2-1", "/3-0"].map(asked), [1; 5]);
        assert_eq!(server.rows().await, before);
        // What is known there is renewed all the same.
        was_fetched(&begin(&server, &id("known"), 9).await);
        assert_eq!(site.asked("/known"), 2);
    })
    .await;
}

#[tokio::test]
async fn strangers_are_limited_over_all_hosts_together__cimd_9_1() {
    let anywhere_here = ("OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]");
    let settings = [ON, anywhere_here, LIMITED, ("LIMITS__CLIENT_DOCUMENTS_PER_MINUTE", "1")];
    each_server(&settings, |server| async move {
        let site = Site::start().await;
        // Every one at a host of its own, as far as its name goes; all are this machine.
        let id = |n: u8| site.url.replace("127.0.0.1", &format!("127.0.0.{n}")) + "/nothing";
        for n in 1..=10 {
            begin(&server, &id(n), n).await.is_error(401, "invalid_client");
        }
        comes_too_early(&begin(&server, &id(11), 11).await);
    })
    .await;
}

#[tokio::test]
async fn one_document_is_asked_for_a_few_times_a_minute__cimd_9_1() {
    each_server(&[ON, ALLOWED, LIMITED], |server| async move {
        let site = Site::start().await;
        let id = format!("{}/client", site.url);
        for n in 0..6 {
            let answer = begin(&server, &id, n).await;
            if n < 3 {
                answer.is_error(401, "invalid_client")
            } else {
                answer.is_error(429, "temporarily_unavailable")
            };
        }
        assert_eq!(site.asked("/client"), 3);
    })
    .await;
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch__cimd_5_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        for answer in join_all((0..10).map(|n| begin(&server, &app.client_id, n))).await {
            was_fetched(&answer);
        }
        assert_eq!(site.asked("/client"), 1);
        server.state.platform.clock.advance(Duration::from_secs(3600));
        server.state.clients.forget(&app.client_id.as_str().into()).await;
        for answer in join_all((0..10).map(|_| app.exchange("no-such-code"))).await {
            answer.is_error(400, "invalid_grant");
        }
        assert_eq!(site.asked("/client"), 2);
    })
    .await;
}

#[tokio::test]
async fn silent_hosts_hold_up_a_few_and_no_client_that_is_known__cimd_9_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        was_fetched(&begin(&server, &app.client_id, 1).await);
        server.state.platform.clock.advance(Duration::from_secs(3600));
        server.state.clients.forget(&app.client_id.as_str().into()).await;

        let trap = Trap::silent().await;
        let id = |n: usize| format!("http://127.0.0.1:{}/{n}", trap.port);
        let server = &server;
        let mut all: FuturesUnordered<_> = (0..40).map(|n| async move { begin(server, &id(n), 1).await }).collect();
        for _ in 0..40 - 16 {
            comes_too_early(&all.next().await.expect("another"));
        }
        assert!(trap.came() <= 16);
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        assert_eq!(site.asked("/client"), 2);
        drop(all);
        // Their places are free again.
        was_fetched(&begin(server, &publish(&site, "/another"), 1).await);
    })
    .await;
}

#[tokio::test]
async fn a_document_that_is_mended_counts_at_once__cimd_5_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let id = site.publish("/client", &json!({ "client_id": "another" }));
        begin(&server, &id, 1).await.is_error(401, "invalid_client");
        publish(&site, "/client");
        was_fetched(&begin(&server, &id, 1).await);
    })
    .await;
}
