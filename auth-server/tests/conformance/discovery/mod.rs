//! Discovery tells the truth (OpenID Connect Discovery 1.0 §3, RFC 8414 §2): the document is walked, so that what is
//! added to it is tried as well.

mod authorization;
mod cors;
mod endpoints;
mod members;
mod registration;

use serde_json::Value;

use crate::harness::{Server, each_server};
use crate::rfc7591_registration::OPEN;

/// The document.
pub async fn document(server: &Server) -> Value {
    server.get("/.well-known/openid-configuration").await.json(200)
}

/// A list in it; empty when it is not there.
pub fn list(document: &Value, member: &str) -> Vec<String> {
    let listed = document[member].as_array().map(Vec::as_slice).unwrap_or_default();
    listed.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

/// Runs `test` on each store with the document, where everything that can be switched on by a key is.
pub async fn each_document<F: Future<Output = ()>>(test: impl Fn(Server, Value) -> F) {
    let test = &test;
    each_server(&[OPEN, ("REGISTRATION__METADATA_DOCUMENTS", "true")], |server| async move {
        let document = document(&server).await;
        test(server, document).await;
    })
    .await;
}
