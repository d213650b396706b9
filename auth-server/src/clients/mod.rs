//! Registered clients: who they are, how they prove it, and what they may ask for.

pub(crate) mod check;
pub mod documents;
pub mod initial_access_tokens;
pub mod keys;
mod lookup;
mod members;
mod metadata;
mod pairwise;
pub mod registration;
mod response_mode;

use chrono::{DateTime, Utc};
use oxide_auth::primitives::scope::Scope;
use serde_json::json;
use shared::brand::{Colour, Style, Theme};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, GrantId};
use shared::revocations::{Kind, revoke};
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use url::Url;

use crate::keys::Algorithm;

pub use check::{Fault, check_redirect_uri, faults, inferred_application_type, is_loopback, mtls_auth_methods};
pub use documents::NotNow;
pub use lookup::Clients;
pub use members::{Requested, Unknown, describe, parse};
pub use metadata::{
    AUTH_METHODS, AUTHORIZATION_DETAILS_TYPES, ClientMetadata, DEVICE_CODE, GRANT_TYPES, ID_TOKEN_ALGS, JWT_BEARER,
    OFFLINE_ACCESS, Profile, SCOPES, SELF_SIGNED, SubjectType, TLS_CLIENT_AUTH, TOKEN_EXCHANGE,
};
pub use response_mode::ResponseMode;

use check::{check, sector};

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    pub client_id: ClientId,
    pub name: String,
    /// Absent for clients that have no secret.
    pub secret_hash: Option<TokenHash>,
    /// The secret under the master key, for `client_secret_jwt` alone: an HMAC can't be checked against a hash.
    pub sealed_secret: Option<Vec<u8>>,
    pub origin: Origin,
    /// One of our own apps: no consent is asked, and it may be allowed the password grant.
    pub first_party: bool,
    pub metadata: ClientMetadata,
    /// Grows with each change: who read it and writes it back finds out whether somebody else did meanwhile.
    pub revision: i64,
    /// When it last acted for itself, to the day; for clients that registered themselves.
    pub used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
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

    /// Did it register all of this scope?
    pub fn registered(&self, scope: &Scope) -> bool {
        scope.iter().all(|token| self.metadata.scopes.iter().any(|registered| registered == token))
    }

    /// Must its authorization requests carry a code challenge? Public clients always (RFC 9700 §2.1.1), and those of
    /// FAPI 2.0 (Security Profile §5.3.2.2).
    pub fn requires_pkce(&self) -> bool {
        self.metadata.require_pkce || self.is_public() || self.is_fapi2()
    }

    /// The sector in which a pairwise client knows people (OpenID Connect Core §8.1): the host of its
    /// `sector_identifier_uri`, or the one host of its redirect URIs. `None` for clients that are told user ids.
    pub fn sector(&self) -> Option<String> {
        if self.metadata.subject_type != SubjectType::Pairwise {
            return None;
        }
        // A redirect URI vouches for its host only where codes are received there: not on a device, not under a private
        // scheme, whose host is anybody's to write, and not on a loopback address, which is everybody's.
        let receives = |uri: &Url| uri.scheme() == "https" && !is_loopback(uri) && !self.may_use(DEVICE_CODE);
        let first = || self.metadata.redirect_uris.first().and_then(|uri| Url::parse(uri).ok()).filter(receives);
        let named = self.metadata.sector_identifier_uri.as_ref().and_then(|uri| Url::parse(uri).ok());
        let host = named.or_else(first).and_then(|uri| uri.host_str().map(str::to_owned));
        // The client's own id is a sector of one.
        Some(host.unwrap_or_else(|| self.client_id.0.clone()))
    }

    /// How the pages look in its flow, where the operator said so; what is left open is as in `usual`.
    pub fn style_over(&self, usual: Style) -> Option<Style> {
        // Nobody vouches for what a document says, and it is the client's to change.
        if self.origin == Origin::Document || !self.metadata.has_style() {
            return None;
        }
        let mut style = self.metadata.style();
        if style.accent_light.is_none() && style.accent_dark.is_none() {
            (style.accent_light, style.accent_dark) = (usual.accent_light, usual.accent_dark);
        }
        style.theme = self.metadata.brand_theme.unwrap_or(usual.theme);
        Some(style)
    }

    /// Is it held to FAPI 2.0?
    pub fn is_fapi2(&self) -> bool {
        self.metadata.profile == Some(Profile::Fapi2)
    }

    /// Must it push its authorization requests (RFC 9126 §6)?
    pub fn requires_par(&self) -> bool {
        self.metadata.require_pushed_authorization_requests || self.is_fapi2()
    }

    /// Must its authorization requests be signed (RFC 9101 §10.5)?
    pub fn requires_request_object(&self) -> bool {
        self.metadata.require_signed_request_object || self.is_fapi2()
    }

    /// Must its authorization responses be signed (FAPI 2.0 Message Signing §5.4.1)?
    pub fn requires_signed_response(&self) -> bool {
        self.is_fapi2()
    }

    /// What an answer to it is signed with: the algorithm that it registered for such answers, or RS256, the default of
    /// the specifications of each (JARM §3, RFC 9701 §6). FAPI 2.0 has no RS256 (Security Profile §5.4.1).
    pub fn response_algorithm(&self, registered: Option<&str>) -> Algorithm {
        let default = if self.is_fapi2() { Algorithm::Es256 } else { Algorithm::Rs256 };
        registered.and_then(Algorithm::named).unwrap_or(default)
    }

    /// How long its codes may live at most, in seconds: RFC 6749 §4.1.2, FAPI 2.0 Security Profile §5.3.2.1.
    pub fn longest_code(&self) -> i64 {
        if self.is_fapi2() { 60 } else { 600 }
    }

    /// Must its tokens be bound to a DPoP key (RFC 9449 §5.2)?
    pub fn requires_dpop(&self) -> bool {
        self.metadata.dpop_bound_access_tokens
    }

    /// The secret in the clear, of a client that signs with it (`client_secret_jwt`, OpenID Connect Core §9).
    pub fn open_secret(&self, platform: &Platform) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let sealed = self.sealed_secret.as_deref()?;
        platform.master_key.open(SECRET_SEAL, self.client_id.as_str().as_bytes(), sealed).ok()
    }
}

/// How a client came to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By the operator, on the command line or with the installation.
    Operator,
    /// By itself (RFC 7591).
    Registered,
    /// Its id is the URL of its metadata (OAuth Client ID Metadata Document).
    Document,
}

impl Origin {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Registered => "registered",
            Self::Document => "document",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "registered" => Self::Registered,
            "document" => Self::Document,
            _ => Self::Operator,
        }
    }
}

/// A client to register.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Drawn when absent.
    pub client_id: Option<ClientId>,
    pub name: String,
    pub first_party: bool,
    pub origin: Origin,
    pub metadata: ClientMetadata,
}

/// Why a client was not registered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// The initial access token was used up meanwhile.
    #[error("the initial access token is unknown, expired or used up")]
    NotPermitted,
    #[error("there is a client {0} already; choose another --id, or delete it first")]
    Exists(ClientId),
    #[error(transparent)]
    Database(#[from] DbError),
}

#[derive(sqlx::FromRow)]
struct Row {
    client_id: ClientId,
    name: String,
    secret_hash: Option<TokenHash>,
    sealed_secret: Option<Vec<u8>>,
    first_party: bool,
    origin: String,
    metadata: Json<ClientMetadata>,
    revision: i64,
    used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Client {
    fn from(row: Row) -> Self {
        let Row {
            client_id,
            name,
            secret_hash,
            sealed_secret,
            first_party,
            origin,
            metadata,
            revision,
            used_at,
            created_at,
        } = row;
        let (origin, Json(metadata)) = (Origin::of(&origin), metadata);
        Self {
            client_id,
            name,
            secret_hash,
            sealed_secret,
            first_party,
            origin,
            metadata,
            revision,
            used_at,
            created_at,
        }
    }
}

/// `SELECT` of [`Row`]s, with what follows `FROM clients`.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT client_id, name, secret_hash, sealed_secret, first_party, origin, metadata, revision, used_at, \
             created_at FROM clients ",
            $rest
        )
    };
}

/// Reads one client.
pub async fn by_id(conn: &mut Conn, id: &ClientId) -> Result<Option<Client>, DbError> {
    Ok(fetch_optional!(conn, Row, select!("WHERE client_id = $1"), id)?.map(Client::from))
}

/// All clients, by id.
pub async fn list(conn: &mut Conn) -> Result<Vec<Client>, DbError> {
    let rows = fetch_all!(conn, Row, select!("ORDER BY client_id"))?;
    Ok(rows.into_iter().map(Client::from).collect())
}

/// Registers a client. Its secret, when it has one, is returned this once.
///
/// # Errors
/// [`ClientError::Invalid`] says which member of the metadata is at fault and what to write instead.
pub async fn create(platform: &Platform, client: NewClient) -> Result<(Client, Option<PlainToken>), ClientError> {
    let secret = client.metadata.has_secret().then(|| PlainToken::new(&platform.random));
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
    sector::verify(platform, &client.metadata).await?;
    let mut tx = platform.db.begin().await?;
    let client = insert(&mut tx, platform, client, secret, None).await?;
    record(&mut tx, platform, "client.created", &client.client_id, By::Operator).await?;
    tx.commit().await?;
    Ok(client)
}

/// Who did something to a client, as the audit tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// On the command line.
    Operator,
    /// The client itself, with its registration access token or an initial one.
    Registration,
    /// The installation, for clients that it brings.
    Installation,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Registration => "registration",
            Self::Installation => "installation",
        }
    }
}

async fn record(tx: &mut Tx, platform: &Platform, kind: &str, id: &ClientId, by: By) -> Result<(), DbError> {
    audit::record(tx, platform, kind, None, Some(id), json!({ "by": by.as_str() })).await
}

/// An id that nobody has.
pub fn drawn_id(platform: &Platform) -> ClientId {
    ClientId(format!("client-{}", platform.random.uuid_v4().simple()))
}

/// Writes a checked client down.
async fn insert(
    tx: &mut Tx,
    platform: &Platform,
    client: Client,
    secret: Option<&PlainToken>,
    registration_token: Option<&PlainToken>,
) -> Result<Client, ClientError> {
    let secret_hash = secret.map(PlainToken::hash);
    let sealed_secret = secret.and_then(|secret| seal_secret(platform, &client, secret));
    let now = platform.clock.now();
    let inserted = execute!(
        tx,
        "INSERT INTO clients (client_id, name, secret_hash, sealed_secret, first_party, origin, metadata, \
         registration_token_hash, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) \
         ON CONFLICT (client_id) DO NOTHING",
        &client.client_id,
        &client.name,
        secret_hash.clone(),
        sealed_secret.clone(),
        client.first_party,
        client.origin.as_str(),
        Json(&client.metadata),
        registration_token.map(PlainToken::hash),
        now
    )?;
    if inserted == 0 {
        return Err(ClientError::Exists(client.client_id));
    }
    Ok(Client { secret_hash, sealed_secret, created_at: now, ..client })
}

/// The scopes of a client that named none and that nobody vouched for: all but those of our own apps.
pub fn default_scopes() -> Vec<String> {
    SCOPES.iter().filter(|scope| !check::is_first_party_scope(scope)).map(|scope| (*scope).to_owned()).collect()
}

/// Registers a client that the installation itself brings, or brings the registered one in step with `client` (its
/// redirect URIs follow the configured addresses). What it was granted stays, unless it knows people by other names now.
pub async fn ensure(platform: &Platform, client: NewClient, secret: Option<&PlainToken>) -> Result<(), ClientError> {
    let client = check(platform, client)?;
    sector::verify(platform, &client.metadata).await?;
    let mut tx = platform.db.begin().await?;
    let before = by_id(&mut tx, &client.client_id).await?;
    execute!(
        &mut tx,
        "INSERT INTO clients (client_id, name, secret_hash, sealed_secret, first_party, origin, metadata, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (client_id) DO UPDATE SET \
         name = $2, secret_hash = $3, sealed_secret = $4, first_party = $5, origin = $6, metadata = $7, updated_at = $8, \
         revision = clients.revision + 1",
        &client.client_id,
        &client.name,
        secret.map(PlainToken::hash),
        secret.and_then(|secret| seal_secret(platform, &client, secret)),
        client.first_party,
        client.origin.as_str(),
        Json(&client.metadata),
        platform.clock.now()
    )?;
    let id = &client.client_id;
    match before {
        None => record(&mut tx, platform, "client.created", id, By::Installation).await?,
        Some(before) => {
            registration::moved(&mut tx, platform, &before, &client).await?;
            if (&before.name, &before.metadata) != (&client.name, &client.metadata) {
                record(&mut tx, platform, "client.changed", id, By::Installation).await?;
            }
        }
    }
    Ok(tx.commit().await?)
}

/// Draws a new secret; the old one stops working with the commit. `None` when there is no such client with a secret.
pub async fn rotate_secret(platform: &Platform, id: &ClientId) -> Result<Option<PlainToken>, DbError> {
    let secret = PlainToken::new(&platform.random);
    loop {
        let mut tx = platform.db.begin().await?;
        let client = by_id(&mut tx, id).await?.filter(|client| client.secret_hash.is_some());
        let Some(client) = client else { return Ok(None) };
        let changed = execute!(
            &mut tx,
            "UPDATE clients SET secret_hash = $2, sealed_secret = $3, updated_at = $4, revision = revision + 1 \
             WHERE client_id = $1 AND revision = $5",
            id,
            secret.hash(),
            seal_secret(platform, &client, &secret),
            platform.clock.now(),
            client.revision
        )?;
        // The client changed itself meanwhile, and may need its secret in another form: look again.
        if changed == 1 {
            record(&mut tx, platform, "client.secret_rotated", id, By::Operator).await?;
            tx.commit().await?;
            return Ok(Some(secret));
        }
    }
}

/// What the operator says of a client's looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks {
    pub accent_light: Option<Colour>,
    pub accent_dark: Option<Colour>,
    pub theme: Option<Theme>,
}

/// Says how the pages look in a client's flow, all of it anew. `false` when there is no such client.
///
/// # Errors
/// [`ClientError::Invalid`] when it could not be read, or is a client's that is known by its document: that is read anew,
/// and nobody vouches for it.
pub async fn restyle(platform: &Platform, id: &ClientId, looks: Looks) -> Result<bool, ClientError> {
    loop {
        let mut tx = platform.db.begin().await?;
        let Some(client) = by_id(&mut tx, id).await? else { return Ok(false) };
        if client.origin == Origin::Document {
            let reason = "a client that is known by its document has our looks: nobody vouches for it";
            return Err(Fault::new("client_id", reason).into());
        }
        let metadata = ClientMetadata {
            brand_accent_light: looks.accent_light,
            brand_accent_dark: looks.accent_dark,
            brand_theme: looks.theme,
            ..client.metadata
        };
        check::brand_check(&metadata)?;
        let changed = execute!(
            &mut tx,
            "UPDATE clients SET metadata = $2, updated_at = $3, revision = revision + 1 \
             WHERE client_id = $1 AND revision = $4",
            id,
            Json(&metadata),
            platform.clock.now(),
            client.revision
        )?;
        // The client changed itself meanwhile: look again.
        if changed == 1 {
            record(&mut tx, platform, "client.changed", id, By::Operator).await?;
            tx.commit().await?;
            return Ok(true);
        }
    }
}

const SECRET_SEAL: &str = "client-secret";

fn seal_secret(platform: &Platform, client: &Client, secret: &PlainToken) -> Option<Vec<u8>> {
    (client.metadata.token_endpoint_auth_method == "client_secret_jwt").then(|| {
        let context = client.client_id.as_str().as_bytes();
        platform.master_key.seal(SECRET_SEAL, context, secret.reveal().as_bytes(), &platform.random)
    })
}

/// Deletes a client with all it was granted, and ends the access tokens it still holds. `false` when there is none.
pub async fn delete(platform: &Platform, id: &ClientId) -> Result<bool, DbError> {
    let mut tx: Tx = platform.db.begin().await?;
    let grants = grants_of(&mut tx, id).await?;
    let deleted = execute!(&mut tx, "DELETE FROM clients WHERE client_id = $1", id)?;
    deleted_by(tx, platform, id, (deleted, grants), By::Operator).await
}

/// The live grants of a client that is about to go.
async fn grants_of(tx: &mut Tx, id: &ClientId) -> Result<Vec<(GrantId,)>, DbError> {
    fetch_all!(tx, (GrantId,), "SELECT id FROM grants WHERE client_id = $1 AND revoked_at IS NULL", id)
}

/// Ends what is left of a client whose row is `deleted`, and commits. Its grants are listed each by itself: tokens that
/// others got in exchange for its own name the grant, and themselves as the client.
async fn deleted_by(
    mut tx: Tx,
    platform: &Platform,
    id: &ClientId,
    (deleted, grants): (u64, Vec<(GrantId,)>),
    by: By,
) -> Result<bool, DbError> {
    if deleted == 1 {
        revoke(&mut tx, platform, Kind::Client, id.as_str()).await?;
        for (grant,) in grants {
            revoke(&mut tx, platform, Kind::Grant, &grant.to_string()).await?;
        }
        record(&mut tx, platform, "client.deleted", id, by).await?;
    }
    tx.commit().await?;
    Ok(deleted == 1)
}

fn is_client_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
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
            ..ClientMetadata::default()
        }
    }

    fn new(id: &str, metadata: ClientMetadata) -> NewClient {
        NewClient {
            client_id: Some(ClientId::from(id)),
            name: "An app".into(),
            first_party: false,
            origin: Origin::Operator,
            metadata,
        }
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
            (with(|m| m.redirect_uris.clear()), "redirect URI"),
            (with(|m| m.redirect_uris = vec!["http://app.example/cb".into()]), "plain http"),
            (with(|m| m.redirect_uris = vec!["https://app.example/cb#x".into()]), "fragment"),
            (with(|m| m.redirect_uris = vec!["javascript:alert(1)".into()]), "scheme"),
            (with(|m| m.redirect_uris = vec!["https://*.app.example/".into()]), "wildcard"),
        ] {
            let error = create(&platform, client).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
