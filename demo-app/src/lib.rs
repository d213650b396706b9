//! Kopi, a coffee house on the web: what any third party would write to sign people in with Referris and to use the
//! referral API in their name. It knows the platform by HTTP alone (discovery, OpenID Connect, the API's documents);
//! from `shared` it takes only the configuration, the clock and the accept loop.
//!
//! - `provider`: OpenID Connect, by the `openidconnect` crate
//! - `referrals`: the referral API, as its documentation describes it
//! - `session`: what is kept of a browser
//! - `sign_in`, `card`: the pages; `page`: what they share

mod card;
mod page;
mod provider;
mod referrals;
mod session;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use shared::clock::Clock;
use shared::config::{Config, PublicUrl};
use tokio::net::TcpListener;

use provider::Provider;
use referrals::ReferralApi;

/// How this app is registered at the authorization server.
pub struct DemoClient {
    pub client_id: String,
    pub client_secret: String,
}

/// What every handler uses.
#[derive(Clone)]
struct Kopi(Arc<Parts>);

struct Parts {
    /// This app's own address, as browsers see it.
    public_url: PublicUrl,
    provider: Provider,
    referrals: ReferralApi,
    clock: Clock,
}

impl std::ops::Deref for Kopi {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Serves the app on `listener` until `shutdown` completes. The authorization server may start later, or go away and
/// come back: it is asked only when somebody signs in.
///
/// # Errors
/// When the configuration holds no usable addresses, or the listener fails.
pub async fn serve(
    config: Arc<Config>,
    client: DemoClient,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let router = router(&config, client, Clock::system())?;
    let listener = shared::http::Listener::open(listener, config.demo_tls())?;
    shared::http::serve(listener, router, shutdown).await.context("the demo app's listener")
}

/// The app's routes on a clock of the caller's.
///
/// # Errors
/// When the configuration holds no usable addresses.
pub fn router(config: &Config, client: DemoClient, clock: Clock) -> anyhow::Result<Router> {
    let public_url = PublicUrl::try_from(config.demo_url()).map_err(anyhow::Error::msg).context("demo.public_url")?;
    let http = http_client()?;
    let provider = Provider::new(
        config.auth.public_url.as_str(),
        client,
        public_url.join("/callback"),
        http.clone(),
        clock.clone(),
    )?;
    let referrals = ReferralApi::new(config.api.public_url.as_str(), http)?;
    let sessions = session::layer(&public_url)?;
    let kopi = Kopi(Arc::new(Parts { public_url, provider, referrals, clock }));
    Ok(Router::new()
        .route("/", get(card::home))
        .route("/sign-in", get(sign_in::begin))
        .route("/callback", get(sign_in::callback))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/codes", post(card::create_code))
        .route("/codes/delete", post(card::delete_code))
        .route("/kopi.css", get(page::stylesheet))
        .fallback(page::not_found)
        .layer(sessions)
        .layer(from_fn_with_state(kopi.clone(), page::own_pages_only))
        .layer(from_fn(page::headers))
        .with_state(kopi))
}

/// The one HTTP client: for the provider and the API alike.
#[expect(clippy::disallowed_methods, reason = "a third party makes its own client; this is the only place")]
fn http_client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent("Kopi/1.0")
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(10))
        // Following redirects would let an answer send our credentials somewhere else (SSRF).
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("no HTTP client can be made")
}
