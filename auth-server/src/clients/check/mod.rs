//! What a client may be: the rules for its metadata, one file a group. They are the same for clients that the operator
//! registers, that register themselves (RFC 7591) and whose metadata is fetched; the latter two may be less.

mod addresses;
mod algorithms;
mod grants;
mod keys;
mod profile;
mod redirect_uris;
pub(super) mod sector;

use shared::Platform;
use shared::config::Config;
use shared::ids::ClientId;
use shared::outbound::Guarded;

use super::{Client, ClientError, NewClient, Origin, certificates, is_client_id, logout};

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
    let drawn = || ClientId(format!("client-{}", platform.random.uuid_v4().simple()));
    let client_id = client.client_id.clone().unwrap_or_else(drawn);
    let id = client_id.as_str();
    // The id of a client with a document is its URL, which was judged when it was fetched.
    if client.origin != Origin::Document && !is_client_id(id) {
        let reason = "the client id may have 1 to 128 letters, digits, hyphens, underscores and dots";
        return Err(Fault::new("client_id", reason).into());
    }
    // `sub` is a user's id or a client's: they must never look alike.
    if uuid::Uuid::parse_str(id).is_ok() {
        let reason = "the client id may not be a UUID: it could be taken for a user's id";
        return Err(Fault::new("client_id", reason).into());
    }
    check_metadata(&platform.config, platform.outbound.guarded(), &client)?;
    let NewClient { name, first_party, origin, metadata, .. } = client;
    Ok(Client {
        client_id,
        name: name.trim().to_owned(),
        secret_hash: None,
        sealed_secret: None,
        first_party,
        origin,
        metadata,
        created_at: platform.clock.now(),
    })
}

/// Everything that can be told without asking anybody else.
pub(crate) fn check_metadata(config: &Config, guard: &Guarded, client: &NewClient) -> Result<(), Fault> {
    let name = &client.name;
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        let reason = "the name may have 1 to 100 printable characters; it is what people are shown";
        return Err(Fault::new("client_name", reason));
    }
    grants::check(client, config)?;
    certificates::check(&client.metadata, config).map_err(|reason| Fault::new("token_endpoint_auth_method", reason))?;
    redirect_uris::check(client)?;
    keys::check(&client.metadata, guard, client.first_party)?;
    algorithms::check(&client.metadata)?;
    addresses::check(&client.metadata)?;
    logout::check(guard, &client.metadata).map_err(|reason| Fault::new("post_logout_redirect_uris", reason))?;
    sector::check(&client.metadata)?;
    profile::check(&client.metadata)
}
