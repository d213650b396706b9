//! `/verify-email?token=…`: where mailed links lead. A GET shows what the link is about, a POST uses it: mail scanners
//! follow links, and must not prove anything.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use shared::secret::PlainToken;

use super::error;
use super::layout::Page;
use super::texts::Texts;
use crate::AppState;
use crate::accounts::refusal_message;
use crate::accounts::verification::{ConfirmError, Confirmed, Pending, confirm, disown, look};

/// What the page says.
enum Stage {
    /// «Is this yours?» for the address of an account.
    AskAddress {
        email: String,
    },
    /// «Is this yours?» for a sign-up.
    AskSignUp {
        email: String,
    },
    /// The code of a sign-up no longer serves: go on without it?
    CodeRefused {
        reason: String,
    },
    AddressProved,
    SignedUp,
    Disowned,
    Taken,
    Dead,
}

#[derive(Template)]
#[template(path = "pages/verify_email.html")]
struct VerifyPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    token: &'a str,
    stage: Stage,
}

fn shown(page: &Page, status: StatusCode, token: &str, stage: Stage) -> Response {
    page.render(status, &VerifyPage { page, t: page.t(), csrf: page.csrf_token(None), token, stage })
}

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

pub async fn show(State(state): State<AppState>, page: Page, Query(Link { token }): Query<Link>) -> Response {
    let found = async {
        let mut conn = state.platform.db.read().await?;
        look(&mut conn, &state.platform, &PlainToken::presented(token.clone())).await
    };
    match found.await {
        Ok(Some(Pending::Address { email })) => shown(&page, StatusCode::OK, &token, Stage::AskAddress { email }),
        Ok(Some(Pending::SignUp { email, .. })) => shown(&page, StatusCode::OK, &token, Stage::AskSignUp { email }),
        Ok(None) => shown(&page, StatusCode::GONE, "", Stage::Dead),
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    token: String,
    /// `confirm` (the default), `without_code` or `disown`.
    #[serde(default)]
    decision: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    headers: HeaderMap,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(Answer { csrf, token, decision })) = sent else { return error::malformed(&page) };
    page.at("/verify-email", &[("token", token.as_str())]);
    if let Err(response) = page.check_form(&headers, &csrf, None) {
        return response;
    }
    let secret = PlainToken::presented(token.clone());
    let done = match decision.as_str() {
        "disown" => disown(&state, &secret).await.map(|()| Stage::Disowned),
        "" | "confirm" | "without_code" => {
            confirm(&state, &secret, decision == "without_code").await.map(|confirmed| match confirmed {
                Confirmed::Address { .. } => Stage::AddressProved,
                Confirmed::Account { .. } => Stage::SignedUp,
            })
        }
        _ => return error::malformed(&page),
    };
    match done {
        Ok(stage) => shown(&page, StatusCode::OK, "", stage),
        Err(ConfirmError::CodeRefused(refusal)) => {
            let reason = page.t().get(refusal_message(refusal));
            shown(&page, StatusCode::UNPROCESSABLE_ENTITY, &token, Stage::CodeRefused { reason })
        }
        Err(ConfirmError::Taken) => shown(&page, StatusCode::CONFLICT, "", Stage::Taken),
        Err(ConfirmError::Invalid) => shown(&page, StatusCode::GONE, "", Stage::Dead),
        Err(ConfirmError::Db(error)) => error::database(&page, &error),
    }
}
