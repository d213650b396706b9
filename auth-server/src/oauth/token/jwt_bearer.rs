//! The JWT bearer grant (RFC 7523 §2.1): one of our own services acts for a person it knows, with an assertion that it
//! signed itself. Whom it may speak for, and why nobody else's signature counts: `docs/decisions/0009-jwt-bearer-trust.md`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::db::Tx;
use shared::ids::UserId;
use shared::{audit, subjects, users};

use crate::clients::OFFLINE_ACCESS;
use crate::protocol::binding::Confirmation;
use crate::protocol::client_auth::assertion::{self, Granting};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::GrantDetails;
use crate::protocol::proofs;
use crate::protocol::token_request::{TokenRequest, requested_scope};
use crate::protocol::tokens::{self, AccessToken, Subject, TokenResponse};
use crate::sessions::ACR_NONE;

/// One answer for every assertion that does not serve: nothing is learnt of who has an account (§3.1).
fn refused() -> OAuthError {
    OAuthError::invalid_grant("the assertion is not valid: check its key, alg, iss, sub, aud, exp and jti")
}

pub async fn issue(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    // Registration checked this; a row that was changed by hand must not open the door.
    if !client.first_party {
        return Err(OAuthError::new(Code::UnauthorizedClient, "assertions are taken from first-party clients only"));
    }
    let text = parameters.require("assertion")?;
    let assertion = assertion::grant(state, parameters, client, &text).await?.ok_or_else(refused)?;
    let answer = issue_for(request, &assertion).await;
    // As with a client's assertion: it was seen on the wire, whatever came of the request.
    if answer.is_err() {
        proofs::spend(&state.platform, std::slice::from_ref(&assertion.proof)).await?;
    }
    answer
}

async fn issue_for(request: &TokenRequest<'_>, assertion: &Granting) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    let platform = &state.platform;
    let resource = tokens::check_resource(state, &parameters.resource, &[])?;
    let mut scope = requested_scope(client, parameters)?;
    // There is no refresh token to use while the person is away.
    scope.retain(|scope| scope != OFFLINE_ACCESS);

    let mut tx = request.begin().await?;
    proofs::consume(&mut tx, std::slice::from_ref(&assertion.proof)).await?;
    let user = person(request, &mut tx, &assertion.subject).await?.ok_or_else(refused)?;
    let now = platform.clock.now();
    let details = GrantDetails {
        scope,
        resource: parameters.resource.clone(),
        // Nobody signed in: what asks for a recent or strong sign-in is not opened.
        auth_time: DateTime::UNIX_EPOCH,
        acr: ACR_NONE.into(),
        ..GrantDetails::default()
    };
    let reference = request.insert_grant(&mut tx, user, None, &details).await?;
    let event = json!({ "grant": reference.id });
    audit::record(&mut tx, platform, "jwt_bearer.granted", Some(user), Some(&client.client_id), event).await?;
    tx.commit().await?;

    let seconds = platform.config.tokens.access_token_seconds;
    let access_token = AccessToken {
        client,
        subject: Subject::User { id: user, grant: reference.id, sid: None, details: &details },
        scope: &details.scope,
        resource: &resource,
        cnf: request.binding.clone(),
        authorization_details: &[],
        act: None,
        jti: platform.random.uuid_v4().to_string(),
        expires_at: expiry(now, seconds),
    };
    // No refresh token: the client can sign another assertion (RFC 7521 §4.1). No ID token: nobody signed in.
    Ok(TokenResponse {
        access_token: access_token.sign(state)?,
        token_type: Confirmation::token_type(request.binding.as_ref()),
        expires_in: seconds,
        scope: details.scope.join(" "),
        refresh_token: None,
        id_token: None,
        issued_token_type: None,
        authorization_details: vec![],
    })
}

fn expiry(now: DateTime<Utc>, seconds: u64) -> DateTime<Utc> {
    now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(600))
}

/// Who `sub` is: the person whom this very client knows by it. Never an email address, which may come to be somebody
/// else's.
async fn person(request: &TokenRequest<'_>, tx: &mut Tx, sub: &str) -> Result<Option<UserId>, OAuthError> {
    let TokenRequest { state, client, .. } = *request;
    let user = match client.sector() {
        Some(_) => subjects::resolve(tx, sub).await?,
        None => sub.parse().ok(),
    };
    let Some(user) = user.filter(|user| tokens::subject(state, client, *user) == sub) else { return Ok(None) };
    Ok(users::by_id(tx, user).await?.map(|_| user))
}
