//! [`Visit`]: what a browser brings along that matters to signing up: the referral links that it came by, and a random id
//! by which many sign-ups in one browser are noticed. Both in cookies of ours, first-party, of use to nobody else.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use shared::db::DbError;
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Source};

use super::layout::cookie_value;
use crate::AppState;
use crate::accounts::attribution::{self, Touches};
use crate::sessions::cookie_name;

/// As long as browsers keep a cookie.
const DEVICE_DAYS: i64 = 400;

/// An extractor, which never refuses.
pub struct Visit {
    state: AppState,
    touches: Touches,
    device: Option<Vec<u8>>,
    /// Somebody opened this page, rather than a page of somebody else's a picture or a frame, or the browser by itself
    /// what might be opened next.
    in_person: bool,
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let cookie = |what: &str| cookie_value(&parts.headers, &cookie_name(state, what));
        let device = cookie("device").and_then(|value| URL_SAFE_NO_PAD.decode(value.get(..22).unwrap_or("")).ok());
        Ok(Self {
            touches: Touches::read(&state.platform, cookie("ref").as_deref()),
            device: device.filter(|device| device.len() == 16),
            in_person: parts.method == Method::GET && is_in_person(&parts.headers),
            state: state.clone(),
        })
    }
}

/// Fetch metadata: a link that is followed has a document for its destination, and no other purpose. Browsers that say
/// nothing are believed.
fn is_in_person(headers: &HeaderMap) -> bool {
    let says = |name: &str| headers.get(name).map(|value| value.as_bytes().to_ascii_lowercase());
    let mut prefetch = ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().filter_map(says);
    let ahead =
        |purpose: Vec<u8>| ["prefetch", "prerender", "preview"].iter().any(|word| purpose.starts_with(word.as_bytes()));
    !prefetch.any(ahead) && says("sec-fetch-dest").is_none_or(|dest| dest == b"document")
}

impl Visit {
    pub fn in_person(&self) -> bool {
        self.in_person
    }

    /// The browser's random id.
    pub fn device(&self) -> Option<Vec<u8>> {
        self.device.clone()
    }

    /// The code by whose link this browser came, as it is shown, if it can be used now.
    pub async fn offered(&self) -> Result<Option<String>, DbError> {
        let platform = &self.state.platform;
        let Some((key, _)) = self.touches.chosen(platform) else { return Ok(None) };
        let mut conn = platform.db.read().await?;
        let row = store::by_key(&mut conn, key).await?;
        Ok(row.filter(|row| row.is_usable(platform.clock.now())).map(|row| row.code))
    }

    /// The code that a sign-up is by. What was typed wins. `offered` is what the page had filled in: sent back as it
    /// stood, it is the link that counts; and where somebody took it out, nothing does.
    pub fn code(&self, typed: &str, offered: &str) -> (String, Source) {
        let chosen = self.touches.chosen(&self.state.platform);
        let folded = CodeKey::fold(typed);
        match chosen {
            Some((key, source)) if typed.trim().is_empty() && offered.is_empty() => (key.to_string(), source),
            Some((key, source)) if !offered.is_empty() && folded.as_ref() == Some(key) => (typed.to_owned(), source),
            _ => (typed.to_owned(), Source::Code),
        }
    }

    /// Remembers a link that somebody follows.
    pub fn touch(&self, response: &mut Response, code: &CodeKey) {
        let platform = &self.state.platform;
        let Some(window) = attribution::window(platform).filter(|_| self.in_person) else { return };
        if let Some(value) = self.touches.with(platform, code).cookie(platform) {
            self.set(response, "ref", value, Duration::days(window.num_days()));
        }
    }

    /// A link counts for one sign-up.
    pub fn forget_links(&self, response: &mut Response) {
        if !self.touches.is_empty() {
            self.set(response, "ref", String::new(), Duration::ZERO);
        }
    }

    /// Gives the browser its random id, where such are compared.
    pub fn mark_device(&self, response: &mut Response) {
        let platform = &self.state.platform;
        if self.device.is_none() && platform.config.programme.trace_days > 0 {
            let value = URL_SAFE_NO_PAD.encode(platform.random.bytes::<16>());
            self.set(response, "device", value, Duration::days(DEVICE_DAYS));
        }
    }

    fn set(&self, response: &mut Response, what: &str, value: String, life: Duration) {
        let cookie = Cookie::build((cookie_name(&self.state, what), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.state.platform.config.auth.public_url.is_https())
            .max_age(life);
        if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_follows_a_link_is_somebody() {
        for (given, expected) in [
            (&[][..], true),
            (&[("sec-fetch-dest", "document")][..], true),
            (&[("sec-fetch-dest", "image")][..], false),
            (&[("sec-fetch-dest", "iframe")][..], false),
            (&[("sec-fetch-dest", "empty")][..], false),
            (&[("sec-purpose", "prefetch")][..], false),
            (&[("sec-purpose", "prefetch;prerender"), ("sec-fetch-dest", "document")][..], false),
            (&[("purpose", "Prefetch")][..], false),
            (&[("x-moz", "prefetch")][..], false),
            (&[("x-purpose", "preview")][..], false),
        ] {
            let headers =
                given.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
            assert_eq!(is_in_person(&headers), expected, "{given:?}");
        }
    }
}
