//! Hunter's email verifier (`GET /v2/email-verifier`). In the background it flags accounts; inline, if the operator
//! wants that, it refuses sign-ups. Only `invalid` and `disposable` count against a person; any failure of Hunter's
//! counts against nobody.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use shared::db::{DbError, Tx};
use shared::email::Email;
use shared::ids::UserId;
use shared::secret::Secret;
use shared::{Platform, execute};
use sqlx::types::Json;
use tracing::debug;
use url::Url;

use super::allowance::Allowance;
use super::call::{Failure, Manner, Reply, Service, secret_header};
use super::{Outside, forgotten};
use crate::AppState;

/// What an inline check may take in all.
const INLINE_BUDGET: Duration = Duration::from_millis(700);
/// Of which Hunter gets this.
const INLINE_TIMEOUT: Duration = Duration::from_millis(600);
/// In the background Hunter may talk to the address's mail server first, which takes seconds.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(25);

/// What is known of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailCheck {
    pub source: &'static str,
    /// `valid`, `invalid`, `accept_all`, `webmail`, `disposable` or `unknown`.
    pub status: String,
    /// 0 to 100.
    pub score: Option<i64>,
    /// The service's whole answer, an object.
    pub answer: Value,
}

impl EmailCheck {
    /// Does it count against the account?
    pub fn is_flagged(&self) -> bool {
        matches!(self.status.as_str(), "invalid" | "disposable")
    }
}

/// A service that knows whether an address takes mail.
#[async_trait]
pub trait EmailVerifier: Send + Sync {
    /// Asks about `email_key` ([`Email::key`]).
    async fn verify(&self, email_key: &str) -> Result<EmailCheck, Failure>;
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Background,
    Inline,
}

/// Hunter.
pub struct Hunter {
    service: Service,
    base_url: String,
    key: HeaderValue,
}

/// The header that carries Hunter's key: unlike a query, it is in nobody's access log.
pub(super) const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

impl Hunter {
    /// `None` when no key is configured. However patient, they ask out of one allowance.
    pub(super) fn new(platform: &Platform, patience: Patience, allowance: &Allowance) -> Option<Self> {
        let settings = &platform.config.verification;
        let (name, timeout) = match patience {
            Patience::Background => ("hunter", BACKGROUND_TIMEOUT),
            Patience::Inline => ("hunter-inline", INLINE_TIMEOUT),
        };
        Some(Self {
            service: Service::new(platform, name, timeout, Manner::Hunter, allowance.clone()),
            base_url: settings.base_url.as_str().to_owned(),
            key: header(settings.api_key.as_ref()?)?,
        })
    }
}

/// The key as a header's value. One that can't be a header is logged and treated as absent.
pub(super) fn header(key: &Secret) -> Option<HeaderValue> {
    let value = secret_header(key.expose());
    if value.is_none() {
        tracing::error!("verification.api_key holds characters that no key has; Hunter is not used");
    }
    value
}

#[async_trait]
impl EmailVerifier for Hunter {
    async fn verify(&self, email_key: &str) -> Result<EmailCheck, Failure> {
        let url = Url::parse_with_params(&format!("{}/v2/email-verifier", self.base_url), [("email", email_key)])
            .map_err(|_| Failure::Refused("verification.base_url is no URL".into()))?;
        match self.service.get(url, (KEY_HEADER, self.key.clone())).await? {
            Reply::NotFound => Err(Failure::Refused("status 404".into())),
            Reply::Found(answer) => read(answer),
        }
    }
}

fn read(mut answer: Value) -> Result<EmailCheck, Failure> {
    let no_answer = || Failure::Unavailable("its answer has no data.status".into());
    let data = answer.get_mut("data").map(Value::take).filter(Value::is_object).ok_or_else(no_answer)?;
    let status = data.get("status").and_then(Value::as_str).ok_or_else(no_answer)?;
    let status = match status {
        "valid" | "invalid" | "accept_all" | "webmail" | "disposable" => status.to_owned(),
        // `unknown`, or a word that was invented later.
        _ => "unknown".to_owned(),
    };
    Ok(EmailCheck { source: "hunter", status, score: data.get("score").and_then(Value::as_i64), answer: data })
}

/// Stores what is known of an account's address, in place of what was.
pub async fn store(tx: &mut Tx, platform: &Platform, user: UserId, check: &EmailCheck) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO email_checks (user_id, source, status, score, flagged, answer, checked_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (user_id) DO UPDATE SET source = $2, status = $3, score = $4, flagged = $5, answer = $6, \
         checked_at = $7, asked_at = NULL",
        user,
        check.source,
        &check.status,
        check.score,
        check.is_flagged(),
        Json(&check.answer),
        platform.clock.now()
    )?;
    if check.is_flagged() {
        let details = json!({ "source": check.source, "status": check.status });
        shared::audit::record(tx, platform, "email_check.flagged", Some(user), None, details).await?;
        shared::referrals::signals::email_verdict(tx, platform, user, &check.status).await?;
    }
    Ok(())
}

/// May this address sign up?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerdict {
    Accept,
    Refuse(Reason),
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("this address does not take mail")]
    Invalid,
    #[error("this is a throw-away address")]
    Disposable,
}

/// Asks about an address during sign-up, if `verification.inline` is set. It takes 700 ms at most and in doubt accepts.
/// Call it outside any transaction.
pub async fn inline_email_check(state: &AppState, email: &Email) -> EmailVerdict {
    state.outside.inline_email_check(email).await
}

impl Outside {
    /// [`inline_email_check`].
    pub async fn inline_email_check(&self, email: &Email) -> EmailVerdict {
        let Some(verifier) = &self.inline_verifier else { return EmailVerdict::Accept };
        let verdict = self.inline_verdict(verifier.as_ref(), email);
        tokio::time::timeout(INLINE_BUDGET, verdict).await.unwrap_or(EmailVerdict::Accept)
    }

    async fn inline_verdict(&self, verifier: &dyn EmailVerifier, email: &Email) -> EmailVerdict {
        match self.is_forgotten(&email.key).await {
            Ok(false) => {}
            // The sign-up itself will say that the database is out of reach.
            Ok(true) | Err(_) => return EmailVerdict::Accept,
        }
        match verifier.verify(&email.key).await {
            Ok(check) if check.status == "invalid" => EmailVerdict::Refuse(Reason::Invalid),
            Ok(check) if check.status == "disposable" => EmailVerdict::Refuse(Reason::Disposable),
            Ok(check) => {
                // The background check that follows need not pay for the same answer.
                self.answered.insert(email.key.clone(), check).await;
                EmailVerdict::Accept
            }
            Err(Failure::Claimed) => {
                // If there is no time left for this, the background check will be told the same.
                let _ = self.remember_claim(&email.key).await;
                EmailVerdict::Accept
            }
            Err(failure) => {
                debug!(%failure, "no inline email check");
                EmailVerdict::Accept
            }
        }
    }

    pub(super) async fn is_forgotten(&self, email_key: &str) -> Result<bool, DbError> {
        let mut conn = self.platform.db.read().await?;
        forgotten::contains(&mut conn, &self.platform, email_key).await
    }

    async fn remember_claim(&self, email_key: &str) -> Result<(), DbError> {
        let mut tx = self.platform.db.begin().await?;
        forgotten::remember(&mut tx, &self.platform, email_key).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_status_is_none_and_a_new_word_means_unknown() {
        assert!(matches!(read(json!({ "data": null })), Err(Failure::Unavailable(_))));
        assert!(matches!(read(json!({ "data": { "score": 1 } })), Err(Failure::Unavailable(_))));
        let check = read(json!({ "data": { "status": "risky", "score": 50 } })).unwrap();
        assert_eq!((check.status.as_str(), check.score, check.is_flagged()), ("unknown", Some(50), false));
    }
}
