//! The referral API's reads on PostgreSQL with a million people and ten million referrals, beside the same with a
//! hundredth of them. Each endpoint is asked on both in turns, one request after the other; every read that the OpenAPI
//! document has for people, and that answers JSON, is asked, so that an endpoint added later is measured too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor};
use tempfile::TempDir;
use xtask::servers::Server;

use crate::ROUNDS;
use crate::instance::Instance;
use crate::load::{self, Connection, Probe};
use crate::lookups;
use crate::report::Report;
use crate::seed::{self, Size};

/// People who ask: those who run a programme, and others.
const CALLERS: i64 = 16;

#[derive(Args)]
pub struct Scale {
    /// The release binary of `standalone`.
    #[arg(long)]
    standalone: PathBuf,
    /// A PostgreSQL server where databases may be made (they are dropped at the end). Default: a throwaway one.
    #[arg(long)]
    url: Option<String>,
    /// People in the large database.
    #[arg(long, default_value_t = 1_000_000)]
    people: i64,
    /// Referrals in the large database.
    #[arg(long, default_value_t = 10_000_000)]
    referrals: i64,
    /// The small database has one of so many.
    #[arg(long, default_value_t = 100)]
    part: i64,
    /// Seconds a round lasts, for each endpoint on each database.
    #[arg(long, default_value_t = 4)]
    round_seconds: u64,
    /// The document whose figures are replaced.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// A database and the services on it.
struct Side {
    server: String,
    database: String,
    instance: Instance,
    _folder: TempDir,
    /// Access tokens, and whose: the number of each person.
    callers: Vec<(i64, String)>,
}

pub async fn measure(args: &Scale) -> Result<()> {
    let small = Size { people: args.people / args.part.max(1), referrals: args.referrals / args.part.max(1) };
    let large = Size { people: args.people, referrals: args.referrals };
    ensure!(small.people >= CALLERS * 100, "the small database needs {} people at least", CALLERS * 100);
    let settings = ["shared_buffers=512MB", "max_wal_size=8GB", "synchronous_commit=off", "autovacuum=off"];
    // Kept until the end, when it is dropped with all that is in it.
    let (throwaway, server) = match &args.url {
        Some(url) => (None, url.clone()),
        None => {
            let server = Server::postgres(&settings).await?;
            let url = server.url.clone();
            (Some(server), url)
        }
    };
    let small_side = Side::open(args, &server, "small", small).await?;
    let large_side = Side::open(args, &server, "large", large).await?;

    let what = format!(
        "PostgreSQL, without Redis: {} people and {} referrals beside {} and {}.",
        large.people, large.referrals, small.people, small.referrals
    );
    let mut report = Report::of_scale(args.write.clone(), &what)?;
    let round = Duration::from_secs(args.round_seconds);
    let document = document(&large_side.instance).await?;
    for path in reads(&document) {
        let (Some(large), Some(small)) = (large_side.requests(&path).await?, small_side.requests(&path).await?) else {
            eprintln!("{path} is not for these callers");
            continue;
        };
        let mut rounds = vec![];
        for number in 0..=ROUNDS {
            let small = Probe::of_each(small_side.instance.api, &small, round).await?;
            let large = Probe::of_each(large_side.instance.api, &large, round).await?;
            if number > 0 {
                rounds.push((large, small));
            }
        }
        report.scale(&format!("`GET {path}`"), &rounds);
    }
    small_side.close(throwaway.is_none()).await?;
    large_side.close(throwaway.is_none()).await?;
    report.finish()
}

impl Side {
    /// Makes the database, fills it, and starts the services on it.
    async fn open(args: &Scale, server: &str, name: &str, size: Size) -> Result<Self> {
        eprintln!("{name}: {} people, {} referrals", size.people, size.referrals);
        let database = format!("referris_bench_{name}_{}", std::process::id());
        on_server(server, &format!("CREATE DATABASE {database}")).await?;
        let mut url = url::Url::parse(server).context("the server's address")?;
        url.set_path(&database);
        let folder = tempfile::tempdir()?;

        // Migrates, and makes keys and the clients of the house; one account, whose password all callers get.
        let instance = start(&args.standalone, folder.path(), url.as_str()).await?;
        lookups::sign_up(&instance, "first@example.com").await?;
        instance.stop().await?;
        seed::fill(url.as_str(), size).await?;

        // Every other one runs a programme.
        let numbers: Vec<i64> = (0..CALLERS).map(|n| if n % 2 == 0 { n * 100 } else { n * 100 + 37 }).collect();
        let emails: Vec<String> = numbers.iter().map(|n| format!("person{n}@example.com")).collect();
        let mut connection = PgConnection::connect(url.as_str()).await?;
        sqlx::query(
            "INSERT INTO password_credentials (user_id, phc, updated_at) SELECT u.id, p.phc, p.updated_at FROM users u, \
             password_credentials p WHERE u.email_key = ANY($1)",
        )
        .bind(&emails)
        .execute(&mut connection)
        .await?;
        connection.close().await?;

        let instance = start(&args.standalone, folder.path(), url.as_str()).await?;
        let mut callers = vec![];
        for (number, email) in numbers.into_iter().zip(&emails) {
            callers.push((number, lookups::sign_in(&instance, email).await?));
        }
        Ok(Self { server: server.to_owned(), database, instance, _folder: folder, callers })
    }

    /// The path as each caller asks for it; `None` when it is not for them.
    async fn requests(&self, path: &str) -> Result<Option<Vec<Vec<u8>>>> {
        let mut requests = vec![];
        let mut connection = Connection::open(self.instance.api).await?;
        for (number, token) in &self.callers {
            let mut path = path.replace("{id}", "me").replace("{code}", &format!("CODE{number}"));
            path = path.replace("{email}", &format!("person{number}@example.com"));
            // A page from the middle, for those who have so many.
            if let Some(page) = path.strip_suffix("{cursor}") {
                let first = page.trim_end_matches("&cursor=").replace("limit=20", "limit=100");
                connection.send(&load::get_as(token, &first)).await?;
                match connection.json()?["next_cursor"].as_str() {
                    Some(cursor) => path = path.replace("{cursor}", cursor),
                    None => continue,
                }
            }
            let request = load::get_as(token, &path);
            match connection.send(&request).await? {
                200 => requests.push(request),
                401 => bail!("{path}: the token is refused: {}", connection.text()),
                _ => {}
            }
        }
        Ok((!requests.is_empty()).then_some(requests))
    }

    async fn close(self, drop_database: bool) -> Result<()> {
        self.instance.stop().await?;
        if drop_database {
            on_server(&self.server, &format!("DROP DATABASE {}", self.database)).await?;
        }
        Ok(())
    }
}

async fn start(program: &Path, folder: &Path, url: &str) -> Result<Instance> {
    // Tokens outlast the measurement, and nothing but the reads is at work.
    let settings =
        [("DATABASE__URL", url), ("DATABASE__MIGRATE_ON_START", "true"), ("TOKENS__ACCESS_TOKEN_SECONDS", "86400")];
    Instance::start_with(program, folder, &settings).await
}

async fn on_server(url: &str, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    // The name is made above, of letters and a number.
    connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

async fn document(instance: &Instance) -> Result<Value> {
    let mut connection = Connection::open(instance.api).await?;
    connection.send(&load::get("/openapi.json")).await?;
    connection.json()
}

/// Every read that wants a token, with what it must be asked with; lists also from the middle and by status.
fn reads(document: &Value) -> Vec<String> {
    let mut paths = vec![];
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let get = &item["get"];
        let plain = path.replace("{id}", "").replace("{code}", "");
        // What has other parts in its path can't be asked without knowing more; what is no JSON is a stream of all there is, or
        // a picture.
        let is_json = !get["responses"]["200"]["content"]["application/json"].is_null();
        if get["security"].is_null() || plain.contains('{') || !is_json {
            continue;
        }
        let parameters = get["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let takes = |name: &str| parameters.iter().any(|p| p["in"] == "query" && p["name"] == name);
        if takes("email") {
            paths.push(format!("{path}?email={{email}}"));
            continue;
        }
        paths.push(path.clone());
        if takes("status") {
            paths.push(format!("{path}?status=verified"));
        }
        if takes("cursor") && takes("limit") && path.contains("/referrals") {
            paths.push(format!("{path}?limit=100"));
            paths.push(format!("{path}?limit=20&cursor={{cursor}}"));
        }
    }
    paths
}
