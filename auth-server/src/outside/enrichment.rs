//! Who is a new person? Asked after sign-up of Clearbit (`GET /v2/combined/find`) or, since Clearbit gives out no new
//! keys, of Hunter's endpoint with the same shape. The answer is stored with its source and date and shown to the
//! person; it goes with the account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use shared::config::EnrichmentProvider;
use shared::db::{DbError, Tx};
use shared::ids::UserId;
use shared::secret::PlainToken;
use shared::{Platform, execute};
use sqlx::types::Json;
use tracing::error;
use url::Url;

use super::allowance::{Allowance, Share};
use super::call::{Failure, Manner, Reply, Service, secret_header};
use super::{callbacks, hunter};

const TIMEOUT: Duration = Duration::from_secs(15);

/// What is known of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrichment {
    /// `clearbit` or `hunter`.
    pub source: &'static str,
    /// `{person, company}` in Clearbit's shape, either of them null; `None` when nobody is known by the address.
    pub found: Option<Value>,
}

/// A service that knows people by their address.
#[async_trait]
pub trait Enricher: Send + Sync {
    /// Asks about `email_key` ([`shared::email::Email::key`]). `webhook_id` is what a late answer would be known by.
    async fn find(&self, email_key: &str, webhook_id: Option<&PlainToken>) -> Result<Enrichment, Failure>;

    /// Does it call back when it has queued a look-up?
    fn calls_back(&self) -> bool;
}

/// The provider that the configuration chooses, and what we may ask of it; `None` when it is off or has no key.
pub(super) fn choose(platform: &Platform) -> Option<(Arc<dyn Enricher>, Allowance)> {
    let config = &platform.config;
    let clearbit = config.enrichment.api_key.as_ref();
    let hunter_key = config.verification.api_key.as_ref();
    let without_key = |name| {
        error!("enrichment.provider is {name}, but {name} has no key: nobody is enriched");
        None
    };
    match (config.enrichment.provider, clearbit, hunter_key) {
        (EnrichmentProvider::Off, ..) | (EnrichmentProvider::Auto, None, None) => None,
        (EnrichmentProvider::Clearbit | EnrichmentProvider::Auto, Some(key), _) => {
            let Some(authorization) = secret_header(&format!("Bearer {}", key.expose())) else {
                error!("enrichment.api_key holds characters that no key has; Clearbit is not used");
                return None;
            };
            let allowance = Allowance::new(platform, "clearbit.enrichment", Share::at_clearbit(&config.enrichment));
            let combined = Combined {
                source: "clearbit",
                service: Service::new(platform, "clearbit", TIMEOUT, Manner::Clearbit, allowance.clone()),
                url: format!("{}/v2/combined/find", config.enrichment.base_url),
                parameters: &[],
                key: (header::AUTHORIZATION, authorization),
                webhook: (config.enrichment.webhook_secret.as_ref())
                    .map(|_| config.auth.public_url.join(callbacks::PATH)),
            };
            Some((Arc::new(combined), allowance))
        }
        (EnrichmentProvider::Hunter | EnrichmentProvider::Auto, _, Some(key)) => {
            let allowance = Allowance::new(platform, "hunter.enrichment", Share::at_hunter(&config.enrichment));
            let combined = Combined {
                source: "hunter",
                service: Service::new(platform, "hunter-enrichment", TIMEOUT, Manner::Hunter, allowance.clone()),
                url: format!("{}/v2/combined/find", config.verification.base_url),
                parameters: &[("clearbit_format", "true")],
                key: (hunter::KEY_HEADER, hunter::header(key)?),
                webhook: None,
            };
            Some((Arc::new(combined), allowance))
        }
        (EnrichmentProvider::Clearbit, None, _) => without_key("clearbit"),
        (EnrichmentProvider::Hunter, _, None) => without_key("hunter"),
    }
}

/// The combined look-up, at either provider.
struct Combined {
    source: &'static str,
    service: Service,
    url: String,
    parameters: &'static [(&'static str, &'static str)],
    key: (HeaderName, HeaderValue),
    /// Where it may send what it has queued.
    webhook: Option<String>,
}

#[async_trait]
impl Enricher for Combined {
    fn calls_back(&self) -> bool {
        self.webhook.is_some()
    }

    async fn find(&self, email_key: &str, webhook_id: Option<&PlainToken>) -> Result<Enrichment, Failure> {
        let mut url = Url::parse(&self.url).map_err(|_| Failure::Refused("the base URL is no URL".into()))?;
        url.query_pairs_mut().append_pair("email", email_key).extend_pairs(self.parameters);
        if let (Some(webhook), Some(id)) = (&self.webhook, webhook_id) {
            url.query_pairs_mut().append_pair("webhook_url", webhook).append_pair("webhook_id", id.reveal());
        }
        let found = match self.service.get(url, self.key.clone()).await? {
            Reply::NotFound => None,
            Reply::Found(answer) => read(answer)?,
        };
        Ok(Enrichment { source: self.source, found })
    }
}

/// Keeps `person` and `company` and nothing else, out of Hunter's envelope if there is one.
pub(super) fn read(mut answer: Value) -> Result<Option<Value>, Failure> {
    if answer.pointer("/error/type").and_then(Value::as_str) == Some("queued") {
        return Err(Failure::NotYet { retry_after: None });
    }
    if let Some(data) = answer.get_mut("data").filter(|data| data.is_object()) {
        answer = data.take();
    }
    let mut part = |name| answer.get_mut(name).map(Value::take).filter(Value::is_object).unwrap_or_default();
    match (part("person"), part("company")) {
        (Value::Null, Value::Null) if answer.get("person").is_none() && answer.get("company").is_none() => {
            Err(Failure::Unavailable("its answer has neither person nor company".into()))
        }
        (Value::Null, Value::Null) => Ok(None),
        (person, company) => Ok(Some(json!({ "person": person, "company": company }))),
    }
}

/// Stores what is known of an account's owner, in place of what was.
pub async fn store(tx: &mut Tx, platform: &Platform, user: UserId, enrichment: &Enrichment) -> Result<(), DbError> {
    let nothing = json!({});
    execute!(
        tx,
        "INSERT INTO enrichments (user_id, source, status, answer, fetched_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id) DO UPDATE SET source = $2, status = $3, answer = $4, fetched_at = $5, \
         asked_at = NULL",
        user,
        enrichment.source,
        if enrichment.found.is_some() { "found" } else { "not_found" },
        Json(enrichment.found.as_ref().unwrap_or(&nothing)),
        platform.clock.now()
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn person_and_company_are_kept_and_nothing_else() {
        let bare = read(json!({ "person": { "id": 1 }, "company": null, "extra": true })).unwrap();
        assert_eq!(bare, Some(json!({ "person": { "id": 1 }, "company": null })));
        let wrapped = read(json!({ "data": { "person": null, "company": { "id": 2 } }, "meta": {} })).unwrap();
        assert_eq!(wrapped, Some(json!({ "person": null, "company": { "id": 2 } })));
        assert_eq!(read(json!({ "person": null, "company": null })), Ok(None));
        assert!(matches!(read(json!({ "hello": 1 })), Err(Failure::Unavailable(_))));
        assert_eq!(read(json!({ "error": { "type": "queued" } })), Err(Failure::NotYet { retry_after: None }));
    }
}
