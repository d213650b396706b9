//! Rich authorization requests (RFC 9396): where a token carries details of the type `referral_code`, they and not its
//! scope decide about the person's own referral codes.

use axum::http::Method;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::Value;
use shared::problem::Problem;
use shared::referrals::code::CodeKey;

use super::AccessToken;
use super::challenge::{Refusal, answer};
use crate::state::AppState;

/// The type of authorization details that is looked at here (`authorization_details_types_supported`).
pub const TYPE: &str = "referral_code";
const CODES: &str = "/v1/referral-codes";

/// One element of the claim. The authorization server made sure that there is nothing else in it.
#[derive(Clone, Debug, Deserialize)]
struct Detail {
    actions: Vec<String>,
    code: Option<String>,
    max_uses: Option<i64>,
}

/// What the token's details of this type allow.
#[derive(Clone, Debug)]
pub struct Details(Vec<Detail>);

impl Details {
    /// `None` for a token without any, whose scope decides. One that can't be read allows nothing.
    pub(super) fn of(claim: &[Value]) -> Option<Self> {
        let mut ours = claim.iter().filter(|detail| detail["type"] == TYPE).peekable();
        ours.peek()?;
        Some(Self(ours.filter_map(|detail| Detail::deserialize(detail).ok()).collect()))
    }

    /// May a request do `target`? Of a creation, what it may create is asked later: [`Details::allow_creating`].
    pub(super) fn allow(&self, target: &Target) -> bool {
        target.actions.iter().all(|wanted| {
            self.0.iter().filter(|detail| detail.actions.iter().any(|action| action == wanted)).any(|detail| {
                let limit = detail.code.as_deref();
                *wanted == "create" || limit.is_none() || is_same(limit, target.code.as_deref())
            })
        })
    }

    /// May a code be created with this text (drawn, when there is none) and for so many uses?
    fn allow_creating(&self, code: Option<&str>, max_uses: Option<i64>) -> bool {
        self.0.iter().filter(|detail| detail.actions.iter().any(|action| action == "create")).any(|detail| {
            let fits = detail.code.is_none() || is_same(detail.code.as_deref(), code);
            let within = detail.max_uses.is_none_or(|most| max_uses.is_some_and(|uses| uses <= most));
            fits && within
        })
    }
}

impl AccessToken {
    /// May this token create such a code? Always, where it has no details: its scope was asked before.
    pub fn may_create(&self, code: Option<&str>, max_uses: Option<i64>, state: &AppState) -> Result<(), Problem> {
        if self.details().is_none_or(|details| details.allow_creating(code, max_uses)) {
            return Ok(());
        }
        let refusal = Refusal::Details("the authorization_details of the token allow another code, or fewer uses");
        Err(answer(refusal, Some(self.scheme), state))
    }
}

fn is_same(limit: Option<&str>, code: Option<&str>) -> bool {
    let (limit, code) = (limit.and_then(CodeKey::fold), code.and_then(CodeKey::fold));
    limit.is_some() && limit == code
}

/// What a request does with the caller's own codes.
pub(super) struct Target {
    /// All of them: who replaces a code deletes one and creates another.
    actions: &'static [&'static str],
    /// The code in the path, as written there.
    code: Option<String>,
}

impl Target {
    /// `None` for requests about anything else: a look-up of somebody's code, invitations, referrals.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let actions: &[&str] = match parts.method {
            Method::POST => &["create"],
            Method::DELETE => &["delete"],
            Method::GET | Method::HEAD => &["read"],
            _ => return None,
        };
        let rest = parts.uri.path().strip_prefix(CODES)?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Some(Self { actions, code: None }),
            Some("lookup") | None => None,
            Some(code) => {
                // What is below a code is the code's.
                let (code, below) = code.split_once('/').unwrap_or((code, ""));
                let actions = if below == "rotate" { &["delete", "create"] } else { actions };
                Some(Self { actions, code: Some(code.to_owned()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(method: &str, path: &str) -> Option<Target> {
        Target::of(&axum::http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn details_confine_a_token_to_their_actions_and_code__rfc9396_9() {
        let details = |claim: Value| Details::of(claim.as_array().unwrap());
        assert!(details(json!([])).is_none() && details(json!([{ "type": "other" }])).is_none());
        let read = details(json!([{ "type": "referral_code", "actions": ["read"] }])).unwrap();
        let one =
            details(json!([{ "type": "referral_code", "actions": ["read", "delete"], "code": "SPRING" }])).unwrap();
        for (method, path, by_read, by_one) in [
            ("GET", "/v1/referral-codes", true, false),
            ("GET", "/v1/referral-codes/OTHER123", true, false),
            ("GET", "/v1/referral-codes/spring", true, true),
            ("DELETE", "/v1/referral-codes/SPRING", false, true),
            ("DELETE", "/v1/referral-codes/OTHER123", false, false),
            ("DELETE", "/v1/referral-codes/%53PRING", false, false),
            ("POST", "/v1/referral-codes", false, false),
            ("GET", "/v1/referral-codes/SPRING/stats", true, true),
            ("GET", "/v1/referral-codes/OTHER123/qr.svg", true, false),
            ("POST", "/v1/referral-codes/SPRING/rotate", false, false),
        ] {
            let target = target(method, path).unwrap();
            assert_eq!((read.allow(&target), one.allow(&target)), (by_read, by_one), "{method} {path}");
        }
        for path in ["/v1/referral-codes/lookup", "/v1/invitations", "/v1/referrers/me/referrals"] {
            assert!(target("GET", path).is_none(), "{path}");
        }
        let both = json!([{ "type": "referral_code", "actions": ["delete", "create"], "code": "SPRING" }]);
        let both = details(both).unwrap();
        assert!(both.allow(&target("POST", "/v1/referral-codes/spring/rotate").unwrap()));
        assert!(
            !both.allow(&target("POST", "/v1/referral-codes/other123/rotate").unwrap()),
            "to delete is for one code"
        );
        let broken = details(json!([{ "type": "referral_code", "actions": "read" }])).unwrap();
        assert!(!broken.allow(&target("GET", "/v1/referral-codes").unwrap()));
    }

    #[test]
    fn a_creation_stays_within_the_code_and_the_uses_that_were_granted__rfc9396_9() {
        let claim = json!([{ "type": "referral_code", "actions": ["create"], "code": "SPRING", "max_uses": 10 }]);
        let details = Details::of(claim.as_array().unwrap()).unwrap();
        assert!(details.allow(&target("POST", "/v1/referral-codes").unwrap()));
        for (code, uses, allowed) in [
            (Some("Spring"), Some(10), true),
            (Some("SPRING"), Some(11), false),
            (Some("SPRING"), None, false),
            (None, Some(1), false),
            (Some("SUMMER"), Some(1), false),
        ] {
            assert_eq!(details.allow_creating(code, uses), allowed, "{code:?} {uses:?}");
        }
    }
}
