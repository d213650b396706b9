//! What every way of signing in ends with: a session, and the way on. Where the account asks for a second factor and one
//! alone was shown, the sign-in is set aside for it, and the browser holds its key; unless the device is remembered, and
//! nobody asks for more.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use cookie::{Cookie, SameSite};
use shared::db::DbError;
use shared::ids::UserId;
use shared::secret::{PlainToken, TokenHash};
use shared::users;
use tower_sessions::Session;
use url::form_urlencoded;

use super::layout::{Page, cookie_value, see_other};
use super::{account, logout, terms};
use crate::AppState;
use crate::accounts::factors;
use crate::accounts::factors::mailed;
use crate::accounts::factors::passkeys::{self, Used};
use crate::accounts::factors::unfinished::{self, Unfinished};
use crate::accounts::known::notice_new_device;
use crate::accounts::signin::{self, SignInError, Verified, still_holds};
use crate::accounts::terms as terms_of;
use crate::accounts::upstream::still_opens;
use crate::protocol::authorization::{Loaded, Pending, load, request_in};
use crate::sessions::remembered::{self, Tokens};
use crate::sessions::{self, AMR_MFA, SignedIn, cookie_name};
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

/// What there is beside the first factor.
#[derive(Clone, Debug)]
pub enum Second {
    /// Nothing; or it came with the first, and `amr` says so.
    None,
    /// A code of the app, or one that stands in for it. Does the owner wish this device to be remembered?
    Code { remember: bool },
    /// A code from the mailbox.
    Mailed,
    /// The device is remembered, by this token.
    Remembered(TokenHash),
}

/// Signs the person in and leads them on to `onward`, a path of ours; by way of the second factor, where the account has
/// one and it was not shown, nor is spared.
///
/// # Errors
/// [`SignInError::Refused`] when the account was handed over to somebody else while its former password was verified.
pub async fn enter(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    let proof = shown.password.map_or(Proof::Elsewhere, Proof::Password);
    first(state, page, session, shown, proof, onward, true).await
}

/// The same for who shows anew who they are: nothing is spared.
///
/// # Errors
/// As [`enter`].
pub async fn finish(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    let proof = shown.password.map_or(Proof::Elsewhere, Proof::Password);
    first(state, page, session, shown, proof, onward, false).await
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
    first(state, page, session, shown, Proof::Identity { provider, identity }, onward, true).await
}

async fn first(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    proof: Proof<'_>,
    onward: &str,
    may_spare: bool,
) -> Result<Response, SignInError> {
    let who = (shown.user_id, shown.acr, shown.amr);
    if !shown.amr.contains(&AMR_MFA) && asks_for_more(state, shown.user_id).await? {
        let spared = if may_spare { spared(state, page, shown, onward).await? } else { None };
        return match spared {
            Some(token) => {
                let second = Second::Remembered(token);
                Box::pin(conclude_with(state, page, session, who, (proof, second), onward)).await
            }
            None => set_aside(state, shown, onward).await,
        };
    }
    conclude(state, page, session, who, proof, onward).await
}

/// The token by which this device is remembered, where that is enough: not for an app that asks for a better sign-in, nor
/// for one that wants it done anew, and whole.
async fn spared(
    state: &AppState,
    page: &Page,
    shown: &Shown<'_>,
    onward: &str,
) -> Result<Option<TokenHash>, SignInError> {
    if let Some(pending) = waiting(state, onward).await? {
        let request = &pending.request;
        if request.wants_sign_in() || request.wants_better_than(shown.acr) {
            return Ok(None);
        }
    }
    let mut conn = state.platform.db.read().await?;
    Ok(remembered::find(&mut conn, &state.platform, page.remembered(), shown.user_id).await?)
}

/// The authorization request that a sign-in goes on to.
pub async fn waiting(state: &AppState, onward: &str) -> Result<Option<Pending>, DbError> {
    let Some(id) = request_in(onward) else { return Ok(None) };
    Ok(match load(state, id).await? {
        Loaded::Live(pending) => Some(pending),
        Loaded::Expired(_) | Loaded::Gone => None,
    })
}

/// The same once everything was shown that the account asks for.
///
/// # Errors
/// As [`finish`].
pub async fn conclude(
    state: &AppState,
    page: &Page,
    session: &Session,
    who: (UserId, &str, &[&str]),
    proof: Proof<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    conclude_with(state, page, session, who, (proof, Second::None), onward).await
}

/// The same, saying what there was beside the first factor.
///
/// # Errors
/// As [`finish`].
pub async fn conclude_with(
    state: &AppState,
    page: &Page,
    session: &Session,
    (user_id, acr, amr): (UserId, &str, &[&str]),
    (proof, second): (Proof<'_>, Second),
    onward: &str,
) -> Result<Response, SignInError> {
    let (signed_in, left) = sessions::sign_in(session, state, user_id, acr, amr).await?;
    sessions::devices::note(state, signed_in.sid, page.user_agent()).await;
    let alone = !amr.contains(&AMR_MFA) && matches!(second, Second::None);
    let why = match holds(state, page, &signed_in, alone, proof, second).await {
        Ok(Some(tokens)) => {
            let onward = by_way_of(state, user_id, onward).await?;
            let mut response = logout::onward(state, page, &left, &onward);
            page.remember(&mut response, &page.known().with(&state.platform, user_id));
            if let Some(tokens) = tokens {
                set_remembered(state, &mut response, &tokens);
            }
            return Ok(response);
        }
        Ok(None) => SignInError::Refused,
        Err(error) => SignInError::Db(error),
    };
    // Where it can't be ended, the answer is an error that hands out no cookie of it.
    sessions::sign_out(session, state).await?;
    Err(why)
}

/// Where it goes on: to a question first, where there is one. Whether to keep an account that is about to be deleted; or
/// whether terms are agreed to, which an app's request asks by itself.
async fn by_way_of(state: &AppState, user: UserId, onward: &str) -> Result<String, DbError> {
    let page = if planned(state, user).await? {
        account::KEEP
    } else if request_in(onward).is_none() && terms_of::are_wanted(state, user).await? {
        terms::PATH
    } else {
        return Ok(onward.to_owned());
    };
    let onward = form_urlencoded::Serializer::new(String::new()).append_pair("onward", onward).finish();
    Ok(format!("{page}?{onward}"))
}

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

/// Is all that was shown still the account's? `None` when it is not; else what the browser is to hold if it is remembered
/// from now on.
async fn holds(
    state: &AppState,
    page: &Page,
    signed_in: &SignedIn,
    alone: bool,
    proof: Proof<'_>,
    second: Second,
) -> Result<Option<Option<Tokens>>, DbError> {
    let (platform, user) = (&state.platform, signed_in.user_id);
    let mut tx = platform.db.begin().await?;
    // Set up while the first factor was shown.
    if alone && factors::has_second(&mut tx, user).await? {
        return Ok(None);
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
    if !holds {
        return Ok(None);
    }
    // Both at once: neither the mailbox alone nor who replaced the password by it comes to this.
    if matches!((proof, &second), (Proof::Password(_), Second::Code { .. })) {
        mailed::allow_again(&mut tx, user).await?;
    }
    let tokens = match second {
        Second::None | Second::Code { remember: false } | Second::Mailed => None,
        // A session that was ended from elsewhere at this moment leaves nothing behind.
        Second::Code { remember: true } if !sessions::hold(&mut tx, platform, signed_in.sid).await? => None,
        Second::Code { remember: true } => {
            remembered::remember(&mut tx, platform, page.remembered(), user, page.user_agent()).await?
        }
        Second::Remembered(token) => {
            if !remembered::still(&mut tx, platform, &token, user).await? {
                return Ok(None);
            }
            None
        }
    };
    tx.commit().await?;
    state.outside.wake();
    Ok(Some(tokens))
}

/// The key of the sign-in that waits in this browser.
pub fn presented_key(state: &AppState, headers: &HeaderMap) -> Option<PlainToken> {
    cookie_value(headers, &cookie_name(state, "signin")).map(PlainToken::presented)
}

/// Gives the browser the key of a sign-in that waits, or takes it away.
pub fn set_key(state: &AppState, response: &mut Response, key: Option<&PlainToken>) {
    let life = key.map_or(0, |_| unfinished::LIFETIME.num_seconds());
    set_cookie(state, response, "signin", key.map_or("", PlainToken::reveal), life);
}

/// Gives the browser what it is remembered by. What has expired in it goes with the cookie.
fn set_remembered(state: &AppState, response: &mut Response, tokens: &Tokens) {
    let life = remembered::lifetime(&state.platform).map_or(0, |life| life.num_seconds());
    set_cookie(state, response, "remembered", &tokens.cookie(), life);
}

fn set_cookie(state: &AppState, response: &mut Response, what: &str, value: &str, life: i64) {
    let cookie = Cookie::build((cookie_name(state, what), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.platform.config.auth.public_url.is_https())
        .max_age(cookie::time::Duration::seconds(life));
    if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
