//! What a client registered, by the names of RFC 7591 §2 and of the specifications that add to them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::brand::{Colour, Style, Theme};

use crate::keys::Algorithm;

/// Every scope there is, in the order in which people are shown them.
pub const SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    OFFLINE_ACCESS,
    "account:read",
    "account:write",
    "referral-codes:read",
    "referral-codes:write",
    "referrals:read",
    "referrals:manage",
    "webhooks:manage",
    "referrals:admin",
];

/// The scope that asks for access while the person is away (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The grants there are, by their registered names.
pub const GRANT_TYPES: &[&str] =
    &["authorization_code", "refresh_token", "client_credentials", "password", DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE];

/// RFC 8628 §3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8693 §2.1.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 7523 §2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The client authentication methods there are, by their registered names.
pub const AUTH_METHODS: &[&str] =
    &["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"];

/// RFC 8705 §2.1: a certificate of an authority that the operator named, about a subject that the client registered.
pub const TLS_CLIENT_AUTH: &str = "tls_client_auth";

/// RFC 8705 §2.2: a certificate of the client's own, whose key it registered.
pub const SELF_SIGNED: &str = "self_signed_tls_client_auth";

/// The types of authorization details there are (RFC 9396 §10).
pub const AUTHORIZATION_DETAILS_TYPES: &[&str] = &["referral_code"];

/// The ID token algorithms there are: those we have keys for.
pub const ID_TOKEN_ALGS: &[&str] = &Algorithm::NAMES;

/// A set of requirements that a client is held to as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// FAPI 2.0 Security Profile with Message Signing.
    Fapi2,
}

/// How the client is told who somebody is (OpenID Connect Core §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    #[default]
    Public,
    Pairwise,
}

/// A client's metadata. Members that are absent have their specification's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientMetadata {
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<String>,
    /// The scopes it may ask for; also what it gets when it asks for none.
    pub scopes: Vec<String>,
    pub token_endpoint_auth_method: String,
    /// The algorithm of its assertions, when it registered one (OpenID Connect Registration §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    pub require_pkce: bool,
    pub id_token_signed_response_alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,

    // Keys (RFC 7591 §2): by value or by reference, never both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,

    // Who people are (OpenID Connect Registration §2).
    pub subject_type: SubjectType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    pub require_auth_time: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,

    // Requests and answers (RFC 9101 §10.5, RFC 9126 §6, JARM §3, RFC 9701 §6, FAPI 2.0 Message Signing §5.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub require_signed_request_object: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<String>,
    /// The response modes it may ask for; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_modes: Vec<String>,
    /// RFC 9396 §10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types: Vec<String>,

    // Sender-constrained tokens (RFC 9449 §5.2, RFC 8705 §3.4 and §2.1.2).
    #[serde(skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,

    // Logout (RP-Initiated §3.1, Back-Channel §2.2, Front-Channel §2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub backchannel_logout_session_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub frontchannel_logout_session_required: bool,

    // What people are shown, and the rest of RFC 7591 §2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,

    // How the pages look in its flow: ours, and for the operator alone to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand_accent_light: Option<Colour>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand_accent_dark: Option<Colour>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand_theme: Option<Theme>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Default for ClientMetadata {
    fn default() -> Self {
        Self {
            redirect_uris: vec![],
            grant_types: vec!["authorization_code".into()],
            scopes: vec![],
            token_endpoint_auth_method: "client_secret_basic".into(),
            token_endpoint_auth_signing_alg: None,
            require_pkce: true,
            id_token_signed_response_alg: "RS256".into(),
            profile: None,
            jwks: None,
            jwks_uri: None,
            subject_type: SubjectType::Public,
            sector_identifier_uri: None,
            userinfo_signed_response_alg: None,
            default_max_age: None,
            require_auth_time: false,
            default_acr_values: vec![],
            initiate_login_uri: None,
            request_object_signing_alg: None,
            require_signed_request_object: false,
            require_pushed_authorization_requests: false,
            authorization_signed_response_alg: None,
            introspection_signed_response_alg: None,
            response_modes: vec![],
            authorization_details_types: vec![],
            dpop_bound_access_tokens: false,
            tls_client_certificate_bound_access_tokens: false,
            tls_client_auth_subject_dn: None,
            tls_client_auth_san_dns: None,
            tls_client_auth_san_uri: None,
            tls_client_auth_san_ip: None,
            tls_client_auth_san_email: None,
            post_logout_redirect_uris: vec![],
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            frontchannel_logout_uri: None,
            frontchannel_logout_session_required: false,
            application_type: None,
            client_uri: None,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            contacts: vec![],
            software_id: None,
            software_version: None,
            brand_accent_light: None,
            brand_accent_dark: None,
            brand_theme: None,
        }
    }
}

impl ClientMetadata {
    /// Does its way of authenticating need a shared secret?
    pub fn has_secret(&self) -> bool {
        self.token_endpoint_auth_method.starts_with("client_secret_")
    }

    /// Did the operator say how the pages look in its flow?
    pub fn has_style(&self) -> bool {
        self.brand_accent_light.is_some() || self.brand_accent_dark.is_some() || self.brand_theme.is_some()
    }

    /// As far as it was said.
    pub fn style(&self) -> Style {
        Style {
            accent_light: self.brand_accent_light,
            accent_dark: self.brand_accent_dark,
            theme: self.brand_theme.unwrap_or_default(),
        }
    }

    /// As the operator said of `other`, and not as it says itself.
    pub fn styled_as(self, other: &Self) -> Self {
        Self {
            brand_accent_light: other.brand_accent_light,
            brand_accent_dark: other.brand_accent_dark,
            brand_theme: other.brand_theme,
            ..self
        }
    }
}
