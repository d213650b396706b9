//! The ways an authorization response can take, of which a client may register those it uses.

use serde::{Deserialize, Serialize};

use super::Client;

/// The values of `response_mode`. `jwt` stands for the code flow's default, `query.jwt` (JARM §2.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseMode {
    #[default]
    #[serde(rename = "query")]
    Query,
    #[serde(rename = "fragment")]
    Fragment,
    #[serde(rename = "form_post")]
    FormPost,
    #[serde(rename = "query.jwt")]
    QueryJwt,
    #[serde(rename = "fragment.jwt")]
    FragmentJwt,
    #[serde(rename = "form_post.jwt")]
    FormPostJwt,
}

impl ResponseMode {
    /// What `response_mode` may be, as discovery tells it.
    pub const NAMES: [&str; 7] =
        ["query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt", "jwt"];

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "query" => Self::Query,
            "fragment" => Self::Fragment,
            "form_post" => Self::FormPost,
            "query.jwt" | "jwt" => Self::QueryJwt,
            "fragment.jwt" => Self::FragmentJwt,
            "form_post.jwt" => Self::FormPostJwt,
            _ => return None,
        })
    }

    /// Is the response a JWT (JARM §2.3)?
    pub fn is_signed(self) -> bool {
        self == self.signed()
    }

    /// The same way, signed.
    pub fn signed(self) -> Self {
        match self {
            Self::Query | Self::QueryJwt => Self::QueryJwt,
            Self::Fragment | Self::FragmentJwt => Self::FragmentJwt,
            Self::FormPost | Self::FormPostJwt => Self::FormPostJwt,
        }
    }

    /// May `client` ask for it? What it registered as `response_modes` (FAPI 2.0 Message Signing §5.3.3) is all it may
    /// use, and its profile leaves the signed ones alone (§5.4.1).
    pub fn is_open_to(self, client: &Client) -> bool {
        let registered = &client.metadata.response_modes;
        (self.is_signed() || !client.requires_signed_response())
            && (registered.is_empty() || registered.iter().any(|name| Self::named(name) == Some(self)))
    }
}
