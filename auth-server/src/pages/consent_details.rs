//! Authorization details (RFC 9396) in the words of the consent page: one line for each thing that may be done.

use serde_json::Value;

use super::texts::Texts;
use crate::protocol::authorization_details::{self, Action, AuthorizationDetail, ReferralCode};

/// The lines for `details`.
pub fn words(t: Texts, details: &[Value]) -> Vec<String> {
    authorization_details::granted(details).flat_map(|detail| lines(t, &detail)).collect()
}

fn lines(t: Texts, detail: &AuthorizationDetail) -> Vec<String> {
    let AuthorizationDetail::ReferralCode(ReferralCode { actions, code, max_uses, .. }) = detail;
    let line = |action: &Action| {
        let mut line = match action {
            Action::Create => t.get("consent-code-create"),
            Action::Read => t.get("consent-code-read"),
            Action::Delete => t.get("consent-code-delete"),
        };
        if let Some(code) = code {
            line.push(' ');
            line.push_str(&t.with("consent-code-only", "code", code));
        }
        if let (Action::Create, Some(max)) = (action, max_uses) {
            line.push(' ');
            line.push_str(&t.with("consent-code-uses", "max", max));
        }
        line
    };
    actions.iter().map(line).collect()
}
