//! Client metadata as JSON, by the names of RFC 7591 §2 and the specifications that add to them: read from strangers,
//! and told back.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use shared::brand::Theme;

use super::check::Fault;
use super::{Client, ClientMetadata, SubjectType};

/// Bounds on what is kept, in bytes of a text and in entries of a list.
const TEXT: usize = 256;
const URL: usize = 2048;
const ENTRIES: usize = 32;

/// What becomes of a member that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// RFC 7591 §2: "MUST ignore any client metadata sent by the client that it does not understand".
    Ignore,
    /// On the command line, where it is a slip.
    Refuse,
}

/// Client metadata that was read; its rules are yet to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    pub client_name: Option<String>,
    pub metadata: ClientMetadata,
}

/// Members that belong to a registration and are no metadata.
const REGISTRATION: &[&str] = &[
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    "software_statement",
];

/// Asked-for encryption must not be taken for granted silently.
const ENCRYPTION: &[&str] = &[
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
];

/// Reads metadata; what is absent (or null, or empty: RFC 7592 §2.2) is as in `base`.
///
/// # Errors
/// Names the member that is not what its specification says.
pub fn parse(members: &Map<String, Value>, base: ClientMetadata, unknown: Unknown) -> Result<Requested, Fault> {
    let mut reader = Reader { members, known: BTreeSet::new() };
    for member in ENCRYPTION {
        if reader.value(member).is_some() {
            return Err(Fault::new(member, format!("{member}: nothing is encrypted here; leave it out")));
        }
    }
    let client_name = reader.text("client_name", TEXT * 2)?;
    let mut m = base;
    let response_types = reader.words("response_types")?;
    if let Some(grants) = reader.words("grant_types")? {
        m.grant_types = grants;
    }
    check_response_types(&m.grant_types, response_types.as_deref())?;
    if let Some(scope) = reader.url("scope")? {
        m.scopes = distinct(scope.split_ascii_whitespace().map(str::to_owned));
    }
    match reader.word("subject_type")?.as_deref() {
        None => {}
        Some("public") => m.subject_type = SubjectType::Public,
        Some("pairwise") => m.subject_type = SubjectType::Pairwise,
        Some(_) => return Err(Fault::new("subject_type", "subject_type must be public or pairwise")),
    }
    if let Some(set) = reader.value("jwks") {
        if !set.is_object() {
            return Err(Fault::new("jwks", "jwks must be a JSON object, a JWK Set"));
        }
        m.jwks = Some(set.clone());
    }
    if let Some(seconds) = reader.seconds("default_max_age")? {
        m.default_max_age = Some(seconds);
    }
    macro_rules! each {
        ($read:ident: $($member:ident)*) => {$(
            if let Some(value) = reader.$read(stringify!($member))? {
                m.$member = value.into();
            }
        )*};
    }
    each!(urls: redirect_uris post_logout_redirect_uris);
    each!(words: default_acr_values contacts authorization_details_types response_modes);
    each!(url: jwks_uri sector_identifier_uri initiate_login_uri backchannel_logout_uri frontchannel_logout_uri
        client_uri logo_uri policy_uri tos_uri tls_client_auth_subject_dn tls_client_auth_san_uri);
    each!(word: token_endpoint_auth_method id_token_signed_response_alg token_endpoint_auth_signing_alg userinfo_signed_response_alg request_object_signing_alg
        authorization_signed_response_alg introspection_signed_response_alg tls_client_auth_san_dns
        tls_client_auth_san_ip tls_client_auth_san_email application_type software_id software_version);
    each!(flag: require_auth_time require_signed_request_object require_pushed_authorization_requests
        dpop_bound_access_tokens tls_client_certificate_bound_access_tokens backchannel_logout_session_required
        frontchannel_logout_session_required);
    // How our pages look is not for strangers to say: what they send of it is metadata that nobody knows.
    if unknown == Unknown::Refuse {
        m.brand_accent_light = reader.parsed("brand_accent_light")?.or(m.brand_accent_light);
        m.brand_accent_dark = reader.parsed("brand_accent_dark")?.or(m.brand_accent_dark);
        if let Some(theme) = reader.word("brand_theme")? {
            let known = Theme::ALL.into_iter().find(|known| known.name() == theme);
            let reason = "brand_theme must be system, light or dark";
            m.brand_theme = Some(known.ok_or_else(|| Fault::new("brand_theme", reason))?);
        }
    }
    if unknown == Unknown::Refuse
        && let Some(name) = reader.unknown()
    {
        return Err(Fault::new("client_metadata", format!("there is no client metadata {name:?} (RFC 7591 §2)")));
    }
    Ok(Requested { client_name, metadata: m })
}

/// RFC 7591 §2.1: the code response type and the code grant come together.
fn check_response_types(grants: &[String], types: Option<&[String]>) -> Result<(), Fault> {
    let fault = |reason: &str| Err(Fault::new("response_types", reason));
    match (types, grants.iter().any(|grant| grant == "authorization_code")) {
        (None, _) => Ok(()),
        (Some(types), _) if types.iter().any(|t| t != "code") => fault("response_types may hold code and nothing else"),
        (Some(_), false) => fault("the response type code goes with the grant authorization_code"),
        (Some(_), true) => Ok(()),
    }
}

/// A client as its developer knows it: every registered member (RFC 7591 §3.2.1).
pub fn describe(client: &Client) -> Map<String, Value> {
    let mut said = match serde_json::to_value(&client.metadata) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    // These have no registered names.
    for ours in ["scopes", "require_pkce"] {
        said.remove(ours);
    }
    let response_types = if client.may_use("authorization_code") { json!(["code"]) } else { json!([]) };
    said.insert("client_id".into(), json!(client.client_id));
    said.insert("client_name".into(), json!(client.name));
    said.insert("scope".into(), json!(client.metadata.scopes.join(" ")));
    said.insert("response_types".into(), response_types);
    said
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = vec![];
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// Reads members by name and remembers which ones there are.
struct Reader<'m> {
    members: &'m Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl<'m> Reader<'m> {
    fn value(&mut self, name: &'static str) -> Option<&'m Value> {
        self.known.insert(name);
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &'static str, most: usize) -> Result<Option<String>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => acceptable(name, text, most).map(Some),
            Some(_) => Err(Fault::new(name, format!("{name} must be a string"))),
        }
    }

    fn word(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        self.text(name, TEXT)
    }

    fn url(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        self.text(name, URL)
    }

    /// A word with a form of its own.
    fn parsed<T: FromStr<Err = String>>(&mut self, name: &'static str) -> Result<Option<T>, Fault> {
        let parse = |text: String| text.parse().map_err(|reason| Fault::new(name, format!("{name}: {reason}")));
        self.word(name)?.map(parse).transpose()
    }

    fn words(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Fault> {
        self.list(name, TEXT)
    }

    fn urls(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Fault> {
        self.list(name, URL)
    }

    /// A list of texts, each of them once. An empty one counts as left out.
    fn list(&mut self, name: &'static str, most: usize) -> Result<Option<Vec<String>>, Fault> {
        let array = match self.value(name) {
            None => return Ok(None),
            Some(Value::Array(array)) if array.is_empty() => return Ok(None),
            Some(Value::Array(array)) => array,
            Some(_) => return Err(Fault::new(name, format!("{name} must be an array of strings"))),
        };
        if array.len() > ENTRIES {
            return Err(Fault::new(name, format!("{name} may hold {ENTRIES} entries at most")));
        }
        let texts = array.iter().map(|entry| match entry {
            Value::String(text) if !text.is_empty() => acceptable(name, text, most),
            _ => Err(Fault::new(name, format!("{name} must be an array of strings"))),
        });
        Ok(Some(distinct(texts.collect::<Result<Vec<_>, _>>()?.into_iter())))
    }

    fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Fault::new(name, format!("{name} must be true or false"))),
        }
    }

    fn seconds(&mut self, name: &'static str) -> Result<Option<u64>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|seconds| *seconds <= u64::from(u32::MAX)) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(Fault::new(name, format!("{name} must be a whole number of seconds"))),
            },
        }
    }

    /// A member that is neither metadata nor metadata in another language (`client_name#ru`, RFC 7591 §2.2).
    fn unknown(&self) -> Option<&'m str> {
        self.members.keys().map(String::as_str).find(|name| {
            let bare = name.split_once('#').map_or(*name, |(bare, _)| bare);
            !self.known.contains(bare) && !REGISTRATION.contains(&bare)
        })
    }
}

fn acceptable(name: &'static str, text: &str, most: usize) -> Result<String, Fault> {
    if text.len() > most {
        return Err(Fault::new(name, format!("{name} is longer than {most} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new(name, format!("{name} has a control character")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clients::Origin;

    fn read(members: Value) -> Result<Requested, Fault> {
        parse(members.as_object().expect("an object"), ClientMetadata::default(), Unknown::Ignore)
    }

    #[test]
    fn members_that_nobody_knows_are_ignored_and_on_the_command_line_named__rfc7591_2() {
        let members = json!({ "redirect_uris": ["https://a.example/"], "client_name#ru": "Имя", "colour": "red" });
        assert_eq!(read(members.clone()).unwrap().metadata.redirect_uris, ["https://a.example/"]);
        let refused = parse(members.as_object().unwrap(), ClientMetadata::default(), Unknown::Refuse).unwrap_err();
        assert!(refused.reason.contains("colour"), "{refused}");
    }

    #[test]
    fn how_our_pages_look_is_read_on_the_command_line_and_from_no_stranger() {
        let members = json!({ "brand_accent_light": "#b3261a", "brand_accent_dark": "#ff8a7a", "brand_theme": "dark" });
        assert_eq!(read(members.clone()).unwrap().metadata, ClientMetadata::default());
        let own = |members: &Value| parse(members.as_object().unwrap(), ClientMetadata::default(), Unknown::Refuse);
        let metadata = own(&members).unwrap().metadata;
        assert!(metadata.has_style() && metadata.brand_theme == Some(Theme::Dark), "{metadata:?}");
        assert_eq!(ClientMetadata::default().styled_as(&metadata), metadata);
        for (member, value) in [("brand_accent_light", "red"), ("brand_accent_dark", "#12"), ("brand_theme", "pink")] {
            assert_eq!(own(&json!({ member: value })).unwrap_err().member, member);
        }
    }

    #[test]
    fn a_member_of_another_type_or_beyond_its_bounds_is_named__rfc7591_3_2_2() {
        for (members, at_fault) in [
            (json!({ "redirect_uris": "https://a.example/" }), "redirect_uris"),
            (json!({ "redirect_uris": [1] }), "redirect_uris"),
            (json!({ "redirect_uris": vec!["https://a.example/"; 33] }), "redirect_uris"),
            (json!({ "client_name": ["A"] }), "client_name"),
            (json!({ "client_name": "A\u{7}" }), "client_name"),
            (json!({ "logo_uri": "x".repeat(2049) }), "logo_uri"),
            (json!({ "jwks": [] }), "jwks"),
            (json!({ "default_max_age": -1 }), "default_max_age"),
            (json!({ "default_max_age": "60" }), "default_max_age"),
            (json!({ "require_auth_time": "true" }), "require_auth_time"),
            (json!({ "subject_type": "secret" }), "subject_type"),
            (json!({ "response_types": ["token"] }), "response_types"),
            (json!({ "response_types": ["code"], "grant_types": ["client_credentials"] }), "response_types"),
            (json!({ "id_token_encrypted_response_alg": "RSA-OAEP" }), "id_token_encrypted_response_alg"),
        ] {
            assert_eq!(read(members.clone()).unwrap_err().member, at_fault, "{members}");
        }
    }

    /// JSON values of every kind, under names of which many are known.
    fn members() -> impl Strategy<Value = Map<String, Value>> {
        let names = prop_oneof![
            "[a-z_]{1,12}",
            proptest::sample::select(vec![
                "redirect_uris",
                "grant_types",
                "response_types",
                "scope",
                "jwks",
                "jwks_uri",
                "client_name",
                "default_max_age",
                "require_auth_time",
                "subject_type",
                "contacts",
                "logo_uri",
                "application_type",
                "token_endpoint_auth_method",
                "id_token_signed_response_alg",
                "sector_identifier_uri",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "(https|http|com.example.app)://?[a-z.]{1,8}/[a-z#*]{0,3}".prop_map(Value::from),
            proptest::sample::select(vec!["code", "authorization_code", "pairwise", "openid", "none", "web", "native"])
                .prop_map(Value::from),
        ];
        let value = prop_oneof![
            leaf.clone(),
            proptest::collection::vec(leaf.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", leaf, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ];
        proptest::collection::btree_map(names, value, 0..8).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_told_back_and_reads_the_same__rfc7591_3_2_1(members in members()) {
            if let Ok(requested) = parse(&members, ClientMetadata::default(), Unknown::Ignore) {
                let client = Client {
                    client_id: "app".into(),
                    name: requested.client_name.clone().unwrap_or_else(|| "App".into()),
                    secret_hash: None,
                    sealed_secret: None,
                    revision: 0,
                    used_at: None,
                    origin: Origin::Registered,
                    first_party: false,
                    metadata: requested.metadata.clone(),
                    created_at: chrono::DateTime::UNIX_EPOCH,
                };
                let again = parse(&describe(&client), ClientMetadata::default(), Unknown::Refuse).unwrap();
                prop_assert_eq!(again.metadata, requested.metadata);
                // Nobody becomes what only the operator may make of them.
                prop_assert!(client.metadata.profile.is_none() && client.metadata.require_pkce);
            }
        }
    }
}
