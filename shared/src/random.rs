//! The only source of randomness: the operating system's generator, or a seeded one in tests.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng, TryRngCore};
use uuid::Uuid;

use crate::clock::Clock;

/// A cryptographically secure random source; clones share it.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    Os,
    Seeded(Arc<Mutex<StdRng>>),
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(Source::Os)
    }

    /// The same sequence for the same seed. For tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fills `bytes`.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done without it.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::Os => rand::rngs::OsRng.try_fill_bytes(bytes).expect("the operating system gives random bytes"),
            Source::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes),
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A time-ordered id (UUIDv7, RFC 9562 §5.7): one that names something and opens nothing. Each request has one, and
    /// most tokens, so it does not ask the system for each: the thread's own generator is a secure one too.
    #[expect(clippy::disallowed_methods, reason = "this is where others are to draw from")]
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        let millis = u64::try_from(clock.micros() / 1000).unwrap_or_default();
        let random = match &self.0 {
            Source::Os => rand::random(),
            Source::Seeded(_) => self.bytes(),
        };
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// An id that nobody can guess and that tells nothing (UUIDv4).
    pub fn uuid_v4(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}
