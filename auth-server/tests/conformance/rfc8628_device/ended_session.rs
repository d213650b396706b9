//! §3.3: who decides is signed in while they do.

use super::{begin, device, poll};
use crate::harness::each_server;
use crate::oidc_core::ended_session::end_sessions;

#[tokio::test]
async fn a_session_that_ended_meanwhile_decides_for_no_device__rfc8628_3_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let code = begun["user_code"].as_str().unwrap();
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let page = browser.get(&format!("/device?user_code={code}")).await;
        let (csrf, typed) = (page.hidden("csrf"), page.hidden("user_code"));
        end_sessions(&server).await;
        let before = server.rows().await;
        for decision in ["allow", "deny"] {
            let form = [("csrf", csrf.as_str()), ("user_code", typed.as_str()), ("decision", decision)];
            let answer = browser.post("/device", &form).await;
            assert!(answer.location().starts_with("/login?request=device-"), "{answer:?}");
        }
        assert_eq!(server.rows().await, before);
        poll(&app, &begun).await.is_error(400, "authorization_pending");
    })
    .await;
}
