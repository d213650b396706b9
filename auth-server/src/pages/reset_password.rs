//! `/reset-password?token=…`, where the mailed link leads, and `/reset-password?asked=…`, where the mailed code is typed.
//! A GET uses up nothing: mail scanners follow links.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::RecoveryId;
use shared::secret::PlainToken;

use super::error;
use super::layout::Page;
use super::login::{self, Through};
use super::samples::Samples;
use super::sheet::{FormPart, Sheet, after, mailed_code, new_password};
use crate::AppState;
use crate::accounts::recovery::{Proof, ResetError, look, reset};

#[derive(Deserialize)]
pub struct Arrival {
    #[serde(default)]
    token: String,
    /// The name of the request, in the browser that made it.
    #[serde(default)]
    asked: String,
    #[serde(flatten)]
    through: Through,
}

fn dead(page: &Page, through: &Through) -> Response {
    dead_sheet(page, through).show(page, StatusCode::GONE)
}

fn dead_sheet(page: &Page, through: &Through) -> Sheet {
    let t = page.t();
    Sheet {
        title: t.get("reset-dead-title"),
        lead: Some(t.get("reset-dead-text")),
        links: vec![
            (t.get("reset-again"), through.link("/forgot-password")),
            (t.get("forgot-back"), through.link("/login")),
        ],
        ..Sheet::default()
    }
}

fn by_code(page: &Page, through: &Through, id: RecoveryId, code: String) -> Sheet {
    let t = page.t();
    let mut code = mailed_code(page).value(code);
    code.focus = true;
    let mut form = FormPart::new("/reset-password", page.csrf_token(None), t.get("reset-submit"))
        .hidden("asked", id.to_string())
        .field(code)
        .field(new_password(page, "password-new"));
    if let Some(request) = through.carried() {
        form = form.hidden("request", request);
    }
    Sheet {
        title: t.get("reset-sent-title"),
        lead: Some(t.get("reset-sent-text")),
        forms: vec![form],
        hint: Some(t.get("reset-sent-hint")),
        links: vec![
            (t.get("reset-again"), through.link("/forgot-password")),
            (t.get("forgot-back"), through.link("/login")),
        ],
        ..Sheet::default()
    }
}

fn by_link(page: &Page, token: &str, email: String) -> Sheet {
    let t = page.t();
    let mut password = new_password(page, "password-new");
    password.focus = true;
    let mut form = FormPart::new("/reset-password", page.csrf_token(None), t.get("reset-submit"))
        .hidden("token", token)
        .field(password);
    form.username = Some(email.clone());
    Sheet {
        title: t.get("reset-title"),
        lead: Some(t.get("reset-text")),
        about: Some(email),
        forms: vec![form],
        hint: Some(t.get("reset-hint")),
        ..Sheet::default()
    }
}

/// The question once more, with what went wrong.
async fn asked(page: &Page, token: &str, asked: &str, code: String, through: &Through) -> Result<Sheet, Response> {
    if token.is_empty() {
        return asked.parse().map(|id| by_code(page, through, id, code)).map_err(|_| dead(page, through));
    }
    let platform = &page.state().platform;
    let found = async {
        let mut conn = platform.db.read().await?;
        look(&mut conn, platform, &PlainToken::presented(token)).await
    };
    match found.await {
        Ok(Some(user)) => Ok(by_link(page, token, user.email)),
        Ok(None) => Err(dead(page, through)),
        Err(error) => Err(error::database(page, &error)),
    }
}

pub async fn show(State(state): State<AppState>, mut page: Page, Query(arrival): Query<Arrival>) -> Response {
    if let Err(response) = arrival.through.load(&state, &mut page).await {
        return response;
    }
    match asked(&page, &arrival.token, &arrival.asked, String::new(), &arrival.through).await {
        Ok(sheet) => sheet.show(&page, StatusCode::OK),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
pub struct NewPassword {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    asked: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    ip: ClientIp,
    sent: Result<Form<NewPassword>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else { return error::malformed(&page) };
    let NewPassword { csrf, token, asked: id, code, password, through } = sent;
    page.at("/reset-password", &[(if token.is_empty() { ("asked", id.as_str()) } else { ("token", token.as_str()) })]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let proof = match id.parse() {
        _ if !token.is_empty() => Proof::Link(PlainToken::presented(token.clone())),
        Ok(id) => Proof::Code { id, code: code.clone() },
        Err(_) => return dead(&page, &through),
    };
    let why = match reset(&state, &proof, &password, &ip).await {
        Ok(user) => return login::after_reset(&state, page, &through, user.email).await,
        Err(ResetError::Invalid) => return dead(&page, &through),
        Err(ResetError::Db(error)) => return error::database(&page, &error),
        Err(why) => why,
    };
    let mut sheet = match asked(&page, &token, &id, code, &through).await {
        Ok(sheet) => sheet,
        Err(response) => return response,
    };
    let t = page.t();
    match why {
        ResetError::WrongCode => {
            sheet.blame("code", t.get("recovery-code-wrong"));
            sheet.show(&page, StatusCode::UNPROCESSABLE_ENTITY)
        }
        ResetError::Password(fault) => {
            sheet.blame("password", t.fault(fault));
            sheet.show(&page, StatusCode::UNPROCESSABLE_ENTITY)
        }
        ResetError::Limited(limited) => {
            sheet.alert = Some(super::login::wait(t, limited.retry_after));
            after(sheet.show(&page, StatusCode::TOO_MANY_REQUESTS), limited.retry_after)
        }
        ResetError::Busy(wait) => {
            sheet.alert = Some(t.get("login-busy"));
            after(sheet.show(&page, StatusCode::SERVICE_UNAVAILABLE), wait)
        }
        ResetError::Invalid | ResetError::Db(_) => dead(&page, &through),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let through = Through::default();
    let id = RecoveryId(uuid::Uuid::nil());
    Sheet::sample(page, into, "reset-password-by-code", None, || by_code(page, &through, id, String::new()));
    Sheet::sample(page, into, "reset-password", None, || by_link(page, "sample", "ann@example.com".into()));
    Sheet::sample(page, into, "reset-password-dead", None, || dead_sheet(page, &through));
}
