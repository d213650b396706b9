//! The real binaries: for stories about what a process prints, how it starts and what its sudden end leaves behind.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock;
use shared::outbound::Outbound;
use shared::testing::Scratch;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::actor::Actor;
use crate::app::App;
use crate::world::{ALL_SCOPES, PASSWORD, capitalised};

/// The path of one of our programs, freshly built.
pub async fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    FOLDER.get_or_init(folder).await.join(name)
}

/// `cargo xtask` has built them and says where. Under a plain `cargo test` they are built here, beside this test: what
/// lies there may be of yesterday.
async fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("REFERRIS_BIN_DIR") {
        return folder.into();
    }
    let test = std::env::current_exe().expect("this test is a program");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("it lies in target/debug/deps");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // As `cargo xtask` has it, so that nothing is compiled a second time with other features.
    cargo.args(["build", "--workspace", "--bins", "--tests", "--examples"]).current_dir(root());
    cargo.env("CARGO_TARGET_DIR", folder.parent().expect("target/debug lies in target"));
    let built = cargo.stdout(Stdio::null()).status().await.expect("cargo runs");
    assert!(built.success(), "the binaries can't be built");
    folder.to_owned()
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e/ lies in the workspace").to_owned()
}

/// A program on a scratch store, with nothing else from our environment that it could read as configuration.
pub async fn command(name: &str, scratch: &Scratch) -> Command {
    let mut command = Command::new(binary(name).await);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().into_owned();
        let plain = ["DATABASE_URL", "REDIS_URL", "SMTP_URL", "CLEARBIT_API_KEY", "HUNTER_API_KEY"];
        if name.starts_with("REFERRIS__") || plain.contains(&name.as_str()) {
            command.env_remove(variable);
        }
    }
    // A folder without a referris.toml.
    let folder = scratch.dir.join("cwd");
    std::fs::create_dir_all(&folder).expect("a folder to run in");
    command.current_dir(folder).envs(scratch.environment().iter().cloned()).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// `standalone`, running.
pub struct Standalone {
    pub child: Child,
    pub auth_url: String,
    pub api_url: String,
    pub demo_url: String,
    /// What it printed until it was ready.
    pub banner: String,
}

impl Standalone {
    /// Starts it on free ports and waits for its banner.
    pub async fn start(scratch: &Scratch, ports: [u16; 3]) -> Self {
        let [auth_url, api_url, demo_url] = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = command("standalone", scratch).await;
        for (section, port) in ["AUTH", "API", "DEMO"].iter().zip(ports) {
            command.env(format!("REFERRIS__{section}__LISTEN"), format!("127.0.0.1:{port}"));
            command.env(format!("REFERRIS__{section}__PUBLIC_URL"), format!("http://127.0.0.1:{port}"));
        }
        command.env("REFERRIS__LIMITS__ENABLED", "false").env("REFERRIS__LOG__FILTER", "warn");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("standalone starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        let mut banner = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("it prints text") {
                banner.push_str(&line);
                banner.push('\n');
                if line.contains("Ctrl-C") {
                    return;
                }
            }
            panic!("standalone ended before it was ready:\n{banner}");
        };
        timeout(Duration::from_secs(30), ready).await.expect("standalone is ready within 30 s");
        Self { child, auth_url, api_url, demo_url, banner }
    }

    /// Sends SIGTERM and returns whether it ended well.
    pub async fn terminate(mut self) -> bool {
        xtask::command::send("TERM", &self.child.id().expect("it runs").to_string());
        let status = timeout(Duration::from_secs(15), self.child.wait()).await.expect("it stops within 15 s");
        status.expect("it can be waited for").success()
    }
}

/// Three ports that were free a moment ago.
pub fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port"));
    listeners.map(|listener| listener.local_addr().expect("it listens").port())
}

/// An HTTP client.
pub fn http() -> reqwest::Client {
    Outbound::new::<&str>(&[], Clock::system()).expect("an HTTP client").trusted().clone()
}

impl Standalone {
    /// Someone without a token.
    pub fn anon(&self) -> Actor {
        Actor::anon(http(), &self.auth_url, &self.api_url)
    }

    /// A person who has just signed up, with a token for everything.
    pub async fn person(&self, name: &str) -> Actor {
        let email = format!("{name}@example.com");
        let form = json!({ "email": email, "password": PASSWORD, "given_name": capitalised(name) });
        self.anon().post("/api/v1/signup", form).await.is(201);
        self.signed_in(&email).await
    }

    /// The person with this address, with a fresh token from the demo command line.
    pub async fn signed_in(&self, email: &str) -> Actor {
        let mut actor = self.anon();
        let cli = App {
            auth_url: self.auth_url.clone(),
            http: actor.http.clone(),
            client_id: "demo-cli".to_owned(),
            secret: None,
            redirect_uri: String::new(),
        };
        let answer = cli.password(email, PASSWORD, ALL_SCOPES).await.is(200);
        actor.token = Some(answer["access_token"].as_str().expect("an access token").to_owned());
        let me = actor.get("/api/v1/me").await.is(200);
        actor.id = me["id"].as_str().expect("an account has an id").to_owned();
        actor.email = email.to_owned();
        actor
    }
}
