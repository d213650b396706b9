//! One request to an outside service and what can come of it: shared by Hunter and Clearbit.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use chrono::TimeDelta;
use serde_json::Value;
use shared::Platform;
use shared::clock::Clock;
use shared::outbound::{CircuitBreaker, Open, read_at_most};
use tracing::{debug, warn};
use url::Url;

use super::allowance::{Allowance, LONGEST_REST};

/// The longest answer that is read, in bytes. Real ones are a fifth of it.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Why a service told nothing about a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 202: it is still looking, and may say when to come back.
    #[error("the look-up is still queued")]
    NotYet { retry_after: Option<Duration> },
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
    Limited { wait: Duration },
    /// Not asked: all that we may ask is used up for now.
    #[error("the service's allowance is used up")]
    NoRoom { wait: Duration },
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

/// How a service tells that it limits us, where it names no time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// 429: its minute is used up.
    Clearbit,
    /// 403: its second or minute is used up; 429: its month is.
    Hunter,
}

impl Manner {
    fn rest(self, status: StatusCode) -> Duration {
        match (self, status) {
            (Self::Hunter, StatusCode::TOO_MANY_REQUESTS) => Duration::from_secs(3600),
            _ => Duration::from_secs(60),
        }
    }
}

/// A service with its patience, its breaker and its allowance.
pub(super) struct Service {
    client: reqwest::Client,
    breaker: CircuitBreaker,
    allowance: Allowance,
    manner: Manner,
    timeout: Duration,
    clock: Clock,
}

/// What came of asking.
struct Asked {
    outcome: Result<Reply, Failure>,
    /// Does it count in the plan's month?
    is_charged: bool,
    /// For how long nobody should ask anything.
    rest: Option<Duration>,
}

impl Service {
    pub(super) fn new(
        platform: &Platform,
        name: &'static str,
        timeout: Duration,
        manner: Manner,
        allowance: Allowance,
    ) -> Self {
        Self {
            client: platform.outbound.trusted().clone(),
            breaker: platform.outbound.breaker(name, 5, Duration::from_secs(30)),
            allowance,
            manner,
            timeout,
            clock: platform.clock.clone(),
        }
    }

    /// GETs `url` with one header that carries the key. The request is made once: the outbox is what tries again.
    pub(super) async fn get(&self, url: Url, key: (HeaderName, HeaderValue)) -> Result<Reply, Failure> {
        let permit = self.breaker.permit()?;
        let room = self.allowance.take().await?;
        let Asked { outcome, is_charged, rest } = self.ask(url, key).await;
        match &outcome {
            Err(Failure::NotEntitled(_) | Failure::Limited { .. } | Failure::Unavailable(_)) => permit.failed(),
            _ => permit.succeeded(),
        }
        // If either can't be written, the service itself will say it again.
        if let Some(rest) = rest
            && let Err(error) = self.allowance.leave_alone(rest).await
        {
            warn!(%error, "the other instances can't be told that a service wishes to be left alone");
        }
        if !is_charged && let Err(error) = self.allowance.give_back(room).await {
            debug!(%error, "a question that was not answered counts");
        }
        outcome
    }

    async fn ask(&self, url: Url, (name, key): (HeaderName, HeaderValue)) -> Asked {
        // The URL holds an address: it must not get into an error, which is stored and logged.
        let broken = |error: reqwest::Error| Failure::Unavailable(reason(&error.without_url()));
        let response = match self.client.get(url).header(name, key).timeout(self.timeout).send().await {
            Ok(response) => response,
            // It may have done the work, and only we did not wait for it.
            Err(error) => {
                return Asked { is_charged: error.is_timeout(), outcome: Err(broken(error)), rest: None };
            }
        };
        let status = response.status();
        let rest = self.rest(status, response.headers());
        if status != StatusCode::OK {
            let retry_after = retry_after(response.headers());
            let outcome = refusal(status, retry_after, rest);
            return Asked { is_charged: outcome.is_ok(), outcome, rest };
        }
        let body = read_at_most(response, MAX_ANSWER).await.map_err(|error| match error {
            shared::outbound::ReadError::TooLarge(_) => Failure::Refused(error.to_string()),
            shared::outbound::ReadError::Broken(error) => broken(error),
        });
        let outcome = body.and_then(|body| match serde_json::from_slice(&body) {
            Ok(value @ Value::Object(_)) => Ok(Reply::Found(storable(value))),
            _ => Err(Failure::Unavailable("its answer is no JSON object".into())),
        });
        Asked { outcome, is_charged: true, rest }
    }

    /// What an answer says about all our questions: too many by now, or this was the last one for a while.
    fn rest(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let named = retry_after(headers);
        let reset = reset(headers, &self.clock);
        match status {
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                Some(named.or(reset).unwrap_or_else(|| self.manner.rest(status)))
            }
            status if status.is_server_error() => named,
            _ if number(headers, "x-ratelimit-remaining") == Some(0) => reset,
            _ => None,
        }
    }
}

/// What any status but 200 means.
fn refusal(status: StatusCode, retry_after: Option<Duration>, rest: Option<Duration>) -> Result<Reply, Failure> {
    Err(match status.as_u16() {
        202 => Failure::NotYet { retry_after },
        222 => Failure::TheirServer,
        401 | 402 => Failure::NotEntitled(status.as_u16()),
        403 | 429 => Failure::Limited { wait: rest.unwrap_or_default() },
        404 => return Ok(Reply::NotFound),
        451 => Failure::Claimed,
        408 => Failure::Unavailable("status 408".into()),
        code @ 400..=499 => Failure::Refused(format!("status {code}")),
        code => Failure::Unavailable(format!("status {code}")),
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3), a day at most.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = u64::try_from(number(headers, "retry-after")?).ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_REST))
}

/// Clearbit's `X-RateLimit-Reset`, a Unix time; as the time until then, a day at most.
fn reset(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let seconds = u64::try_from(number(headers, "x-ratelimit-reset")?.checked_sub(clock.timestamp())?).ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_REST))
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
pub(super) fn storable(value: Value) -> Value {
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
        Failure::NotYet { retry_after } => at_least(*retry_after, 10),
        // Somebody else's mail server does not get better by the minute.
        Failure::TheirServer => Some(TimeDelta::hours(6)),
        Failure::Limited { wait } | Failure::NoRoom { wait } => at_least(Some(*wait), 0),
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
    fn what_a_service_wishes_is_read_in_both_dialects_and_bounded() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_000, 0).unwrap());
        let header = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        assert_eq!(retry_after(&header("retry-after", "7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&header("retry-after", "99999999")), Some(LONGEST_REST));
        for nonsense in ["soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(retry_after(&header("retry-after", nonsense)), None, "{nonsense}");
        }
        assert_eq!(reset(&header("x-ratelimit-reset", "1030"), &clock), Some(Duration::from_secs(30)));
        assert_eq!(reset(&header("x-ratelimit-reset", "900"), &clock), None);
        assert_eq!(reset(&header("x-ratelimit-reset", "-9223372036854775808"), &clock), None);
        assert_eq!(reset(&header("x-ratelimit-reset", "9223372036854775807"), &clock), Some(LONGEST_REST));
    }

    #[test]
    fn what_postgresql_can_not_store_is_taken_out_at_any_depth() {
        let value = storable(json!({ "a\u{0}": ["x\u{0}y", { "b": "\u{0}" }], "n": 1 }));
        assert_eq!(value, json!({ "a": ["xy", { "b": "" }], "n": 1 }));
    }
}
