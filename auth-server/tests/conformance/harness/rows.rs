//! [`Rows`]: what the database holds, down to the last column. What a refused request must leave as it was.

use std::collections::BTreeMap;
use std::fmt;

use auth_server::AppState;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

/// Where a refusal is written down: what was shown and serves no second time, and what the audit tells of it. A test of
/// those asks for them by itself. (What rate limits count stands in the cache.)
const OF_REFUSALS: [&str; 2] = ["used_proofs", "audit_events"];

/// How many rows each table has, and a digest of all they say.
#[derive(Clone, PartialEq, Eq)]
pub struct Rows(BTreeMap<String, (usize, String)>);

impl Rows {
    /// Every table there is, so that no new one is forgotten.
    pub(super) async fn read(state: &AppState) -> Self {
        let db = &state.platform.db;
        let mut conn = db.read().await.expect("the database answers");
        let columns = if db.is_embedded() {
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid"
        } else {
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        };
        let columns = shared::fetch_all!(&mut conn, (String, String), columns).expect("the schema can be read");
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in columns {
            tables.entry(table).or_default().push(column);
        }
        tables.retain(|table, _| !OF_REFUSALS.contains(&table.as_str()));
        let quote = if db.is_embedded() { "quote" } else { "quote_nullable" };
        let selects = tables.iter().map(|(table, columns)| {
            let columns: Vec<_> = columns.iter().map(|column| format!("{quote}(\"{column}\")")).collect();
            format!("SELECT '{table}' AS name, {} AS said FROM \"{table}\"", columns.join(" || ',' || "))
        });
        let every = selects.collect::<Vec<_>>().join(" UNION ALL ");
        // The names come from the schema.
        let sql = AssertSqlSafe(format!("SELECT name, said FROM ({every}) AS everything ORDER BY name, said"));
        let said = shared::fetch_all!(&mut conn, (String, String), sql).expect("the tables can be read");
        let mut digests: BTreeMap<String, (usize, Sha256)> =
            tables.into_keys().map(|table| (table, (0, Sha256::new()))).collect();
        for (table, says) in said {
            let (count, digest) = digests.get_mut(&table).expect("one of the tables");
            *count += 1;
            digest.update((says.len() as u64).to_be_bytes());
            digest.update(says);
        }
        let shown = |digest: Sha256| digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self(digests.into_iter().map(|(table, (count, digest))| (table, (count, shown(digest)))).collect())
    }

    /// How many rows `table` has.
    pub fn count(&self, table: &str) -> usize {
        self.0.get(table).unwrap_or_else(|| panic!("no table {table}")).0
    }

    /// All but these tables, which a request may change although it is refused.
    pub fn without(mut self, tables: &[&str]) -> Self {
        for table in tables {
            self.0.remove(*table).unwrap_or_else(|| panic!("no table {table}"));
        }
        self
    }

    /// The tables of which `before` said something else, with how many rows they have now.
    pub fn changed_since(&self, before: &Self) -> BTreeMap<&str, usize> {
        let changed = self.0.iter().filter(|(table, is)| before.0.get(*table) != Some(is));
        changed.map(|(table, (count, _))| (table.as_str(), *count)).collect()
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().filter(|(_, (count, _))| *count > 0);
        f.debug_map().entries(shown.map(|(table, (count, digest))| (table, format!("{count} {digest}")))).finish()
    }
}
