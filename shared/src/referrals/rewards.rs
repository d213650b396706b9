//! The ledger: what referrals earned, in whole smallest units of a currency. Entries are appended and never changed, what
//! is taken back is an entry of its own, and the sums stand beside them, written in the same transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::life::Row;
use crate::config::Side;
use crate::db::{Conn, DbError, Tx};
use crate::ids::{ReferralId, UserId};
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_one, fetch_optional, webhooks};

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    pub id: Uuid,
    pub referral_id: Option<ReferralId>,
    pub user_id: Option<UserId>,
    pub side: String,
    pub rule: String,
    pub currency: String,
    /// Below zero: taken back.
    pub amount: i64,
    pub reverses: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// What somebody has been credited in a currency, less what was taken back.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Balance {
    pub currency: String,
    pub amount: i64,
}

/// Credits what the rules give for a referral that has just become rewarded.
pub(super) async fn credit(tx: &mut Tx, platform: &Platform, referral: &Row) -> Result<(), DbError> {
    let nth = take_place(tx, referral).await?;
    for rule in platform.config.programme.rewards.iter().filter(|rule| rule.covers(nth)) {
        let beneficiary = match rule.to {
            Side::Referrer => Some(referral.referrer_id),
            Side::Referral => referral.referral_user_id,
        };
        // Nobody is left to be credited.
        let Some(user) = beneficiary else { continue };
        let amount = within_cap(tx, user, &rule.currency, &rule.name, rule.amount, rule.cap).await?;
        if amount <= 0 {
            continue;
        }
        let entry = Entry {
            id: platform.random.uuid_v7(&platform.clock),
            referral_id: Some(referral.id),
            user_id: Some(user),
            side: rule.to.as_str().into(),
            rule: rule.name.clone(),
            currency: rule.currency.clone(),
            amount,
            reverses: None,
            created_at: platform.clock.now(),
        };
        append(tx, platform, &entry).await?;
        execute!(
            tx,
            "UPDATE reward_balances SET credited = credited + $4 WHERE user_id = $1 AND currency = $2 AND rule = $3",
            user,
            &entry.currency,
            &entry.rule,
            amount
        )?;
    }
    Ok(())
}

/// Which of the referrer's rewarded referrals it is: the first place that a reversal left free, else the next. The row of the
/// count comes first: of two referrals rewarded at once, the second waits. A place that is free again is taken as it is, so
/// that what it is worth (a bonus for the tenth, say) is never credited for two referrals.
async fn take_place(tx: &mut Tx, referral: &Row) -> Result<i64, DbError> {
    let (given,): (i64,) = fetch_one!(
        tx,
        (i64,),
        "INSERT INTO reward_counts (user_id, places) VALUES ($1, 0) \
         ON CONFLICT (user_id) DO UPDATE SET places = reward_counts.places RETURNING places",
        referral.referrer_id
    )?;
    let free: Option<(i64,)> = fetch_optional!(
        tx,
        (i64,),
        "DELETE FROM reward_free_places WHERE user_id = $1 AND place = \
         (SELECT MIN(place) FROM reward_free_places WHERE user_id = $1) RETURNING place",
        referral.referrer_id
    )?;
    let place = match free {
        Some((place,)) => place,
        None => {
            let next = given + 1;
            execute!(tx, "UPDATE reward_counts SET places = $2 WHERE user_id = $1", referral.referrer_id, next)?;
            next
        }
    };
    execute!(tx, "UPDATE referrals SET reward_place = $2 WHERE id = $1", referral.id, place)?;
    Ok(place)
}

/// How much of `amount` the cap leaves. The row of the balance is made and held, so that what is read stays true.
async fn within_cap(
    tx: &mut Tx,
    user: UserId,
    currency: &str,
    rule: &str,
    amount: i64,
    cap: Option<i64>,
) -> Result<i64, DbError> {
    let (net,): (i64,) = fetch_one!(
        tx,
        (i64,),
        "INSERT INTO reward_balances (user_id, currency, rule, credited, reversed) VALUES ($1, $2, $3, 0, 0) \
         ON CONFLICT (user_id, currency, rule) DO UPDATE SET credited = reward_balances.credited \
         RETURNING credited - reversed",
        user,
        currency,
        rule
    )?;
    Ok(cap.map_or(amount, |cap| amount.min(cap - net)))
}

/// Takes back everything that was credited for a referral that has just become reversed.
pub(super) async fn reverse(tx: &mut Tx, platform: &Platform, referral: &Row) -> Result<(), DbError> {
    // The count is held as it is held for a reward: whoever takes a place sees this one free, or not yet.
    execute!(tx, "UPDATE reward_counts SET places = places WHERE user_id = $1", referral.referrer_id)?;
    execute!(
        tx,
        "INSERT INTO reward_free_places (user_id, place) \
         SELECT referrer_id, reward_place FROM referrals WHERE id = $1 AND reward_place IS NOT NULL",
        referral.id
    )?;
    execute!(tx, "UPDATE referrals SET reward_place = NULL WHERE id = $1", referral.id)?;
    let credits = fetch_all!(
        tx,
        Entry,
        "SELECT id, referral_id, user_id, side, rule, currency, amount, reverses, created_at FROM reward_entries \
         WHERE referral_id = $1 AND reverses IS NULL ORDER BY rule",
        referral.id
    )?;
    for credit in credits {
        let back = Entry {
            id: platform.random.uuid_v7(&platform.clock),
            amount: -credit.amount,
            reverses: Some(credit.id),
            created_at: platform.clock.now(),
            ..credit
        };
        append(tx, platform, &back).await?;
        let Some(user) = back.user_id else { continue };
        execute!(
            tx,
            "UPDATE reward_balances SET reversed = reversed + $4 WHERE user_id = $1 AND currency = $2 AND rule = $3",
            user,
            &back.currency,
            &back.rule,
            -back.amount
        )?;
    }
    Ok(())
}

async fn append(tx: &mut Tx, platform: &Platform, entry: &Entry) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO reward_entries (id, referral_id, user_id, side, rule, currency, amount, reverses, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        entry.id,
        entry.referral_id,
        entry.user_id,
        &entry.side,
        &entry.rule,
        &entry.currency,
        entry.amount,
        entry.reverses,
        entry.created_at
    )?;
    let kind = if entry.reverses.is_none() { "reward.credited" } else { "reward.reversed" };
    webhooks::publish(
        tx,
        platform,
        kind,
        &json!({
            "id": entry.id,
            "referral_id": entry.referral_id,
            "user_id": entry.user_id,
            "side": entry.side,
            "rule": entry.rule,
            "currency": entry.currency,
            "amount": entry.amount,
            "reverses": entry.reverses,
            "created_at": entry.created_at,
        }),
    )
    .await
}

/// What somebody has, by currency.
pub async fn balances(conn: &mut Conn, user: UserId) -> Result<Vec<Balance>, DbError> {
    fetch_all!(
        conn,
        Balance,
        "SELECT currency, CAST(SUM(credited - reversed) AS BIGINT) AS amount FROM reward_balances WHERE user_id = $1 \
         GROUP BY currency ORDER BY currency",
        user
    )
}

/// Somebody's entries, newest first, below the id `before`.
pub async fn page_of(conn: &mut Conn, user: UserId, before: Option<Uuid>, limit: i64) -> Result<Vec<Entry>, DbError> {
    fetch_all!(
        conn,
        Entry,
        "SELECT id, referral_id, user_id, side, rule, currency, amount, reverses, created_at FROM reward_entries \
         WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        user,
        before.unwrap_or(Uuid::max()),
        limit
    )
}

/// Does the ledger add up? The sums beside the entries against the entries themselves, for one person.
pub async fn is_balanced(conn: &mut Conn, user: UserId) -> Result<bool, DbError> {
    let off: Option<(i64,)> = fetch_optional!(
        conn,
        (i64,),
        "SELECT CAST(1 AS BIGINT) FROM reward_balances b WHERE b.user_id = $1 AND b.credited - b.reversed <> \
         (SELECT CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM reward_entries e \
          WHERE e.user_id = b.user_id AND e.currency = b.currency AND e.rule = b.rule)",
        user
    )?;
    Ok(off.is_none())
}
