//! `cargo xtask test` and `cargo xtask e2e`: one build, one pair of servers, every test.
#![expect(clippy::disallowed_methods, reason = "it measures how long the tests take")]

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use xtask::command::{cargo, run, target_dir};
use xtask::machine;
use xtask::servers::Servers;

/// Everything: unit, repository, end-to-end, documentation.
pub async fn all(rest: &[String]) -> Result<u8> {
    let target = target_dir().await?;
    let mut tests = cargo();
    tests.args(["test", "--workspace"]).args(rest);
    let begun = Instant::now();
    let code = with_servers(&target, tests).await?;
    if code == 0 && rest.is_empty() {
        note_time(&target, begun.elapsed().as_secs())?;
    }
    Ok(code)
}

/// The end-to-end stories alone; with `all`, those too that need what not every machine has.
pub async fn stories(all: bool, rest: &[String]) -> Result<u8> {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--test", "stories", "--"]).args(rest);
    if all {
        for program in [machine::GO, machine::JAVA, machine::MAVEN] {
            tests.env(program.variable, program.find()?);
        }
        tests.arg("--include-ignored");
    }
    with_servers(&target_dir().await?, tests).await
}

async fn with_servers(target: &Path, mut tests: Command) -> Result<u8> {
    machine::prepare(&mut tests).await?;
    // Binaries and tests in one go: the stories that kill processes start the binaries, and a build of their own would
    // compile everything a second time with other features.
    let begun = Instant::now();
    let code = run(cargo().args(["build", "--workspace", "--bins", "--tests", "--examples"])).await?;
    if code != 0 {
        return Ok(code);
    }
    eprintln!("built in {} s", begun.elapsed().as_secs());

    let servers = Servers::start().await?;
    tests
        .env("TEST_DATABASE_URL", &servers.database_url)
        .env("TEST_REDIS_URL", &servers.redis_url)
        .env("REFERRIS_BIN_DIR", target.join("debug"));
    let begun = Instant::now();
    let code = run(&mut tests).await?;
    drop(servers);
    eprintln!("{} in {} s", if code == 0 { "all tests passed" } else { "tests FAILED" }, begun.elapsed().as_secs());
    Ok(code)
}

/// The file in which one chore leaves figures for `cargo xtask bench`.
fn figures(target: &Path) -> std::path::PathBuf {
    target.join("figures.json")
}

/// How long the last full run of the tests took, in seconds, if there was one.
pub fn noted_time(target: &Path) -> Option<u64> {
    serde_json::from_slice::<Value>(&std::fs::read(figures(target)).ok()?).ok()?["test_seconds"].as_u64()
}

fn note_time(target: &Path, seconds: u64) -> Result<()> {
    let path = figures(target);
    std::fs::write(&path, json!({ "test_seconds": seconds }).to_string())
        .with_context(|| format!("{} can't be written", path.display()))
}
