//! What a browser is shown when something is wrong. Programs get problem documents instead.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::db::DbError;
use shared::problem::{Problem, retry_after_header};
use std::time::Duration;

use super::layout::{Page, wants_html};
use super::place::place;
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::protocol::authorization::{Delivery, Pending};
use crate::protocol::error::{Code, OAuthError};

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    page: &'a Page,
    t: Texts,
    title: String,
    text: String,
    /// For whoever built the app, in English.
    detail: Option<&'a str>,
    /// Where to go on, and the words for it.
    onward: Option<(Delivery, String)>,
    request_id: Option<String>,
}

impl<'a> ErrorPage<'a> {
    fn new(page: &'a Page, title: &str, text: &str) -> Self {
        let t = page.t();
        let request_id = shared::http::current_request_id();
        Self { page, t, title: t.get(title), text: t.get(text), detail: None, onward: None, request_id }
    }

    fn send(self, status: StatusCode) -> Response {
        self.page.render(status, &self)
    }
}

/// An authorization request that can't be answered at its client: wrong client, wrong redirect URI, a limit, a store.
pub fn oauth(page: &Page, error: &OAuthError) -> Response {
    let plain = error.clone().into_response();
    let (title, text) = match error.code {
        Code::ServerError => ("error-internal-title", "error-internal-text"),
        Code::TemporarilyUnavailable if plain.status() == StatusCode::TOO_MANY_REQUESTS => {
            ("error-limited-title", "error-limited-text")
        }
        Code::TemporarilyUnavailable => ("error-unavailable-title", "error-unavailable-text"),
        _ => ("error-oauth-title", "error-oauth-text"),
    };
    let mut shown = ErrorPage::new(page, title, text);
    if title == "error-oauth-title" {
        shown.detail = Some(&error.description);
    }
    let mut response = shown.send(plain.status());
    if let Some(after) = plain.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, after.clone());
    }
    response
}

/// An authorization request that is too old, or was decided in another tab: back to the client, which can start anew.
pub fn expired(page: &Page, state: &AppState, pending: &Pending) -> Response {
    let mut page = page.clone();
    page.suit(pending);
    let mut shown = ErrorPage::new(&page, "error-expired-title", "error-expired-text");
    let words = page.t().with("error-expired-back", "client", &pending.client.name);
    match pending.expired(state) {
        Ok(back) => shown.onward = Some((back, words)),
        Err(error) => return oauth(&page, &error),
    }
    shown.send(StatusCode::GONE)
}

/// What is wrong with a request of a client that nobody here vouches for. The way back to it is a button that says where
/// it leads: the person decides whether to go there.
pub fn of_stranger(page: &Page, error: &OAuthError, back: Result<Delivery, OAuthError>) -> Response {
    let mut shown = ErrorPage::new(page, "error-oauth-title", "error-stranger-text");
    shown.detail = Some(&error.description);
    match back {
        Ok(back) => {
            let (Delivery::Redirect(url) | Delivery::FormPost { action: url, .. }) = &back;
            let words = page.t().with("onward-to", "place", place(page.t(), url));
            shown.onward = Some((back, words));
        }
        Err(error) => return oauth(page, &error),
    }
    shown.send(StatusCode::BAD_REQUEST)
}

fn home() -> Delivery {
    Delivery::Redirect("/".into())
}

/// The form did not come from a page of ours, or that page is too old.
pub fn forged(page: &Page) -> Response {
    let mut shown = ErrorPage::new(page, "error-forged-title", "error-forged-text");
    shown.onward = Some((home(), page.t().get("error-home")));
    shown.send(StatusCode::FORBIDDEN)
}

/// The request can't be read.
pub fn malformed(page: &Page) -> Response {
    let mut shown = ErrorPage::new(page, "error-malformed-title", "error-malformed-text");
    shown.onward = Some((home(), page.t().get("error-home")));
    shown.send(StatusCode::BAD_REQUEST)
}

/// What the person means is not there, or not theirs.
pub fn absent(page: &Page) -> Response {
    let mut shown = ErrorPage::new(page, "error-not-found-title", "error-not-found-text");
    shown.onward = Some((home(), page.t().get("error-home")));
    shown.send(StatusCode::NOT_FOUND)
}

/// The database does not answer, or refused.
pub fn database(page: &Page, error: &DbError) -> Response {
    if error.is_unavailable() {
        tracing::warn!(%error, "the database is out of reach");
        unavailable(page, Duration::from_secs(2))
    } else {
        tracing::error!(%error, "the database refused");
        ErrorPage::new(page, "error-internal-title", "error-internal-text").send(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Come again later.
pub fn unavailable(page: &Page, retry_after: Duration) -> Response {
    let mut response =
        ErrorPage::new(page, "error-unavailable-title", "error-unavailable-text").send(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(retry_after));
    response
}

/// The router's fallback.
pub async fn not_found(page: Page, headers: HeaderMap) -> Response {
    if !wants_html(&headers) {
        return Problem::not_found().into_response();
    }
    absent(&page)
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    for name in ["oauth", "internal", "limited", "unavailable", "forged", "malformed", "not-found"] {
        into.page(&format!("error-{name}"), || {
            let mut shown = ErrorPage::new(page, &format!("error-{name}-title"), &format!("error-{name}-text"));
            shown.detail = (name == "oauth").then_some("redirect_uri is not registered for this client");
            shown.onward = (name == "not-found").then(|| (home(), page.t().get("error-home")));
            shown.request_id = Some("0190b3a0-0000-7000-8000-000000000000".into());
            shown
        });
    }
    into.page("error-expired", || {
        let mut shown = ErrorPage::new(page, "error-expired-title", "error-expired-text");
        let words = page.t().with("error-expired-back", "client", "Bookshelf");
        shown.onward = Some((Delivery::Redirect("https://app.example/callback?error=access_denied".into()), words));
        shown
    });
    into.page("error-expired-post", || {
        let mut shown = ErrorPage::new(page, "error-expired-title", "error-expired-text");
        let words = page.t().with("error-expired-back", "client", "Bookshelf");
        let fields = vec![("error", "access_denied".to_owned())];
        shown.onward = Some((Delivery::FormPost { action: "https://app.example/callback".into(), fields }, words));
        shown
    });
}
