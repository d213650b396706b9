//! The request's id: in the response, in the span, in every problem document. It names a request, it never proves
//! anything.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::fmt::Hyphenated;

use crate::clock::Clock;
use crate::random::Random;

/// The header it travels in.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id a trusted proxy gave, when it is sane, or a new one: text in any case.
pub(super) fn settle(headers: &HeaderMap, from_trusted_proxy: bool, random: &Random, clock: &Clock) -> HeaderValue {
    let given = headers.get(HEADER).filter(|value| from_trusted_proxy && is_sane(value.as_bytes()));
    given.cloned().unwrap_or_else(|| {
        let (id, mut text) = (random.uuid_v7(clock), [0; Hyphenated::LENGTH]);
        let text = id.hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).expect("hexadecimal digits and hyphens may stand in a header")
    })
}

/// Letters, digits and `-_.:` only: the id ends up in logs.
fn is_sane(id: &[u8]) -> bool {
    (8..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
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
