//! A database of each kind with the whole schema and nothing in it, made once and copied for every test: running all
//! migrations takes longer than most tests.

use std::path::Path;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::db::{self, Db};
use crate::random::Random;

/// Puts a copy where the configuration expects the database when nothing else is said: `referris.db` in `dir`.
pub(super) async fn sqlite(dir: &Path) {
    static BYTES: OnceCell<Vec<u8>> = OnceCell::const_new();
    let bytes = BYTES
        .get_or_init(|| async {
            let folder = std::env::temp_dir().join(format!("referris-template-{}", unique()));
            let path = folder.join("referris.db");
            let db = Db::open(&format!("sqlite://{}", path.display()), 1).await.expect("a database in a fresh folder");
            db.migrate().await.expect("the migrations run");
            // Whatever is in the log goes to the file when the last connection is closed.
            db.close().await;
            let bytes = std::fs::read(&path).expect("the database is a file");
            let _ = std::fs::remove_dir_all(folder);
            bytes
        })
        .await;
    db::create_private_dir(dir).expect("a folder can be made");
    let path = dir.join("referris.db");
    db::create_private_file(&path).expect("a file can be made");
    std::fs::write(path, bytes).expect("a file can be written");
}

/// The name of the database on `server` to copy. Whichever test binary comes first makes it.
pub(super) async fn postgres(server: &str) -> &'static str {
    static NAME: OnceCell<String> = OnceCell::const_new();
    NAME.get_or_init(|| async {
        let mut checksum = Sha256::new();
        for migration in db::MIGRATIONS.iter() {
            checksum.update(&migration.checksum);
        }
        let checksum: String = checksum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("referris_template_{checksum}");
        let mut admin = PgConnection::connect(server).await.expect("TEST_DATABASE_URL is reachable");
        // Held until the connection closes: binaries that start together wait here for the first.
        sqlx::query("SELECT pg_advisory_lock(7236341)").execute(&mut admin).await.expect("a lock can be had");
        let made: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut admin)
            .await
            .expect("databases are listed");
        if made.is_none() {
            // It gets its name when it is whole: one whose maker was killed is never copied.
            let unfinished = format!("referris_unfinished_{}", unique());
            execute(&mut admin, format!("CREATE DATABASE {unfinished}")).await;
            let db = Db::open(&address(server, &unfinished), 1).await.expect("its address is usable");
            db.migrate().await.expect("the migrations run");
            db.close().await;
            execute(&mut admin, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
        }
        admin.close().await.expect("the connection closes");
        name
    })
    .await
}

/// The address of the database `name` on `server`.
pub(super) fn address(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).expect("TEST_DATABASE_URL is a URL");
    url.set_path(name);
    url.to_string()
}

async fn execute(admin: &mut PgConnection, sql: String) {
    // Of words and hexadecimal digits.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await.expect("databases may be created");
}

fn unique() -> String {
    Random::system().uuid_v4().simple().to_string()
}
