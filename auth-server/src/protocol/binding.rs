//! What a token is bound to: the key or certificate that whoever presents it must prove to hold (RFC 7800 `cnf`).

use serde::{Deserialize, Serialize};

use super::client_auth::mtls;
use super::dpop;
use super::error::{Code, OAuthError};
use super::proofs::UsedProof;
use super::request::Parameters;
use crate::clients::Client;
use crate::state::AppState;

/// The `cnf` claim. Where both members are set, both must be proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Thumbprint of a DPoP key (RFC 9449 §6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// Thumbprint of a client certificate (RFC 8705 §3.1).
    #[serde(default, rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub x5t_s256: Option<String>,
}

impl Confirmation {
    /// Bound to a DPoP key.
    pub fn dpop(jkt: impl Into<String>) -> Self {
        Self { jkt: Some(jkt.into()), x5t_s256: None }
    }

    /// Bound to a client certificate.
    pub fn certificate(thumbprint: impl Into<String>) -> Self {
        Self { jkt: None, x5t_s256: Some(thumbprint.into()) }
    }

    /// The `token_type` of an access token that is bound so (RFC 9449 §5; a certificate leaves it `Bearer`).
    pub fn token_type(binding: Option<&Self>) -> &'static str {
        match binding {
            Some(Self { jkt: Some(_), .. }) => "DPoP",
            _ => "Bearer",
        }
    }
}

/// What a token request of `client` proves to hold: the key of its DPoP proof (RFC 9449 §5) and, for clients that
/// registered it, the certificate of its connection (RFC 8705 §3). With the proof that is used up by it.
///
/// # Errors
/// Those of the proof, and `invalid_dpop_proof` or `invalid_request` when the client's tokens must be bound and nothing is
/// proved.
pub fn presented_binding(
    state: &AppState,
    client: &Client,
    parameters: &Parameters,
) -> Result<(Option<Confirmation>, Option<UsedProof>), OAuthError> {
    let certificate = mtls::binding(client, parameters.certificate.as_ref())?;
    let key = dpop::proved_key(state, parameters)?;
    // RFC 9449 §5.2; FAPI 2.0 Security Profile §5.3.2.1: sender-constrained access tokens and no others.
    if key.is_none() && (client.requires_dpop() || (client.is_fapi2() && certificate.is_none())) {
        let reason = "the tokens of this client are bound to a key: send a DPoP proof";
        return Err(OAuthError::new(Code::InvalidDpopProof, reason));
    }
    Ok(match key {
        None => (certificate, None),
        Some(key) => {
            let x5t_s256 = certificate.and_then(|certificate| certificate.x5t_s256);
            (Some(Confirmation { jkt: Some(key.jkt), x5t_s256 }), Some(key.proof))
        }
    })
}
