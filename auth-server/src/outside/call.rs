//! One request to an outside service and what can come of it: shared by Hunter and Clearbit.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use chrono::TimeDelta;
use serde_json::Value;
use shared::Platform;
use shared::clock::Clock;
use shared::outbound::{CircuitBreaker, Open, read_at_most};
use url::Url;

/// The longest answer that is read, in bytes. Real ones are a fifth of it.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Why a service told nothing about a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 202: it is still looking.
    #[error("the look-up is still queued")]
    NotYet,
    /// 222: the person's mail server answered Hunter strangely.
    #[error("the address's mail server could not be asked")]
    TheirServer,
    /// 451: the person asked the service to leave them alone.
    #[error("the person does not want to be looked up")]
    Claimed,
    /// The service refuses this very question; asking again gets the same answer.
    #[error("the service refuses the question: {0}")]
    Refused(String),
    /// 401, 402: the key or the plan does not serve.
    #[error("the service does not accept our key or plan (status {0})")]
    NotEntitled(u16),
    /// 403, 429: too many questions.
    #[error("the service limits us")]
    Limited { retry_after: Option<Duration> },
    /// Timeouts, broken connections, 5xx, answers that are none.
    #[error("the service does not serve: {0}")]
    Unavailable(String),
    /// It failed repeatedly and is being left alone.
    #[error(transparent)]
    Resting(#[from] Open),
}

/// What came back with one of the statuses that say something about the person: 200 or 404.
pub(super) enum Reply {
    Found(Value),
    NotFound,
}

/// A service with its patience and its breaker.
pub(super) struct Service {
    client: reqwest::Client,
    breaker: CircuitBreaker,
    timeout: Duration,
    clock: Clock,
}

impl Service {
    pub(super) fn new(platform: &Platform, name: &'static str, timeout: Duration) -> Self {
        Self {
            client: platform.outbound.trusted().clone(),
            breaker: platform.outbound.breaker(name, 5, Duration::from_secs(30)),
            timeout,
            clock: platform.clock.clone(),
        }
    }

    /// GETs `url` with one header that carries the key. The request is made once: the outbox is what tries again.
    pub(super) async fn get(&self, url: Url, key: (HeaderName, HeaderValue)) -> Result<Reply, Failure> {
        let permit = self.breaker.permit()?;
        let outcome = self.ask(url, key).await;
        match &outcome {
            Err(Failure::NotEntitled(_) | Failure::Limited { .. } | Failure::Unavailable(_)) => permit.failed(),
            _ => permit.succeeded(),
        }
        outcome
    }

    async fn ask(&self, url: Url, (name, key): (HeaderName, HeaderValue)) -> Result<Reply, Failure> {
        // The URL holds an address: it must not get into an error, which is stored and logged.
        let broken = |error: reqwest::Error| Failure::Unavailable(reason(&error.without_url()));
        let response = self.client.get(url).header(name, key).timeout(self.timeout).send().await.map_err(broken)?;
        let status = response.status();
        if status != StatusCode::OK {
            let retry_after = retry_after(response.headers(), &self.clock);
            return refusal(status, retry_after);
        }
        let body = read_at_most(response, MAX_ANSWER).await.map_err(|error| match error {
            shared::outbound::ReadError::TooLarge(_) => Failure::Refused(error.to_string()),
            shared::outbound::ReadError::Broken(error) => broken(error),
        })?;
        match serde_json::from_slice(&body) {
            Ok(value @ Value::Object(_)) => Ok(Reply::Found(storable(value))),
            _ => Err(Failure::Unavailable("its answer is no JSON object".into())),
        }
    }
}

/// What any status but 200 means.
fn refusal(status: StatusCode, retry_after: Option<Duration>) -> Result<Reply, Failure> {
    Err(match status.as_u16() {
        202 => Failure::NotYet,
        222 => Failure::TheirServer,
        401 | 402 => Failure::NotEntitled(status.as_u16()),
        403 | 429 => Failure::Limited { retry_after },
        404 => return Ok(Reply::NotFound),
        451 => Failure::Claimed,
        408 => Failure::Unavailable("status 408".into()),
        code @ 400..=499 => Failure::Refused(format!("status {code}")),
        code => Failure::Unavailable(format!("status {code}")),
    })
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3), or Clearbit's `X-RateLimit-Reset`, a Unix time. At most a day.
fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let seconds = number("retry-after").or_else(|| number("x-ratelimit-reset").map(|at| at - clock.timestamp()))?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?.min(86_400)))
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "timeout".into()
    } else if error.is_connect() {
        "no connection".into()
    } else {
        "broken connection".into()
    }
}

/// PostgreSQL's JSONB has no U+0000 in texts.
fn storable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.into_iter().map(storable).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name.replace('\0', ""), storable(value))).collect()
        }
        other => other,
    }
}

/// A key as a header's value that is kept out of logs. `None` when it holds what no header may.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How long to wait before the question is asked again: at least this, whatever the ordinary backoff says. `None`:
/// never again.
pub(super) fn patience(failure: &Failure) -> Option<TimeDelta> {
    let at_least = |wait: Option<Duration>, floor: i64| {
        let wait = wait.and_then(|w| TimeDelta::from_std(w).ok()).unwrap_or_default();
        Some(wait.max(TimeDelta::seconds(floor)))
    };
    match failure {
        Failure::NotYet => Some(TimeDelta::seconds(10)),
        // Somebody else's mail server does not get better by the minute.
        Failure::TheirServer => Some(TimeDelta::hours(6)),
        Failure::Limited { retry_after } => at_least(*retry_after, 60),
        // An operator has to do something about it.
        Failure::NotEntitled(_) => Some(TimeDelta::minutes(30)),
        Failure::Resting(open) => at_least(Some(open.retry_after), 1),
        Failure::Unavailable(_) => Some(TimeDelta::zero()),
        Failure::Refused(_) | Failure::Claimed => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_dialects_and_bounded() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_000, 0).unwrap());
        let read = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            retry_after(&headers, &clock)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("x-ratelimit-reset", "1030"), Some(Duration::from_secs(30)));
        assert_eq!(read("x-ratelimit-reset", "900"), None);
        assert_eq!(read("retry-after", "99999999"), Some(Duration::from_secs(86_400)));
        assert_eq!(read("retry-after", "soon"), None);
    }

    #[test]
    fn what_postgresql_can_not_store_is_taken_out_at_any_depth() {
        let value = storable(json!({ "a\u{0}": ["x\u{0}y", { "b": "\u{0}" }], "n": 1 }));
        assert_eq!(value, json!({ "a": ["xy", { "b": "" }], "n": 1 }));
    }
}
