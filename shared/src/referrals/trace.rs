//! Where a sign-up or a click came from, as much as must be known to see that many came from one place.

use chrono::{DateTime, Days, NaiveTime, Utc};
use sha2::{Digest, Sha256};

use crate::db::{DbError, Tx};
use crate::ids::UserId;
use crate::platform::Platform;
use crate::{execute, fetch_one, fetch_optional};

/// The hashes of where somebody signed up. Nobody can be found by them who is not there to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow)]
pub struct Trace {
    /// Under the salt of its day: two are comparable within one day.
    pub address_hash: Option<Vec<u8>>,
    /// Under the master key.
    pub device_hash: Option<Vec<u8>>,
}

impl Trace {
    /// Hashes a network address ([`ClientIp::bucket`](crate::http::ClientIp::bucket)) and the random id that a browser
    /// keeps for us.
    pub async fn of(
        tx: &mut Tx,
        platform: &Platform,
        address: Option<&[u8]>,
        device: Option<&[u8]>,
    ) -> Result<Self, DbError> {
        if platform.config.programme.trace_days == 0 {
            return Ok(Self::default());
        }
        let address_hash = match address {
            Some(address) => Some(hash_of_the_day(tx, platform, address).await?),
            None => None,
        };
        let device_hash = device.map(|device| platform.master_key.mac("device", device).to_vec());
        Ok(Self { address_hash, device_hash })
    }

    /// Keeps it with the account, for as long as it is compared.
    pub async fn keep(&self, tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
        let now = platform.clock.now();
        let days = Days::new(platform.config.programme.trace_days);
        if *self == Self::default() || days == Days::new(0) {
            return Ok(());
        }
        execute!(
            tx,
            "INSERT INTO signup_traces (user_id, address_hash, device_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id) DO NOTHING",
            user,
            self.address_hash.as_deref(),
            self.device_hash.as_deref(),
            now,
            now.checked_add_days(days).unwrap_or(DateTime::<Utc>::MAX_UTC)
        )?;
        Ok(())
    }
}

/// SHA-256 of an address under the day's salt, which is drawn by the first who asks and deleted when the day is over.
/// Call it early in a transaction: on PostgreSQL the first of a day holds back the others of that moment.
pub async fn hash_of_the_day(tx: &mut Tx, platform: &Platform, address: &[u8]) -> Result<Vec<u8>, DbError> {
    let now = platform.clock.now();
    let day = day(now);
    let found: Option<(Vec<u8>,)> =
        fetch_optional!(tx, (Vec<u8>,), "SELECT salt FROM daily_salts WHERE day = $1", &day)?;
    let salt = match found {
        Some((salt,)) => salt,
        None => {
            let end = now.date_naive().checked_add_days(Days::new(1)).unwrap_or(now.date_naive());
            // The update that changes nothing has the row come back to whoever was second.
            let (salt,): (Vec<u8>,) = fetch_one!(
                tx,
                (Vec<u8>,),
                "INSERT INTO daily_salts (day, salt, expires_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (day) DO UPDATE SET day = $1 RETURNING salt",
                &day,
                platform.random.bytes::<32>().to_vec(),
                end.and_time(NaiveTime::MIN).and_utc()
            )?;
            salt
        }
    };
    Ok(Sha256::new().chain_update(&salt).chain_update(address).finalize().to_vec())
}

/// A day as the tables name it: `2030-01-31`, UTC.
pub fn day(at: DateTime<Utc>) -> String {
    at.date_naive().to_string()
}
