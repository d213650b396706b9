//! RFC 8705: OAuth 2.0 Mutual-TLS Client Authentication and Certificate-Bound Access Tokens. The handshake itself is
//! tested where the listener is, in `shared`, and over real connections in `e2e`.

mod assertions;
mod bound_tokens;
mod discovery;
mod registration;
mod self_signed;
mod tls_client_auth;

use std::path::PathBuf;

use auth_server::clients::ClientMetadata;
use axum::http::{Request, header};
use serde_json::{Value, json};
use shared::http::ClientCertificate;
use shared::jose::testing::encode;
use shared::testing::certificates::{Authority, Identity, rcgen};
use url::form_urlencoded;

use crate::harness::{ALLOWED, Answer, App, Server, each_server};

/// Where the certificates of a test come from.
pub struct Stage {
    pub server: Server,
    pub authority: Authority,
}

/// Runs `test` on each store, on a server that sees certificates and trusts the stage's authority.
pub async fn each_stage<F: Future<Output = ()>>(test: impl Fn(Stage) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("ca.pem");
    let authority = || Authority::new("Test authority");
    // One for each store that may follow; the file is read when its server starts.
    let authorities = std::cell::RefCell::new(vec![authority(), authority()]);
    let pem: String = authorities.borrow().iter().map(Authority::pem).collect();
    std::fs::write(&file, pem).unwrap();
    let settings = [
        ALLOWED,
        ("TRUSTED_PROXIES", "[\"10.0.0.5/32\"]"),
        ("CLIENT_CERTIFICATE_HEADER", "Client-Cert"),
        ("AUTH__MTLS_PUBLIC_URL", "https://mtls.id.example.com"),
        ("AUTH__CLIENT_CA_FILE", file.to_str().unwrap()),
    ];
    each_server(&settings, |server| {
        let authority = authorities.borrow_mut().pop().unwrap();
        test(Stage { server, authority })
    })
    .await;
}

pub fn parsed(identity: &Identity) -> ClientCertificate {
    ClientCertificate::parse(&identity.der, vec![]).unwrap()
}

/// The identity's public key as a client registers it.
pub fn jwks(identity: &Identity) -> Value {
    let raw = rcgen::PublicKeyData::der_bytes(&identity.key);
    let (x, y) = raw[1..].split_at(32);
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) }] })
}

/// Machines: client_credentials alone, by `method`.
fn machine(metadata: &mut ClientMetadata, method: &str) {
    metadata.grant_types = vec!["client_credentials".into()];
    metadata.redirect_uris.clear();
    metadata.token_endpoint_auth_method = method.into();
}

/// Posts a form as `app`, over a connection whose client showed `identity`.
pub async fn post(app: &App, identity: Option<&Identity>, path: &str, form: &[(&str, &str)]) -> Answer {
    let mut form = form.to_vec();
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match app.secret {
        Some(_) => request = request.header(header::AUTHORIZATION, app.basic()),
        None => form.push(("client_id", &app.client_id)),
    }
    if let Some(identity) = identity {
        request = request.extension(parsed(identity));
    }
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    app.server.send(request, body).await
}

const MACHINE: &[(&str, &str)] = &[("grant_type", "client_credentials")];

async fn token(app: &App, identity: Option<&Identity>) -> Answer {
    post(app, identity, "/oauth/token", MACHINE).await
}

/// The client is not believed, and nothing was written.
async fn is_refused(app: &App, identity: Option<&Identity>) {
    let before = app.server.rows().await;
    token(app, identity).await.is_error(401, "invalid_client");
    assert_eq!(app.server.rows().await, before);
}
