//! oidc-client-ts (npm) where it is at home: a single-page app in a real browser, on an origin of its own.

use std::path::PathBuf;
use std::sync::Arc;

use auth_server::clients::ClientMetadata;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use shared::config::TlsSettings;
use shared::http::Listener;
use tokio::net::TcpListener;
use xtask::clients;

use super::registered::public;
use super::stage::fetched;
use crate::actor::Actor;
use crate::browser::{Browser, Driver};
use crate::world::{PASSWORD, World};

/// What the app's server knows.
struct Files {
    folder: PathBuf,
    settings: Value,
}

/// A single-page app at an origin of its own, which is registered with what `changes` make of it.
async fn single_page_app(world: &World, name: &str, changes: impl FnOnce(&mut ClientMetadata, &str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let origin = format!("https://{}", listener.local_addr().expect("it listens"));
    let mut app = public(&["callback", "silent"].map(|path| format!("{origin}/{path}")));
    app.name = name.to_owned();
    changes(&mut app.metadata, &origin);
    let dpop = app.metadata.dpop_bound_access_tokens;
    let app = world.register(app).await;
    let settings = json!({ "issuer": world.auth_url, "client_id": app.client_id, "dpop": dpop });
    serve(world, listener, settings).await;
    origin
}

/// Serves the app with the certificate of the services: a browser takes http and https for different sites.
async fn serve(world: &World, listener: TcpListener, settings: Value) {
    let folder = fetched(clients::javascript).await.folder;
    let tls = TlsSettings {
        section: "the app",
        certificate_file: world.scratch.dir.join("server.pem"),
        key_file: world.scratch.dir.join("server.key"),
        request_client_certificates: false,
        strict_transport: false,
    };
    let file = |path: &'static str, kind: &'static str| {
        get(async move |State(files): State<Arc<Files>>| -> Response {
            let text = std::fs::read(files.folder.join(path)).expect("a file of the app");
            ([(CONTENT_TYPE, kind)], text).into_response()
        })
    };
    let router = Router::new()
        .route(
            "/oidc-client-ts.min.js",
            file("node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js", "text/javascript"),
        )
        .route("/spa.mjs", file("spa.mjs", "text/javascript"))
        .route("/settings.json", get(async |State(files): State<Arc<Files>>| axum::Json(files.settings.clone())))
        .route("/frontchannel", file("frontchannel.html", "text/html"))
        .fallback(file("spa.html", "text/html"))
        .with_state(Arc::new(Files { folder, settings }));
    let listener = Listener::open(listener, Some(tls)).expect("TLS");
    tokio::spawn(shared::http::serve(listener, router, std::future::pending()));
}

async fn opens(world: &World, driver: &Driver) -> Browser {
    Browser::open_trusting(driver, world.scratch.store, world.public_key_hash().as_deref()).await
}

/// Ann signs in, where she is not signed in yet, and allows what the app asks for.
async fn signs_in(browser: &Browser, ann: &Actor) {
    browser.find("#result[data-ready]").await;
    browser.click("#sign-in").await;
    let asked = browser.find("input[name=password], button[name=decision][value=allow]").await;
    if asked.tag_name().await.unwrap() == "input" {
        browser.fill("email", &ann.email).await;
        browser.fill("password", PASSWORD).await;
        browser.click("form[action='/login'] button[type=submit]").await;
    }
    browser.click("button[name=decision][value=allow]").await;
}

/// What the page shows once it has settled.
async fn result(browser: &Browser) -> Value {
    let text = browser.find("#result[data-ready]").await.text().await.expect("text");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks the app to do something, and returns what came of it.
async fn does(browser: &Browser, name: &str, values: &[Value]) -> Value {
    browser.find("#result[data-ready]").await;
    let script = "const done = arguments[arguments.length - 1]; window.does(arguments[0], ...arguments[1]).then(done)";
    browser.client.execute_async(script, vec![json!(name), json!(values)]).await.expect("it answers")
}

/// Holds a failure to the specification's code, as the library has it.
#[track_caller]
fn fails(answer: &Value, code: &str) {
    assert_eq!(answer["failed"]["error"], code, "{answer}");
}

/// Begins a sign-in with some parameters of the library's and waits for the page that comes.
async fn begins(browser: &Browser, more: Value, page: &str) {
    leaves(browser, "signIn", more, page).await;
}

/// Has the app lead away from its page, and waits for the page that comes.
async fn leaves(browser: &Browser, name: &str, value: Value, page: &str) {
    browser.find("#result[data-ready]").await;
    // Or the page that is left could be taken for the one that comes.
    let script = "delete document.querySelector('#result').dataset.ready; window.app[arguments[0]](arguments[1])";
    browser.client.execute(script, vec![json!(name), value]).await.expect("it begins");
    browser.find(page).await;
}

async fn a_single_page_app_on_oidc_client_ts(world: World) {
    let ann = world.person("ann").await;
    let origin = single_page_app(&world, "Single-page app", |_, _| {}).await;
    let driver = Driver::start().await;
    let browser = opens(&world, &driver).await;

    // Code flow with PKCE: discovery, the token endpoint and userinfo from another origin.
    browser.goto(&origin).await;
    assert_eq!(result(&browser).await, Value::Null);
    signs_in(&browser, &ann).await;
    let first = result(&browser).await;
    assert_eq!((&first["profile"]["sub"], &first["profile"]["email"]), (&json!(ann.id), &json!(ann.email)), "{first}");
    assert_eq!(first["profile"]["given_name"], "Ann", "userinfo, from another origin: {first}");
    assert!(first["expires_in"].as_u64().is_some_and(|seconds| (590..=600).contains(&seconds)), "{first}");
    let callback = browser.client.current_url().await.unwrap();

    // The answer of the server serves once: the library has forgotten what it asked.
    let again = does(&browser, "again", &[json!(callback)]).await;
    assert!(again["failed"]["message"].as_str().is_some_and(|text| text.contains("state")), "{again}");

    let second = does(&browser, "refresh", &[]).await;
    assert_eq!(second["profile"]["sub"], json!(ann.id), "{second}");
    for token in ["access_token", "refresh_token"] {
        assert!(second[token].is_string() && second[token] != first[token], "{token} was not rotated: {second}");
    }
    fails(&does(&browser, "refreshWith", &[json!("nonsense")]).await, "invalid_grant");

    // In a hidden frame the session at the authorization server is known; yet the app is public and on loopback, where
    // any program may listen, and so Ann confirms her consent each time (RFC 8252 §8.6).
    fails(&does(&browser, "silent", &[]).await, "interaction_required");

    // What the library says of refusals.
    begins(&browser, json!({ "prompt": "consent" }), "button[name=decision][value=deny]").await;
    browser.click("button[name=decision][value=deny]").await;
    fails(&result(&browser).await, "access_denied");
    begins(&browser, json!({ "scope": "openid dragons" }), "#result[data-ready]").await;
    fails(&result(&browser).await, "invalid_scope");
    // A redirect URI that is not the app's is an error page, and the app hears nothing.
    let elsewhere = json!({ "redirect_uri": format!("{origin}/elsewhere") });
    begins(&browser, elsewhere, "main").await;
    assert!(browser.client.current_url().await.unwrap().as_str().starts_with(&world.auth_url));

    // Revoked: neither the refresh token nor the access token serves any more (RFC 7009 §2.1).
    browser.goto(&origin).await;
    begins(&browser, json!({}), "button[name=decision][value=allow]").await;
    browser.click("button[name=decision][value=allow]").await;
    let third = result(&browser).await;
    let revoked = does(&browser, "revoke", &[]).await;
    assert!(revoked["refresh_token"].is_null(), "{revoked}");
    fails(&does(&browser, "refreshWith", &[third["refresh_token"].clone()]).await, "invalid_grant");
    crate::races::is_soon_refused(&world, third["access_token"].as_str().unwrap()).await;

    // A code is redeemed once, with the verifier of the request that it answers, and its tokens end with the second try
    // (RFC 6749 §4.1.2, RFC 7636 §4.6).
    browser.goto(&origin).await;
    signs_in(&browser, &ann).await;
    let fourth = result(&browser).await;
    fails(&does(&browser, "replay", &[]).await, "invalid_grant");
    crate::races::is_soon_refused(&world, fourth["access_token"].as_str().unwrap()).await;
    browser.goto(&origin).await;
    does(&browser, "changes", &[json!("code_verifier"), json!("w".repeat(43))]).await;
    signs_in(&browser, &ann).await;
    fails(&result(&browser).await, "invalid_grant");

    // Nobody is signed in any more: a silent request learns so.
    browser.client.delete_all_cookies().await.unwrap();
    browser.goto(&world.auth_url).await;
    browser.client.delete_all_cookies().await.unwrap();
    browser.goto(&origin).await;
    fails(&does(&browser, "silent", &[]).await, "login_required");
    browser.client.clone().close().await.unwrap();
}
on_both_stores_by_https!(a_single_page_app_on_oidc_client_ts);

async fn one_of_two_single_page_apps_signs_out_and_the_other_hears_of_it__frontchannel_3(world: World) {
    let ann = world.person("ann").await;
    let logout = |metadata: &mut ClientMetadata, origin: &str| {
        metadata.frontchannel_logout_uri = Some(format!("{origin}/frontchannel"));
        metadata.frontchannel_logout_session_required = true;
        metadata.post_logout_redirect_uris = vec![format!("{origin}/bye")];
    };
    let notes = single_page_app(&world, "Notes", logout).await;
    let photos = single_page_app(&world, "Photos", logout).await;
    let driver = Driver::start().await;
    let browser = opens(&world, &driver).await;
    let mut sids = vec![];
    for origin in [&notes, &photos] {
        browser.goto(origin).await;
        signs_in(&browser, &ann).await;
        let user = result(&browser).await;
        assert_eq!(user["profile"]["sub"], json!(ann.id), "{user}");
        sids.push(user["profile"]["sid"].as_str().expect("a sid").to_owned());
    }
    assert_eq!(sids[0], sids[1], "one session");

    // Notes signs out: by the page that frames both apps, under its own policy, back to Notes.
    browser.goto(&notes).await;
    leaves(&browser, "signOut", Value::Null, "#result[data-ready]").await;
    assert_eq!(result(&browser).await, json!({ "bye": "of the app" }));
    assert!(browser.client.current_url().await.unwrap().as_str().starts_with(&format!("{notes}/bye")));

    // Photos, which nobody has touched, heard of it in its frame, with issuer and sid, and has nobody signed in.
    for origin in [&photos, &notes] {
        browser.goto(origin).await;
        assert_eq!(result(&browser).await, Value::Null, "{origin}");
        let told = does(&browser, "told", &[]).await;
        assert_eq!(told, json!({ "iss": world.auth_url, "sid": sids[0] }), "{origin}");
        fails(&does(&browser, "silent", &[]).await, "login_required");
    }
    browser.client.clone().close().await.unwrap();
}
on_both_stores_by_https!(one_of_two_single_page_apps_signs_out_and_the_other_hears_of_it__frontchannel_3);

async fn a_single_page_app_whose_tokens_are_bound_to_a_key_of_the_browser__rfc9449_5(world: World) {
    let ann = world.person("ann").await;
    let origin = single_page_app(&world, "Safe", |metadata, _| metadata.dpop_bound_access_tokens = true).await;
    let driver = Driver::start().await;
    let browser = opens(&world, &driver).await;
    browser.goto(&origin).await;
    signs_in(&browser, &ann).await;
    let first = result(&browser).await;
    assert_eq!((&first["profile"]["sub"], &first["token_type"]), (&json!(ann.id), &json!("DPoP")), "{first}");

    // From another origin, with a proof in a header of its own; the token alone opens nothing.
    let info = does(&browser, "userinfo", &[json!(true)]).await;
    assert_eq!((&info["status"], &info["body"]["email"]), (&json!(200), &json!(ann.email)), "{info}");
    let alone = does(&browser, "userinfo", &[json!(false)]).await;
    assert_eq!(alone["status"], 401, "{alone}");
    assert!(alone["challenge"].as_str().is_some_and(|text| text.contains("invalid_token")), "{alone}");

    let second = does(&browser, "refresh", &[]).await;
    assert_eq!(second["token_type"], "DPoP", "{second}");
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    // Nor does the refresh token without the key.
    does(&browser, "forgetKey", &[]).await;
    let refused = does(&browser, "refresh", &[]).await;
    assert!(refused["failed"].to_string().contains("invalid_grant"), "{refused}");
    browser.client.clone().close().await.unwrap();
}
on_both_stores_by_https!(a_single_page_app_whose_tokens_are_bound_to_a_key_of_the_browser__rfc9449_5);
