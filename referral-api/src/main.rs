//! `referral-api serve` and `referral-api config check`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use serde_json::json;
use shared::Platform;
use shared::config::{self, Config, ConfigError};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The referral API of Referris.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The configuration file. Default: referris.toml, when there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C.
    Serve,
    /// About the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read the configuration and say everything that is wrong with it.
    Check {
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let loaded = config::load(cli.config.as_deref());
    let outcome = match cli.command {
        Command::Config { command: ConfigCommand::Check { json } } => return report(loaded, json),
        Command::Serve => match loaded {
            Ok(config) => serve(config).await,
            Err(mistakes) => Err(mistakes.into()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "referral-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    shared::telemetry::init(&config.log)?;
    if let Some(address) = config.metrics.listen {
        shared::telemetry::metrics_listener(address)?;
    }
    let address = config.api.listen;
    let platform = Platform::open(Arc::new(config)).await?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("api.listen: {address} can't be listened on: {error}"))?;
    tracing::info!(%address, "the referral API listens");
    referral_api::serve(platform, listener, stop_signal()).await
}

/// SIGTERM (service managers, containers) or SIGINT (Ctrl-C).
async fn stop_signal() {
    let interrupted = async {
        // Without a handler for it, the signal ends the process anyway.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

fn report(loaded: Result<Config, ConfigError>, in_json: bool) -> ExitCode {
    let (text, code) = match loaded {
        Ok(_) if in_json => (json!({"ok": true, "mistakes": []}).to_string(), ExitCode::SUCCESS),
        Ok(_) => ("the configuration is good".to_owned(), ExitCode::SUCCESS),
        Err(ConfigError(mistakes)) if in_json => {
            let mistakes: Vec<_> =
                mistakes.iter().map(|m| json!({"key": m.key, "source": m.source, "reason": m.reason})).collect();
            (json!({"ok": false, "mistakes": mistakes}).to_string(), ExitCode::FAILURE)
        }
        Err(mistakes) => (mistakes.to_string(), ExitCode::FAILURE),
    };
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}
