//! Other OpenID providers that people may sign in with, by the configuration. The protocol is the `openidconnect` crate's
//! ([`provider`]); whose account an identity opens is decided in [`crate::accounts::upstream`].

mod http;
mod provider;

use std::sync::Arc;

use anyhow::Context;
use shared::Platform;

pub use provider::{Callback, Identity, Provider, Secrets, UpstreamError};

/// The providers, in the order of the configuration; clones share what is known of them.
#[derive(Clone)]
pub struct Upstreams(Arc<Vec<Provider>>);

impl Upstreams {
    /// Reads the configuration; nothing is asked yet.
    ///
    /// # Errors
    /// When a secret's file can't be read, or an issuer is no URL.
    pub fn new(platform: &Platform) -> anyhow::Result<Self> {
        let made = platform.config.upstream.iter().map(|settings| {
            Provider::new(platform, settings.clone()).with_context(|| format!("the upstream {}", settings.id))
        });
        Ok(Self(Arc::new(made.collect::<anyhow::Result<_>>()?)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }

    /// The one with this id in our URLs.
    pub fn get(&self, id: &str) -> Option<&Provider> {
        self.iter().find(|provider| provider.id() == id)
    }

    pub fn of_issuer(&self, issuer: &str) -> Option<&Provider> {
        self.iter().find(|provider| provider.issuer() == issuer)
    }
}

#[cfg(test)]
pub(crate) mod testing;
