//! Discovery tells the truth (OpenID Connect Discovery 1.0 §3, RFC 8414 §2): the document is walked, so that what is
//! added to it is tried as well.

mod authorization;
mod cors;
mod endpoints;
mod logout;
mod members;
mod openapi;
mod registration;
mod signatures;
mod tokens;

use serde_json::Value;

use shared::testing::certificates::Authority;

use crate::harness::{ALLOWED, Server, each_server};
use crate::rfc7591_registration::OPEN;

/// Where certificates are shown.
pub const MTLS: &str = "https://mtls.id.example.com";

/// The document.
pub async fn document(server: &Server) -> Value {
    server.get("/.well-known/openid-configuration").await.json(200)
}

/// A list in it, which has to be there: a test that walks nothing shows nothing.
#[track_caller]
pub fn list(document: &Value, member: &str) -> Vec<String> {
    let listed = document[member].as_array().unwrap_or_else(|| panic!("no {member}: {document}"));
    assert!(!listed.is_empty(), "{member}");
    listed.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

/// Runs `test` on each store with the document, where everything that can be switched on by a key is.
pub async fn each_document<F: Future<Output = ()>>(test: impl Fn(Server, Value) -> F) {
    let test = &test;
    let folder = tempfile::tempdir().expect("a folder");
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, Authority::new("Test authority").pem()).expect("a file");
    let settings = [
        OPEN,
        ("REGISTRATION__METADATA_DOCUMENTS", "true"),
        ALLOWED,
        ("TRUSTED_PROXIES", "[\"10.0.0.5/32\"]"),
        ("CLIENT_CERTIFICATE_HEADER", "Client-Cert"),
        ("AUTH__MTLS_PUBLIC_URL", MTLS),
        ("AUTH__CLIENT_CA_FILE", authorities.to_str().expect("a path")),
    ];
    each_server(&settings, |server| async move {
        let document = document(&server).await;
        test(server, document).await;
    })
    .await;
}
