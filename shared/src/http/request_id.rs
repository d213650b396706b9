//! The request's id: in the response, in the span, in every problem document. It names a request, it never proves
//! anything.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Clock;
use crate::random::Random;

/// The header it travels in.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// A task-local, because a problem document is written where no request is at hand.
    pub(super) static CURRENT: String;
}

/// The id of the request that is being answered; absent outside of one, and in tasks it spawned.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The id a trusted proxy gave, when it is sane, or a new one.
pub(super) fn settle(headers: &HeaderMap, from_trusted_proxy: bool, random: &Random, clock: &Clock) -> String {
    let given = headers.get(HEADER).filter(|_| from_trusted_proxy).and_then(sane);
    given.map_or_else(|| random.uuid_v7(clock).to_string(), str::to_owned)
}

/// Letters, digits and `-_.:` only: the id ends up in logs.
fn sane(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    (clean && (8..=128).contains(&text.len())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_may_name_a_request_and_only_sanely() {
        let settle = |value: &'static str, trusted| {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_static(value))]);
            settle(&headers, trusted, &Random::seeded(1), &Clock::system())
        };
        assert_eq!(settle("abc-12345", true), "abc-12345");
        assert_ne!(settle("abc-12345", false), "abc-12345");
        for bad in ["", "short", "with space", "new\tline-ish", "quote\"quote"] {
            assert_eq!(settle(bad, true).len(), 36, "{bad}");
        }
    }
}
