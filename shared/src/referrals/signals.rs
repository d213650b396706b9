//! What speaks against a referral: signs that who invited and who was invited are one person, or nobody. A signal is a
//! reason to look, not a verdict; which of them reject at once is the programme's rule.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use utoipa::ToSchema;

use super::life::{self, Actor, Status};
use super::trace::Trace;
use crate::db::{DbError, Tx};
use crate::ids::{ReferralId, UserId};
use crate::platform::Platform;
use crate::{audit, execute, fetch_all, fetch_one, fetch_optional, users};

/// A kind of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The referrer invited the same mailbox before, under another spelling: tags, dots and names of the provider folded.
    SameMailbox,
    /// A provider of throw-away addresses.
    DisposableDomain,
    /// Another account was opened in this browser lately.
    SameDevice,
    /// Many sign-ups by the referrer's codes from one network address in a day.
    AddressVelocity,
    /// The person stands above the referrer in the chain of who invited whom, with another account of theirs.
    Cycle,
    /// The address takes no mail, or is a throw-away one, says a service that was asked.
    UndeliverableEmail,
    /// The address was proved by somebody who may be another than who signed up: by a forgotten password, or a sign-up of
    /// their own.
    TakenOver,
}

impl Signal {
    /// Its name in the tables, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameMailbox => "same_mailbox",
            Self::DisposableDomain => "disposable_domain",
            Self::SameDevice => "same_device",
            Self::AddressVelocity => "address_velocity",
            Self::Cycle => "cycle",
            Self::UndeliverableEmail => "undeliverable_email",
            Self::TakenOver => "taken_over",
        }
    }
}

/// How far up the chain of referrers is looked.
const GENERATIONS: usize = 16;

/// A sign-up by a code, as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    pub referrer: UserId,
    pub user: UserId,
    pub canonical_email: &'a str,
    pub trace: &'a Trace,
}

/// What speaks against a sign-up that is about to become a referral. It only reads, so that it can come before the row of
/// the code is locked.
pub async fn examine(
    tx: &mut Tx,
    platform: &Platform,
    newcomer: Newcomer<'_>,
) -> Result<Vec<(Signal, Value)>, DbError> {
    let Newcomer { referrer, user, canonical_email, trace } = newcomer;
    let mut found = vec![];
    let before: (i64,) = fetch_one!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM referrals \
         WHERE referrer_id = $3 AND mailbox_hash = $1 AND (referral_user_id IS NULL OR referral_user_id <> $2)",
        mailbox(platform, canonical_email),
        user,
        referrer
    )?;
    if before.0 > 0 {
        found.push((Signal::SameMailbox, json!({ "accounts": before.0 })));
    }
    let domain = canonical_email.rsplit_once('@').map_or("", |(_, domain)| domain);
    if is_disposable(domain) {
        found.push((Signal::DisposableDomain, json!({})));
    }
    let now = platform.clock.now();
    if let Some(device) = &trace.device_hash {
        let others: (i64,) = fetch_one!(
            tx,
            (i64,),
            "SELECT COUNT(*) FROM (SELECT user_id FROM signup_traces \
             WHERE device_hash = $1 AND user_id <> $2 AND expires_at > $3 LIMIT 100) t",
            device.as_slice(),
            user,
            now
        )?;
        if others.0 > 0 {
            found.push((Signal::SameDevice, json!({ "accounts": others.0 })));
        }
    }
    if let Some(address) = &trace.address_hash {
        let max = i64::try_from(platform.config.programme.address_velocity).unwrap_or(i64::MAX);
        let others: (i64,) = fetch_one!(
            tx,
            (i64,),
            "SELECT COUNT(*) FROM signup_traces t JOIN referrals r ON r.referral_user_id = t.user_id \
             WHERE t.address_hash = $1 AND t.user_id <> $2 AND t.created_at > $3 AND r.referrer_id = $4 \
               AND r.status NOT IN ('pending', 'rejected', 'expired')",
            address.as_slice(),
            user,
            now - TimeDelta::days(1),
            referrer
        )?;
        if others.0 >= max {
            found.push((Signal::AddressVelocity, json!({ "sign_ups": others.0 + 1 })));
        }
    }
    if let Some(generations) = generations_to(tx, referrer, canonical_email, trace).await? {
        found.push((Signal::Cycle, json!({ "generations": generations })));
    }
    Ok(found)
}

/// A mailbox as it is remembered with a referral: a keyed hash of the canonical address.
pub(super) fn mailbox(platform: &Platform, canonical_email: &str) -> Vec<u8> {
    platform.master_key.mac("referral-mailbox", canonical_email.as_bytes()).to_vec()
}

/// Looks again at the referral of somebody whose address was just proved or changed: what was not there to be seen at the
/// sign-up may be by now, and the address may be another.
pub(super) async fn examine_again(tx: &mut Tx, platform: &Platform, row: &life::Row) -> Result<(), DbError> {
    let Some(user) = row.referral_user_id else { return Ok(()) };
    let Some(person) = users::by_id(tx, user).await? else { return Ok(()) };
    let trace =
        fetch_optional!(tx, Trace, "SELECT address_hash, device_hash FROM signup_traces WHERE user_id = $1", user)?;
    let trace = trace.unwrap_or_default();
    let canonical_email = person.email_canonical.as_str();
    let mut found =
        examine(tx, platform, Newcomer { referrer: row.referrer_id, user, canonical_email, trace: &trace }).await?;
    let referrer = users::by_id(tx, row.referrer_id).await?;
    if referrer.is_some_and(|referrer| referrer.email_canonical == canonical_email) {
        found.push((Signal::Cycle, json!({ "generations": 0 })));
    }
    raise(tx, platform, row.id, &found).await
}

/// How many generations above `referrer` somebody has the newcomer's mailbox or browser; `None` when nobody has, as far as
/// is looked.
async fn generations_to(
    tx: &mut Tx,
    referrer: UserId,
    canonical_email: &str,
    trace: &Trace,
) -> Result<Option<usize>, DbError> {
    let mut child = referrer;
    for generation in 1..=GENERATIONS {
        let above: Option<(UserId, String, Option<Vec<u8>>)> = fetch_optional!(
            tx,
            (UserId, String, Option<Vec<u8>>),
            "SELECT u.id, u.email_canonical, t.device_hash FROM referrals r JOIN users u ON u.id = r.referrer_id \
             LEFT JOIN signup_traces t ON t.user_id = u.id WHERE r.referral_user_id = $1",
            child
        )?;
        let Some((parent, canonical, device)) = above else { return Ok(None) };
        if canonical == canonical_email || (device.is_some() && device == trace.device_hash) {
            return Ok(Some(generation));
        }
        child = parent;
    }
    Ok(None)
}

/// Puts signals down, has somebody look at the referral, or rejects it where the programme says so.
pub async fn raise(
    tx: &mut Tx,
    platform: &Platform,
    referral: ReferralId,
    signals: &[(Signal, Value)],
) -> Result<(), DbError> {
    let mut news = vec![];
    for (signal, details) in signals {
        let added = execute!(
            tx,
            "INSERT INTO referral_signals (referral_id, signal, details, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (referral_id, signal) DO NOTHING",
            referral,
            signal.as_str(),
            Json(details),
            platform.clock.now()
        )?;
        if added > 0 {
            news.push(*signal);
        }
    }
    if news.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = news.iter().map(|signal| signal.as_str()).collect();
    // What somebody has cleared, they cleared of the signals of then.
    let opened = execute!(
        tx,
        "UPDATE referrals SET review = 'open', updated_at = $2 WHERE id = $1 AND review <> 'open' \
         AND status IN ('pending', 'verified', 'qualified', 'rewarded')",
        referral,
        platform.clock.now()
    )?;
    audit::record(tx, platform, "referral.flagged", None, None, json!({ "referral": referral, "signals": names }))
        .await?;
    if opened > 0 {
        life::publish(tx, platform, referral, "referral.flagged", None, &names.join(", ")).await?;
    }
    if let Some(signal) = news.iter().find(|signal| platform.config.programme.reject_on.contains(signal)) {
        let reason = format!("the rules of the programme reject it for {}", signal.as_str());
        // One that is rewarded already, or closed, stays what it is: that is for somebody to decide.
        let _ = life::transition(tx, platform, referral, Status::Rejected, &reason, &Actor::Rule).await?;
    }
    Ok(())
}

/// What a service that was asked says about the address of an account (`invalid`, `disposable`, or anything better).
/// Call it in the transaction that stores the answer.
pub async fn email_verdict(tx: &mut Tx, platform: &Platform, user: UserId, status: &str) -> Result<(), DbError> {
    if !matches!(status, "invalid" | "disposable") {
        return Ok(());
    }
    let found: Option<(ReferralId,)> =
        fetch_optional!(tx, (ReferralId,), "SELECT id FROM referrals WHERE referral_user_id = $1", user)?;
    let Some((referral,)) = found else { return Ok(()) };
    raise(tx, platform, referral, &[(Signal::UndeliverableEmail, json!({ "status": status }))]).await
}

/// A signal as it was put down.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SignalRow {
    pub signal: String,
    pub details: Json<Value>,
    pub created_at: chrono::DateTime<chrono::Utc>,
}

/// The signals of a referral, the first first.
pub async fn of(conn: &mut crate::db::Conn, referral: ReferralId) -> Result<Vec<SignalRow>, DbError> {
    fetch_all!(
        conn,
        SignalRow,
        "SELECT signal, details, created_at FROM referral_signals WHERE referral_id = $1 ORDER BY created_at, signal",
        referral
    )
}

/// Is this a domain of throw-away addresses? By the list of `mailchecker`, which is kept up by those who see them; the
/// subdomains of a provider are the provider's.
pub fn is_disposable(domain: &str) -> bool {
    // The list is asked by whole addresses, and the domain is a valid one by now.
    !mailchecker::is_valid(&format!("somebody@{domain}"))
}
