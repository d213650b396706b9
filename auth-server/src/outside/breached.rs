//! Passwords that others have lost, by the range protocol of Have I Been Pwned: the first five hexadecimal digits of the
//! password's SHA-1 are asked about, and the answer lists all hashes that begin so. The service learns neither the password
//! nor its hash (k-anonymity), and with padding not even how long its answer was.

use std::time::Duration;

use sha1::{Digest, Sha1};
use shared::Platform;
use shared::outbound::{CircuitBreaker, read_at_most};

/// A person waits for it.
const PATIENCE: Duration = Duration::from_millis(700);

/// Padded answers have up to 1000 lines of some 45 bytes.
const LARGEST: usize = 256 * 1024;

/// The service.
pub struct Breached {
    client: reqwest::Client,
    breaker: CircuitBreaker,
    base_url: String,
}

impl Breached {
    /// `None` when none is configured.
    pub fn new(platform: &Platform) -> Option<Self> {
        let url = platform.config.breached_passwords.url.as_ref()?;
        Some(Self {
            client: platform.outbound.trusted().clone(),
            breaker: platform.outbound.breaker("breached-passwords", 5, Duration::from_secs(30)),
            base_url: url.as_str().to_owned(),
        })
    }

    /// Is it known that somebody lost this password? In doubt it is not: an outage keeps nobody from signing up.
    pub async fn has(&self, password: &str) -> bool {
        let digest = Sha1::digest(password.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let (prefix, suffix) = hash.split_at(5);
        let Ok(permit) = self.breaker.permit() else { return false };
        match tokio::time::timeout(PATIENCE, self.range(prefix)).await {
            Ok(Ok(range)) => {
                permit.succeeded();
                lists(&range, suffix)
            }
            failure => {
                permit.failed();
                let error = failure.ok().and_then(Result::err).unwrap_or_else(|| "no answer in time".into());
                tracing::warn!(%error, "nobody could say whether a new password is a lost one; it is taken");
                false
            }
        }
    }

    async fn range(&self, prefix: &str) -> Result<String, String> {
        let url = format!("{}/range/{prefix}", self.base_url);
        // The URL holds a part of the hash: it must not get into a log.
        let plain = |error: reqwest::Error| error.without_url().to_string();
        let request = self.client.get(url).header("add-padding", "true").timeout(PATIENCE);
        let response = request.send().await.map_err(plain)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = read_at_most(response, LARGEST).await.map_err(|error| match error {
            shared::outbound::ReadError::Broken(error) => plain(error),
            other => other.to_string(),
        })?;
        String::from_utf8(body.to_vec()).map_err(|_| "the answer is no text".into())
    }
}

/// `SUFFIX:COUNT`, one a line; padding has the count 0.
fn lists(range: &str, suffix: &str) -> bool {
    range.lines().filter_map(|line| line.trim().split_once(':')).any(|(listed, count)| {
        listed.eq_ignore_ascii_case(suffix) && count.trim().parse::<u64>().is_ok_and(|count| count > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_nonsense_are_no_matches() {
        let range =
            "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:0\r\nnonsense\r\n:\r\n";
        assert!(lists(range, "0018A45C4D1DEF81644B54AB7F969B88D65"));
        assert!(lists(&range.to_lowercase(), "0018A45C4D1DEF81644B54AB7F969B88D65"));
        assert!(!lists(range, "00D4F6E8FA6EECAD2A3AA415EEC418D38EC"));
        assert!(!lists("", "0018A45C4D1DEF81644B54AB7F969B88D65"));
    }
}
