//! oidc-client-ts (npm) where it is at home: a single-page app in a real browser, on an origin of its own.

use std::path::PathBuf;
use std::sync::Arc;

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
use crate::browser::{Browser, Driver};
use crate::world::{PASSWORD, World};

struct App {
    folder: PathBuf,
    settings: Value,
}

/// Serves the app with the certificate of the services: a browser takes http and https for different sites.
async fn serve(world: &World, listener: TcpListener, client_id: &str) {
    let folder = fetched(clients::javascript).await.folder;
    let app = App { folder, settings: json!({ "issuer": world.auth_url, "client_id": client_id }) };
    let tls = TlsSettings {
        section: "the app",
        certificate_file: world.scratch.dir.join("server.pem"),
        key_file: world.scratch.dir.join("server.key"),
        request_client_certificates: false,
        strict_transport: false,
    };
    let file = |path: &'static str, kind: &'static str| {
        get(async move |State(app): State<Arc<App>>| -> Response {
            let text = std::fs::read(app.folder.join(path)).expect("a file of the app");
            ([(CONTENT_TYPE, kind)], text).into_response()
        })
    };
    let router = Router::new()
        .route(
            "/oidc-client-ts.min.js",
            file("node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js", "text/javascript"),
        )
        .route("/spa.mjs", file("spa.mjs", "text/javascript"))
        .route("/settings.json", get(async |State(app): State<Arc<App>>| axum::Json(app.settings.clone())))
        .fallback(file("spa.html", "text/html"))
        .with_state(Arc::new(app));
    let listener = Listener::open(listener, Some(tls)).expect("TLS");
    tokio::spawn(shared::http::serve(listener, router, std::future::pending()));
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
    browser.find("#result[data-ready]").await;
    // Or the page that is left could be taken for the one that comes.
    let script = "delete document.querySelector('#result').dataset.ready; window.app.signIn(arguments[0])";
    browser.client.execute(script, vec![more]).await.expect("it begins");
    browser.find(page).await;
}

async fn a_single_page_app_on_oidc_client_ts(world: World) {
    let ann = world.person("ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let origin = format!("https://{}", listener.local_addr().expect("it listens"));
    let app = public(&["callback", "silent"].map(|path| format!("{origin}/{path}")));
    let app = world.register(app).await;
    serve(&world, listener, &app.client_id).await;
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, world.public_key_hash().as_deref()).await;

    // Code flow with PKCE: discovery, the token endpoint and userinfo from another origin.
    browser.goto(&origin).await;
    assert_eq!(result(&browser).await, Value::Null);
    browser.click("#sign-in").await;
    browser.fill("email", &ann.email).await;
    browser.fill("password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.click("button[name=decision][value=allow]").await;
    let first = result(&browser).await;
    assert_eq!((&first["profile"]["sub"], &first["profile"]["email"]), (&json!(ann.id), &json!(ann.email)), "{first}");
    assert_eq!(first["profile"]["given_name"], "Ann", "userinfo, from another origin: {first}");
    assert!(first["expires_in"].as_u64().is_some_and(|seconds| (590..=600).contains(&seconds)), "{first}");
    let callback = browser.client.current_url().await.unwrap();

    // The answer of the server serves once.
    let again = does(&browser, "again", &[json!(callback)]).await;
    assert!(again["failed"]["message"].as_str().is_some_and(|text| text.contains("state")), "{again}");

    let second = does(&browser, "refresh", &[]).await;
    assert_eq!(second["profile"]["sub"], json!(ann.id), "{second}");
    for token in ["access_token", "refresh_token"] {
        assert!(second[token].is_string() && second[token] != first[token], "{token} was not rotated: {second}");
    }
    fails(&does(&browser, "refreshWith", &[json!("nonsense")]).await, "invalid_grant");

    // In a hidden frame the session at the authorization server is known; yet the app is public and on loopback, where
    // any program may listen, and so Ann is asked each time (RFC 8252 §8.6).
    fails(&does(&browser, "silent", &[]).await, "consent_required");

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

    // Nobody is signed in any more: a silent request learns so.
    browser.client.delete_all_cookies().await.unwrap();
    browser.goto(&world.auth_url).await;
    browser.client.delete_all_cookies().await.unwrap();
    browser.goto(&origin).await;
    fails(&does(&browser, "silent", &[]).await, "login_required");
    browser.client.clone().close().await.unwrap();
}
on_both_stores_by_https!(a_single_page_app_on_oidc_client_ts);
