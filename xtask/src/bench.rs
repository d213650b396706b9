//! `cargo xtask bench`: builds for release and lets `e2e`'s load generator measure.
#![expect(clippy::disallowed_methods, reason = "it measures how long a build takes")]

use std::time::Instant;

use anyhow::{Context, Result};

use crate::tests;
use xtask::command::{cargo, run, target_dir};

/// Measures and writes docs/BENCHMARKS.md.
pub async fn run_all(cold: bool, with_tests: bool, scale: bool, dry_run: bool) -> Result<u8> {
    let target = target_dir().await?;
    if with_tests {
        let code = tests::all(&[]).await?;
        if code != 0 {
            return Ok(code);
        }
    }
    let mut figures = vec![];
    if cold {
        let folder = target.join("cold");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
        }
        // What a newcomer types; the crates are fetched before the clock starts.
        let code = run(cargo().args(["fetch", "--locked"])).await?;
        if code != 0 {
            return Ok(code);
        }
        let begun = Instant::now();
        let code = run(cargo().args(["build", "--locked"]).env("CARGO_TARGET_DIR", &folder)).await?;
        if code != 0 {
            return Ok(code);
        }
        figures.push(("--cold-build-seconds", begun.elapsed().as_secs()));
        std::fs::remove_dir_all(&folder)?;
    }
    if let Some(seconds) = tests::noted_time(&target) {
        figures.push(("--test-seconds", seconds));
    }

    let code = run(cargo().args(["build", "--release", "--workspace", "--bins"])).await?;
    if code != 0 {
        return Ok(code);
    }
    let release = target.join("release");
    let mut bench = tokio::process::Command::new(release.join("bench"));
    bench.current_dir(xtask::command::root()).arg(if scale { "scale" } else { "measure" });
    bench.arg("--standalone").arg(release.join("standalone"));
    for (name, seconds) in figures.into_iter().filter(|_| !scale) {
        bench.args([name, &seconds.to_string()]);
    }
    if !dry_run {
        bench.args(["--write", "docs/BENCHMARKS.md"]);
    }
    run(&mut bench).await
}
