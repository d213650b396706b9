use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::json;
use shared::jose::ASYMMETRIC;
use shared::jose::testing::Signer;
use shared::testing::{Scratch, Store};

use super::*;
use crate::clients::{ClientMetadata, NewClient, Origin, create};
use crate::keys::testing::lay_in;
use crate::state::AppState;

/// A client's own server: its keys, or why there are none, and how often it was asked.
#[derive(Clone, Default)]
struct Site {
    answer: Arc<RwLock<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Site {
    fn shows(&self, jwks: Option<Value>) {
        *self.answer.write().unwrap() = jwks;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn jwks(State(site): State<Site>) -> Response {
    site.asked.fetch_add(1, Ordering::SeqCst);
    match site.answer.read().unwrap().clone() {
        Some(jwks) => axum::Json(jwks).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The site at work, and a server that may reach it.
async fn site() -> (Site, String, AppState, Scratch) {
    site_with(&[]).await
}

async fn site_with(settings: &[(&str, &str)]) -> (Site, String, AppState, Scratch) {
    let site = Site::default();
    let router = Router::new()
        .route("/jwks", get(jwks))
        .route("/jwks/{n}", get(jwks))
        .route("/moved", get(|| async { Redirect::temporary("/jwks") }))
        .route("/endless", get(|| async { vec![b' '; LARGEST + 1] }))
        .with_state(site.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let scratch = Scratch::new(Store::Embedded).await.unwrap();
    let allow = format!("[\"{address}\"]");
    let settings = [&[("OUTBOUND__ALLOW", allow.as_str())], settings].concat();
    let platform = scratch.platform(&settings).await;
    lay_in(&platform).await.unwrap();
    let state = AppState::new(platform).await.unwrap();
    (site, format!("http://{address}"), state, scratch)
}

async fn client(state: &AppState, change: impl FnOnce(&mut ClientMetadata)) -> Client {
    let mut metadata = ClientMetadata {
        grant_types: vec!["client_credentials".into()],
        token_endpoint_auth_method: "private_key_jwt".into(),
        ..ClientMetadata::default()
    };
    change(&mut metadata);
    let new = NewClient { client_id: None, name: "App".into(), first_party: false, origin: Origin::Operator, metadata };
    create(&state.platform, new).await.unwrap().0
}

fn set(keys: &[(&Signer, &str)]) -> Value {
    let keys = keys.iter().map(|(signer, kid)| {
        let mut jwk = signer.jwk();
        jwk["kid"] = json!(kid);
        jwk
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

fn token(signer: &Signer, kid: Option<&str>) -> Unverified {
    let mut header = signer.header("JWT");
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    Unverified::parse(&signer.sign(&header, &json!({ "a": 1 })), 8192).unwrap()
}

#[tokio::test]
async fn keys_by_value_follow_the_registration__rfc7591_2() {
    let (_, _, state, _scratch) = site().await;
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::EdDSA));
    let mut client = client(&state, |m| m.jwks = Some(set(&[(&old, "1")]))).await;
    verify_signed(&state.client_keys, &client, &token(&old, Some("1")), &ASYMMETRIC).await.unwrap();
    let refused = verify_signed(&state.client_keys, &client, &token(&new, Some("1")), &ASYMMETRIC).await.unwrap_err();
    assert_eq!(refused, NotSigned::Token(JwtError::NoKey));
    client.metadata.jwks = Some(set(&[(&new, "1")]));
    verify_signed(&state.client_keys, &client, &token(&new, Some("1")), &ASYMMETRIC).await.unwrap();
    assert!(verify_signed(&state.client_keys, &client, &token(&old, Some("1")), &ASYMMETRIC).await.is_err());
    client.metadata.jwks = None;
    assert_eq!(state.client_keys.of(&client, None).await.unwrap_err(), ClientKeysError::None);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_but_not_for_every_stranger__rfc7517_5() {
    let (site, base, state, _scratch) = site().await;
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let client = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    site.shows(Some(set(&[(&old, "old")])));
    for _ in 0..3 {
        verify_signed(&state.client_keys, &client, &token(&old, Some("old")), &ASYMMETRIC).await.unwrap();
    }
    assert_eq!(site.asked(), 1);
    // Many strangers with keys of their own: not one fetch more within the pause, then one.
    for _ in 0..5 {
        assert!(verify_signed(&state.client_keys, &client, &token(&new, Some("new")), &ASYMMETRIC).await.is_err());
    }
    assert_eq!(site.asked(), 1);
    site.shows(Some(set(&[(&new, "new")])));
    state.platform.clock.advance(Duration::from_secs(6));
    verify_signed(&state.client_keys, &client, &token(&new, Some("new")), &ASYMMETRIC).await.unwrap();
    assert_eq!(site.asked(), 2);
    assert!(verify_signed(&state.client_keys, &client, &token(&old, Some("old")), &ASYMMETRIC).await.is_err());
    // The same without a key id.
    state.platform.clock.advance(Duration::from_secs(6));
    site.shows(Some(set(&[(&old, "x")])));
    verify_signed(&state.client_keys, &client, &token(&old, None), &ASYMMETRIC).await.unwrap();
    assert_eq!(site.asked(), 3);
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let (site, base, state, _scratch) = site().await;
    let signer = Signer::new(Algorithm::ES256);
    let client = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    site.shows(Some(set(&[(&signer, "1")])));
    let all = futures::future::join_all((0..20).map(|_| state.client_keys.of(&client, None))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(site.asked(), 1);
}

#[tokio::test]
async fn a_silent_owner_keeps_its_keys_for_an_hour_and_a_changed_set_counts_after_minutes() {
    let (site, base, state, _scratch) = site().await;
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let client = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    site.shows(Some(set(&[(&old, "1")])));
    state.client_keys.of(&client, None).await.unwrap();
    site.shows(None);
    state.platform.clock.advance(Duration::from_secs(50 * 60));
    verify_signed(&state.client_keys, &client, &token(&old, Some("1")), &ASYMMETRIC).await.unwrap();
    assert_eq!(site.asked(), 2);
    state.platform.clock.advance(Duration::from_secs(11 * 60));
    assert_eq!(state.client_keys.of(&client, None).await.unwrap_err(), ClientKeysError::Unavailable);
    site.shows(Some(set(&[(&new, "1")])));
    state.platform.clock.advance(Duration::from_secs(6));
    verify_signed(&state.client_keys, &client, &token(&new, Some("1")), &ASYMMETRIC).await.unwrap();
    // The key under an id that was known is taken back: it serves no longer once the set is fetched anew.
    site.shows(Some(set(&[(&old, "1")])));
    state.platform.clock.advance(Duration::from_secs(301));
    assert!(verify_signed(&state.client_keys, &client, &token(&new, Some("1")), &ASYMMETRIC).await.is_err());
}

#[tokio::test]
async fn no_redirect_no_flood_no_private_key_and_no_private_address_gives_keys() {
    let (site, base, state, _scratch) = site().await;
    let signer = Signer::new(Algorithm::ES256);
    site.shows(Some(set(&[(&signer, "1")])));
    for path in ["/moved", "/endless", "/nowhere"] {
        let client = client(&state, |m| m.jwks_uri = Some(format!("{base}{path}"))).await;
        assert_eq!(state.client_keys.of(&client, None).await.unwrap_err(), ClientKeysError::Unavailable, "{path}");
    }
    assert_eq!(site.asked(), 0);
    let mut private = signer.jwk();
    private["d"] = json!("AQ");
    site.shows(Some(json!({ "keys": [private] })));
    let client = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    assert_eq!(state.client_keys.of(&client, None).await.unwrap_err(), ClientKeysError::Unavailable);
    // Registration refuses it; a name may come to lead there later.
    let mut client = client.clone();
    client.metadata.jwks_uri = Some("https://localhost:1/jwks".into());
    assert_eq!(state.client_keys.of(&client, None).await.unwrap_err(), ClientKeysError::Unavailable);
}

#[tokio::test]
async fn new_addresses_at_a_host_are_asked_at_a_pace_that_leaves_the_known_ones_alone() {
    let (site, base, state, _scratch) = site_with(&[("LIMITS__ENABLED", "true")]).await;
    let signer = Signer::new(Algorithm::ES256);
    site.shows(Some(set(&[(&signer, "1")])));
    let known = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    state.client_keys.of(&known, None).await.unwrap();
    let mut stranger = known.clone();
    for n in 0..FIRST_PER_HOST + 5 {
        stranger.metadata.jwks_uri = Some(format!("{base}/jwks/{n}"));
        let _ = state.client_keys.of(&stranger, None).await;
    }
    assert_eq!(site.asked() as u64, FIRST_PER_HOST);
    assert_eq!(state.client_keys.of(&stranger, None).await.unwrap_err(), ClientKeysError::Unavailable);
    // A key that is new at an address in use is found all the same.
    let new = Signer::new(Algorithm::ES256);
    site.shows(Some(set(&[(&new, "2")])));
    state.platform.clock.advance(Duration::from_secs(6));
    verify_signed(&state.client_keys, &known, &token(&new, Some("2")), &ASYMMETRIC).await.unwrap();
}

#[tokio::test]
async fn a_token_that_names_no_key_is_tried_against_a_few_and_no_more__oidc_core_10_1() {
    let (_, _, state, _scratch) = site().await;
    let signers: Vec<_> = (0..5).map(|_| Signer::new(Algorithm::ES256)).collect();
    let ids = ["0", "1", "2", "3", "4"];
    let keyed = |count: usize| {
        let keys: Vec<_> = signers.iter().zip(ids).take(count).collect();
        client(&state, move |m| m.jwks = Some(set(&keys)))
    };
    let (few, many) = (keyed(4).await, keyed(5).await);
    verify_signed(&state.client_keys, &few, &token(&signers[3], None), &ASYMMETRIC).await.unwrap();
    let refused = verify_signed(&state.client_keys, &many, &token(&signers[3], None), &ASYMMETRIC).await.unwrap_err();
    assert_eq!(refused, NotSigned::Token(JwtError::ManyKeys));
    verify_signed(&state.client_keys, &many, &token(&signers[3], Some("3")), &ASYMMETRIC).await.unwrap();
}

/// The same client as one that came in this way and keeps its keys at `uri`.
fn come_by(client: &Client, origin: Origin, uri: String) -> Client {
    let mut client = Client { origin, ..client.clone() };
    client.metadata.jwks_uri = Some(uri);
    client
}

#[tokio::test]
async fn clients_that_came_by_themselves_keep_none_of_the_operators_from_its_first_keys() {
    let (site, base, state, _scratch) = site_with(&[("LIMITS__ENABLED", "true")]).await;
    site.shows(Some(set(&[(&Signer::new(Algorithm::ES256), "1")])));
    let known = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    // Those that registered themselves and those that are known by a document count together.
    for n in 0..FIRST_PER_HOST + 5 {
        let origin = if n % 2 == 0 { Origin::Registered } else { Origin::Document };
        let _ = state.client_keys.of(&come_by(&known, origin, format!("{base}/jwks/{n}")), None).await;
    }
    assert_eq!(site.asked() as u64, FIRST_PER_HOST);
    assert!(state.client_keys.of(&known, None).await.is_ok());
}

#[tokio::test]
async fn clients_that_came_by_themselves_keep_none_of_the_operators_from_its_new_keys() {
    let (site, base, state, _scratch) = site_with(&[("LIMITS__ENABLED", "true")]).await;
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    site.shows(Some(set(&[(&old, "1")])));
    let known = client(&state, |m| m.jwks_uri = Some(format!("{base}/jwks"))).await;
    state.client_keys.of(&known, None).await.unwrap();
    let strangers: Vec<_> = (0..20).map(|n| come_by(&known, Origin::Registered, format!("{base}/jwks/{n}"))).collect();
    for stranger in &strangers {
        state.client_keys.of(stranger, None).await.unwrap();
    }
    let before = site.asked() as u64;
    // Tokens with unknown keys have each set looked at again, as often as the pause allows.
    for _ in 0..7 {
        state.platform.clock.advance(Duration::from_secs(6));
        for stranger in &strangers {
            let _ = verify_signed(&state.client_keys, stranger, &token(&new, Some("2")), &ASYMMETRIC).await;
        }
    }
    assert_eq!(site.asked() as u64, before + AGAIN_PER_HOST);
    site.shows(Some(set(&[(&new, "2")])));
    verify_signed(&state.client_keys, &known, &token(&new, Some("2")), &ASYMMETRIC).await.unwrap();
}
