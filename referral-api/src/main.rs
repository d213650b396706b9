//! The referral API's program: `referral-api serve | config check | healthcheck`, each with `--json`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde_json::json;
use shared::config::{self, Config};
use shared::{Platform, process, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The referral API of Referris.
#[derive(Parser)]
#[command(name = "referral-api", version)]
struct Cli {
    /// The configuration file. Default: referris.toml, when there is one here. REFERRIS__SECTION__KEY in the
    /// environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until Ctrl-C or SIGTERM.
    Serve,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running API on this machine whether it is ready (for container health checks).
    Healthcheck,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Report every mistake at once; exit with 0 when there is none.
    Check,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            if cli.json {
                print(&error.as_json().to_string());
            } else {
                complain(&error.to_string());
            }
            return ExitCode::from(2);
        }
    };
    let outcome = match cli.command {
        Command::Config(ConfigCommand::Check) => {
            answer(cli.json, &json!({ "valid": true, "mistakes": [] }), "The configuration is fine.");
            Ok(())
        }
        Command::Healthcheck => process::healthcheck(config.api.listen, config.api_tls().is_some())
            .await
            .map(|()| answer(cli.json, &json!({ "ready": true }), "Ready."))
            .map_err(Into::into),
        Command::Serve => serve(config).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if cli.json {
                print(&json!({ "error": format!("{error:#}") }).to_string());
            }
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    if let Some(address) = config.metrics.listen {
        telemetry::metrics_listener(address).with_context(|| format!("metrics.listen {address}"))?;
    }
    let address = config.api.listen;
    let platform = Platform::open(Arc::new(config)).await?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} can't be listened on; is something else there? Change api.listen"))?;
    tracing::info!(%address, issuer = %platform.config.issuer(), "serving");
    referral_api::serve(platform, listener, process::shutdown_signal()).await
}

fn answer(json: bool, value: &serde_json::Value, sentence: &str) {
    print(&if json { value.to_string() } else { sentence.to_owned() });
}

fn print(line: &str) {
    // A closed pipe is not worth a panic.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
