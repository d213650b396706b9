//! What a client is told of people and of their sessions (OpenID Connect Core §8.1): to those of one sector a `sub` and a
//! `sid` of their own, so that two sectors can't find out by comparing that somebody is the same person.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::ids::{SessionId, UserId};
use shared::{Platform, subjects};

use super::Client;

impl Client {
    /// The `sub` by which this client knows `user`.
    pub fn sub_of(&self, platform: &Platform, user: UserId) -> String {
        match self.sector() {
            Some(sector) => subjects::pairwise(platform, &sector, user),
            None => user.to_string(),
        }
    }

    /// The `sid` by which this client knows a session. It has to be unique per issuer, not the same for everybody
    /// (Back-Channel Logout §2.1).
    pub fn sid_of(&self, platform: &Platform, sid: SessionId) -> String {
        match self.sector() {
            Some(sector) => {
                let message = [sid.0.as_bytes(), sector.as_bytes()].concat();
                URL_SAFE_NO_PAD.encode(platform.master_key.mac("pairwise-session", &message))
            }
            None => sid.to_string(),
        }
    }
}
