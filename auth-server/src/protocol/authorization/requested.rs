//! The `claims` parameter (OpenID Connect Core §5.5). Members that are not understood are ignored (§5.5.1); what is
//! understood must be what the specification says it is.

use serde_json::{Map, Value};
use shared::jose::json::{Bounds, parse_object};

use crate::clients::Client;
use crate::protocol::claims::{RequestedClaims, scope_of};
use crate::protocol::error::OAuthError;

const BOUNDS: Bounds = Bounds { max_bytes: 8 * 1024, max_depth: 8 };

/// The most subjects that may be named: each costs a look-up.
const MOST_SUBJECTS: usize = 10;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Claims about the person, within what the client registered.
    pub claims: RequestedClaims,
    /// Whoever signs in must be one of these (§5.5.1: `sub` with a value).
    pub subjects: Option<Vec<String>>,
    /// The sign-in must be one of these (§5.5.1.1: `acr` as an essential claim with values).
    pub acr: Option<Vec<String>>,
}

/// Reads the parameter.
pub(crate) fn parse(text: &str, client: &Client) -> Result<Asked, OAuthError> {
    let wrong = |what: &str| OAuthError::invalid_request(format!("claims: {what} (OpenID Connect Core 5.5)"));
    let parameter = parse_object(text.as_bytes(), &BOUNDS).map_err(|error| wrong(&error.to_string()))?;
    let mut asked = Asked::default();
    for place in ["userinfo", "id_token"] {
        let members = match parameter.get(place) {
            None => continue,
            Some(Value::Object(members)) => members,
            Some(_) => return Err(wrong(&format!("{place} must be an object"))),
        };
        for (name, member) in members {
            let request = Request::read(member).ok_or_else(|| {
                wrong("a claim is null, or an object with essential (boolean), value and values (array)")
            })?;
            match name.as_str() {
                "sub" => {
                    let Some(values) = request.values else { continue };
                    if values.len() > MOST_SUBJECTS {
                        return Err(wrong("there may be 10 values of sub at most"));
                    }
                    // Asked for in both places, it must fit both.
                    asked.subjects = Some(match asked.subjects.take() {
                        None => values,
                        Some(before) => before.into_iter().filter(|sub| values.contains(sub)).collect(),
                    });
                }
                "acr" if place == "id_token" && request.essential => asked.acr = request.values,
                _ if scope_of(name).is_some_and(|scope| client.metadata.scopes.iter().any(|s| s == scope)) => {
                    let list =
                        if place == "userinfo" { &mut asked.claims.userinfo } else { &mut asked.claims.id_token };
                    list.push(name.clone());
                }
                _ => {}
            }
        }
    }
    Ok(asked)
}

/// One claim's request (§5.5.1).
struct Request {
    essential: bool,
    /// From `value` or `values`; what is no text is no subject and no acr.
    values: Option<Vec<String>>,
}

impl Request {
    fn read(member: &Value) -> Option<Self> {
        let nothing = Map::new();
        let members = match member {
            Value::Null => &nothing,
            Value::Object(members) => members,
            _ => return None,
        };
        let essential = match members.get("essential") {
            None => false,
            Some(Value::Bool(essential)) => *essential,
            Some(_) => return None,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let values = match (members.get("value"), members.get("values")) {
            (None, None) => None,
            (Some(value), None) => Some(text(value).into_iter().collect()),
            (None, Some(Value::Array(values))) => Some(values.iter().filter_map(text).collect()),
            // Two ways of saying it, or an array that is none.
            _ => return None,
        };
        Some(Self { essential, values })
    }
}
