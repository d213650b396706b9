//! A world of its own for each story: both services and the demo app in this process, on free loopback ports, over a
//! fresh store, on a clock that can be moved.

use std::time::Duration;

use auth_server::AppState;
use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use auth_server::keys::KeyRing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo_app::DemoClient;
use reqwest::Client;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::Platform;
use shared::clock::Clock;
use shared::http::ClientCertificate;
use shared::ids::ClientId;
use shared::random::Random;
use shared::testing::Scratch;
use shared::testing::certificates::{Authority, Identity, client_config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use shared::testing::Store;

use crate::actor::Actor;
use crate::app::App;
use crate::visitor::Visitor;

/// Every scope that people may be asked for by an app of ours.
pub const ALL_SCOPES: &str = "openid profile email address phone offline_access account:read account:write \
                              referral-codes:read referral-codes:write referrals:read";
/// What a third-party app may ask for.
pub const APP_SCOPES: &str =
    "openid profile email address phone offline_access referral-codes:read referral-codes:write referrals:read";

pub const PASSWORD: &str = "correct horse battery staple";

/// Runs the story `$name` on both stores, with what `$made` makes of each.
macro_rules! on_both_stores_with {
    ($(#[$attribute:meta])* $name:ident, |$store:ident| $made:expr) => {
        mod $name {
            use $crate::world::Store;

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn on_sqlite_and_moka() {
                let $store = Store::Embedded;
                if let Some(made) = $made.await {
                    super::$name(made).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn on_postgresql_and_redis() {
                let $store = Store::Server;
                if let Some(made) = $made.await {
                    super::$name(made).await;
                }
            }
        }
    };
}

/// Runs the story `$name`, an `async fn(World)`, on both stores. Configuration keys may follow.
macro_rules! on_both_stores {
    ($name:ident $(, $key:literal = $value:expr)* $(,)?) => {
        on_both_stores_with!($name, |store| $crate::world::World::new(store, &[$(($key, $value)),*]));
    };
}

/// The same by https, on the services' own TLS listeners. Attributes may precede.
macro_rules! on_both_stores_by_https {
    ($(#[$attribute:meta])* $name:ident) => {
        on_both_stores_with!($(#[$attribute])* $name, |store| $crate::world::World::secure(store, &[]));
    };
}

/// Runs the story `$name`, an `async fn(Scratch)` that starts the real programs, on both stores.
macro_rules! on_both_stores_by_program {
    ($name:ident) => {
        on_both_stores_with!($name, |store| ::shared::testing::Scratch::bare(store));
    };
}

/// The running system. It stops when this is dropped.
pub struct World {
    pub auth_url: String,
    pub api_url: String,
    /// The authorization server's; for what only an operator can do.
    pub platform: Platform,
    pub scratch: Scratch,
    /// First-party, public, with the password grant: how people get a token without a browser here.
    pub cli: App,
    /// Where the services speak TLS: who signed their certificate, and the certificate.
    pub tls: Option<(Authority, Identity)>,
    /// The authorization server's, which it looks at once a minute, by the machine's clock.
    keys: KeyRing,
    http: Client,
    _stop: watch::Sender<bool>,
    services: JoinSet<anyhow::Result<()>>,
}

impl World {
    /// `None` when this store needs servers and none were named.
    pub async fn new(store: Store, settings: &[(&str, &str)]) -> Option<Self> {
        let scratch = Scratch::new(store).await?;
        Some(Self::on(scratch, settings).await)
    }

    /// The same by https, on the services' own TLS listeners.
    pub async fn secure(store: Store, settings: &[(&str, &str)]) -> Option<Self> {
        let scratch = Scratch::new(store).await?;
        let authority = Authority::new("Throwaway authority");
        let identity = authority.server(&["127.0.0.1"]);
        Some(Self::open(scratch, settings, Some((authority, identity))).await)
    }

    /// With the authorization server at a port that was told to somebody before.
    pub async fn at(scratch: Scratch, settings: &[(&str, &str)], port: u16) -> Self {
        let auth = TcpListener::bind(("127.0.0.1", port)).await.expect("a port that was free a moment ago");
        Self::open_at(auth, scratch, settings, None).await
    }

    /// Over a store that was made before.
    pub async fn on(scratch: Scratch, settings: &[(&str, &str)]) -> Self {
        Self::open(scratch, settings, None).await
    }

    async fn open(scratch: Scratch, settings: &[(&str, &str)], tls: Option<(Authority, Identity)>) -> Self {
        Self::open_at(listener().await, scratch, settings, tls).await
    }

    async fn open_at(
        auth: TcpListener,
        scratch: Scratch,
        settings: &[(&str, &str)],
        tls: Option<(Authority, Identity)>,
    ) -> Self {
        let [api, demo] = [listener().await, listener().await];
        let scheme = if tls.is_some() { "https" } else { "http" };
        let [auth_url, api_url, demo_url] =
            [&auth, &api, &demo].map(|listener| format!("{scheme}://{}", listener.local_addr().expect("it listens")));
        let mut all = vec![
            ("AUTH__PUBLIC_URL", auth_url.clone()),
            ("API__PUBLIC_URL", api_url.clone()),
            ("DEMO__PUBLIC_URL", demo_url.clone()),
            // Counted by client address, and every story comes from the same one. `signup` has the story of limits.
            ("LIMITS__ENABLED", "false".to_owned()),
        ];
        if let Some((authority, identity)) = &tls {
            let (certificate, key) = identity.write(&scratch.dir, "server");
            let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
            let authority_file = scratch.dir.join("authority.pem");
            std::fs::write(&authority_file, authority.pem()).expect("a file");
            // Free a moment ago: it is the service that listens there.
            let mtls = listener().await.local_addr().expect("it listens").to_string();
            all.extend([
                ("AUTH__TLS_CERTIFICATE_FILE", certificate.clone()),
                ("AUTH__TLS_KEY_FILE", key.clone()),
                ("API__TLS_CERTIFICATE_FILE", certificate),
                ("API__TLS_KEY_FILE", key),
                // A second listener asks for clients' certificates (RFC 8705); the API asks at its only one.
                ("AUTH__MTLS_LISTEN", mtls.clone()),
                ("AUTH__MTLS_PUBLIC_URL", format!("https://{mtls}")),
                ("AUTH__CLIENT_CA_FILE", authority_file.display().to_string()),
                ("API__REQUEST_CLIENT_CERTIFICATES", "true".to_owned()),
                // Apps listen here for what they are told on the back channel, and publish their metadata.
                ("OUTBOUND__ALLOW", r#"["127.0.0.1"]"#.to_owned()),
                ("REGISTRATION__METADATA_DOCUMENTS", "true".to_owned()),
            ]);
        }
        let mut all: Vec<_> = all.iter().map(|(key, value)| (*key, value.as_str())).collect();
        all.extend(settings);
        let config = scratch.config(&all);
        let clock = Clock::system();
        let open = async || {
            let platform = Platform::open_with(config.clone(), clock.clone(), Random::system()).await;
            let mut platform = platform.expect("the platform opens");
            if let Some((authority, _)) = &tls {
                platform.outbound = platform.outbound.trusting(&authority.pem()).expect("a certificate");
            }
            platform
        };
        let platform = open().await;
        let http = platform.outbound.trusted().clone();
        // On servers each service has its own pool and caches, as in production; on the embedded store they share one
        // process, as `standalone` has it.
        let api_platform = match scratch.store {
            Store::Embedded => platform.clone(),
            Store::Server => open().await,
        };

        let (stop, stopped) = watch::channel(false);
        let until = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            }
        };
        let mut services = JoinSet::new();
        auth_server::keys::testing::lay_in(&platform).await.expect("the keys are kept");
        let state = AppState::new(platform.clone()).await.expect("the authorization server starts");
        let keys = state.keys.clone();
        services.spawn(auth_server::serve_with(state, auth, until()));
        services.spawn(referral_api::serve(api_platform, api, until()));
        // It trusts the authorities of this machine, not a throwaway one.
        if tls.is_none() {
            let client = app_client("Kopi", &["authorization_code", "refresh_token"], &format!("{demo_url}/callback"));
            let (client_id, secret) = register(&platform, client).await;
            let client = DemoClient { client_id, client_secret: secret.expect("it is confidential") };
            services.spawn(demo_app::serve(config.clone(), client, demo, until()));
        }

        let (client_id, _) = register(&platform, cli_client()).await;
        let cli = App {
            auth_url: auth_url.clone(),
            http: http.clone(),
            client_id,
            secret: None,
            redirect_uri: String::new(),
        };
        let mut world = Self { auth_url, api_url, platform, scratch, cli, tls, keys, http, _stop: stop, services };
        world.until_ready().await;
        world
    }

    /// Waits until both services say they can serve; fails with the reason when one of them ends instead.
    async fn until_ready(&mut self) {
        let ready = async {
            for url in [&self.auth_url, &self.api_url] {
                let url = format!("{url}/readyz");
                while !self.http.get(&url).send().await.is_ok_and(|a| a.status().is_success()) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::select! {
            () = ready => {}
            ended = self.services.join_next() => panic!("a service ended at once: {ended:?}"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("the services did not become ready"),
        }
    }

    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Moves the services' clock forward.
    pub fn pass(&self, time: Duration) {
        self.platform.clock.advance(time);
    }

    /// Lets the signing keys' time run out: their successors are published, and a day later they sign. How much time
    /// passed.
    pub async fn rotates_its_keys(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let last_day = DAY * u32::try_from(self.platform.config.keys.rotation_days - 1).expect("a number of days");
        for time in [last_day, DAY] {
            self.pass(time);
            self.keys.refresh(&self.platform).await.expect("successors are made");
        }
        last_day + DAY
    }

    /// Someone without a token.
    pub fn anon(&self) -> Actor {
        Actor::anon(self.http.clone(), &self.auth_url, &self.api_url)
    }

    /// A person who has just signed up, with a token for everything.
    pub async fn person(&self, name: &str) -> Actor {
        self.person_through(name, None).await
    }

    /// A person who signed up through a friend's referral code.
    pub async fn person_through(&self, name: &str, code: Option<&str>) -> Actor {
        let mut actor = self.anon();
        actor.email = format!("{name}@example.com");
        let mut form = json!({ "email": actor.email, "password": PASSWORD, "given_name": capitalised(name) });
        if let Some(code) = code {
            form["referral_code"] = code.into();
        }
        let account = actor.post("/api/v1/signup", form).await.is(201);
        actor.id = account["id"].as_str().expect("an account has an id").to_owned();
        self.signed_in(actor).await
    }

    /// The same person with a fresh token.
    pub async fn signed_in(&self, mut actor: Actor) -> Actor {
        let answer = self.cli.password(&actor.email, PASSWORD, ALL_SCOPES).await.is(200);
        actor.token = Some(answer["access_token"].as_str().expect("an access token").to_owned());
        actor
    }

    /// A third-party web app: confidential, code and refresh grants, asks for consent.
    pub async fn app(&self) -> App {
        // Nothing listens there: the code is read off the redirect.
        self.register(app_client("Wonder App", &["authorization_code", "refresh_token"], "http://127.0.0.1:1/callback"))
            .await
    }

    /// A client as `auth-server client create` would make it.
    pub async fn register(&self, client: NewClient) -> App {
        let redirect_uri = client.metadata.redirect_uris.first().cloned().unwrap_or_default();
        let (client_id, secret) = register(&self.platform, client).await;
        App { auth_url: self.auth_url.clone(), http: self.http().clone(), client_id, secret, redirect_uri }
    }

    /// A service that acts in its own name, with a token for `scope`.
    pub async fn service(&self, scope: &str) -> (App, Actor) {
        let mut client = app_client("Nightly job", &["client_credentials"], "");
        client.metadata.redirect_uris.clear();
        let app = self.register(client).await;
        let answer = app.token(&[("grant_type", "client_credentials"), ("scope", scope)]).await.is(200);
        let mut actor = self.anon();
        actor.token = Some(answer["access_token"].as_str().expect("an access token").to_owned());
        (app, actor)
    }

    /// By which a real browser knows the services' certificate: the SHA-256 of its SubjectPublicKeyInfo, in base64.
    pub fn public_key_hash(&self) -> Option<String> {
        let (_, identity) = self.tls.as_ref()?;
        let certificate = ClientCertificate::parse(&identity.der, vec![]).expect("a certificate");
        Some(STANDARD.encode(Sha256::digest(certificate.public_key())))
    }

    /// An HTTP client that shows this certificate.
    #[expect(clippy::disallowed_methods, reason = "a stranger's client, with a certificate of its own")]
    pub fn showing(&self, identity: &Identity) -> Client {
        let (authority, _) = self.tls.as_ref().expect("it speaks TLS");
        let tls = std::sync::Arc::unwrap_or_clone(client_config(authority, Some(identity)));
        Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("an HTTP client")
    }

    /// A browser nobody has signed in with yet.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.http().clone())
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a loopback port")
}

async fn register(platform: &Platform, client: NewClient) -> (String, Option<String>) {
    let (client, secret) = clients::create(platform, client).await.expect("the client is registered");
    (client.client_id.to_string(), secret.map(|secret| secret.reveal().to_owned()))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A confidential third-party client.
pub fn app_client(name: &str, grants: &[&str], redirect_uri: &str) -> NewClient {
    NewClient {
        client_id: None,
        name: name.to_owned(),
        first_party: false,
        origin: Origin::Operator,
        metadata: ClientMetadata {
            redirect_uris: vec![redirect_uri.to_owned()],
            grant_types: grants.iter().map(|&grant| grant.to_owned()).collect(),
            scopes: words(APP_SCOPES),
            token_endpoint_auth_method: "client_secret_basic".to_owned(),
            ..ClientMetadata::default()
        },
    }
}

/// One of our own apps, public, that takes people's passwords.
pub fn cli_client() -> NewClient {
    let mut client = app_client("Command line", &["password", "refresh_token"], "");
    client.client_id = Some(ClientId("cli".to_owned()));
    client.first_party = true;
    client.metadata.redirect_uris.clear();
    client.metadata.scopes = words(ALL_SCOPES);
    client.metadata.token_endpoint_auth_method = "none".to_owned();
    client
}

pub fn capitalised(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}
