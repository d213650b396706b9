//! Rich authorization requests (RFC 9396): what a client may do, said more closely than a scope can.
//!
//! There is one type, `referral_code`: what may be done with the person's referral codes. Where a token carries it, it
//! and not the scope decides about referral codes at the referral API.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::jose::json::{Bounds, parse_object};
use shared::referrals::code::CodeKey;

use super::error::{Code, OAuthError};
use super::request::Parameters;
use crate::clients::Client;
use crate::state::AppState;

pub use crate::clients::AUTHORIZATION_DETAILS_TYPES as TYPES;

/// As much as is looked at.
const BOUNDS: Bounds = Bounds { max_bytes: 4096, max_depth: 6 };
const MOST: usize = 10;
/// What a referral code may be used at most.
const MOST_USES: u64 = 1_000_000;

/// One element of `authorization_details`. Unknown types and unknown members are refused (RFC 9396 §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AuthorizationDetail {
    ReferralCode(ReferralCode),
}

/// What may be done with the person's referral codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferralCode {
    pub actions: BTreeSet<Action>,
    /// Where: the referral API, the one place there is (RFC 9396 §2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<Vec<String>>,
    /// This code alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How often a code that is created may be used at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Read,
    Delete,
}

impl AuthorizationDetail {
    fn type_name(&self) -> &'static str {
        match self {
            Self::ReferralCode(_) => "referral_code",
        }
    }

    fn check(&self, state: &AppState) -> Result<(), OAuthError> {
        let Self::ReferralCode(ReferralCode { actions, locations, code, max_uses }) = self;
        if actions.is_empty() {
            return Err(refused("actions is empty"));
        }
        let api = state.platform.config.api.public_url.as_str();
        if locations.as_ref().is_some_and(|locations| locations.as_slice() != [api]) {
            return Err(refused("locations must name the referral API and nothing else"));
        }
        if code.as_ref().is_some_and(|code| CodeKey::fold(code).is_none()) {
            return Err(refused("code can't be a referral code"));
        }
        if max_uses.is_some_and(|max| !(1..=MOST_USES).contains(&max) || !actions.contains(&Action::Create)) {
            return Err(refused("max_uses must be a number from 1 to 1000000 and goes with the action create"));
        }
        Ok(())
    }

    /// Does what was granted include what is asked for?
    fn covers(&self, asked: &Self) -> bool {
        let (Self::ReferralCode(granted), Self::ReferralCode(asked)) = (self, asked);
        let same_code = match (&granted.code, &asked.code) {
            (None, _) => true,
            (Some(granted), Some(asked)) => CodeKey::fold(granted) == CodeKey::fold(asked),
            (Some(_), None) => false,
        };
        let within_uses = !asked.actions.contains(&Action::Create)
            || granted.max_uses.is_none_or(|granted| asked.max_uses.is_some_and(|asked| asked <= granted));
        granted.actions.is_superset(&asked.actions) && same_code && within_uses
    }
}

fn refused(reason: &str) -> OAuthError {
    OAuthError::new(Code::InvalidAuthorizationDetails, format!("authorization_details: {reason}"))
}

/// Reads the parameter: a JSON array, strictly (no member twice, nothing deep, nothing long).
pub(crate) fn parse(text: &str) -> Result<Vec<AuthorizationDetail>, OAuthError> {
    // Read as the one member of an object, so that the strict reader serves; a second member would be smuggled in.
    let object = parse_object(format!("{{\"details\":{text}}}").as_bytes(), &BOUNDS)
        .map_err(|error| refused(&error.to_string()))?;
    let details = match object.get("details") {
        Some(Value::Array(details)) if object.len() == 1 => details,
        _ => return Err(refused("not a JSON array")),
    };
    if details.is_empty() || details.len() > MOST {
        return Err(refused("1 to 10 elements are allowed"));
    }
    details.iter().map(read).collect()
}

fn read(detail: &Value) -> Result<AuthorizationDetail, OAuthError> {
    let named = detail.get("type").and_then(Value::as_str).ok_or_else(|| refused("an element has no type"))?;
    if !TYPES.contains(&named) {
        return Err(refused(&format!("there is no type {}", named.chars().take(40).collect::<String>())));
    }
    // An action that comes twice says nothing new, and is not what anybody means.
    let actions = detail.get("actions").and_then(Value::as_array).map_or(0, Vec::len);
    let read: AuthorizationDetail =
        serde_json::from_value(detail.clone()).map_err(|error| refused(&error.to_string()))?;
    let AuthorizationDetail::ReferralCode(code) = &read;
    if code.actions.len() != actions {
        return Err(refused("an action comes twice"));
    }
    Ok(read)
}

/// What an authorization request asks for, as it will stand in the token; empty when it asks for nothing.
///
/// # Errors
/// `invalid_authorization_details`, also for types that the client has not registered (RFC 9396 §5, §10).
pub fn requested(state: &AppState, client: &Client, parameters: &Parameters) -> Result<Vec<Value>, OAuthError> {
    let Some(text) = parameters.get("authorization_details") else { return Ok(vec![]) };
    let details = parse(&text)?;
    for detail in &details {
        if !client.metadata.authorization_details_types.iter().any(|registered| registered == detail.type_name()) {
            return Err(refused("the client has not registered this type"));
        }
        detail.check(state)?;
    }
    written(&details)
}

/// What a token request leaves of what was granted: all of it, or the less that it asks for (RFC 9396 §6, §7).
///
/// # Errors
/// `invalid_authorization_details` when it asks for more.
pub fn narrowed(state: &AppState, granted: &[Value], parameters: &Parameters) -> Result<Vec<Value>, OAuthError> {
    let Some(text) = parameters.get("authorization_details") else { return Ok(granted.to_vec()) };
    let asked = parse(&text)?;
    let granted: Vec<AuthorizationDetail> = granted.iter().map(read).collect::<Result<_, _>>()?;
    for detail in &asked {
        detail.check(state)?;
        if !granted.iter().any(|granted| granted.covers(detail)) {
            return Err(refused("this goes beyond what was granted"));
        }
    }
    written(&asked)
}

/// For grants that have no room for the parameter: better an error than a token that says less than was asked.
pub fn refuse(parameters: &Parameters) -> Result<(), OAuthError> {
    match parameters.get("authorization_details") {
        None => Ok(()),
        Some(_) => Err(refused("this grant gives none")),
    }
}

/// What was granted, for who shows or enforces it.
pub fn granted(details: &[Value]) -> impl Iterator<Item = AuthorizationDetail> + '_ {
    details.iter().filter_map(|detail| read(detail).ok())
}

pub(crate) fn written(details: &[AuthorizationDetail]) -> Result<Vec<Value>, OAuthError> {
    let values: Result<_, _> = details.iter().map(serde_json::to_value).collect();
    values.map_err(|_| OAuthError::new(Code::ServerError, "the details can't be written"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn detail(value: Value) -> AuthorizationDetail {
        read(&value).unwrap()
    }

    #[test]
    fn only_what_is_understood_whole_is_read__rfc9396_5() {
        for good in [
            r#"[{"type":"referral_code","actions":["read"]}]"#,
            r#" [ {"actions":["delete","create","read"],"code":"SPRING-26","max_uses":5,"type":"referral_code"} ] "#,
        ] {
            parse(good).unwrap();
        }
        for bad in [
            "",
            "x",
            "{}",
            "[]",
            "null",
            "[1]",
            "[[]]",
            "[{}]",
            r#"[{"type":"payment"}]"#,
            r#"[{"type":1,"actions":["read"]}]"#,
            r#"[{"type":"referral_code"}]"#,
            r#"[{"type":"referral_code","actions":"read"}]"#,
            r#"[{"type":"referral_code","actions":["read","read"]}]"#,
            r#"[{"type":"referral_code","actions":["fly"]}]"#,
            r#"[{"type":"referral_code","actions":["read"],"x":1}]"#,
            r#"[{"type":"referral_code","actions":["read"],"max_uses":-1}]"#,
            r#"[{"type":"referral_code","type":"referral_code","actions":["read"]}]"#,
            r#"[{"type":"referral_code","actions":["read"]}],"details":[]"#,
            r#"[{"type":"referral_code","actions":["read"]}],"x":[]"#,
            r#"[{"type":"referral_code","actions":[[[[[["read"]]]]]]}]"#,
        ] {
            assert_eq!(parse(bad).unwrap_err().code, Code::InvalidAuthorizationDetails, "{bad}");
        }
        let one = r#"{"type":"referral_code","actions":["read"]}"#;
        assert!(parse(&format!("[{}]", [one; MOST].join(","))).is_ok());
        assert!(parse(&format!("[{}]", [one; MOST + 1].join(","))).is_err());
        assert!(parse(&format!("[{one}{}]", " ".repeat(BOUNDS.max_bytes))).is_err());
    }

    #[test]
    fn less_is_covered_and_more_is_not__rfc9396_6() {
        let granted = json!({"type": "referral_code", "actions": ["create", "read"], "code": "SPRING", "max_uses": 5});
        for (asked, covered) in [
            (json!({"type": "referral_code", "actions": ["read"], "code": "spring"}), true),
            (json!({"type": "referral_code", "actions": ["create"], "code": "SPRING", "max_uses": 5}), true),
            (json!({"type": "referral_code", "actions": ["read"]}), false),
            (json!({"type": "referral_code", "actions": ["read"], "code": "AUTUMN"}), false),
            (json!({"type": "referral_code", "actions": ["delete"], "code": "SPRING"}), false),
            (json!({"type": "referral_code", "actions": ["create"], "code": "SPRING", "max_uses": 6}), false),
            (json!({"type": "referral_code", "actions": ["create"], "code": "SPRING"}), false),
        ] {
            assert_eq!(detail(granted.clone()).covers(&detail(asked.clone())), covered, "{asked}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"[\[\]{}":,a-z_0-9 \\]{0,80}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_read_is_written_back_and_covers_itself(
            actions in proptest::collection::btree_set(prop_oneof![Just("create"), Just("read"), Just("delete")], 1..4),
            code in proptest::option::of("[A-Z0-9]{4,8}"),
            max_uses in proptest::option::of(1u64..1000),
        ) {
            let mut value = json!({"type": "referral_code", "actions": actions});
            if let Some(code) = code { value["code"] = code.into(); }
            if let Some(max) = max_uses { value["max_uses"] = max.into(); }
            let details = parse(&json!([value]).to_string()).unwrap();
            prop_assert!(details[0].covers(&details[0]));
            let again = written(&details).unwrap();
            prop_assert_eq!(parse(&Value::from(again).to_string()).unwrap(), details);
        }
    }
}
