//! §2.5 and §2.8: the request, its answers, and what happens when there is none.

use std::time::Duration;

use chrono::TimeDelta;
use shared::outbox;

use super::{listening, settled, sign_out, waiting, worker};
use crate::harness::{ALLOWED, App, RelyingParty, Server, Trap, each_server};

async fn signed_out(server: &Server, party: &RelyingParty) -> App {
    server.person("ann@example.com").await;
    let app = server.app(listening(party)).await;
    let mut browser = server.browser();
    app.tokens(&mut browser, "ann@example.com", &[]).await;
    sign_out(&mut browser).await;
    app
}

/// What was given up, by the audit.
async fn given_up(server: &Server) -> Vec<(Option<String>, String)> {
    let mut conn = server.state.platform.db.read().await.unwrap();
    shared::fetch_all!(
        &mut conn,
        (Option<String>, String),
        "SELECT client_id, CAST(details AS TEXT) FROM audit_events WHERE kind = 'outbox.given_up' ORDER BY id"
    )
    .unwrap()
}

#[tokio::test]
async fn a_client_that_fails_is_tried_again_ever_more_patiently__back_channel_2_8() {
    each_server(&[ALLOWED], |server| async move {
        let party = RelyingParty::start().await;
        party.answers(503);
        signed_out(&server, &party).await;
        let _worker = worker(&server);
        for attempt in 1..=3 {
            party.hears(attempt).await;
            for _ in 0..100 {
                if waiting(&server).await[0].1.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (attempts, error, _) = waiting(&server).await.remove(0);
            assert_eq!((attempts, error.as_deref()), (i64::try_from(attempt).unwrap(), Some("status 503")));
            if attempt == 3 {
                party.answers(204);
            }
            // Not before its time.
            tokio::time::sleep(Duration::from_millis(700)).await;
            assert_eq!(party.received(), attempt);
            server.state.platform.clock.advance(Duration::from_secs(60));
        }
        party.hears(4).await;
        settled(&server).await;
        assert!(given_up(&server).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_client_that_refuses_or_sends_elsewhere_is_given_up_and_that_is_on_record__back_channel_2_8() {
    each_server(&[ALLOWED], |server| async move {
        for (number, status) in [400, 307].into_iter().enumerate() {
            let party = RelyingParty::start().await;
            party.answers(status);
            server.state.platform.clock.advance(Duration::from_secs(1));
            let app = server.app(listening(&party)).await;
            if number == 0 {
                server.person("ann@example.com").await;
            }
            let mut browser = server.browser();
            app.tokens(&mut browser, "ann@example.com", &[]).await;
            sign_out(&mut browser).await;
            let _worker = worker(&server);
            settled(&server).await;
            assert_eq!(party.received(), 1, "a redirect is not followed");
            let (client, details) = given_up(&server).await.pop().unwrap();
            assert_eq!(client.as_deref(), Some(app.client_id.as_str()));
            assert!(details.contains(&format!("status {status}")), "{details}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_private_address_is_never_called__back_channel_4() {
    let (trap, party) = (Trap::start().await, RelyingParty::start().await);
    let (trap, party) = (&trap, &party);
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let mut browser = server.browser();
        for uri in trap.urls("/logout").into_iter().chain([party.url.clone()]) {
            let app = server.app(|m| m.backchannel_logout_uri = Some(uri)).await;
            app.tokens(&mut browser, "ann@example.com", &[]).await;
        }
        sign_out(&mut browser).await;
        // They were registered while the operator let them through; now they would not be.
        let mut platform = server.state.platform.clone();
        platform.outbound = shared::outbound::Outbound::new::<&str>(&[], platform.clock.clone()).unwrap();
        let state = auth_server::AppState::new(platform).await.unwrap();
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        auth_server::outside::spawn(&state, stopped);
        settled(&server).await;
        assert_eq!((trap.came(), party.received()), (0, 0));
        let reasons = given_up(&server).await;
        let because = |reason: &str| reasons.iter().filter(|(_, details)| details.contains(reason)).count();
        assert_eq!((because("not public"), because("https://")), (3, 1), "{reasons:?}");
    })
    .await;
}

#[tokio::test]
async fn a_job_survives_the_process_that_had_it__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        let party = RelyingParty::start().await;
        signed_out(&server, &party).await;
        let platform = &server.state.platform;
        // This one is killed with the job in hand.
        let lease = TimeDelta::seconds(60);
        let taken = outbox::take(&platform.db, "backchannel_logout", platform.clock.now(), lease, 9).await.unwrap();
        assert_eq!(taken.len(), 1);
        // Another starts.
        let restarted = auth_server::AppState::new(platform.clone()).await.unwrap();
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        auth_server::outside::spawn(&restarted, stopped);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(party.received(), 0, "the lease holds");
        platform.clock.advance(Duration::from_secs(61));
        party.hears(1).await;
        settled(&server).await;
        assert_eq!(party.received(), 1);
    })
    .await;
}
