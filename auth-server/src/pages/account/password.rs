//! `/account/security/password`: another password, for who knows the one of now.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Account, Section, refused};
use crate::AppState;
use crate::accounts::password::{change, phc_of};
use crate::pages::error;
use crate::pages::samples::Samples;
use crate::pages::sheet::{FormPart, Sheet, current_password, new_password};
use crate::sessions;

/// `asked`: the account has a password, which is asked for.
fn sheet(account: &Account, asked: bool) -> Sheet {
    let page = &account.page;
    let t = page.t();
    let mut form = FormPart::new("/account/security/password", account.csrf(), t.get("password-submit"));
    form.username = Some(account.user.email.clone());
    if asked {
        form = form.field(current_password(page));
    }
    Sheet {
        title: t.get("password-title"),
        lead: Some(t.get("password-text")),
        forms: vec![form.field(new_password(page, "password-new"))],
        links: vec![(t.get("forgot-link"), "/forgot-password".to_owned())],
        ..Sheet::default()
    }
}

async fn has_password(account: &Account, state: &AppState) -> Result<bool, Response> {
    match phc_of(&state.platform, account.user.id).await {
        Ok(phc) => Ok(phc.is_some()),
        Err(error) => Err(error::database(&account.page, &error)),
    }
}

pub async fn show(State(state): State<AppState>, account: Account) -> Response {
    if let Err(response) = account.wholly(&state, Section::Security).await {
        return response;
    }
    match has_password(&account, &state).await {
        Ok(asked) => sheet(&account, asked).show_in(&account.page, StatusCode::OK, Section::Security),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    password: String,
}

pub async fn submit(
    State(state): State<AppState>,
    session: Session,
    account: Account,
    sent: Result<Form<Change>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(Change { csrf, current_password, password })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    let asked = match has_password(&account, &state).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    if let Err(why) = change(&state, &account.user, &account.signed_in, &current_password, &password).await {
        return refused(&account, sheet(&account, asked), Section::Security, why);
    }
    if let Err(error) = sessions::rotate(&session, &state, &account.signed_in).await {
        return error::database(page, &error);
    }
    let t = page.t();
    let done = Sheet {
        title: t.get("password-done-title"),
        lead: Some(t.get("password-done-text")),
        links: vec![(t.get("account-nav"), "/account".to_owned())],
        ..Sheet::default()
    };
    let mut response = done.show_in(page, StatusCode::OK, Section::Security);
    page.remember(&mut response, &page.known().with(&state.platform, account.user.id));
    response
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    Sheet::sample(&account.page, into, "account-password", Some(Section::Security), || sheet(account, true));
}
