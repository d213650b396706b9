//! Every URL in the document is answered at, and every grant is served.

use axum::http::Request;
use serde_json::Value;
use url::Url;

use super::registration::keys;
use super::{MTLS, each_document, list};
use crate::harness::Server;

/// The endpoints that are asked by GET; clients post to all others.
const BY_GET: [&str; 5] =
    ["authorization_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "service_documentation"];

async fn answers(server: &Server, member: &str, url: &Value) {
    let url = Url::parse(url.as_str().expect("a URL")).unwrap_or_else(|error| panic!("{member}: {error}"));
    let method = if BY_GET.contains(&member) { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(url.path());
    let answer = server.send(request, String::new()).await;
    assert!(![404, 405].contains(&answer.status.as_u16()), "{member}: {method} {url} gives {answer:?}");
    assert!(!answer.status.is_server_error(), "{member}: {method} {url} gives {answer:?}");
}

#[tokio::test]
async fn every_url_in_the_document_is_answered_at__rfc8414_2() {
    each_document(|server, document| async move {
        let mut walked = 0;
        for (member, value) in document.as_object().expect("an object") {
            if member.ends_with("_endpoint") || member.ends_with("_uri") || member == "service_documentation" {
                assert!(value.as_str().is_some_and(|url| url.starts_with(server.state.issuer())), "{member}: {value}");
                answers(&server, member, value).await;
                walked += 1;
            }
        }
        assert!(walked >= 7, "{document}");
        // They are the same endpoints on another listener (RFC 8705 §5).
        let aliases = document["mtls_endpoint_aliases"].as_object().expect("aliases");
        for (member, value) in aliases {
            let url = document[member].as_str().unwrap_or_else(|| panic!("{member} is not in the document"));
            let path = server.path_of(url).expect("a path");
            assert_eq!(value.as_str(), Some(format!("{MTLS}{path}").as_str()), "{member}");
            answers(&server, member, value).await;
        }
        assert!(aliases.contains_key("token_endpoint") && aliases.contains_key("userinfo_endpoint"), "{document}");
    })
    .await;
}

#[tokio::test]
async fn both_documents_are_one_and_name_the_issuer__rfc8414_3() {
    each_document(|server, document| async move {
        let other = server.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(other.json(200), document);
        assert_eq!(document["issuer"], server.state.issuer());
        assert!(other.header("content-type").starts_with("application/json"));
        assert_eq!(other.header("access-control-allow-origin"), "*");
    })
    .await;
}

#[tokio::test]
async fn every_grant_that_is_listed_is_served_and_no_other__rfc8414_2() {
    each_document(|server, document| async move {
        let listed = list(&document, "grant_types_supported");
        let grants = listed.clone();
        let app = server
            .own_app(|metadata| {
                metadata.grant_types = grants;
                metadata.jwks = Some(keys());
            })
            .await;
        let before = server.rows().await;
        for grant in &listed {
            let answer = app.token(&[("grant_type", grant)]).await;
            if grant != "client_credentials" {
                let body = answer.json(400);
                assert!(body["error"] != "unsupported_grant_type", "{grant}: {body}");
            }
        }
        for grant in [
            "implicit",
            "magic",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:openid:params:grant-type:ciba",
        ] {
            if !listed.iter().any(|known| known == grant) {
                app.token(&[("grant_type", grant)]).await.is_error(400, "unsupported_grant_type");
            }
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
