//! Everything over TLS of its own, and a client that is known by its certificate (RFC 8705): tokens that are of no use to
//! whoever steals them.

use auth_server::AppState;
use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use chrono::TimeDelta;
use reqwest::Client;
use serde_json::{Value, json};
use shared::Platform;
use shared::clock::Clock;
use shared::random::Random;
use shared::testing::Scratch;
use shared::testing::certificates::{Authority, Identity, client_config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{PASSWORD, Store};

async fn on(store: Store) {
    let Some(scratch) = Scratch::new(store).await else { return };
    let authority = Authority::new("Test authority");
    let (chain, key) = authority.server(&["127.0.0.1"]).write(&scratch.dir, "server");
    let ca = scratch.dir.join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let [auth, api, internal, free] = [listen().await, listen().await, listen().await, listen().await];
    let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    let [auth_url, api_url, mtls_url] = [&auth, &api, &free].map(|l| format!("https://{}", address(l)));
    // The API would have to trust the test's authority; that is for the operator's environment, not for a test.
    let jwks_url = format!("http://{}/oauth/jwks", address(&internal));
    let mtls_listen = address(&free);
    drop(free);
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let config = scratch.config(&[
        ("LIMITS__ENABLED", "false"),
        ("AUTH__PUBLIC_URL", &auth_url),
        ("AUTH__TLS_CERTIFICATE_FILE", chain),
        ("AUTH__TLS_KEY_FILE", key),
        ("AUTH__MTLS_LISTEN", &mtls_listen),
        ("AUTH__MTLS_PUBLIC_URL", &mtls_url),
        ("AUTH__CLIENT_CA_FILE", ca.to_str().unwrap()),
        ("API__PUBLIC_URL", &api_url),
        ("API__JWKS_URL", &jwks_url),
        ("API__TLS_CERTIFICATE_FILE", chain),
        ("API__TLS_KEY_FILE", key),
        ("API__REQUEST_CLIENT_CERTIFICATES", "true"),
    ]);
    let platform = Platform::open_with(config, Clock::system(), Random::system()).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let until = || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };
    let mut services: JoinSet<anyhow::Result<()>> = JoinSet::new();
    services.spawn(auth_server::serve(platform.clone(), auth, until()));
    let router = auth_server::router(AppState::new(platform.clone()).await.unwrap());
    let inside = until();
    services.spawn(async move { Ok(shared::http::serve(internal, router, inside).await?) });
    services.spawn(referral_api::serve(platform.clone(), api, until()));

    let ours = authority.client("kiosk", |_| {});
    let [plain, holder, thief] =
        [None, Some(&ours), Some(&authority.client("thief", |_| {}))].map(|identity| client(&authority, identity));
    let urls = [auth_url.as_str(), &api_url];
    tokio::select! {
        () = until_ready(&plain, &urls) => {}
        ended = services.join_next() => panic!("a service ended at once: {ended:?}"),
    }
    tell(&platform, &auth_url, &api_url, &mtls_url, [&plain, &holder, &thief]).await;
}

/// The story itself.
async fn tell(platform: &Platform, auth: &str, api: &str, mtls: &str, [plain, holder, thief]: [&Client; 3]) {
    let client = NewClient {
        client_id: None,
        name: "Kiosk".into(),
        first_party: true,
        origin: Origin::Operator,
        metadata: ClientMetadata {
            grant_types: vec!["password".into()],
            scopes: vec!["openid".into(), "referral-codes:read".into(), "referral-codes:write".into()],
            token_endpoint_auth_method: "tls_client_auth".into(),
            tls_client_auth_subject_dn: Some("CN=kiosk".into()),
            tls_client_certificate_bound_access_tokens: true,
            ..ClientMetadata::default()
        },
    };
    let (client, _) = clients::create(platform, client).await.unwrap();
    let account = json!({ "email": "ann@example.com", "password": PASSWORD });
    let answer = plain.post(format!("{auth}/api/v1/signup")).json(&account).send().await.unwrap();
    assert_eq!(answer.status(), 201);

    // The client finds the address for its certificate where the specification says (RFC 8705 §5).
    let discovery = plain.get(format!("{auth}/.well-known/openid-configuration")).send().await.unwrap();
    let discovery: Value = discovery.json().await.unwrap();
    let endpoint = discovery["mtls_endpoint_aliases"]["token_endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{mtls}/oauth/token"));
    let form = [
        ("grant_type", "password"),
        ("client_id", client.client_id.as_str()),
        ("username", "ann@example.com"),
        ("password", PASSWORD),
        ("scope", "openid referral-codes:read referral-codes:write"),
    ];
    // The main listener never asks, so nothing is proved there; nor is it by somebody else's certificate.
    for (who, endpoint) in [(holder, format!("{auth}/oauth/token")), (thief, endpoint.into()), (plain, endpoint.into())]
    {
        let refused = who.post(endpoint).form(&form).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_client");
    }
    let tokens: Value = holder.post(endpoint).form(&form).send().await.unwrap().json().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"));

    // A stolen token opens neither service.
    let expires_at = platform.clock.now() + TimeDelta::days(7);
    let create = async |who: &Client| {
        let request = who.post(format!("{api}/v1/referral-codes")).bearer_auth(token);
        request.json(&json!({ "expires_at": expires_at })).send().await.unwrap()
    };
    let userinfo = format!("{mtls}/oauth/userinfo");
    for who in [thief, plain] {
        for refused in [create(who).await, who.get(&userinfo).bearer_auth(token).send().await.unwrap()] {
            assert_eq!(refused.status(), 401);
            let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
    }
    assert_eq!(create(holder).await.status(), 201);
    assert_eq!(holder.get(&userinfo).bearer_auth(token).send().await.unwrap().status(), 200);
}

async fn until_ready(client: &Client, urls: &[&str]) {
    for url in urls {
        let url = format!("{url}/readyz");
        let ready = async {
            while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), ready).await.expect("it becomes ready");
    }
}

#[expect(clippy::disallowed_methods, reason = "a stranger's client, with a certificate of its own")]
fn client(authority: &Authority, identity: Option<&Identity>) -> Client {
    let config = std::sync::Arc::unwrap_or_clone(client_config(authority, identity));
    Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_bound_to_a_certificate_is_of_no_use_to_a_thief_on_sqlite__rfc8705_3() {
    on(Store::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_bound_to_a_certificate_is_of_no_use_to_a_thief_on_postgresql__rfc8705_3() {
    on(Store::Server).await;
}
