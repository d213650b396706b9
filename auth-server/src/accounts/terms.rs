//! The terms that people agree to, by the configuration: who agreed to which, and who is to be asked anew. Without
//! `accounts.terms_url` there are none, and nobody is asked.

use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::{Platform, fetch_optional};

use super::signup::record_terms;
use crate::AppState;

/// Terms to agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<'a> {
    pub url: &'a str,
    pub version: &'a str,
}

/// Those of today.
pub fn of_today(platform: &Platform) -> Option<Terms<'_>> {
    let accounts = &platform.config.accounts;
    let url = accounts.terms_url.as_ref()?.as_str();
    Some(Terms { url, version: &accounts.terms_version })
}

async fn agreed(conn: &mut Conn, user: UserId, version: &str) -> Result<bool, DbError> {
    let row: Option<(i64,)> = fetch_optional!(
        conn,
        (i64,),
        "SELECT CAST(1 AS BIGINT) FROM terms_agreements WHERE user_id = $1 AND version = $2",
        user,
        version
    )?;
    Ok(row.is_some())
}

/// Are there terms that this person has not agreed to?
pub async fn are_wanted(state: &AppState, user: UserId) -> Result<bool, DbError> {
    let Some(terms) = of_today(&state.platform) else { return Ok(false) };
    Ok(!agreed(&mut state.platform.db.read().await?, user, terms.version).await?)
}

/// The person agrees. `false` when it is not to those of today: they changed while the page was open.
pub async fn agree(tx: &mut Tx, platform: &Platform, user: UserId, version: &str) -> Result<bool, DbError> {
    if of_today(platform).is_none_or(|terms| terms.version != version) {
        return Ok(false);
    }
    // Twice, in two tabs, is written down once.
    if !agreed(tx, user, version).await? {
        record_terms(tx, platform, user, version, platform.clock.now()).await?;
    }
    Ok(true)
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
