//! What people are shown of a client that registered itself (§2, §5).

use serde_json::{Value, json};

use super::{OPEN, app, register, web_app};
use crate::harness::{Answer, Server, each_server};

/// The consent page of the client that has this metadata.
async fn page(server: &Server, metadata: &Value) -> Answer {
    let app = app(server, &register(server, metadata).await.json(201)).await;
    let mut browser = server.browser();
    browser.sign_in("ann@example.com").await;
    let consent = browser.get(&app.authorization(&[])).await;
    browser.get(consent.location()).await
}

#[tokio::test]
async fn the_page_says_that_nobody_vouches_for_the_name_and_where_the_browser_goes__rfc7591_5() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let native = |uri: &str| {
            json!({ "client_name": "Your Bank", "redirect_uris": [uri], "token_endpoint_auth_method": "none" })
        };
        for (metadata, place) in [
            (web_app(), "<dd>app.example</dd>"),
            (native("com.evil.app:/cb"), "<dd>an app on this device (com.evil.app)</dd>"),
            (native("http://127.0.0.1:4000/cb"), "<dd>a program on this device (127.0.0.1:4000)</dd>"),
        ] {
            let page = page(&server, &metadata).await;
            assert!(page.body.contains("Nobody here has checked who is behind this app"), "{page:?}");
            assert!(page.body.contains(place), "{place}: {page:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_page_names_no_host_of_a_private_scheme__rfc8252_8_6() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        for method in ["none", "client_secret_basic"] {
            let metadata = json!({
                "client_name": "Your Bank",
                "redirect_uris": ["com.evil.app:/accounts.bank.example/cb"],
                "token_endpoint_auth_method": method,
            });
            let page = page(&server, &metadata).await;
            assert!(page.body.contains("com.evil.app") && !page.body.contains("bank.example"), "{page:?}");
        }
        // Nor of the operator's clients, who may write one there.
        let own = server.app(|client| client.redirect_uris = vec!["com.evil.app://accounts.bank.example/cb".into()]);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let consent = browser.get(&own.await.authorization(&[])).await;
        assert!(!browser.get(consent.location()).await.body.contains("bank.example"));
    })
    .await;
}

#[tokio::test]
async fn the_page_links_the_apps_site_policy_and_terms_and_loads_nothing_of_theirs__rfc7591_2() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let mut metadata = web_app();
        let plain = page(&server, &metadata).await;
        assert!(!plain.body.contains("Privacy policy") && !plain.body.contains("noopener"), "{plain:?}");
        let urls = [
            ("client_uri", "https://app.example/about", "The app’s website"),
            ("policy_uri", "https://app.example/policy?a=1&b=\"2\"", "Privacy policy"),
            ("tos_uri", "https://app.example/terms", "Terms of use"),
        ];
        for (member, url, _) in urls {
            metadata[member] = json!(url);
        }
        metadata["logo_uri"] = json!("https://app.example/logo.png");
        let page = page(&server, &metadata).await;
        for (_, url, words) in urls {
            let url = url.replace('&', "&#38;").replace('"', "&#34;");
            let link = format!("<a href=\"{url}\" target=\"_blank\" rel=\"noopener noreferrer\">{words}</a>");
            assert!(page.body.contains(&link), "{link}: {page:?}");
        }
        assert!(!page.body.contains("logo.png") && !page.body.contains("<img"), "{page:?}");
        assert!(page.header("content-security-policy").contains("img-src 'self' data:;"), "{page:?}");
    })
    .await;
}
