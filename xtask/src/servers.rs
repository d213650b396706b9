//! Throwaway PostgreSQL and Redis servers on free loopback ports. They end when their handle is dropped, and also when
//! the process that started them is killed.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::command::send;
use crate::machine;

/// The servers all tests share: those that TEST_DATABASE_URL and TEST_REDIS_URL name, or ours.
pub struct Servers {
    pub database_url: String,
    pub redis_url: String,
    _started: Vec<Server>,
}

impl Servers {
    /// Starts what the environment does not name.
    pub async fn start() -> Result<Self> {
        let named = |variable| std::env::var(variable).ok().filter(|url| !url.is_empty());
        let mut started = vec![];
        let mut url = |server: Server| {
            let url = server.url.clone();
            started.push(server);
            url
        };
        let database_url = match named("TEST_DATABASE_URL") {
            Some(url) => url,
            None => url(Server::postgres(&[]).await?),
        };
        let redis_url = match named("TEST_REDIS_URL") {
            Some(url) => url,
            None => url(Server::redis().await?),
        };
        Ok(Self { database_url, redis_url, _started: started })
    }
}

/// A server and the folder it works in.
pub struct Server {
    /// Where clients connect.
    pub url: String,
    program: PathBuf,
    /// Who runs it, where that is not us.
    user: Option<&'static str>,
    arguments: Vec<String>,
    /// The signal that ends it at once, cutting off its clients.
    ends_with: &'static str,
    port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// A fresh PostgreSQL; `settings` (`fsync=on`) override those that suit a store that is thrown away.
    pub async fn postgres(settings: &[&str]) -> Result<Self> {
        let program = machine::POSTGRES.find()?;
        let folder = folder("postgres")?;
        // PostgreSQL refuses to run as root.
        let user = match machine::is_root().await {
            true => Some(if has_user("postgres") { "postgres" } else { "nobody" }),
            false => None,
        };
        if let Some(user) = user {
            let done = Command::new("chown").arg(user).arg(folder.path()).status()?;
            ensure!(done.success(), "the folder of the throwaway PostgreSQL can't be given to {user}");
        }
        let data = folder.path().join("data");
        let initdb = program.parent().context("postgres lies in a folder")?.join("initdb");
        let made = command(&initdb, user)
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .current_dir(folder.path())
            .output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let port = free_port()?;
        let mut arguments = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
        let own = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=400",
            "shared_buffers=64MB",
            // Survives the end of any process, though not of the machine: enough for what is thrown away.
            "fsync=off",
            "full_page_writes=off",
            // Every test has a database of its own: a thousand of them are not worth vacuuming, and none is copied elsewhere.
            "autovacuum=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_wal_size=4GB",
            "checkpoint_timeout=1h",
        ];
        arguments.extend(own.iter().chain(settings).flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let mut server = Self { url, program, user, arguments, ends_with: "QUIT", port, folder, child: None };
        server.start().await?;
        Ok(server)
    }

    /// A fresh Redis that keeps nothing on disk.
    pub async fn redis() -> Result<Self> {
        let program = machine::REDIS.find()?;
        let port = free_port()?;
        let arguments = [
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--databases",
            "4096",
        ];
        let mut server = Self {
            url: format!("redis://127.0.0.1:{port}"),
            program,
            user: None,
            arguments: arguments.map(str::to_owned).to_vec(),
            ends_with: "KILL",
            port,
            folder: folder("redis")?,
            child: None,
        };
        server.start().await?;
        Ok(server)
    }

    /// Starts it (again, at the same address) and waits until it answers.
    pub async fn start(&mut self) -> Result<()> {
        let path = self.folder.path().join("log");
        let log = std::fs::File::create(&path)?;
        let child = command(&self.program, self.user)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is not for it: it ends after the tests, not under them.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} can't be started", self.program.display()))?;
        let child = self.child.insert(child);
        for _ in 0..300 {
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                bail!("{} ended at once ({status}):\n{log}", self.program.display());
            }
            let answers = answers(self.port, self.url.starts_with("postgres:"));
            if timeout(Duration::from_secs(2), answers).await.is_ok_and(|answer| answer.unwrap_or(false)) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        bail!("{} did not become ready in time:\n{log}", self.program.display())
    }

    /// Ends it at once; what it stored stays for [`Server::start`].
    pub fn stop(&mut self) {
        self.signal(self.ends_with);
        if let Some(mut child) = self.child.take() {
            for _ in 0..50 {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Freezes it and all its workers (they keep their connections and answer nothing), or thaws them.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "STOP" } else { "CONT" };
        self.signal(signal);
        let Some(pid) = self.child.as_ref().map(Child::id) else { return };
        let workers = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for worker in workers.split_whitespace() {
            send(signal, worker);
        }
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            send(signal, &child.id().to_string());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.freeze(false);
        self.stop();
    }
}

/// Does the server on `port` accept clients?
async fn answers(port: u16, postgres: bool) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    if !postgres {
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        return Ok(&answer == b"+PONG");
    }
    // StartupMessage of protocol 3.0: length, version, parameters. `R` asks for credentials (or for none) and says that
    // sessions are taken; while starting up it answers `E`.
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(8 + parameters.len()).expect("a short message");
    stream.write_all(&[&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat()).await?;
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"R")
}

/// `program`, run as `user` where that is not us, and told to end when we do, even by SIGKILL.
fn command(program: &Path, user: Option<&str>) -> Command {
    if !Path::new("/usr/bin/setpriv").exists() {
        return Command::new(program);
    }
    // It replaces itself with the program: the process we hold is the server's own.
    let mut command = Command::new("/usr/bin/setpriv");
    if let Some(user) = user {
        command.args([&format!("--reuid={user}"), "--clear-groups"]);
    }
    command.args(["--pdeathsig=QUIT", "--"]).arg(program);
    command
}

fn folder(name: &str) -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix(&format!("referris-{name}-")).tempdir()?)
}

fn has_user(name: &str) -> bool {
    std::fs::read_to_string("/etc/passwd").is_ok_and(|t| t.lines().any(|l| l.split(':').next() == Some(name)))
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
