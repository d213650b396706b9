//! Clients that register and manage themselves (RFC 7591, RFC 7592).

use serde_json::json;
use shared::db::{DbError, Tx};
use shared::ids::ClientId;
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_optional};
use sqlx::types::Json;

use super::check::{check, sector};
use super::{
    Client, ClientError, ClientMetadata, NewClient, by_id, initial_access_tokens, insert, is_client_id, seal_secret,
};

/// A client that has just registered itself. Both secrets are shown this once.
pub struct Registered {
    pub client: Client,
    pub secret: Option<PlainToken>,
    /// Opens the registration to its owner (RFC 7592 §3).
    pub token: PlainToken,
}

/// Registers a client, using up `permit` in the same transaction.
///
/// # Errors
/// [`ClientError::NotPermitted`] when the permit serves no more; otherwise as [`super::create`].
pub async fn register(
    platform: &Platform,
    client: NewClient,
    permit: Option<&PlainToken>,
) -> Result<Registered, ClientError> {
    let client = check(platform, client)?;
    sector::verify(platform, &client.metadata).await?;
    let secret = client.metadata.has_secret().then(|| PlainToken::new(&platform.random));
    let token = PlainToken::new(&platform.random);

    let mut tx = platform.db.begin().await?;
    let permitted_by = match permit {
        None => None,
        Some(permit) => {
            Some(initial_access_tokens::consume(&mut tx, platform, permit).await?.ok_or(ClientError::NotPermitted)?)
        }
    };
    let client = insert(&mut tx, platform, client, secret.as_ref(), Some(&token)).await?;
    let details = json!({ "initial_access_token": permitted_by });
    audit::record(&mut tx, platform, "client.registered", None, Some(&client.client_id), details).await?;
    tx.commit().await?;
    Ok(Registered { client, secret, token })
}

/// The client whose registration this token opens. `None` alike for an unknown client and a wrong token.
pub async fn authenticate(platform: &Platform, id: &ClientId, token: &PlainToken) -> Result<Option<Client>, DbError> {
    // What can't be an id is not looked for: a NUL in the path, say, which PostgreSQL takes for a mistake of ours.
    if !is_client_id(id.as_str()) {
        return Ok(None);
    }
    let mut conn = platform.db.read().await?;
    let row: Option<(Option<TokenHash>,)> = fetch_optional!(
        &mut conn,
        (Option<TokenHash>,),
        "SELECT registration_token_hash FROM clients WHERE client_id = $1",
        id
    )?;
    // Compared in any case, so that an unknown client is not told by the time it takes.
    let stored = row.and_then(|(hash,)| hash);
    let matches = match &stored {
        Some(hash) => hash.matches(token),
        None => PlainToken::presented("no such client").hash().matches(token) & false,
    };
    if matches { by_id(&mut conn, id).await } else { Ok(None) }
}

/// Replaces a client's metadata as a whole (RFC 7592 §2.2). `secret` is the client's own, when it told it. Returns a
/// new secret where the new way to authenticate needs one that is not there; `None` when the registration is gone, or
/// changed hands meanwhile.
///
/// # Errors
/// [`ClientError::Invalid`] as for a registration; nothing is changed then.
pub async fn replace(
    platform: &Platform,
    current: &Client,
    token: &PlainToken,
    name: String,
    metadata: ClientMetadata,
    secret: Option<&PlainToken>,
) -> Result<Option<(Client, Option<PlainToken>)>, ClientError> {
    let requested = NewClient {
        client_id: Some(current.client_id.clone()),
        name,
        // What the operator made of it stays; nothing is won by asking.
        first_party: false,
        origin: current.origin,
        metadata,
    };
    let mut client = Client {
        first_party: current.first_party,
        created_at: current.created_at,
        secret_hash: current.secret_hash.clone(),
        sealed_secret: current.sealed_secret.clone(),
        ..check(platform, requested)?
    };
    sector::verify(platform, &client.metadata).await?;

    // The secret stays while the client has a use for it. An HMAC needs it readable: sealed anew, or drawn anew.
    let signs = client.metadata.token_endpoint_auth_method == "client_secret_jwt";
    let mut fresh = None;
    if !client.metadata.has_secret() {
        (client.secret_hash, client.sealed_secret) = (None, None);
    } else if !signs && client.secret_hash.is_some() {
        client.sealed_secret = None;
    } else if client.secret_hash.is_none() || client.sealed_secret.is_none() {
        let drawn = match secret {
            Some(told) if client.secret_hash.is_some() => told.clone(),
            _ => fresh.insert(PlainToken::new(&platform.random)).clone(),
        };
        client.secret_hash = Some(drawn.hash());
        client.sealed_secret = seal_secret(platform, &client, &drawn);
    }

    let mut tx = platform.db.begin().await?;
    let changed = execute!(
        &mut tx,
        "UPDATE clients SET name = $3, secret_hash = $4, sealed_secret = $5, metadata = $6, updated_at = $7 \
         WHERE client_id = $1 AND registration_token_hash = $2",
        &client.client_id,
        token.hash(),
        &client.name,
        client.secret_hash.clone(),
        client.sealed_secret.clone(),
        Json(&client.metadata),
        platform.clock.now()
    )?;
    if changed == 0 {
        return Ok(None);
    }
    if current.metadata.redirect_uris != client.metadata.redirect_uris {
        forget_consents(&mut tx, &client.client_id).await?;
    }
    audit::record(&mut tx, platform, "client.changed", None, Some(&client.client_id), json!({})).await?;
    tx.commit().await?;
    Ok(Some((client, fresh)))
}

/// People consented to be taken to the hosts they were shown. A client that moves elsewhere has to ask again.
pub(super) async fn forget_consents(tx: &mut Tx, id: &ClientId) -> Result<(), DbError> {
    execute!(tx, "DELETE FROM consents WHERE client_id = $1", id)?;
    Ok(())
}
