//! Ids are types, so that a user's id can not be passed where a grant's is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::random::Random;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new time-ordered id (UUIDv7).
            pub fn new(random: &Random, clock: &Clock) -> Self {
                Self(random.uuid_v7(clock))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

uuid_id! {
    /// An account. Also the `sub` claim of clients that are not registered pairwise.
    UserId;
    /// What one person allowed one client: the family of its code and tokens.
    GrantId;
    /// A browser sign-in, as told to clients in the `sid` claim. Never the session's key.
    SessionId;
    /// A validated authorization request that waits for sign-in or consent.
    AuthorizationRequestId;
    /// What one person allowed one client, whatever grants say so: a hash of it.
    PermissionId;
    /// A referral code's row.
    CodeId;
    /// The relation of a referrer and who signed up with their code.
    ReferralId;
    /// An invitation that a referrer had mailed.
    InvitationId;
    /// A sign-up that waits for its confirmation.
    PendingSignupId;
    /// A forgotten password that waits for a new one.
    RecoveryId;
    /// A change of an address that waits for its confirmations.
    EmailChangeId;
    /// A code mailed in place of an app's.
    MailedCodeId;
    /// An address that another provider does not vouch for, and that waits for its proof.
    UpstreamProofId;
    /// Where another system is told of things.
    WebhookEndpointId;
}

/// A client's id. Never a UUID, so that it can not be taken for a user's where `sub` is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct ClientId(pub String);

impl ClientId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ClientId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}
