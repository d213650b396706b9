//! The device code grant (RFC 8628 §3.4): a device asks whether its person has decided.

use shared::secret::PlainToken;

use crate::protocol::device::{self, Poll};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants;
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
    let Some((user, details, reference)) = grants::begin(&mut tx, platform, client, id).await? else {
        tx.commit().await?;
        return Err(refused());
    };
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
