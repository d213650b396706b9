//! What the clock has happen in the programme: holds end, and what did not qualify in time expires.

use std::time::Duration;

use shared::Platform;
use shared::platform::every;
use shared::referrals::life;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often it is looked. Nothing is promised to the second.
const INTERVAL: Duration = Duration::from_secs(2);

/// Advances referrals until `stop` turns true. Several instances may.
pub fn watch(platform: Platform, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    every(INTERVAL, stop, move || {
        let platform = platform.clone();
        async move {
            loop {
                match life::advance(&platform).await {
                    Ok(0) => break,
                    Ok(referrals) => tracing::info!(referrals, "advanced by the rules of the programme"),
                    Err(error) => {
                        tracing::warn!(%error, "referrals can't be advanced now; it is tried again");
                        break;
                    }
                }
            }
        }
    })
}
