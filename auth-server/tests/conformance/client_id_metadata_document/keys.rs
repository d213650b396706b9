//! §4.1: a client that proves who it is by a key.

use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{ON, app, document};
use crate::harness::{ALLOWED, Answer, App, Site, each_server};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn assertion(app: &App, signer: &Signer) -> String {
    let state = &app.server.state;
    let now = state.platform.clock.timestamp();
    let jti = state.platform.random.uuid_v4().to_string();
    let claims = json!({
        "iss": app.client_id, "sub": app.client_id, "aud": state.issuer(), "jti": jti, "iat": now, "exp": now + 60
    });
    signer.sign(&signer.header("JWT"), &claims)
}

async fn post(app: &App, signer: &Signer, path: &str, form: &[(&str, &str)]) -> Answer {
    let assertion = assertion(app, signer);
    let mut form = form.to_vec();
    form.extend([("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())]);
    app.server.post(path, &form).await
}

#[tokio::test]
async fn a_client_known_by_a_document_authenticates_with_its_key__cimd_4_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let (signer, other) =
            (Signer::new(jsonwebtoken::Algorithm::ES256), Signer::new(jsonwebtoken::Algorithm::ES256));
        let set: Value = json!({ "keys": [signer.jwk()] });
        let by_reference = site.publish("/jwks", &set);
        for (path, member, value) in [("/value", "jwks", set.clone()), ("/reference", "jwks_uri", json!(by_reference))]
        {
            let id = format!("{}{path}", site.url);
            let mut published = document(&id);
            published["token_endpoint_auth_method"] = json!("private_key_jwt");
            published[member] = value;
            site.publish(path, &published);
            let app = app(&server, &id).await;
            // The assertion alone names it: the client is met by it where the flow begins.
            let request: Vec<_> = app.parameters(&[("client_id", "")]);
            let pushed = post(&app, &signer, "/oauth/par", &request).await.json(201);
            let uri = pushed["request_uri"].as_str().expect("a request_uri").to_owned();
            let mut browser = server.browser();
            let code = app.code(&mut browser, "ann@example.com", &[("request_uri", &uri)]).await;
            let form = app.exchange_form(&code);
            let before = server.rows().await;
            post(&app, &other, "/oauth/token", &form).await.is_error(401, "invalid_client");
            app.exchange(&code).await.is_error(401, "invalid_client");
            assert_eq!(server.rows().await, before);
            assert!(post(&app, &signer, "/oauth/token", &form).await.json(200)["access_token"].is_string());
        }
    })
    .await;
}
