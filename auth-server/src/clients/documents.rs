//! Clients whose id is the https URL of their metadata (draft-ietf-oauth-client-id-metadata-document-02). The document
//! is fetched behind the outbound guard and kept as a client's row, so that grants can refer to it; when it has gone
//! stale it is fetched anew.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use shared::db::DbError;
use shared::http::ClientIp;
use shared::ids::ClientId;
use shared::jose::json::{Bounds, parse_object};
use shared::limits::Limited;
use shared::outbound::read_at_most;
use shared::{Platform, execute, fetch_optional};
use sqlx::types::Json;
use tokio::sync::Semaphore;
use tracing::debug;
use url::Url;

use super::check::{Fault, check, inferred_application_type};
use super::members::{self, Unknown};
use super::registration::moved;
use super::{Client, ClientError, ClientMetadata, NewClient, Origin, by_id, default_scopes};

/// §8.7 recommends to read 5 kilobytes.
const DOCUMENT: Bounds = Bounds { max_bytes: 5 * 1024, max_depth: 8 };

/// The longest such id, in bytes: it is a key in the database.
const LONGEST: usize = 512;

/// How long a document is believed without looking again: what its headers say, within these bounds (§5.2).
const LEAST: u64 = 60;
const USUAL: u64 = 600;
const MOST: u64 = 24 * 60 * 60;

/// For how long after that a document still serves while its host does not answer: an outage there is no reason to end
/// everybody's refresh tokens here.
const WITHOUT_ANSWER: TimeDelta = TimeDelta::hours(24);

/// Fetches under way, of each of both kinds.
const AT_ONCE: usize = 16;

/// How often one document is asked for in a minute, whatever comes back. Errors are not kept (§5.2), so a client that
/// mends its document is believed at once; but a stranger can't have us knock at one door for ever.
const PER_DOCUMENT: u64 = 3;

/// How many times `limits.client_documents_per_minute` of one caller there may be, of strangers on one host and of
/// strangers in all, and of renewals.
const PER_HOST: u64 = 3;
const IN_ALL: u64 = 10;
const RENEWALS: u64 = 20;

const MINUTE: Duration = Duration::from_secs(60);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the document can't be fetched: {0}")]
    Unreachable(String),
    #[error("the document is not acceptable: {0}")]
    Unacceptable(String),
    #[error(transparent)]
    NotNow(#[from] Limited),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Unacceptable(fault.reason)
    }
}

/// Why a document that was never seen is not fetched just now.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Is this id the URL of a document (§3)? In its normal form only, so that one document has one id: no dot segments, no
/// fragment, no user, a path.
pub fn url_of(id: &ClientId) -> Option<Url> {
    let text = id.as_str();
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['#', '\\']) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    (plain && url.as_str() == text).then_some(url)
}

/// The documents, and what bounds their fetching: strangers choose the URLs. Clones share it.
///
/// Those of clients that are kept have bounds of their own, so that no number of made-up ids keeps them from being
/// renewed.
#[derive(Clone)]
pub(super) struct Documents {
    platform: Platform,
    strangers: Arc<Semaphore>,
    renewals: Arc<Semaphore>,
}

impl Documents {
    pub fn new(platform: &Platform) -> Self {
        let places = || Arc::new(Semaphore::new(AT_ONCE));
        Self { platform: platform.clone(), strangers: places(), renewals: places() }
    }

    /// Is this id the URL of a document that may be fetched? Plain http, and private addresses, only where the operator
    /// let them through (tests).
    pub fn may_be_one(&self, id: &ClientId) -> bool {
        self.platform.config.registration.metadata_documents
            && url_of(id).is_some_and(|url| self.platform.outbound.guarded().check(&url).is_ok())
    }

    /// The client with this document, where it was met before.
    pub async fn known(&self, id: &ClientId) -> Result<Option<Client>, DbError> {
        let (Some(url), Some((client, fresh_until))) = (url_of(id), self.kept(id).await?) else { return Ok(None) };
        let now = self.platform.clock.now();
        if fresh_until > now {
            return Ok(Some(client));
        }
        match self.renew(id, &url).await {
            Ok(client) => Ok(Some(client)),
            Err(Failure::Database(error)) => Err(error),
            Err(failure) => {
                debug!(client = id.as_str(), %failure, "a client metadata document is not renewed");
                let serves = matches!(failure, Failure::Unreachable(_) | Failure::NotNow(_));
                Ok(Some(client).filter(|_| serves && fresh_until + WITHOUT_ANSWER > now))
            }
        }
    }

    /// Counts a caller who brings a client that nobody met.
    pub async fn admit(&self, caller: &ClientIp) -> Result<(), Limited> {
        self.count("client-document-caller", &caller.bucket(), 1).await
    }

    /// The client with this document, which nobody met.
    pub async fn meet(&self, id: &ClientId) -> Result<Client, Failure> {
        let url = url_of(id).ok_or_else(|| Failure::Unacceptable("its URL is not in normal form".into()))?;
        self.count("client-document", url.host_str().unwrap_or_default().as_bytes(), PER_HOST).await?;
        self.count("client-documents", b"", IN_ALL).await?;
        let met = self.fetched(id, &url, &self.strangers).await;
        if let Err(failure) = &met {
            debug!(client = id.as_str(), %failure, "no client metadata document");
        }
        met
    }

    async fn renew(&self, id: &ClientId, url: &Url) -> Result<Client, Failure> {
        self.count("client-document-renewals", b"", RENEWALS).await?;
        self.fetched(id, url, &self.renewals).await
    }

    async fn count(&self, name: &'static str, of: &[u8], times: u64) -> Result<(), Limited> {
        let most = self.platform.config.limits.client_documents_per_minute.saturating_mul(times);
        self.platform.limits.check(name, of, most, MINUTE).await
    }

    /// The document as last fetched, and until when it is believed.
    async fn kept(&self, id: &ClientId) -> Result<Option<(Client, DateTime<Utc>)>, DbError> {
        let mut conn = self.platform.db.read().await?;
        let row: Option<(DateTime<Utc>,)> = fetch_optional!(
            &mut conn,
            (DateTime<Utc>,),
            "SELECT document_expires_at FROM clients WHERE client_id = $1 AND document_expires_at IS NOT NULL",
            id
        )?;
        let Some((fresh_until,)) = row else { return Ok(None) };
        Ok(by_id(&mut conn, id).await?.filter(|client| client.origin == Origin::Document).map(|c| (c, fresh_until)))
    }

    /// Fetches the document and keeps it. What is wrong with it is never kept (§5.2).
    async fn fetched(&self, id: &ClientId, url: &Url, places: &Semaphore) -> Result<Client, Failure> {
        let platform = &self.platform;
        platform.limits.check("client-document-id", id.as_str().as_bytes(), PER_DOCUMENT, MINUTE).await?;
        // Not waited for: each who waits would be one more whom slow hosts hold up.
        let place = places.try_acquire().map_err(|_| Limited { retry_after: Duration::from_secs(5) })?;
        let (document, seconds) = fetch(platform, url).await?;
        drop(place);
        let client = read(platform, id, url, &document)?;
        let now = platform.clock.now();
        let fresh_until = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default());
        let mut tx = platform.db.begin().await?;
        let before = by_id(&mut tx, id).await?;
        execute!(
            &mut tx,
            "INSERT INTO clients (client_id, name, first_party, origin, metadata, document_expires_at, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (client_id) DO UPDATE SET \
             name = $2, metadata = $5, document_expires_at = $6, updated_at = $7, revision = clients.revision + 1 \
             WHERE clients.origin = $4",
            id,
            &client.name,
            false,
            Origin::Document.as_str(),
            Json(&client.metadata),
            fresh_until,
            now
        )?;
        if let Some(before) = before {
            moved(&mut tx, platform, &before, &client).await?;
        }
        tx.commit().await?;
        Ok(client)
    }
}

/// The document and the seconds it is good for (§5). Redirects are not followed.
async fn fetch(platform: &Platform, url: &Url) -> Result<(Map<String, Value>, u64), Failure> {
    let unreachable = |error: &dyn std::fmt::Display| Failure::Unreachable(error.to_string());
    let request = platform.outbound.guarded().get(url).map_err(|refused| Failure::Unacceptable(refused.to_string()))?;
    let request = request.timeout(Duration::from_secs(5)).header(header::ACCEPT, "application/json");
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    if response.status().is_server_error() {
        return Err(unreachable(&response.status()));
    }
    if response.status() != 200 {
        return Err(Failure::Unacceptable(format!("the answer is {}", response.status())));
    }
    if !is_json(response.headers()) {
        return Err(Failure::Unacceptable("the answer is not application/json".into()));
    }
    let seconds = lifetime(response.headers());
    let body = read_at_most(response, DOCUMENT.max_bytes).await;
    let body = body.map_err(|error| Failure::Unacceptable(error.to_string()))?;
    let document = parse_object(&body, &DOCUMENT).map_err(|error| Failure::Unacceptable(error.to_string()))?;
    Ok((document, seconds))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// RFC 9111 §5.2.2, as far as it matters here.
fn lifetime(headers: &HeaderMap) -> u64 {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(',')).map(|d| d.trim().to_ascii_lowercase()).collect::<Vec<_>>();
    if directives.iter().any(|d| d == "no-store" || d == "no-cache") {
        return LEAST;
    }
    let max_age = directives.iter().find_map(|d| d.strip_prefix("max-age=")?.trim_matches('"').parse::<u64>().ok());
    max_age.unwrap_or(USUAL).clamp(LEAST, MOST)
}

/// The client that the document describes (§4).
fn read(platform: &Platform, id: &ClientId, url: &Url, document: &Map<String, Value>) -> Result<Client, Failure> {
    if document.get("client_id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err(Failure::Unacceptable("client_id in it is not the URL of the document".into()));
    }
    if let Some(secret) = ["client_secret", "client_secret_expires_at"].iter().find(|m| document.contains_key(**m)) {
        return Err(Failure::Unacceptable(format!("{secret} has no place in it")));
    }
    let base = ClientMetadata {
        // There is no secret to share, so the usual default is not one here.
        token_endpoint_auth_method: "none".into(),
        require_pkce: true,
        scopes: default_scopes(),
        ..ClientMetadata::default()
    };
    let requested = members::parse(document, base, Unknown::Ignore)?;
    let mut metadata = requested.metadata;
    if metadata.application_type.is_none() {
        metadata.application_type = inferred_application_type(Origin::Document, &metadata.redirect_uris);
    }
    // Its sector would have to be fetched as well; the redirect URIs' host serves.
    if metadata.sector_identifier_uri.is_some() {
        return Err(Failure::Unacceptable(
            "sector_identifier_uri is not for clients that are known by a document".into(),
        ));
    }
    let name = requested.client_name.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let client =
        NewClient { client_id: Some(id.clone()), name, first_party: false, origin: Origin::Document, metadata };
    check(platform, client).map_err(|error| match error {
        ClientError::Database(error) => Failure::Database(error),
        error => Failure::Unacceptable(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_url_of_a_document_in_its_normal_form_only__cimd_3() {
        for id in ["https://app.example/client", "https://app.example:8443/a/b.json", "https://app.example/"] {
            assert!(url_of(&id.into()).is_some(), "{id}");
        }
        let long = format!("https://app.example/{}", "a".repeat(500));
        for id in [
            "app",
            "https://app.example",
            "https://app.example:443/client",
            "https://APP.example/client",
            "https://app.example/a/../client",
            "https://app.example/./client",
            "https://app.example/%2e%2e/client",
            "https://app.example/client#top",
            "https://user@app.example/client",
            "https://user:secret@app.example/client",
            "https:app.example/client",
            "https://app.example\\client",
            "https://app.example/cl ient",
            "ftp://app.example/client",
            &long,
        ] {
            assert!(url_of(&id.into()).is_none(), "{id}");
        }
    }

    #[test]
    fn a_document_is_believed_as_long_as_its_headers_say_within_bounds__cimd_5_2() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, value.parse().unwrap());
            lifetime(&headers)
        };
        assert_eq!(lifetime(&HeaderMap::new()), USUAL);
        assert_eq!(of("public, max-age=3600"), 3600);
        assert_eq!(of("max-age=0"), LEAST);
        assert_eq!(of("no-store"), LEAST);
        assert_eq!(of("Max-Age=99999999"), MOST);
        assert_eq!(of("max-age=many"), USUAL);
    }
}
