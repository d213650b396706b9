//! Whom we call at once: an endpoint that does not answer must not keep others from being told, nor may many on one host.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::ids::WebhookEndpointId;

/// Calls under way in all.
pub const ALL: usize = 16;
/// Of them, to endpoints that fail. The rest is for those that don't.
const OF_FAILING: usize = 8;
/// Calls under way to one host.
const OF_A_HOST: usize = 4;

/// Clones share it.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    failing: usize,
    hosts: HashMap<String, usize>,
    /// Those that fail: they are asked one thing at a time.
    endpoints: HashSet<WebhookEndpointId>,
}

/// Leave to make one call, until it is dropped.
pub struct Place {
    places: Places,
    host: String,
    failing: Option<WebhookEndpointId>,
}

impl Places {
    /// Leave to call an endpoint on this host, or none just now.
    pub fn take(&self, host: &str, endpoint: WebhookEndpointId, is_failing: bool) -> Option<Place> {
        let mut taken = self.taken();
        let of_host = taken.hosts.get(host).copied().unwrap_or_default();
        if taken.all >= ALL || of_host >= OF_A_HOST {
            return None;
        }
        if is_failing && (taken.failing >= OF_FAILING || taken.endpoints.contains(&endpoint)) {
            return None;
        }
        taken.all += 1;
        *taken.hosts.entry(host.to_owned()).or_default() += 1;
        if is_failing {
            taken.failing += 1;
            taken.endpoints.insert(endpoint);
        }
        Some(Place { places: self.clone(), host: host.to_owned(), failing: is_failing.then_some(endpoint) })
    }

    /// Is there none left?
    pub fn is_full(&self) -> bool {
        self.taken().all >= ALL
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(endpoint) = &self.failing {
            taken.failing -= 1;
            taken.endpoints.remove(endpoint);
        }
        if let Some(of_host) = taken.hosts.get_mut(&self.host) {
            *of_host -= 1;
            if *of_host == 0 {
                taken.hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_host_has_its_share_and_what_fails_leaves_room_for_the_others() {
        let places = Places::default();
        let id = |n: u128| WebhookEndpointId(Uuid::from_u128(n));
        let of_a: Vec<_> = (0..OF_A_HOST).map(|_| places.take("a:443", id(1), false).unwrap()).collect();
        assert!(places.take("a:443", id(2), false).is_none());
        drop(of_a);
        let failing: Vec<_> =
            (0..OF_FAILING).map(|n| places.take(&format!("f{n}:443"), id(100 + n as u128), true).unwrap()).collect();
        assert!(places.take("f0:443", id(100), true).is_none(), "one thing at a time");
        assert!(places.take("f99:443", id(99), true).is_none());
        let others: Vec<_> =
            (0..ALL - OF_FAILING).map(|n| places.take(&format!("g{n}:443"), id(7), false).unwrap()).collect();
        assert!(places.is_full() && places.take("h:443", id(8), false).is_none());
        drop((failing, others));
        let taken = places.taken();
        assert!(taken.all == 0 && taken.failing == 0 && taken.hosts.is_empty() && taken.endpoints.is_empty());
    }
}
