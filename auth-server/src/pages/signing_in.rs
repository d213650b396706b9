//! What every way of signing in ends with: a session, and the way on.

use axum::response::Response;
use shared::db::DbError;
use shared::ids::UserId;
use tower_sessions::Session;

use super::layout::Page;
use super::logout;
use crate::AppState;
use crate::accounts::signin::{SignInError, Verified, still_holds};
use crate::sessions;

/// What a person has shown of themselves.
pub struct Shown<'a> {
    pub user_id: UserId,
    pub acr: &'a str,
    /// RFC 8176.
    pub amr: &'a [&'a str],
    /// The password that was among it.
    pub password: Option<&'a Verified>,
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
    let (signed_in, left) = sessions::sign_in(session, state, shown.user_id, shown.acr, shown.amr).await?;
    sessions::devices::note(state, signed_in.sid, page.user_agent()).await;
    let why = match holds(state, shown).await {
        Ok(true) => return Ok(logout::onward(state, page, &left, onward)),
        Ok(false) => SignInError::Refused,
        Err(error) => SignInError::Db(error),
    };
    if let Err(error) = sessions::sign_out(session, state).await {
        tracing::warn!(%error, "a session that should not have begun is left");
    }
    Err(why)
}

async fn holds(state: &AppState, shown: &Shown<'_>) -> Result<bool, DbError> {
    let Some(verified) = shown.password else { return Ok(true) };
    let mut tx = state.platform.db.begin().await?;
    let holds = still_holds(&mut tx, &state.platform, verified).await?;
    tx.commit().await?;
    Ok(holds)
}
