//! [`Touches`]: by which referral links a browser came here, the first and the last. They stand in a cookie that nobody but
//! us can write and that any instance reads; there are no rows of it. It holds codes and times, nothing about a person.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use shared::Platform;
use shared::config::AttributionModel;
use shared::referrals::code::CodeKey;
use shared::referrals::store::Source;

const PURPOSE: &str = "attribution";

/// Longer than any that we write: two codes of at most 64 characters, two times, a MAC, in base64.
const MAX_LENGTH: usize = 320;

/// A link that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Touch {
    code: CodeKey,
    at: DateTime<Utc>,
}

/// The first and the last link that were followed in this browser, within the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches(Option<(Touch, Touch)>);

/// For how long one counts; `None` when none does.
pub fn window(platform: &Platform) -> Option<TimeDelta> {
    let days = i64::try_from(platform.config.attribution.window_days).ok().filter(|days| *days > 0)?;
    TimeDelta::try_days(days)
}

impl Touches {
    /// Reads the cookie. One that is not ours says nothing.
    pub fn read(platform: &Platform, cookie: Option<&str>) -> Self {
        let Some(window) = window(platform) else { return Self::default() };
        let since = platform.clock.now() - window;
        let read = cookie.filter(|cookie| cookie.len() <= MAX_LENGTH).and_then(|cookie| parse(platform, cookie));
        // The last is the younger one: without it there is none.
        let Some((first, last)) = read.filter(|(_, last)| last.at > since) else { return Self::default() };
        let first = if first.at > since { first } else { last.clone() };
        Self(Some((first, last)))
    }

    /// The cookie's value; `None` when there is nothing to remember.
    pub fn cookie(&self, platform: &Platform) -> Option<String> {
        let (first, last) = self.0.as_ref()?;
        let body = format!("{} {} {} {}", first.code, first.at.timestamp(), last.code, last.at.timestamp());
        let mac = platform.master_key.mac(PURPOSE, body.as_bytes());
        Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(mac)))
    }

    /// With a link that is followed now.
    pub fn with(&self, platform: &Platform, code: &CodeKey) -> Self {
        let last = Touch { code: code.clone(), at: platform.clock.now() };
        let first = self.0.as_ref().map_or_else(|| last.clone(), |(first, _)| first.clone());
        Self(Some((first, last)))
    }

    /// The code that counts by `attribution.model`.
    pub fn chosen(&self, platform: &Platform) -> Option<(&CodeKey, Source)> {
        let (first, last) = self.0.as_ref()?;
        Some(match platform.config.attribution.model {
            AttributionModel::FirstTouch => (&first.code, Source::FirstTouch),
            AttributionModel::LastTouch => (&last.code, Source::LastTouch),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn parse(platform: &Platform, cookie: &str) -> Option<(Touch, Touch)> {
    let (body, mac) = cookie.split_once('.')?;
    let (body, mac) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
    if !platform.master_key.verify_mac(PURPOSE, &body, &mac) {
        return None;
    }
    let mut parts = std::str::from_utf8(&body).ok()?.split(' ');
    let mut touch = || {
        let code = CodeKey::fold(parts.next()?)?;
        let at = DateTime::from_timestamp(parts.next()?.parse().ok()?, 0)?;
        Some(Touch { code, at })
    };
    Some((touch()?, touch()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::testing::{each_store, each_store_with};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn key(text: &str) -> CodeKey {
        CodeKey::fold(text).unwrap()
    }

    fn codes(touches: &Touches) -> Option<(String, String)> {
        touches.0.as_ref().map(|(first, last)| (first.code.to_string(), last.code.to_string()))
    }

    #[tokio::test]
    async fn the_first_and_the_last_link_are_remembered_within_the_window() {
        each_store(|platform| async move {
            let again = |touches: &Touches| Touches::read(&platform, touches.cookie(&platform).as_deref());
            let mut touches = Touches::read(&platform, None);
            assert!(touches.is_empty() && touches.cookie(&platform).is_none());
            for code in ["ABCD", "EFGH", "JKMN"] {
                touches = again(&touches).with(&platform, &key(code));
                platform.clock.advance(DAY * 10);
            }
            assert_eq!(codes(&again(&touches)), Some(("JKMN".into(), "JKMN".into())), "the first is 30 days old");
            platform.clock.advance(DAY * 19);
            assert!(!again(&touches).is_empty());
            platform.clock.advance(DAY * 2);
            assert!(again(&touches).is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn the_model_says_which_counts_and_a_window_of_none_that_none_does() {
        for (model, code, source) in
            [("last_touch", "EFGH", Source::LastTouch), ("first_touch", "ABCD", Source::FirstTouch)]
        {
            each_store_with(&[("ATTRIBUTION__MODEL", model)], |platform| async move {
                let touches = Touches::default().with(&platform, &key("ABCD")).with(&platform, &key("EFGH"));
                let read = Touches::read(&platform, touches.cookie(&platform).as_deref());
                assert_eq!(read.chosen(&platform), Some((&key(code), source)));
            })
            .await;
        }
        each_store_with(&[("ATTRIBUTION__WINDOW_DAYS", "0")], |platform| async move {
            let touches = Touches::default().with(&platform, &key("ABCD"));
            assert!(Touches::read(&platform, touches.cookie(&platform).as_deref()).is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn a_cookie_that_was_tampered_with_is_none() {
        each_store(|platform| async move {
            let longest = key(&"Z".repeat(64));
            let cookie = Touches::default().with(&platform, &longest).cookie(&platform).unwrap();
            assert!(cookie.len() <= MAX_LENGTH, "{}", cookie.len());
            assert!(!Touches::read(&platform, Some(&cookie)).is_empty());
            let (body, mac) = cookie.split_once('.').unwrap();
            let mut other = URL_SAFE_NO_PAD.decode(body).unwrap();
            other[0] = b'Y';
            let other = URL_SAFE_NO_PAD.encode(other);
            for bad in [
                format!("{other}.{mac}"),
                format!("{body}."),
                format!(".{mac}"),
                format!("{body}.{body}"),
                format!("{cookie}A"),
                body.to_owned(),
                String::new(),
                "x".repeat(5000),
            ] {
                assert!(Touches::read(&platform, Some(&bad)).is_empty(), "{bad}");
            }
        })
        .await;
    }
}
