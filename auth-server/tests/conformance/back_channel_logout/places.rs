//! §2.8: one client's silence is not everybody's.

use std::time::Duration;

use auth_server::clients::ClientMetadata;
use shared::outbox::{self, Job};

use super::{listening, settled, sign_out, waiting, worker};
use crate::harness::{ALLOWED, RelyingParty, Trap, each_server};

#[tokio::test]
async fn a_silent_client_does_not_keep_others_from_being_told__back_channel_2_8() {
    each_server(&[ALLOWED], |server| async move {
        let ann = server.person("ann@example.com").await;
        let (trap, party) = (Trap::silent().await, RelyingParty::start().await);
        let silent = server
            .app(|m: &mut ClientMetadata| {
                m.backchannel_logout_uri = Some(format!("http://127.0.0.1:{}/logout", trap.port));
            })
            .await;
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        for _ in 0..50 {
            let client_id = silent.client_id.as_str().into();
            let job = Job::BackchannelLogout { client_id, user_id: ann, sid: None, sector: None };
            outbox::enqueue(&mut tx, platform, &job).await.unwrap();
        }
        tx.commit().await.unwrap();
        let good = server.app(listening(&party)).await;
        let mut browser = server.browser();
        good.tokens(&mut browser, "ann@example.com", &[]).await;
        sign_out(&mut browser).await;
        let _worker = worker(&server);
        // Long before the fifty have each had their five seconds, eight at a time.
        tokio::time::timeout(Duration::from_secs(10), party.hears(1)).await.unwrap();
        assert!(trap.came() <= 4, "two at a time: {}", trap.came());
        let tried = waiting(&server).await.iter().filter(|(attempts, ..)| *attempts > 0).count();
        assert!(tried <= 12, "what was not tried does not count as a try: {tried}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_nobody_vouched_for_is_tried_ten_times__back_channel_2_8() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        party.answers(503);
        let app = server.app(listening(&party)).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        sign_out(&mut browser).await;
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "UPDATE clients SET origin = 'registered' WHERE client_id = $1", &app.client_id)
            .unwrap();
        shared::execute!(&mut tx, "UPDATE outbox SET attempts = 9").unwrap();
        tx.commit().await.unwrap();
        let _worker = worker(&server);
        settled(&server).await;
        assert_eq!(party.received(), 1);
    })
    .await;
}
