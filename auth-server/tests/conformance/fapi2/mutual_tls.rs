//! Security Profile §5.3.2.1: clients that are known by their certificate, and tokens that are bound to it alone.

use axum::body::Body;
use axum::http::{Request, header};
use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::Signer;
use shared::testing::certificates::Identity;

use super::registration::register;
use super::{metadata, signed};
use crate::harness::{Answer, Server};
use crate::rfc8705_mutual_tls::{each_stage, jwks, parsed, post};
use crate::rfc9101_jar::SigningApp;
use crate::rfc9126_par::referring;

async fn userinfo(server: &Server, identity: Option<&Identity>, token: &str) -> Answer {
    let mut request = Request::get("/oauth/userinfo").header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(identity) = identity {
        request = request.extension(parsed(identity));
    }
    server.send(request, Body::empty()).await
}

#[tokio::test]
async fn a_certificate_stands_for_client_and_tokens_throughout__fapi2_sp_5_3_2_1() {
    each_stage(|stage| async move {
        let server = &stage.server;
        server.person("ann@example.com").await;
        for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
            let signer = Signer::new(Algorithm::PS256);
            let (own, stranger) = match method {
                "tls_client_auth" => {
                    (stage.authority.client("client", |_| {}), stage.authority.client("other", |_| {}))
                }
                _ => (Identity::self_signed("client"), Identity::self_signed("client")),
            };
            let app = server.app(|client| {
                metadata(&signer, client);
                client.token_endpoint_auth_method = method.into();
                client.dpop_bound_access_tokens = false;
                client.tls_client_certificate_bound_access_tokens = true;
                match method {
                    "tls_client_auth" => client.tls_client_auth_subject_dn = Some("CN=client".into()),
                    _ => client.jwks = Some(json!({"keys": [signer.jwk(), jwks(&own)["keys"][0]]})),
                }
            });
            let signing = SigningApp { app: app.await, signer };
            let app = &signing.app;
            let object = signing.object(json!({"response_mode": "jwt"}));
            let others = [None, Some(&stranger)];

            let before = server.rows().await;
            for other in others {
                post(app, other, "/oauth/par", &[("request", &object)]).await.is_error(401, "invalid_client");
            }
            assert_eq!(server.rows().await, before);
            let pushed = post(app, Some(&own), "/oauth/par", &[("request", &object)]).await.json(201);
            let url = referring(&app.client_id, pushed["request_uri"].as_str().unwrap(), &[]);
            let answer = server.browser().authorize(&url, "ann@example.com").await;
            let code = signed(&answer.query())["code"].as_str().unwrap().to_owned();

            let exchange = app.exchange_form(&code);
            let before = server.rows().await;
            for other in others {
                post(app, other, "/oauth/token", &exchange).await.is_error(401, "invalid_client");
            }
            assert_eq!(server.rows().await, before);
            let tokens = post(app, Some(&own), "/oauth/token", &exchange).await.json(200);
            assert_eq!(tokens["token_type"], "Bearer");
            let token = tokens["access_token"].as_str().unwrap();
            let cnf = crate::rfc8707_resource::claims(&tokens["access_token"])["cnf"].clone();
            assert_eq!(cnf, json!({"x5t#S256": parsed(&own).thumbprint()}));
            userinfo(server, Some(&own), token).await.json(200);
            for other in others {
                let refused = userinfo(server, other, token).await;
                assert_eq!(refused.status, 401, "{refused:?}");
                assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""), "{refused:?}");
            }
            let refresh =
                [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
            for other in others {
                post(app, other, "/oauth/token", &refresh).await.is_error(401, "invalid_client");
            }
            post(app, Some(&own), "/oauth/token", &refresh).await.json(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_signs_no_requests_so_keys_are_registered_as_well__fapi2_ms_5_3_1() {
    each_stage(|stage| async move {
        let server = &stage.server;
        let signer = Signer::new(Algorithm::ES256);
        let by_certificate = |client: &mut auth_server::clients::ClientMetadata| {
            client.token_endpoint_auth_method = "tls_client_auth".into();
            client.tls_client_auth_subject_dn = Some("CN=client".into());
            client.jwks = None;
        };
        let before = server.rows().await;
        let refused = register(server, &signer, by_certificate).await.unwrap_err();
        assert!(refused.starts_with("jwks: ") && refused.contains("sign"), "{refused}");
        assert_eq!(server.rows().await, before);
        // A machine asks for no authorization.
        let machine = register(server, &signer, |client| {
            by_certificate(client);
            client.grant_types = vec!["client_credentials".into()];
        });
        machine.await.unwrap();
    })
    .await;
}
