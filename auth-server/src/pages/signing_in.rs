//! What every way of signing in ends with: a session, and the way on.

use axum::response::Response;
use shared::db::DbError;
use shared::ids::UserId;
use tower_sessions::Session;

use super::layout::Page;
use super::logout;
use crate::AppState;
use crate::accounts::known::notice_new_device;
use crate::accounts::signin::{SignInError, Verified, still_holds};
use crate::accounts::upstream::still_opens;
use crate::sessions;
use crate::upstream::Identity;

/// What a person has shown of themselves.
pub struct Shown<'a> {
    pub user_id: UserId,
    pub acr: &'a str,
    /// RFC 8176.
    pub amr: &'a [&'a str],
    /// The password that was among it.
    pub password: Option<&'a Verified>,
}

/// What must still be so once the session is written.
#[derive(Clone, Copy)]
enum Proof<'a> {
    Password(&'a Verified),
    Identity { provider: &'a str, identity: &'a Identity },
    None,
}

/// Signs the person in and leads them on to `onward`, a path of ours.
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
    let proof = shown.password.map_or(Proof::None, Proof::Password);
    end(state, page, session, shown, proof, onward).await
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
    end(state, page, session, shown, Proof::Identity { provider, identity }, onward).await
}

async fn end(
    state: &AppState,
    page: &Page,
    session: &Session,
    shown: &Shown<'_>,
    proof: Proof<'_>,
    onward: &str,
) -> Result<Response, SignInError> {
    let (_, left) = sessions::sign_in(session, state, shown.user_id, shown.acr, shown.amr).await?;
    let why = match holds(state, page, shown.user_id, proof).await {
        Ok(true) => {
            let mut response = logout::onward(state, page, &left, onward);
            page.remember(&mut response, &page.known().with(&state.platform, shown.user_id));
            return Ok(response);
        }
        Ok(false) => SignInError::Refused,
        Err(error) => SignInError::Db(error),
    };
    if let Err(error) = sessions::sign_out(session, state).await {
        tracing::warn!(%error, "a session that should not have begun is left");
    }
    Err(why)
}

async fn holds(state: &AppState, page: &Page, user: UserId, proof: Proof<'_>) -> Result<bool, DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    if !page.known().has(user) {
        notice_new_device(&mut tx, platform, user).await?;
    }
    let holds = match proof {
        Proof::Password(verified) => still_holds(&mut tx, platform, verified).await?,
        Proof::Identity { provider, identity } => still_opens(&mut tx, platform, provider, identity, user).await?,
        Proof::None => true,
    };
    if holds {
        tx.commit().await?;
        state.outside.wake();
    }
    Ok(holds)
}
