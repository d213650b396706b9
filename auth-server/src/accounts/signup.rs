//! Signing up: the account, its password, the referral and the use of the code, in one transaction.
//!
//! With `accounts.email_verification = required` nothing of that exists before the address is confirmed, and the answer
//! is the same, after the same work, whether the address was free or taken.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use shared::config::{EmailVerification, EnrichmentProvider, SignUpPolicy};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::http::ClientIp;
use shared::idempotency::Idempotent;
use shared::ids::{PendingSignupId, UserId};
use shared::limits::Limited;
use shared::outbox::{self, Job};
use shared::referrals::cached;
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Redemption, Refusal, Source};
use shared::referrals::trace::Trace;
use shared::users::{self, NewUser};
use shared::{Platform, audit, execute};

use super::{Fault, NotAName, Unfit, address, check_password, locale, name};
use crate::AppState;
use crate::outside::hunter::{EmailVerdict, Reason, inline_email_check};
use crate::passwords::PasswordError;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Mails about sign-ups to one mailbox an hour, whatever tags and dots stand in its address: nobody's mailbox is filled
/// by somebody else's sign-ups.
const MAILS_PER_MAILBOX_AND_HOUR: u64 = 5;

/// Inline checks of email addresses for one network address an hour.
const QUESTIONS_PER_ADDRESS_AND_HOUR: u64 = 100;

/// Where there is no account without a mail, others' sign-ups must not use up the owner's: beyond those of the hour,
/// one still leaves in each of these whiles.
const DRIP: Duration = Duration::from_secs(600);

/// What a person typed. Empty is absent.
#[derive(Clone, Default)]
pub struct NewAccount {
    pub email: String,
    pub password: String,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub referral_code: Option<String>,
    /// How that code came. One that nobody typed is let go when it does not serve.
    pub source: Source,
    /// The random id of the browser.
    pub device: Option<Vec<u8>>,
    pub locale: Option<String>,
    /// The version of the terms that the person agreed to.
    pub terms_version: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an account, usable at once.
    Created { id: UserId, email: String, referred: bool },
    /// A mail is on its way, and says more than we tell here.
    VerificationRequired,
}

/// Why nothing came of it. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("fields are not valid: {0:?}")]
    Invalid(Vec<Fault>),
    #[error("this address has an account already")]
    TakenEmail,
    /// `accounts.signup = off`.
    #[error("nobody can sign up here")]
    Closed,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("too many passwords wait to be hashed")]
    Busy(Duration),
    /// The same `Idempotency-Key` was used a moment ago, and its answer is kept by now.
    #[error("the answer is there already")]
    AnsweredAlready,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<PasswordError> for SignUpError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => Self::Busy(retry_after),
            PasswordError::TooLong => Self::Invalid(vec![Fault::PasswordLong]),
            PasswordError::Stored | PasswordError::Broken => Self::Busy(MINUTE),
        }
    }
}

/// Fields that were read.
pub(super) struct Checked {
    pub email: Email,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub locale: Option<String>,
    pub code: Option<CodeKey>,
    pub source: Source,
    pub terms: Option<String>,
}

impl Checked {
    /// The code does not serve. Whoever typed it is told; whoever did not goes on without it, where none is needed.
    pub(super) fn let_go(&mut self, platform: &Platform, refusal: Refusal) -> Result<(), SignUpError> {
        if self.source == Source::Code {
            return Err(SignUpError::Invalid(vec![Fault::ReferralCode(refusal)]));
        }
        if platform.config.accounts.signup == SignUpPolicy::Invitation {
            return Err(SignUpError::Invalid(vec![Fault::InvitationNeeded]));
        }
        self.code = None;
        Ok(())
    }
}

/// Signs a person up.
///
/// # Errors
/// Every fault of every field at once; a taken address (never when verification is required); a limit; a store.
pub async fn sign_up(state: &AppState, account: NewAccount, ip: &ClientIp) -> Result<Outcome, SignUpError> {
    sign_up_once(state, account, ip, None).await
}

/// What to keep for a repeated `Idempotency-Key`: the answer to an outcome, as status and body.
pub struct Keep<'a> {
    pub key: &'a Idempotent,
    pub answer: fn(&Outcome) -> (u16, serde_json::Value),
}

/// The same, keeping the answer in the transaction that does the work.
pub async fn sign_up_once(
    state: &AppState,
    account: NewAccount,
    ip: &ClientIp,
    keep: Option<Keep<'_>>,
) -> Result<Outcome, SignUpError> {
    let platform = &state.platform;
    let config = &platform.config;
    platform.limits.check("signup", &ip.bucket(), config.limits.signups_per_minute, MINUTE).await?;
    if config.accounts.signup == SignUpPolicy::Off {
        return Err(SignUpError::Closed);
    }
    let password = match check_password(state, &account.password, address(&account.email).ok().as_ref()).await {
        Ok(()) => None,
        Err(Unfit::Fault(fault)) => Some(fault),
        Err(Unfit::Unknown(error)) => return Err(error.into()),
    };
    let mut checked = check(platform, &account, password)?;
    let required = config.accounts.email_verification == EmailVerification::Required;

    // Looked at before the work of hashing; what counts is the transaction.
    let mut conn = platform.db.read().await?;
    if let Some(refusal) = refusal(&mut conn, platform, checked.code.as_ref()).await? {
        checked.let_go(platform, refusal)?;
    }
    let taken = users::by_email(&mut conn, &checked.email.key).await?;
    drop(conn);
    if taken.is_some() && !required {
        return Err(SignUpError::TakenEmail);
    }
    if state.outside.is_breached(&account.password).await {
        return Err(SignUpError::Invalid(vec![Fault::PasswordBreached]));
    }
    // After everything that costs nothing: each question is paid for.
    if config.verification.inline && may_ask(platform, ip).await {
        match inline_email_check(state, &checked.email).await {
            EmailVerdict::Accept => {}
            EmailVerdict::Refuse(Reason::Invalid) => return Err(SignUpError::Invalid(vec![Fault::EmailUndeliverable])),
            EmailVerdict::Refuse(Reason::Disposable) => {
                return Err(SignUpError::Invalid(vec![Fault::EmailDisposable]));
            }
        }
    }
    let phc = state.passwords.hash(&account.password).await?;

    if required {
        let may_mail = may_mail(platform, &checked.email).await || may_drip(platform, &checked.email).await;
        let mut tx = platform.db.begin().await?;
        let trace = trace(&mut tx, platform, ip, account.device.as_deref()).await?;
        await_confirmation(&mut tx, platform, checked, account.referral_code, &trace, &phc, may_mail).await?;
        let outcome = Outcome::VerificationRequired;
        keep_answer(&mut tx, platform, keep, &outcome).await?;
        tx.commit().await?;
        state.outside.wake();
        return Ok(outcome);
    }

    let code = checked.code.clone();
    let may_mail = may_mail(platform, &checked.email).await;
    let mut tx = platform.db.begin().await?;
    let trace = trace(&mut tx, platform, ip, account.device.as_deref()).await?;
    let outcome = create(&mut tx, state, checked, &trace, Some(&phc), None, may_mail).await?;
    keep_answer(&mut tx, platform, keep, &outcome).await?;
    tx.commit().await?;
    if let Some(code) = code {
        // The account is there: whatever the cache says of the code's counter, it passes in seconds.
        let _ = cached::refresh(platform, &code).await;
    }
    state.outside.wake();
    Ok(outcome)
}

/// Where a sign-up comes from, to be kept with its account. Early in the transaction.
pub(super) async fn trace(
    tx: &mut Tx,
    platform: &Platform,
    ip: &ClientIp,
    device: Option<&[u8]>,
) -> Result<Trace, DbError> {
    Trace::of(tx, platform, Some(&ip.bucket()), device).await
}

async fn keep_answer(
    tx: &mut Tx,
    platform: &Platform,
    keep: Option<Keep<'_>>,
    outcome: &Outcome,
) -> Result<(), SignUpError> {
    let Some(keep) = keep else { return Ok(()) };
    let (status, answer) = (keep.answer)(outcome);
    match keep.key.keep(tx, platform, status, &answer).await {
        Err(error) if error.is_unique_violation() => Err(SignUpError::AnsweredAlready),
        kept => Ok(kept?),
    }
}

/// Every fault that can be told without asking anyone, that of the password among them. Who comes from another provider has
/// none here.
pub(super) fn check(
    platform: &Platform,
    account: &NewAccount,
    password: Option<Fault>,
) -> Result<Checked, SignUpError> {
    let accounts = &platform.config.accounts;
    let mut faults = vec![];
    let email = address(&account.email).map_err(|fault| faults.push(fault)).ok();
    faults.extend(password);
    let mut read = |text: &Option<String>, fault: fn(NotAName) -> Fault| {
        name(text.as_deref()).unwrap_or_else(|why| {
            faults.push(fault(why));
            None
        })
    };
    let given_name = read(&account.given_name, NotAName::given);
    let family_name = read(&account.family_name, NotAName::family);
    let locale = locale(account.locale.as_deref()).unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    let code = match account.referral_code.as_deref().map(str::trim).filter(|code| !code.is_empty()) {
        None => {
            if accounts.signup == SignUpPolicy::Invitation {
                faults.push(Fault::InvitationNeeded);
            }
            None
        }
        Some(text) => {
            let key = CodeKey::fold(text);
            if key.is_none() && account.source == Source::Code {
                faults.push(Fault::ReferralCode(Refusal::Unknown));
            }
            key
        }
    };
    let terms = accounts.terms_url.as_ref().map(|_| accounts.terms_version.clone());
    if terms.is_some() && terms != account.terms_version {
        faults.push(Fault::Terms);
    }
    match email {
        Some(email) if faults.is_empty() => {
            Ok(Checked { email, given_name, family_name, locale, code, source: account.source, terms })
        }
        _ => Err(SignUpError::Invalid(faults)),
    }
}

/// Why `code` would not serve just now, as far as it can be told without knowing who asks.
pub(super) async fn refusal(
    conn: &mut Conn,
    platform: &Platform,
    code: Option<&CodeKey>,
) -> Result<Option<Refusal>, DbError> {
    let Some(key) = code else { return Ok(None) };
    Ok(match store::by_key(conn, key).await? {
        None => Some(Refusal::Unknown),
        Some(code) => store::refusal(&code, platform.clock.now()),
    })
}

/// The account, its password, its jobs, and last the code: its row stays locked until the commit.
pub(super) async fn create(
    tx: &mut Tx,
    state: &AppState,
    mut checked: Checked,
    trace: &Trace,
    phc: Option<&str>,
    email_verified_at: Option<DateTime<Utc>>,
    may_mail: bool,
) -> Result<Outcome, SignUpError> {
    let platform = &state.platform;
    let id = UserId::new(&platform.random, &platform.clock);
    let user = NewUser {
        id,
        email: checked.email.clone(),
        email_verified_at,
        given_name: checked.given_name.take(),
        family_name: checked.family_name.take(),
        locale: checked.locale.take(),
    };
    insert(tx, platform, &user, phc)
        .await
        .map_err(|error| if error.is_unique_violation() { SignUpError::TakenEmail } else { error.into() })?;
    let locale = user.locale.clone().unwrap_or_else(|| "en".into());
    trace.keep(tx, platform, id).await?;
    if let Some(version) = checked.terms.take() {
        record_terms(tx, platform, id, &version, platform.clock.now()).await?;
    }
    if email_verified_at.is_some() {
        ask_who(tx, platform, id).await?;
    } else if may_mail {
        outbox::enqueue(tx, platform, &Job::VerifyEmail { user_id: id, locale }).await?;
    }
    ask_about_address(tx, platform, id).await?;
    let referred = match &checked.code {
        None => false,
        Some(key) => {
            match store::redeem(
                tx,
                platform,
                Redemption {
                    key,
                    newcomer: id,
                    canonical_email: &user.email.canonical,
                    email_is_verified: email_verified_at.is_some(),
                    source: checked.source,
                    trace,
                },
            )
            .await?
            {
                Ok(_) => true,
                Err(refusal) => {
                    checked.let_go(platform, refusal)?;
                    false
                }
            }
        }
    };
    Ok(Outcome::Created { id, email: user.email.display, referred })
}

/// The rows of a new account: also what a confirmation makes. One that another provider vouches for has no password.
pub(super) async fn insert(tx: &mut Tx, platform: &Platform, user: &NewUser, phc: Option<&str>) -> Result<(), DbError> {
    let now = platform.clock.now();
    users::insert(tx, user, now).await?;
    if let Some(phc) = phc {
        execute!(
            tx,
            "INSERT INTO password_credentials (user_id, phc, updated_at) VALUES ($1, $2, $3)",
            user.id,
            phc,
            now
        )?;
    }
    audit::record(tx, platform, "account.created", Some(user.id), None, serde_json::json!({})).await
}

/// Writes down which terms somebody agreed to.
pub(super) async fn record_terms(
    tx: &mut Tx,
    platform: &Platform,
    user_id: UserId,
    version: &str,
    agreed_at: DateTime<Utc>,
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO terms_agreements (user_id, version, agreed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, version) DO NOTHING",
        user_id,
        version,
        agreed_at
    )?;
    audit::record(tx, platform, "terms.agreed", Some(user_id), None, serde_json::json!({"version": version})).await
}

/// Has an outside service asked about the address of a new account, after the commit.
pub(super) async fn ask_about_address(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<(), DbError> {
    if platform.config.verification.api_key.is_some() {
        outbox::enqueue(tx, platform, &Job::CheckEmail { user_id }).await?;
    }
    Ok(())
}

/// Has an outside service asked who somebody is, after the commit. Only once the address is proved: until then it may
/// be a stranger's, about whom who typed it learns nothing from us.
pub(super) async fn ask_who(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<(), DbError> {
    let config = &platform.config;
    let hunter = config.verification.api_key.is_some();
    let clearbit = config.enrichment.api_key.is_some();
    let enriched = match config.enrichment.provider {
        EnrichmentProvider::Off => false,
        EnrichmentProvider::Clearbit => clearbit,
        EnrichmentProvider::Hunter => hunter,
        EnrichmentProvider::Auto => clearbit || hunter,
    };
    if enriched {
        outbox::enqueue(tx, platform, &Job::Enrich { user_id }).await?;
    }
    Ok(())
}

/// Nobody's sign-ups use up the month's questions for everybody: beyond those of the hour they pass unasked.
async fn may_ask(platform: &Platform, ip: &ClientIp) -> bool {
    platform.limits.check("inline-email-check", &ip.bucket(), QUESTIONS_PER_ADDRESS_AND_HOUR, HOUR).await.is_ok()
}

pub(super) async fn may_mail(platform: &Platform, email: &Email) -> bool {
    let key = Sha256::digest(email.canonical.as_bytes());
    platform.limits.check("signup-mail", &key, MAILS_PER_MAILBOX_AND_HOUR, HOUR).await.is_ok()
}

pub(super) async fn may_drip(platform: &Platform, email: &Email) -> bool {
    let key = Sha256::digest(email.canonical.as_bytes());
    platform.limits.check("signup-mail-drip", &key, 1, DRIP).await.is_ok()
}

/// Puts the sign-up down until its address is confirmed. The same rows are written whether or not the address is
/// taken; what differs is which mail is asked for.
///
/// An account whose owner never proved this address takes nothing from who can: they are mailed a confirmation, and
/// with it the account becomes theirs ([`super::verification::confirm`]).
async fn await_confirmation(
    tx: &mut Tx,
    platform: &Platform,
    checked: Checked,
    referral_code: Option<String>,
    trace: &Trace,
    phc: &str,
    may_mail: bool,
) -> Result<(), DbError> {
    let now = platform.clock.now();
    let id = PendingSignupId::new(&platform.random, &platform.clock);
    let hours = i64::try_from(platform.config.accounts.verification_hours).unwrap_or(i64::MAX);
    let expires_at = now + TimeDelta::try_hours(hours).unwrap_or(TimeDelta::days(365));
    let locale = checked.locale.clone().unwrap_or_else(|| "en".into());
    execute!(
        tx,
        "INSERT INTO pending_signups (id, email, email_key, phc, given_name, family_name, locale, referral_code, \
         created_at, expires_at, terms_version, referral_source, address_hash, device_hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        id,
        &checked.email.display,
        &checked.email.key,
        phc,
        checked.given_name.as_deref(),
        checked.family_name.as_deref(),
        checked.locale.as_deref(),
        checked.code.as_ref().and(referral_code.as_deref()),
        now,
        expires_at,
        checked.terms.as_deref(),
        checked.source.as_str(),
        trace.address_hash.as_deref(),
        trace.device_hash.as_deref()
    )?;
    // Read here and not before, so that of two sign-ups at once neither is told an old story.
    let owner = users::by_email(tx, &checked.email.key).await?;
    let job = match owner {
        Some(owner) if owner.email_verified_at.is_some() => Job::AlreadyRegistered { user_id: owner.id, locale },
        _ => Job::ConfirmSignup { pending_signup_id: id, locale },
    };
    if may_mail {
        outbox::enqueue(tx, platform, &job).await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "signup_tests.rs"]
mod tests;
