//! The referral API: validates the authorization server's access tokens; referral codes, referrals, invitations.

pub mod access;
mod addresses;
pub mod code_cache;
pub mod codes;
mod cors;
mod docs;
pub mod invitations;
pub mod jwks;
pub mod metadata;
pub mod paging;
pub mod programme;
pub mod referrals;
mod state;
pub mod webhooks;

use std::future::Future;

use axum::Router;
use shared::Platform;
use shared::config::Config;
use shared::http::{Listener, for_browsers, health, private_answers};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceBuilder;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use docs::openapi;
pub use state::AppState;

/// Everything this service answers.
pub fn router(state: AppState) -> Router {
    let platform = state.platform().clone();
    let Routes { private, public, openapi } = routes(&platform.config);
    let pages = docs::pages(&openapi, &platform.config, platform.clock.now());
    let ready = {
        let state = state.clone();
        move || {
            let state = state.clone();
            async move { is_ready(&state).await }
        }
    };
    let public = public.merge(pages).merge(health::router(ready));
    let edge = shared::http::edge(&platform);
    // CORS is the outer one, so that what refuses can be read in a browser too.
    let browsers = for_browsers(cors::readers(&platform.config), cors::layer(&platform.config));
    let within = ServiceBuilder::new().layer(browsers).layer(private_answers());
    edge.wrap_with(private, within).merge(edge.wrap(public)).with_state(state)
}

/// The routes and their description.
pub(crate) struct Routes {
    /// Those that take a token.
    private: Router<AppState>,
    public: Router<AppState>,
    pub(crate) openapi: OpenApi,
}

pub(crate) fn routes(config: &Config) -> Routes {
    let private = OpenApiRouter::with_openapi(docs::base(config))
        .routes(routes!(codes::create, codes::list))
        .routes(routes!(codes::lookup))
        .routes(routes!(codes::get, codes::delete))
        .routes(routes!(codes::rotate::create))
        .routes(routes!(codes::stats::get))
        .routes(routes!(codes::qr::get))
        .routes(routes!(referrals::list))
        .routes(routes!(referrals::csv::export))
        .routes(routes!(referrals::stats::get))
        .routes(routes!(referrals::rewards::list))
        .routes(routes!(referrals::manage::list))
        .routes(routes!(referrals::manage::get))
        .routes(routes!(referrals::manage::qualify))
        .routes(routes!(referrals::manage::reward))
        .routes(routes!(referrals::manage::reject))
        .routes(routes!(referrals::manage::reverse))
        .routes(routes!(referrals::manage::clear))
        .routes(routes!(invitations::create, invitations::own::list))
        .routes(routes!(invitations::own::get, invitations::own::withdraw))
        .routes(routes!(webhooks::endpoints::create, webhooks::endpoints::list))
        .routes(routes!(webhooks::endpoints::get, webhooks::endpoints::update, webhooks::endpoints::delete))
        .routes(routes!(webhooks::endpoints::rotate_secret))
        .routes(routes!(webhooks::deliveries::test))
        .routes(routes!(webhooks::deliveries::list))
        .routes(routes!(webhooks::deliveries::replay_one))
        .routes(routes!(webhooks::deliveries::replay));
    let public = OpenApiRouter::new().routes(routes!(metadata::get));
    let ((private, mut openapi), (public, more)) = (private.split_for_parts(), public.split_for_parts());
    openapi.merge(more);
    docs::describe_common_answers(&mut openapi);
    webhooks::described(&mut openapi);
    Routes { private, public, openapi }
}

/// Ready is who can judge tokens and read the database.
async fn is_ready(state: &AppState) -> Result<(), String> {
    if !state.keys().is_ready() {
        return Err("the issuer's keys have not been fetched yet".into());
    }
    health::database_answers(&state.platform().db).await.map_err(|error| error.to_string())
}

/// Serves on `listener` until `shutdown` completes. The authorization server need not be up yet: until its keys could
/// be fetched, requests are answered 503.
pub async fn serve(
    platform: Platform,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = Listener::open(listener, platform.config.api_tls())?;
    // Before the first request: a token that was revoked while nothing ran must not pass. A database that is still
    // starting must not keep the service from starting, and without it no token passes either.
    if let Err(error) = platform.revocations.refresh(&platform.db, platform.clock.now()).await {
        tracing::warn!(%error, "the list of revocations can't be read yet");
    }
    let state = AppState::new(platform.clone());
    let (stop, stopped) = watch::channel(false);
    let workers = [
        platform.watch_revocations(stopped.clone()),
        state.keys().watch(stopped.clone()),
        state.codes().watch(stopped.clone()),
        state.watch(stopped.clone()),
        programme::watch(platform.clone(), stopped.clone()),
        webhooks::courier::spawn(platform.clone(), stopped),
    ];
    let served = shared::http::serve(listener, router(state), shutdown).await;
    let _ = stop.send(true);
    for worker in workers {
        let _ = worker.await;
    }
    Ok(served?)
}
