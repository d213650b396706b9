//! Services outside the house: mail, Hunter, Clearbit, and the clients that are told of a sign-out. None of them can delay or fail a sign-up: what a transaction
//! wants of them it leaves in the outbox ([`shared::outbox`]), and the [`worker`] here does it after the commit. The
//! exceptions are [`hunter::inline_email_check`] and [`breached`], which the operator must ask for.

mod allowance;
mod backchannel_logout;
pub mod breached;
mod call;
pub mod callbacks;
pub mod enrichment;
pub mod forgotten;
pub mod hunter;
pub mod mail;
mod places;
mod refresh;
pub mod unsubscribe;
pub mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use shared::Platform;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::AppState;
use crate::keys::KeyRing;
use allowance::{Allowance, Share};
use breached::Breached;
use enrichment::Enricher;
use hunter::{EmailCheck, EmailVerifier, Hunter};
use mail::{MailSettingsError, Mailer};
use places::Places;

/// For how long an inline answer is remembered, and how many at most.
const ANSWERED: (Duration, u64) = (Duration::from_secs(600), 10_000);

/// The services that the configuration names. Cheap to clone; clones share connections and circuit breakers.
#[derive(Clone)]
pub struct Outside {
    platform: Platform,
    mailer: Arc<Mailer>,
    verifier: Option<Arc<dyn EmailVerifier>>,
    /// The same service, asked while a person waits. Its breaker is its own: being slower than a sign-up may take says
    /// nothing about the background.
    inline_verifier: Option<Arc<dyn EmailVerifier>>,
    enricher: Option<Arc<dyn Enricher>>,
    /// What may be asked of the one and of the other.
    verification: Allowance,
    enrichment: Option<Allowance>,
    /// What Hunter said inline a moment ago, by address.
    answered: moka::future::Cache<String, EmailCheck>,
    breached: Option<Arc<Breached>>,
    /// What logout tokens are signed with.
    keys: Option<KeyRing>,
    wake: Arc<Notify>,
    /// Whom logout tokens are being sent to.
    places: Places,
}

impl Outside {
    /// Reads the configuration; nothing is connected to yet.
    ///
    /// # Errors
    /// When `smtp.url` or `smtp.from` is not usable.
    pub fn new(platform: &Platform) -> Result<Self, MailSettingsError> {
        let verification =
            Allowance::new(platform, "hunter.verifier", Share::of_verification(&platform.config.verification));
        let hunter = |patience| {
            Hunter::new(platform, patience, &verification).map(|hunter| Arc::new(hunter) as Arc<dyn EmailVerifier>)
        };
        let (enricher, enrichment) = enrichment::choose(platform).unzip();
        let (remembered_for, most) = ANSWERED;
        Ok(Self {
            mailer: Arc::new(Mailer::new(&platform.config)?),
            verifier: hunter(hunter::Patience::Background),
            inline_verifier: hunter(hunter::Patience::Inline).filter(|_| platform.config.verification.inline),
            enricher,
            enrichment,
            answered: moka::future::Cache::builder().max_capacity(most).time_to_live(remembered_for).build(),
            breached: Breached::new(platform).map(Arc::new),
            keys: None,
            wake: Arc::default(),
            places: Places::new(&platform.clock),
            verification,
            platform: platform.clone(),
        })
    }

    /// With the keys that logout tokens are signed with; until it has them, those jobs wait.
    pub fn with_keys(self, keys: &KeyRing) -> Self {
        Self { keys: Some(keys.clone()), ..self }
    }

    /// What may be asked for the jobs of `kind`; `None` where nothing bounds them.
    fn allowance(&self, kind: &str) -> Option<&Allowance> {
        match kind {
            "email_check" => Some(&self.verification),
            "enrichment" => self.enrichment.as_ref(),
            _ => None,
        }
    }

    /// Has somebody lost this password, as far as anybody can say? It takes 700 ms at most. Call it outside any transaction.
    pub async fn is_breached(&self, password: &str) -> bool {
        match &self.breached {
            Some(breached) => breached.has(password).await,
            None => false,
        }
    }

    /// Has the worker look at once instead of at its next round. Call it after a commit that enqueued something; it is
    /// a courtesy, nothing is lost without it.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }
}

/// Starts the outbox worker. It ends, within a few seconds, when `stopped` becomes true or its sender is gone.
pub fn spawn(state: &AppState, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(worker::run(state.outside.clone(), stopped))
}
