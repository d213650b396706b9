//! `cargo xtask test` and `cargo xtask e2e`: one build, one pair of servers, every test.
#![expect(clippy::disallowed_methods, reason = "it measures how long the tests take")]

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use xtask::command::{cargo, run, target_dir};
use xtask::machine::{self, Program};
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

/// The stories of the languages that not every machine has, and what they need.
const LANGUAGES: [(&str, &[&Program]); 2] =
    [("real_clients::go::", &[&machine::GO]), ("real_clients::java::", &[&machine::JAVA, &machine::MAVEN])];

/// The end-to-end stories alone; with `all`, those too that need what not every machine has.
pub async fn stories(all: bool, rest: &[String]) -> Result<u8> {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--test", "stories", "--"]).args(rest);
    if all {
        let programs = needed(rest);
        machine::demand(&programs)?;
        for program in programs {
            tests.env(program.variable, program.find()?);
        }
        tests.arg("--include-ignored");
    }
    with_servers(&target_dir().await?, tests).await
}

/// What the stories need that the filters among these arguments let through.
fn needed(rest: &[String]) -> Vec<&'static Program> {
    let filters: Vec<_> = rest.iter().filter(|argument| !argument.starts_with('-')).collect();
    let runs = |stories: &str| {
        filters.is_empty() || filters.iter().any(|f| stories.contains(f.as_str()) || f.starts_with(stories))
    };
    LANGUAGES.iter().filter(|(stories, _)| runs(stories)).flat_map(|(_, programs)| *programs).copied().collect()
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

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_is_needed_follows_from_the_filters() {
        let variables = |rest: &[&str]| -> Vec<_> {
            let rest: Vec<String> = rest.iter().map(|&argument| argument.to_owned()).collect();
            needed(&rest).iter().map(|program| program.variable).collect()
        };
        assert_eq!(variables(&[]), ["GO", "JAVA", "MAVEN"]);
        assert_eq!(variables(&["--nocapture"]), ["GO", "JAVA", "MAVEN"]);
        assert_eq!(variables(&["real_clients"]), ["GO", "JAVA", "MAVEN"]);
        assert_eq!(variables(&["real_clients::go::"]), ["GO"]);
        assert_eq!(variables(&["real_clients::java::an_app_on_nimbus", "tour"]), ["JAVA", "MAVEN"]);
        assert!(variables(&["tour", "real_clients::javascript"]).is_empty());
    }
}
