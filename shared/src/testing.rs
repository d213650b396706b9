//! For tests: a platform of its own on each store. SQLite and the in-process cache always; PostgreSQL and Redis when
//! `TEST_DATABASE_URL` (a server where databases may be created) and `TEST_REDIS_URL` are set, as `cargo xtask test`
//! does.

pub mod certificates;
mod template;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Clock;
use crate::config::{Config, load_from};
use crate::platform::Platform;
use crate::random::Random;

/// A store to run a test on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// SQLite and the in-process cache.
    Embedded,
    /// PostgreSQL and Redis.
    Server,
}

/// A store's configuration keys, and the folder that goes with them. What it made is removed when it is dropped
/// (databases on the throwaway server go with the server).
pub struct Scratch {
    pub store: Store,
    pub dir: PathBuf,
    settings: Vec<(String, String)>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Scratch {
    /// A fresh store with the whole schema; `None` for [`Store::Server`] when no servers were named.
    pub async fn new(store: Store) -> Option<Self> {
        Self::made(store, true).await
    }

    /// A fresh store without any schema, for tests of how a service comes to have one.
    pub async fn bare(store: Store) -> Option<Self> {
        Self::made(store, false).await
    }

    async fn made(store: Store, migrated: bool) -> Option<Self> {
        let unique = Random::system().uuid_v4().simple().to_string();
        let dir = std::env::temp_dir().join(format!("referris-test-{unique}"));
        let mut settings = vec![("REFERRIS__DATA_DIR".to_owned(), dir.display().to_string())];
        if store == Store::Embedded && migrated {
            template::sqlite(&dir).await;
        }
        if store == Store::Server {
            // Not silently where they must be: a test that did not run proves nothing.
            assert!(
                std::env::var_os("REFERRIS_BIN_DIR").is_none() || std::env::var_os("TEST_DATABASE_URL").is_some(),
                "cargo xtask test names both servers"
            );
            let server = std::env::var("TEST_DATABASE_URL").ok()?;
            let redis = std::env::var("TEST_REDIS_URL").ok()?;
            let name = format!("referris_{unique}");
            let admin = sqlx::PgPool::connect(&server).await.expect("TEST_DATABASE_URL is reachable");
            // The names are drawn above and made of a checksum, of hexadecimal digits.
            let copied =
                if migrated { format!(" TEMPLATE {}", template::postgres(&server).await) } else { String::new() };
            let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}{copied}"));
            sqlx::raw_sql(sql).execute(&admin).await.expect("databases may be created");
            admin.close().await;
            settings.push(("REFERRIS__DATABASE__URL".into(), template::address(&server, &name)));
            settings.push(("REFERRIS__DATABASE__MIGRATE_ON_START".into(), "true".into()));
            settings.push(("REFERRIS__REDIS__URL".into(), fresh_redis_database(&redis).await));
        }
        Some(Self { store, dir, settings })
    }

    /// The store's keys as environment variables, for processes.
    pub fn environment(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The configuration on this store with `overrides` (`("TOKENS__CODE_SECONDS", "1")`).
    pub fn config(&self, overrides: &[(&str, &str)]) -> Arc<Config> {
        let overrides = overrides.iter().map(|(key, value)| (format!("REFERRIS__{key}"), (*value).to_owned()));
        Arc::new(load_from(None, self.settings.iter().cloned().chain(overrides)).expect("the test's configuration"))
    }

    /// A platform on this store. Its clock is the machine's and can be moved forward.
    pub async fn platform(&self, overrides: &[(&str, &str)]) -> Platform {
        Platform::open_with(self.config(overrides), Clock::system(), Random::system())
            .await
            .expect("the platform opens")
    }
}

/// A database of its own on the Redis server, emptied: every test comes from the same address, and they would use up
/// each other's rate limits. The server must run with `--databases 4096`.
async fn fresh_redis_database(server: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test binaries start at different places, so that those which overlap rarely meet.
    let index = (std::process::id().wrapping_mul(97) + NEXT.fetch_add(1, Ordering::Relaxed)) % 4096;
    let mut url = url::Url::parse(server).expect("TEST_REDIS_URL is a URL");
    url.set_path(&index.to_string());
    let client = redis::Client::open(url.as_str()).expect("TEST_REDIS_URL is usable");
    let mut connection = client.get_multiplexed_async_connection().await.expect("TEST_REDIS_URL is reachable");
    let _: () = redis::cmd("FLUSHDB").query_async(&mut connection).await.expect("a database can be emptied");
    url.to_string()
}

/// Runs `test` on each store.
pub async fn each_store<F>(test: impl Fn(Platform) -> F)
where
    F: Future<Output = ()>,
{
    each_store_with(&[], test).await;
}

/// Runs `test` on each store with some configuration keys changed.
pub async fn each_store_with<F>(overrides: &[(&str, &str)], test: impl Fn(Platform) -> F)
where
    F: Future<Output = ()>,
{
    for store in [Store::Embedded, Store::Server] {
        let Some(scratch) = Scratch::new(store).await else { continue };
        let platform = scratch.platform(overrides).await;
        // Shown with a failing test: which store it failed on.
        print_store(store);
        test(platform.clone()).await;
        platform.db.close().await;
    }
}

#[expect(clippy::print_stderr, reason = "the test harness captures it and shows it with a failing test")]
fn print_store(store: Store) {
    eprintln!("on {store:?}");
}
