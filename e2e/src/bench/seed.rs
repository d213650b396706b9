//! A database with as many people and referrals as are wanted, written by PostgreSQL itself. What a service would have
//! written is there: codes, events, roll-ups. Indexes are made anew after, from their own definitions, and references are
//! looked over at the end: nothing is in it that the schema would not have let in.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::time::Instant;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub people: i64,
    pub referrals: i64,
}

/// Rows a statement: each ends with a line of progress.
const CHUNK: i64 = 250_000;
/// The tables that are filled, those first that others refer to.
const TABLES: [&str; 4] = ["users", "referral_codes", "referrals", "referral_events"];

/// An id of version 7 (RFC 9562 §5.7) for row `n` of a kind: the later row has the greater id, as in life. In SQL.
fn id(kind: &str, n: &str) -> String {
    format!(
        "(lpad(to_hex(1700000000000 + ({n})::bigint), 12, '0') || '7' || substr(md5('{kind}' || ({n})), 1, 3) \
         || 'a' || substr(md5('{kind}' || ({n})), 4, 15))::uuid"
    )
}

/// Fills a database that was migrated and has nobody in it whose id begins like theirs. Person `n` is
/// `person{n}@example.com`, has an active code `CODE{n}`, and has referrals: half of all are spread evenly, the other half
/// belongs to the hundredth of people who run a programme, who therefore have the same number in a large database and in a
/// small one. As each person was invited once at most, a referral beyond the number of people is one of an account that
/// was deleted since.
pub async fn fill(url: &str, size: Size) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let connection = &mut connection;
    run(connection, "SET maintenance_work_mem = '512MB'").await?;
    let indexes = drop_indexes(connection).await?;

    let Size { people, referrals } = size;
    let (person, code) = (id("person", "n"), id("code", "n"));
    chunks(url, "people", people, &format!(
        "INSERT INTO users (id, email, email_key, email_canonical, email_verified_at, given_name, family_name, locale, \
         created_at, updated_at) \
         SELECT {person}, e, e, e, t, 'Person', 'Number ' || n, 'en', t, t FROM (SELECT n, 'person' || n || '@example.com' e, \
         TIMESTAMPTZ '2026-01-01' + n * INTERVAL '1 second' t FROM generate_series($1, $2) n) x"
    )).await?;
    chunks(
        url,
        "codes",
        people,
        &format!(
            "INSERT INTO referral_codes (id, referrer_id, code, code_key, status, created_at, expires_at, uses) \
         SELECT {code}, {person}, 'CODE' || n, translate('CODE' || n, 'OIL', '011'), 'active', \
         TIMESTAMPTZ '2026-01-01', now() + INTERVAL '200 days', 0 FROM generate_series($1, $2) n"
        ),
    )
    .await?;
    // Whose referral it is: an even one anybody's, an odd one a programme's.
    let programmes = (people / 100).max(1);
    let whose = format!(
        "CASE WHEN n % 2 = 0 THEN (n / 2 * 7919) % {people} ELSE ((n / 2 * 7919) % {programmes}) * 100 % {people} END"
    );
    let (referral, referrer, of_code) = (id("referral", "n"), id("person", "w"), id("code", "w"));
    // The invited person comes after the one who invites: no cycle, and nobody invites themselves.
    let invited = format!("CASE WHEN n < {people} AND w < n THEN {} END", id("person", "n"));
    let status = "(ARRAY['pending', 'verified', 'verified', 'qualified', 'rewarded', 'rejected'])[1 + n % 6]";
    chunks(
        url,
        "referrals",
        referrals,
        &format!(
            "INSERT INTO referrals (id, referrer_id, referral_user_id, code_id, status, created_at, updated_at) \
         SELECT {referral}, {referrer}, {invited}, {of_code}, {status}, t, t FROM (SELECT n, {whose} w, \
         TIMESTAMPTZ '2026-01-01' + n * INTERVAL '2 seconds' t FROM generate_series($1, $2) n) x"
        ),
    )
    .await?;
    let event = id("event", "n");
    chunks(
        url,
        "events",
        referrals,
        &format!(
            "INSERT INTO referral_events (id, referral_id, from_status, to_status, reason, created_at) \
         SELECT {event}, {referral}, NULL, 'pending', 'sign-up with a referral code', \
         TIMESTAMPTZ '2026-01-01' + n * INTERVAL '2 seconds' FROM generate_series($1, $2) n"
        ),
    )
    .await?;
    step(
        connection,
        "uses of codes",
        "UPDATE referral_codes c SET uses = r.n FROM (SELECT code_id, COUNT(*) n \
         FROM referrals GROUP BY code_id) r WHERE r.code_id = c.id",
    )
    .await?;
    roll_ups(connection).await?;

    for (name, definition) in &indexes {
        step(connection, name, definition).await?;
    }
    references_hold(connection).await?;
    step(connection, "VACUUM ANALYZE", "VACUUM (ANALYZE)").await
}

/// What is kept beside the referrals, for statistics without scans. The one place for tables of that kind.
async fn roll_ups(connection: &mut PgConnection) -> Result<()> {
    let roll_ups = [
        (
            "referral_totals",
            "INSERT INTO referral_totals (referrer_id, status, n) \
             SELECT referrer_id, status, COUNT(*) FROM referrals GROUP BY referrer_id, status",
        ),
        (
            "referral_days",
            "INSERT INTO referral_days (referrer_id, day, status, n) \
             SELECT referrer_id, day, status, COUNT(*) FROM (SELECT referrer_id, status, \
             to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day FROM referrals) r \
             GROUP BY referrer_id, day, status",
        ),
    ];
    for (table, sql) in roll_ups {
        let (there,): (bool,) =
            sqlx::query_as("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&mut *connection).await?;
        if there {
            step(connection, table, sql).await?;
        }
    }
    Ok(())
}

/// Takes away the indexes of the filled tables that belong to no constraint; their definitions.
async fn drop_indexes(connection: &mut PgConnection) -> Result<Vec<(String, String)>> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         JOIN pg_class t ON t.oid = i.indrelid WHERE t.relname::text = ANY($1) \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY 1",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &indexes {
        run(connection, &format!("DROP INDEX {name}")).await?;
    }
    Ok(indexes)
}

/// Every reference out of the filled tables leads somewhere.
async fn references_hold(connection: &mut PgConnection) -> Result<()> {
    let references: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT k.conrelid::regclass::text, a.attname::text, k.confrelid::regclass::text, b.attname::text \
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
         JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1] \
         WHERE k.contype = 'f' AND array_length(k.conkey, 1) = 1 AND k.conrelid::regclass::text = ANY($1)",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(&mut *connection)
    .await?;
    ensure!(references.len() >= 4, "the schema has its references");
    for (table, column, to, key) in references {
        let begun = Instant::now();
        let sql = format!(
            "SELECT COUNT(*) FROM {table} t LEFT JOIN {to} o ON o.{key} = t.{column} \
             WHERE t.{column} IS NOT NULL AND o.{key} IS NULL"
        );
        let (dangling,): (i64,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        ensure!(dangling == 0, "{dangling} rows of {table} refer to no {to} by {column}");
        told(&format!("{table}.{column} looked over"), begun.elapsed());
    }
    Ok(())
}

/// Runs `sql`, which makes the rows from `$1` to `$2`, until there are `count`, two statements at a time; says how far it
/// is.
async fn chunks(url: &str, what: &str, count: i64, sql: &str) -> Result<()> {
    let (begun, next, done) = (Instant::now(), AtomicI64::new(0), AtomicI64::new(0));
    let writer = async || -> Result<()> {
        let mut connection = PgConnection::connect(url).await?;
        run(&mut connection, "SET synchronous_commit = off").await?;
        // References are looked over at the end, all at once.
        run(&mut connection, "SET session_replication_role = replica").await?;
        loop {
            let from = next.fetch_add(CHUNK, Relaxed);
            let to = (from + CHUNK).min(count);
            if from >= count {
                return Ok(connection.close().await?);
            }
            sqlx::query(AssertSqlSafe(sql.to_owned())).bind(from).bind(to - 1).execute(&mut connection).await?;
            let done = done.fetch_add(to - from, Relaxed) + to - from;
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            eprintln!("  {what}: {done} of {count} ({}%), {rate:.0}/s", done * 100 / count);
        }
    };
    futures::try_join!(writer(), writer())?;
    Ok(())
}

async fn step(connection: &mut PgConnection, what: &str, sql: &str) -> Result<()> {
    let begun = Instant::now();
    run(connection, sql).await?;
    told(what, begun.elapsed());
    Ok(())
}

fn told(what: &str, time: Duration) {
    eprintln!("  {what}: {:.1} s", time.as_secs_f64());
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}
