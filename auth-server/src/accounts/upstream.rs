//! Identities at other providers as ways into an account: a sign-in there that is under way, whose an identity is, and how
//! it becomes somebody's.
//!
//! An identity is known by issuer and subject, never by its address: addresses change hands, and anybody may claim one. So
//! an address that an account has here leads to nothing but a page that asks for that account to be proved, once, by
//! signing in to it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::http::ClientIp;
use shared::ids::{SessionId, UpstreamProofId, UserId};
use shared::limits::Limited;
use shared::outbox::{self, Job, Notice};
use shared::referrals::cached;
use shared::referrals::code::CodeKey;
use shared::referrals::store::{Refusal, Source};
use shared::referrals::trace::Trace;
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::signup::{self, NewAccount, Outcome, SignUpError};
use super::verification::{self, ConfirmError, Confirmed, SignUp};
use super::ways_in::{self, WayIn};
use super::{notices, typed_code};
use crate::AppState;
use crate::sessions::{self, SignedIn, remembered};
use crate::upstream::{Identity, Secrets};

/// How long somebody may take at the provider.
const AT_THE_PROVIDER: TimeDelta = TimeDelta::minutes(30);
/// And then here, to prove an account or make one.
const AFTERWARDS: TimeDelta = TimeDelta::hours(1);

const PURPOSE: &str = "upstream-attempt";

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// A sign-in that came back from its provider.
pub struct Returned {
    pub id: Uuid,
    pub onward: String,
    /// Who adds a way in to their account, and in which session.
    pub adding: Option<(UserId, SessionId)>,
    pub secrets: Secrets,
}

/// An identity that waits for its person to say whose account it opens.
pub struct Waiting {
    pub id: Uuid,
    pub provider: String,
    pub onward: String,
    pub identity: Identity,
    pub returned_at: DateTime<Utc>,
}

/// Keeps a sign-in that begins, for the browser with this mark.
pub async fn begin(
    platform: &Platform,
    provider: &str,
    browser: &[u8],
    state: &str,
    secrets: &Secrets,
    onward: &str,
    adding: Option<&SignedIn>,
) -> Result<(), DbError> {
    let id = platform.random.uuid_v4();
    let plain = serde_json::to_vec(secrets).map_err(|error| DbError::Other(sqlx::Error::Encode(error.into())))?;
    let sealed = platform.master_key.seal(PURPOSE, id.as_bytes(), &plain, &platform.random);
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "INSERT INTO upstream_attempts (id, state_hash, browser_hash, provider, sealed, onward, user_id, sid, created_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id,
        digest(state),
        browser,
        provider,
        sealed,
        onward,
        adding.map(|signed_in| signed_in.user_id),
        adding.map(|signed_in| signed_in.sid),
        now,
        now + AT_THE_PROVIDER
    )?;
    tx.commit().await
}

fn digest(text: &str) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).to_vec()
}

/// Uses a `state` up: once, in the browser that it was given to, for the provider that it was made for.
pub async fn take_back(
    platform: &Platform,
    provider: &str,
    browser: &[u8],
    state: &str,
) -> Result<Option<Returned>, DbError> {
    let mut tx = platform.db.begin().await?;
    type Row = (Uuid, Vec<u8>, String, Option<UserId>, Option<SessionId>);
    let row: Option<Row> = fetch_optional!(
        &mut tx,
        (Uuid, Vec<u8>, String, Option<UserId>, Option<SessionId>),
        "UPDATE upstream_attempts SET returned_at = $4 \
         WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND returned_at IS NULL AND expires_at > $4 \
         RETURNING id, sealed, onward, user_id, sid",
        digest(state),
        browser,
        provider,
        platform.clock.now()
    )?;
    tx.commit().await?;
    let Some((id, sealed, onward, user, sid)) = row else { return Ok(None) };
    let opened = platform.master_key.open(PURPOSE, id.as_bytes(), &sealed).ok();
    let Some(secrets) = opened.and_then(|plain| serde_json::from_slice(&plain).ok()) else { return Ok(None) };
    Ok(Some(Returned { id, onward, adding: user.zip(sid), secrets }))
}

/// Keeps who it was, until the person has said more.
pub async fn keep(platform: &Platform, id: Uuid, identity: &Identity) -> Result<(), DbError> {
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "UPDATE upstream_attempts SET identity = $2, expires_at = $3 WHERE id = $1 AND returned_at IS NOT NULL",
        id,
        Json(identity),
        platform.clock.now() + AFTERWARDS
    )?;
    tx.commit().await
}

/// What waits under this id, in this browser.
pub async fn waiting(
    conn: &mut Conn,
    platform: &Platform,
    id: Uuid,
    browser: &[u8],
) -> Result<Option<Waiting>, DbError> {
    let row: Option<(String, String, Json<Identity>, DateTime<Utc>)> = fetch_optional!(
        conn,
        (String, String, Json<Identity>, DateTime<Utc>),
        "SELECT provider, onward, identity, returned_at FROM upstream_attempts \
         WHERE id = $1 AND browser_hash = $2 AND identity IS NOT NULL AND user_id IS NULL AND consumed_at IS NULL \
         AND expires_at > $3",
        id,
        browser,
        platform.clock.now()
    )?;
    Ok(row.map(|(provider, onward, Json(identity), returned_at)| Waiting {
        id,
        provider,
        onward,
        identity,
        returned_at,
    }))
}

async fn consume(tx: &mut Tx, platform: &Platform, id: Uuid) -> Result<bool, DbError> {
    let used = execute!(
        tx,
        "UPDATE upstream_attempts SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        id,
        platform.clock.now()
    )?;
    Ok(used == 1)
}

/// Whose this identity is.
pub async fn owner(conn: &mut Conn, identity: &Identity) -> Result<Option<UserId>, DbError> {
    let row: Option<(UserId,)> = fetch_optional!(
        conn,
        (UserId,),
        "SELECT user_id FROM upstream_identities WHERE issuer = $1 AND subject = $2",
        &identity.issuer,
        &identity.subject
    )?;
    Ok(row.map(|(user,)| user))
}

/// The account that has the identity's address here, where the provider vouches for it. Nobody else is told that there is
/// one.
pub async fn namesake(conn: &mut Conn, identity: &Identity) -> Result<Option<User>, DbError> {
    let email = identity.email.as_deref().filter(|_| identity.email_verified);
    match email.and_then(|email| Email::parse(email).ok()) {
        Some(email) => users::by_email(conn, &email.key).await,
        None => Ok(None),
    }
}

/// Whose account this identity opens, noting its use.
pub async fn signs_in(platform: &Platform, identity: &Identity) -> Result<Option<UserId>, DbError> {
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    let row: Option<(UserId,)> = fetch_optional!(
        &mut tx,
        (UserId,),
        "UPDATE upstream_identities SET last_used_at = $3, email = $4 WHERE issuer = $1 AND subject = $2 \
         RETURNING user_id",
        &identity.issuer,
        &identity.subject,
        now,
        identity.email.as_deref()
    )?;
    tx.commit().await?;
    Ok(row.map(|(user,)| user))
}

/// Is the identity, by which somebody has just been signed in, still theirs? Asked once the session is written: a hand-over
/// at the same moment either ends the session, or is noticed here.
pub async fn still_opens(
    tx: &mut Tx,
    platform: &Platform,
    provider: &str,
    identity: &Identity,
    user: UserId,
) -> Result<bool, DbError> {
    let same = execute!(
        tx,
        "UPDATE upstream_identities SET last_used_at = last_used_at WHERE issuer = $1 AND subject = $2 AND user_id = $3",
        &identity.issuer,
        &identity.subject,
        user
    )?;
    if same == 1 {
        let details = serde_json::json!({"via": "upstream", "provider": provider});
        audit::record(tx, platform, "signin.succeeded", Some(user), None, details).await?;
    }
    Ok(same == 1)
}

async fn insert(
    tx: &mut Tx,
    platform: &Platform,
    provider: &str,
    identity: &Identity,
    user: UserId,
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO upstream_identities (issuer, subject, user_id, email, created_at) VALUES ($1, $2, $3, $4, $5)",
        &identity.issuer,
        &identity.subject,
        user,
        identity.email.as_deref(),
        platform.clock.now()
    )?;
    notice_way_in(tx, platform, user, Notice::ProviderLinked, provider).await
}

/// An account got, or lost, a way in. The one place for what its owner is told of it.
async fn notice_way_in(
    tx: &mut Tx,
    platform: &Platform,
    user: UserId,
    what: Notice,
    provider: &str,
) -> Result<(), DbError> {
    remembered::forget_all(tx, platform, user).await?;
    let details = serde_json::json!({ "provider": provider });
    if what == Notice::ProviderLinked {
        audit::record(tx, platform, "upstream.linked", Some(user), None, details).await?;
    } else {
        audit::record(tx, platform, "upstream.unlinked", Some(user), None, details).await?;
    }
    notices::tell_of(tx, platform, user, what, Some(provider)).await
}

/// What came of linking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    Done,
    /// It opens somebody's account already; perhaps this one.
    Taken,
    /// Too late: used up, or the session has ended.
    Gone,
}

/// Makes an identity a way into the account of who is signed in: they proved both.
pub async fn link(
    platform: &Platform,
    id: Uuid,
    provider: &str,
    identity: &Identity,
    user: UserId,
    sid: SessionId,
) -> Result<Linked, DbError> {
    let mut tx = platform.db.begin().await?;
    if !sessions::hold(&mut tx, platform, sid).await? || !consume(&mut tx, platform, id).await? {
        return Ok(Linked::Gone);
    }
    match insert(&mut tx, platform, provider, identity, user).await {
        Ok(()) => {}
        Err(error) if error.is_unique_violation() => return Ok(Linked::Taken),
        Err(error) => return Err(error),
    }
    tx.commit().await?;
    Ok(Linked::Done)
}

/// What came of a sign-up by way of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedUp {
    Done(UserId),
    /// The address is to be proved by the code that was mailed there ([`prove`]).
    ToBeProved,
    /// The identity was used up, or opens an account by now.
    Gone,
}

/// A new person, whom a provider vouches for: the account, without a password, and the identity that opens it. What they
/// changed of the address is not vouched for. Where every address must be proved before there is an account, one that the
/// provider does not vouch for is proved by a code of our own; the answer is the same whether it is taken or not.
///
/// # Errors
/// As [`signup::sign_up`].
pub async fn sign_up(
    state: &AppState,
    waiting: &Waiting,
    account: NewAccount,
    ip: &ClientIp,
) -> Result<SignedUp, SignUpError> {
    use shared::config::{EmailVerification, SignUpPolicy};
    let platform = &state.platform;
    let config = &platform.config;
    platform.limits.check("signup", &ip.bucket(), config.limits.signups_per_minute, MINUTE).await?;
    if config.accounts.signup == SignUpPolicy::Off {
        return Err(SignUpError::Closed);
    }
    let mut checked = signup::check(platform, &account, None)?;
    let identity = &waiting.identity;
    let vouched = identity.email_verified
        && identity.email.as_deref().and_then(|email| Email::parse(email).ok()).is_some_and(|email| {
            // A namesake that shows another spelling is the same mailbox.
            email.key == checked.email.key
        });
    let mut conn = platform.db.read().await?;
    if let Some(refusal) = signup::refusal(&mut conn, platform, checked.code.as_ref()).await? {
        checked.let_go(platform, refusal)?;
    }
    if !vouched && config.accounts.email_verification == EmailVerification::Required {
        drop(conn);
        ask_for_proof(state, waiting, &checked, &account, ip).await?;
        return Ok(SignedUp::ToBeProved);
    }
    if users::by_email(&mut conn, &checked.email.key).await?.is_some() {
        return Err(SignUpError::TakenEmail);
    }
    drop(conn);
    let code = checked.code.clone();
    let may_mail = !vouched && signup::may_mail(platform, &checked.email).await;
    let verified_at = vouched.then(|| platform.clock.now());
    let mut tx = platform.db.begin().await?;
    let trace = signup::trace(&mut tx, platform, ip, account.device.as_deref()).await?;
    if !consume(&mut tx, platform, waiting.id).await? {
        return Ok(SignedUp::Gone);
    }
    let created = signup::create(&mut tx, state, checked, &trace, None, verified_at, may_mail).await?;
    let Outcome::Created { id, .. } = created else {
        return Ok(SignedUp::Gone);
    };
    match insert(&mut tx, platform, &waiting.provider, identity, id).await {
        Ok(()) => {}
        // Made in another tab a moment ago: signing in is all that is left to do.
        Err(error) if error.is_unique_violation() => return Ok(SignedUp::Gone),
        Err(error) => return Err(error.into()),
    }
    if vouched {
        audit::record(&mut tx, platform, "email.verified", Some(id), None, serde_json::json!({"by": waiting.provider}))
            .await?;
    }
    tx.commit().await?;
    if let Some(code) = code {
        let _ = cached::refresh(platform, &code).await;
    }
    state.outside.wake();
    Ok(SignedUp::Done(id))
}

/// What somebody typed who waits for the proof of their address.
#[derive(Debug, Serialize, Deserialize)]
struct Typed {
    email: String,
    given_name: Option<String>,
    family_name: Option<String>,
    locale: Option<String>,
    referral_code: Option<String>,
    #[serde(default)]
    referral_source: Source,
    #[serde(default)]
    trace: Trace,
    terms_version: Option<String>,
}

/// Distinguishes these codes from all others.
const PROOF: &str = "upstream-proof";

/// Puts a sign-up down and has a code mailed to its address: for the browser that the identity came back to, so that the
/// code is worth nothing to whoever is made to read it out by a page of somebody else's. The mailbox's owner, where the
/// address has an account, is told of that instead.
async fn ask_for_proof(
    state: &AppState,
    waiting: &Waiting,
    checked: &signup::Checked,
    account: &NewAccount,
    ip: &ClientIp,
) -> Result<(), SignUpError> {
    let platform = &state.platform;
    let may_mail = signup::may_mail(platform, &checked.email).await || signup::may_drip(platform, &checked.email).await;
    let now = platform.clock.now();
    let id = UpstreamProofId(platform.random.uuid_v4());
    let locale = checked.locale.clone().unwrap_or_else(|| "en".into());
    let mut tx = platform.db.begin().await?;
    let typed = Typed {
        email: checked.email.display.clone(),
        given_name: checked.given_name.clone(),
        family_name: checked.family_name.clone(),
        locale: checked.locale.clone(),
        referral_code: checked.code.as_ref().and(account.referral_code.clone()),
        referral_source: checked.source,
        trace: signup::trace(&mut tx, platform, ip, account.device.as_deref()).await?,
        terms_version: checked.terms.clone(),
    };
    let before = "UPDATE upstream_proofs SET consumed_at = $2 WHERE attempt_id = $1 AND consumed_at IS NULL";
    execute!(&mut tx, before, waiting.id, now)?;
    execute!(
        &mut tx,
        "INSERT INTO upstream_proofs (id, attempt_id, email_key, account, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        waiting.id,
        &checked.email.key,
        Json(&typed),
        now,
        now + AFTERWARDS
    )?;
    // A mail takes a minute: the identity waits anew from here.
    let anew = "UPDATE upstream_attempts SET expires_at = $2 WHERE id = $1 AND consumed_at IS NULL";
    execute!(&mut tx, anew, waiting.id, now + AFTERWARDS)?;
    let proof = Job::ProveUpstreamAddress { upstream_proof_id: id, locale: locale.clone() };
    match users::by_email(&mut tx, &checked.email.key).await? {
        _ if !may_mail => outbox::enqueue_nothing(&mut tx, platform, &proof, None).await?,
        Some(owner) if owner.email_verified_at.is_some() => {
            outbox::enqueue(&mut tx, platform, &Job::AlreadyRegistered { user_id: owner.id, locale }).await?;
        }
        _ => outbox::enqueue(&mut tx, platform, &proof).await?,
    }
    tx.commit().await?;
    state.outside.wake();
    Ok(())
}

/// What is mailed for a proof: the address, the code, and the attempt that it is for. `None` when there is nothing to mail
/// any more.
pub async fn mint_proof(
    tx: &mut Tx,
    platform: &Platform,
    id: UpstreamProofId,
) -> Result<Option<(String, String, Uuid)>, DbError> {
    let code = typed_code::draw(platform, PROOF, id.0);
    let row: Option<(Json<Typed>, Uuid)> = fetch_optional!(
        tx,
        (Json<Typed>, Uuid),
        "UPDATE upstream_proofs SET code_mac = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $3 \
         RETURNING account, attempt_id",
        id,
        typed_code::mac(platform, PROOF, id.0, &code),
        platform.clock.now()
    )?;
    Ok(row.map(|(Json(typed), attempt)| (typed.email, code, attempt)))
}

/// The address that waits for its proof in this attempt, as it was typed.
pub async fn to_be_proved(conn: &mut Conn, platform: &Platform, attempt: Uuid) -> Result<Option<String>, DbError> {
    let row: Option<(Json<Typed>,)> = fetch_optional!(
        conn,
        (Json<Typed>,),
        "SELECT account FROM upstream_proofs WHERE attempt_id = $1 AND consumed_at IS NULL AND expires_at > $2 \
         AND tries < $3",
        attempt,
        platform.clock.now(),
        typed_code::TRIES
    )?;
    Ok(row.map(|(Json(typed),)| typed.email))
}

/// Why a code proved nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Nothing waits, or too many codes were tried.
    #[error("no address waits for its proof")]
    Gone,
    #[error("the code is wrong")]
    Wrong,
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The referral code stopped serving meanwhile.
    #[error(transparent)]
    CodeRefused(Refusal),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Proves the address by the code that was mailed there, in the browser that the identity came back to: the account is
/// made, and the identity opens it.
///
/// # Errors
/// What to tell the person. A code that was never mailed, because the address is taken, is answered as one that was missed.
pub async fn prove(state: &AppState, waiting: &Waiting, code: &str, ip: &ClientIp) -> Result<UserId, ProofError> {
    let platform = &state.platform;
    platform.limits.check("upstream-proof", &ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    let mut tx = platform.db.begin().await?;
    // Counted before it is compared: of many who try at once, five are answered.
    let row: Option<(UpstreamProofId, Json<Typed>, Option<Vec<u8>>)> = fetch_optional!(
        &mut tx,
        (UpstreamProofId, Json<Typed>, Option<Vec<u8>>),
        "UPDATE upstream_proofs SET tries = tries + 1 \
         WHERE attempt_id = $1 AND tries < $2 AND consumed_at IS NULL AND expires_at > $3 \
         RETURNING id, account, code_mac",
        waiting.id,
        typed_code::TRIES,
        platform.clock.now()
    )?;
    tx.commit().await?;
    let (id, Json(typed), expected) = row.ok_or(ProofError::Gone)?;
    let given = typed_code::mac(platform, PROOF, id.0, code);
    if !expected.is_some_and(|expected| bool::from(expected.ct_eq(&given))) {
        return Err(ProofError::Wrong);
    }
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    let used = execute!(
        &mut tx,
        "UPDATE upstream_proofs SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        id,
        now
    )?;
    if used == 0 || !consume(&mut tx, platform, waiting.id).await? {
        return Err(ProofError::Gone);
    }
    let referral = typed.referral_code.as_deref().and_then(CodeKey::fold);
    let sign_up = SignUp {
        email: typed.email,
        phc: None,
        given_name: typed.given_name,
        family_name: typed.family_name,
        locale: typed.locale,
        referral_code: typed.referral_code,
        referral_source: typed.referral_source.as_str().to_owned(),
        address_hash: typed.trace.address_hash,
        device_hash: typed.trace.device_hash,
        terms_version: typed.terms_version,
        created_at: now,
    };
    let user = match verification::make(&mut tx, platform, &sign_up, false).await {
        Ok((Confirmed::Account { user_id, .. } | Confirmed::Address { user_id }, _)) => user_id,
        Err(ConfirmError::CodeRefused(refusal)) => return Err(ProofError::CodeRefused(refusal)),
        Err(ConfirmError::Db(error)) => return Err(error.into()),
        // It got an account since, whose owner proved it.
        Err(_) => return Err(ProofError::Gone),
    };
    match insert(&mut tx, platform, &waiting.provider, &waiting.identity, user).await {
        Ok(()) => {}
        Err(error) if error.is_unique_violation() => return Err(ProofError::Gone),
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    if let Some(code) = referral {
        let _ = cached::refresh(platform, &code).await;
    }
    state.outside.wake();
    Ok(user)
}

/// An identity that opens an account.
#[derive(Debug, sqlx::FromRow)]
pub struct Way {
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Those of one account, the oldest first.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Vec<Way>, DbError> {
    fetch_all!(
        conn,
        Way,
        "SELECT issuer, subject, email, created_at, last_used_at FROM upstream_identities WHERE user_id = $1 \
         ORDER BY created_at, issuer, subject",
        user
    )
}

/// Takes every way in by another provider off an account, for a new owner: those were whose the account was.
pub async fn delete_all(tx: &mut Tx, user: UserId) -> Result<(), DbError> {
    execute!(tx, "DELETE FROM upstream_identities WHERE user_id = $1", user)?;
    execute!(tx, "DELETE FROM upstream_attempts WHERE user_id = $1", user)?;
    Ok(())
}

/// Takes the identities at one provider from the account of who is signed in; nothing when that has ended. `false` when
/// it would leave no way in.
pub async fn unlink(state: &AppState, provider: &str, issuer: &str, who: &SignedIn) -> Result<bool, DbError> {
    let (platform, user) = (&state.platform, who.user_id);
    let mut tx = platform.db.begin().await?;
    if !sessions::hold(&mut tx, platform, who.sid).await? {
        return Ok(true);
    }
    if ways_in::is_last(state, &mut tx, user, WayIn::Provider(issuer)).await? {
        return Ok(false);
    }
    let gone = execute!(&mut tx, "DELETE FROM upstream_identities WHERE user_id = $1 AND issuer = $2", user, issuer)?;
    if gone > 0 {
        notice_way_in(&mut tx, platform, user, Notice::ProviderUnlinked, provider).await?;
    }
    tx.commit().await?;
    Ok(true)
}
