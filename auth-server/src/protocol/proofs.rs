//! Assertions and proofs that serve once: each `jti` is written down until it would have expired (RFC 7523 §3 rule 7,
//! RFC 9449 §11.1), in the one transaction of the request that it came with.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::{execute, fetch_optional};

use super::error::OAuthError;

/// A proof that a request was accepted with, provided it was not used before.
#[derive(Clone, Debug)]
pub struct UsedProof {
    id_hash: Vec<u8>,
    until: DateTime<Utc>,
    /// What a second use is answered with.
    refusal: OAuthError,
}

impl UsedProof {
    /// `kind` and `issuer` keep ids of different origins apart. `until` is when the proof expires by itself.
    pub fn new(kind: &str, issuer: &str, jti: &str, until: DateTime<Utc>, refusal: OAuthError) -> Self {
        let mut hash = Sha256::new();
        for part in [kind, issuer, jti] {
            // With its length, so that no two triples read alike.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self { id_hash: hash.finalize().to_vec(), until, refusal }
    }
}

/// Writes the proofs down in the caller's transaction.
///
/// # Errors
/// The proof's own refusal when one of them was used before; the transaction is then to be dropped.
pub async fn consume(tx: &mut Tx, proofs: &[UsedProof]) -> Result<(), OAuthError> {
    for proof in proofs {
        let first = execute!(
            tx,
            "INSERT INTO used_proofs (id_hash, expires_at) VALUES ($1, $2) ON CONFLICT (id_hash) DO NOTHING",
            &proof.id_hash,
            proof.until
        )?;
        if first == 0 {
            return Err(proof.refusal.clone());
        }
    }
    Ok(())
}

/// The same in a transaction of its own, for requests that need none otherwise.
pub async fn consume_alone(platform: &Platform, proofs: &[UsedProof]) -> Result<(), OAuthError> {
    if proofs.is_empty() {
        return Ok(());
    }
    Box::pin(async {
        let mut tx = platform.db.begin().await?;
        consume(&mut tx, proofs).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Writes down what a failed request showed, whose own transaction was dropped: what a client signed has been seen on the
/// wire, and serves no second time whatever came of the first. DPoP proofs are left out: strangers can make them at will,
/// and each would cost a row. They are written down with what they served for.
pub async fn spend(platform: &Platform, proofs: &[UsedProof]) -> Result<(), DbError> {
    // Most are written down already: the request was committed although it was refused (a device's question), or
    // this is the second use that it was refused for.
    let mut unspent = vec![];
    if !proofs.is_empty() {
        let mut conn = platform.db.read().await?;
        for proof in proofs {
            let sql = "SELECT expires_at FROM used_proofs WHERE id_hash = $1";
            let spent: Option<(DateTime<Utc>,)> = fetch_optional!(&mut conn, (DateTime<Utc>,), sql, &proof.id_hash)?;
            if spent.is_none() {
                unspent.push(proof);
            }
        }
    }
    if unspent.is_empty() {
        return Ok(());
    }
    let mut tx = platform.db.begin().await?;
    for proof in unspent {
        execute!(
            &mut tx,
            "INSERT INTO used_proofs (id_hash, expires_at) VALUES ($1, $2) ON CONFLICT (id_hash) DO NOTHING",
            &proof.id_hash,
            proof.until
        )?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use shared::testing::each_store;

    #[tokio::test]
    async fn of_many_that_show_one_proof_exactly_one_is_served__rfc7523_3() {
        each_store(|platform| async move {
            let until = platform.clock.now() + TimeDelta::seconds(60);
            let proof = |issuer: &str, jti: &str| {
                UsedProof::new("client_assertion", issuer, jti, until, OAuthError::invalid_client(false))
            };
            let tries = (0..20).map(|_| async { consume_alone(&platform, &[proof("a", "b")]).await });
            let tries = futures::future::join_all(tries.collect::<Vec<_>>()).await;
            assert_eq!(tries.iter().filter(|t| t.is_ok()).count(), 1);
            // Ids are the issuer's own, and do not run into each other.
            for (issuer, jti) in [("b", "b"), ("ab", ""), ("", "ab")] {
                consume_alone(&platform, &[proof(issuer, jti)]).await.unwrap();
            }
        })
        .await;
    }
}
