//! What every handler of the authorization server is given.

use std::ops::Deref;
use std::sync::Arc;

use shared::Platform;

use crate::clients::Clients;
use crate::keys::KeyRing;
use crate::outside::Outside;
use crate::passwords::Passwords;

/// Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// What all clones share.
pub struct Inner {
    pub platform: Platform,
    pub passwords: Passwords,
    pub keys: KeyRing,
    pub clients: Clients,
    pub outside: Outside,
}

impl Deref for AppState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppState {
    /// Loads the signing keys (made on first start) and starts the password workers.
    ///
    /// # Errors
    /// When the database is out of reach, the signing keys do not open with this master key, or the settings of mail
    /// are not usable.
    pub async fn new(platform: Platform) -> anyhow::Result<Self> {
        let keys = KeyRing::open(&platform).await?;
        let passwords = Passwords::new(&platform);
        let clients = Clients::new(platform.db.clone());
        let outside = Outside::new(&platform)?;
        Ok(Self(Arc::new(Inner { platform, passwords, keys, clients, outside })))
    }

    /// The issuer identifier (RFC 8414 §2): `auth.public_url`, byte for byte.
    pub fn issuer(&self) -> &str {
        self.platform.config.auth.public_url.as_str()
    }
}
