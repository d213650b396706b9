//! Registered clients: who they are, how they prove it, and what they may ask for.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use shared::Platform;
use shared::db::{Conn, Db, DbError, Tx};
use shared::ids::ClientId;
use shared::secret::{PlainToken, TokenHash};
use shared::{execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use url::Url;

/// Every scope there is, in the order in which people are shown them.
pub const SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "offline_access",
    "account:read",
    "account:write",
    "referral-codes:read",
    "referral-codes:write",
    "referrals:read",
    "referrals:admin",
];

/// The grants there are, by their registered names.
pub const GRANT_TYPES: &[&str] = &["authorization_code", "refresh_token", "client_credentials", "password"];

/// The client authentication methods there are, by their registered names.
pub const AUTH_METHODS: &[&str] = &["client_secret_basic", "client_secret_post", "none"];

/// The ID token algorithms there are (RFC 7518 §3.1, RFC 8037 §3.1).
pub const ID_TOKEN_ALGS: &[&str] = &["RS256", "ES256", "EdDSA", "PS256"];

/// How long a client that was read is believed: a change made by the CLI takes effect within this time.
const KEPT: Duration = Duration::from_secs(1);

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    pub client_id: ClientId,
    pub name: String,
    /// Absent for public clients.
    pub secret_hash: Option<TokenHash>,
    /// One of our own apps: no consent is asked, and it may be allowed the password grant.
    pub first_party: bool,
    pub metadata: ClientMetadata,
    pub created_at: DateTime<Utc>,
}

/// What a client registered, by the names of RFC 7591 §2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<String>,
    /// The scopes it may ask for; also what it gets when it asks for none.
    pub scopes: Vec<String>,
    pub token_endpoint_auth_method: String,
    pub require_pkce: bool,
    pub id_token_signed_response_alg: String,
}

impl Client {
    /// Can this client keep a secret (RFC 6749 §2.1)?
    pub fn is_public(&self) -> bool {
        self.metadata.token_endpoint_auth_method == "none"
    }

    /// Did it register this grant?
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.metadata.grant_types.iter().any(|g| g == grant_type)
    }

    /// Must its authorization requests carry a code challenge? Public clients always (RFC 9700 §2.1.1).
    pub fn requires_pkce(&self) -> bool {
        self.metadata.require_pkce || self.is_public()
    }
}

/// A client to register.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Drawn when absent.
    pub client_id: Option<ClientId>,
    pub name: String,
    pub first_party: bool,
    pub metadata: ClientMetadata,
}

/// Why a client was not registered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Invalid(String),
    #[error("there is a client {0} already; choose another --id, or delete it first")]
    Exists(ClientId),
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The clients, as handlers look them up: one indexed read, kept for a second.
#[derive(Clone)]
pub struct Clients {
    db: Db,
    // What is not there is kept too, or made-up ids would each cost a read.
    kept: Cache<ClientId, Option<Arc<Client>>>,
}

impl Clients {
    pub fn new(db: Db) -> Self {
        Self { db, kept: Cache::builder().max_capacity(10_000).time_to_live(KEPT).build() }
    }

    /// The client with this id.
    pub async fn get(&self, id: &ClientId) -> Result<Option<Arc<Client>>, DbError> {
        // What can't be registered is not looked for, nor kept: strangers choose what stands here.
        if !is_client_id(id.as_str()) {
            return Ok(None);
        }
        if let Some(client) = self.kept.get(id).await {
            return Ok(client);
        }
        let client = by_id(&mut self.db.read().await?, id).await?.map(Arc::new);
        self.kept.insert(id.clone(), client.clone()).await;
        Ok(client)
    }
}

type Row = (ClientId, String, Option<TokenHash>, bool, Json<ClientMetadata>, DateTime<Utc>);

fn from_row((client_id, name, secret_hash, first_party, Json(metadata), created_at): Row) -> Client {
    Client { client_id, name, secret_hash, first_party, metadata, created_at }
}

/// Reads one client.
pub async fn by_id(conn: &mut Conn, id: &ClientId) -> Result<Option<Client>, DbError> {
    let row = fetch_optional!(
        conn,
        Row,
        "SELECT client_id, name, secret_hash, first_party, metadata, created_at FROM clients WHERE client_id = $1",
        id
    )?;
    Ok(row.map(from_row))
}

/// All clients, by id.
pub async fn list(conn: &mut Conn) -> Result<Vec<Client>, DbError> {
    let rows = fetch_all!(
        conn,
        Row,
        "SELECT client_id, name, secret_hash, first_party, metadata, created_at FROM clients ORDER BY client_id"
    )?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// Registers a client. Its secret, when it has one, is returned this once.
///
/// # Errors
/// [`ClientError::Invalid`] says which member of the metadata is at fault and what to write instead.
pub async fn create(platform: &Platform, client: NewClient) -> Result<(Client, Option<PlainToken>), ClientError> {
    let secret = (client.metadata.token_endpoint_auth_method != "none").then(|| PlainToken::new(&platform.random));
    let client = create_with_secret(platform, client, secret.as_ref()).await?;
    Ok((client, secret))
}

/// Registers a client with a secret that the caller drew. It must have 256 bits of entropy: only a plain hash of it is
/// kept.
pub async fn create_with_secret(
    platform: &Platform,
    client: NewClient,
    secret: Option<&PlainToken>,
) -> Result<Client, ClientError> {
    let client = check(platform, client)?;
    let mut tx = platform.db.begin().await?;
    let secret_hash = secret.map(PlainToken::hash);
    let now = platform.clock.now();
    let inserted = execute!(
        &mut tx,
        "INSERT INTO clients (client_id, name, secret_hash, first_party, metadata, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (client_id) DO NOTHING",
        &client.client_id,
        &client.name,
        secret_hash.clone(),
        client.first_party,
        Json(&client.metadata),
        now
    )?;
    if inserted == 0 {
        return Err(ClientError::Exists(client.client_id));
    }
    tx.commit().await?;
    Ok(Client { secret_hash, created_at: now, ..client })
}

/// Registers a client that the installation itself brings, or brings the registered one in step with `client` (its
/// redirect URIs follow the configured addresses). What it was granted stays.
pub async fn ensure(platform: &Platform, client: NewClient, secret: Option<&PlainToken>) -> Result<(), ClientError> {
    let client = check(platform, client)?;
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "INSERT INTO clients (client_id, name, secret_hash, first_party, metadata, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (client_id) DO UPDATE SET \
         name = $2, secret_hash = $3, first_party = $4, metadata = $5, updated_at = $6",
        &client.client_id,
        &client.name,
        secret.map(PlainToken::hash),
        client.first_party,
        Json(&client.metadata),
        platform.clock.now()
    )?;
    Ok(tx.commit().await?)
}

/// Draws a new secret; the old one stops working with the commit. `None` when there is no such confidential client.
pub async fn rotate_secret(platform: &Platform, id: &ClientId) -> Result<Option<PlainToken>, DbError> {
    let secret = PlainToken::new(&platform.random);
    let mut tx = platform.db.begin().await?;
    let changed = execute!(
        &mut tx,
        "UPDATE clients SET secret_hash = $2, updated_at = $3 WHERE client_id = $1 AND secret_hash IS NOT NULL",
        id,
        secret.hash(),
        platform.clock.now()
    )?;
    tx.commit().await?;
    Ok((changed == 1).then_some(secret))
}

/// Deletes a client with all it was granted, and ends the access tokens it still holds. `false` when there is none.
pub async fn delete(platform: &Platform, id: &ClientId) -> Result<bool, DbError> {
    let mut tx: Tx = platform.db.begin().await?;
    let deleted = execute!(&mut tx, "DELETE FROM clients WHERE client_id = $1", id)?;
    if deleted == 1 {
        shared::revocations::revoke(&mut tx, platform, shared::revocations::Kind::Client, id.as_str()).await?;
    }
    tx.commit().await?;
    Ok(deleted == 1)
}

fn is_client_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn check(platform: &Platform, client: NewClient) -> Result<Client, ClientError> {
    let invalid = |reason: String| Err(ClientError::Invalid(reason));
    let NewClient { client_id, name, first_party, metadata } = client;
    let client_id = client_id.unwrap_or_else(|| ClientId(format!("client-{}", platform.random.uuid_v4().simple())));
    let id = client_id.as_str();
    if !is_client_id(id) {
        return invalid("the client id may have 1 to 128 letters, digits, hyphens, underscores and dots".into());
    }
    // `sub` is a user's id or a client's: they must never look alike.
    if uuid::Uuid::parse_str(id).is_ok() {
        return invalid("the client id may not be a UUID: it could be taken for a user's id".into());
    }
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return invalid("the name may have 1 to 100 printable characters; it is what people are shown".into());
    }
    for (what, given, known) in [
        ("grant", &metadata.grant_types, GRANT_TYPES),
        ("scope", &metadata.scopes, SCOPES),
        ("auth method", &vec![metadata.token_endpoint_auth_method.clone()], AUTH_METHODS),
        ("ID token algorithm", &vec![metadata.id_token_signed_response_alg.clone()], ID_TOKEN_ALGS),
    ] {
        if let Some(unknown) = given.iter().find(|value| !known.contains(&value.as_str())) {
            return invalid(format!("there is no {what} {unknown:?}; there are: {}", known.join(", ")));
        }
    }
    if metadata.grant_types.is_empty() {
        return invalid("name at least one --grant: a client without one can get no token".into());
    }
    let public = metadata.token_endpoint_auth_method == "none";
    let has = |grant: &str| metadata.grant_types.iter().any(|g| g == grant);
    if has("password") && !first_party {
        return invalid("the password grant is for first-party clients only; add --first-party".into());
    }
    if has("client_credentials") && public {
        return invalid("a public client can't use client_credentials: it has no secret (RFC 6749 §4.4)".into());
    }
    if has("authorization_code") && metadata.redirect_uris.is_empty() {
        return invalid("authorization_code needs a --redirect-uri to answer at".into());
    }
    if has("refresh_token") && !has("authorization_code") && !has("password") {
        return invalid("refresh_token alone gives nothing; add authorization_code or password".into());
    }
    if metadata.scopes.iter().any(|s| s.starts_with("account:") || s == "referrals:admin") && !first_party {
        return invalid("account and admin scopes are for first-party clients only; add --first-party".into());
    }
    for uri in &metadata.redirect_uris {
        if let Err(reason) = check_redirect_uri(uri) {
            return invalid(format!("the redirect URI {uri:?} {reason}"));
        }
    }
    Ok(Client {
        client_id,
        name: name.trim().to_owned(),
        secret_hash: None,
        first_party,
        metadata,
        created_at: platform.clock.now(),
    })
}

/// May codes be sent to `uri` (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1.3)?
fn check_redirect_uri(uri: &str) -> Result<(), &'static str> {
    let Ok(url) = Url::parse(uri) else { return Err("is not an absolute URL") };
    if url.fragment().is_some() || uri.contains('#') {
        return Err("has a fragment (RFC 6749 §3.1.2 forbids one)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("names a user");
    }
    if uri.contains('*') || uri.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("has a wildcard or white space; redirect URIs are compared exactly");
    }
    match url.scheme() {
        "https" if url.host_str().is_some_and(|h| !h.is_empty()) => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("is plain http beyond this machine; use https"),
        "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "ws" | "wss" | "ftp" => {
            Err("has a scheme that can't receive a code")
        }
        // A private-use scheme is a domain name turned round, so that its owner is known (RFC 8252 §7.1).
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("needs https, http on a loopback address, or a private scheme with a dot such as com.example.app"),
    }
}

/// Does this URL stay on the machine it is opened on?
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::each_store;

    fn metadata() -> ClientMetadata {
        ClientMetadata {
            redirect_uris: vec!["https://app.example/callback".into()],
            grant_types: vec!["authorization_code".into()],
            scopes: vec!["openid".into()],
            token_endpoint_auth_method: "client_secret_basic".into(),
            require_pkce: true,
            id_token_signed_response_alg: "RS256".into(),
        }
    }

    fn new(id: &str, metadata: ClientMetadata) -> NewClient {
        NewClient { client_id: Some(ClientId::from(id)), name: "An app".into(), first_party: false, metadata }
    }

    #[tokio::test]
    async fn a_secret_is_shown_once_and_rotation_ends_the_old_one() {
        each_store(|platform| async move {
            let (client, secret) = create(&platform, new("app", metadata())).await.unwrap();
            let old = secret.unwrap();
            assert!(client.secret_hash.unwrap().matches(&old));
            let fresh = rotate_secret(&platform, &client.client_id).await.unwrap().unwrap();
            let stored = by_id(&mut platform.db.read().await.unwrap(), &client.client_id).await.unwrap().unwrap();
            assert!(stored.secret_hash.as_ref().unwrap().matches(&fresh));
            assert!(!stored.secret_hash.unwrap().matches(&old));
            assert_eq!(stored.metadata, metadata());
            assert!(matches!(create(&platform, new("app", metadata())).await, Err(ClientError::Exists(_))));
            assert!(delete(&platform, &client.client_id).await.unwrap());
            assert!(!delete(&platform, &client.client_id).await.unwrap());
        })
        .await;
    }

    #[tokio::test]
    async fn what_a_client_may_not_be_is_refused_with_a_reason() {
        let scratch = shared::testing::Scratch::new(shared::testing::Store::Embedded).await.unwrap();
        let platform = scratch.platform(&[]).await;
        let with = |change: fn(&mut ClientMetadata)| {
            let mut metadata = metadata();
            change(&mut metadata);
            new("app", metadata)
        };
        for (client, expected) in [
            (new("0190b3a0-0000-7000-8000-000000000000", metadata()), "UUID"),
            (new("a b", metadata()), "client id"),
            (with(|m| m.grant_types.push("password".into())), "first-party"),
            (with(|m| m.grant_types = vec!["magic".into()]), "no grant"),
            (with(|m| m.scopes.push("account:write".into())), "first-party"),
            (with(|m| m.redirect_uris.clear()), "--redirect-uri"),
            (with(|m| m.redirect_uris = vec!["http://app.example/cb".into()]), "plain http"),
            (with(|m| m.redirect_uris = vec!["https://app.example/cb#x".into()]), "fragment"),
            (with(|m| m.redirect_uris = vec!["javascript:alert(1)".into()]), "scheme"),
            (with(|m| m.redirect_uris = vec!["https://*.app.example/".into()]), "wildcard"),
        ] {
            let error = create(&platform, client).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for uri in ["http://127.0.0.1/cb", "http://[::1]:9/cb", "http://localhost:1/cb", "com.example.app:/cb"] {
            assert_eq!(check_redirect_uri(uri), Ok(()), "{uri}");
        }
    }
}
