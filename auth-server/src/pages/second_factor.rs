//! `/login/second-factor`: a code of the authenticator app, or one that stands in for it, for a sign-in that waits.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::limits::Limited;
use shared::problem::retry_after_header;
use shared::secret::PlainToken;
use tower_sessions::Session;

use super::error;
use super::field::Field;
use super::layout::{Page, see_other};
use super::samples::Samples;
use super::signing_in::{Proof, SECOND_FACTOR, conclude, presented_key, set_key};
use super::texts::Texts;
use crate::AppState;
use crate::accounts::factors::unfinished::{ATTEMPTS, Unfinished};
use crate::accounts::factors::{count_try, unfinished, use_code};
use crate::accounts::signin::{self, SignInError};
use crate::protocol::authorization::{Loaded, continued, load};
use crate::sessions::{ACR_MFA, AMR_CODE, AMR_MFA};

#[derive(Template)]
#[template(path = "pages/second_factor.html")]
struct SecondFactorPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    /// Absent when too many codes were wrong.
    code: Option<Field>,
    /// Is it a recovery code that is asked for?
    recovery: bool,
    alert: Option<String>,
    /// Where it leads who gives up.
    cancel: String,
}

/// The field for a code; `recovery` for one that stands in for the app.
pub fn code_field(t: Texts, recovery: bool) -> Field {
    let mut field = if recovery {
        Field::new("code", "text", "off", t.get("factor-recovery-code")).hint(t.get("factor-recovery-code-hint"))
    } else {
        Field::new("code", "text", "one-time-code", t.get("factor-code")).hint(t.get("factor-code-hint"))
    };
    field.max_length = 32;
    field.digits = !recovery;
    field.focus = true;
    field.required()
}

fn shown<'a>(page: &'a Page, begun: &Unfinished, recovery: bool) -> SecondFactorPage<'a> {
    let t = page.t();
    SecondFactorPage {
        page,
        t,
        csrf: page.csrf_token(None),
        code: Some(code_field(t, recovery)),
        recovery,
        alert: None,
        cancel: begun.onward.clone(),
    }
}

/// As the client would like it that the sign-in is for. Where that can't be read, the page serves all the same.
async fn suit(state: &AppState, page: &mut Page, begun: &Unfinished) {
    if let Some(id) = continued(&begun.onward)
        && let Ok(Loaded::Live(pending)) = load(state, id).await
    {
        page.suit(&pending);
    }
}

#[derive(Deserialize)]
pub struct Variant {
    /// `recovery` for the code that stands in for the app.
    #[serde(default)]
    with: String,
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    headers: HeaderMap,
    Query(Variant { with }): Query<Variant>,
) -> Response {
    let Some(key) = presented_key(&state, &headers) else { return see_other("/login") };
    let found = async { unfinished::look(&mut state.platform.db.read().await?, &state.platform, &key).await };
    match found.await {
        Ok(Some(begun)) => {
            suit(&state, &mut page, &begun).await;
            page.render(StatusCode::OK, &shown(&page, &begun, with == "recovery"))
        }
        Ok(None) => see_other("/login"),
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Code {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    with: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    headers: HeaderMap,
    sent: Result<Form<Code>, FormRejection>,
) -> Response {
    let Ok(Form(Code { csrf, code, with })) = sent else { return error::malformed(&page) };
    page.at(SECOND_FACTOR, &[("with", with.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let Some(key) = presented_key(&state, &headers) else { return see_other("/login") };
    let recovery = with == "recovery";
    match judge(&state, &key, &code).await {
        Ok(Judged::Right(begun)) => {
            let mut response = match sign_in(&state, &page, &session, &begun).await {
                Ok(response) => response,
                Err(SignInError::Db(error)) => return error::database(&page, &error),
                // The password was changed meanwhile, or the account has another owner.
                Err(_) => see_other("/login"),
            };
            set_key(&state, &mut response, None);
            response
        }
        Ok(Judged::Wrong(begun)) => {
            suit(&state, &mut page, &begun).await;
            let mut again = shown(&page, &begun, recovery);
            if begun.attempts >= ATTEMPTS {
                again.alert = Some(page.t().get("factor-over"));
                again.code = None;
            } else if let Some(field) = &mut again.code {
                field.error =
                    Some(page.t().get(if recovery { "factor-recovery-code-wrong" } else { "factor-code-wrong" }));
            }
            page.render(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Ok(Judged::Limited(begun, limited)) => {
            suit(&state, &mut page, &begun).await;
            let mut again = shown(&page, &begun, recovery);
            again.alert = Some(page.t().get("factor-limited"));
            let mut response = page.render(StatusCode::TOO_MANY_REQUESTS, &again);
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(limited.retry_after));
            response
        }
        Ok(Judged::Gone) => see_other("/login"),
        Err(error) => error::database(&page, &error),
    }
}

enum Judged {
    Right(Unfinished),
    Wrong(Unfinished),
    Limited(Unfinished, Limited),
    /// Over, used, or never there.
    Gone,
}

async fn judge(state: &AppState, key: &PlainToken, code: &str) -> Result<Judged, shared::db::DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let begun = unfinished::attempt(&mut tx, platform, key).await?;
    tx.commit().await?;
    let Some(begun) = begun else { return Ok(Judged::Gone) };
    if let Err(limited) = count_try(platform, begun.user_id, code).await {
        return Ok(Judged::Limited(begun, limited));
    }
    let mut tx = platform.db.begin().await?;
    let right = use_code(&mut tx, platform, begun.user_id, code).await?;
    // Without it the code is not used up either.
    if right && !unfinished::consume(&mut tx, platform, key).await? {
        return Ok(Judged::Gone);
    }
    tx.commit().await?;
    Ok(if right { Judged::Right(begun) } else { Judged::Wrong(begun) })
}

async fn sign_in(
    state: &AppState,
    page: &Page,
    session: &Session,
    begun: &Unfinished,
) -> Result<Response, SignInError> {
    let password = match &begun.phc_digest {
        None => None,
        Some(digest) => {
            let mut conn = state.platform.db.read().await?;
            Some(signin::take_up(&mut conn, begun.user_id, digest).await?.ok_or(SignInError::Refused)?)
        }
    };
    let proof = password.as_ref().map_or(Proof::Code(begun.user_id), Proof::Password);
    let mut amr: Vec<&str> = begun.amr.iter().map(String::as_str).collect();
    amr.extend([AMR_CODE, AMR_MFA]);
    conclude(state, page, session, (begun.user_id, ACR_MFA, &amr), proof, &begun.onward).await
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let begun = Unfinished {
        user_id: shared::ids::UserId(uuid::Uuid::nil()),
        amr: vec![],
        phc_digest: None,
        onward: "/".into(),
        attempts: 0,
    };
    into.page("second-factor", || shown(page, &begun, false));
    into.page("second-factor-recovery", || shown(page, &begun, true));
    into.page("second-factor-over", || {
        let mut shown = shown(page, &begun, false);
        shown.alert = Some(page.t().get("factor-over"));
        shown.code = None;
        shown
    });
}
