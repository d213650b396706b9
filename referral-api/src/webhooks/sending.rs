//! One attempt: the request, and what its answer means ("Delivery success and failure").

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use shared::Platform;
use shared::outbound::{read_at_most, refusal};
use shared::webhooks::MessageId;
use tokio::time::{Instant, timeout};
use url::Url;

use super::keys::SigningKeys;

/// Of an answer nothing counts but its status. A little is read, so that the connection can be used again, and not for
/// long.
const MAX_ANSWER: usize = 4096;
const ANSWER: Duration = Duration::from_secs(1);

/// For how long an endpoint may ask to be left alone at most.
const LONGEST_WISH: TimeDelta = TimeDelta::hours(24);
/// How long one is left alone that says it is overloaded, and not until when.
const THROTTLE: TimeDelta = TimeDelta::seconds(60);

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: Option<u16>,
    /// Why there is no status. Holds nothing of the answer and no address.
    pub error: Option<&'static str>,
    /// For how long it asked to be left alone.
    pub wish: Option<TimeDelta>,
    pub duration: Duration,
}

/// What that means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// 410: the endpoint wants no more.
    Gone,
    Failed,
}

impl Outcome {
    /// 2xx is success and everything else is not, redirects included.
    pub fn verdict(&self) -> Verdict {
        match self.status {
            Some(200..=299) => Verdict::Delivered,
            Some(410) => Verdict::Gone,
            _ => Verdict::Failed,
        }
    }

    /// How long to leave the endpoint alone with everything: as long as it asked for, or for a while when it says that it is
    /// overloaded.
    pub fn throttle(&self) -> Option<TimeDelta> {
        match self.status {
            Some(429 | 502 | 503 | 504) => Some(self.wish.unwrap_or(THROTTLE)),
            _ => self.wish,
        }
    }
}

/// Posts a message. The time it is signed with is that of this attempt, the id that of all of them.
pub async fn post(platform: &Platform, url: &str, keys: &SigningKeys, id: MessageId, payload: String) -> Outcome {
    let began = Instant::now();
    let refused = |error| Outcome { status: None, error: Some(error), wish: None, duration: began.elapsed() };
    let Ok(url) = Url::parse(url) else { return refused("refused") };
    // The guard judges the URL and, once its name is resolved, the address: names move.
    let Ok(request) = platform.outbound.guarded().post(&url) else { return refused("refused") };
    let timestamp = platform.clock.timestamp();
    let signature = keys.sign(id, timestamp, &payload);
    let sent = request
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id.to_string())
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .timeout(Duration::from_secs(platform.config.webhooks.timeout_seconds))
        .body(payload)
        .send()
        .await;
    match sent {
        Ok(response) => {
            let (status, now) = (response.status(), platform.clock.now());
            let wish = wish(status, response.headers(), now);
            let duration = began.elapsed();
            let _ = timeout(ANSWER, read_at_most(response, MAX_ANSWER)).await;
            Outcome { status: Some(status.as_u16()), error: None, wish, duration }
        }
        Err(error) if refusal(&error).is_some() => refused("private_address"),
        Err(error) if error.is_timeout() => refused("timeout"),
        Err(error) if error.is_connect() => refused("no_connection"),
        Err(_) => refused("broken_connection"),
    }
}

/// `Retry-After` of an answer that is no success, in seconds or as a date (RFC 9110 §10.2.3), within bounds.
fn wish(status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Option<TimeDelta> {
    if status.is_success() {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = match text.parse::<u32>() {
        Ok(seconds) => TimeDelta::seconds(seconds.into()),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now,
    };
    (wish > TimeDelta::zero()).then(|| wish.min(LONGEST_WISH))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn outcome(status: Option<u16>) -> Outcome {
        Outcome { status, error: None, wish: None, duration: Duration::ZERO }
    }

    #[test]
    fn only_2xx_is_success_and_410_ends_it() {
        for status in [200, 201, 204, 299] {
            assert_eq!(outcome(Some(status)).verdict(), Verdict::Delivered, "{status}");
        }
        for status in [100, 300, 301, 302, 307, 308, 400, 404, 409, 429, 500, 502, 503, 504, 999] {
            assert_eq!(outcome(Some(status)).verdict(), Verdict::Failed, "{status}");
        }
        assert_eq!(outcome(Some(410)).verdict(), Verdict::Gone);
        assert_eq!(outcome(None).verdict(), Verdict::Failed);
        for status in [429, 502, 503, 504] {
            assert_eq!(outcome(Some(status)).throttle(), Some(THROTTLE), "{status}");
        }
        assert_eq!(outcome(Some(500)).throttle(), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:00Z").unwrap().to_utc();
        let read = |status: u16, value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            wish(StatusCode::from_u16(status).unwrap(), &headers, now)
        };
        assert_eq!(read(503, "120"), Some(TimeDelta::seconds(120)));
        assert_eq!(read(503, "Sun, 06 Nov 1994 08:49:37 GMT"), Some(TimeDelta::seconds(37)));
        assert_eq!(read(429, "4000000000"), Some(LONGEST_WISH));
        assert_eq!(read(503, "Sat, 06 Nov 2094 08:49:37 GMT"), Some(LONGEST_WISH));
        for nothing in ["0", "-1", "soon", "Sun, 06 Nov 1994 08:48:37 GMT"] {
            assert_eq!(read(503, nothing), None, "{nothing}");
        }
        assert_eq!(read(200, "120"), None);
    }
}
