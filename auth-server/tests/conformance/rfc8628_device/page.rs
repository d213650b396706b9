//! §3.3, the page; §5.1, guessing.

use serde_json::json;

use super::{GRANT, begin, decide, device, poll};
use crate::client_id_metadata_document as document;
use crate::harness::{ALLOWED, Site, each_server};
use crate::rfc7591_registration::{self, OPEN, register};
use crate::rfc7592_management::Registration;

#[tokio::test]
async fn a_person_signs_in_types_the_code_and_sees_whose_it_is__rfc8628_3_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let code = begun["user_code"].as_str().unwrap();
        let mut browser = server.browser();
        let login = browser.get("/device").await;
        assert_eq!(login.location(), "/login?request=device");
        let page = browser.get("/login?request=device").await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "ann@example.com")];
        let form = [&form[..], &[("password", crate::harness::PASSWORD)]].concat();
        assert_eq!(browser.post("/login", &form).await.location(), "/device");

        let page = browser.get("/device").await;
        let typed = code.to_lowercase().replace('-', " ");
        let csrf = page.hidden("csrf");
        let answer = browser.post("/device", &[("csrf", &csrf), ("user_code", &typed)]).await;
        assert_eq!(answer.location(), format!("/device?user_code={code}"));
        let page = browser.get(answer.location()).await;
        for shown in ["Wonder App", code, "See your email address", "ann@example.com"] {
            assert!(page.body.contains(shown), "{shown}: {page:?}");
        }
        poll(&app, &begun).await.is_error(400, "authorization_pending");
        let done = decide(&mut browser, &begun, "allow").await;
        assert_eq!(done.status, 200);
        poll(&app, &begun).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn the_complete_link_survives_the_sign_in_and_still_asks__rfc8628_3_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let link = begun["verification_uri_complete"].as_str().unwrap();
        let mut browser = server.browser();
        let login = browser.get(server.path_of(link).unwrap()).await.location().to_owned();
        let page = browser.get(&login).await;
        assert!(page.body.contains("/signup?request=device-"), "{page:?}");
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "ann@example.com")];
        let form = [&form[..], &[("password", crate::harness::PASSWORD)]].concat();
        let onward = browser.post("/login", &form).await.location().to_owned();
        assert_eq!(onward, server.path_of(link).unwrap());
        let page = browser.get(&onward).await;
        assert!(page.body.contains("value=\"allow\""), "{page:?}");
        poll(&app, &begun).await.is_error(400, "authorization_pending");
    })
    .await;
}

#[tokio::test]
async fn only_a_form_of_ours_decides_and_only_once__rfc8628_5_4() {
    each_server(&[], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let app = device(&server).await;
        let begun = begin(&app).await;
        let code = begun["user_code"].as_str().unwrap();
        let (mut ann, mut bob) = (server.browser(), server.browser());
        ann.sign_in("ann@example.com").await;
        bob.sign_in("bob@example.com").await;
        let bobs = bob.get("/device").await.hidden("csrf");
        let before = server.rows().await;
        for csrf in ["", "AAAA", &bobs] {
            let answer = ann.post("/device", &[("csrf", csrf), ("user_code", code), ("decision", "allow")]).await;
            assert_eq!(answer.status, 403);
        }
        let csrf = ann.get("/device").await.hidden("csrf");
        let odd = ann.post("/device", &[("csrf", &csrf), ("user_code", code), ("decision", "maybe")]).await;
        assert_eq!(odd.status, 400);
        let nobody = server.post("/device", &[("csrf", ""), ("user_code", code), ("decision", "allow")]).await;
        assert_eq!(nobody.location(), format!("/login?request=device-{}", code.replace('-', "")));
        assert_eq!(server.rows().await, before);

        assert_eq!(decide(&mut ann, &begun, "allow").await.status, 200);
        let before = server.rows().await;
        for decision in ["allow", "deny"] {
            let form = [("csrf", &*bobs), ("user_code", code), ("decision", decision)];
            assert_eq!(bob.post("/device", &form).await.status, 422);
        }
        assert_eq!(server.rows().await, before);
        let tokens = poll(&app, &begun).await.json(200);
        assert!(tokens["access_token"].is_string());
    })
    .await;
}

#[tokio::test]
async fn of_two_people_who_allow_at_once_one_wins__rfc8628_3_3() {
    each_server(&[], |server| async move {
        let people = ["ann@example.com", "bob@example.com", "cid@example.com"];
        let app = device(&server).await;
        let begun = begin(&app).await;
        let code = begun["user_code"].as_str().unwrap();
        let mut forms = vec![];
        for email in people {
            server.person(email).await;
            let mut browser = server.browser();
            browser.sign_in(email).await;
            let csrf = browser.get("/device").await.hidden("csrf");
            forms.push((browser, csrf));
        }
        let decisions = forms.iter_mut().map(|(browser, csrf)| async move {
            browser.post("/device", &[("csrf", csrf), ("user_code", code), ("decision", "allow")]).await
        });
        let answers = futures::future::join_all(decisions).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 422));
        assert_eq!(server.rows().await.count("grants"), 1);
    })
    .await;
}

#[tokio::test]
async fn guessing_is_limited_by_account_and_wrong_codes_look_alike__rfc8628_5_1() {
    each_server(&[("LIMITS__ENABLED", "true")], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let before = server.rows().await;
        for guess in 0..10 {
            let wrong = if guess % 2 == 0 { "BBBB-BBBB" } else { "nonsense" };
            let answer = browser.get(&format!("/device?user_code={wrong}")).await;
            assert_eq!(answer.status, 422);
            assert!(answer.body.contains("No device is waiting under this code"), "{answer:?}");
        }
        // Now even the right one has to wait.
        let right = format!("/device?user_code={}", begun["user_code"].as_str().unwrap());
        let limited = browser.get(&right).await;
        assert_eq!(limited.status, 429);
        assert!(!limited.header("retry-after").is_empty());
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_page_speaks_russian_too__rfc8628_3_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let begun = begin(&device(&server).await).await;
        let mut browser = server.browser();
        browser.language = "ru";
        browser.sign_in("ann@example.com").await;
        let page = browser.get(&format!("/device?user_code={}", begun["user_code"].as_str().unwrap())).await;
        assert!(page.body.contains("lang=\"ru\"") && page.body.contains("Разрешить"), "{page:?}");
    })
    .await;
}

#[tokio::test]
async fn the_page_says_who_is_behind_the_app__rfc8628_5_4() {
    each_server(&[OPEN, document::ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let grants = json!([GRANT, "refresh_token"]);
        let site = Site::start().await;
        let id = format!("{}/client", site.url);
        let mut published = document::document(&id);
        published["grant_types"] = grants.clone();
        published["client_name"] = json!("Referris Mobile");
        published["redirect_uris"] = json!([]);
        site.publish("/client", &published);
        let published = document::app(&server, &id).await;
        let asked =
            json!({ "client_name": "Referris Mobile", "grant_types": grants, "token_endpoint_auth_method": "none" });
        let registered = register(&server, &asked).await.json(201);
        let registered = rfc7591_registration::app(&server, &registered).await;
        let own = server
            .own_app(|m| {
                m.redirect_uris = vec![];
                m.grant_types = vec![GRANT.into()];
            })
            .await;
        let (unchecked, ours) = ("Nobody here has checked", "one of our own apps");
        let host = site.url.strip_prefix("http://").unwrap();
        let known = device(&server).await;
        for (app, there, absent) in [
            (&published, vec![unchecked, "Published by", host], vec![ours]),
            (&registered, vec![unchecked], vec![ours, "Published by"]),
            (&known, vec![], vec![unchecked, ours, "Published by"]),
            (&own, vec![ours], vec![unchecked, "Published by"]),
        ] {
            let begun = app.post("/oauth/device_authorization", &[("scope", "openid")]).await.json(200);
            let mut browser = server.browser();
            browser.sign_in("ann@example.com").await;
            let page = browser.get(&format!("/device?user_code={}", begun["user_code"].as_str().unwrap())).await;
            assert!(there.iter().all(|words| page.body.contains(words)), "{there:?}: {page:?}");
            assert!(!absent.iter().any(|words| page.body.contains(words)), "{absent:?}: {page:?}");
            assert!(!page.body.contains("Takes you to"), "it leads nowhere: {page:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_withdrawn_from_the_client_meanwhile_is_not_granted__rfc8628_3_3() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        for withdrawn in [json!({ "scope": "profile" }), json!({ "grant_types": ["client_credentials"] })] {
            let asked = json!({ "grant_types": [GRANT, "client_credentials"] });
            let registration = Registration::of(&server, register(&server, &asked).await.json(201));
            let app = rfc7591_registration::app(&server, &registration.said).await;
            let begun = begin(&app).await;
            let mut browser = server.browser();
            browser.sign_in("ann@example.com").await;
            let path = format!("/device?user_code={}", begun["user_code"].as_str().unwrap());
            let csrf = browser.get(&path).await.hidden("csrf");
            registration.put(&registration.with(&withdrawn)).await.json(200);
            let before = server.rows().await;
            assert_eq!(browser.get(&path).await.status, 422);
            let form = [("csrf", &*csrf), ("user_code", begun["user_code"].as_str().unwrap()), ("decision", "allow")];
            assert_eq!(browser.post("/device", &form).await.status, 422);
            assert_eq!(server.rows().await, before);
        }
    })
    .await;
}
