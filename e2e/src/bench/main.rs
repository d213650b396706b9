//! The benchmark of the release build, behind `cargo xtask bench`: the real `standalone` program on a fresh SQLite
//! database, beside the least that could do the same work on the same machine in the same minutes.
//!
//! - `instance`: the programs that are measured
//! - `load`: the requests they get; `flows`: whole code flows; `pages`: the hosted pages
//! - `lookups`: codes found by email address, of the referral API
//! - `scale`: a small and a large database; `seed`: what is in them
//! - `bare`: what they are compared with
//! - `report`: the figures as Markdown
#![expect(clippy::print_stdout, reason = "a command-line program talks to its terminal")]
#![expect(clippy::print_stderr, reason = "a command-line program talks to its terminal")]

mod bare;
mod flows;
mod instance;
mod load;
mod lookups;
mod pages;
mod report;
mod scale;
mod seed;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Parser, Subcommand};
use futures::future::try_join_all;
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::flows::Flows;
use crate::instance::Instance;
use crate::load::{Connection, Load, Probe};
use crate::report::Report;

/// The same allocator as the programs that are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often both sides of a ratio are measured, in turns. The medians count.
const ROUNDS: usize = 5;
/// Connections that ask for tokens: enough to keep both cores busy.
const CLIENTS: usize = 16;
/// People who sign in at once: a storm, yet one that the queue of passwords holds.
const PEOPLE: usize = 32;
const PASSWORD: &str = "correct horse battery staple";

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Measure.
    Measure(Measure),
    /// Measure the referral API's reads on a large and on a small PostgreSQL database, which it makes.
    Scale(scale::Scale),
    /// Serve the handler that tokens per second are compared with, and print its port.
    #[command(hide = true)]
    Bare,
}

#[derive(Args)]
pub struct Measure {
    /// The release binary of `standalone`; `auth-server`'s lies beside it.
    #[arg(long)]
    standalone: PathBuf,
    /// How long a build from nothing took. Default: what the document says.
    #[arg(long)]
    cold_build_seconds: Option<u64>,
    /// How long all tests took. Default: what the document says.
    #[arg(long)]
    test_seconds: Option<u64>,
    /// Seconds a round of load lasts.
    #[arg(long, default_value_t = 4)]
    round_seconds: u64,
    /// The document whose figures are replaced.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> Result<()> {
    match Program::parse().job {
        // Threads as the services have them.
        Job::Bare => Builder::new_multi_thread().enable_all().build()?.block_on(bare::serve()),
        Job::Scale(args) => Builder::new_current_thread().enable_all().build()?.block_on(scale::measure(&args)),
        // One thread: a second would only take turns with what is measured, and wake the first.
        Job::Measure(args) => Builder::new_current_thread().enable_all().build()?.block_on(measure(&args)),
    }
}

async fn measure(args: &Measure) -> Result<()> {
    let mut report = Report::new(args)?;
    let round = Duration::from_secs(args.round_seconds);

    eprintln!("start to ready");
    // The first start makes keys and tables; it is not the one that is measured.
    let folder = tempfile::tempdir()?;
    Instance::start(&args.standalone, folder.path()).await?.stop().await?;
    let mut starts = vec![];
    for _ in 0..ROUNDS {
        let instance = Instance::start(&args.standalone, folder.path()).await?;
        starts.push(instance.ready_after.as_secs_f64() * 1000.0);
        instance.stop().await?;
    }
    report.start_to_ready(median(starts));

    let instance = Instance::start(&args.standalone, folder.path()).await?;
    let logins = few_requests(&instance).await?;
    eprintln!("idle memory");
    // Password threads give their memory back after two seconds without work.
    sleep(Duration::from_secs(10)).await;
    report.idle_memory(&instance.memory()?);

    tokens(args, &instance, round, &mut report).await?;
    report.lookups(&lookups::measure(args, round).await?);
    code_flows(args, &instance, round, &mut report).await?;
    report.pages(&pages::measure(args, &instance, round).await?);
    passwords(&instance, &logins, round, &mut report).await?;
    storm(&instance, &logins, round, &mut report).await?;
    report.memory_after(&instance.memory()?);
    instance.stop().await?;
    report.finish()
}

/// What an instance sees before somebody calls it idle: pages, sign-ups, a few sign-ins. Returns the sign-in requests.
async fn few_requests(instance: &Instance) -> Result<Vec<Vec<u8>>> {
    let mut connection = Connection::open(instance.auth).await?;
    for path in ["/.well-known/openid-configuration", "/oauth/jwks", "/signup", "/login", "/openapi.json"] {
        let status = connection.send(&load::get(path)).await?;
        ensure!(status < 400, "GET {path} answered {status}");
    }
    let mut logins = vec![];
    for n in 0..PEOPLE {
        let body = format!(r#"{{"email": "person{n}@example.com", "password": "{PASSWORD}"}}"#);
        let signup = load::post("/api/v1/signup", "application/json", None, &body);
        let status = connection.send(&signup).await?;
        ensure!(status == 201, "POST /api/v1/signup answered {status}");
        let form = format!(
            "grant_type=password&client_id=demo-cli&username=person{n}@example.com&password={}",
            PASSWORD.replace(' ', "+")
        );
        logins.push(load::post("/oauth/token", "application/x-www-form-urlencoded", None, &form));
    }
    for login in logins.iter().take(3) {
        let status = connection.send(login).await?;
        ensure!(status == 200, "the password grant answered {status}");
    }
    Ok(logins)
}

/// client_credentials tokens beside a bare handler.
async fn tokens(args: &Measure, instance: &Instance, round: Duration, report: &mut Report) -> Result<()> {
    eprintln!("tokens");
    let (id, secret) = instance
        .client(
            &args.standalone.with_file_name("auth-server"),
            &["--grant", "client_credentials", "--scope", "referral-codes:read"],
        )
        .await?;
    // Clients made beside running services are known within a second.
    sleep(Duration::from_secs(1)).await;
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    let form = "grant_type=client_credentials&scope=referral-codes%3Aread";
    let request = load::post("/oauth/token", "application/x-www-form-urlencoded", Some(&basic), form);
    let requests = vec![request; CLIENTS];
    let bare = instance::Bare::start().await?;

    let mut rounds = vec![];
    for number in 0..=ROUNDS {
        let theirs = Load::run(bare.address, bare.pid, &requests, round).await?;
        let ours = Load::run(instance.auth, instance.pid, &requests, round).await?;
        // The first round warms up.
        if number > 0 {
            rounds.push((ours, theirs));
        }
    }
    report.tokens(&rounds);
    Ok(())
}

/// Authorization request, code, tokens, by people who are signed in.
async fn code_flows(args: &Measure, instance: &Instance, round: Duration, report: &mut Report) -> Result<()> {
    eprintln!("code flows");
    let options = [
        "--first-party",
        "--grant",
        "authorization_code",
        "--scope",
        "openid",
        "--redirect-uri",
        "https://app.example/callback",
    ];
    let client = instance.client(&args.standalone.with_file_name("auth-server"), &options).await?;
    let people: Vec<(String, &str)> = (0..CLIENTS).map(|n| (format!("person{n}@example.com"), PASSWORD)).collect();
    sleep(Duration::from_secs(1)).await;
    let flows = Flows::prepare(instance, client, &people).await?;
    let mut rounds = vec![];
    for number in 0..=ROUNDS {
        let load = flows.run(round).await?;
        if number > 0 {
            rounds.push(load);
        }
    }
    report.code_flows(&rounds);
    Ok(())
}

/// Password grants beside raw hashes on all cores.
async fn passwords(instance: &Instance, logins: &[Vec<u8>], round: Duration, report: &mut Report) -> Result<()> {
    eprintln!("passwords");
    let mut rounds = vec![];
    for number in 0..=ROUNDS {
        let theirs = tokio::task::spawn_blocking(move || bare::hashes(round)).await??;
        let ours = Load::run(instance.auth, instance.pid, logins, round).await?;
        if number > 0 {
            rounds.push((ours, theirs));
        }
    }
    report.passwords(&rounds);
    Ok(())
}

/// How long another endpoint takes while everybody signs in.
async fn storm(instance: &Instance, logins: &[Vec<u8>], round: Duration, report: &mut Report) -> Result<()> {
    eprintln!("other endpoints during a login storm");
    let jwks = load::get("/oauth/jwks");
    let mut rounds = vec![];
    for _ in 0..ROUNDS {
        let idle = Probe::run(instance.auth, &jwks, round).await?;
        let storm = Load::run(instance.auth, instance.pid, logins, round);
        let probe = async {
            // Until the storm is at its height.
            sleep(round / 8).await;
            Probe::run(instance.auth, &jwks, round * 3 / 4).await
        };
        let (probe, _) = tokio::try_join!(probe, storm)?;
        rounds.push((idle, probe));
    }
    report.storm(&rounds);
    Ok(())
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One task for each request; the first failure ends all.
async fn each<T: Send + 'static>(tasks: Vec<tokio::task::JoinHandle<Result<T>>>) -> Result<Vec<T>> {
    try_join_all(tasks).await.context("a task of the load generator ended")?.into_iter().collect()
}
