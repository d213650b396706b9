//! A session that ends while a request of it is being answered: no code slips past its end.

use shared::ids::SessionId;

use crate::harness::{Server, each_server};

const ANN: &str = "ann@example.com";

/// Ends every session, as signing out in another tab does, before this process has heard of it.
pub async fn end_sessions(server: &Server) {
    let platform = &server.state.platform;
    let mut tx = platform.db.begin().await.unwrap();
    let sids = shared::fetch_all!(&mut tx, (SessionId,), "SELECT sid FROM browser_sessions").unwrap();
    assert!(!sids.is_empty());
    for (sid,) in sids {
        auth_server::sessions::end(&mut tx, platform, sid).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn allowing_in_a_session_that_ended_gives_no_code__oidc_core_3_1_2_3() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in(ANN).await;
        let consent = browser.get(&app.authorization(&[])).await.location().to_owned();
        let page = browser.get(&consent).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let decision = [("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "allow")];
        end_sessions(&server).await;
        let before = server.rows().await;
        let answer = browser.post("/consent", &decision).await;
        assert!(answer.location().starts_with("/login?request="), "{answer:?}");
        assert_eq!(server.rows().await, before);
        // The request waits for whoever signs in now.
        let answer = browser.follow(answer, ANN).await;
        app.exchange(&answer.query()["code"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_silent_renewal_in_a_session_that_ended_is_login_required__oidc_core_3_1_2_6() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in(ANN).await;
        assert!(browser.get(&app.authorization(&[("prompt", "none")])).await.query().contains_key("code"));
        end_sessions(&server).await;
        let before = server.rows().await;
        let silent = browser.get(&app.authorization(&[("prompt", "none")])).await;
        silent.redirects_with_error("login_required");
        assert_eq!(server.rows().await, before);
        // Who may be asked is asked to sign in.
        let answer = browser.get(&app.authorization(&[])).await;
        assert!(answer.location().starts_with("/login?request="), "{answer:?}");
        assert!(browser.follow(answer, ANN).await.query().contains_key("code"));
        // The session that began then is another one: word of the first one's end does not reach it.
        let platform = &server.state.platform;
        platform.revocations.refresh(&platform.db, platform.clock.now()).await.unwrap();
        assert!(browser.get(&app.authorization(&[("prompt", "none")])).await.query().contains_key("code"));
    })
    .await;
}
