//! Clients that register and manage themselves (RFC 7591, RFC 7592).

use serde_json::json;
use shared::db::{DbError, Tx};
use shared::ids::{ClientId, GrantId};
use shared::revocations::{self, Kind};
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};
use sqlx::types::Json;

use super::check::{check, sector};
use super::{
    By, Client, ClientError, ClientMetadata, NewClient, by_id, deleted_by, initial_access_tokens, insert, is_client_id,
    record, seal_secret,
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
    record(&mut tx, platform, "client.created", &client.client_id, By::Registration).await?;
    if let Some(name) = permitted_by {
        let details = json!({ "name": name });
        let client_id = Some(&client.client_id);
        audit::record(&mut tx, platform, "initial_access_token.used", None, client_id, details).await?;
    }
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
/// new secret where the new way to authenticate needs one that is not there. `None`, and nothing was done, when the
/// registration is gone or is not `current` any more: a secret that was rotated meanwhile must not come back.
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
        revision: current.revision,
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
        "UPDATE clients SET name = $3, secret_hash = $4, sealed_secret = $5, metadata = $6, updated_at = $7, \
         revision = revision + 1 WHERE client_id = $1 AND registration_token_hash = $2 AND revision = $8",
        &client.client_id,
        token.hash(),
        &client.name,
        client.secret_hash.clone(),
        client.sealed_secret.clone(),
        Json(&client.metadata),
        platform.clock.now(),
        current.revision
    )?;
    if changed == 0 {
        return Ok(None);
    }
    moved(&mut tx, platform, current, &client).await?;
    record(&mut tx, platform, "client.changed", &client.client_id, By::Registration).await?;
    tx.commit().await?;
    Ok(Some((client, fresh)))
}

/// Deletes the client whose registration `token` opens, as [`super::delete`]. `false` when it opens none by now.
pub async fn delete(platform: &Platform, id: &ClientId, token: &PlainToken) -> Result<bool, DbError> {
    let mut tx = platform.db.begin().await?;
    let grants = super::grants_of(&mut tx, id).await?;
    let deleted = execute!(
        &mut tx,
        "DELETE FROM clients WHERE client_id = $1 AND registration_token_hash = $2",
        id,
        token.hash()
    )?;
    deleted_by(tx, platform, id, (deleted, grants), By::Registration).await
}

/// What becomes of what people allowed a client when its metadata change, in the transaction that stores the new ones.
///
/// People consented to be taken to the hosts they were shown: a client that moves elsewhere has to ask again. One that
/// moves into another sector starts anew altogether: by a refresh token of before it would be told there who somebody is
/// whom it never met there, which is what pairwise identifiers are to prevent (OpenID Connect Core §8.1).
pub(super) async fn moved(tx: &mut Tx, platform: &Platform, before: &Client, after: &Client) -> Result<(), DbError> {
    let leaves = before.sector() != after.sector();
    if leaves || before.metadata.redirect_uris != after.metadata.redirect_uris {
        execute!(tx, "DELETE FROM consents WHERE client_id = $1", &after.client_id)?;
    }
    if !leaves {
        return Ok(());
    }
    let ended: Vec<(GrantId,)> = fetch_all!(
        tx,
        (GrantId,),
        "UPDATE grants SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL RETURNING id",
        &after.client_id,
        platform.clock.now()
    )?;
    execute!(tx, "DELETE FROM refresh_tokens WHERE client_id = $1", &after.client_id)?;
    for (grant,) in &ended {
        revocations::revoke(tx, platform, Kind::Grant, &grant.to_string()).await?;
    }
    if !ended.is_empty() {
        let details = json!({ "grants": ended.len() });
        audit::record(tx, platform, "client.sector_changed", None, Some(&after.client_id), details).await?;
    }
    Ok(())
}
