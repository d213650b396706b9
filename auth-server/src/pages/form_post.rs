//! The page that carries an authorization response to the client in a POST (Form Post Response Mode 1.0 §2). It sends
//! itself; without JavaScript it has a button.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error;
use super::layout::{Page, set_policy};
use super::samples::Samples;
use super::texts::Texts;
use crate::protocol::authorization::{Delivery, redirect};
use crate::protocol::error::OAuthError;

#[derive(Template)]
#[template(path = "pages/form_post.html")]
struct FormPostPage<'a> {
    page: &'a Page,
    t: Texts,
    nonce: &'a str,
    action: &'a str,
    fields: &'a [(&'static str, String)],
}

/// Sends an answer to the client on its way, or shows the person the error that nobody else can be told.
pub fn deliver(page: &Page, answer: Result<Delivery, OAuthError>) -> Response {
    match answer {
        Ok(Delivery::Redirect(location)) => redirect(&location),
        Ok(Delivery::FormPost { action, fields }) => form_post(page, &action, &fields),
        Err(error) => error::oauth(page, &error),
    }
}

fn form_post(page: &Page, action: &str, fields: &[(&'static str, String)]) -> Response {
    let nonce = URL_SAFE_NO_PAD.encode(page.state().platform.random.bytes::<16>());
    let shown = FormPostPage { page, t: page.t(), nonce: &nonce, action, fields };
    let mut response = page.render(StatusCode::OK, &shown);
    // No `form-action`, as on every page; the one script is ours by its nonce, also where site.js is let in.
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self' 'nonce-{nonce}'; img-src 'self' data:; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    set_policy(&mut response, &policy);
    // The client sees in `Origin` who posts, instead of `null`, and no more than that.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let fields = [("code", "sample".to_owned()), ("state", "sample".to_owned())];
    into.page("form-post", || FormPostPage {
        page,
        t: page.t(),
        nonce: "sample",
        action: "https://app.example/callback",
        fields: &fields,
    });
}
