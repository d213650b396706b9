//! `/account/profile/email`: another address, and what is still missing until it is the account's.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::ids::EmailChangeId;
use tower_sessions::Session;

use super::{Account, Section, refused};
use crate::AppState;
use crate::accounts;
use crate::accounts::email_change::{self, ChangeError, Confirmed, EmailChange};
use crate::accounts::password::{confirm, phc_of};
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::see_other;
use crate::pages::samples::{Samples, moment};
use crate::pages::sheet::{FormPart, Sheet, Step, after, current_password, mailed_code};
use crate::sessions;

const PATH: &str = "/account/profile/email";

async fn read(state: &AppState, account: &Account) -> Result<(Option<EmailChange>, bool), DbError> {
    let mut conn = state.platform.db.read().await?;
    let waiting = email_change::waiting(&mut conn, &state.platform, &account.user).await?;
    drop(conn);
    Ok((waiting, phc_of(&state.platform, account.user.id).await?.is_some()))
}

fn sheet(account: &Account, waiting: Option<&EmailChange>, asked: bool, email: String) -> Sheet {
    let page = &account.page;
    let t = page.t();
    let part = |submit: &str, step: &str| FormPart::new(PATH, account.csrf(), t.get(submit)).hidden("step", step);
    let mut begin = part("email-submit", "begin");
    let field = Field::new("email", "email", "email", t.get("email-new")).required().value(email);
    begin = begin.field(field);
    if asked {
        begin = begin.field(current_password(page));
    }
    let mut sheet = Sheet { title: t.get("email-title"), ..Sheet::default() };
    let Some(change) = waiting else {
        sheet.lead = Some(t.get("email-text"));
        sheet.about = Some(account.user.email.clone());
        sheet.forms.push(begin);
        return sheet;
    };
    let step = |done: bool, about: &str| Step {
        done,
        what: t.get(if done { "email-step-done" } else { "email-step-waits" }),
        about: about.to_owned(),
    };
    sheet.lead = Some(t.get("email-waiting-text"));
    sheet.steps.push(step(change.new_confirmed_at.is_some(), &change.new_email));
    if account.user.email_verified_at.is_some() {
        sheet.steps.push(step(change.old_confirmed_at.is_some(), &account.user.email));
    }
    sheet.forms.push(part("email-code-submit", "code").field(mailed_code(page)));
    sheet.forms.push(part("email-cancel", "cancel").plain());
    let mut begin = begin.plain();
    begin.heading = Some(t.get("email-another"));
    sheet.forms.push(begin);
    sheet
}

pub async fn show(State(state): State<AppState>, account: Account) -> Response {
    if let Err(response) = account.wholly(&state, Section::Profile).await {
        return response;
    }
    match read(&state, &account).await {
        Ok((waiting, asked)) => sheet(&account, waiting.as_ref(), asked, String::new()).show_in(
            &account.page,
            StatusCode::OK,
            Section::Profile,
        ),
        Err(error) => error::database(&account.page, &error),
    }
}

#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    csrf: String,
    /// `begin`, `code` or `cancel`.
    #[serde(default)]
    step: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
}

pub async fn submit(
    State(state): State<AppState>,
    session: Session,
    account: Account,
    sent: Result<Form<Change>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(sent)) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&sent.csrf, Some(&account.signed_in)) {
        return response;
    }
    let (waiting, asked) = match read(&state, &account).await {
        Ok(read) => read,
        Err(error) => return error::database(page, &error),
    };
    match sent.step.as_str() {
        "begin" => {
            let again = sheet(&account, waiting.as_ref(), asked, sent.email.clone());
            begin(&state, &account, again, &sent).await
        }
        "code" => {
            let again = sheet(&account, waiting.as_ref(), asked, String::new());
            type_code(&state, &session, &account, again, &sent.code).await
        }
        "cancel" => match email_change::cancel(&state.platform, account.user.id).await {
            Ok(()) => see_other(PATH),
            Err(error) => error::database(page, &error),
        },
        _ => error::malformed(page),
    }
}

async fn begin(state: &AppState, account: &Account, mut again: Sheet, sent: &Change) -> Response {
    let page = &account.page;
    let t = page.t();
    let fault = match accounts::address(&sent.email) {
        Err(fault) => fault.message().0,
        Ok(new) if new.key == account.user.email_key => "email-same",
        Ok(new) => {
            if let Err(why) = confirm(state, &account.signed_in, &sent.current_password).await {
                return refused(account, again, Section::Profile, why);
            }
            return match email_change::begin(state, &account.user, &new, page.lang()).await {
                Ok(()) => see_other(PATH),
                Err(ChangeError::Limited(limited)) => {
                    again.alert = Some(t.get("verify-limited"));
                    let response = again.show_in(page, StatusCode::TOO_MANY_REQUESTS, Section::Profile);
                    after(response, limited.retry_after)
                }
                Err(ChangeError::Db(error)) => error::database(page, &error),
                Err(_) => error::malformed(page),
            };
        }
    };
    again.blame("email", t.get(fault));
    again.show_in(page, StatusCode::UNPROCESSABLE_ENTITY, Section::Profile)
}

async fn type_code(state: &AppState, session: &Session, account: &Account, mut again: Sheet, code: &str) -> Response {
    let page = &account.page;
    let t = page.t();
    let done = |title: &str, text: &str, status: StatusCode| {
        let links = vec![(t.get("account-nav"), "/account".to_owned())];
        let sheet = Sheet { title: t.get(title), lead: Some(t.get(text)), links, ..Sheet::default() };
        sheet.show_in(page, status, Section::Profile)
    };
    match email_change::confirm_by_code(state, &account.signed_in, code).await {
        Ok(Confirmed::Waiting) => see_other(PATH),
        Ok(Confirmed::Changed) => match sessions::rotate(session, state, &account.signed_in).await {
            Ok(()) => {
                let mut response = done("change-done-title", "change-done-text", StatusCode::OK);
                page.remember(&mut response, &page.known().with(&state.platform, account.user.id));
                response
            }
            Err(error) => error::database(page, &error),
        },
        Err(ChangeError::WrongCode) => {
            again.blame("code", t.get("recovery-code-wrong"));
            again.show_in(page, StatusCode::UNPROCESSABLE_ENTITY, Section::Profile)
        }
        Err(ChangeError::Taken) => done("change-taken-title", "change-taken-text", StatusCode::CONFLICT),
        Err(ChangeError::Db(error)) => error::database(page, &error),
        Err(ChangeError::Invalid | ChangeError::NotTheirs | ChangeError::Limited(_)) => {
            done("change-dead-title", "change-dead-text", StatusCode::GONE)
        }
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let section = Some(Section::Profile);
    Sheet::sample(&account.page, into, "account-email", section, || sheet(account, None, true, String::new()));
    let change = EmailChange {
        id: EmailChangeId(uuid::Uuid::nil()),
        user_id: account.user.id,
        old_email_key: account.user.email_key.clone(),
        new_email: "ann@example.org".into(),
        new_email_key: "ann@example.org".into(),
        old_confirmed_at: None,
        new_confirmed_at: Some(moment()),
        expires_at: moment(),
    };
    Sheet::sample(&account.page, into, "account-email-waiting", section, || {
        sheet(account, Some(&change), true, String::new())
    });
}
