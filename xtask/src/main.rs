//! The project's chores: `cargo xtask test | e2e | fuzz | docs | bench`. `cargo xtask --help` lists them.
//!
//! It compiles in seconds and links none of the services: what needs them is a test or a binary that it starts.
#![expect(clippy::print_stderr, reason = "a command-line program talks to its terminal")]

mod bench;
mod docs;
mod fuzz;
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every test on SQLite + moka and on PostgreSQL + Redis, the browser story included.
    ///
    /// Starts throwaway servers on free loopback ports and stops them at the end; installs what is missing on Debian.
    /// TEST_DATABASE_URL (a PostgreSQL server with CREATE DATABASE rights) and TEST_REDIS_URL name servers to use
    /// instead.
    Test {
        /// Handed to `cargo test --workspace`: a filter, or `-- --nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Run only the end-to-end stories.
    E2e {
        /// Also those of the client libraries in Go and Java, which need `go`, `java` and `mvn`.
        #[arg(long)]
        all: bool,
        /// Handed to the test binary: a filter, `--nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Send the parsers of untrusted input what libFuzzer makes up. Needs cargo-fuzz.
    Fuzz {
        /// A file in fuzz/fuzz_targets without its ending; without one, each in turn.
        target: Option<String>,
        /// For how long each of them.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Regenerate docs/CONFIGURATION.md, docs/CONFORMANCE.md and docs/openapi/ from the code.
    Docs {
        /// Change nothing; fail when a committed document differs from the code or names a path that is not there.
        #[arg(long)]
        check: bool,
    },
    /// Measure, in release mode, and write the figures to docs/BENCHMARKS.md.
    Bench {
        /// Also measure a build from nothing (minutes).
        #[arg(long)]
        cold: bool,
        /// Also run the tests for their time (minutes). Without it, the time of the last full run is kept.
        #[arg(long)]
        tests: bool,
        /// Instead: the referral API's reads on PostgreSQL with a million people and ten million referrals, beside a
        /// hundredth of them. Makes both databases first (minutes), on a throwaway server.
        #[arg(long)]
        scale: bool,
        /// Print the figures and leave the document as it is.
        #[arg(long)]
        dry_run: bool,
    },
}

// One thread: the servers are told to end when the thread that started them does (see `xtask::servers`), so that must
// be the one that lives longest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Args::parse().chore {
        Chore::Test { rest } => tests::all(&rest).await,
        Chore::E2e { all, rest } => tests::stories(all, &rest).await,
        Chore::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds).await,
        Chore::Docs { check } => docs::run(check).await,
        Chore::Bench { cold, tests, scale, dry_run } => bench::run_all(cold, tests, scale, dry_run).await,
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
