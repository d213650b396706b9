//! For tests: signing keys that are there before a server looks for them. To find the primes of RSA takes a good part of
//! a second in a debug build, and nearly every test has servers of its own.

use std::sync::LazyLock;

use shared::Platform;
use zeroize::Zeroizing;

use super::ring::{KeyRingError, keep};
use super::sign::{Algorithm, generate};

/// A key for each algorithm, made once in a process.
static MADE: LazyLock<[(Algorithm, Zeroizing<Vec<u8>>); Algorithm::ALL.len()]> =
    LazyLock::new(|| Algorithm::ALL.map(|algorithm| (algorithm, generate(algorithm).expect("a key can be made"))));

/// Keeps them as the first generation of a platform that has no keys yet, each under an id of its own.
///
/// # Errors
/// When the database does not answer.
pub async fn lay_in(platform: &Platform) -> Result<(), KeyRingError> {
    for (algorithm, pkcs8) in MADE.iter() {
        keep(platform, *algorithm, 1, pkcs8, platform.clock.now()).await?;
    }
    Ok(())
}
