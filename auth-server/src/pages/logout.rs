//! `/logout`: a GET asks, a POST signs out.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::texts::Texts;
use crate::AppState;
use crate::sessions;

#[derive(Template)]
#[template(path = "pages/logout.html")]
struct LogoutPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
}

pub async fn show(State(state): State<AppState>, page: Page, session: Session) -> Response {
    match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => {
            let csrf = page.csrf_token(Some(&signed_in));
            page.render(StatusCode::OK, &LogoutPage { page: &page, t: page.t(), csrf })
        }
        Ok(None) => see_other("/"),
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Leave {
    #[serde(default)]
    csrf: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    headers: HeaderMap,
    sent: Result<Form<Leave>, FormRejection>,
) -> Response {
    let Ok(Form(Leave { csrf })) = sent else { return error::malformed(&page) };
    page.at("/logout", &[]);
    let signed_in = match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => signed_in,
        // Signed out already, in another tab perhaps.
        Ok(None) => return see_other("/"),
        Err(error) => return error::database(&page, &error),
    };
    if let Err(response) = page.check_form(&headers, &csrf, Some(&signed_in)) {
        return response;
    }
    if let Err(error) = sessions::sign_out(&session, &state).await {
        return error::database(&page, &error);
    }
    let mut response = see_other("/");
    if let Ok(removal) = HeaderValue::from_str(&sessions::removal_cookie(&state)) {
        response.headers_mut().append(header::SET_COOKIE, removal);
    }
    response
}
