//! What discovery says of OpenID Connect itself (Discovery 1.0 §3): how requests may ask and how answers come.

use serde_json::{Map, Value, json};
use shared::config::Config;

use crate::keys::Algorithm;
use crate::protocol::authorization::openid::prompts;
use crate::protocol::authorization::response::ResponseMode;
use crate::protocol::claims::SCOPE_CLAIMS;
use crate::sessions::acr_values;

/// Claims about the token and the sign-in rather than the person.
const OWN_CLAIMS: [&str; 10] = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"];

/// Adds to a document.
pub fn add(config: &Config, document: &mut Map<String, Value>) {
    let claims: Vec<&str> =
        OWN_CLAIMS.into_iter().chain(SCOPE_CLAIMS.iter().flat_map(|(_, claims)| claims.iter().copied())).collect();
    let members = json!({
        "response_modes_supported": ResponseMode::NAMES,
        // JARM §4
        "authorization_signing_alg_values_supported": Algorithm::NAMES,
        "userinfo_signing_alg_values_supported": Algorithm::NAMES,
        "acr_values_supported": acr_values(config),
        // `wap` is taken for `page`; nobody should count on it.
        "display_values_supported": ["page", "popup", "touch"],
        "claims_supported": claims,
        "claims_parameter_supported": true,
        // OpenID Connect Prompt Create 1.0 §4
        "prompt_values_supported": prompts(config),
    });
    if let Value::Object(members) = members {
        document.extend(members);
    }
}
