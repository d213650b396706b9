//! OAuth Client ID Metadata Document (draft-ietf-oauth-client-id-metadata-document-02, `cimd`).

mod bounds;
mod caching;
mod document;
mod flow;
mod keys;
mod sector;

use auth_server::clients::ClientMetadata;
use serde_json::{Value, json};

use crate::harness::{App, Server, Site};

pub const ON: (&str, &str) = ("REGISTRATION__METADATA_DOCUMENTS", "true");

/// The least that a document says.
pub fn document(client_id: &str) -> Value {
    json!({ "client_id": client_id, "client_name": "Wonder App", "redirect_uris": ["https://app.example/callback"] })
}

/// Publishes a good document at `path`; the client's id.
pub fn publish(site: &Site, path: &str) -> String {
    let id = format!("{}{path}", site.url);
    site.publish(path, &document(&id))
}

/// The public client with this id, as its developer writes it.
pub async fn app(server: &Server, client_id: &str) -> App {
    let mut app = server.app(|metadata: &mut ClientMetadata| metadata.token_endpoint_auth_method = "none".into()).await;
    app.client_id = client_id.to_owned();
    app.secret = None;
    app
}
