//! OpenID Connect Back-Channel Logout 1.0.

mod delivery;
mod occasions;
mod places;
mod token;

use auth_server::clients::ClientMetadata;
use shared::fetch_all;
use tokio::sync::watch;

use crate::harness::{Browser, RelyingParty, Server};

/// The worker at its rounds, until it is dropped.
pub struct Worker {
    #[expect(dead_code, reason = "the worker ends when its sender is gone")]
    stop: watch::Sender<bool>,
}

pub fn worker(server: &Server) -> Worker {
    let (stop, stopped) = watch::channel(false);
    auth_server::outside::spawn(&server.state, stopped);
    Worker { stop }
}

pub fn listening(party: &RelyingParty) -> impl FnOnce(&mut ClientMetadata) + use<> {
    let url = party.url.clone();
    move |metadata| metadata.backchannel_logout_uri = Some(url)
}

pub async fn sign_out(browser: &mut Browser) {
    let csrf = browser.get("/logout").await.hidden("csrf");
    browser.post("/logout", &[("csrf", &csrf)]).await.location();
}

/// Waiting logout jobs: attempts, last error, payload.
pub async fn waiting(server: &Server) -> Vec<(i64, Option<String>, String)> {
    let mut conn = server.state.platform.db.read().await.unwrap();
    fetch_all!(
        &mut conn,
        (i64, Option<String>, String),
        "SELECT attempts, last_error, CAST(payload AS TEXT) FROM outbox WHERE kind = 'backchannel_logout' ORDER BY id"
    )
    .unwrap()
}

/// Waits until no logout job is left.
pub async fn settled(server: &Server) {
    for _ in 0..200 {
        if waiting(server).await.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{:?}", waiting(server).await);
}
