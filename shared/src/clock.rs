//! The only source of time. Everything else asks a [`Clock`], so that tests move time by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

/// Tells the time in UTC, in whole microseconds: what PostgreSQL can store, so that a time read back equals the one
/// that was written, on both engines.
#[derive(Clone, Debug)]
pub struct Clock {
    fixed: Option<DateTime<Utc>>,
    /// Microseconds added to the time told; shared by all clones.
    shift: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { fixed: None, shift: Arc::default() }
    }

    /// A clock that stands still at `at` until it is moved with [`Clock::advance`].
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self { fixed: Some(at), shift: Arc::default() }
    }

    /// The time now, in whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Microseconds since the Unix epoch: [`Clock::now`] without a calendar, for who needs none.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn micros(&self) -> i64 {
        let base = match self.fixed {
            Some(at) => at.timestamp_micros(),
            None => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
        };
        base.saturating_add(self.shift.load(Ordering::Relaxed))
    }

    /// Seconds since the Unix epoch: a JWT's NumericDate (RFC 7519 §2).
    pub fn timestamp(&self) -> i64 {
        self.micros().div_euclid(1_000_000)
    }

    /// Moves this clock and all its clones forward by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.shift.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn clones_move_together_and_tell_whole_microseconds() {
        let clock = Clock::system();
        let twin = clock.clone();
        let before = twin.now();
        clock.advance(Duration::from_secs(3600));
        assert!(twin.now() - before >= TimeDelta::hours(1));
        assert_eq!(clock.now().timestamp_subsec_nanos() % 1000, 0);
    }
}
