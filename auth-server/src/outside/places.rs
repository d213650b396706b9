//! Whom we call at once when sessions end: a client whose server does not answer must not keep the others from hearing
//! of it, nor may many clients of one stranger.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::Clock;
use url::Url;

/// Calls under way to one host, of the lane's eight.
const OF_A_HOST: usize = 2;
/// Calls under way to clients that nobody vouched for. Under ever new names they could be on ever new hosts; the rest is
/// for those that the operator registered.
const OF_STRANGERS: usize = 4;
/// Failures in a row after which a host is left alone for a while, and then asked by one call at a time.
const FAILURES: u32 = 3;
const REST: TimeDelta = TimeDelta::seconds(60);
/// How long to wait for a place.
const PATIENCE: TimeDelta = TimeDelta::seconds(2);
/// Hosts that are remembered for their failures.
const REMEMBERED: usize = 10_000;

/// Clones share it.
#[derive(Clone)]
pub(super) struct Places {
    clock: Clock,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    strangers: usize,
    hosts: HashMap<String, Host>,
}

#[derive(Default)]
struct Host {
    under_way: usize,
    failures: u32,
    rests_until: Option<DateTime<Utc>>,
}

impl Host {
    fn rest(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        // A clock set back must not shut it out for longer than one rest.
        self.rests_until.map(|until| until - now).filter(|rest| *rest > TimeDelta::zero() && *rest <= REST)
    }
}

/// Leave to make one call. Dropped without a word it says nothing about the host.
pub(super) struct Place {
    places: Places,
    host: String,
    stranger: bool,
}

impl Places {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), taken: Arc::default() }
    }

    /// Leave to call the host of `url`, or how long to wait before asking again.
    pub(super) fn take(&self, url: &Url, stranger: bool) -> Result<Place, TimeDelta> {
        let now = self.clock.now();
        let name =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        let mut taken = self.taken();
        if stranger && taken.strangers >= OF_STRANGERS {
            return Err(PATIENCE);
        }
        if taken.hosts.len() >= REMEMBERED {
            taken.hosts.retain(|_, host| host.under_way > 0 || host.rest(now).is_some());
        }
        let host = taken.hosts.entry(name.clone()).or_default();
        if let Some(rest) = host.rest(now) {
            return Err(rest);
        }
        let most = if host.failures >= FAILURES { 1 } else { OF_A_HOST };
        if host.under_way >= most {
            return Err(PATIENCE);
        }
        host.under_way += 1;
        taken.strangers += usize::from(stranger);
        Ok(Place { places: self.clone(), host: name, stranger })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The host answered, whatever it said.
    pub(super) fn answered(self) {
        if let Some(host) = self.places.taken().hosts.get_mut(&self.host) {
            (host.failures, host.rests_until) = (0, None);
        }
    }

    /// It did not, or it is ill.
    pub(super) fn failed(self) {
        let now = self.places.clock.now();
        if let Some(host) = self.places.taken().hosts.get_mut(&self.host) {
            host.failures = host.failures.saturating_add(1);
            host.rests_until = (host.failures >= FAILURES).then(|| now + REST);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.strangers -= usize::from(self.stranger);
        if let Some(host) = taken.hosts.get_mut(&self.host) {
            host.under_way -= 1;
            if host.under_way == 0 && host.failures == 0 {
                taken.hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_host_has_two_places_and_strangers_have_half() {
        let places = Places::new(&Clock::fixed(DateTime::UNIX_EPOCH));
        let (a, b) = (url("https://a.example/out"), url("https://b.example/out"));
        let held = [places.take(&a, false).ok().unwrap(), places.take(&a, false).ok().unwrap()];
        assert_eq!(places.take(&a, false).err(), Some(PATIENCE));
        drop(places.take(&b, false).ok().unwrap());
        drop(held);
        let strangers: Vec<_> = (0..OF_STRANGERS)
            .map(|n| places.take(&url(&format!("https://{n}.evil.example/")), true).ok().unwrap())
            .collect();
        assert_eq!(places.take(&url("https://more.evil.example/"), true).err(), Some(PATIENCE));
        drop(places.take(&a, false).ok().unwrap());
        drop(strangers);
        assert!(places.take(&b, true).is_ok() && places.taken().hosts.is_empty());
    }

    #[test]
    fn a_host_that_fails_is_left_alone_and_then_asked_by_one() {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let places = Places::new(&clock);
        let a = url("https://a.example/out");
        for _ in 0..FAILURES {
            places.take(&a, false).ok().unwrap().failed();
        }
        assert_eq!(places.take(&a, false).err(), Some(REST));
        clock.advance(Duration::from_secs(61));
        let probe = places.take(&a, false).ok().unwrap();
        assert_eq!(places.take(&a, false).err(), Some(PATIENCE));
        probe.failed();
        assert_eq!(places.take(&a, false).err(), Some(REST));
        clock.advance(Duration::from_secs(61));
        places.take(&a, false).ok().unwrap().answered();
        assert!(places.taken().hosts.is_empty());
    }
}
