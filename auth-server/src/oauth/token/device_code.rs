//! The device code grant (RFC 8628 §3.4): a device asks whether its person has decided.

use shared::fetch_optional;
use shared::ids::{SessionId, UserId};
use shared::secret::PlainToken;
use sqlx::types::Json;

use crate::protocol::device::{self, Poll};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, GrantDetails, GrantRef};
use crate::protocol::token_request::{Granted, TokenRequest};
use crate::protocol::tokens::{self, TokenResponse};

/// One answer for every device code that does not serve, so that nothing is learnt from it.
fn refused() -> OAuthError {
    OAuthError::invalid_grant("the device code is unknown, used, revoked, or was issued to another client")
}

pub async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    let platform = &state.platform;
    let code = PlainToken::presented(parameters.require("device_code")?);
    let over = device::peek(&mut platform.db.read().await?, platform, &client.client_id, &code).await?;
    if let Some(over) = over {
        return Err(answer(over));
    }
    let mut tx = request.begin().await?;
    let id = match device::poll(&mut tx, platform, &client.client_id, &code).await? {
        Poll::Allowed(id) => id,
        other => {
            tx.commit().await?;
            return Err(answer(other));
        }
    };
    // From now on it lives as long as any grant; until here it lived as long as its code ([`device::allow`]).
    let expires_at = grants::expiry(platform, client, None);
    let granted = fetch_optional!(
        &mut tx,
        (UserId, Option<SessionId>, Json<GrantDetails>),
        "UPDATE grants SET expires_at = $2 WHERE id = $1 AND revoked_at IS NULL AND COALESCE(sector, '') = $3 \
         RETURNING user_id, sid, details",
        id,
        expires_at,
        grants::sector_of(client)
    )?;
    let Some((user, sid, Json(details))) = granted else {
        tx.commit().await?;
        return Err(refused());
    };
    let reference = GrantRef { id, sid, expires_at };
    // A refusal here rolls back: the device may ask again for what it was granted.
    let resource = tokens::check_resource(state, &parameters.resource, &details.resource)?;
    let issued = request.first_tokens(&mut tx, user, reference, &details).await?;
    tx.commit().await?;
    let scope = &details.scope;
    request.respond(Granted { user, reference, details: &details, scope, resource: &resource, nonce: None, issued })
}

/// §3.5.
fn answer(poll: Poll) -> OAuthError {
    match poll {
        Poll::Pending => OAuthError::new(Code::AuthorizationPending, "the person has not decided yet; ask again later"),
        Poll::SlowDown => {
            OAuthError::new(Code::SlowDown, "too often; wait 5 seconds longer between questions from now on")
        }
        Poll::Denied => OAuthError::new(Code::AccessDenied, "the person refused"),
        Poll::Expired => OAuthError::new(Code::ExpiredToken, "the device code has expired; begin again"),
        Poll::Unknown | Poll::Allowed(_) => refused(),
    }
}
