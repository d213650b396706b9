//! Programs that act for themselves, and what the token endpoint says to those that may not.

use auth_server::clients;
use reqwest::Method;
use serde_json::json;

use crate::actor::Answer;
use crate::app::App;
use crate::world::{PASSWORD, World, app_client};

fn service(method: &str) -> clients::NewClient {
    let mut client = app_client("Nightly job", &["client_credentials"], "");
    client.metadata.redirect_uris.clear();
    client.metadata.token_endpoint_auth_method = method.to_owned();
    client
}

/// A token request written out by hand, held to `Cache-Control: no-store` whatever is answered.
async fn post(world: &World, basic: Option<(&str, &str)>, body: &str) -> Answer {
    let request = world.anon().request(Method::POST, "/oauth/token");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
    let answer = match basic {
        Some((id, secret)) => Answer::to(request.basic_auth(id, Some(secret))).await,
        None => Answer::to(request).await,
    };
    answer.is_not_cached();
    answer
}

async fn a_service_gets_a_token_in_its_own_name__rfc6749_4_4(world: World) {
    for method in ["client_secret_basic", "client_secret_post"] {
        let app = world.register(service(method)).await;
        let secret = app.secret.clone().unwrap();
        let answer = if method == "client_secret_basic" {
            app.token(&[("grant_type", "client_credentials"), ("scope", "referral-codes:read")]).await
        } else {
            let form = [("grant_type", "client_credentials"), ("scope", "referral-codes:read")];
            let public = App { secret: None, ..app.clone() };
            public.token(&[form[0], form[1], ("client_secret", &secret)]).await
        };
        let token = answer.is(200);
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!(token["scope"], "referral-codes:read");
        assert!(token["refresh_token"].is_null() && token["id_token"].is_null(), "RFC 6749 §4.4.3: {token}");
    }
}
on_both_stores!(a_service_gets_a_token_in_its_own_name__rfc6749_4_4);

async fn a_services_token_is_refused_where_a_person_is_meant(world: World) {
    let (app, actor) = world.service("openid profile referral-codes:read referral-codes:write referrals:read").await;
    let expires_at = world.platform.clock.now() + chrono::TimeDelta::days(1);
    for answer in [
        actor.get("/v1/referral-codes").await,
        actor.post("/v1/referral-codes", json!({ "expires_at": expires_at })).await,
        actor.delete("/v1/referral-codes/ABCDEFGH").await,
        actor.get("/v1/referrers/me/referrals").await,
        actor.get("/oauth/userinfo").await,
        actor.get("/api/v1/me").await,
    ] {
        answer.is_problem(403, "");
    }
    let known = app.introspect(actor.token.as_deref().unwrap()).await;
    assert_eq!((&known["active"], &known["sub"]), (&json!(true), &json!(app.client_id)), "{known}");
    // Looking a code up is for any program that may read codes.
    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    assert_eq!(actor.get("/v1/referral-codes/lookup?email=ann@example.com").await.is(200)["code"], code.as_str());
}
on_both_stores!(a_services_token_is_refused_where_a_person_is_meant);

async fn a_client_that_does_not_prove_itself_is_told_how_it_might__rfc6749_5_2(world: World) {
    let basic = world.register(service("client_secret_basic")).await;
    let form = world.register(service("client_secret_post")).await;
    let (id, secret) = (basic.client_id.as_str(), basic.secret.as_deref().unwrap());
    let body = "grant_type=client_credentials";

    let wrong = post(&world, Some((id, "not the secret")), body).await;
    let error = wrong.is_oauth_error(401, "invalid_client");
    assert!(wrong.header("www-authenticate").starts_with("Basic "), "it tried the header");
    // Alike: no such client, and a client of another method.
    for (id, secret) in [
        ("no-such-client", secret),
        (form.client_id.as_str(), form.secret.as_deref().unwrap()),
        (world.cli.client_id.as_str(), ""),
    ] {
        let answer = post(&world, Some((id, secret)), body).await;
        assert_eq!(answer.is_oauth_error(401, "invalid_client"), error, "{id}");
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    for body in [
        format!("{body}&client_id={id}&client_secret={secret}"),
        format!("{body}&client_id={id}"),
        format!("{body}&client_id={}&client_secret=nonsense", form.client_id),
        body.to_owned(),
    ] {
        post(&world, None, &body).await.is_oauth_error(401, "invalid_client");
    }
    let garbage = world.anon().request(Method::POST, "/oauth/token").header("authorization", "Basic !!!");
    let garbage = Answer::to(garbage.form(&[("grant_type", "client_credentials")])).await;
    garbage.is_oauth_error(401, "invalid_client");

    // RFC 6749 §2.3: one method a request.
    let twice = format!("{body}&client_id={id}&client_secret={secret}");
    post(&world, Some((id, secret)), &twice).await.is_oauth_error(400, "invalid_request");
    let other = format!("{body}&client_id={}", form.client_id);
    post(&world, Some((id, secret)), &other).await.is_oauth_error(400, "invalid_request");
    // Basic credentials are form-encoded first (RFC 6749 §2.3.1): this is the same id.
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    post(&world, Some((&encoded, secret)), body).await.is(200);
}
on_both_stores!(a_client_that_does_not_prove_itself_is_told_how_it_might__rfc6749_5_2);

async fn every_mistake_at_the_token_endpoint_has_its_code__rfc6749_5_2(world: World) {
    let job = world.register(service("client_secret_basic")).await;
    let app = world.app().await;
    let (job, app) = (
        Some((job.client_id.as_str(), job.secret.as_deref().unwrap())),
        Some((app.client_id.as_str(), app.secret.as_deref().unwrap())),
    );
    for (client, body, error) in [
        (job, "", "invalid_request"),
        (job, "scope=openid", "invalid_request"),
        (job, "grant_type=", "invalid_request"),
        (job, "grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (job, "grant_type=client_credentials&scope=openid&scope=email", "invalid_request"),
        (job, "grant_type=client_credentials&x=1&x=2", "invalid_request"),
        (job, "grant_type=urn:example:none", "unsupported_grant_type"),
        (job, "grant_type=authorization_code&code=x", "unauthorized_client"),
        (job, "grant_type=refresh_token&refresh_token=x", "unauthorized_client"),
        (job, "grant_type=client_credentials&scope=account:read", "invalid_scope"),
        (job, "grant_type=client_credentials&scope=referrals:admin", "invalid_scope"),
        (job, "grant_type=client_credentials&scope=%22quoted%22", "invalid_scope"),
        (job, "grant_type=client_credentials&resource=https://elsewhere.example", "invalid_target"),
        (app, "grant_type=client_credentials", "unauthorized_client"),
        (app, "grant_type=authorization_code", "invalid_request"),
        (app, "grant_type=authorization_code&code=x&redirect_uri=http://127.0.0.1:1/callback", "invalid_grant"),
        (app, "grant_type=refresh_token", "invalid_request"),
        (app, "grant_type=refresh_token&refresh_token=x", "invalid_grant"),
    ] {
        let error = post(&world, client, body).await.is_oauth_error(400, error);
        assert!(error["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{body}: {error}");
        assert!(error.as_object().unwrap().keys().all(|k| k.starts_with("error")), "{body}: {error}");
    }
    let (id, secret) = job.unwrap();
    let json = world.anon().request(Method::POST, "/oauth/token").basic_auth(id, Some(secret));
    let json = Answer::to(json.json(&json!({ "grant_type": "client_credentials" }))).await;
    json.is_oauth_error(400, "invalid_request");
    // Secrets in the URI end up in logs (RFC 6749 §2.3.1).
    let query = world.anon().request(Method::POST, "/oauth/token?grant_type=client_credentials");
    let query = query.basic_auth(id, Some(secret)).header("content-type", "application/x-www-form-urlencoded");
    Answer::to(query).await.is_oauth_error(400, "invalid_request");
    let huge = format!("grant_type=client_credentials&x={}", "x".repeat(100_000));
    post(&world, job, &huge).await.is_oauth_error(400, "invalid_request");
    world.anon().get("/oauth/token").await.is(405);
}
on_both_stores!(every_mistake_at_the_token_endpoint_has_its_code__rfc6749_5_2);

async fn the_password_grant_is_for_our_own_apps__rfc9700_2_4(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    // Checked before the scope and before the password.
    for (scope, password) in [("openid", PASSWORD), ("no-such-scope", PASSWORD), ("openid", "wrong")] {
        app.password(&ann.email, password, scope).await.is_oauth_error(400, "unauthorized_client");
    }
    // A third party can't even be registered with it.
    let third_party = app_client("Harvester", &["password"], "");
    assert!(clients::create(&world.platform, third_party).await.is_err());
    // Nor for one of ours that does not list it.
    let mut silent = crate::world::cli_client();
    silent.client_id = None;
    silent.metadata.grant_types = vec!["authorization_code".into()];
    silent.metadata.redirect_uris = vec!["http://127.0.0.1/callback".into()];
    let silent = world.register(silent).await;
    silent.password(&ann.email, PASSWORD, "openid").await.is_oauth_error(400, "unauthorized_client");

    world.cli.password(&ann.email, PASSWORD, "referrals:admin").await.is_oauth_error(400, "invalid_scope");
    let wrong = world.cli.password(&ann.email, "wrong", "openid").await.is_oauth_error(400, "invalid_grant");
    let nobody = world.cli.password("nobody@example.com", "wrong", "openid").await;
    assert_eq!(nobody.is_oauth_error(400, "invalid_grant"), wrong, "no telling who has an account");
    let form = [("grant_type", "password"), ("username", ann.email.as_str()), ("password", PASSWORD)];
    let all = world.cli.token(&form).await.is(200);
    assert_eq!(all["scope"], crate::world::ALL_SCOPES.split_whitespace().collect::<Vec<_>>().join(" "));
    let refreshed = world.cli.refresh(all["refresh_token"].as_str().unwrap()).await.is(200);
    assert_ne!(refreshed["refresh_token"], all["refresh_token"]);
}
on_both_stores!(the_password_grant_is_for_our_own_apps__rfc9700_2_4);

async fn a_token_is_for_the_resource_it_was_asked_for__rfc8707_2(world: World) {
    let app = world.register(service("client_secret_basic")).await;
    let aud = async |form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.push(("grant_type", "client_credentials"));
        let token = app.token(&form).await.is(200)["access_token"].as_str().unwrap().to_owned();
        app.introspect(&token).await["aud"].clone()
    };
    assert_eq!(aud(&[("scope", "referrals:read")]).await, json!(world.api_url));
    assert_eq!(aud(&[("scope", "openid")]).await, json!(world.auth_url));
    assert_eq!(aud(&[("scope", "openid referrals:read")]).await, json!([world.auth_url, world.api_url]));
    assert_eq!(aud(&[("resource", &world.api_url)]).await, json!(world.api_url));
}
on_both_stores!(a_token_is_for_the_resource_it_was_asked_for__rfc8707_2);

async fn introspection_is_for_clients_that_can_keep_a_secret__rfc7662_2_1(world: World) {
    let ann = world.person("ann").await;
    let token = ann.token.as_deref().unwrap();
    let public = world.cli.post("/oauth/introspect", &[("token", token)]).await;
    public.is_oauth_error(401, "invalid_client");
    let (app, _) = world.service("openid").await;
    app.post("/oauth/introspect", &[]).await.is_oauth_error(400, "invalid_request");
    app.post("/oauth/revoke", &[]).await.is_oauth_error(400, "invalid_request");
}
on_both_stores!(introspection_is_for_clients_that_can_keep_a_secret__rfc7662_2_1);
