//! §2.5 and §2.7: when clients are told, which ones, and what outlasts it.

use auth_server::protocol::grants::revocation;
use auth_server::{accounts, sessions};
use shared::outbox::{self, Job};

use super::{listening, settled, sign_out, waiting, worker};
use crate::harness::{ALLOWED, RelyingParty, each_server};

#[tokio::test]
async fn every_client_of_the_session_is_told_once_and_no_other__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let [one, two, other] = [RelyingParty::start().await, RelyingParty::start().await, RelyingParty::start().await];
        let mut browser = server.browser();
        let app = server.app(listening(&one)).await;
        for _ in 0..2 {
            app.tokens(&mut browser, "ann@example.com", &[]).await;
        }
        // A past grant counts as well: the client has signed the person in by it.
        let past = server.app(listening(&two)).await;
        let tokens = past.tokens(&mut browser, "ann@example.com", &[]).await;
        past.post("/oauth/revoke", &[("token", tokens["refresh_token"].as_str().unwrap())]).await;
        let silent = server.app(|_| {}).await;
        silent.tokens(&mut browser, "ann@example.com", &[]).await;
        let elsewhere = server.app(listening(&other)).await;
        elsewhere.tokens(&mut server.browser(), "ann@example.com", &[]).await;

        sign_out(&mut browser).await;
        let jobs = waiting(&server).await;
        assert_eq!(jobs.len(), 2, "{jobs:?}");
        assert!(jobs.iter().all(|(_, _, payload)| !payload.contains("eyJ") && !payload.contains('@')), "{jobs:?}");
        let _worker = worker(&server);
        settled(&server).await;
        assert_eq!((one.received(), two.received(), other.received()), (1, 1, 0));
    })
    .await;
}

#[tokio::test]
async fn offline_access_outlasts_the_session__back_channel_2_7() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let app = server.app(listening(&party)).await;
        let mut browser = server.browser();
        let online = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let offline = app
            .tokens(&mut browser, "ann@example.com", &[("scope", "openid offline_access"), ("prompt", "consent")])
            .await;
        sign_out(&mut browser).await;
        app.refresh(online["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");
        app.refresh(offline["refresh_token"].as_str().unwrap()).await.json(200);
        let _worker = worker(&server);
        party.hears(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_remembers_its_clients_for_as_long_as_it_lives__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let app = server
            .app(|m| {
                listening(&party)(m);
                // Nothing of it is left when its access token has expired, but for the memory.
                m.grant_types = vec!["authorization_code".into()];
            })
            .await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        let platform = &server.state.platform;
        platform.clock.advance(std::time::Duration::from_secs(13 * 86_400));
        auth_server::sweeper::sweep(platform).await.unwrap();
        sign_out(&mut browser).await;
        assert_eq!(waiting(&server).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_an_account_is_told_to_all_its_clients__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        let ann = server.person("ann@example.com").await;
        let [party, strict] = [RelyingParty::start().await, RelyingParty::start().await];
        let app = server.app(listening(&party)).await;
        let demanding = server
            .app(|m| {
                listening(&strict)(m);
                m.backchannel_logout_session_required = true;
            })
            .await;
        let [mut here, mut there] = [server.browser(), server.browser()];
        app.tokens(&mut here, "ann@example.com", &[]).await;
        app.tokens(&mut there, "ann@example.com", &[]).await;
        demanding.tokens(&mut here, "ann@example.com", &[]).await;
        // These go on without a session.
        let offline = [("scope", "openid offline_access"), ("prompt", "consent")];
        let mut gone = server.browser();
        app.tokens(&mut gone, "ann@example.com", &offline).await;
        demanding.tokens(&mut gone, "ann@example.com", &offline).await;
        sign_out(&mut gone).await;
        assert_eq!(waiting(&server).await.len(), 2);

        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        accounts::delete(&mut tx, platform, ann, "test").await.unwrap();
        tx.commit().await.unwrap();
        // Two sessions and one without, and the one session of the client that wants to know which.
        assert_eq!(waiting(&server).await.len(), 2 + 3 + 1);
        let _worker = worker(&server);
        settled(&server).await;
        assert_eq!((party.received(), strict.received()), (4, 2));
        assert_eq!(party.logout_token(&server.state).claims["sub"], ann.to_string());
        assert!(strict.logout_token(&server.state).claims.contains_key("sid"));
    })
    .await;
}

#[tokio::test]
async fn who_proves_an_address_ends_the_sessions_of_who_had_it_and_clients_hear_of_it__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        let ann = server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let app = server.app(listening(&party)).await;
        app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let platform = &server.state.platform;
        // What a password that changes hands does.
        let mut tx = platform.db.begin().await.unwrap();
        sessions::end_all_of(&mut tx, platform, ann).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(waiting(&server).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn signing_in_as_somebody_else_and_the_operators_word_end_sessions_too__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let party = RelyingParty::start().await;
        let app = server.app(listening(&party)).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        let login = browser.get(&app.authorization(&[("prompt", "login")])).await;
        let code = browser.follow(login, "bob@example.com").await.query()["code"].clone();
        assert_eq!(waiting(&server).await.len(), 1, "ann's session is over");

        let tokens = app.exchange(&code).await.json(200);
        let id_token = shared::jose::jwt::Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap();
        let sid = id_token.claims()["sid"].as_str().unwrap().parse().unwrap();
        let which = revocation::Which { session: Some(sid), ..Default::default() };
        revocation::revoke(&server.state.platform, &which).await.unwrap();
        assert_eq!(waiting(&server).await.len(), 2);
        revocation::revoke(&server.state.platform, &which).await.unwrap();
        assert_eq!(waiting(&server).await.len(), 2, "once");
    })
    .await;
}

#[tokio::test]
async fn what_does_not_commit_tells_nobody_and_a_session_ends_once__back_channel_2_5() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let app = server.app(listening(&party)).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let id_token = shared::jose::jwt::Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap();
        let sid: shared::ids::SessionId = id_token.claims()["sid"].as_str().unwrap().parse().unwrap();
        let platform = &server.state.platform;
        let before = server.rows().await;
        let mut tx = platform.db.begin().await.unwrap();
        assert_eq!(sessions::end(&mut tx, platform, sid).await.unwrap().len(), 1);
        drop(tx);
        assert_eq!(server.rows().await, before);
        for expected in [1, 0] {
            let mut tx = platform.db.begin().await.unwrap();
            assert_eq!(sessions::end(&mut tx, platform, sid).await.unwrap().len(), expected);
            tx.commit().await.unwrap();
        }
        let taken =
            outbox::take(&platform.db, "backchannel_logout", platform.clock.now(), chrono::TimeDelta::zero(), 9);
        let taken = taken.await.unwrap();
        assert_eq!(taken.len(), 1);
        assert!(matches!(&taken[0].job, Job::BackchannelLogout { sid: Some(told), .. } if *told == sid));
    })
    .await;
}
