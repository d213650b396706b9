//! The authorization server: OAuth 2.0 and OpenID Connect endpoints, hosted pages, accounts, clients and signing keys.
//! A path in the source mirrors the URL it serves.

pub mod accounts;
pub mod api;
pub mod cli;
pub mod clients;
pub mod keys;
pub mod locales;
pub mod oauth;
pub mod outside;
pub mod pages;
pub mod passwords;
mod printable;
pub mod protocol;
pub mod samples;
pub mod sessions;
pub mod state;
pub mod sweeper;
#[cfg(any(test, feature = "fuzzing"))]
pub mod untrusted;
pub mod upstream;
mod webhooks;

use anyhow::Context;
use axum::Router;
use shared::Platform;
use shared::http::{Listener, Readers, for_browsers};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use state::AppState;

/// Every route of the authorization server, ready to serve.
pub fn router(state: AppState) -> Router {
    let platform = state.platform.clone();
    let (open, cors) = oauth::open(&state);
    let routes = Router::new()
        .merge(oauth::router(&state))
        .merge(api::router(&state))
        .merge(pages::router(&state))
        .merge(webhooks::router(&state))
        .merge(shared::http::health::router({
            let platform = platform.clone();
            move || {
                let platform = platform.clone();
                async move { shared::http::health::database_answers(&platform.db).await }
            }
        }))
        .fallback(pages::error::not_found);
    let edge = shared::http::edge(&platform);
    edge.wrap_with(open, for_browsers(Readers::Anyone, cors)).merge(edge.wrap(routes)).with_state(state)
}

/// Serves until `shutdown` completes, then lets requests under way finish. Starts the outbox worker, the sweeper and
/// the key rotation, and stops them. Besides `listener` there is `auth.mtls_listen`, if it is configured.
///
/// # Errors
/// When the database, the signing keys or the TLS certificate can't be used.
pub async fn serve(
    platform: Platform,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    serve_with(AppState::new(platform).await?, listener, shutdown).await
}

/// The same with a state that the caller made.
///
/// # Errors
/// When the database or the TLS certificate can't be used.
pub async fn serve_with(
    state: AppState,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let platform = state.platform.clone();
    let config = &platform.config;
    let mut listeners = vec![Listener::open(listener, config.auth_tls())?];
    // The same routes for clients that show certificates, at an address where browsers never come.
    if let Some(address) = config.auth.mtls_listen {
        let tcp = TcpListener::bind(address).await.with_context(|| {
            format!("{address} can't be listened on; is something else there? Change auth.mtls_listen")
        })?;
        listeners.push(Listener::open(tcp, config.auth_mtls())?);
    }
    platform.revocations.refresh(&platform.db, platform.clock.now()).await.context("reading the revocations")?;
    let (stop, stopped) = watch::channel(false);
    let background = [
        platform.watch_revocations(stopped.clone()),
        state.keys.watch(platform.clone(), stopped.clone()),
        sweeper::spawn(platform.clone(), stopped.clone()),
        outside::spawn(&state, stopped),
    ];
    let served = shared::http::serve_all(listeners, router(state), shutdown).await;
    let _ = stop.send(true);
    for task in background {
        let _ = task.await;
    }
    Ok(served?)
}
