//! Clearbit's webhooks: a look-up that it has queued is answered by a call of its own, as soon as it is done. What it
//! tells is stored as if it had been fetched.
//!
//! As documented (dashboard.clearbit.com/docs, «Webhooks»; github.com/clearbit/clearbit-ruby, `lib/clearbit/webhook.rb`):
//! a look-up may carry `webhook_url` and `webhook_id`, which the call repeats; its body is
//! `{id, type, webhook_id, status, body}`, where `type` is `person`, `company` or `person_company`, `status` what the
//! look-up would have been answered with, and `body` its answer; the header `X-Request-Signature` is `sha1=` and the
//! HMAC-SHA1 of the raw body in hexadecimal, under the account's secret API key. (Of calls before 2020 it is told that the
//! key was used without its `sk_`; that is why the secret is a setting of its own.)

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::db::{DbError, Tx};
use shared::ids::UserId;
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_optional};
use tracing::debug;
use uuid::Uuid;

use super::call::{Failure, storable};
use super::enrichment::{self, Enrichment};
use super::{Outside, forgotten};

/// Where Clearbit calls.
pub const PATH: &str = "/webhooks/clearbit";

const PURPOSE: &str = "lookup-callback";
/// For how long an answer is waited for. No time is documented; polling goes on meanwhile.
const PATIENCE: TimeDelta = TimeDelta::days(3);

/// A late answer that may come. It is known by an id that was drawn for one question and says nothing about the person;
/// kept is its hash.
#[derive(Debug)]
pub(super) struct Callback {
    id: TokenHash,
    email_hash: Vec<u8>,
}

impl Callback {
    pub(super) fn new(platform: &Platform, webhook_id: &PlainToken, email_key: &str) -> Self {
        Self { id: webhook_id.hash(), email_hash: platform.master_key.mac(PURPOSE, email_key.as_bytes()) }
    }

    /// Waits for it as long as `job` does. When the job is gone meanwhile, this is a foreign key's violation.
    pub(super) async fn expect(self, tx: &mut Tx, platform: &Platform, job: Uuid) -> Result<(), DbError> {
        let now = platform.clock.now();
        execute!(
            tx,
            "INSERT INTO lookup_callbacks (id_hash, job_id, email_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
            self.id,
            job,
            self.email_hash,
            now,
            now + PATIENCE
        )?;
        Ok(())
    }
}

/// Signed by Clearbit, and not what Clearbit sends.
#[derive(Debug, thiserror::Error)]
#[error("the body is no webhook of Clearbit's")]
pub struct Unreadable;

/// Why a call was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A webhook's body. What else it holds is left alone.
#[derive(Deserialize)]
struct Call {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    webhook_id: Option<String>,
    status: u16,
    #[serde(default)]
    body: Value,
}

/// What a call tells.
enum News {
    Person(Enrichment),
    /// The person wants to be left alone.
    Claim,
    /// A half of the answer, as older versions of the API send it: the whole can be fetched.
    Ready,
}

/// Whom a call is about, and by which job they are asked about.
#[derive(sqlx::FromRow)]
struct Expected {
    job_id: Uuid,
    email_hash: Vec<u8>,
    user_id: UserId,
    email_key: String,
}

impl Outside {
    /// Are webhooks taken at all?
    pub fn takes_callbacks(&self) -> bool {
        self.platform.config.enrichment.webhook_secret.is_some()
    }

    /// Did whoever knows the secret sign `body`? `signature` is the header's value. Compared in constant time.
    pub fn is_signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some(secret) = &self.platform.config.enrichment.webhook_secret else { return false };
        let Some(mac) = signature.strip_prefix("sha1=").and_then(hexadecimal) else { return false };
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
        hmac::verify(&key, body, &mac).is_ok()
    }

    /// Takes what a signed `body` tells, once. One that is about nobody (unknown, used, of a person who is gone or was
    /// forgotten) is taken just the same, and comes to nothing.
    ///
    /// # Errors
    /// A body that can't be read; the database.
    pub async fn called_back(&self, body: &[u8]) -> Result<(), CallbackError> {
        let call: Call = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        // One of ours is 256 bits in base64url.
        let Some(webhook_id) = call.webhook_id.filter(|id| id.len() == 43).map(PlainToken::presented) else {
            return Ok(());
        };
        let Some(news) = news(&call.kind, call.status, call.body)? else { return Ok(()) };
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let Some(expected) = expected(&mut tx, platform, &webhook_id.hash()).await? else {
            debug!("a webhook about nobody we wait for");
            return Ok(());
        };
        let about = platform.master_key.mac(PURPOSE, expected.email_key.as_bytes());
        let is_current =
            about == expected.email_hash && !forgotten::contains(&mut tx, platform, &expected.email_key).await?;
        let news = if is_current { news } else { News::Ready };
        if !consume(&mut tx, platform, &expected, &webhook_id.hash(), matches!(news, News::Ready)).await? {
            return Ok(());
        }
        let user = expected.user_id;
        let details = json!({ "source": "clearbit", "status": call.status });
        audit::record(&mut tx, platform, "lookup.called_back", Some(user), None, details).await?;
        match news {
            News::Person(person) => enrichment::store(&mut tx, platform, user, &person).await?,
            News::Claim => forgotten::forget(&mut tx, platform, user, &expected.email_key).await?,
            News::Ready => {}
        }
        Ok(tx.commit().await?)
    }
}

/// What a call of this kind and status tells; `None` when it leaves everything as it is: polling goes on.
fn news(kind: &str, status: u16, body: Value) -> Result<Option<News>, Unreadable> {
    let person = |found| Some(News::Person(Enrichment { source: "clearbit", found }));
    Ok(match (kind, status) {
        (_, 451) => Some(News::Claim),
        ("person_company", 200) => match enrichment::read(storable(body)) {
            Ok(found) => person(found),
            Err(Failure::NotYet { .. }) => None,
            Err(_) => return Err(Unreadable),
        },
        ("person_company", 404) => person(None),
        ("person" | "company", 200 | 404) => Some(News::Ready),
        _ => None,
    })
}

async fn expected(tx: &mut Tx, platform: &Platform, id: &TokenHash) -> Result<Option<Expected>, DbError> {
    fetch_optional!(
        tx,
        Expected,
        "SELECT c.job_id, c.email_hash, u.id AS user_id, u.email_key FROM lookup_callbacks c \
         JOIN outbox o ON o.id = c.job_id JOIN users u ON u.id = o.user_id WHERE c.id_hash = $1 AND c.expires_at > $2",
        id,
        platform.clock.now()
    )
}

/// Ends what the call is about, for one of all who try: the job, with which every id of its goes, or, where the job has to
/// `go_on`, this id alone. The job comes first in both, as in everything else that touches the two.
async fn consume(
    tx: &mut Tx,
    platform: &Platform,
    expected: &Expected,
    id: &TokenHash,
    go_on: bool,
) -> Result<bool, DbError> {
    if !go_on {
        let ended = execute!(
            tx,
            "DELETE FROM outbox WHERE id = $1 AND EXISTS (SELECT 1 FROM lookup_callbacks WHERE id_hash = $2)",
            expected.job_id,
            id
        )?;
        return Ok(ended > 0);
    }
    execute!(
        tx,
        "UPDATE outbox SET next_attempt_at = $2 WHERE id = $1 AND next_attempt_at > $2",
        expected.job_id,
        platform.clock.now()
    )?;
    Ok(execute!(tx, "DELETE FROM lookup_callbacks WHERE id_hash = $1", id)? > 0)
}

/// Twenty bytes in hexadecimal.
fn hexadecimal(text: &str) -> Option<[u8; 20]> {
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 20];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_forty_hexadecimal_digits() {
        assert_eq!(hexadecimal(&"0F".repeat(20)), Some([15; 20]));
        for wrong in ["", "0f", &"0f".repeat(21), &"0g".repeat(20), &"+1".repeat(20), &"é".repeat(20)] {
            assert_eq!(hexadecimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_is_final_is_news() {
        let found = json!({ "person": { "id": "1" }, "company": null });
        assert!(matches!(news("person_company", 200, found.clone()), Ok(Some(News::Person(_)))));
        assert!(matches!(
            news("person_company", 404, Value::Null),
            Ok(Some(News::Person(Enrichment { found: None, .. })))
        ));
        assert!(matches!(news("person", 451, Value::Null), Ok(Some(News::Claim))));
        assert!(matches!(news("company", 200, found.clone()), Ok(Some(News::Ready))));
        for status in [202, 400, 422, 429, 500, 503] {
            assert!(matches!(news("person_company", status, found.clone()), Ok(None)), "{status}");
        }
        assert!(matches!(news("of_next_year", 200, found), Ok(None)));
        assert!(news("person_company", 200, json!({ "hello": 1 })).is_err());
        assert!(news("person_company", 200, json!([])).is_err());
    }
}
