//! [`Page`]: what each page is made with. Its language, the security headers it is sent with, and the proof that a
//! form was ours (CSRF).

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use url::{Url, form_urlencoded};

use super::assets::{ASSETS, Assets};
use super::look::{Brand, Look};
use super::texts::{Texts, from_accept_language, own_name};
use crate::AppState;
use crate::accounts::known::{Known, LIFE};
use crate::clients::Client;
use crate::locales::Locale;
use crate::protocol::authorization::Pending;
use crate::sessions::remembered::Tokens;
use crate::sessions::{SignedIn, cookie_name};

/// No `form-action`: Chromium applies it to the redirect back to the client too. No COOP: Swagger UI's pop-up would
/// lose the window that waits for it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

const CSRF_PURPOSE: &str = "csrf";

/// The largest query that a language link carries along.
const MAX_HERE: usize = 2000;

/// What a page is made with: an extractor, which never refuses.
#[derive(Clone)]
pub struct Page {
    state: AppState,
    pub locale: Locale,
    /// Did the person choose the language here, now or before?
    chosen: bool,
    /// The language goes into a cookie.
    remember_locale: bool,
    csrf: String,
    csrf_is_new: bool,
    known: Known,
    remembered: Tokens,
    /// The browser did not say that the request comes from elsewhere.
    same_origin: bool,
    /// This page's own address, for links that come back to it.
    here: String,
    /// What the browser says of itself.
    user_agent: Option<String>,
    look: Arc<Look>,
}

impl FromRequestParts<AppState> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::new(parts, state))
    }
}

impl Page {
    fn new(parts: &Parts, state: &AppState) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let named = |wanted: &str| {
            let (_, tags) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted)?;
            tags.split_whitespace().find_map(Locale::from_tag)
        };
        // A click on a link of ours. Where the browser says that somebody else's page sent it here, nobody chose anything.
        let asked = named("lang").filter(|_| !is_from_elsewhere(&parts.headers));
        // A client's wish (OpenID Connect Core §3.1.2.1), which is for this page alone.
        let wished = named("ui_locales");
        let kept = cookie_value(&parts.headers, &cookie_name(state, "lang")).and_then(|tag| Locale::from_tag(&tag));
        let accepted = || {
            let header = parts.headers.get(header::ACCEPT_LANGUAGE)?;
            from_accept_language(header.to_str().ok()?)
        };
        let known = cookie_value(&parts.headers, &cookie_name(state, "csrf")).filter(|value| value.len() == 43);
        let csrf_is_new = known.is_none();
        let accounts = cookie_value(&parts.headers, &cookie_name(state, "known"));
        Self {
            locale: asked.or(kept).or(wished).or_else(accepted).unwrap_or_default(),
            chosen: asked.or(kept).is_some(),
            remember_locale: asked.is_some() && asked != kept,
            csrf: known.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(state.platform.random.bytes::<32>())),
            csrf_is_new,
            known: Known::read(&state.platform, accounts.as_deref()),
            remembered: Tokens::read(cookie_value(&parts.headers, &cookie_name(state, "remembered")).as_deref()),
            same_origin: is_same_origin(&parts.headers, state.platform.config.auth.public_url.as_str()),
            here: here(parts.uri.path(), query),
            user_agent: parts.headers.get(header::USER_AGENT).and_then(|ua| Some(ua.to_str().ok()?.to_owned())),
            look: state.brand.look().clone(),
            state: state.clone(),
        }
    }

    /// One that nobody asked for, to be looked at.
    pub fn sample(state: &AppState, locale: Locale) -> Self {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        parts.uri = axum::http::Uri::from_static("/sample");
        Self { locale, ..Self::new(&parts, state) }
    }

    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// What the browser says of itself; anybody can write it.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The messages in this page's language.
    pub fn t(&self) -> Texts {
        Texts(self.locale)
    }

    /// The language's tag.
    pub fn lang(&self) -> &'static str {
        self.locale.tag()
    }

    /// What the client would like (`ui_locales`, OpenID Connect Core §3.1.2.1); the person's own choice comes first.
    pub fn prefer(&mut self, tags: &[String]) {
        if let Some(locale) = tags.iter().find_map(|tag| Locale::from_tag(tag)).filter(|_| !self.chosen) {
            self.locale = locale;
        }
    }

    /// The page is one of the flow of this request: as its client would like it, in language and looks.
    pub fn suit(&mut self, pending: &Pending) {
        self.prefer(&pending.request.ui_locales);
        self.dress(&pending.client);
    }

    /// The page is one of a client's, which may have colours of its own.
    pub fn dress(&mut self, client: &Client) {
        self.look = self.state.brand.look_for(client);
    }

    /// The operator's.
    pub(super) fn brand(&self) -> &Brand {
        &self.state.brand
    }

    pub(super) fn look(&self) -> &Look {
        &self.look
    }

    /// Says where links come back to, for a page that answers a POST.
    pub fn at(&mut self, path: &str, query: &[(&str, &str)]) {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.here = here(path, &query);
    }

    /// The other languages: tag, name, link.
    pub(super) fn switches(&self) -> Vec<(&'static str, &'static str, String)> {
        let separator = if self.here.contains('?') { '&' } else { '?' };
        Locale::ALL
            .into_iter()
            .filter(|locale| *locale != self.locale)
            .map(|l| (l.tag(), own_name(l), format!("{}{separator}lang={}", self.here, l.tag())))
            .collect()
    }

    pub(super) fn assets(&self) -> &'static Assets {
        &ASSETS
    }

    /// The token for a form's hidden field `csrf`. Forms that act for who is signed in are bound to that session: they
    /// do nothing for somebody who signed in since. The others are bound to the browser alone, so that signing in in
    /// one tab does not spoil the form in another.
    pub fn csrf_token(&self, signed_in: Option<&SignedIn>) -> String {
        URL_SAFE_NO_PAD.encode(self.state.platform.master_key.mac(CSRF_PURPOSE, &self.csrf_message(signed_in)))
    }

    fn csrf_message(&self, signed_in: Option<&SignedIn>) -> Vec<u8> {
        let session = signed_in.map(|s| s.sid.to_string()).unwrap_or_default();
        format!("{}\0{session}", self.csrf).into_bytes()
    }

    /// Was this form on a page of ours, in this browser (and session)? When not, the answer is the page in `Err`.
    #[expect(clippy::result_large_err, reason = "the response is what is answered")]
    pub fn check_form(&self, token: &str, signed_in: Option<&SignedIn>) -> Result<(), Response> {
        let mac = URL_SAFE_NO_PAD.decode(token.get(..64).unwrap_or(token)).unwrap_or_default();
        let key = &self.state.platform.master_key;
        let ours = !self.csrf_is_new && key.verify_mac(CSRF_PURPOSE, &self.csrf_message(signed_in), &mac);
        if ours && self.same_origin { Ok(()) } else { Err(super::error::forged(self)) }
    }

    /// The accounts that signed in in this browser.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// By what this browser is remembered as one that is asked for no second factor.
    pub fn remembered(&self) -> &Tokens {
        &self.remembered
    }

    /// A mark of this browser, for what must come back to it and to no other; none where it has no cookie of ours yet.
    pub fn browser(&self) -> Option<Vec<u8>> {
        let key = &self.state.platform.master_key;
        (!self.csrf_is_new).then(|| key.mac("browser", self.csrf.as_bytes()))
    }

    /// Has the browser remember these accounts from now on.
    pub fn remember(&self, response: &mut Response, known: &Known) {
        let platform = &self.state.platform;
        let (value, life) = if known.is_empty() {
            (String::new(), cookie::time::Duration::ZERO)
        } else {
            (known.cookie(platform), cookie::time::Duration::days(LIFE.num_days()))
        };
        let cookie = Cookie::build((cookie_name(&self.state, "known"), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(platform.config.auth.public_url.is_https())
            .max_age(life);
        if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Sends `template` with the headers that every page has.
    pub fn render(&self, status: StatusCode, template: &impl Template) -> Response {
        let html = match template.render() {
            Ok(html) => html,
            Err(error) => {
                tracing::error!(%error, "a page can't be rendered");
                return shared::problem::Problem::internal().into_response();
            }
        };
        let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_FRAME_OPTIONS, "DENY"),
            // Not `no-referrer`: browsers would then post our forms with `Origin: null`.
            (header::REFERRER_POLICY, "same-origin"),
            (header::CONTENT_LANGUAGE, self.lang()),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.set_cookies(headers);
        response
    }

    /// The same for a page with frames of these origins, and of no others.
    pub fn render_framing(&self, status: StatusCode, template: &impl Template, origins: &[String]) -> Response {
        let mut response = self.render(status, template);
        if !origins.is_empty() {
            set_policy(&mut response, &format!("{CONTENT_SECURITY_POLICY}; frame-src {}", origins.join(" ")));
        }
        response
    }

    fn set_cookies(&self, headers: &mut HeaderMap) {
        let mut set = |what: &str, value: &str, max_age: Option<cookie::time::Duration>| {
            let mut cookie = Cookie::build((cookie_name(&self.state, what), value))
                .path("/")
                .http_only(true)
                .same_site(SameSite::Lax)
                .secure(self.state.platform.config.auth.public_url.is_https());
            if let Some(max_age) = max_age {
                cookie = cookie.max_age(max_age);
            }
            if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
                headers.append(header::SET_COOKIE, value);
            }
        };
        if self.csrf_is_new {
            set("csrf", &self.csrf, None);
        }
        if self.remember_locale {
            set("lang", self.lang(), Some(cookie::time::Duration::days(365)));
        }
    }
}

/// A policy for one page in place of the others'.
pub fn set_policy(response: &mut Response, policy: &str) {
    if let Ok(policy) = HeaderValue::from_str(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Where a form's answer leads, with a GET.
pub fn see_other(location: &str) -> Response {
    crate::protocol::authorization::redirect(location)
}

/// Does the caller want a page, rather than a document for programs?
pub fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"))
}

/// `path` with `query`, without what chose the language.
fn here(path: &str, query: &str) -> String {
    let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "lang");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
    if query.is_empty() || query.len() > MAX_HERE { path.to_owned() } else { format!("{path}?{query}") }
}

pub(super) fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
}

/// Did the browser say that a page of somebody else's led here?
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Did the browser say that this POST comes from elsewhere? Browsers tell by `Sec-Fetch-Site`, older ones by `Origin`;
/// for those that tell nothing, the token decides alone.
fn is_same_origin(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        // Another port of this host is «same-site», and not us.
        return site == "same-origin";
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            Url::parse(public_url).is_ok_and(|url| origin.as_bytes() == url.origin().ascii_serialization().as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_posted_from_elsewhere_is_not_ours() {
        let url = "https://id.example";
        for (given, expected) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")][..], false),
            (&[("sec-fetch-site", "cross-site")][..], false),
            (&[("origin", "https://id.example")][..], true),
            (&[("origin", "https://id.example:8443")][..], false),
            (&[("origin", "null")][..], false),
        ] {
            assert_eq!(is_same_origin(&headers(given), url), expected, "{given:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; referris=2; xreferris=3"), ("cookie", "b=4")]);
        assert_eq!(cookie_value(&headers, "referris").as_deref(), Some("2"));
        assert_eq!(cookie_value(&headers, "b").as_deref(), Some("4"));
        assert_eq!(cookie_value(&headers, "c"), None);
    }

    #[test]
    fn the_language_link_leads_back_here_without_the_old_choice() {
        assert_eq!(here("/login", "request=x&lang=ru"), "/login?request=x");
        assert_eq!(here("/login", "lang=ru"), "/login");
        assert_eq!(here("/signup", "ref=A%26B"), "/signup?ref=A%26B");
    }
}
