//! `/account/data`: everything that is held about a person, to take along.

use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::audit;
use shared::db::DbError;

use super::{Account, Section, refused};
use crate::AppState;
use crate::accounts::export::export;
use crate::accounts::password::{confirm, phc_of};
use crate::pages::error;
use crate::pages::samples::Samples;
use crate::pages::sheet::{FormPart, Sheet, after, current_password};

const HOUR: Duration = Duration::from_secs(3600);

/// Nobody takes everything along more often.
const EXPORTS_AN_HOUR: u64 = 5;

fn sheet(account: &Account, asked: bool) -> Sheet {
    let page = &account.page;
    let t = page.t();
    let mut form = FormPart::new("/account/data", account.csrf(), t.get("data-submit"));
    form.username = Some(account.user.email.clone());
    if asked {
        form = form.field(current_password(page));
    }
    Sheet {
        title: t.get("data-title"),
        lead: Some(t.get("data-text")),
        forms: vec![form],
        hint: Some(t.get("data-hint")),
        links: vec![(t.get("delete-back"), "/account".to_owned())],
        ..Sheet::default()
    }
}

pub async fn show(State(state): State<AppState>, account: Account) -> Response {
    if let Err(response) = account.wholly(&state, Section::Profile).await {
        return response;
    }
    match phc_of(&state.platform, account.user.id).await {
        Ok(phc) => sheet(&account, phc.is_some()).show_in(&account.page, StatusCode::OK, Section::Profile),
        Err(error) => error::database(&account.page, &error),
    }
}

#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    current_password: String,
}

pub async fn submit(
    State(state): State<AppState>,
    account: Account,
    sent: Result<Form<Wish>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(Wish { csrf, current_password })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    let platform = &state.platform;
    let asked = match phc_of(platform, account.user.id).await {
        Ok(phc) => phc.is_some(),
        Err(error) => return error::database(page, &error),
    };
    if let Err(why) = confirm(&state, &account.signed_in, &current_password).await {
        return refused(&account, sheet(&account, asked), Section::Profile, why);
    }
    let who = account.user.id.0;
    if let Err(limited) = platform.limits.check("export", who.as_bytes(), EXPORTS_AN_HOUR, HOUR).await {
        let mut again = sheet(&account, asked);
        again.alert = Some(page.t().get("verify-limited"));
        let response = again.show_in(page, StatusCode::TOO_MANY_REQUESTS, Section::Profile);
        return after(response, limited.retry_after);
    }
    match document(&state, &account).await {
        Ok(document) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"account.json\""),
                (header::CACHE_CONTROL, "no-store"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (StatusCode::OK, headers, document).into_response()
        }
        Err(error) => error::database(page, &error),
    }
}

async fn document(state: &AppState, account: &Account) -> Result<String, DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    audit::record(&mut tx, platform, "data.exported", Some(account.user.id), None, serde_json::json!({})).await?;
    tx.commit().await?;
    export(&mut platform.db.read().await?, platform, &account.user).await
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    Sheet::sample(&account.page, into, "account-data", Some(Section::Profile), || sheet(account, true));
}
