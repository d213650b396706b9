//! Which endpoints a page of another origin may call and read (Fetch §3.2): those that clients in a browser call, and never
//! with the person's cookies; nothing that shows itself to a person, and nothing that is for servers.

use axum::http::{Method, Request};

use crate::harness::each_server;
use crate::rfc7591_registration::OPEN;

#[tokio::test]
async fn other_origins_read_what_is_theirs_to_call_and_nothing_else__fetch_3_2() {
    each_server(&[OPEN], |server| async move {
        for (method, path, readable) in [
            (Method::GET, "/.well-known/openid-configuration", true),
            (Method::GET, "/.well-known/oauth-authorization-server", true),
            (Method::GET, "/oauth/jwks", true),
            (Method::POST, "/oauth/token", true),
            (Method::POST, "/oauth/device_authorization", true),
            (Method::POST, "/oauth/par", true),
            (Method::POST, "/oauth/revoke", true),
            (Method::GET, "/oauth/userinfo", true),
            (Method::POST, "/oauth/userinfo", true),
            (Method::POST, "/oauth/introspect", false),
            (Method::GET, "/oauth/authorize", false),
            (Method::GET, "/oauth/logout", false),
            (Method::GET, "/login", false),
            (Method::GET, "/signup", false),
            (Method::GET, "/device", false),
        ] {
            let form = "application/x-www-form-urlencoded";
            let asked = Request::builder().method(&method).uri(path).header("origin", "https://app.example");
            let asked = server.send(asked.header("content-type", form), "").await;
            let preflight = Request::options(path)
                .header("origin", "https://app.example")
                .header("access-control-request-method", method.as_str())
                .header("access-control-request-headers", "authorization,dpop,content-type");
            let preflight = server.send(preflight, "").await;
            for answer in [&asked, &preflight] {
                let allowed = if readable { "*" } else { "" };
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{method} {path}: {answer:?}");
                assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{method} {path}");
            }
            assert_eq!(preflight.header("access-control-allow-headers").contains("dpop"), readable, "{method} {path}");
        }
    })
    .await;
}
