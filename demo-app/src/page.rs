//! What all pages share: headers, the refusal of foreign posts, the stylesheet, and the page for what went wrong.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tracing::error;
use url::Url;

use crate::Kopi;

/// No scripts, nothing from elsewhere, in nobody's frame. The sign-in is a link, so `form-action` need not name the
/// authorization server.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// A page that says what went wrong and what to do.
#[derive(Template, WebTemplate)]
#[template(path = "demo/failure.html")]
struct FailurePage {
    title: &'static str,
    sentence: String,
    sign_in: bool,
}

/// What went wrong, to the person.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    title: &'static str,
    sentence: String,
    /// Is another sign-in the way out?
    sign_in: bool,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, title: &'static str, sentence: impl Into<String>) -> Self {
        Self { status, title, sentence: sentence.into(), sign_in: false }
    }

    /// With a link to sign in again.
    pub(crate) fn with_sign_in(mut self) -> Self {
        self.sign_in = true;
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, title, sentence, sign_in } = self;
        (status, FailurePage { title, sentence, sign_in }).into_response()
    }
}

impl From<tower_sessions::session::Error> for Failure {
    fn from(error: tower_sessions::session::Error) -> Self {
        error!(%error, "the session can't be used");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "We spilled something", "That was us, not you. Please try again.")
    }
}

pub(crate) async fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page", "The counter is this way.")
}

pub(crate) async fn stylesheet() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=300")];
    (headers, include_str!("../../templates/demo/kopi.css"))
}

/// Every answer's headers. Pages hold personal data, so nothing keeps them; the stylesheet says otherwise itself.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Sends who came by another name of this machine (`localhost`) to the address the sign-in leads back to, where the
/// cookie will be; and refuses posts that did not come from a page of ours (CSRF). Browsers say where a post comes
/// from, and a page can't forge it.
pub(crate) async fn own_pages_only(State(kopi): State<Kopi>, request: Request, next: Next) -> Response {
    let Ok(own) = Url::parse(kopi.public_url.as_str()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_none_or(|host| !is_host_of(host, &own)) {
        return Redirect::to(&kopi.public_url.join("/")).into_response();
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !safe && !comes_from(request.headers(), &own) {
        return Failure::new(
            StatusCode::FORBIDDEN,
            "That did not come from here",
            "Another site tried to do something in your name. Nothing was done.",
        )
        .into_response();
    }
    next.run(request).await
}

fn is_host_of(host: &str, own: &Url) -> bool {
    let Ok(authority) = host.parse::<uri::Authority>() else { return false };
    let default = if own.scheme() == "https" { 443 } else { 80 };
    own.host_str().is_some_and(|name| name.eq_ignore_ascii_case(authority.host()))
        && own.port_or_known_default() == Some(authority.port_u16().unwrap_or(default))
}

fn comes_from(headers: &HeaderMap, own: &Url) -> bool {
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    match header(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == b"same-origin",
        // Browsers send Fetch Metadata to trustworthy addresses only; the Origin always goes with a post.
        None => header(header::ORIGIN) == Some(own.origin().ascii_serialization().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_post() {
        let own = Url::parse("http://127.0.0.1:8082").unwrap();
        let from = |name: &'static str, value: &str| {
            comes_from(&HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]), &own)
        };
        assert!(from("sec-fetch-site", "same-origin"));
        assert!(!from("sec-fetch-site", "same-site"), "another port of this machine");
        assert!(!from("sec-fetch-site", "cross-site"));
        assert!(from("origin", "http://127.0.0.1:8082"));
        assert!(!from("origin", "http://127.0.0.1:8080"));
        assert!(!from("origin", "null"));
        assert!(!comes_from(&HeaderMap::new(), &own));
    }

    #[test]
    fn other_names_of_this_machine_are_other_hosts() {
        let own = Url::parse("http://127.0.0.1:8082").unwrap();
        assert!(is_host_of("127.0.0.1:8082", &own));
        assert!(!is_host_of("localhost:8082", &own));
        assert!(!is_host_of("127.0.0.1", &own));
        assert!(is_host_of("KOPI.example", &Url::parse("https://kopi.example").unwrap()));
    }
}
