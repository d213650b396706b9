//! What every way of signing in ends with: a session, and the way on. Where the account asks for a second factor and one
//! alone was shown, the sign-in is set aside for it, and the browser holds its key.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use cookie::{Cookie, SameSite};
use shared::db::DbError;
use shared::ids::UserId;
use shared::secret::PlainToken;
use shared::users;
use tower_sessions::Session;
use url::form_urlencoded;

use super::layout::{Page, cookie_value, see_other};
use super::{account, logout};
use crate::AppState;
use crate::accounts::factors;
use crate::accounts::factors::passkeys::{self, Used};
use crate::accounts::factors::unfinished::{self, Unfinished};
use crate::accounts::known::notice_new_device;
use crate::accounts::signin::{self, SignInError, Verified, still_holds};
use crate::accounts::upstream::still_opens;
use crate::sessions::{self, AMR_MFA, cookie_name};
use crate::upstream::Identity;

/// Where the second factor is shown.
pub const SECOND_FACTOR: &str = "/login/second-factor";

/// What a person has shown of themselves.
pub struct Shown<'a> {
    pub user_id: UserId,
    pub acr: &'a str,
    /// RFC 8176. Who shows more than one factor at once says so (`mfa`).
    pub amr: &'a [&'a str],
    /// The password that was among it.
    pub password: Option<&'a Verified>,
}

/// What must be the account's still when the session is written.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Nothing that is kept here.
    Elsewhere,
    Password(&'a Verified),
    /// The app or code that stood in for it.
    Code(UserId),
    Passkey(&'a Used),
    /// What another provider said.
    Identity {
        provider: &'a str,
        identity: &'a Identity,
    },
}

/// Signs the person in and leads them on to `onward`, a path of ours; by way of the second factor, where the account has
/// one and it was not shown.
///
/// # Errors
/// [`SignInError::Refused`] when the account was handed over to somebody else while its former password was verified.
pub async fn finish(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    let proof = shown.password.map_or(Proof::Elsewhere, Proof::Password);
    first(state, page, session, shown, proof, onward).await
}

/// The same for who comes from another provider.
///
/// # Errors
/// [`SignInError::Refused`] when the identity has just been taken from the account.
pub async fn finish_from(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    (provider, identity): (&str, &Identity),
    onward: &str,
) -> Result<Response, SignInError> {
    first(state, page, session, shown, Proof::Identity { provider, identity }, onward).await
}

async fn first(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    proof: Proof<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    if !shown.amr.contains(&AMR_MFA) && asks_for_more(state, shown.user_id).await? {
        return set_aside(state, shown, onward).await;
    }
    conclude(state, page, session, (shown.user_id, shown.acr, shown.amr), proof, onward).await
}

/// The same once everything was shown that the account asks for.
///
/// # Errors
/// As [`finish`].
pub async fn conclude(
    state: &AppState,
    page: &Page,
    session: &Session,
    (user_id, acr, amr): (UserId, &str, &[&str]),
    proof: Proof<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    let (signed_in, left) = sessions::sign_in(session, state, user_id, acr, amr).await?;
    sessions::devices::note(state, signed_in.sid, page.user_agent()).await;
    let alone = !amr.contains(&AMR_MFA);
    let why = match holds(state, page, user_id, alone, proof).await {
        Ok(true) => {
            let onward = match planned(state, user_id).await? {
                false => onward.to_owned(),
                true => {
                    let onward = form_urlencoded::Serializer::new(String::new()).append_pair("onward", onward).finish();
                    format!("{}?{onward}", account::KEEP)
                }
            };
            let mut response = logout::onward(state, page, &left, &onward);
            page.remember(&mut response, &page.known().with(&state.platform, user_id));
            return Ok(response);
        }
        Ok(false) => SignInError::Refused,
        Err(error) => SignInError::Db(error),
    };
    // Where it can't be ended, the answer is an error that hands out no cookie of it.
    sessions::sign_out(session, state).await?;
    Err(why)
}

/// Is the account about to be deleted? Then there is one question first.
async fn planned(state: &AppState, user: UserId) -> Result<bool, DbError> {
    let user = users::by_id(&mut state.platform.db.read().await?, user).await?;
    Ok(user.is_some_and(|user| user.deletion_at.is_some()))
}

async fn asks_for_more(state: &AppState, user_id: UserId) -> Result<bool, DbError> {
    factors::has_second(&mut state.platform.db.read().await?, user_id).await
}

async fn set_aside(state: &AppState, shown: &Shown<'_>, onward: &str) -> Result<Response, SignInError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let phc_digest = match shown.password {
        None => None,
        Some(verified) => Some(signin::set_aside(&mut tx, platform, verified).await?.ok_or(SignInError::Refused)?),
    };
    let amr = shown.amr.iter().map(|&method| method.to_owned()).collect();
    let begun = Unfinished { user_id: shown.user_id, amr, phc_digest, onward: onward.to_owned(), attempts: 0 };
    let key = unfinished::keep(&mut tx, platform, &begun).await?;
    tx.commit().await?;
    let mut response = see_other(SECOND_FACTOR);
    set_key(state, &mut response, Some(&key));
    Ok(response)
}

async fn holds(state: &AppState, page: &Page, user: UserId, alone: bool, proof: Proof<'_>) -> Result<bool, DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    // Set up while the first factor was shown.
    if alone && factors::has_second(&mut tx, user).await? {
        return Ok(false);
    }
    if !page.known().still(&mut tx).await?.contains(&user) {
        notice_new_device(&mut tx, platform, user).await?;
    }
    let holds = match proof {
        Proof::Elsewhere => true,
        Proof::Password(verified) => still_holds(&mut tx, platform, verified).await?,
        Proof::Code(user_id) => factors::still_has_second(&mut tx, platform, user_id).await?,
        Proof::Passkey(used) => passkeys::still_holds(&mut tx, platform, used).await?,
        Proof::Identity { provider, identity } => still_opens(&mut tx, platform, provider, identity, user).await?,
    };
    if holds {
        tx.commit().await?;
        state.outside.wake();
    }
    Ok(holds)
}

/// The key of the sign-in that waits in this browser.
pub fn presented_key(state: &AppState, headers: &HeaderMap) -> Option<PlainToken> {
    cookie_value(headers, &cookie_name(state, "signin")).map(PlainToken::presented)
}

/// Gives the browser the key of a sign-in that waits, or takes it away.
pub fn set_key(state: &AppState, response: &mut Response, key: Option<&PlainToken>) {
    let life = key.map_or(0, |_| unfinished::LIFETIME.num_seconds());
    let cookie = Cookie::build((cookie_name(state, "signin"), key.map_or("", PlainToken::reveal)))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.platform.config.auth.public_url.is_https())
        .max_age(cookie::time::Duration::seconds(life));
    if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
