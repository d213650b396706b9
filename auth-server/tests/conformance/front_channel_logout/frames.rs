//! §2 and §3: the page that says good-bye opens each client's own page in a frame.

use url::Url;

use crate::harness::{Answer, each_server};

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
        // Then it goes on, with a script or without.
        let onward = format!("{BYE}?state=s");
        assert!(
            answer.body.contains(&format!("<meta http-equiv=\"refresh\" content=\"6;url={onward}\">")),
            "{answer:?}"
        );
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
