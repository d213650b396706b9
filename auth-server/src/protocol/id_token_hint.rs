//! `id_token_hint`: an ID token of ours that comes back to say whom a request is about (OpenID Connect Core §3.1.2.1,
//! RP-Initiated Logout §2).

use shared::db::DbError;
use shared::ids::ClientId;
use shared::jose::ASYMMETRIC;
use shared::jose::jwk::PublicKey;
use shared::jose::jwt::Unverified;

use crate::state::AppState;

/// The longest hint that is read, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// What a genuine ID token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Whom it was issued to.
    pub client_id: ClientId,
    pub sub: String,
    pub sid: Option<String>,
}

/// How far the clock of another instance of ours may be ahead, in seconds.
const LEEWAY: i64 = 10;

/// Reads a hint. Its expiry does not matter, and neither does that its key is published no more. `None` for anything
/// but an ID token that we issued to one client, before now.
pub async fn verify(state: &AppState, token: &str) -> Result<Option<Hint>, DbError> {
    let Ok(token) = Unverified::parse(token, MAX_LENGTH) else { return Ok(None) };
    // ID tokens have no type of their own. What has one (access tokens, logout tokens) is something else, though the
    // same keys signed it.
    if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Ok(None);
    }
    let Some(kid) = token.kid() else { return Ok(None) };
    let Some(jwk) = state.keys.ever_published(&state.platform, kid).await? else { return Ok(None) };
    let now = state.platform.clock.timestamp();
    Ok(PublicKey::parse(&jwk).ok().and_then(|key| {
        let verified = token.verify_with(&key, &ASYMMETRIC).ok()?;
        // Nor is a signed answer of the userinfo endpoint one, or a signed authorization response.
        verified.timestamp("exp").ok()??;
        if verified.timestamp("iat").ok()?? > now + LEEWAY {
            return None;
        }
        let [client_id] = <[String; 1]>::try_from(verified.audience().ok()?).ok()?;
        if verified.required("iss").ok()? != state.issuer() {
            return None;
        }
        Some(Hint {
            client_id: ClientId(client_id),
            sub: verified.required("sub").ok()?.to_owned(),
            sid: verified.string("sid").ok()?.map(str::to_owned),
        })
    }))
}
