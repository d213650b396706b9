//! The demo app on its own, beside an authorization server that runs elsewhere. Its registration there comes from
//! `DEMO_CLIENT_ID` and `DEMO_CLIENT_SECRET`; everything else from the common configuration.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use demo_app::DemoClient;

#[derive(Parser)]
#[command(about = "Kopi: a third-party web app that signs people in with Referris", version)]
struct Arguments {
    /// The configuration file. Default: referris.toml, when there is one.
    #[arg(long)]
    config: Option<PathBuf>,
    /// What the authorization server calls this app (`auth-server client create …`).
    #[arg(long, env = "DEMO_CLIENT_ID")]
    client_id: String,
    /// Its secret. Better given in the environment: other users of the machine can read arguments.
    #[arg(long, env = "DEMO_CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { config, client_id, client_secret } = Arguments::parse();
    let config = Arc::new(shared::config::load(config.as_deref())?);
    shared::telemetry::init(&config.log)?;
    let address = config.demo.listen;
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("demo.listen: {address}"))?;
    tracing::info!(url = config.demo_url(), "the demo app listens");
    let stop = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "can't listen for Ctrl-C");
        }
    };
    demo_app::serve(config, DemoClient { client_id, client_secret }, listener, stop).await
}
