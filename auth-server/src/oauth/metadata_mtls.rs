//! What discovery says of mutual TLS (RFC 8705 §3.3 and §5): nothing, unless a client's certificate can arrive.

use serde_json::{Map, Value, json};
use shared::config::Config;

use crate::clients::mtls_auth_methods;

/// Where clients authenticate or show bound tokens, by the names in the document.
const ENDPOINTS: [&str; 6] = [
    "token_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
];

/// Adds to a document that is complete otherwise.
pub fn add(document: &mut Map<String, Value>, config: &Config) {
    if !config.auth_sees_client_certificates() {
        return;
    }
    for endpoint in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] {
        let member = format!("{endpoint}_auth_methods_supported");
        if let Some(Value::Array(methods)) = document.get_mut(&member) {
            methods.extend(mtls_auth_methods(config).into_iter().map(Value::from));
        }
    }
    document.insert("tls_client_certificate_bound_access_tokens".into(), json!(true));
    let Some(alias) = &config.auth.mtls_public_url else { return };
    let aliases: Map<String, Value> = ENDPOINTS
        .iter()
        .filter_map(|name| {
            let path = document.get(*name)?.as_str()?.strip_prefix(config.auth.public_url.as_str())?;
            Some(((*name).to_owned(), alias.join(path).into()))
        })
        .collect();
    document.insert("mtls_endpoint_aliases".into(), aliases.into());
}
