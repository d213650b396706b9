//! `cargo xtask fuzz`: what strangers send, as libFuzzer makes it up. The targets and their seeds lie in `fuzz/`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use xtask::command::{cargo, root, run};

/// What libFuzzer finds worth keeping is kept here, beside the committed seeds.
const CORPUS: &str = "fuzz/corpus";

/// Runs one target, or each in turn, for so many seconds. The code is that of the first that finds something.
pub async fn fuzz(target: Option<&str>, seconds: u32) -> Result<u8> {
    let all = targets(&root().join("fuzz/fuzz_targets"))?;
    let chosen: Vec<&String> = all.iter().filter(|name| target.is_none_or(|target| target == name.as_str())).collect();
    if chosen.is_empty() {
        bail!("there is no fuzz target {}; there are: {}", target.unwrap_or_default(), all.join(", "));
    }
    let probe = cargo().args(["fuzz", "--version"]).output().await.context("cargo can't be started")?;
    if !probe.status.success() {
        bail!("cargo-fuzz is missing; install it with: cargo install --locked cargo-fuzz");
    }
    for target in chosen {
        let (kept, seeds) = (format!("{CORPUS}/{target}"), format!("fuzz/seeds/{target}"));
        std::fs::create_dir_all(root().join(&kept)).with_context(|| format!("{kept} can't be made"))?;
        eprintln!("fuzzing {target} for {seconds} s");
        let mut fuzzing = cargo();
        // Our crates forbid unsafe code, and without the sanitizers any stable compiler does.
        fuzzing.args(["fuzz", "run", "--sanitizer", "none", target, &kept, &seeds, "--"]);
        fuzzing.args([format!("-max_total_time={seconds}"), "-timeout=10".into(), "-print_final_stats=1".into()]);
        let code = run(&mut fuzzing).await?;
        if code != 0 {
            eprintln!("\nwhen it is mended, keep the input that was found as fuzz/seeds/{target}/bad-… or good-…");
            return Ok(code);
        }
    }
    Ok(0)
}

/// The targets by name.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut names = vec![];
    for file in files {
        names.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
