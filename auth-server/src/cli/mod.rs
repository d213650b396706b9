//! The command line: `auth-server serve | migrate | config check | client … | grant … | templates check`, each with `--json`.

mod client;
mod grant;
mod initial_access_token;
mod templates;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use shared::Platform;
use shared::config::{self, Config};
use shared::db::Db;
use shared::{process, telemetry};
use tokio::net::TcpListener;
use tracing::info;

/// OAuth 2.0 and OpenID Connect authorization server with referrals.
#[derive(Parser)]
#[command(name = "auth-server", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Common {
    /// The configuration file. Default: referris.toml, when there is one here. REFERRIS__SECTION__KEY in the
    /// environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until Ctrl-C or SIGTERM.
    Serve,
    /// Bring the database's schema up to date. Safe while the previous release serves.
    Migrate,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Register and manage clients, also while the services run.
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// See and revoke what people granted to clients, also while the services run.
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// Look at the pages and the mails without serving anybody.
    #[command(subcommand)]
    Templates(templates::TemplatesCommand),
    /// Ask a running server on this machine whether it is ready (for container health checks).
    Healthcheck,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Report every mistake at once; exit with 0 when there is none.
    Check,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.common.json;
    let config = match config::load(cli.common.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            if json {
                print(&error.as_json().to_string());
            } else {
                complain(&error.to_string());
            }
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the program can't start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command, config, json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if json {
                print(&json!({ "error": format!("{error:#}") }).to_string());
            }
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, config: Config, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Serve => serve(config).await,
        Command::Migrate => {
            let db = Db::open(&config.database_url(), 2).await?;
            db.migrate().await?;
            answer(json, &json!({ "migrated": true }), "The schema is up to date.");
            Ok(())
        }
        Command::Config(ConfigCommand::Check) => {
            answer(json, &json!({ "valid": true, "mistakes": [] }), "The configuration is fine.");
            Ok(())
        }
        Command::Client(command) => {
            let platform = open(config, command.begins()).await?;
            client::run(&platform, command, json).await
        }
        Command::Grant(command) => {
            let platform = open(config, false).await?;
            grant::run(&platform, command, json).await
        }
        Command::Templates(command) => {
            telemetry::init(&quiet(&config))?;
            templates::run(&config, command, json).await
        }
        Command::Healthcheck => {
            process::healthcheck(config.auth.listen, config.auth_tls().is_some()).await?;
            answer(json, &json!({ "ready": true }), "Ready.");
            Ok(())
        }
    }
}

/// What a command works on. Only one that `begins` something makes a database, and a key, where there are none: the others
/// were started in the wrong folder.
async fn open(config: Config, begins: bool) -> anyhow::Result<Platform> {
    telemetry::init(&quiet(&config))?;
    if let Some(file) = Db::missing_file(&config.database_url()).filter(|_| !begins) {
        let file = file.display();
        bail!(
            "there is no database {file}; run this in the server's folder, or give --config or DATABASE_URL as there"
        );
    }
    let key = config.data_dir.join("master.key");
    if !begins && config.keys.master_key.is_none() && key.try_exists().is_ok_and(|exists| !exists) {
        let key = key.display();
        bail!("there is no {key}; run this in the server's folder, or give --config or keys.master_key as there");
    }
    Ok(Platform::open(Arc::new(config)).await?)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    if let Some(address) = config.metrics.listen {
        telemetry::metrics_listener(address).with_context(|| format!("metrics.listen {address}"))?;
    }
    let address = config.auth.listen;
    let platform = Platform::open(Arc::new(config)).await?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} can't be listened on; is something else there? Change auth.listen"))?;
    info!(%address, issuer = %platform.config.auth.public_url, "serving");
    crate::serve(platform, listener, process::shutdown_signal()).await
}

/// A command's log goes no further than warnings: its output is for a person or a program.
fn quiet(config: &Config) -> shared::config::Log {
    shared::config::Log { filter: "warn".into(), ..config.log.clone() }
}

/// Says the answer on standard output: as JSON and nothing else, or as a sentence.
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
