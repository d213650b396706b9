//! `[[upstream]]`: OpenID providers that people may sign in with.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::keys::Config;
use crate::secret::Secret;

/// An OpenID provider that people may sign in with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its name in our URLs.
    pub id: String,
    /// Its name as people read it.
    pub name: String,
    /// As it calls itself, byte for byte: some end with a slash.
    pub issuer: String,
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Option<Secret>,
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    #[serde(default = "Upstream::usual_scopes")]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub claims: UpstreamClaims,
    /// Is its `email_verified` believed? What many providers call verified, a tenant of theirs may have typed.
    #[serde(default)]
    pub trust_email_verified: bool,
    /// Does a sign-in there count as a factor beside one of ours?
    #[serde(default)]
    pub counts_as_factor: bool,
}

/// What its claims are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamClaims {
    pub email: String,
    pub email_verified: String,
    pub given_name: String,
    pub family_name: String,
}

impl Default for UpstreamClaims {
    fn default() -> Self {
        Self {
            email: "email".into(),
            email_verified: "email_verified".into(),
            given_name: "given_name".into(),
            family_name: "family_name".into(),
        }
    }
}

impl Upstream {
    fn usual_scopes() -> Vec<String> {
        ["openid", "email", "profile"].map(str::to_owned).to_vec()
    }

    /// The client's secret; `None` for a public client.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn secret(&self) -> std::io::Result<Option<Secret>> {
        match (&self.client_secret, &self.client_secret_file) {
            (Some(secret), _) => Ok(Some(secret.clone())),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)?;
                Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
            }
            (None, None) => Ok(None),
        }
    }
}

/// What is wrong with the providers that people may sign in with.
pub(super) fn check(config: &Config, wrong: &mut impl FnMut(&str, String)) {
    let mut ids = BTreeSet::new();
    let mut issuers = BTreeSet::new();
    for upstream in &config.upstream {
        let id = &upstream.id;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || id.len() > 32 || !id.chars().all(plain) {
            wrong("upstream", format!("the id {id:?} must be a few lower-case letters, digits and hyphens"));
        }
        if !ids.insert(id) {
            wrong("upstream", format!("two have the id {id}"));
        }
        // An identity is known by issuer and subject: two clients at one issuer would be told the same people.
        if !issuers.insert(&upstream.issuer) {
            wrong("upstream", format!("two have the issuer {}", upstream.issuer));
        }
        if upstream.name.trim().is_empty() {
            wrong("upstream", format!("{id} needs a name that people can read"));
        }
        let url = Url::parse(&upstream.issuer).ok().filter(|url| url.query().is_none() && url.fragment().is_none());
        let local = |url: &Url| url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127."));
        if !url.is_some_and(|url| url.scheme() == "https" || url.scheme() == "http" && local(&url)) {
            wrong("upstream", format!("the issuer of {id} must be an https URL without query and fragment"));
        }
        if upstream.client_secret.is_some() && upstream.client_secret_file.is_some() {
            wrong("upstream", format!("{id} has a client_secret and a client_secret_file; keep one"));
        }
        if let Err(error) = upstream.secret() {
            wrong("upstream", format!("the client_secret_file of {id} can't be read: {error}"));
        }
        if !upstream.scopes.iter().any(|scope| scope == "openid") {
            wrong("upstream", format!("the scopes of {id} must have openid among them"));
        }
    }
}
