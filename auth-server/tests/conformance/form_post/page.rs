//! §2, the page that posts the response; §4, what it must not do.

use crate::harness::each_server;

#[tokio::test]
async fn the_page_sends_itself_once_is_not_cached_and_runs_no_other_script__form_post_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let url = app.authorization(&[("response_mode", "form_post")]);
        let mut browser = server.browser();
        let page = browser.authorize(&url, "ann@example.com").await;
        assert_eq!(page.status, 200, "{page:?}");
        page.is_not_cached();
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.header("location").is_empty());
        let policy = page.header("content-security-policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        assert!(nonce.len() >= 22, "{nonce}");
        assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")), "{page:?}");
        // Chromium would hold it against the redirect that the client answers the POST with.
        assert!(!policy.contains("form-action") && policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), "strict-origin");
        // Usable without JavaScript.
        assert!(page.body.contains("<button type=\"submit\""), "{page:?}");
        let again = browser.get(&url).await;
        assert!(!again.header("content-security-policy").contains(nonce), "a nonce serves once");
    })
    .await;
}

#[tokio::test]
async fn what_a_client_sent_is_escaped_in_the_page__form_post_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|m| m.redirect_uris = vec!["https://app.example/callback?a=1&b=2".into()]).await;
        let hostile = "\"><script>alert(1)</script><input name='x' value='&amp;";
        let asked = [("response_mode", "form_post"), ("state", hostile)];
        let mut browser = server.browser();
        for page in [
            browser.authorize(&app.authorization(&asked), "ann@example.com").await,
            browser.get(&app.authorization(&[asked[0], asked[1], ("scope", "nonsense")])).await,
        ] {
            assert!(!page.body.contains("<script>alert"), "{page:?}");
            let (action, fields) = page.form();
            assert_eq!(action, "https://app.example/callback?a=1&b=2");
            assert_eq!(fields["state"], hostile);
        }
    })
    .await;
}
