//! [`retry`]: trying a call again after a random wait, where that is safe.

use std::future::Future;
use std::time::Duration;

use crate::random::Random;

/// How often and how patiently to try.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Tries in all, the first one included.
    pub attempts: u32,
    /// The longest wait before the second try; it doubles with each further one.
    pub first: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_millis(200), longest: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The wait after try number `attempt` (counted from 1): between half of the step and the whole of it, at random,
    /// so that callers who failed together do not come back together.
    pub fn wait(&self, attempt: u32, random: &Random) -> Duration {
        let step = self.first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))).min(self.longest);
        let share = f64::from(u16::from_le_bytes(random.bytes())) / f64::from(u16::MAX);
        step.mul_f64(0.5 + share / 2.0)
    }
}

/// Calls `attempt` until it succeeds, fails in a way that `is_transient` says will not pass, or the tries are used up.
/// Only for calls that may happen twice.
pub async fn retry<T, E, Fut: Future<Output = Result<T, E>>>(
    random: &Random,
    backoff: Backoff,
    is_transient: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Fut,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if tries < backoff.attempts && is_transient(&error) => {
                tokio::time::sleep(backoff.wait(tries, random)).await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const FAST: Backoff = Backoff { attempts: 3, first: Duration::from_millis(2), longest: Duration::from_millis(3) };

    #[tokio::test]
    async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() {
        let random = Random::seeded(1);
        let tries = Cell::new(0);
        let outcome = retry(
            &random,
            FAST,
            |e| *e == "busy",
            || async {
                tries.set(tries.get() + 1);
                if tries.get() < 3 { Err("busy") } else { Ok(tries.get()) }
            },
        );
        assert_eq!(outcome.await, Ok(3));

        tries.set(0);
        let outcome = retry(
            &random,
            FAST,
            |e| *e == "busy",
            || async {
                tries.set(tries.get() + 1);
                Err::<(), _>("refused")
            },
        );
        assert_eq!(outcome.await, Err("refused"));
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn it_gives_up_after_its_tries() {
        let (random, tries) = (Random::seeded(1), Cell::new(0));
        let outcome = retry(
            &random,
            FAST,
            |_| true,
            || async {
                tries.set(tries.get() + 1);
                Err::<(), _>("busy")
            },
        );
        assert_eq!(outcome.await, Err("busy"));
        assert_eq!(tries.get(), 3);
    }

    #[test]
    fn waits_double_up_to_a_limit_and_vary() {
        let random = Random::seeded(1);
        let backoff = Backoff { attempts: 9, first: Duration::from_millis(100), longest: Duration::from_millis(300) };
        for (attempt, step) in [(1, 100), (2, 200), (3, 300), (40, 300)] {
            let wait = backoff.wait(attempt, &random);
            assert!(wait >= Duration::from_millis(step / 2) && wait <= Duration::from_millis(step), "{wait:?}");
        }
        assert_ne!(backoff.wait(3, &random), backoff.wait(3, &random));
    }
}
