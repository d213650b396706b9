//! `/forgot-password`: one field, and one answer for every address.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::email::Email;
use shared::http::ClientIp;

use super::error;
use super::field::Field;
use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::Samples;
use super::sheet::{FormPart, Sheet, after};
use crate::AppState;
use crate::accounts::recovery::{ResetError, ask};

fn sheet(page: &Page, through: &Through, email: String) -> Sheet {
    let t = page.t();
    let mut field = Field::new("email", "email", "username", t.get("field-email")).required().value(email);
    field.focus = true;
    let mut form = FormPart::new("/forgot-password", page.csrf_token(None), t.get("forgot-submit")).field(field);
    if let Some(request) = through.carried() {
        form = form.hidden("request", request);
    }
    Sheet {
        title: t.get("forgot-title"),
        lead: Some(t.get("forgot-text")),
        forms: vec![form],
        links: vec![(t.get("forgot-back"), through.link("/login"))],
        ..Sheet::default()
    }
}

pub async fn show(State(state): State<AppState>, mut page: Page, Query(through): Query<Through>) -> Response {
    match through.load(&state, &mut page).await {
        Ok(pending) => {
            let hint = pending.and_then(|pending| pending.request.login_hint.clone()).unwrap_or_default();
            sheet(&page, &through, hint).show(&page, StatusCode::OK)
        }
        Err(response) => response,
    }
}

#[derive(Deserialize)]
pub struct Forgotten {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    ip: ClientIp,
    sent: Result<Form<Forgotten>, FormRejection>,
) -> Response {
    let Ok(Form(Forgotten { csrf, email, through })) = sent else { return error::malformed(&page) };
    page.at("/forgot-password", &[("request", through.request.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let Ok(address) = Email::parse(&email) else {
        let mut again = sheet(&page, &through, email);
        again.blame("email", page.t().get("fault-email-invalid"));
        return again.show(&page, StatusCode::UNPROCESSABLE_ENTITY);
    };
    match ask(&state, &address, page.lang(), &ip).await {
        // With a GET, so that reloading the page asks for no second mail.
        Ok(id) => {
            let request = through.carried().map(|request| format!("&request={request}")).unwrap_or_default();
            see_other(&format!("/reset-password?asked={id}{request}"))
        }
        Err(ResetError::Limited(limited)) => {
            let mut again = sheet(&page, &through, email);
            again.alert = Some(super::login::wait(page.t(), limited.retry_after));
            after(again.show(&page, StatusCode::TOO_MANY_REQUESTS), limited.retry_after)
        }
        Err(ResetError::Db(error)) => error::database(&page, &error),
        Err(_) => error::malformed(&page),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    Sheet::sample(page, into, "forgot-password", None, || sheet(page, &Through::default(), String::new()));
}
