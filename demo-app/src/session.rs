//! What is kept of a browser, on the server: sign-ins under way and, after one, the person with their tokens. The
//! cookie is only a name for it. In memory: a restart signs everybody out, which a demo can afford.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use shared::config::PublicUrl;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore, session, session_store};

use crate::page::Failure;
use crate::provider::{Attempt, Person, Tokens};

const ATTEMPTS: &str = "attempts";
const SIGNED_IN: &str = "signed_in";
const FLASH: &str = "flash";

/// How many sign-ins a browser may have under way: more tabs than that push out the oldest.
const MOST_ATTEMPTS: usize = 5;
/// How many browsers are remembered. Anyone can begin a sign-in, so there must be an end to it.
const MOST_SESSIONS: u64 = 10_000;
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Who is signed in, and what the app may do in their name.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SignedIn {
    pub(crate) person: Person,
    pub(crate) tokens: Tokens,
}

/// The sessions' layer: a cookie for this address alone.
pub(crate) fn layer(public_url: &PublicUrl) -> anyhow::Result<SessionManagerLayer<MemoryStore>> {
    let url = url::Url::parse(public_url.as_str()).context("demo.public_url")?;
    // Cookies ignore ports, so on plain http the name carries it: two demos on one machine stay apart.
    let name = if public_url.is_https() {
        "__Host-kopi".to_owned()
    } else {
        format!("kopi-{}", url.port_or_known_default().unwrap_or(80))
    };
    let inactivity = time::Duration::try_from(LIFETIME).context("the sessions' lifetime")?;
    Ok(SessionManagerLayer::new(MemoryStore::new())
        .with_name(name)
        .with_secure(public_url.is_https())
        .with_http_only(true)
        // Lax and not Strict: the browser arrives at /callback from the authorization server's site.
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(inactivity)))
}

/// Remembers a sign-in that leaves for the authorization server.
pub(crate) async fn remember(session: &Session, attempt: Attempt) -> Result<(), Failure> {
    let mut attempts: Vec<Attempt> = session.get(ATTEMPTS).await?.unwrap_or_default();
    attempts.push(attempt);
    let surplus = attempts.len().saturating_sub(MOST_ATTEMPTS);
    attempts.drain(..surplus);
    Ok(session.insert(ATTEMPTS, attempts).await?)
}

/// Takes back the sign-in that this `state` belongs to, once.
pub(crate) async fn recall(session: &Session, state: &str) -> Result<Option<Attempt>, Failure> {
    let mut attempts: Vec<Attempt> = session.get(ATTEMPTS).await?.unwrap_or_default();
    let Some(at) = attempts.iter().position(|attempt| attempt.state == state) else { return Ok(None) };
    let attempt = attempts.swap_remove(at);
    session.insert(ATTEMPTS, attempts).await?;
    Ok(Some(attempt))
}

/// Who is signed in in this browser.
pub(crate) async fn signed_in(session: &Session) -> Result<Option<SignedIn>, Failure> {
    Ok(session.get(SIGNED_IN).await?)
}

/// Signs somebody in, under a new session id: one that was planted before (session fixation) is worth nothing.
pub(crate) async fn sign_in(session: &Session, signed_in: &SignedIn) -> Result<(), Failure> {
    session.cycle_id().await?;
    keep(session, signed_in).await
}

/// Keeps renewed tokens.
pub(crate) async fn keep(session: &Session, signed_in: &SignedIn) -> Result<(), Failure> {
    Ok(session.insert(SIGNED_IN, signed_in).await?)
}

/// Forgets this browser.
pub(crate) async fn forget(session: &Session) -> Result<(), Failure> {
    Ok(session.flush().await?)
}

/// A sentence for the next page.
pub(crate) async fn flash(session: &Session, sentence: &str) -> Result<(), Failure> {
    Ok(session.insert(FLASH, sentence).await?)
}

/// The sentence left by the last page.
pub(crate) async fn take_flash(session: &Session) -> Result<Option<String>, Failure> {
    Ok(session.remove(FLASH).await?)
}

/// Sessions in this process's memory, bounded in number and in age.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStore(Cache<Id, Record>);

impl MemoryStore {
    fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST_SESSIONS).time_to_idle(LIFETIME).build())
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        while !self.0.entry(record.id).or_insert(record.clone()).await.is_fresh() {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.0.insert(record.id, record.clone()).await;
        Ok(())
    }

    async fn load(&self, id: &session::Id) -> session_store::Result<Option<Record>> {
        Ok(self.0.get(id).await)
    }

    async fn delete(&self, id: &session::Id) -> session_store::Result<()> {
        self.0.invalidate(id).await;
        Ok(())
    }
}
