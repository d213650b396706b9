//! `[webhooks]`: what can't be meant.

use super::keys::Webhooks;

const DAY: u64 = 24 * 3600;

/// What is wrong with the settings.
pub(super) fn check(webhooks: &Webhooks, wrong: &mut impl FnMut(&str, String)) {
    let waits = &webhooks.retry_seconds;
    if waits.len() > 30 || waits.iter().any(|wait| !(1..=7 * DAY).contains(wait)) {
        wrong("webhooks.retry_seconds", "at most 30 waits of 1 to 604800 seconds".into());
    }
    if !(1..=30).contains(&webhooks.timeout_seconds) {
        wrong("webhooks.timeout_seconds", "is a number from 1 to 30".into());
    }
    for (key, days) in [("disable_after_days", webhooks.disable_after_days), ("keep_days", webhooks.keep_days)] {
        if !(1..=365).contains(&days) {
            wrong(&format!("webhooks.{key}"), "is a number from 1 to 365".into());
        }
    }
    // A quarter on top is the most that chance adds.
    let longest = waits.iter().fold(0, |sum: u64, wait| sum.saturating_add(wait.saturating_mul(5) / 4));
    if longest > webhooks.keep_days.saturating_mul(DAY) {
        wrong(
            "webhooks.keep_days",
            "messages must be kept for as long as webhooks.retry_seconds has them tried".into(),
        );
    }
    if !(1..=1000).contains(&webhooks.max_endpoints) {
        wrong("webhooks.max_endpoints", "is a number from 1 to 1000".into());
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load_from;

    #[test]
    fn settings_that_can_not_be_meant_are_named() {
        let error = load_from(
            None,
            [
                ("REFERRIS__WEBHOOKS__RETRY_SECONDS", "[5, 0]"),
                ("REFERRIS__WEBHOOKS__TIMEOUT_SECONDS", "31"),
                ("REFERRIS__WEBHOOKS__DISABLE_AFTER_DAYS", "0"),
                ("REFERRIS__WEBHOOKS__MAX_ENDPOINTS", "0"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        )
        .unwrap_err();
        let keys: Vec<_> = error.0.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "webhooks.retry_seconds",
                "webhooks.timeout_seconds",
                "webhooks.disable_after_days",
                "webhooks.max_endpoints"
            ]
        );
        // Forgotten before it was last tried.
        let short = ("REFERRIS__WEBHOOKS__KEEP_DAYS".to_owned(), "3".to_owned());
        assert_eq!(load_from(None, [short]).unwrap_err().0[0].key, "webhooks.keep_days");
    }
}
