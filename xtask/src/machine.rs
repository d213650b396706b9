//! What the tests need on this machine: found, or installed where that is possible (Debian and its kin), or named so
//! that the reader can install it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::command;

/// A program the tests start.
pub struct Program {
    names: &'static [&'static str],
    /// Debian's packages that hold it.
    packages: &'static [&'static str],
    /// The variable by which the tests are told where it is.
    pub variable: &'static str,
    /// Arguments with which it must succeed, where its mere presence is not enough.
    probe: &'static [&'static str],
}

pub const POSTGRES: Program = program(&["postgres"], &["postgresql"], "POSTGRES");
pub const REDIS: Program = program(&["redis-server", "valkey-server"], &["redis-server"], "REDIS_SERVER");
// Without a font the screenshots show pages without words.
pub const CHROMIUM: Program =
    program(&["chromium", "chromium-browser", "google-chrome"], &["chromium", "fonts-liberation"], "CHROMIUM");
pub const CHROMEDRIVER: Program = program(&["chromedriver"], &["chromium-driver"], "CHROMEDRIVER");
/// Both are what docs/tour.sh needs.
pub const CURL: Program = program(&["curl"], &["curl"], "CURL");
/// With what makes virtual environments, for the client libraries from PyPI.
pub const PYTHON: Program = Program {
    probe: &["-c", "import ensurepip, venv"],
    ..program(&["python3"], &["python3", "python3-venv"], "PYTHON3")
};
/// Where they are missing, or old, `clients` has others.
pub const NODE: Program = program(&["node", "nodejs"], &["nodejs"], "NODE");
pub const NPM: Program = program(&["npm"], &["npm"], "NPM");
/// For `cargo xtask e2e --all` only.
pub const GO: Program = program(&["go"], &["golang-go"], "GO");
pub const JAVA: Program = program(&["java"], &["default-jdk-headless"], "JAVA");
pub const MAVEN: Program = program(&["mvn"], &["maven"], "MAVEN");

const ALL: [&Program; 6] = [&POSTGRES, &REDIS, &CHROMIUM, &CHROMEDRIVER, &CURL, &PYTHON];

const fn program(names: &'static [&'static str], packages: &'static [&'static str], variable: &'static str) -> Program {
    Program { names, packages, variable, probe: &[] }
}

/// Finds everything the tests start, installing what is missing, and tells `tests` where it is.
pub async fn prepare(tests: &mut Command) -> Result<()> {
    let missing = missing(&ALL);
    if !missing.is_empty() {
        install(&missing).await?;
    }
    for program in ALL {
        tests.env(program.variable, program.find()?);
    }
    Ok(())
}

/// What of these is not on this machine.
fn missing<'a>(programs: &[&'a Program]) -> Vec<&'a Program> {
    programs.iter().copied().filter(|program| program.find().is_err()).collect()
}

/// Names everything of these that is not on this machine.
///
/// # Errors
/// When there is such.
pub fn demand(programs: &[&Program]) -> Result<()> {
    let missing = missing(programs);
    ensure!(missing.is_empty(), "{}", by_hand(&missing));
    Ok(())
}

fn by_hand(missing: &[&Program]) -> String {
    let names: Vec<_> = missing.iter().map(|program| program.names[0]).collect();
    format!(
        "the tests need {}. Install them (on Debian: apt-get install {}) and run this again",
        names.join(", "),
        packages(missing).join(" ")
    )
}

fn packages(programs: &[&Program]) -> Vec<&'static str> {
    programs.iter().flat_map(|program| program.packages).copied().collect()
}

impl Program {
    fn works(&self, path: &Path) -> bool {
        let mut probe = std::process::Command::new(path);
        probe.args(self.probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.probe.is_empty() || probe.status().is_ok_and(|status| status.success())
    }

    /// Its path: from its variable, from PATH, or, for PostgreSQL's server, from where Debian keeps it.
    ///
    /// # Errors
    /// When it is not on this machine.
    pub fn find(&self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable).map(PathBuf::from).filter(|p| p.is_file()) {
            return Ok(path);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<_> = std::env::split_paths(&path).collect();
        folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        if self.variable == POSTGRES.variable {
            folders.extend(postgres_folders(Path::new("/usr/lib/postgresql")));
        }
        let mut places = folders.iter().flat_map(|folder| self.names.iter().map(move |name| folder.join(name)));
        let found = places.find(|path| path.is_file() && self.works(path));
        found.with_context(|| {
            format!("{} is not on this machine; install it or set {} to its path", self.names[0], self.variable)
        })
    }
}

/// `/usr/lib/postgresql/*/bin`, the newest version first.
fn postgres_folders(base: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|v| base.join(v.to_string()).join("bin")).collect()
}

/// Is this process root's?
pub async fn is_root() -> bool {
    Command::new("id").arg("-u").output().await.is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}

async fn install(missing: &[&Program]) -> Result<()> {
    let (by_hand, packages) = (by_hand(missing), packages(missing));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("{by_hand}; there is no apt-get here to do it");
    }
    let sudo = if is_root().await {
        vec![]
    } else if Path::new("/usr/bin/sudo").exists() {
        vec!["sudo"]
    } else {
        bail!("{by_hand}; doing it here needs root or sudo");
    };
    eprintln!("installing {} …", packages.join(", "));
    for arguments in
        [&["update", "-q"][..], &[&["install", "-y", "-q", "--no-install-recommends"][..], &packages].concat()]
    {
        let line = [&sudo[..], &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
        let mut command = Command::new(line[0]);
        // Its chatter goes to standard error: standard output is the tests'.
        command.args(&line[1..]).stdout(std::io::stderr());
        if command::run(&mut command).await? != 0 {
            bail!("{by_hand}; `{}` failed", line.join(" "));
        }
    }
    Ok(())
}
