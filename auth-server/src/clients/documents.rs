//! Clients whose id is the https URL of their metadata (draft-ietf-oauth-client-id-metadata-document-02). The document
//! is fetched behind the outbound guard and kept as a client's row, so that grants can refer to it; when it has gone
//! stale it is fetched anew.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use shared::db::DbError;
use shared::ids::ClientId;
use shared::jose::json::{Bounds, parse_object};
use shared::outbound::read_at_most;
use shared::{Platform, execute, fetch_optional};
use sqlx::types::Json;
use tracing::info;
use url::Url;

use super::check::{Fault, check, inferred_application_type};
use super::members::{self, Unknown};
use super::registration::forget_consents;
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

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the document can't be fetched: {0}")]
    Unreachable(String),
    #[error("the document is not acceptable: {0}")]
    Unacceptable(String),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Unacceptable(fault.reason)
    }
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

/// The client with this document; `None` when there is none that may be one.
pub async fn get(platform: &Platform, id: &ClientId) -> Result<Option<Client>, DbError> {
    let Some(url) = url_of(id) else { return Ok(None) };
    // Plain http, and private addresses, only where the operator let them through (tests).
    if platform.outbound.guarded().check(&url).is_err() {
        return Ok(None);
    }
    let now = platform.clock.now();
    let kept = kept(platform, id).await?;
    if let Some((client, fresh_until)) = &kept
        && *fresh_until > now
    {
        return Ok(Some(client.clone()));
    }
    match renew(platform, id, &url, kept.as_ref().map(|(client, _)| client)).await {
        Ok(client) => Ok(Some(client)),
        Err(Failure::Database(error)) => Err(error),
        Err(failure @ Failure::Unreachable(_)) => {
            info!(client = id.as_str(), %failure, "no client metadata document");
            Ok(kept.filter(|(_, fresh_until)| *fresh_until + WITHOUT_ANSWER > now).map(|(client, _)| client))
        }
        Err(failure) => {
            info!(client = id.as_str(), %failure, "no client metadata document");
            Ok(None)
        }
    }
}

/// The document as last fetched, and until when it is believed.
async fn kept(platform: &Platform, id: &ClientId) -> Result<Option<(Client, DateTime<Utc>)>, DbError> {
    let mut conn = platform.db.read().await?;
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
async fn renew(platform: &Platform, id: &ClientId, url: &Url, before: Option<&Client>) -> Result<Client, Failure> {
    // Strangers choose the URL: they must not have us knock at one host's door at their pace.
    let per_minute = platform.config.limits.client_documents_per_minute;
    let host = url.host_str().unwrap_or_default();
    let limited = platform.limits.check("client-document", host.as_bytes(), per_minute, Duration::from_secs(60)).await;
    limited.map_err(|limited| Failure::Unreachable(limited.to_string()))?;

    let (document, seconds) = fetch(platform, url).await?;
    let client = read(platform, id, url, &document)?;
    let now = platform.clock.now();
    let fresh_until = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default());
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "INSERT INTO clients (client_id, name, first_party, origin, metadata, document_expires_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (client_id) DO UPDATE SET \
         name = $2, metadata = $5, document_expires_at = $6, updated_at = $7 WHERE clients.origin = $4",
        id,
        &client.name,
        false,
        Origin::Document.as_str(),
        Json(&client.metadata),
        fresh_until,
        now
    )?;
    if before.is_some_and(|before| before.metadata.redirect_uris != client.metadata.redirect_uris) {
        forget_consents(&mut tx, id).await?;
    }
    tx.commit().await?;
    Ok(client)
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
