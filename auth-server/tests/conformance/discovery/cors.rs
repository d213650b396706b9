//! Who may read an answer in a browser: scripts of any origin, where clients ask and no cookie counts (OpenID Connect
//! Core §5.3.1, Fetch §3.2); nobody, where a cookie does or where the asker keeps a secret.

use axum::http::Request;
use serde_json::Value;

use super::each_document;
use crate::harness::{Answer, Server};

const ORIGIN: &str = "https://app.example";

/// What clients in browsers ask, by its member of the document, and how.
const FOR_SCRIPTS: &[(&str, &str)] = &[
    ("jwks_uri", "GET"),
    ("token_endpoint", "POST"),
    ("device_authorization_endpoint", "POST"),
    ("pushed_authorization_request_endpoint", "POST"),
    ("revocation_endpoint", "POST"),
    ("userinfo_endpoint", "GET"),
    ("userinfo_endpoint", "POST"),
    ("registration_endpoint", "POST"),
];

/// What is for the browser itself, or for a server of its own.
const NOT_FOR_SCRIPTS: &[(&str, &str)] = &[
    ("authorization_endpoint", "GET"),
    ("authorization_endpoint", "POST"),
    ("end_session_endpoint", "GET"),
    ("end_session_endpoint", "POST"),
    ("introspection_endpoint", "POST"),
];

async fn ask(server: &Server, method: &str, path: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", ORIGIN)
        .header("content-type", "application/x-www-form-urlencoded");
    server.send(request, "").await
}

async fn preflight(server: &Server, method: &str, path: &str) -> Answer {
    let request = Request::options(path)
        .header("origin", ORIGIN)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type,dpop");
    server.send(request, "").await
}

#[track_caller]
fn assert_readable(answer: &Answer, at: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), "*", "{at}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), "", "{at}: {answer:?}");
}

#[track_caller]
fn assert_unreadable(answer: &Answer, at: &str) {
    for name in answer.headers.keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{at}: {answer:?}");
    }
}

fn path(server: &Server, document: &Value, member: &str) -> String {
    server.path_of(document[member].as_str().expect("a URL")).expect("a path").to_owned()
}

#[tokio::test]
async fn scripts_of_any_origin_may_ask_what_clients_ask_and_never_with_cookies__oidc_core_5_3_1() {
    each_document(|server, document| async move {
        for (member, method) in FOR_SCRIPTS {
            let (path, at) = (path(&server, &document, member), format!("{method} {member}"));
            // An error, which has to be read too.
            assert_readable(&ask(&server, method, &path).await, &at);
            let allowed = preflight(&server, method, &path).await;
            assert_readable(&allowed, &at);
            assert!(allowed.header("access-control-allow-methods").contains(method), "{at}: {allowed:?}");
            let headers = allowed.header("access-control-allow-headers").to_lowercase();
            // A wildcard would not cover the first (Fetch §4.8). Nobody registers with a proof.
            let needed = ["authorization", "content-type", "dpop"];
            for name in needed.iter().filter(|name| **name != "dpop" || *member != "registration_endpoint") {
                assert!(headers.split(',').any(|listed| listed.trim() == *name), "{at}: {allowed:?}");
            }
        }
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            assert_readable(&ask(&server, "GET", path).await, path);
        }
        // What is not an error is no less readable.
        server.person("ann@example.com").await;
        let app = server.app(|metadata| metadata.token_endpoint_auth_method = "none".into()).await;
        let origin = [("origin", ORIGIN)];
        let pushed = app.post_with("/oauth/par", &origin, &app.parameters(&[("client_id", "")])).await;
        pushed.json(201);
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        let tokens = app.post_with("/oauth/token", &origin, &app.exchange_form(&code)).await;
        let access = tokens.json(200)["access_token"].as_str().expect("an access token").to_owned();
        let request = Request::get("/oauth/userinfo").header("authorization", format!("Bearer {access}"));
        let userinfo = server.send(request.header("origin", ORIGIN), "").await;
        userinfo.json(200);
        let revoked = app.post_with("/oauth/revoke", &origin, &[("token", &access)]).await;
        assert_eq!(revoked.status, 200);
        for (at, answer) in [("par", pushed), ("token", tokens), ("userinfo", userinfo), ("revoke", revoked)] {
            assert_readable(&answer, at);
            let exposed = answer.header("access-control-expose-headers").to_lowercase();
            for name in ["dpop-nonce", "www-authenticate", "retry-after"] {
                assert!(exposed.split(',').any(|listed| listed.trim() == name), "{at}: {answer:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_script_reads_pages_nor_what_is_for_servers__oidc_core_16() {
    each_document(|server, document| async move {
        for (member, method) in NOT_FOR_SCRIPTS {
            let (path, at) = (path(&server, &document, member), format!("{method} {member}"));
            assert_unreadable(&ask(&server, method, &path).await, &at);
            assert_unreadable(&preflight(&server, method, &path).await, &at);
        }
        for page in ["/login", "/signup", "/consent", "/logout", "/device", "/forgot-password", "/api/v1/me"] {
            assert_unreadable(&ask(&server, "GET", page).await, page);
            assert_unreadable(&preflight(&server, "POST", page).await, page);
        }
        // Each endpoint is in one of the two lists.
        for member in document.as_object().expect("an object").keys() {
            let is_endpoint = member.ends_with("_endpoint") || member == "jwks_uri";
            let known = FOR_SCRIPTS.iter().chain(NOT_FOR_SCRIPTS).any(|(name, _)| name == member);
            assert!(!is_endpoint || known, "{member}");
        }
    })
    .await;
}
