//! `/account/delete`: the end of an account, after some days to think better of it; and `/account/keep`, where signing in
//! leads meanwhile.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Account, Section, refused};
use crate::AppState;
use crate::accounts::deletion::{Planned, keep, plan};
use crate::accounts::password::{confirm, phc_of};
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::see_other;
use crate::pages::logout;
use crate::pages::samples::{Samples, moment};
use crate::pages::sheet::{FormPart, Sheet, current_password};

fn sheet(account: &Account, state: &AppState, asked: bool, confirmation: String) -> Sheet {
    let page = &account.page;
    let t = page.t();
    let days = state.platform.config.accounts.deletion_grace_days;
    let mut field = Field::new("confirmation", "text", "off", t.get("delete-confirmation")).required();
    field = field.value(confirmation).hint(t.with("delete-confirmation-hint", "email", &account.user.email));
    let mut form = FormPart::new("/account/delete", account.csrf(), t.get("delete-submit"));
    form.username = Some(account.user.email.clone());
    if asked {
        form = form.field(current_password(page));
    }
    let grace = if days == 0 { t.get("delete-at-once") } else { t.count("delete-grace", "n", days) };
    Sheet {
        title: t.get("delete-title"),
        lead: Some(t.get("delete-text")),
        words: vec![grace, t.get("delete-referrals")],
        forms: vec![form.field(field)],
        links: vec![(t.get("data-title"), "/account/data".to_owned()), (t.get("delete-back"), "/account".to_owned())],
        ..Sheet::default()
    }
}

async fn asked(state: &AppState, account: &Account) -> Result<bool, Response> {
    match phc_of(&state.platform, account.user.id).await {
        Ok(phc) => Ok(phc.is_some()),
        Err(error) => Err(error::database(&account.page, &error)),
    }
}

pub async fn show(State(state): State<AppState>, account: Account) -> Response {
    if let Err(response) = account.wholly(&state, Section::Profile).await {
        return response;
    }
    match asked(&state, &account).await {
        Ok(asked) => {
            sheet(&account, &state, asked, String::new()).show_in(&account.page, StatusCode::OK, Section::Profile)
        }
        Err(response) => response,
    }
}

#[derive(Deserialize)]
pub struct Deletion {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    confirmation: String,
}

pub async fn submit(
    State(state): State<AppState>,
    account: Account,
    sent: Result<Form<Deletion>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(Deletion { csrf, current_password, confirmation })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    let asked = match asked(&state, &account).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let t = page.t();
    let mut again = sheet(&account, &state, asked, confirmation.clone());
    if confirmation.trim().to_lowercase() != account.user.email.to_lowercase() {
        again.blame("confirmation", t.get("delete-confirmation-wrong"));
        return again.show_in(page, StatusCode::UNPROCESSABLE_ENTITY, Section::Profile);
    }
    if let Err(why) = confirm(&state, &account.signed_in, &current_password).await {
        return refused(&account, again, Section::Profile, why);
    }
    let planned = match plan(&state, &account.user).await {
        Ok(planned) => planned,
        Err(error) => return error::database(page, &error),
    };
    let (title, lead) = match planned {
        Planned::For(at) => ("delete-planned-title", t.with("delete-planned-text", "day", t.day(at))),
        Planned::Deleted => ("delete-done-title", t.get("delete-done-text")),
    };
    let links = vec![(t.get("error-home"), "/".to_owned())];
    let done = Sheet { title: t.get(title), lead: Some(lead), links, ..Sheet::default() };
    // The session's row is gone, and it is on the list of revocations: what is left is the cookie.
    logout::without_cookie(&state, done.show(page, StatusCode::OK))
}

/// Where it goes on after keeping: to a path of ours that the sign-in was for.
pub fn local(onward: &str) -> &str {
    let ours = onward.starts_with('/')
        && !onward.starts_with("//")
        && onward.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if ours { onward } else { "/account" }
}

#[derive(Deserialize)]
pub struct Onward {
    #[serde(default)]
    onward: String,
}

pub async fn ask_to_keep(account: Account, Query(Onward { onward }): Query<Onward>) -> Response {
    let Some(at) = account.user.deletion_at else { return see_other(local(&onward)) };
    let page = &account.page;
    keep_sheet(&account, at, local(&onward)).show(page, StatusCode::OK)
}

fn keep_sheet(account: &Account, at: DateTime<Utc>, onward: &str) -> Sheet {
    let t = account.page.t();
    Sheet {
        title: t.get("keep-title"),
        lead: Some(t.with("keep-text", "day", t.day(at))),
        forms: vec![
            FormPart::new("/account/keep", account.csrf(), t.get("keep-submit")).hidden("onward", onward),
            FormPart::new("/logout", account.csrf(), t.get("logout-submit")).plain(),
        ],
        ..Sheet::default()
    }
}

#[derive(Deserialize)]
pub struct Keep {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    onward: Onward,
}

pub async fn submit_keep(
    State(state): State<AppState>,
    account: Account,
    sent: Result<Form<Keep>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(Keep { csrf, onward: Onward { onward } })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    match keep(&state, account.user.id).await {
        Ok(_) => see_other(local(&onward)),
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let page = &account.page;
    Sheet::sample(page, into, "account-delete", Some(Section::Profile), || {
        sheet(account, page.state(), true, String::new())
    });
    Sheet::sample(page, into, "account-keep", None, || keep_sheet(account, moment(), "/account"));
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn keeping_leads_to_paths_of_ours_only() {
        assert_eq!(local("/oauth/authorize/continue?request=x"), "/oauth/authorize/continue?request=x");
        for elsewhere in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "javascript:x"] {
            assert_eq!(local(elsewhere), "/account", "{elsewhere:?}");
        }
    }
}
