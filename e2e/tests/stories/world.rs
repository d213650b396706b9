//! A world of its own for each story: both services and the demo app in this process, on free loopback ports, over a
//! fresh store, on a clock that can be moved.

use std::time::Duration;

use auth_server::clients::{self, ClientMetadata, NewClient};
use demo_app::DemoClient;
use reqwest::Client;
use serde_json::json;
use shared::Platform;
use shared::clock::Clock;
use shared::ids::ClientId;
use shared::outbound::Outbound;
use shared::random::Random;
use shared::testing::Scratch;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use shared::testing::Store;

use crate::actor::Actor;
use crate::app::App;
use crate::visitor::Visitor;

/// Every scope that people may be asked for by an app of ours.
pub const ALL_SCOPES: &str = "openid profile email offline_access account:read account:write \
                              referral-codes:read referral-codes:write referrals:read";
/// What a third-party app may ask for.
pub const APP_SCOPES: &str =
    "openid profile email offline_access referral-codes:read referral-codes:write referrals:read";

pub const PASSWORD: &str = "correct horse battery staple";

/// Runs the story `$name`, an `async fn(World)`, on both stores. Configuration keys may follow.
macro_rules! on_both_stores {
    ($name:ident $(, $key:literal = $value:expr)* $(,)?) => {
        mod $name {
            use $crate::world::{Store, World};

            const SETTINGS: &[(&str, &str)] = &[$(($key, $value)),*];

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite_and_moka() {
                if let Some(world) = World::new(Store::Embedded, SETTINGS).await {
                    super::$name(world).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql_and_redis() {
                if let Some(world) = World::new(Store::Server, SETTINGS).await {
                    super::$name(world).await;
                }
            }
        }
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
    outbound: Outbound,
    _stop: watch::Sender<bool>,
    services: JoinSet<anyhow::Result<()>>,
}

impl World {
    /// `None` when this store needs servers and none were named.
    pub async fn new(store: Store, settings: &[(&str, &str)]) -> Option<Self> {
        let scratch = Scratch::new(store).await?;
        Some(Self::on(scratch, settings).await)
    }

    /// Over a store that was made before.
    pub async fn on(scratch: Scratch, settings: &[(&str, &str)]) -> Self {
        let [auth, api, demo] = [listener().await, listener().await, listener().await];
        let [auth_url, api_url, demo_url] =
            [&auth, &api, &demo].map(|listener| format!("http://{}", listener.local_addr().expect("it listens")));
        let mut all = vec![
            ("AUTH__PUBLIC_URL", auth_url.as_str()),
            ("API__PUBLIC_URL", api_url.as_str()),
            ("DEMO__PUBLIC_URL", demo_url.as_str()),
            // Counted by client address, and every story comes from the same one. `signup` has the story of limits.
            ("LIMITS__ENABLED", "false"),
        ];
        all.extend(settings);
        let config = scratch.config(&all);
        let clock = Clock::system();
        let open = || Platform::open_with(config.clone(), clock.clone(), Random::system());
        let platform = open().await.expect("the platform opens");
        // On servers each service has its own pool and caches, as in production; on the embedded store they share one
        // process, as `standalone` has it.
        let api_platform = match scratch.store {
            Store::Embedded => platform.clone(),
            Store::Server => open().await.expect("the platform opens twice"),
        };

        let (stop, stopped) = watch::channel(false);
        let until = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            }
        };
        let demo_client = register(
            &platform,
            app_client("Kopi", &["authorization_code", "refresh_token"], &format!("{demo_url}/callback")),
        )
        .await;
        let demo_client =
            DemoClient { client_id: demo_client.0, client_secret: demo_client.1.expect("it is confidential") };
        let mut services = JoinSet::new();
        services.spawn(auth_server::serve(platform.clone(), auth, until()));
        services.spawn(referral_api::serve(api_platform, api, until()));
        services.spawn(demo_app::serve(config.clone(), demo_client, demo, until()));

        let (client_id, _) = register(&platform, cli_client()).await;
        let outbound = Outbound::new::<&str>(&[], clock.clone()).expect("an HTTP client");
        let cli = App {
            auth_url: auth_url.clone(),
            http: outbound.trusted().clone(),
            client_id,
            secret: None,
            redirect_uri: String::new(),
        };
        let mut world = Self { auth_url, api_url, platform, scratch, cli, outbound, _stop: stop, services };
        world.until_ready().await;
        world
    }

    /// Waits until both services say they can serve; fails with the reason when one of them ends instead.
    async fn until_ready(&mut self) {
        let ready = async {
            for url in [&self.auth_url, &self.api_url] {
                let url = format!("{url}/readyz");
                while !self.outbound.trusted().get(&url).send().await.is_ok_and(|a| a.status().is_success()) {
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
        self.outbound.trusted()
    }

    /// Moves the services' clock forward.
    pub fn pass(&self, time: Duration) {
        self.platform.clock.advance(time);
    }

    /// Someone without a token.
    pub fn anon(&self) -> Actor {
        Actor {
            http: self.http().clone(),
            auth_url: self.auth_url.clone(),
            api_url: self.api_url.clone(),
            id: String::new(),
            email: String::new(),
            token: None,
        }
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
        metadata: ClientMetadata {
            redirect_uris: vec![redirect_uri.to_owned()],
            grant_types: grants.iter().map(|&grant| grant.to_owned()).collect(),
            scopes: words(APP_SCOPES),
            token_endpoint_auth_method: "client_secret_basic".to_owned(),
            require_pkce: true,
            id_token_signed_response_alg: "RS256".to_owned(),
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
