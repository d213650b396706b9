//! Subject identifiers (OpenID Connect Core §8): a user's id, or a pairwise one that means that user to the clients of
//! one sector and nobody else.
//!
//! A pairwise `sub` is a keyed hash, so it is known without a look-up when a token is made; who it means is a row, since
//! a hash can't be turned back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::db::{Conn, DbError, Tx};
use crate::ids::UserId;
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_optional};

/// The `sub` by which the clients of `sector` (a host name) know `user`: 43 characters of base64url, never a UUID.
pub fn pairwise(platform: &Platform, sector: &str, user: UserId) -> String {
    let mut message = user.0.as_bytes().to_vec();
    message.extend_from_slice(sector.as_bytes());
    URL_SAFE_NO_PAD.encode(platform.master_key.mac("pairwise-subject", &message))
}

/// Notes who a pairwise `sub` means, in the transaction that first hands it out.
pub async fn remember(tx: &mut Tx, platform: &Platform, sector: &str, user: UserId) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO pairwise_subjects (sub, sector, user_id, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (sub) DO NOTHING",
        pairwise(platform, sector, user),
        sector,
        user,
        platform.clock.now()
    )?;
    Ok(())
}

/// Every `sub` that means `user`: what to list when the account's tokens are to end.
pub async fn all_of(conn: &mut Conn, user: UserId) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> =
        fetch_all!(conn, (String,), "SELECT sub FROM pairwise_subjects WHERE user_id = $1", user)?;
    Ok(std::iter::once(user.to_string()).chain(rows.into_iter().map(|(sub,)| sub)).collect())
}

/// Whom a `sub` means: read off a user's id, looked up otherwise.
pub async fn resolve(conn: &mut Conn, sub: &str) -> Result<Option<UserId>, DbError> {
    if let Ok(user) = sub.parse() {
        return Ok(Some(user));
    }
    let row: Option<(UserId,)> =
        fetch_optional!(conn, (UserId,), "SELECT user_id FROM pairwise_subjects WHERE sub = $1", sub)?;
    Ok(row.map(|(user,)| user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each_store;
    use crate::users::{self, NewUser};

    #[tokio::test]
    async fn a_pairwise_subject_differs_by_sector_and_leads_back_to_its_user__oidc_core_8_1() {
        each_store(|platform| async move {
            let id = UserId::new(&platform.random, &platform.clock);
            let email = crate::email::Email::parse("ann@example.com").unwrap();
            let mut tx = platform.db.begin().await.unwrap();
            let user =
                NewUser { id, email, email_verified_at: None, given_name: None, family_name: None, locale: None };
            users::insert(&mut tx, &user, platform.clock.now()).await.unwrap();
            let [a, b] = ["a.example", "b.example"].map(|sector| pairwise(&platform, sector, id));
            assert_ne!(a, b);
            assert!(a.parse::<UserId>().is_err());
            assert_eq!(resolve(&mut tx, &a).await.unwrap(), None);
            for _ in 0..2 {
                remember(&mut tx, &platform, "a.example", id).await.unwrap();
            }
            assert_eq!(resolve(&mut tx, &a).await.unwrap(), Some(id));
            assert_eq!(all_of(&mut tx, id).await.unwrap(), [id.to_string(), a]);
            assert_eq!(resolve(&mut tx, &b).await.unwrap(), None);
            assert_eq!(resolve(&mut tx, &id.to_string()).await.unwrap(), Some(id));
            tx.commit().await.unwrap();
        })
        .await;
    }
}
