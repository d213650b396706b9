//! [`Throttle`]: wrong passwords make the next try wait, longer each time, and nobody else's.
//!
//! A browser that signed in to the account before ([`Known`]) is counted by itself: whatever strangers do to an account,
//! its owner signs in there without a wait. All other browsers share three counts: of the account at this address, of this
//! address at any account, and, with much more patience, of the account from anywhere. An account that does not exist is
//! counted like one that does, by what was typed.

use std::time::Duration;

use shared::Platform;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::limits::Limited;

use super::known::Known;

/// How long a count goes on from its first failure.
const DAY: Duration = Duration::from_secs(86_400);

const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait. Four tries an hour find no password that [`super::check_new_password`] lets through.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// How many failures from one address cost no time, at whatever accounts: a whole office may share one.
const FREE_PER_ADDRESS: u64 = 50;

/// How many from anywhere, at one account: few enough to stop a botnet, more than one address is let to make.
const FREE_PER_ACCOUNT: u64 = 120;

/// What is counted under one name: the failures, and, as a count that ends with it, the wait after the last.
struct Count {
    failures: &'static str,
    wait: &'static str,
    key: Vec<u8>,
    free: u64,
    /// Does a success start it anew? Not where somebody could sign in to their own account to go on guessing at others'.
    forgiving: bool,
}

/// The counts that apply to one try.
pub struct Throttle<'a> {
    platform: &'a Platform,
    counts: Vec<Count>,
}

impl<'a> Throttle<'a> {
    /// For a try at `account` (a hash of what was typed), which is `user` if there is one, in the browser `known`.
    pub fn new(
        platform: &'a Platform,
        account: &[u8],
        user: Option<UserId>,
        known: Option<&Known>,
        ip: &ClientIp,
    ) -> Self {
        let free = platform.config.limits.failures_without_delay;
        let counts = match known.filter(|known| user.is_some_and(|user| known.has(user))) {
            Some(known) => vec![Count {
                failures: "signin-failures-browser",
                wait: "signin-wait-browser",
                key: [account, known.browser()].concat(),
                free,
                forgiving: true,
            }],
            None => vec![
                Count {
                    failures: "signin-failures",
                    wait: "signin-wait",
                    key: [account, ip.bucket().as_ref()].concat(),
                    free,
                    forgiving: true,
                },
                Count {
                    failures: "signin-failures-address",
                    wait: "signin-wait-address",
                    key: ip.bucket().to_vec(),
                    free: FREE_PER_ADDRESS.max(free),
                    forgiving: false,
                },
                Count {
                    failures: "signin-failures-account",
                    wait: "signin-wait-account",
                    key: account.to_vec(),
                    free: FREE_PER_ACCOUNT.max(free),
                    forgiving: false,
                },
            ],
        };
        Self { platform, counts }
    }

    /// Must it wait?
    pub async fn look(&self) -> Result<(), Limited> {
        for count in &self.counts {
            self.platform.limits.is_reached(count.wait, &count.key, 1).await?;
        }
        Ok(())
    }

    /// Counts a failure. Of many at once, no more are told that they failed than would have been one after the other.
    pub async fn failed(&self) -> Result<(), Limited> {
        let limits = &self.platform.limits;
        let mut told = Ok(());
        for count in &self.counts {
            let failures = limits.count(count.failures, &count.key, DAY).await;
            if failures < count.free {
                continue;
            }
            // Whoever comes first begins the wait; who comes while it lasts is told that, and nothing else.
            let one = limits.check(count.wait, &count.key, 1, wait_after(failures, count.free)).await;
            told = told.and(one);
        }
        told
    }

    /// A success: mistakes made before it were the owner's.
    pub async fn succeeded(&self) {
        for count in self.counts.iter().filter(|count| count.forgiving) {
            self.platform.limits.forget(count.failures, &count.key).await;
        }
    }
}

/// After the last failure that costs nothing, and twice as long after each further one.
fn wait_after(failures: u64, free: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(free)).unwrap_or(u32::MAX);
    // Eight doublings are beyond the longest.
    (SHORTEST_WAIT * 2u32.pow(doublings.min(8))).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_has_an_end() {
        let waits: Vec<u64> = (5..17).map(|failures| wait_after(failures, 5).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
        assert_eq!(wait_after(u64::MAX, 5), LONGEST_WAIT);
    }
}
