//! One database handle over two engines. SQLite is the embedded default; PostgreSQL serves production. The SQL text is
//! the same on both; the only branch is in [`fetch_all!`](crate::fetch_all) and its sisters.
//!
//! A repository is a set of functions over [`Conn`] (reads) or [`Tx`] (writes). Dropping a `Tx` rolls it back.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// How long a request waits for a connection before the answer is 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the database is out of reach: {0}")]
    Unavailable(#[source] sqlx::Error),
    #[error("PostgreSQL at {0}")]
    NoConnection(String),
    #[error("a unique value is taken already: {0}")]
    UniqueViolation(#[source] sqlx::Error),
    #[error("a row that is referred to is gone: {0}")]
    ForeignKeyViolation(#[source] sqlx::Error),
    #[error(transparent)]
    Other(sqlx::Error),
    #[error("the database can't be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("database.url is not usable: {0}. Use postgres://user:password@host/name or sqlite:///path/to/file.db")]
    Url(String),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                Self::Unavailable(error)
            }
            sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            sqlx::Error::Database(e) if e.is_unique_violation() => Self::UniqueViolation(error),
            sqlx::Error::Database(e) if e.is_foreign_key_violation() => Self::ForeignKeyViolation(error),
            // PostgreSQL classes 08 (connection), 53 (resources), 57P (shutting down), 40 (lost a race: try again), and SQLite's
            // busy, locked, full, I/O error and read-only: all pass, and the caller may come again.
            sqlx::Error::Database(e) => {
                let code = e.code().unwrap_or_default();
                let postgres = ["08", "53", "57P", "40"].iter().any(|class| code.len() == 5 && code.starts_with(class));
                let sqlite =
                    code.len() < 5 && code.parse::<i64>().is_ok_and(|c| [5, 6, 8, 10, 13].contains(&(c & 0xff)));
                if postgres || sqlite { Self::Unavailable(error) } else { Self::Other(error) }
            }
            _ => Self::Other(error),
        }
    }
}

impl DbError {
    /// The database can't serve just now: worth trying again.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NoConnection(_))
    }

    /// A unique index refused the row.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::UniqueViolation(_))
    }
}

/// The handle both services hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    /// How many transactions were begun, for the tests that hold requests to a number of them.
    #[cfg(feature = "testing")]
    begun: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

#[derive(Clone, Debug)]
enum Engine {
    /// WAL lets any number read while one writes; more writers would only meet in `SQLITE_BUSY`.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl From<Engine> for Db {
    fn from(engine: Engine) -> Self {
        Self {
            engine,
            #[cfg(feature = "testing")]
            begun: std::sync::Arc::default(),
        }
    }
}

impl Db {
    /// Opens the database that `url` names (`sqlite:…` or `postgres:…`). The SQLite file and its folder are made when
    /// absent. PostgreSQL is connected to when first needed, so a service starts while its database is still starting.
    pub async fn open(url: &str, max_connections: u32) -> Result<Self, DbError> {
        match url.split(':').next() {
            Some("sqlite") => Self::open_sqlite(url, max_connections).await,
            Some("postgres" | "postgresql") => {
                // The URL holds a password: never repeat it in an error.
                let options = PgConnectOptions::from_str(url).map_err(|_| DbError::Url("it does not parse".into()))?;
                let pool = PgPoolOptions::new()
                    .max_connections(max_connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .max_lifetime(Duration::from_secs(1800))
                    .connect_lazy_with(options);
                Ok(Engine::Postgres(pool).into())
            }
            _ => Err(DbError::Url("unknown scheme".into())),
        }
    }

    /// The SQLite file that `url` names, when it is not there and [`Db::open`] would make it.
    pub fn missing_file(url: &str) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(url).ok().filter(|_| url.starts_with("sqlite:"))?;
        let file = options.get_filename();
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        // One that can't be looked for is told of when it is opened.
        (!in_memory && file.try_exists().is_ok_and(|exists| !exists))
            .then(|| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))
    }

    async fn open_sqlite(url: &str, max_connections: u32) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::from_str(url).map_err(|e| DbError::Url(e.to_string()))?;
        if let Some(parent) = options.get_filename().parent().filter(|p| !p.as_os_str().is_empty()) {
            create_private_dir(parent)
                .map_err(|e| DbError::Url(format!("the folder {} can't be made: {e}", parent.display())))?;
        }
        create_private_file(options.get_filename())
            .map_err(|e| DbError::Url(format!("{} can't be made: {e}", options.get_filename().display())))?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL, or a commit that was acknowledged could be lost with the power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .pragma("trusted_schema", "OFF")
            .statement_cache_capacity(200);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Engine::Sqlite { writer, readers }.into())
    }

    /// Brings the schema up to date. Safe to call from several processes at once.
    pub async fn migrate(&self) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite { writer, .. } => {
                // sqlx takes no lock of its own on SQLite: two processes that start on one empty file would both
                // create the tables. The one that loses the race finds them made when it tries again.
                let mut attempt = 0;
                loop {
                    match MIGRATIONS.run(writer).await {
                        Err(_) if attempt < 5 => {
                            attempt += 1;
                            tokio::time::sleep(Duration::from_millis(100 * attempt)).await;
                        }
                        done => return Ok(done?),
                    }
                }
            }
            Engine::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(|error| no_connection(pool, error))?;
                Ok(MIGRATIONS.run(&mut *connection).await?)
            }
        }
    }

    /// A connection to read with. It never takes a write lock, and on SQLite it can't write at all.
    pub async fn read(&self) -> Result<Conn, DbError> {
        Ok(Conn(match &self.engine {
            Engine::Sqlite { readers, .. } => Inner::Sqlite(readers.acquire().await?),
            Engine::Postgres(pool) => {
                Inner::Postgres(pool.acquire().await.map_err(|error| no_connection(pool, error))?)
            }
        }))
    }

    /// A transaction to write in. Only the database is awaited inside: hash and call out before.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let conn = Conn(match &self.engine {
            // IMMEDIATE: a deferred transaction that turns into a writer fails instead of waiting.
            Engine::Sqlite { writer, .. } => Inner::SqliteTx(writer.begin_with("BEGIN IMMEDIATE").await?),
            Engine::Postgres(pool) => {
                Inner::PostgresTx(pool.begin().await.map_err(|error| no_connection(pool, error))?)
            }
        });
        #[cfg(feature = "testing")]
        self.begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Tx { conn, after_commit: vec![] })
    }

    /// How many transactions were begun with this handle and its clones.
    #[cfg(feature = "testing")]
    pub fn transactions(&self) -> u64 {
        self.begun.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Is this the embedded engine?
    pub fn is_embedded(&self) -> bool {
        matches!(self.engine, Engine::Sqlite { .. })
    }

    /// Closes the connections after the queries under way.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

/// Says where PostgreSQL was looked for, which neither the pool nor the system does.
fn no_connection(pool: &PgPool, error: sqlx::Error) -> DbError {
    let options = pool.connect_options();
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    match error {
        sqlx::Error::PoolTimedOut => DbError::NoConnection(format!(
            "{place} gave no connection within {} seconds; is it running, and do database.url and \
             database.max_connections fit?",
            ACQUIRE_TIMEOUT.as_secs()
        )),
        sqlx::Error::Io(error) => DbError::NoConnection(format!("{place} is out of reach: {error}")),
        other => other.into(),
    }
}

/// The data folder holds password hashes and keys: nobody else on the machine has business in it.
pub fn create_private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Made before SQLite makes it, which would let everybody read it in a folder that was there before, open to all.
/// SQLite gives `-wal` and `-shm` the mode of their database. A file that exists keeps the mode its owner chose.
pub(crate) fn create_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A connection; inside a [`Tx`], that transaction's.
pub struct Conn(Inner);

enum Inner {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTx(Transaction<'static, Postgres>),
}

/// The engine's own connection, as the query macros need it.
pub enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Conn {
    /// For the query macros.
    pub fn raw(&mut self) -> Raw<'_> {
        match &mut self.0 {
            Inner::Sqlite(c) => Raw::Sqlite(c),
            Inner::SqliteTx(c) => Raw::Sqlite(c),
            Inner::Postgres(c) => Raw::Postgres(c),
            Inner::PostgresTx(c) => Raw::Postgres(c),
        }
    }
}

/// A transaction. It is rolled back when dropped; [`Tx::commit`] keeps it.
pub struct Tx {
    conn: Conn,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
}

impl Tx {
    /// Commits. Once this returns, the writes survive a crash of the process and of the machine.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.conn.0 {
            Inner::SqliteTx(tx) => tx.commit().await?,
            Inner::PostgresTx(tx) => tx.commit().await?,
            Inner::Sqlite(_) | Inner::Postgres(_) => {}
        }
        for note in self.after_commit {
            note();
        }
        Ok(())
    }

    /// Has `note` run once this is committed, and not at all if it never is: what the process remembers of what it
    /// wrote.
    pub fn after_commit(&mut self, note: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(note));
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// The one branch between the engines: runs the same SQL text with the same binds on either.
#[doc(hidden)]
#[macro_export]
macro_rules! on_either_engine {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $crate::db::Conn::raw($conn) {
            $crate::db::Raw::Sqlite($c) => $body.await.map_err($crate::db::DbError::from),
            $crate::db::Raw::Postgres($c) => $body.await.map_err($crate::db::DbError::from),
        }
    };
}

/// `fetch_all!(conn, Row, "SQL", bind, …)` → `Result<Vec<Row>, DbError>`; `conn: &mut Conn` (or `&mut Tx`).
#[macro_export]
macro_rules! fetch_all {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on_either_engine!($conn, |c| sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_all(c))
    };
}

/// `fetch_optional!(conn, Row, "SQL", bind, …)` → `Result<Option<Row>, DbError>`.
#[macro_export]
macro_rules! fetch_optional {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on_either_engine!($conn, |c| sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_optional(c))
    };
}

/// `fetch_one!(conn, Row, "SQL", bind, …)` → `Result<Row, DbError>`; for statements that always give a row.
#[macro_export]
macro_rules! fetch_one {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on_either_engine!($conn, |c| sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_one(c))
    };
}

/// `execute!(conn, "SQL", bind, …)` → `Result<u64, DbError>`: the number of rows changed.
#[macro_export]
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on_either_engine!($conn, |c| async {
            sqlx::query($sql)$(.bind($bind))*.execute(c).await.map(|done| done.rows_affected())
        })
    };
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_embedded_database_is_for_its_owner_only_even_in_an_open_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let db = Db::open(&format!("sqlite://{}/referris.db", folder.path().display()), 2).await.unwrap();
        db.migrate().await.unwrap();
        let tx = db.begin().await.unwrap();
        let mut files = 0;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
            files += 1;
        }
        assert_eq!(files, 3, "with -wal and -shm");
        drop(tx);
        db.close().await;
    }
}
