//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2): read and checked ([`validate`]), kept under
//! an id while the person signs in and consents ([`Pending`]), decided ([`allow`], [`deny`], [`issue`]) and answered
//! ([`response`]).

pub(crate) mod arrival;
mod decide;
mod next;
pub mod openid;
mod pending;
pub(crate) mod pkce;
pub(crate) mod requested;
pub mod response;
mod validate;

use serde::{Deserialize, Serialize};
use shared::ids::{SessionId, UserId};

use self::response::{ResponseMode, ReturnAddress};
use crate::protocol::claims::{RequestedClaims, scope_of};
use crate::protocol::request_object::SingleUse;
use crate::sessions::{SignedIn, satisfied};

pub use arrival::{Channel, take_up};
pub use decide::{allow, deny, issue, refuse};
pub use next::{Ask, Next, lacks_second_factor, next, showed_for};
pub use pending::{Loaded, Pending, choose, continue_url, gone, insert, load, persist, request_in};
pub use response::{Delivery, redirect, with_query};
pub use validate::{Refusal, validate};

/// What a client asked for, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatedRequest {
    pub redirect_uri: String,
    pub redirect_uri_given: bool,
    #[serde(default)]
    pub response_mode: ResponseMode,
    pub scope: Vec<String>,
    pub state: Option<String>,
    pub nonce: Option<String>,
    pub pkce: Option<String>,
    pub resource: Vec<String>,
    pub prompt: Vec<String>,
    /// Seconds (OpenID Connect Core §3.1.2.1).
    pub max_age: Option<u64>,
    pub login_hint: Option<String>,
    pub ui_locales: Vec<String>,
    /// Who may sign in, where the request says so: by `id_token_hint`, or by the claim `sub` with a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Vec<UserId>>,
    /// What the sign-in had better be (`acr_values`): those of them that there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    /// What the sign-in must be, where `acr` is an essential claim with values (OpenID Connect Core §5.5.1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<Vec<String>>,
    /// What the `claims` parameter asks for by name.
    #[serde(default, skip_serializing_if = "RequestedClaims::is_empty")]
    pub claims: RequestedClaims,
    /// The key that the code is bound to (RFC 9449 §10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
    /// RFC 9396 §2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<serde_json::Value>,
    /// The request object that it came in, to be used up with the answer; one that was pushed was used up by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<SingleUse>,
    /// The session that the person chose to go on in, where they were to choose an account. Never from the request itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<SessionId>,
}

impl ValidatedRequest {
    /// Is the person to show anew who they are, or not long ago?
    pub fn wants_sign_in(&self) -> bool {
        self.prompts("login") || self.max_age.is_some()
    }

    fn prompts(&self, what: &str) -> bool {
        self.prompt.iter().any(|p| p == what)
    }

    /// Is an account to be chosen, and none was yet (`prompt=select_account`)?
    pub fn awaits_choice(&self) -> bool {
        self.prompts("select_account") && self.chosen.is_none()
    }

    /// What the person is asked to allow: the scope, and the scopes that stand for claims asked for by name.
    pub fn to_allow(&self) -> Vec<String> {
        let mut scope = self.scope.clone();
        for token in self.claims.names().filter_map(scope_of) {
            if !scope.iter().any(|s| s == token) {
                scope.push(token.to_owned());
            }
        }
        scope
    }

    /// Is it the right person, signed in the right way?
    fn accepts(&self, signed_in: &SignedIn) -> bool {
        self.people.as_ref().is_none_or(|people| people.contains(&signed_in.user_id))
            && self.acr.as_ref().is_none_or(|values| satisfied(values, &signed_in.acr).is_some())
    }

    /// What the client is told of the sign-in (`acr`): of what it asked for, what was met (§5.5.1.1: one of its values).
    fn told_acr(&self, signed_in: &SignedIn) -> String {
        let asked = self.acr.as_deref().unwrap_or(&self.acr_values);
        satisfied(asked, &signed_in.acr).unwrap_or(&signed_in.acr).to_owned()
    }

    /// May nobody be asked anything (OpenID Connect Core §3.1.2.1)?
    pub fn is_silent(&self) -> bool {
        self.prompts("none")
    }

    /// Does it ask for a better sign-in than one of this kind?
    pub fn wants_better_than(&self, acr: &str) -> bool {
        let essential = self.acr.as_deref().unwrap_or_default();
        [essential, &self.acr_values].iter().any(|asked| !asked.is_empty() && satisfied(asked, acr).is_none())
    }

    /// Where the answer goes.
    pub fn return_address(&self) -> ReturnAddress {
        ReturnAddress { redirect_uri: self.redirect_uri.clone(), mode: self.response_mode, state: self.state.clone() }
    }
}
