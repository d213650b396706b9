//! §10.2: what a person allowed a client in one place is not given to whoever poses as it in another.

use crate::harness::each_server;

const TRUSTED: &str = "https://trusted.example/cb";
const OTHER: &str = "https://other.example/cb";

#[tokio::test]
async fn consent_for_one_host_is_asked_again_for_another__rfc6749_10_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let mut app = server.app(|m| m.redirect_uris = vec![TRUSTED.into(), OTHER.into()]).await;
        let mut browser = server.browser();
        let asked = [("scope", "openid email")];
        app.tokens(&mut browser, "ann@example.com", &asked).await;
        assert!(browser.get(&app.authorization(&asked)).await.location().starts_with(TRUSTED));

        app.redirect_uri = OTHER.to_owned();
        let before = server.rows().await;
        let silent = app.authorization(&[("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("consent_required");
        assert_eq!(server.rows().await, before);
        let consent = browser.get(&app.authorization(&[])).await;
        assert!(consent.location().starts_with("/consent?"), "{consent:?}");
        let page = browser.get(consent.location()).await;
        assert!(page.body.contains("other.example") && !page.body.contains("trusted.example"), "{page:?}");
        // Less is allowed there, and no more than that goes there.
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        assert!(browser.get(&app.authorization(&[])).await.location().starts_with(OTHER));
        let more = browser.get(&app.authorization(&asked)).await;
        assert!(more.location().starts_with("/consent?"), "{more:?}");
        app.redirect_uri = TRUSTED.to_owned();
        assert!(browser.get(&app.authorization(&asked)).await.location().starts_with(TRUSTED));
    })
    .await;
}
