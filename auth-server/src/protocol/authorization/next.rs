//! What a request still needs of the person before it can be answered.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::db::{Conn, DbError};
use shared::fetch_optional;
use shared::ids::UserId;
use sqlx::types::Json;
use url::Url;

use super::ValidatedRequest;
use crate::clients::{Client, OFFLINE_ACCESS, is_loopback};
use crate::protocol::error::{Code, OAuthError};
use crate::sessions::SignedIn;
use crate::state::AppState;

/// What becomes of a request next.
pub enum Next<'s> {
    /// The person has something to do first.
    Ask(Ask),
    /// The code can be issued, in this session.
    Issue(&'s SignedIn),
    /// Somebody signed in for this request, and it is not who was meant, or not in the way that was asked for: asking
    /// again would go in circles.
    Refuse(OAuthError),
}

/// What a person is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    SignIn,
    SignUp,
    Consent,
    /// Consent was given, and must be confirmed: whoever asks may be somebody else than the one it was given to.
    Confirm,
}

impl Ask {
    /// Where they do it.
    pub fn page(self) -> &'static str {
        match self {
            Self::SignIn => "/login",
            Self::SignUp => "/signup",
            Self::Consent | Self::Confirm => "/consent",
        }
    }

    /// What the client is told that does not want anybody to be asked (OpenID Connect Core §3.1.2.6).
    pub fn cannot_be_asked(self) -> OAuthError {
        let (code, reason) = match self {
            Self::SignIn | Self::SignUp => {
                (Code::LoginRequired, "nobody is signed in, or somebody else, or too long ago")
            }
            Self::Consent => (Code::ConsentRequired, "the person has not consented yet"),
            Self::Confirm => {
                (Code::InteractionRequired, "anybody could pose as this client: the person must confirm their consent")
            }
        };
        OAuthError::new(code, reason)
    }
}

fn is_fresh(signed_in: &SignedIn, since: Option<DateTime<Utc>>) -> bool {
    since.is_some_and(|since| signed_in.auth_time >= since)
}

/// Does the session answer what the request asks of it (`prompt=login`, `max_age`, `id_token_hint`…)? `since` is when the request was
/// stored; before that, nobody can have signed in for it.
pub(super) fn signed_in_enough(
    request: &ValidatedRequest,
    signed_in: &SignedIn,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    let fresh = is_fresh(signed_in, since);
    if !request.accepts(signed_in) {
        return false;
    }
    if (request.prompts("login") || request.prompts("select_account") || request.prompts("create")) && !fresh {
        return false;
    }
    match request.max_age.and_then(|s| i64::try_from(s).ok()).and_then(TimeDelta::try_seconds) {
        // Signing in for this very request is enough, even where max_age is 0, which no other sign-in satisfies.
        Some(age) => fresh || (!age.is_zero() && now - signed_in.auth_time <= age),
        None => true,
    }
}

/// What the request needs next, for this session.
pub async fn next<'s>(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    since: Option<DateTime<Utc>>,
    signed_in: Option<&'s SignedIn>,
) -> Result<Next<'s>, DbError> {
    if let Some(other) = signed_in.filter(|s| is_fresh(s, since) && !request.accepts(s)) {
        let right = request.acr.as_ref().is_none_or(|values| values.contains(&other.acr));
        return Ok(Next::Refuse(if right {
            OAuthError::new(Code::LoginRequired, "somebody else signed in than the one who is meant")
        } else {
            OAuthError::new(Code::UnmetAuthenticationRequirements, "the sign-in is of another acr")
        }));
    }
    let Some(signed_in) = signed_in.filter(|s| signed_in_enough(request, s, since, state.platform.clock.now())) else {
        return Ok(Next::Ask(if request.prompts("create") { Ask::SignUp } else { Ask::SignIn }));
    };
    if request.prompts("consent") {
        return Ok(Next::Ask(Ask::Consent));
    }
    // Details are about one occasion: what was allowed once is not remembered (RFC 9396 §8).
    if !request.authorization_details.is_empty() && !client.first_party {
        return Ok(Next::Ask(Ask::Consent));
    }
    if !has_consent(state, client, request, signed_in.user_id).await? {
        return Ok(Next::Ask(Ask::Consent));
    }
    // Whoever listens on a loopback port or registered a private scheme can pose as a public client: ask each time
    // (RFC 8252 §8.6).
    Ok(if impersonable(client, request) { Next::Ask(Ask::Confirm) } else { Next::Issue(signed_in) })
}

/// Did the person allow all that needs their consent? Our own apps need none, but for `offline_access`: what outlasts
/// the sign-in is nothing that a person expects of one (OpenID Connect Core §11: consent "for all Clients").
async fn has_consent(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    user: UserId,
) -> Result<bool, DbError> {
    let mut needed = request.to_allow();
    needed.retain(|scope| !client.first_party || scope == OFFLINE_ACCESS);
    if needed.is_empty() {
        return Ok(true);
    }
    let mut conn = state.platform.db.read().await?;
    let consented = consented_scope(&mut conn, user, client).await?;
    Ok(needed.iter().all(|scope| consented.contains(scope)))
}

fn impersonable(client: &Client, request: &ValidatedRequest) -> bool {
    client.is_public()
        && Url::parse(&request.redirect_uri).is_ok_and(|uri| uri.scheme() != "https" || is_loopback(&uri))
}

/// What a person allowed a client, as kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Consent {
    pub scope: Vec<String>,
}

pub(super) async fn consented_scope(conn: &mut Conn, user: UserId, client: &Client) -> Result<Vec<String>, DbError> {
    let row: Option<(Json<Consent>,)> = fetch_optional!(
        conn,
        (Json<Consent>,),
        "SELECT consent FROM consents WHERE user_id = $1 AND client_id = $2",
        user,
        &client.client_id
    )?;
    Ok(row.map(|(Json(consent),)| consent.scope).unwrap_or_default())
}
