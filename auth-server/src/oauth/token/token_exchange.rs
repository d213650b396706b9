//! Token exchange (RFC 8693): a service that was called with somebody's access token gets one of its own to call on with.
//!
//! What comes out is never more than what went in: the scope is the subject token's at most, the expiry no later, it
//! ends with the same grant and session, and it names who acts. Which tokens a client may exchange is told by
//! [`may_exchange`].

use chrono::{DateTime, TimeDelta};
use oxide_auth::primitives::scope::Scope;
use serde_json::{Value, json};
use shared::ids::UserId;
use shared::{audit, subjects, users};

use crate::clients::Client;
use crate::protocol::bearer;
use crate::protocol::binding::Confirmation;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{GrantDetails, scope_list};
use crate::protocol::token_request::{TokenRequest, broken, invalid_scope};
use crate::protocol::tokens::{self, AccessToken, AccessTokenClaims, Subject, TokenResponse};
use crate::state::AppState;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// How deep a chain of actors may get (RFC 8693 §4.1): each exchange adds one.
const LONGEST_CHAIN: usize = 5;

/// One answer for every token that does not serve (RFC 8693 §2.2.2: `invalid_request`).
fn unacceptable(which: &str) -> OAuthError {
    OAuthError::invalid_request(format!(
        "the {which} is unknown, expired, revoked, or not one that this client may exchange"
    ))
}

pub async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    let platform = &state.platform;
    // No public client is registered for this grant; this is for a row that was changed by hand.
    if client.is_public() {
        return Err(OAuthError::new(Code::UnauthorizedClient, "a public client can't exchange tokens"));
    }
    if parameters.get("requested_token_type").is_some_and(|t| t != ACCESS_TOKEN && t != JWT) {
        return Err(OAuthError::invalid_request(
            "requested_token_type must be an access token's: others are not issued",
        ));
    }
    let subject = read(state, parameters, "subject_token")?.ok_or_else(|| {
        OAuthError::invalid_request("the parameters subject_token and subject_token_type are missing")
    })?;
    if !may_exchange(client, &subject) {
        return Err(unacceptable("subject_token"));
    }
    let actor = read(state, parameters, "actor_token")?;
    if actor.as_ref().is_some_and(|actor| actor.client_id != client.client_id.as_str()) {
        return Err(unacceptable("actor_token"));
    }
    // A stolen token that its thief can't use must not become one that anybody can; nor one that tells of an actor who is
    // known by a key.
    let bound = subject.cnf.is_some() || actor.as_ref().is_some_and(|actor| actor.cnf.is_some());
    if bound && request.binding.is_none() {
        return Err(OAuthError::invalid_request(
            "a token shown is sender-constrained: prove a key of your own (DPoP or mutual TLS) to bind the new one to",
        ));
    }
    let scope = scope(client, &subject, parameters.get("scope").as_deref())?;
    let mut targets = parameters.resource.clone();
    targets.extend_from_slice(&parameters.audience);
    // A token for one place must not become one for another in the hands of a third party; services of our own call on.
    let granted = subject.aud.to_vec();
    let resource = match targets.as_slice() {
        [] => granted,
        targets => tokens::check_resource(state, targets, if client.first_party { &[] } else { &granted })?,
    };
    let act = actor_chain(client, &subject, actor.as_ref())?;

    let mut tx = request.begin().await?;
    let user = subjects::resolve(&mut tx, &subject.sub).await?.ok_or_else(|| unacceptable("subject_token"))?;
    if users::by_id(&mut tx, user).await?.is_none() {
        return Err(unacceptable("subject_token"));
    }
    if let Some(sector) = client.sector() {
        subjects::remember(&mut tx, platform, &sector, user).await?;
    }
    let details = json!({ "from": subject.client_id, "scope": scope.join(" ") });
    audit::record(&mut tx, platform, "token.exchanged", Some(user), Some(&client.client_id), details).await?;
    tx.commit().await?;

    sign(request, user, &subject, &scope, &resource, act)
}

/// The claims of the token in `name`, whose type must stand beside it (RFC 8693 §2.1).
fn read(
    state: &AppState,
    parameters: &crate::protocol::request::Parameters,
    name: &str,
) -> Result<Option<AccessTokenClaims>, OAuthError> {
    let token_type = parameters.get(&format!("{name}_type"));
    match (parameters.get(name), token_type.as_deref()) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(OAuthError::invalid_request(format!("the parameter {name}_type is missing"))),
        (None, Some(_)) => Err(OAuthError::invalid_request(format!("{name}_type is there without {name}"))),
        (Some(token), Some(ACCESS_TOKEN | JWT)) => {
            bearer::verify(state, &token).map(Some).ok_or_else(|| unacceptable(name))
        }
        (Some(_), Some(_)) => Err(OAuthError::invalid_request(format!("{name}_type must be an access token's"))),
    }
}

/// A person's token that was given to the client itself, or, to services of our own, any person's.
fn may_exchange(client: &Client, subject: &AccessTokenClaims) -> bool {
    let persons = subject.sub != subject.client_id && subject.grant_id.is_some();
    persons && (client.first_party || subject.client_id == client.client_id.as_str())
}

/// What is asked for, within both the subject token's scope and the client's; all of that when nothing is asked for.
fn scope(client: &Client, subject: &AccessTokenClaims, asked: Option<&str>) -> Result<Vec<String>, OAuthError> {
    let registered = &client.metadata.scopes;
    let both: Vec<String> = subject.scopes().filter(|s| registered.iter().any(|r| r == s)).map(str::to_owned).collect();
    let limit: Scope = both.join(" ").parse().map_err(|_| broken())?;
    let scope = match asked {
        None => limit,
        Some(text) => text.parse::<Scope>().ok().filter(|asked| *asked <= limit).ok_or_else(invalid_scope)?,
    };
    let scope = scope_list(&scope);
    if scope.is_empty() { Err(invalid_scope()) } else { Ok(scope) }
}

/// The `act` claim (RFC 8693 §4.1): the actor's subject, or the client itself where no actor is named, with whoever
/// acted before inside.
fn actor_chain(
    client: &Client,
    subject: &AccessTokenClaims,
    actor: Option<&AccessTokenClaims>,
) -> Result<Option<Value>, OAuthError> {
    let now = match actor {
        Some(actor) => json!({ "sub": actor.sub, "client_id": actor.client_id }),
        // Its own token with less in it: nobody else acts.
        None if subject.client_id == client.client_id.as_str() => return Ok(subject.act.clone()),
        None => json!({ "sub": client.client_id, "client_id": client.client_id }),
    };
    let mut length = 1;
    let mut inner = subject.act.as_ref();
    while let Some(act) = inner {
        length += 1;
        inner = Some(&act["act"]).filter(|act| act.is_object());
    }
    if length > LONGEST_CHAIN {
        return Err(OAuthError::invalid_request("the token has passed through too many hands already"));
    }
    let mut act = now;
    if let Some(before) = &subject.act {
        act["act"] = before.clone();
    }
    Ok(Some(act))
}

fn sign(
    request: &TokenRequest<'_>,
    user: UserId,
    subject: &AccessTokenClaims,
    scope: &[String],
    resource: &[String],
    act: Option<Value>,
) -> Result<TokenResponse, OAuthError> {
    let platform = &request.state.platform;
    let now = platform.clock.now();
    let own = now + TimeDelta::seconds(i64::try_from(platform.config.tokens.access_token_seconds).unwrap_or(600));
    let expires_at = DateTime::from_timestamp(subject.exp, 0).unwrap_or(own).min(own);
    let details = GrantDetails {
        auth_time: subject.auth_time.and_then(|at| DateTime::from_timestamp(at, 0)).unwrap_or(DateTime::UNIX_EPOCH),
        acr: subject.acr.clone().unwrap_or_default(),
        ..GrantDetails::default()
    };
    let grant = subject.grant_id.as_deref().and_then(|id| id.parse().ok()).ok_or_else(broken)?;
    // As it stands there: whoever has the subject's token has read it, and by it both end with the session.
    let sid = subject.sid.clone();
    let access_token = AccessToken {
        client: request.client,
        subject: Subject::User { id: user, grant, sid, details: &details },
        scope,
        resource,
        cnf: request.binding.clone(),
        authorization_details: &subject.authorization_details,
        act,
        jti: platform.random.uuid_v4().to_string(),
        expires_at,
    };
    Ok(TokenResponse {
        access_token: access_token.sign(request.state)?,
        token_type: Confirmation::token_type(request.binding.as_ref()),
        expires_in: u64::try_from((expires_at - now).num_seconds()).unwrap_or(0),
        scope: scope.join(" "),
        refresh_token: None,
        id_token: None,
        // An access token of ours is a JWT: it is what was asked for by either name (§2.2.1).
        issued_token_type: Some(match request.parameters.get("requested_token_type").as_deref() {
            Some(JWT) => JWT,
            _ => ACCESS_TOKEN,
        }),
        authorization_details: subject.authorization_details.clone(),
    })
}
