//! §2 and §3: the page that says good-bye opens each client's own page in a frame.

use url::Url;

use crate::harness::{Answer, PASSWORD, each_server};

const BYE: &str = "https://one.example/bye";

fn frames(answer: &Answer) -> Vec<Url> {
    let sources = answer.body.split("<iframe src=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    sources.map(|source| Url::parse(&source.replace("&#38;", "&").replace("&amp;", "&")).unwrap()).collect()
}

#[tokio::test]
async fn each_client_of_the_session_gets_a_frame_and_no_other_origin_may_be_framed__front_channel_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let one = server
            .app(|m| {
                m.redirect_uris = vec!["https://one.example/cb".into()];
                m.post_logout_redirect_uris = vec![BYE.into()];
                m.frontchannel_logout_uri = Some("https://one.example/out?x=1".into());
                m.frontchannel_logout_session_required = true;
            })
            .await;
        let two = server
            .app(|m| {
                m.redirect_uris = vec!["https://two.example:8443/cb".into()];
                m.frontchannel_logout_uri = Some("https://two.example:8443/out".into());
            })
            .await;
        let unseen = server
            .app(|m| {
                m.redirect_uris = vec!["https://three.example/cb".into()];
                m.frontchannel_logout_uri = Some("https://three.example/out".into());
            })
            .await;
        let mut browser = server.browser();
        let tokens = one.tokens(&mut browser, "ann@example.com", &[]).await;
        two.tokens(&mut browser, "ann@example.com", &[]).await;
        unseen.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let hint = tokens["id_token"].as_str().unwrap();
        let sid = shared::jose::jwt::Unverified::parse(hint, 8192).unwrap().claims()["sid"].clone();

        let url = format!("/oauth/logout?id_token_hint={hint}&post_logout_redirect_uri={BYE}&state=s");
        let answer = browser.get(&url).await;
        assert_eq!(answer.status, 200);
        answer.is_not_cached();
        let mut opened = frames(&answer);
        opened.sort();
        assert_eq!(opened.len(), 2, "{opened:?}");
        let pairs: Vec<(String, String)> = opened[0].query_pairs().into_owned().collect();
        let expected = [("x", "1"), ("iss", server.state.issuer()), ("sid", sid.as_str().unwrap())];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(opened[1].as_str(), "https://two.example:8443/out");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.ends_with("; frame-src https://one.example https://two.example:8443"), "{policy}");
        assert_eq!(answer.body.matches("sandbox=\"allow-scripts allow-same-origin\"").count(), 2);
        // Then a script goes on. Without one the page waits for who reads it (WCAG 2.2.1), and promises nothing else.
        let onward = format!("{BYE}?state=s");
        assert!(!answer.body.contains("http-equiv=\"refresh\""), "{answer:?}");
        assert!(answer.body.contains("data-soon hidden"), "{answer:?}");
        assert!(answer.body.contains(&format!("href=\"{onward}\" data-onward")), "{answer:?}");

        // Once told, nobody is told again.
        assert_eq!(browser.get(&url).await.location(), onward);
    })
    .await;
}

#[tokio::test]
async fn signing_out_by_oneself_tells_the_clients_too__front_channel_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|m| m.frontchannel_logout_uri = Some("https://app.example/out".into())).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        let csrf = browser.get("/logout").await.hidden("csrf");
        let answer = browser.post("/logout", &[("csrf", &csrf)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(frames(&answer)[0].as_str(), "https://app.example/out");
        assert!(!answer.body.contains("http-equiv=\"refresh\""), "it stays: {answer:?}");

        // A page without frames may frame nothing at all.
        let plain = browser.get("/oauth/logout").await;
        assert!(!plain.header("content-security-policy").contains("frame-src"), "{plain:?}");
    })
    .await;
}

#[tokio::test]
async fn a_pairwise_client_is_told_the_sid_that_it_knows__front_channel_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server
            .app(|m| {
                m.subject_type = auth_server::clients::SubjectType::Pairwise;
                m.frontchannel_logout_uri = Some("https://app.example/out".into());
                m.frontchannel_logout_session_required = true;
            })
            .await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        let csrf = browser.get("/logout").await.hidden("csrf");
        let answer = browser.post("/logout", &[("csrf", &csrf)]).await;
        let pairs: Vec<(String, String)> = frames(&answer)[0].query_pairs().into_owned().collect();
        assert_eq!(pairs[1], ("sid".to_owned(), id_token["sid"].as_str().unwrap().to_owned()));
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_sign_in_tells_the_apps_of_whoever_was_here_before__front_channel_3() {
    each_server(&[], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let app = server.app(|m| m.frontchannel_logout_uri = Some("https://app.example/out".into())).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        for (email, told) in [("ann@example.com", 0), ("bob@example.com", 1)] {
            let login = browser.get(&app.authorization(&[("prompt", "login")])).await;
            let page = browser.get(login.location()).await;
            let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
            let form = [("csrf", &*csrf), ("request", &request), ("email", email), ("password", PASSWORD)];
            let answer = browser.post("/login", &form).await;
            let onward = format!("/oauth/authorize/continue?request={request}");
            if told == 0 {
                assert_eq!(answer.location(), onward, "the same person goes on with the same session");
                continue;
            }
            assert_eq!(frames(&answer)[0].as_str(), "https://app.example/out");
            assert!(answer.header("content-security-policy").ends_with("; frame-src https://app.example"));
            assert!(answer.body.contains(&format!("href=\"{onward}\" data-onward")), "{answer:?}");
            let answer = browser.authorize(&onward, email).await;
            assert!(answer.query().contains_key("code"), "{answer:?}");
        }
    })
    .await;
}
