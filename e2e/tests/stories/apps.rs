//! Third-party apps: people sign in with the authorization code flow and PKCE, on the hosted pages.

use serde_json::json;

use crate::races::is_soon_refused;
use crate::visitor::Stop;
use crate::world::{PASSWORD, World};

async fn a_code_becomes_tokens_that_serve_until_they_are_revoked(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    let tokens = app.signs_in(&mut visitor, &ann.email, "openid email referral-codes:read offline_access").await;
    assert_eq!(tokens["token_type"].as_str().unwrap().to_lowercase(), "bearer");
    let [access, refresh] = ["access_token", "refresh_token"].map(|name| tokens[name].as_str().unwrap().to_owned());

    let reader = world.anon().with_token(&access);
    let info = reader.get("/oauth/userinfo").await.is(200);
    assert_eq!((&info["sub"], &info["email"]), (&json!(ann.id), &json!(ann.email)));
    reader.get("/v1/referral-codes").await.is(200);
    // What was not granted is refused, with the scope that would do (RFC 6750 §3.1).
    let body = json!({ "expires_at": world.platform.clock.now() + chrono::TimeDelta::days(1) });
    let refused = reader.post("/v1/referral-codes", body).await;
    refused.is_problem(403, "");
    assert!(refused.header("www-authenticate").contains("insufficient_scope"), "{refused:?}");

    let said = app.introspect(&access).await;
    assert_eq!((&said["active"], &said["client_id"]), (&json!(true), &json!(app.client_id)));
    assert_eq!(app.introspect(&refresh).await["active"], true);
    // Another client learns nothing of them, and its revocation ends nothing.
    let other = world.app().await;
    assert_eq!(other.introspect(&access).await, json!({ "active": false }));
    other.revoke(&refresh).await.is(200);

    let next = app.refresh(&refresh).await.is(200);
    assert_eq!(app.introspect(&access).await["active"], true);
    app.revoke(next["refresh_token"].as_str().unwrap()).await.is(200);
    crate::races::is_soon_inactive(&app, &access).await;
    is_soon_refused(&world, &access).await;
    is_soon_refused(&world, next["access_token"].as_str().unwrap()).await;
    app.refresh(next["refresh_token"].as_str().unwrap()).await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(a_code_becomes_tokens_that_serve_until_they_are_revoked);

async fn consent_is_asked_once_and_a_refusal_is_told_to_the_app(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();

    let asked = app.authorization("openid email");
    let login = visitor.open(&asked.url).await.page();
    assert!(login.has_field("password"), "{}", login.body);
    let consent = visitor.submit(&login, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    assert!(consent.says("Wonder App") && consent.has_field("decision"), "{}", consent.body);
    let Stop::Away(refused) = visitor.submit(&consent, &[("decision", "deny")]).await else { panic!("it stayed") };
    assert!(refused.as_str().contains("error=access_denied"), "{refused}");
    assert!(refused.as_str().contains(&format!("state={}", asked.state)), "{refused}");

    // Allowed once, it is not asked again, nor is the password.
    app.code(&mut visitor, &ann.email, &app.authorization("openid email")).await;
    let Stop::Away(back) = visitor.open(&app.authorization("openid email").url).await else { panic!("asked again") };
    assert!(back.as_str().contains("code="), "{back}");
    // More than was allowed is asked for anew.
    let more = visitor.open(&app.authorization("openid email referral-codes:write").url).await.page();
    assert!(more.has_field("decision"), "{}", more.body);
}
on_both_stores!(consent_is_asked_once_and_a_refusal_is_told_to_the_app);

async fn two_tabs_do_not_disturb_each_other(world: World) {
    let ann = world.person("ann").await;
    let (one, two) = (world.app().await, world.app().await);
    let mut visitor = world.visitor();
    let (first, second) = (one.authorization("openid"), two.authorization("openid email"));
    let left = visitor.open(&first.url).await.page();
    let right = visitor.open(&second.url).await.page();

    // Signed in on the right first; the left tab still leads to its own app.
    let right = visitor.submit(&right, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    let left = visitor.submit(&left, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    for (page, authorization, app) in [(left, first, one), (right, second, two)] {
        let Stop::Away(back) = visitor.submit(&page, &[("decision", "allow")]).await else { panic!("it stayed") };
        assert!(back.as_str().contains(&format!("state={}", authorization.state)), "{back}");
        let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        app.exchange(&code, &authorization.verifier).await.is(200);
    }
}
on_both_stores!(two_tabs_do_not_disturb_each_other);

async fn a_wrong_redirect_uri_gets_an_error_page_and_never_a_redirect__rfc6749_4_1_2_1(world: World) {
    let app = world.app().await;
    let good = app.authorization("openid");
    for (name, value) in [
        ("redirect_uri", Some("http://127.0.0.1:1/callback/")),
        ("redirect_uri", Some("http://127.0.0.1:1/callback?x=1")),
        // A port of its own is for public native clients only.
        ("redirect_uri", Some("http://127.0.0.1:2/callback")),
        ("redirect_uri", Some("https://evil.example/callback")),
        ("client_id", Some("nobody")),
        ("client_id", None),
    ] {
        let page = world.visitor().open(&good.clone().with(name, value).url).await.page();
        assert_eq!(page.status, 400, "{name}={value:?}");
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{name}={value:?}");
    }
}
on_both_stores!(a_wrong_redirect_uri_gets_an_error_page_and_never_a_redirect__rfc6749_4_1_2_1);

async fn what_is_wrong_with_a_request_is_told_to_the_app_it_came_from__rfc6749_4_1_2_1(world: World) {
    let app = world.app().await;
    let good = app.authorization("openid");
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "invalid_request"),
        ("scope", Some("openid dragons"), "invalid_scope"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("prompt", Some("none"), "login_required"),
    ] {
        let request = good.clone().with(name, None).with(name, value);
        let Stop::Away(back) = world.visitor().open(&request.url).await else { panic!("{name}={value:?} stayed") };
        let of = |name: &str| back.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
        assert_eq!(of("error").as_deref(), Some(error), "{name}={value:?}: {back}");
        assert_eq!((of("state"), of("code")), (Some(good.state.clone()), None), "{back}");
    }
    // A parameter given twice (RFC 6749 §3.1).
    let mut twice = good.clone();
    twice.url.query_pairs_mut().append_pair("scope", "email");
    let Stop::Away(back) = world.visitor().open(&twice.url).await else { panic!("it stayed") };
    assert!(back.query_pairs().any(|(name, value)| name == "error" && value == "invalid_request"), "{back}");
    // Of two redirect URIs nobody knows which is meant.
    let mut twice = good.clone();
    twice.url.query_pairs_mut().append_pair("redirect_uri", &app.redirect_uri);
    assert_eq!(world.visitor().open(&twice.url).await.page().status, 400);
}
on_both_stores!(what_is_wrong_with_a_request_is_told_to_the_app_it_came_from__rfc6749_4_1_2_1);

async fn a_code_serves_only_its_client_its_verifier_and_its_redirect_uri__rfc6749_4_1_3(world: World) {
    let ann = world.person("ann").await;
    let (app, thief) = (world.app().await, world.app().await);
    let asked = app.authorization("openid");
    let code = app.code(&mut world.visitor(), &ann.email, &asked).await;
    // A thief can't burn it: the client is checked first.
    thief.exchange(&code, &asked.verifier).await.is_oauth_error(400, "invalid_grant");
    app.exchange(&code, &asked.verifier).await.is(200);

    for (verifier, redirect_uri) in [("x".repeat(43), &app.redirect_uri), (String::new(), &app.redirect_uri)] {
        let asked = app.authorization("openid");
        let code = app.code(&mut world.visitor(), &ann.email, &asked).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &verifier),
        ];
        let answer = app.token(&form).await;
        assert!(answer.status == 400 && answer.json()["error"].is_string(), "{answer:?}");
    }
    let asked = app.authorization("openid");
    let code = app.code(&mut world.visitor(), &ann.email, &asked).await;
    let elsewhere = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:1/elsewhere"),
        ("code_verifier", &asked.verifier),
    ];
    app.token(&elsewhere).await.is_oauth_error(400, "invalid_grant");
}
on_both_stores!(a_code_serves_only_its_client_its_verifier_and_its_redirect_uri__rfc6749_4_1_3);

async fn a_sign_in_with_a_wrong_password_says_the_same_for_everyone(world: World) {
    let ann = world.person("ann").await;
    let mut pages = vec![];
    for email in [ann.email.as_str(), "nobody@example.com"] {
        let mut visitor = world.visitor();
        let page = visitor.open(format!("{}/login", world.auth_url)).await.page();
        let page = visitor.submit(&page, &[("email", email), ("password", "not the password")]).await.page();
        assert_eq!(page.value_of("email").as_deref(), Some(email), "the form keeps what was typed");
        let kept = page.body.lines().filter(|line| !line.contains("hidden")).collect::<Vec<_>>().join("\n");
        pages.push((page.status, kept.replace(email, "EMAIL")));
    }
    assert_eq!(pages[0], pages[1]);
    assert!((400..500).contains(&pages[0].0), "{}", pages[0].0);
}
on_both_stores!(a_sign_in_with_a_wrong_password_says_the_same_for_everyone);
