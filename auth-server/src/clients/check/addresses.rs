//! URLs that people are shown, and that we call.

use shared::outbound::Guarded;
use url::Url;

use super::{Fault, is_loopback};
use crate::clients::ClientMetadata;

pub(super) fn check(metadata: &ClientMetadata) -> Result<(), Fault> {
    for (member, url) in [
        ("client_uri", &metadata.client_uri),
        ("logo_uri", &metadata.logo_uri),
        ("policy_uri", &metadata.policy_uri),
        ("tos_uri", &metadata.tos_uri),
        // OpenID Connect Core §4: https.
        ("initiate_login_uri", &metadata.initiate_login_uri),
    ] {
        if let Some(url) = url {
            https(member, url)?;
        }
    }
    Ok(())
}

/// An absolute https URL without a user in it.
fn https(member: &'static str, text: &str) -> Result<(), Fault> {
    let url = absolute(member, text)?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(Fault::new(member, format!("{member} must be an https URL")));
    }
    Ok(())
}

/// A URL that we call ourselves: one that the guard lets through, as far as can be told from the URL.
pub(super) fn fetchable(member: &'static str, text: &str, guard: &Guarded) -> Result<Url, Fault> {
    let url = absolute(member, text)?;
    if url.fragment().is_some() {
        return Err(Fault::new(member, format!("{member} may have no fragment")));
    }
    guard.check(&url).map_err(|refused| Fault::new(member, format!("{member}: {refused}")))?;
    Ok(url)
}

fn absolute(member: &'static str, text: &str) -> Result<Url, Fault> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| Fault::new(member, format!("{member} must be an absolute URL with a host and no user")))
}
