//! Starting the three, telling when they answer, stopping them together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shared::Platform;
use shared::config::Config;
use shared::{process, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{banner, demo_clients};

/// Runs until Ctrl-C, SIGTERM, or the end of one of the services.
pub async fn run(file: Option<&Path>) -> Result<()> {
    let config = Arc::new(shared::config::load(file)?);
    telemetry::init(&config.log)?;

    // Addresses first: nothing is made on disk by an instance that can't run.
    let auth = listen("auth.listen", config.auth.listen).await?;
    let api = listen("api.listen", config.api.listen).await?;
    let demo = listen("demo.listen", config.demo.listen).await?;
    if let Some(address) = config.metrics.listen {
        telemetry::metrics_listener(address)?;
    }

    let platform = Platform::open(config.clone()).await?;
    // On PostgreSQL the services leave this to `auth-server migrate`, because several may be running. Whoever starts
    // this one by hand wants it to work.
    if config.database.migrate_on_start != Some(false) {
        platform.db.migrate().await.context("the database can't be brought up to date")?;
    }
    let demo_client = demo_clients::register(&platform).await?;

    let (stop, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move {
            // An error says that nobody is left to tell us: that too is the end.
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };
    let mut services = JoinSet::new();
    services.spawn(named("the authorization server", auth_server::serve(platform.clone(), auth, until_stopped())));
    services.spawn(named("the referral API", referral_api::serve(platform.clone(), api, until_stopped())));
    services.spawn(named("the demo app", demo_app::serve(config.clone(), demo_client, demo, until_stopped())));

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut announced = false;
    let ended = loop {
        tokio::select! {
            () = until_ready(&config), if !announced => {
                announced = true;
                banner::print(&config);
            }
            ended = services.join_next() => break ended,
            _ = interrupt.recv() => break None,
            _ = terminate.recv() => break None,
        }
    };

    stop.send_replace(true);
    // The first failure is the one to tell of; the others still get to finish what they were doing.
    let mut outcome = ended.map_or(Ok(()), |joined| joined?);
    loop {
        tokio::select! {
            next = services.join_next() => match next {
                Some(joined) => outcome = outcome.and(joined.map_err(anyhow::Error::from).flatten()),
                None => break,
            },
            // A second Ctrl-C: now.
            _ = interrupt.recv() => break,
        }
    }
    platform.db.close().await;
    outcome
}

async fn named(name: &str, service: impl Future<Output = Result<()>>) -> Result<()> {
    service.await.with_context(|| format!("{name} stopped"))
}

async fn listen(key: &str, address: SocketAddr) -> Result<TcpListener> {
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let variable = format!("REFERRIS__{}", key.replace('.', "__").to_uppercase());
    let also = match key {
        "demo.listen" => String::new(),
        _ => format!(", and {} to match", variable.replace("LISTEN", "PUBLIC_URL")),
    };
    if error.kind() == std::io::ErrorKind::AddrInUse {
        bail!(
            "{address} is taken: is Referris running already? To use another port set {key} (or {variable}){also}; \
             with its own REFERRIS__DATA_DIR a second instance runs beside the first"
        );
    }
    Err(error).with_context(|| format!("can't listen on {address}; change {key} (or {variable}){also}"))
}

/// Returns once both services say that they can serve.
async fn until_ready(config: &Config) {
    let services = [(config.auth.listen, config.auth_tls()), (config.api.listen, config.api_tls())];
    for (address, tls) in services {
        while process::healthcheck(address, tls.is_some()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Do the public URLs lead to these listeners, as far as can be told? On one machine without a proxy they are the same
/// address, and forgetting one of the two keys is the usual mistake.
pub fn mismatches(config: &Config) -> Vec<String> {
    let mut found = vec![];
    for (section, listen, url, tls) in [
        ("auth", config.auth.listen, &config.auth.public_url, config.auth_tls()),
        ("api", config.api.listen, &config.api.public_url, config.api_tls()),
    ] {
        let port = url.as_str().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let default = if url.is_https() { 443 } else { 80 };
        // A URL with https and a listener without have a proxy between them.
        if url.is_https() == tls.is_some() && port.unwrap_or(default) != listen.port() {
            found.push(format!("{section}.public_url is {url}, but {section}.listen is {listen}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_the_key_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = listen("auth.listen", taken.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("REFERRIS__AUTH__LISTEN") && error.contains("REFERRIS__AUTH__PUBLIC_URL"), "{error}");
    }

    #[test]
    fn a_listener_moved_without_its_public_url_is_noticed() {
        let moved = [("REFERRIS__AUTH__LISTEN".to_owned(), "127.0.0.1:9080".to_owned())];
        assert_eq!(mismatches(&shared::config::load_from(None, moved).unwrap()).len(), 1);
        assert!(mismatches(&shared::config::load_from(None, []).unwrap()).is_empty());
    }
}
