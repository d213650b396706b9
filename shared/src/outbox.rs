//! Work that a transaction asks for and that is done after its commit: mails, email checks, enrichment, logout tokens. A row here is
//! the promise; a crash between the commit and the work loses nothing.
//!
//! Rows hold no secrets: a mail's link is made when the mail is made, a logout token when it is sent.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::db::{Db, DbError, Tx};
use crate::ids::{
    ClientId, EmailChangeId, InvitationId, MailedCodeId, PendingSignupId, RecoveryId, SessionId, UpstreamProofId,
    UserId,
};
use crate::platform::Platform;
use crate::{execute, fetch_all};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Mail a link that proves the address of an account.
    VerifyEmail { user_id: UserId, locale: String },
    /// Mail a link that completes a sign-up (`accounts.email_verification = "required"`).
    ConfirmSignup { pending_signup_id: PendingSignupId, locale: String },
    /// Tell the owner of an address that somebody tried to sign up with it.
    AlreadyRegistered { user_id: UserId, locale: String },
    /// Mail a referrer's active code to a friend.
    Invitation {
        referrer_id: UserId,
        /// Where it may be known already that nobody is to be mailed, as many dashes: it costs as much, and keeps nothing.
        email: String,
        locale: String,
        /// What the referrer sees of it, where it was they who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation_id: Option<InvitationId>,
    },
    /// Ask Hunter about the address of an account.
    CheckEmail { user_id: UserId },
    /// Ask Clearbit or Hunter who a new person is.
    Enrich { user_id: UserId },
    /// Tell a client that a session, or with no `sid` every session, of this person is over (Back-Channel Logout §2.5).
    BackchannelLogout {
        client_id: ClientId,
        user_id: UserId,
        sid: Option<SessionId>,
        /// The sector in which the client knows the person. Once it has moved to another it is not told: its name for them
        /// there is none of its business.
        #[serde(default)]
        sector: Option<String>,
    },
    /// Tell a person what was done to their account, so that they notice what they did not do.
    SecurityNotice(SecurityNotice),
    /// Mail the link and the code for a forgotten password.
    ResetPassword { recovery_id: RecoveryId, locale: String },
    /// Ask one of the two addresses of a change to confirm it.
    ConfirmEmailChange { email_change_id: EmailChangeId, side: Side, locale: String },
    /// Mail a code in place of the app's, for a sign-in that waits.
    MailCode { mailed_code_id: MailedCodeId, locale: String },
    /// Mail the code that proves the address of who comes from another provider.
    ProveUpstreamAddress { upstream_proof_id: UpstreamProofId, locale: String },
}

/// One of the two addresses of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The account's address of now.
    Old,
    New,
}

/// What a [`Job::SecurityNotice`] tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityNotice {
    pub user_id: UserId,
    pub what: Notice,
    pub at: DateTime<Utc>,
    pub locale: String,
    /// Where to, when not to the account's address of the moment: the address that it had before.
    #[serde(default)]
    pub to: Option<String>,
    /// What exactly: the name of a passkey, a device. Left out of the mail when it could be more than a name.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What was done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    NewDevice,
    PasswordChanged,
    /// A forgotten one was replaced; the mail says which other ways to sign in are as they were.
    PasswordReset,
    /// A code from the mailbox stood in for the app.
    MailedCodeUsed,
    EmailChanged,
    /// Somebody would like to have the address of this account for theirs.
    AddressWanted,
    PasskeyAdded,
    PasskeyRemoved,
    TotpAdded,
    TotpRemoved,
    RecoveryCodesMade,
    /// Another provider's sign-in opens the account, or does so no more.
    ProviderLinked,
    ProviderUnlinked,
    /// `at` is the day on which the account will be deleted.
    DeletionPlanned,
    AccountKept,
    AccountDeleted,
    /// Of a newer release, which will tell it.
    #[serde(other)]
    Unknown,
}

impl Notice {
    /// Those that there are texts for.
    pub const ALL: &[Self] = &[
        Self::NewDevice,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::MailedCodeUsed,
        Self::EmailChanged,
        Self::AddressWanted,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::TotpAdded,
        Self::TotpRemoved,
        Self::RecoveryCodesMade,
        Self::ProviderLinked,
        Self::ProviderUnlinked,
        Self::DeletionPlanned,
        Self::AccountKept,
        Self::AccountDeleted,
    ];

    /// Its name in texts and in the log, as in the row.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewDevice => "new-device",
            Self::PasswordChanged => "password-changed",
            Self::PasswordReset => "password-reset",
            Self::MailedCodeUsed => "mailed-code-used",
            Self::EmailChanged => "email-changed",
            Self::AddressWanted => "address-wanted",
            Self::PasskeyAdded => "passkey-added",
            Self::PasskeyRemoved => "passkey-removed",
            Self::TotpAdded => "totp-added",
            Self::TotpRemoved => "totp-removed",
            Self::RecoveryCodesMade => "recovery-codes-made",
            Self::ProviderLinked => "provider-linked",
            Self::ProviderUnlinked => "provider-unlinked",
            Self::DeletionPlanned => "deletion-planned",
            Self::AccountKept => "account-kept",
            Self::AccountDeleted => "account-deleted",
            Self::Unknown => "unknown",
        }
    }
}

/// The lane of mails that the release before this one knows nothing of: what it does not know it must not take, and a
/// row that it can't read would spoil its look at all the others.
pub const ACCOUNT_MAIL: &str = "account_mail";

impl Job {
    fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } | Self::ConfirmSignup { .. } | Self::AlreadyRegistered { .. } => "mail",
            Self::Invitation { .. } => "mail",
            Self::CheckEmail { .. } => "email_check",
            Self::Enrich { .. } => "enrichment",
            Self::BackchannelLogout { .. } => "backchannel_logout",
            Self::SecurityNotice(_) | Self::ResetPassword { .. } | Self::ConfirmEmailChange { .. } => ACCOUNT_MAIL,
            Self::MailCode { .. } | Self::ProveUpstreamAddress { .. } => ACCOUNT_MAIL,
        }
    }

    /// Whom it is about: their deletion takes the job along.
    fn subject(&self) -> Option<UserId> {
        match self {
            Self::VerifyEmail { user_id, .. }
            | Self::AlreadyRegistered { user_id, .. }
            | Self::CheckEmail { user_id }
            | Self::Enrich { user_id } => Some(*user_id),
            Self::Invitation { referrer_id, .. } => Some(*referrer_id),
            // A client is told of the end of an account that is gone by then.
            Self::ConfirmSignup { .. } | Self::BackchannelLogout { .. } => None,
            // What they name goes with the account, and then there is nothing to mail.
            Self::ResetPassword { .. } | Self::ConfirmEmailChange { .. } => None,
            Self::MailCode { .. } | Self::ProveUpstreamAddress { .. } => None,
            // Nor does the news that it is gone go with it.
            Self::SecurityNotice(notice) => Some(notice.user_id).filter(|_| notice.what != Notice::AccountDeleted),
        }
    }

    fn lifetime(&self) -> TimeDelta {
        match self {
            // Whoever could not be told for a day has long had to look for itself.
            Self::BackchannelLogout { .. } => TimeDelta::days(1),
            // Into the next month, where this month's questions are used up; how often they are tried is bounded apart.
            Self::CheckEmail { .. } | Self::Enrich { .. } => TimeDelta::days(35),
            _ => LIFETIME,
        }
    }
}

/// How long a mail is tried for.
pub const LIFETIME: TimeDelta = TimeDelta::days(3);

/// A job that was taken, to be settled with [`done`] or [`failed`].
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: Uuid,
    pub job: Job,
    /// How often it has been tried, this time included.
    pub attempts: i64,
    pub expires_at: DateTime<Utc>,
}

/// Asks for `job` in the caller's transaction.
pub async fn enqueue(tx: &mut Tx, platform: &Platform, job: &Job) -> Result<(), DbError> {
    enqueue_after(tx, platform, job, TimeDelta::zero()).await
}

/// The same, to be done no sooner than in `wait`.
pub async fn enqueue_after(tx: &mut Tx, platform: &Platform, job: &Job, wait: TimeDelta) -> Result<(), DbError> {
    let now = platform.clock.now();
    execute!(
        tx,
        "INSERT INTO outbox (id, kind, user_id, payload, created_at, next_attempt_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        platform.random.uuid_v7(&platform.clock),
        job.kind(),
        job.subject(),
        Json(job),
        now,
        now + wait,
        now + job.lifetime()
    )?;
    Ok(())
}

/// Costs what [`enqueue`] costs and asks for nothing: for answers that may not tell by their time whether there was
/// something to do. The row is as large as one for `like` would be, holds nothing of it, is never due, and is swept up
/// as expired; it goes with the account of `asker`.
pub async fn enqueue_nothing(
    tx: &mut Tx,
    platform: &Platform,
    like: &Job,
    asker: Option<UserId>,
) -> Result<(), DbError> {
    let now = platform.clock.now();
    let size = serde_json::to_string(like).map_or(0, |payload| payload.len());
    execute!(
        tx,
        "INSERT INTO outbox (id, kind, user_id, payload, created_at, next_attempt_at, expires_at) \
         VALUES ($1, 'nothing', $2, $3, $4, $4, $4)",
        platform.random.uuid_v7(&platform.clock),
        asker,
        Json(serde_json::json!({ "nothing": "-".repeat(size.saturating_sub(14)) })),
        now
    )?;
    Ok(())
}

/// Takes up to `limit` due jobs of one kind for `lease`: if this process dies, they are due again after it.
pub async fn take(
    db: &Db,
    kind: &str,
    now: DateTime<Utc>,
    lease: TimeDelta,
    limit: i64,
) -> Result<Vec<Taken>, DbError> {
    // Look first without a write lock: most of the time nothing is due.
    let mut conn = db.read().await?;
    let due: Vec<(i64,)> = fetch_all!(
        &mut conn,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT id FROM outbox WHERE kind = $1 AND next_attempt_at <= $2 AND expires_at > $2 LIMIT 1) d",
        kind,
        now
    )?;
    drop(conn);
    if due.first().is_none_or(|(count,)| *count == 0) {
        return Ok(vec![]);
    }
    let mut tx = db.begin().await?;
    // The outer condition repeats the inner one: of two processes that chose the same rows, the second finds them moved.
    let rows = fetch_all!(
        &mut tx,
        (Uuid, Json<serde_json::Value>, i64, DateTime<Utc>),
        "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = $3 \
         WHERE id IN (SELECT id FROM outbox WHERE kind = $1 AND next_attempt_at <= $2 AND expires_at > $2 \
                      ORDER BY next_attempt_at LIMIT $4) \
           AND next_attempt_at <= $2 \
         RETURNING id, payload, attempts, expires_at",
        kind,
        now,
        now + lease,
        limit
    )?;
    tx.commit().await?;
    let taken = |(id, Json(payload), attempts, expires_at)| match serde_json::from_value(payload) {
        Ok(job) => Some(Taken { id, job, attempts, expires_at }),
        // While a newer release is rolled out, its jobs wait for it; once their lease is over, it may take them.
        Err(error) => {
            tracing::warn!(%id, %error, kind, "a job of another release is left to it");
            None
        }
    };
    Ok(rows.into_iter().filter_map(taken).collect())
}

/// The job is done (or pointless): forget it. Pass the transaction that records its result. `false` when it was gone
/// already (done by another worker, or withdrawn): then there is nothing to record.
pub async fn done(tx: &mut Tx, id: Uuid) -> Result<bool, DbError> {
    Ok(execute!(tx, "DELETE FROM outbox WHERE id = $1", id)? > 0)
}

/// The job failed: it is due again at `next_attempt_at`. `error` must hold no secrets.
pub async fn failed(tx: &mut Tx, id: Uuid, error: &str, next_attempt_at: DateTime<Utc>) -> Result<(), DbError> {
    execute!(tx, "UPDATE outbox SET last_error = $2, next_attempt_at = $3 WHERE id = $1", id, error, next_attempt_at)?;
    Ok(())
}

/// The job was not tried: it is due again at `next_attempt_at`, and has not been tried once more.
pub async fn postponed(tx: &mut Tx, id: Uuid, next_attempt_at: DateTime<Utc>) -> Result<(), DbError> {
    execute!(tx, "UPDATE outbox SET attempts = attempts - 1, next_attempt_at = $2 WHERE id = $1", id, next_attempt_at)?;
    Ok(())
}

/// The same, for a reason that is worth noting. `reason` must hold no secrets.
pub async fn postponed_because(
    tx: &mut Tx,
    id: Uuid,
    reason: &str,
    next_attempt_at: DateTime<Utc>,
) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE outbox SET attempts = attempts - 1, last_error = $2, next_attempt_at = $3 WHERE id = $1",
        id,
        reason,
        next_attempt_at
    )?;
    Ok(())
}

/// A job that outlived its time.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Expired {
    pub id: Uuid,
    pub kind: String,
    pub user_id: Option<UserId>,
    pub attempts: i64,
    payload: Json<serde_json::Value>,
}

impl Expired {
    /// Was it to mail a referrer's code to somebody?
    pub fn is_invitation(&self) -> bool {
        is_invitation(&self.payload)
    }
}

/// Does this payload ask for an invitation? What became of one is told to its referrer by
/// [`invitations`](crate::referrals::invitations) alone.
pub fn is_invitation(payload: &serde_json::Value) -> bool {
    payload["job"] == "invitation"
}

/// Removes up to `limit` jobs whose time is over and returns them, so that giving up leaves a trace.
pub async fn take_expired(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Expired>, DbError> {
    fetch_all!(
        tx,
        Expired,
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) \
         RETURNING id, kind, user_id, attempts, payload",
        now,
        limit
    )
}
