//! One code for another: the old one ends and the new one begins in one transaction, so that a person is never without a
//! code for others to sign up with, and never has two.

use chrono::{DateTime, Utc};

use super::code::{CodeKey, ReferralCode};
use super::store::{self, CodeRow};
use crate::db::{DbError, Tx};
use crate::ids::UserId;
use crate::platform::Platform;

/// What came of it.
#[derive(Clone, Debug)]
pub enum Rotated {
    Done {
        old: Box<CodeRow>,
        new: Box<CodeRow>,
    },
    /// The person has no such code, or deleted it before: also when somebody was faster.
    NoSuchCode,
    /// It had expired, and another is active. The transaction must be dropped.
    AnotherActive,
}

/// Deletes the code that folds to `key` and makes `next`. A `next` that somebody has or had is
/// [`DbError::UniqueViolation`], after which the transaction must be dropped too.
pub async fn rotate(
    tx: &mut Tx,
    platform: &Platform,
    referrer: UserId,
    key: &CodeKey,
    next: &ReferralCode,
    expires_at: DateTime<Utc>,
    max_uses: Option<i64>,
) -> Result<Rotated, DbError> {
    let Some(old) = store::delete(tx, referrer, key, platform.clock.now()).await? else {
        return Ok(Rotated::NoSuchCode);
    };
    Ok(match store::create(tx, platform, referrer, next, expires_at, max_uses).await? {
        Some(new) => Rotated::Done { old: Box::new(old), new: Box::new(new) },
        None => Rotated::AnotherActive,
    })
}
