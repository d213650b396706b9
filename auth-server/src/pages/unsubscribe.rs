//! `/unsubscribe?token=…`: «never send me invitations again». A GET asks, a POST objects; mail programs post by
//! themselves (RFC 8058), so the link's own token is all that is needed.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::error;
use super::layout::Page;
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::outside::unsubscribe::{object, verify};

#[derive(Template)]
#[template(path = "pages/unsubscribe.html")]
struct UnsubscribePage<'a> {
    page: &'a Page,
    t: Texts,
    token: &'a str,
    valid: bool,
    done: bool,
}

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

pub async fn show(State(state): State<AppState>, page: Page, Query(Link { token }): Query<Link>) -> Response {
    let valid = verify(&state.platform, &token).is_some();
    let status = if valid { StatusCode::OK } else { StatusCode::NOT_FOUND };
    page.render(status, &UnsubscribePage { page: &page, t: page.t(), token: &token, valid, done: false })
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    Query(link): Query<Link>,
    sent: Result<Form<Link>, FormRejection>,
) -> Response {
    // Our form sends the token in its body, a mail program posts to the link itself.
    let sent = sent.map(|Form(Link { token })| token).unwrap_or_default();
    let token = if sent.is_empty() { link.token } else { sent };
    page.at("/unsubscribe", &[("token", token.as_str())]);
    let Some(hash) = verify(&state.platform, &token) else {
        let shown = UnsubscribePage { page: &page, t: page.t(), token: "", valid: false, done: false };
        return page.render(StatusCode::NOT_FOUND, &shown);
    };
    let objected = async {
        let mut tx = state.platform.db.begin().await?;
        object(&mut tx, &state.platform, &hash).await?;
        tx.commit().await
    };
    match objected.await {
        Ok(()) => {
            let shown = UnsubscribePage { page: &page, t: page.t(), token: "", valid: true, done: true };
            page.render(StatusCode::OK, &shown)
        }
        Err(error) => error::database(&page, &error),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    for (name, valid, done) in
        [("unsubscribe", true, false), ("unsubscribe-done", true, true), ("unsubscribe-dead", false, false)]
    {
        into.page(name, || UnsubscribePage { page, t: page.t(), token: "sample", valid, done });
    }
}
