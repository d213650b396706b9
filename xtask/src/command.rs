//! Running other programs: the whole process group ends with us, whether by Ctrl-C, SIGTERM or failure.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long a program may take to stop after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the workspace").to_owned()
}

/// `cargo` with the toolchain that runs us, in the root of the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // They describe xtask itself, and would make every crate that looks at them rebuild.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds.
pub async fn target_dir() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().await.context("cargo")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata["target_directory"].as_str().context("cargo metadata names no target directory")?.into())
}

/// Runs `command` to its end and returns its exit code, for `xtask` to end with too. Ctrl-C and SIGTERM end it and all
/// it started; the code is then 128 and the signal's number, as shells have it.
pub async fn run(command: &mut Command) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A group of its own: cargo does not hand SIGTERM on to the tests it runs, so the whole group is signalled.
    let mut child = command
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} can't be started", command.as_std().get_program().display()))?;
    let group = child.id().map(|pid| format!("-{pid}"));
    let (name, number) = tokio::select! {
        status = child.wait() => return Ok(exit_code(status?)),
        _ = interrupt.recv() => ("INT", 2),
        _ = terminate.recv() => ("TERM", 15),
    };
    if let Some(group) = &group {
        send(name, group);
        if !stops(&mut child).await {
            send("KILL", group);
            child.wait().await?;
        }
    }
    Ok(128 + number)
}

async fn stops(child: &mut Child) -> bool {
    timeout(GRACE, child.wait()).await.is_ok()
}

/// Sends a signal (`TERM`) to a process, or to a process group when `target` begins with a hyphen. One that is gone
/// already is what was wanted.
pub fn send(signal: &str, target: &str) {
    // The shell's own `kill`: a small machine has no other.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"kill -s "$0" -- "$1""#, signal, target]);
    let _ = shell.stderr(std::process::Stdio::null()).status();
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
