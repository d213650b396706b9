//! `/`: the account of who is signed in; for everybody else, the way in.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::sessions;

#[derive(Template)]
#[template(path = "pages/welcome.html")]
struct WelcomePage<'a> {
    page: &'a Page,
    t: Texts,
}

pub async fn show(State(state): State<AppState>, page: Page, session: Session) -> Response {
    match sessions::current(&session, &state).await {
        Ok(Some(_)) => see_other("/account"),
        Ok(None) => page.render(StatusCode::OK, &WelcomePage { page: &page, t: page.t() }),
        Err(error) => error::database(&page, &error),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    into.page("welcome", || WelcomePage { page, t: page.t() });
}
