//! «Never send me invitations again»: links that need no account and no stored token, and the list of those who
//! followed one. The list holds keyed hashes; the addresses themselves are not kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::{Platform, execute, fetch_optional};

const HASH_PURPOSE: &str = "mail-objection";
const LINK_PURPOSE: &str = "mail-objection-link";
const HASH_LENGTH: usize = 32;

/// A keyed hash of a mailbox ([`Email::canonical`]): who objects as `ann@…` is not reached as `ann+1@…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailHash(Vec<u8>);

/// What the list holds for this address.
pub fn hash(platform: &Platform, email: &Email) -> EmailHash {
    EmailHash(platform.master_key.mac(HASH_PURPOSE, email.canonical.as_bytes()))
}

/// The link for the mail's text and for `List-Unsubscribe` (RFC 8058): a GET of it may only ask, a POST objects. It
/// does not expire, names nobody and needs no storage: hash and MAC, base64url.
pub fn link(platform: &Platform, email: &Email) -> String {
    let EmailHash(hash) = hash(platform, email);
    let mac = platform.master_key.mac(LINK_PURPOSE, &hash);
    let token = URL_SAFE_NO_PAD.encode([hash, mac].concat());
    format!("{}?token={token}", platform.config.auth.public_url.join("/unsubscribe"))
}

/// Reads the token of a [`link`]. `None` when it is none of ours.
pub fn verify(platform: &Platform, token: &str) -> Option<EmailHash> {
    // A whole token has 86 characters: do not decode a book.
    let bytes = URL_SAFE_NO_PAD.decode(token.get(..128).unwrap_or(token)).ok()?;
    let (hash, mac) = bytes.split_at_checked(HASH_LENGTH)?;
    platform.master_key.verify_mac(LINK_PURPOSE, hash, mac).then(|| EmailHash(hash.to_vec()))
}

/// Puts an address on the list. Doing it twice changes nothing.
pub async fn object(tx: &mut Tx, platform: &Platform, hash: &EmailHash) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO mail_objections (email_hash, created_at) VALUES ($1, $2) ON CONFLICT (email_hash) DO NOTHING",
        hash.0.as_slice(),
        platform.clock.now()
    )?;
    Ok(())
}

/// Is this address on the list?
pub async fn has_objected(conn: &mut Conn, hash: &EmailHash) -> Result<bool, DbError> {
    let row: Option<(i64,)> = fetch_optional!(
        conn,
        (i64,),
        "SELECT CAST(1 AS BIGINT) FROM mail_objections WHERE email_hash = $1",
        hash.0.as_slice()
    )?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use shared::testing::each_store;

    use super::*;

    #[tokio::test]
    async fn a_link_names_one_address_can_not_be_forged_and_is_remembered_once() {
        each_store(|platform| async move {
            let email = Email::parse("Ann@Example.com").unwrap();
            let link = link(&platform, &email);
            assert!(!link.to_lowercase().contains("example.com/"), "{link}");
            let token = link.split_once("token=").unwrap().1;
            let hash = verify(&platform, token).unwrap();
            assert_eq!(hash, super::hash(&platform, &Email::parse("ann@example.com").unwrap()));

            for forged in
                ["", "AAAA", &token[..85], &token.replace(&token[..2], "zz"), &"A".repeat(86), &"A".repeat(5000)]
            {
                assert_eq!(verify(&platform, forged), None, "{forged}");
            }

            for _ in 0..2 {
                let mut tx = platform.db.begin().await.unwrap();
                object(&mut tx, &platform, &hash).await.unwrap();
                tx.commit().await.unwrap();
            }
            let mut conn = platform.db.read().await.unwrap();
            assert!(has_objected(&mut conn, &hash).await.unwrap());
            // The same mailbox by other names.
            let alias = super::hash(&platform, &Email::parse("ann+again@example.com").unwrap());
            assert!(has_objected(&mut conn, &alias).await.unwrap());
            let other = super::hash(&platform, &Email::parse("bob@example.com").unwrap());
            assert!(!has_objected(&mut conn, &other).await.unwrap());
        })
        .await;
    }
}
