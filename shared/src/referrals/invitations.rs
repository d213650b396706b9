//! Invitations that somebody had mailed for their own code, as they may see them.
//!
//! A referrer sees that an invitation was sent, and must not learn by it who the address belongs to: whether its owner
//! asked never to be mailed, was mailed enough by others today, or does not exist. So:
//!
//! - An invitation that will be mailed to nobody goes the same way as one that will: the same rows, the same job in the
//!   same lane, taken at the same time. The job only has no address in it, or its worker finds the objection.
//! - `sent` means: its turn came, and the mail server is there to take a mail. That is asked and written down for both
//!   alike, before anything is said of an address; while no server answers, both wait, and both can be withdrawn. What the
//!   server says of an address after that, at once or by a bounce, changes nothing, neither here nor in what the referrer
//!   finds in the list of events or in the export of their data.
//! - `failed` is told for two reasons alone, which are none of the address: something on the referrer's own side (no
//!   active code, not to be found by email), and time, when the mail server did not answer for three days.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Conn, DbError, Tx};
use crate::email::Email;
use crate::ids::{InvitationId, UserId};
use crate::outbox;
use crate::platform::Platform;
use crate::{execute, fetch_all, fetch_optional};

/// How long they are listed.
const KEPT: TimeDelta = TimeDelta::days(90);
const PURPOSE: &str = "invitation-address";

/// What a referrer is told of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InvitationStatus {
    /// It waits for its turn.
    Accepted,
    /// Its turn came. Whether it arrived, and whether there is such a mailbox, nobody is told.
    Sent,
    /// The referrer had no active code, or could not be found by email; or no mail could be sent for three days.
    Failed,
    /// The referrer took it back in time.
    Withdrawn,
}

impl InvitationStatus {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An invitation's row. What of it is told, and when, says [`Row::told`].
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub id: InvitationId,
    /// `f•••@e•••.org`
    pub email_masked: String,
    status: String,
    pub created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

impl Row {
    /// What the referrer is told at `now`, and since when it is `sent`.
    pub fn told(&self, now: DateTime<Utc>) -> (InvitationStatus, Option<DateTime<Utc>>) {
        match (self.status.as_str(), self.sent_at) {
            ("withdrawn", _) => (InvitationStatus::Withdrawn, None),
            ("failed", _) => (InvitationStatus::Failed, None),
            ("sent", at) => (InvitationStatus::Sent, at),
            // Its job is given up by then.
            _ if now >= self.created_at + outbox::LIFETIME => (InvitationStatus::Failed, None),
            _ => (InvitationStatus::Accepted, None),
        }
    }
}

fn hash(platform: &Platform, email: &Email) -> Vec<u8> {
    platform.master_key.mac(PURPOSE, email.canonical.as_bytes())
}

/// Writes an invitation of `referrer` down. `fails` where something on the referrer's own side keeps it from being sent.
pub async fn insert(
    tx: &mut Tx,
    platform: &Platform,
    referrer: UserId,
    email: &Email,
    fails: bool,
) -> Result<InvitationId, DbError> {
    let id = InvitationId::new(&platform.random, &platform.clock);
    let now = platform.clock.now();
    execute!(
        tx,
        "INSERT INTO invitations (id, referrer_id, email_hash, email_masked, status, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        referrer,
        hash(platform, email),
        Email::masked(&email.display),
        if fails { "failed" } else { "accepted" },
        now,
        now + KEPT
    )?;
    Ok(id)
}

/// Where an invitation stood when its job was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its turn has come: from here on it can't be withdrawn.
    Now,
    /// It came before, and its address wants a second try.
    Before,
    /// It was withdrawn, or is gone.
    Never,
}

/// Begins its turn. One that a worker died over has its turn again.
pub async fn begin(tx: &mut Tx, id: InvitationId) -> Result<Begun, DbError> {
    let status: Option<(String,)> = fetch_optional!(
        tx,
        (String,),
        "UPDATE invitations SET status = CASE WHEN status = 'accepted' THEN 'sending' ELSE status END \
         WHERE id = $1 AND status IN ('accepted', 'sending', 'sent') RETURNING status",
        id
    )?;
    Ok(match status {
        Some((status,)) if status == "sent" => Begun::Before,
        Some(_) => Begun::Now,
        None => Begun::Never,
    })
}

/// How its turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The mail server is there.
    Sent,
    /// It is not: the turn comes again.
    Waits,
    /// The referrer's own side.
    Failed,
}

/// Writes that down.
pub async fn settle(tx: &mut Tx, platform: &Platform, id: InvitationId, turn: Turn) -> Result<(), DbError> {
    let (status, sent_at) = match turn {
        Turn::Sent => ("sent", Some(platform.clock.now())),
        Turn::Waits => ("accepted", None),
        Turn::Failed => ("failed", None),
    };
    execute!(
        tx,
        "UPDATE invitations SET status = $2, sent_at = $3 WHERE id = $1 AND status = 'sending'",
        id,
        status,
        sent_at
    )?;
    Ok(())
}

/// Takes one back that waits for its turn. `false` when it does not, or is not `referrer`'s.
pub async fn withdraw(tx: &mut Tx, platform: &Platform, referrer: UserId, id: InvitationId) -> Result<bool, DbError> {
    let withdrawn = execute!(
        tx,
        "UPDATE invitations SET status = 'withdrawn' \
         WHERE id = $1 AND referrer_id = $2 AND status = 'accepted' AND created_at > $3",
        id,
        referrer,
        platform.clock.now() - outbox::LIFETIME
    )?;
    Ok(withdrawn == 1)
}

/// One of `referrer`'s invitations.
pub async fn of(conn: &mut Conn, referrer: UserId, id: InvitationId) -> Result<Option<Row>, DbError> {
    fetch_optional!(
        conn,
        Row,
        "SELECT id, email_masked, status, created_at, sent_at FROM invitations WHERE id = $1 AND referrer_id = $2",
        id,
        referrer
    )
}

/// Invitations of `referrer`, newest first, below the id `before`; all, or those to one mailbox.
pub async fn page_of(
    conn: &mut Conn,
    platform: &Platform,
    referrer: UserId,
    email: Option<&Email>,
    before: Option<InvitationId>,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    let before = before.unwrap_or(InvitationId(uuid::Uuid::max()));
    // Two texts, so that each is served by its own index.
    match email {
        None => fetch_all!(
            conn,
            Row,
            "SELECT id, email_masked, status, created_at, sent_at FROM invitations \
             WHERE referrer_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            referrer,
            before,
            limit
        ),
        Some(email) => fetch_all!(
            conn,
            Row,
            "SELECT id, email_masked, status, created_at, sent_at FROM invitations \
             WHERE referrer_id = $1 AND email_hash = $4 AND id < $2 ORDER BY id DESC LIMIT $3",
            referrer,
            before,
            limit,
            hash(platform, email)
        ),
    }
}
