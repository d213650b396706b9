//! `/verify-email?token=…`: where mailed links lead. A GET shows what the link is about, a POST uses it: mail scanners
//! follow links, and must not prove anything.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::problem::retry_after_header;
use shared::secret::PlainToken;
use tower_sessions::Session;

use super::error;
use super::field::Field;
use super::layout::Page;
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::accounts::refusal_message;
use crate::accounts::verification::{Asker, ConfirmError, Confirmed, Pending, confirm, disown, look};
use crate::sessions;

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
    /// What went wrong with the last attempt.
    alert: Option<String>,
    /// Absent where the browser is signed in to the account, and where nothing is asked.
    password: Option<Field>,
}

impl<'a> VerifyPage<'a> {
    fn new(page: &'a Page, token: &'a str, stage: Stage) -> Self {
        Self { page, t: page.t(), csrf: page.csrf_token(None), token, stage, alert: None, password: None }
    }

    fn asking_password(mut self) -> Self {
        let mut field = Field::new("password", "password", "current-password", self.t.get("field-password")).required();
        field = field.hint(self.t.get("verify-password-hint"));
        field.max_length = crate::passwords::MAX_BYTES;
        self.password = Some(field);
        self
    }
}

fn shown(page: &Page, status: StatusCode, token: &str, stage: Stage) -> Response {
    page.render(status, &VerifyPage::new(page, token, stage))
}

/// The question that a link asks, to who is signed in here; `alert` tells why it is asked again.
async fn ask(
    page: &Page,
    status: StatusCode,
    token: &str,
    signed_in: Option<UserId>,
    alert: Option<String>,
) -> Response {
    let platform = &page.state().platform;
    let found = async {
        let mut conn = platform.db.read().await?;
        look(&mut conn, platform, &PlainToken::presented(token.to_owned())).await
    };
    let (stage, known) = match found.await {
        Ok(Some(Pending::Address { user_id, email })) => (Stage::AskAddress { email }, signed_in == Some(user_id)),
        Ok(Some(Pending::SignUp { email, .. })) => (Stage::AskSignUp { email }, false),
        Ok(None) => return shown(page, StatusCode::GONE, "", Stage::Dead),
        Err(error) => return error::database(page, &error),
    };
    let mut asked = VerifyPage::new(page, token, stage);
    if !known {
        asked = asked.asking_password();
    }
    asked.alert = alert;
    page.render(status, &asked)
}

/// Whose browser this is, if anyone's.
async fn signed_in(page: &Page, session: &Session) -> Result<Option<UserId>, Box<Response>> {
    match sessions::current(session, page.state()).await {
        Ok(signed_in) => Ok(signed_in.map(|signed_in| signed_in.user_id)),
        Err(error) => Err(Box::new(error::database(page, &error))),
    }
}

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

pub async fn show(page: Page, session: Session, Query(Link { token }): Query<Link>) -> Response {
    match signed_in(&page, &session).await {
        Ok(signed_in) => ask(&page, StatusCode::OK, &token, signed_in, None).await,
        Err(response) => *response,
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
    /// The one chosen at sign-up.
    #[serde(default)]
    password: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(Answer { csrf, token, decision, password })) = sent else { return error::malformed(&page) };
    page.at("/verify-email", &[("token", token.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let signed_in = match signed_in(&page, &session).await {
        Ok(signed_in) => signed_in,
        Err(response) => return *response,
    };
    let secret = PlainToken::presented(token.clone());
    let done = match decision.as_str() {
        "disown" => disown(&state, &secret).await.map(|()| Stage::Disowned),
        "" | "confirm" | "without_code" => {
            let asker = Asker { ip: &ip, signed_in, password: &password };
            confirm(&state, &secret, &asker, decision == "without_code").await.map(|confirmed| match confirmed {
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
            let refused = VerifyPage::new(&page, &token, Stage::CodeRefused { reason }).asking_password();
            page.render(StatusCode::UNPROCESSABLE_ENTITY, &refused)
        }
        Err(ConfirmError::WrongPassword) => {
            let alert = page.t().get("verify-password-wrong");
            ask(&page, StatusCode::UNPROCESSABLE_ENTITY, &token, signed_in, Some(alert)).await
        }
        Err(ConfirmError::Limited(limited)) => {
            let alert = page.t().get("verify-limited");
            let mut response = ask(&page, StatusCode::TOO_MANY_REQUESTS, &token, signed_in, Some(alert)).await;
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(limited.retry_after));
            response
        }
        Err(ConfirmError::Busy(after)) => error::unavailable(&page, after),
        Err(ConfirmError::Taken) => shown(&page, StatusCode::CONFLICT, "", Stage::Taken),
        Err(ConfirmError::Invalid) => shown(&page, StatusCode::GONE, "", Stage::Dead),
        Err(ConfirmError::Db(error)) => error::database(&page, &error),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let email = || "ann@example.com".to_owned();
    into.page("verify-address", || {
        VerifyPage::new(page, "sample", Stage::AskAddress { email: email() }).asking_password()
    });
    into.page("verify-sign-up", || {
        VerifyPage::new(page, "sample", Stage::AskSignUp { email: email() }).asking_password()
    });
    into.page("verify-code-refused", || {
        let reason = page.t().get(refusal_message(shared::referrals::store::Refusal::Unknown));
        VerifyPage::new(page, "sample", Stage::CodeRefused { reason }).asking_password()
    });
    for (name, stage) in [
        ("verify-proved", Stage::AddressProved),
        ("verify-signed-up", Stage::SignedUp),
        ("verify-disowned", Stage::Disowned),
        ("verify-taken", Stage::Taken),
        ("verify-dead", Stage::Dead),
    ] {
        into.page(name, || VerifyPage::new(page, "", stage));
    }
}
