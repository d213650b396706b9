//! §3.3 and §5: what discovery says, exactly when it works.

use serde_json::{Value, json};

use super::each_stage;
use crate::harness::each_server;

const DISCOVERY: &str = "/.well-known/oauth-authorization-server";

fn has(document: &Value, member: &str, method: &str) -> bool {
    document[member].as_array().unwrap().contains(&json!(method))
}

#[tokio::test]
async fn discovery_tells_of_mutual_tls_and_of_its_addresses__rfc8705_5() {
    each_stage(|stage| async move {
        let document = stage.server.get(DISCOVERY).await.json(200);
        assert_eq!(document["tls_client_certificate_bound_access_tokens"], true);
        for endpoint in ["token", "revocation", "introspection"] {
            let member = format!("{endpoint}_endpoint_auth_methods_supported");
            assert!(has(&document, &member, "tls_client_auth"), "{member}");
            assert!(has(&document, &member, "self_signed_tls_client_auth"), "{member}");
        }
        let aliases = document["mtls_endpoint_aliases"].as_object().unwrap();
        assert_eq!(aliases["token_endpoint"], "https://mtls.id.example.com/oauth/token");
        assert_eq!(aliases["userinfo_endpoint"], "https://mtls.id.example.com/oauth/userinfo");
        // An alias is for an endpoint that is there.
        assert!(aliases.keys().all(|name| document.get(name).is_some()), "{aliases:?}");
        assert!(!aliases.contains_key("authorization_endpoint"), "browsers go to the other one");
    })
    .await;
}

#[tokio::test]
async fn discovery_says_nothing_of_certificates_that_can_not_arrive__rfc8705_5() {
    each_server(&[], |server| async move {
        let document = server.get(DISCOVERY).await.json(200);
        assert!(document.get("mtls_endpoint_aliases").is_none());
        assert!(document.get("tls_client_certificate_bound_access_tokens").is_none());
        assert!(!document.to_string().contains("tls_client_auth"));
    })
    .await;
    let proxy = [("TRUSTED_PROXIES", "[\"10.0.0.5/32\"]"), ("CLIENT_CERTIFICATE_HEADER", "Client-Cert")];
    each_server(&proxy, |server| async move {
        let document = server.get(DISCOVERY).await.json(200);
        let methods = "token_endpoint_auth_methods_supported";
        assert!(has(&document, methods, "self_signed_tls_client_auth"));
        assert!(!has(&document, methods, "tls_client_auth"), "no authority is trusted");
        assert!(document.get("mtls_endpoint_aliases").is_none(), "the proxy asks at the one address");
    })
    .await;
}
