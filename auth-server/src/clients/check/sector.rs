//! The sector in which a pairwise client knows people (OpenID Connect Core §8.1, Registration §5).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::header;
use shared::Platform;
use shared::outbound::read_at_most;
use url::Url;

use super::Fault;
use super::addresses::fetchable;
use crate::clients::{ClientMetadata, DEVICE_CODE, SubjectType};

const MEMBER: &str = "sector_identifier_uri";

/// Redirect URIs in bytes, and then some.
const MOST_BYTES: usize = 64 * 1024;

/// Without a `sector_identifier_uri`, a pairwise client's redirect URIs have one host between them (Core §8.1).
pub(super) fn check(metadata: &ClientMetadata) -> Result<(), Fault> {
    if metadata.sector_identifier_uri.is_some() {
        // The file vouches for redirect URIs; a client that receives nothing there could name anybody's.
        let on_devices = metadata.grant_types.iter().any(|grant| grant == DEVICE_CODE);
        if metadata.redirect_uris.is_empty() || on_devices {
            return Err(Fault::new(MEMBER, "sector_identifier_uri is for clients with redirect URIs, not for devices"));
        }
        return Ok(());
    }
    if metadata.subject_type != SubjectType::Pairwise {
        return Ok(());
    }
    let hosts =
        metadata.redirect_uris.iter().map(|uri| Url::parse(uri).ok().and_then(|uri| uri.host_str().map(str::to_owned)));
    if hosts.collect::<BTreeSet<_>>().len() > 1 {
        let reason = "redirect URIs on several hosts: a pairwise client then needs a sector_identifier_uri";
        return Err(Fault::new(MEMBER, reason));
    }
    Ok(())
}

/// Fetches the `sector_identifier_uri`: an array with every redirect URI in it, or nobody vouches for their belonging
/// together (Registration §5).
pub(in crate::clients) async fn verify(platform: &Platform, metadata: &ClientMetadata) -> Result<(), Fault> {
    let Some(uri) = &metadata.sector_identifier_uri else { return Ok(()) };
    let guard = platform.outbound.guarded();
    let url = fetchable(MEMBER, uri, guard)?;
    let listed = fetch(guard, &url).await.ok_or_else(|| {
        Fault::new(MEMBER, "sector_identifier_uri does not answer with a JSON array of redirect URIs, or not in time")
    })?;
    match metadata.redirect_uris.iter().find(|uri| !listed.contains(uri)) {
        Some(missing) => Err(Fault::new(MEMBER, format!("sector_identifier_uri does not list {missing}"))),
        None => Ok(()),
    }
}

async fn fetch(guard: &shared::outbound::Guarded, url: &Url) -> Option<Vec<String>> {
    let request = guard.get(url).ok()?.timeout(Duration::from_secs(5)).header(header::ACCEPT, "application/json");
    let response = request.send().await.ok().filter(|response| response.status() == 200)?;
    serde_json::from_slice(&read_at_most(response, MOST_BYTES).await.ok()?).ok()
}
