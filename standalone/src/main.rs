//! `cargo run`: the authorization server, the referral API and the demo app in one process, on SQLite and an in-process
//! cache, with nothing to install. With `DATABASE_URL` and `REDIS_URL` the same on PostgreSQL and Redis.

mod banner;
mod demo_clients;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Every password that is hashed asks for 19 MiB and gives it back: mimalloc returns it sooner than the system's
/// allocator, and keeps the threads out of each other's way.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Referris on your own machine: the authorization server, the referral API and a demo app, in one process.
#[derive(Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Args {
    /// The configuration file. Default: referris.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE", env = "REFERRIS_CONFIG")]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Every key of the configuration can be set in the environment; docs/CONFIGURATION.md lists them all. A second instance
beside the first, for example:

  REFERRIS__DATA_DIR=./data-2 \\
  REFERRIS__AUTH__LISTEN=127.0.0.1:9080 REFERRIS__AUTH__PUBLIC_URL=http://127.0.0.1:9080 \\
  REFERRIS__API__LISTEN=127.0.0.1:9081 REFERRIS__API__PUBLIC_URL=http://127.0.0.1:9081 \\
  REFERRIS__DEMO__LISTEN=127.0.0.1:9082 cargo run

On PostgreSQL and Redis:

  DATABASE_URL=postgres://user:password@localhost/referris REDIS_URL=redis://localhost cargo run";

#[tokio::main]
#[expect(clippy::print_stderr, reason = "why it can't start is for whoever started it")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run::run(args.config.as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
