//! How clients are let in, and what their tokens are bound to.

use axum::http::Request;
use serde_json::json;
use shared::http::ClientCertificate;
use shared::testing::certificates::Identity;

use super::{each_document, list};
use crate::harness::{Answer, App};

/// Asks `path` about a token that is none; over a connection on which this certificate was shown, if any.
async fn ask(app: &App, path: &str, certificate: Option<&Identity>) -> Answer {
    let Some(identity) = certificate else { return app.post(path, &[("token", "x")]).await };
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(ClientCertificate::parse(&identity.der, vec![]).expect("a certificate"));
    app.server.send(request, format!("token=x&client_id={}", app.client_id)).await
}

#[tokio::test]
async fn each_endpoint_lets_clients_in_by_the_ways_it_lists__rfc8414_2() {
    each_document(|server, document| async move {
        let identity = Identity::self_signed("app");
        let keys = crate::rfc8705_mutual_tls::jwks(&identity);
        for (member, path) in [
            ("revocation_endpoint_auth_methods_supported", "/oauth/revoke"),
            ("introspection_endpoint_auth_methods_supported", "/oauth/introspect"),
        ] {
            let listed = list(&document, member);
            for method in ["client_secret_basic", "client_secret_post", "self_signed_tls_client_auth", "none"] {
                let app = server
                    .app(|metadata| {
                        metadata.token_endpoint_auth_method = method.into();
                        metadata.jwks = method.contains("tls").then(|| keys.clone());
                    })
                    .await;
                let answer = ask(&app, path, method.contains("tls").then_some(&identity)).await;
                match listed.iter().any(|known| known == method) {
                    true => assert_eq!(answer.status, 200, "{member}: {method}: {answer:?}"),
                    false => {
                        answer.is_error(401, "invalid_client");
                    }
                }
            }
            // Those that take an assertion are tried with each algorithm, in `signatures`, and certificates of an
            // authority's where mutual TLS is; there are no others.
            for method in ["client_secret_jwt", "private_key_jwt", "tls_client_auth"] {
                assert!(listed.iter().any(|known| known == method), "{member}: {method}");
            }
            assert_eq!(listed.len(), if listed.iter().any(|known| known == "none") { 7 } else { 6 }, "{listed:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_are_bound_to_certificates_as_announced__rfc8705_3_3() {
    each_document(|server, document| async move {
        assert_eq!(document["tls_client_certificate_bound_access_tokens"], true);
        let identity = Identity::self_signed("app");
        let keys = crate::rfc8705_mutual_tls::jwks(&identity);
        let app = server
            .app(|metadata| {
                metadata.grant_types = vec!["client_credentials".into()];
                metadata.token_endpoint_auth_method = "self_signed_tls_client_auth".into();
                metadata.tls_client_certificate_bound_access_tokens = true;
                metadata.jwks = Some(keys);
            })
            .await;
        let certificate = ClientCertificate::parse(&identity.der, vec![]).expect("a certificate");
        let thumbprint = certificate.thumbprint().to_owned();
        let request = Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .extension(certificate);
        let form = format!("grant_type=client_credentials&client_id={}", app.client_id);
        let token = server.send(request, form).await.json(200)["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(server.jwt(&token).await.1["cnf"], json!({ "x5t#S256": thumbprint }));
    })
    .await;
}
