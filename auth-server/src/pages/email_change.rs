//! `/email-change?token=…`: where the two mails about another address lead. A GET only asks.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::outbox::Side;
use shared::secret::PlainToken;
use tower_sessions::Session;

use super::error;
use super::layout::Page;
use super::samples::Samples;
use super::sheet::{FormPart, Sheet};
use crate::AppState;
use crate::accounts::email_change::{ChangeError, Confirmed, confirm_by_link, look, stop};
use crate::sessions::{self, SignedIn};

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

fn told(page: &Page, status: StatusCode, title: &str, text: &str) -> Response {
    told_sheet(page, title, text).show(page, status)
}

fn told_sheet(page: &Page, title: &str, text: &str) -> Sheet {
    let t = page.t();
    let links = vec![(t.get("account-nav"), "/account".to_owned())];
    Sheet { title: t.get(title), lead: Some(t.get(text)), links, ..Sheet::default() }
}

fn dead(page: &Page) -> Response {
    told(page, StatusCode::GONE, "change-dead-title", "change-dead-text")
}

async fn ask(page: &Page, status: StatusCode, token: &str, signed_in: Option<&SignedIn>) -> Response {
    let platform = &page.state().platform;
    let found = async {
        let mut conn = platform.db.read().await?;
        look(&mut conn, platform, &PlainToken::presented(token)).await
    };
    let (change, side) = match found.await {
        Ok(Some(found)) => found,
        Ok(None) => return dead(page),
        Err(error) => return error::database(page, &error),
    };
    let theirs = signed_in.is_some_and(|s| s.user_id == change.user_id);
    question(page, token, change.new_email, side, theirs).show(page, status)
}

fn question(page: &Page, token: &str, new_email: String, side: Side, theirs: bool) -> Sheet {
    let t = page.t();
    let mut sheet = Sheet { title: t.get("change-title"), about: Some(new_email), ..Sheet::default() };
    let lead = match side {
        Side::Old => "change-old-text",
        Side::New => "change-new-text",
    };
    sheet.lead = Some(t.get(lead));
    let form = |submit: &str, decision: &str| {
        FormPart::new("/email-change", page.csrf_token(None), t.get(submit))
            .hidden("token", token)
            .hidden("decision", decision)
    };
    if theirs {
        sheet.forms.push(form("change-confirm", "confirm"));
    } else {
        sheet.words.push(t.get("change-sign-in"));
        sheet.links.push((t.get("login-submit"), "/login?request=account-overview".to_owned()));
    }
    sheet.forms.push(form("change-stop", "stop").plain());
    sheet.hint = Some(t.get("change-stop-hint"));
    sheet
}

pub async fn show(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    Query(Link { token }): Query<Link>,
) -> Response {
    match sessions::current(&session, &state).await {
        Ok(signed_in) => ask(&page, StatusCode::OK, &token, signed_in.as_ref()).await,
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    token: String,
    /// `confirm` or `stop`.
    #[serde(default)]
    decision: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(Answer { csrf, token, decision })) = sent else { return error::malformed(&page) };
    page.at("/email-change", &[("token", token.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let signed_in = match sessions::current(&session, &state).await {
        Ok(signed_in) => signed_in,
        Err(error) => return error::database(&page, &error),
    };
    let secret = PlainToken::presented(token.clone());
    let done = match decision.as_str() {
        "confirm" => confirm_by_link(&state, &secret, signed_in.as_ref()).await.map(Some),
        "stop" => stop(&state, &secret).await.map(|()| None),
        _ => return error::malformed(&page),
    };
    match done {
        Ok(None) => told(&page, StatusCode::OK, "change-stopped-title", "change-stopped-text"),
        Ok(Some(Confirmed::Waiting)) => told(&page, StatusCode::OK, "change-waiting-title", "change-waiting-text"),
        Ok(Some(Confirmed::Changed)) => {
            if let Some(signed_in) = &signed_in
                && let Err(error) = sessions::rotate(&session, &state, signed_in).await
            {
                return error::database(&page, &error);
            }
            let mut response = told(&page, StatusCode::OK, "change-done-title", "change-done-text");
            if let Some(signed_in) = &signed_in {
                // All others know the account no more; this one showed whose it is.
                page.remember(&mut response, &page.known().with(&state.platform, signed_in.user_id));
            }
            response
        }
        Err(ChangeError::NotTheirs) => ask(&page, StatusCode::FORBIDDEN, &token, signed_in.as_ref()).await,
        Err(ChangeError::Taken) => told(&page, StatusCode::CONFLICT, "change-taken-title", "change-taken-text"),
        Err(ChangeError::Db(error)) => error::database(&page, &error),
        Err(ChangeError::Invalid | ChangeError::WrongCode | ChangeError::Limited(_)) => dead(&page),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    for (name, side, theirs) in [("email-change-old", Side::Old, true), ("email-change-new", Side::New, false)] {
        Sheet::sample(page, into, name, None, || question(page, "sample", "ann@example.org".into(), side, theirs));
    }
    Sheet::sample(page, into, "email-change-dead", None, || told_sheet(page, "change-dead-title", "change-dead-text"));
}
