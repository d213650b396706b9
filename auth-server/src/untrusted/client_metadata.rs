use std::collections::BTreeSet;
use std::sync::LazyLock;

use shared::clock::Clock;
use shared::config::{Config, load_from};
use shared::jose::json::{Bounds, parse_object};
use shared::jose::jwk::KeySet;
use shared::outbound::Outbound;
use shared::untrusted::no_member_twice;
use url::Url;

use super::client;
use crate::clients::check::metadata_faults;
use crate::clients::{
    Client, ClientMetadata, ID_TOKEN_ALGS, NewClient, Origin, SubjectType, Unknown, check_redirect_uri, default_scopes,
    describe, inferred_application_type, parse,
};
use crate::protocol::registrar::matches_registered;

const BODY: Bounds = Bounds { max_bytes: 64 * 1024, max_depth: 8 };

static HERE: LazyLock<(Config, Outbound)> = LazyLock::new(|| {
    let outbound = Outbound::new::<&str>(&[], Clock::system()).expect("outgoing requests");
    (load_from(None, []).expect("the defaults"), outbound)
});

/// What a client that registers itself sends (RFC 7591 §3.1).
pub fn client_metadata(data: &[u8]) -> bool {
    let Ok(members) = parse_object(data, &BODY) else { return false };
    no_member_twice(data, &members);
    let base = ClientMetadata { scopes: default_scopes(), ..ClientMetadata::default() };
    let Ok(requested) = parse(&members, base, Unknown::Ignore) else { return false };
    let mut metadata = requested.metadata;
    if metadata.application_type.is_none() {
        metadata.application_type = inferred_application_type(Origin::Registered, &metadata.redirect_uris);
    }
    let name = requested.client_name.unwrap_or_else(|| "App".into());
    let registered = Client { name: name.clone(), metadata: metadata.clone(), ..client("none") };
    // RFC 7591 §3.2.1: it is told back, and registering that comes to the same.
    let told = describe(&registered);
    let again = parse(&told, ClientMetadata::default(), Unknown::Refuse).expect("what is told can be read");
    assert_eq!(again.metadata, metadata);
    // Nobody becomes what only the operator may make of them.
    assert!(metadata.profile.is_none() && metadata.require_pkce);

    let new = NewClient { client_id: None, name, first_party: false, origin: Origin::Registered, metadata };
    let (config, outbound) = &*HERE;
    if !metadata_faults(config, outbound.guarded(), &new).is_empty() {
        return false;
    }
    keeps_the_rules(&registered, outbound);
    true
}

fn keeps_the_rules(client: &Client, outbound: &Outbound) {
    let metadata = &client.metadata;
    for grant in &metadata.grant_types {
        let operators = ["password", "urn:ietf:params:oauth:grant-type:jwt-bearer"];
        assert!(!operators.contains(&grant.as_str()) && !grant.ends_with("token-exchange"), "{grant}");
    }
    assert!(!metadata.grant_types.is_empty());
    let ours = ["account:read", "account:write", "referrals:admin", "referrals:manage", "webhooks:manage"];
    assert!(!metadata.scopes.iter().any(|scope| ours.contains(&scope.as_str())));
    assert!(!client.may_use("authorization_code") || !metadata.redirect_uris.is_empty(), "nowhere to answer at");
    for uri in &metadata.redirect_uris {
        assert_eq!(check_redirect_uri(uri), Ok(()));
        assert!(matches_registered(client, uri));
        assert!(metadata.application_type.as_deref() != Some("web") || uri.starts_with("https://"), "{uri}");
    }
    assert!(metadata.post_logout_redirect_uris.iter().all(|uri| check_redirect_uri(uri) == Ok(())));
    assert!(metadata.token_endpoint_auth_method != "none" || !client.may_use("client_credentials"));
    // Keys that signatures are verified with: public ones (RFC 7517 §9.2 of what a private one would mean), in one place.
    assert!(metadata.jwks.is_none() || metadata.jwks_uri.is_none());
    if let Some(jwks) = &metadata.jwks {
        assert!(!KeySet::parse(jwks).expect("a key set").is_empty());
        let keys = jwks["keys"].as_array().expect("keys");
        assert!(keys.iter().all(|key| key.get("d").is_none()), "a private key");
    }
    let signs = metadata.token_endpoint_auth_method == "private_key_jwt" || metadata.require_signed_request_object;
    assert!(!signs || metadata.jwks.is_some() || metadata.jwks_uri.is_some());
    assert!(ID_TOKEN_ALGS.contains(&metadata.id_token_signed_response_alg.as_str()));
    // What we call is not an address of our own network (SSRF).
    for uri in [&metadata.jwks_uri, &metadata.backchannel_logout_uri].into_iter().flatten() {
        let url = Url::parse(uri).expect("a URL");
        assert!(outbound.guarded().check(&url).is_ok() && url.scheme() == "https", "{uri}");
    }
    for uri in [&metadata.logo_uri, &metadata.client_uri, &metadata.policy_uri, &metadata.tos_uri] {
        assert!(
            uri.as_ref().is_none_or(|uri| Url::parse(uri).is_ok_and(|url| url.scheme().starts_with("http"))),
            "{uri:?}"
        );
    }
    // OpenID Connect Core §8.1.
    if metadata.subject_type == SubjectType::Pairwise && metadata.sector_identifier_uri.is_none() {
        let host = |uri: &String| Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned));
        assert!(metadata.redirect_uris.iter().map(host).collect::<BTreeSet<_>>().len() < 2);
    }
}
