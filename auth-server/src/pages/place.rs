//! What a page says of where a URL leads. People know hosts better than the names of apps, which anybody can choose.

use url::Url;

use super::texts::Texts;
use crate::clients::is_loopback;

/// In words. A private scheme's app is named by the scheme: what stands behind it looks like a host and is anybody's to
/// write (RFC 8252 §8.6).
pub fn place(t: Texts, url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return url.to_owned() };
    let (true, Some(host)) = (matches!(url.scheme(), "https" | "http"), url.host_str()) else {
        return t.with("place-app", "scheme", url.scheme());
    };
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    if is_loopback(&url) { t.with("place-device", "host", host) } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locales::Locale;

    #[test]
    fn no_host_is_named_that_nobody_has_to_own__rfc8252_8_6() {
        for (url, expected) in [
            ("https://app.example/cb?x", "app.example"),
            ("https://app.example:8443/cb", "app.example:8443"),
            ("com.example.app:/cb", "an app on this device (com.example.app)"),
            ("com.example.app://bank.example/cb", "an app on this device (com.example.app)"),
            ("com.example.app://bank.example:443/cb", "an app on this device (com.example.app)"),
            ("http://127.0.0.1:49152/cb", "a program on this device (127.0.0.1:49152)"),
            ("https://localhost/cb", "a program on this device (localhost)"),
        ] {
            assert_eq!(place(Texts(Locale::En), url), expected);
        }
    }
}
