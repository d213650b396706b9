//! What every handler of the authorization server is given.

use std::ops::Deref;
use std::sync::Arc;

use anyhow::anyhow;
use shared::Platform;
use shared::dpop::Nonces;
use shared::http::ClientAuthorities;

use crate::clients::Clients;
use crate::clients::keys::ClientKeys;
use crate::keys::KeyRing;
use crate::outside::Outside;
use crate::pages::look::Brand;
use crate::passwords::Passwords;
use crate::upstream::Upstreams;

/// Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// What all clones share.
pub struct Inner {
    pub platform: Platform,
    pub passwords: Passwords,
    pub keys: KeyRing,
    pub clients: Clients,
    pub client_keys: ClientKeys,
    pub outside: Outside,
    /// How the pages look.
    pub brand: Brand,
    /// Other providers that people sign in with.
    pub upstreams: Upstreams,
    /// For the proofs of clients' keys (RFC 9449 §8).
    pub nonces: Nonces,
    /// Whose certificates name clients (RFC 8705 §2.1), where any are trusted with it.
    pub client_authorities: Option<ClientAuthorities>,
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
    /// When the database is out of reach, the signing keys do not open with this master key, or the settings of mail,
    /// the logo or the authorities of clients' certificates are not usable.
    pub async fn new(platform: Platform) -> anyhow::Result<Self> {
        let keys = KeyRing::open(&platform).await?;
        let passwords = Passwords::new(&platform);
        let clients = Clients::new(platform.clone());
        let client_keys = ClientKeys::new(&platform);
        let outside = Outside::new(&platform)?.with_keys(&keys);
        let client_authorities = match &platform.config.auth.client_ca_file {
            Some(file) => Some(ClientAuthorities::load(file).map_err(|e| anyhow!("auth.client_ca_file: {e}"))?),
            None => None,
        };
        let brand = Brand::new(&platform.config)?;
        let upstreams = Upstreams::new(&platform)?;
        let nonces = Nonces::new(&platform.master_key);
        Ok(Self(Arc::new(Inner {
            nonces,
            platform,
            passwords,
            keys,
            clients,
            client_keys,
            outside,
            brand,
            upstreams,
            client_authorities,
        })))
    }

    /// The issuer identifier (RFC 8414 §2): `auth.public_url`, byte for byte.
    pub fn issuer(&self) -> &str {
        self.platform.config.auth.public_url.as_str()
    }
}
