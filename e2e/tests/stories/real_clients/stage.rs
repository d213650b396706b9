//! What a script needs to know, running it, and holding it to its last line.

#![expect(clippy::print_stdout, reason = "the test harness captures it; --nocapture shows what each library did")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;
use xtask::clients::Toolchain;

use super::{person, registered};
use crate::world::{PASSWORD, World};

/// How long a script may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `story`, a file of `e2e/clients/`, against `world`; fails with what it printed unless it comes to its end.
pub async fn plays(world: World, toolchain: fn(&Path) -> Result<Toolchain>, story: &[&str]) {
    let toolchain = fetched(toolchain).await;
    let world = Arc::new(world);
    let ann = world.person("ann").await;
    let line = person::listens(world.clone(), &ann.email).await;
    let authority = world.scratch.dir.join("authority.pem");
    let [certificate, key] = ["server.pem", "server.key"].map(|name| world.scratch.dir.join(name));
    let settings = json!({
        "issuer": world.auth_url,
        "api": world.api_url,
        "driver": line.url,
        "authority": authority,
        // With which an app may serve something at 127.0.0.1 itself.
        "server": { "certificate": certificate, "key": key },
        "email": ann.email,
        "password": PASSWORD,
        "sub": ann.id,
        "clients": registered::all(&world).await,
    });
    let path = world.scratch.dir.join("clients.json");
    std::fs::write(&path, settings.to_string()).expect("the settings can be written");

    let mut script = Command::new(&toolchain.program);
    script.args(&toolchain.arguments).args(story).arg(&path).current_dir(&toolchain.folder);
    script.stdin(Stdio::null()).kill_on_drop(true);
    // Everything here is on loopback.
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        script.env_remove(proxy);
    }
    // What is trusted besides, or instead of, this machine's authorities: by Node.js; by OpenSSL, which is Python's, and
    // by Go; by requests.
    for variable in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
        script.env(variable, &authority);
    }
    script.env_remove("SSL_CERT_DIR").env_remove("CURL_CA_BUNDLE");
    let output = timeout(PATIENCE, script.output()).await.expect("the script ends in time").expect("it can be started");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{story:?}: {}\n{printed}\n{errors}", output.status);
    // One that ended early, without an error, has shown nothing.
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("the end, after "), "{story:?} stopped on the way:\n{printed}\n{errors}");
    println!("{story:?}\n{printed}");
}

/// A language's libraries, once they are there.
pub async fn fetched(toolchain: fn(&Path) -> Result<Toolchain>) -> Toolchain {
    let fetched = tokio::task::spawn_blocking(move || toolchain(&target())).await;
    fetched.expect("fetching does not panic").expect("the client libraries can be fetched")
}

/// cargo's target folder, in which this test lies.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a program");
    test.ancestors().nth(3).expect("it lies in target/debug/deps").to_owned()
}
