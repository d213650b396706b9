//! What a client may be: the rules for its metadata, one file a group. They are the same for clients that the operator
//! registers, that register themselves (RFC 7591) and whose metadata is fetched; the latter two may be less.

mod addresses;
mod algorithms;
mod brand;
mod certificates;
mod grants;
mod keys;
mod logout;
mod profile;
mod redirect_uris;
pub(super) mod sector;

use shared::Platform;
use shared::config::Config;
use shared::ids::ClientId;
use shared::outbound::Guarded;

use super::{Client, ClientError, NewClient, Origin, drawn_id, is_client_id};
use crate::printable::is_deceptive;

pub(super) use brand::check as brand_check;
pub use certificates::mtls_auth_methods;
pub(super) use grants::is_first_party_scope;
pub use redirect_uris::{check_redirect_uri, inferred_application_type, is_loopback};

/// What is wrong with a client's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// The member at fault, by its name in RFC 7591 §2.
    pub member: &'static str,
    /// What is wrong with it and what to write instead, for its developer.
    pub reason: String,
}

impl Fault {
    pub fn new(member: &'static str, reason: impl Into<String>) -> Self {
        Self { member, reason: reason.into() }
    }
}

/// Checks a client that is to be registered.
pub(super) fn check(platform: &Platform, client: NewClient) -> Result<Client, ClientError> {
    if let Some(fault) = faults(platform, &client).into_iter().next() {
        return Err(fault.into());
    }
    let NewClient { client_id, name, first_party, origin, metadata } = client;
    let client_id = client_id.unwrap_or_else(|| drawn_id(platform));
    Ok(Client {
        client_id,
        name: name.trim().to_owned(),
        secret_hash: None,
        sealed_secret: None,
        first_party,
        origin,
        metadata,
        revision: 0,
        used_at: None,
        created_at: platform.clock.now(),
    })
}

/// Everything that is wrong with a client that is to be registered, as far as it can be told without asking anybody else:
/// of most groups of rules the first that it breaks, and all redirect URIs that can't be.
pub fn faults(platform: &Platform, client: &NewClient) -> Vec<Fault> {
    let mut faults: Vec<Fault> = check_id(client).err().into_iter().collect();
    faults.extend(metadata_faults(&platform.config, platform.outbound.guarded(), client));
    faults
}

/// The same of the metadata alone.
pub(crate) fn metadata_faults(config: &Config, guard: &Guarded, client: &NewClient) -> Vec<Fault> {
    let metadata = &client.metadata;
    let mut faults: Vec<Fault> = check_name(&client.name).err().into_iter().collect();
    faults.extend(grants::check(client, config));
    faults.extend(redirect_uris::check(client, config));
    let groups = [
        certificates::check(metadata, config),
        keys::check(metadata, guard),
        algorithms::check(metadata),
        addresses::check(metadata),
        logout::check(metadata, guard),
        sector::check(metadata),
        profile::check(metadata),
        brand::check(metadata),
    ];
    faults.extend(groups.into_iter().filter_map(Result::err));
    faults
}

fn check_id(client: &NewClient) -> Result<(), Fault> {
    // One that is drawn is as it should be.
    let Some(id) = client.client_id.as_ref().map(ClientId::as_str) else { return Ok(()) };
    // The id of a client with a document is its URL, which was judged when it was fetched.
    if client.origin != Origin::Document && !is_client_id(id) {
        let reason = "the client id may have 1 to 128 letters, digits, hyphens, underscores and dots";
        return Err(Fault::new("client_id", reason));
    }
    // `sub` is a user's id or a client's: they must never look alike.
    if uuid::Uuid::parse_str(id).is_ok() {
        let reason = "the client id may not be a UUID: it could be taken for a user's id";
        return Err(Fault::new("client_id", reason));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Fault> {
    let strange = |c: char| c.is_control() || is_deceptive(c);
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(strange) {
        let reason = "the name may have 1 to 100 printable characters, none of them invisible or turning the direction \
                      of writing; it is what people are shown";
        return Err(Fault::new("client_name", reason));
    }
    Ok(())
}
