//! The programs that are measured, as processes of their own, and what the system knows of them.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::load::{self, Connection};

/// `standalone`, running.
pub struct Instance {
    child: Child,
    folder: PathBuf,
    pub pid: u32,
    pub auth: SocketAddr,
    pub api: SocketAddr,
    /// From the start of the process until both services said that they are ready.
    pub ready_after: Duration,
}

/// Memory of a process, in MB (10⁶ bytes).
pub struct Memory {
    /// All pages that are present, the program's own text among them.
    pub resident: f64,
    /// The same, with pages that other processes use too counted in part.
    pub proportional: f64,
    /// What it wrote itself: not backed by a file.
    pub anonymous: f64,
}

impl Instance {
    /// Starts it on free ports over `folder`.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self> {
        Self::start_with(program, folder, &[]).await
    }

    /// The same with some configuration keys changed (`("DATABASE__URL", …)`).
    pub async fn start_with(program: &Path, folder: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = program_in(program, folder)?;
        command.envs(settings.iter().map(|(key, value)| (format!("REFERRIS__{key}"), *value)));
        let mut addresses = vec![];
        for section in ["AUTH", "API", "DEMO"] {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            command.env(format!("REFERRIS__{section}__LISTEN"), address.to_string());
            command.env(format!("REFERRIS__{section}__PUBLIC_URL"), format!("http://{address}"));
            addresses.push(address);
        }
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::null()).spawn().with_context(|| program.display().to_string())?;
        let pid = child.id().context("it runs")?;
        for &address in &addresses[..2] {
            loop {
                if let Some(status) = child.try_wait()? {
                    bail!("standalone ended with {status}");
                }
                ensure!(begun.elapsed() < Duration::from_secs(30), "standalone is not ready after 30 s");
                if ready(address).await {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
        let [auth, api] = [addresses[0], addresses[1]];
        Ok(Self { child, folder: folder.to_owned(), pid, auth, api, ready_after: begun.elapsed() })
    }

    /// A client made with `auth-server client create`: its id and secret.
    pub async fn client(&self, auth_server: &Path, options: &[&str]) -> Result<(String, String)> {
        let mut command = program_in(auth_server, &self.folder)?;
        command.args(["client", "create", "--name", "Load", "--json"]);
        let output = command.args(options).output().await?;
        ensure!(output.status.success(), "client create: {}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        let member = |name: &str| answer[name].as_str().map(str::to_owned).context("client create gave no client");
        Ok((member("client_id")?, member("client_secret")?))
    }

    pub fn memory(&self) -> Result<Memory> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.pid));
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let line = |text: &str, name: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0 / 1e6)
        };
        Ok(Memory {
            resident: line(&status, "VmRSS:")?,
            proportional: line(&rollup, "Pss:")?,
            anonymous: line(&status, "RssAnon:")?,
        })
    }

    /// Asks it to end, and waits.
    pub async fn stop(mut self) -> Result<()> {
        // The shell's own `kill`: a small machine has no other.
        Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &self.pid.to_string()]).status().await?;
        let status = timeout(Duration::from_secs(15), self.child.wait()).await.context("it does not stop")??;
        ensure!(status.success(), "standalone ended with {status}");
        Ok(())
    }
}

async fn ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    connection.send(&load::get("/readyz")).await.is_ok_and(|status| status == 200)
}

/// A program of ours over `folder`, with nothing of our own environment that it could take for configuration.
fn program_in(program: &Path, folder: &Path) -> Result<Command> {
    let mut command = Command::new(std::path::absolute(program)?);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let plain = ["DATABASE_URL", "REDIS_URL", "SMTP_URL", "CLEARBIT_API_KEY", "HUNTER_API_KEY"];
        if text.starts_with("REFERRIS_") || plain.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder).env("REFERRIS__DATA_DIR", folder).stdin(Stdio::null()).kill_on_drop(true);
    command.env("REFERRIS__LIMITS__ENABLED", "false").env("REFERRIS__LOG__FILTER", "warn");
    Ok(command)
}

/// The handler that tokens per second are compared with: this program again, as another process.
pub struct Bare {
    _child: Child,
    pub pid: u32,
    pub address: SocketAddr,
}

impl Bare {
    pub async fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("bare").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let address = lines.next_line().await?.context("the bare handler ended")?.parse()?;
        Ok(Self { pid: child.id().context("it runs")?, _child: child, address })
    }
}

/// Processor time a process has used, all threads together.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses, which may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("/proc/pid/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    // Linux gives user space a hundred ticks a second on every machine.
    Ok(Duration::from_millis(ticks * 10))
}
