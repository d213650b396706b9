//! [`CircuitBreaker`]: after repeated failures a service is left alone for a while, so that callers fail at once
//! instead of each waiting for its timeout.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

/// Closed (calls pass), open (calls are refused), half-open (one call probes whether the service is back). Clones
/// share their state.
#[derive(Clone, Debug)]
pub struct CircuitBreaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: &'static str,
    clock: Clock,
    /// Failures in a row that open it.
    threshold: u32,
    /// How long it stays open.
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: DateTime<Utc> },
    Probing,
}

/// The breaker is open: the service is being left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service} is being left alone after failures")]
pub struct Open {
    pub service: &'static str,
    /// When it is worth asking again.
    pub retry_after: Duration,
}

/// Why [`CircuitBreaker::call`] gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    #[error(transparent)]
    Open(#[from] Open),
    #[error(transparent)]
    Failed(E),
}

/// Leave to make one call. Say how it went; dropped without a word (the caller went away) it counts as neither.
#[must_use = "say how the call went"]
#[derive(Debug)]
pub struct Permit {
    breaker: CircuitBreaker,
    probe: bool,
    settled: bool,
}

impl CircuitBreaker {
    /// Opens after `threshold` failures in a row, for `rest`.
    pub fn new(service: &'static str, clock: Clock, threshold: u32, rest: Duration) -> Self {
        let state = Mutex::new(State::Closed { failures: 0 });
        Self(Arc::new(Inner { service, clock, threshold: threshold.max(1), rest, state }))
    }

    /// Leave to make one call, or how long to leave the service alone.
    pub fn permit(&self) -> Result<Permit, Open> {
        let now = self.0.clock.now();
        let mut state = self.state();
        let refused = |retry_after| Err(Open { service: self.0.service, retry_after });
        let probe = match *state {
            State::Closed { .. } => false,
            // A clock set back must not keep a service shut out for longer than one rest.
            State::Open { until } if now < until && until <= now + self.rest() => {
                return refused((until - now).to_std().unwrap_or_default());
            }
            State::Open { .. } => {
                *state = State::Probing;
                true
            }
            State::Probing => return refused(self.0.rest),
        };
        Ok(Permit { breaker: self.clone(), probe, settled: false })
    }

    /// Runs `operation` unless the breaker is open; `is_failure` tells a sick service from a plain «no».
    pub async fn call<T, E>(
        &self,
        is_failure: impl FnOnce(&E) -> bool,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let permit = self.permit()?;
        match operation.await {
            Ok(value) => {
                permit.succeeded();
                Ok(value)
            }
            Err(error) => {
                if is_failure(&error) {
                    permit.failed();
                } else {
                    permit.succeeded();
                }
                Err(CallError::Failed(error))
            }
        }
    }

    /// Is the service being left alone?
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }

    fn rest(&self) -> TimeDelta {
        TimeDelta::from_std(self.0.rest).unwrap_or(TimeDelta::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The service answered.
    pub fn succeeded(mut self) {
        self.settled = true;
        let mut state = self.breaker.state();
        match *state {
            State::Closed { .. } => *state = State::Closed { failures: 0 },
            State::Probing if self.probe => {
                *state = State::Closed { failures: 0 };
                tracing::info!(service = self.breaker.0.service, "is back");
            }
            // A late answer to a call from before the breaker opened proves nothing about now.
            State::Open { .. } | State::Probing => {}
        }
    }

    /// The service did not answer, or answered that it is ill.
    pub fn failed(mut self) {
        self.settled = true;
        let inner = &self.breaker.0;
        let until = inner.clock.now() + self.breaker.rest();
        let mut state = self.breaker.state();
        match *state {
            State::Closed { failures } if failures + 1 < inner.threshold => {
                *state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => {
                *state = State::Open { until };
                tracing::warn!(service = inner.service, rest = ?inner.rest, "fails, is left alone for a while");
            }
            State::Probing if self.probe => *state = State::Open { until },
            State::Open { .. } | State::Probing => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe && !self.settled {
            // The probe was cancelled: the next caller may probe at once, or nobody ever would.
            let now = self.breaker.0.clock.now();
            *self.breaker.state() = State::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Clock, CircuitBreaker) {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        (clock.clone(), CircuitBreaker::new("test", clock, 2, Duration::from_secs(10)))
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_good_probe() {
        let (clock, breaker) = breaker();
        breaker.permit().unwrap().failed();
        breaker.permit().unwrap().succeeded();
        breaker.permit().unwrap().failed();
        assert!(!breaker.is_open());
        breaker.permit().unwrap().failed();
        assert_eq!(breaker.permit().unwrap_err().retry_after, Duration::from_secs(10));

        clock.advance(Duration::from_secs(10));
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_err(), "one probe at a time");
        probe.failed();
        assert!(breaker.permit().is_err());

        clock.advance(Duration::from_secs(10));
        breaker.permit().unwrap().succeeded();
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_cancelled_probe_lets_the_next_caller_probe() {
        let (clock, breaker) = breaker();
        breaker.permit().unwrap().failed();
        breaker.permit().unwrap().failed();
        clock.advance(Duration::from_secs(10));
        drop(breaker.permit().unwrap());
        breaker.permit().unwrap().succeeded();
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn a_plain_no_is_not_a_failure() {
        let (_, breaker) = breaker();
        for _ in 0..5 {
            let answer = breaker.call(|e: &u16| *e >= 500, async { Err::<(), _>(404) }).await;
            assert!(matches!(answer, Err(CallError::Failed(404))));
        }
        for _ in 0..2 {
            let _ = breaker.call(|e: &u16| *e >= 500, async { Err::<(), _>(503) }).await;
        }
        let answer = breaker.call(|_: &u16| true, async { Ok(()) }).await;
        assert!(matches!(answer, Err(CallError::Open(Open { service: "test", .. }))));
    }
}
