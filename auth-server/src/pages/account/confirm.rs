//! `/account/confirm`: who is signed in shows once more who they are, before something sensitive, or the second factor
//! that an app asks for. The session goes on under a new key, signed in just now.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::problem::retry_after_header;
use tower_sessions::Session;

use super::Account;
use crate::AppState;
use crate::accounts::factors::{count_try, has_second, passkeys, use_code};
use crate::accounts::signin::{Caller, SignInError, authenticate_in};
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::{Page, see_other};
use crate::pages::login::Through;
use crate::pages::passkey::{self, Answer};
use crate::pages::samples::Samples;
use crate::pages::second_factor::code_field;
use crate::pages::signing_in::{Proof, Second, Shown, conclude_with, finish};
use crate::pages::texts::Texts;
use crate::protocol::authorization::{Loaded, Pending, lacks_second_factor, load, showed_for};
use crate::sessions::{ACR_PASSWORD, AMR_PASSWORD, with_code};

#[derive(Template)]
#[template(path = "pages/account/confirm.html")]
struct ConfirmPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: Option<String>,
    /// The app that asks.
    client: Option<String>,
    email: &'a str,
    alert: Option<String>,
    /// Where the account has an authenticator app; else the password.
    code: Option<Field>,
    password: Option<Field>,
    recovery: bool,
    recovery_link: String,
    passkeys: bool,
    /// The whole of the sign-in instead.
    other_link: String,
}

/// What stands in the way.
enum Fault {
    Wrong,
    Alert(&'static str),
}

async fn shown(
    state: &AppState,
    account: &mut Account,
    through: &Through,
    recovery: bool,
    fault: Option<Fault>,
) -> Result<Response, Response> {
    let pending = through.load(state, &mut account.page).await?;
    // A code shows that somebody holds the app, not that they are who signed in: an app that wants that asked anew gets the
    // whole of it.
    if let Some(pending) = &pending
        && wants_more(state, account, pending).await.map_err(|error| error::database(&account.page, &error))?
    {
        return Ok(see_other(&through.link("/login")));
    }
    let client = pending.map(|pending| pending.client.name.clone());
    let factors = async {
        let mut conn = state.platform.db.read().await?;
        let user = account.user.id;
        Ok::<_, DbError>((has_second(&mut conn, user).await?, !passkeys::all_of(&mut conn, user).await?.is_empty()))
    };
    let (app, passkeys) = factors.await.map_err(|error| error::database(&account.page, &error))?;
    let t = account.page.t();
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut code = app.then(|| code_field(t, recovery));
    let mut password = (!app).then(|| password_field(t));
    let mut alert = None;
    match fault {
        None => {}
        Some(Fault::Alert(key)) => alert = Some(t.get(key)),
        Some(Fault::Wrong) => {
            if let Some(field) = &mut code {
                field.error = Some(t.get(if recovery { "factor-recovery-code-wrong" } else { "factor-code-wrong" }));
            }
            if let Some(field) = &mut password {
                field.error = Some(t.get("confirm-password-wrong"));
            }
        }
    }
    let separator = if through.carried().is_some() { '&' } else { '?' };
    Ok(account.page.render(
        status,
        &ConfirmPage {
            page: &account.page,
            t,
            csrf: account.csrf(),
            request: through.carried(),
            client,
            email: &account.user.email,
            alert,
            code,
            password,
            recovery,
            recovery_link: format!("{}{separator}with=recovery", through.link("/account/confirm")),
            passkeys: passkeys && passkeys::relying_party(&state.platform).is_some(),
            other_link: through.link("/login"),
        },
    ))
}

fn password_field(t: Texts) -> Field {
    let mut field = Field::new("password", "password", "current-password", t.get("field-password")).required();
    field.max_length = crate::passwords::MAX_BYTES;
    field.focus = true;
    field
}

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    with: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn show(State(state): State<AppState>, mut account: Account, Query(asked): Query<Asked>) -> Response {
    shown(&state, &mut account, &asked.through, asked.with == "recovery", None)
        .await
        .unwrap_or_else(|response| response)
}

#[derive(Deserialize)]
pub struct Confirm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    with: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut account: Account,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Confirm>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else { return error::malformed(&account.page) };
    account.page.at("/account/confirm", &[("request", sent.through.request.as_str())]);
    if let Err(response) = account.page.check_form(&sent.csrf, Some(&account.signed_in)) {
        return response;
    }
    let done = if sent.code.is_empty() {
        by_password(&state, &account, &session, &ip, &sent).await
    } else {
        by_code(&state, &account, &session, &sent).await
    };
    match done {
        Ok(response) => response,
        Err(why) => refused(&state, account, &sent.through, sent.with == "recovery", why, Fault::Wrong).await,
    }
}

/// `POST /account/confirm/passkey`.
pub async fn submit_passkey(
    State(state): State<AppState>,
    mut account: Account,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(answer)) = sent else { return error::malformed(&account.page) };
    account.page.at("/account/confirm", &[("request", answer.through.request.as_str())]);
    if let Err(response) = account.page.check_form(&answer.csrf, Some(&account.signed_in)) {
        return response;
    }
    let done = async {
        let used = passkey::judge(&state, &ip, &answer).await?;
        // Somebody else's would switch the account under what is about to be changed.
        if used.user_id != account.signed_in.user_id {
            return Err(SignInError::Refused);
        }
        passkey::enter(&state, &account.page, &session, &used, &answer.through.onward()).await
    };
    match done.await {
        Ok(response) => response,
        Err(why) => refused(&state, account, &answer.through, false, why, Fault::Alert("passkey-refused")).await,
    }
}

/// Does this request lack more than a second factor: the sign-in anew?
async fn wants_more(state: &AppState, account: &Account, pending: &Pending) -> Result<bool, DbError> {
    let showed = showed_for(state, &pending.request, &account.signed_in).await?;
    let now = state.platform.clock.now();
    Ok(!lacks_second_factor(&pending.request, &account.signed_in, showed, pending.created_at, now))
}

/// A code beside what the session began with. It is not said to be as good as a passkey was: that one was not shown now.
async fn by_code(
    state: &AppState,
    account: &Account,
    session: &Session,
    sent: &Confirm,
) -> Result<Response, SignInError> {
    let platform = &state.platform;
    let user = account.signed_in.user_id;
    if let Some(id) = sent.through.id()
        && let Loaded::Live(pending) = load(state, id).await?
        && wants_more(state, account, &pending).await?
    {
        return Ok(see_other(&sent.through.link("/login")));
    }
    count_try(platform, user, &sent.code).await?;
    let mut tx = platform.db.begin().await?;
    let right = use_code(&mut tx, platform, user, &sent.code).await?;
    tx.commit().await?;
    if !right {
        return Err(SignInError::Refused);
    }
    let (acr, amr) = with_code(account.signed_in.amr.iter().map(String::as_str));
    let (proof, second) = (Proof::Code(user), Second::Code { remember: false });
    let onward = sent.through.onward();
    conclude_with(state, &account.page, session, (user, acr, &amr), (proof, second), &onward).await
}

async fn by_password(
    state: &AppState,
    account: &Account,
    session: &Session,
    ip: &ClientIp,
    sent: &Confirm,
) -> Result<Response, SignInError> {
    let caller = Caller { ip, known: Some(account.page.known()) };
    let user = authenticate_in(state, &account.user.email, &sent.password, caller, "confirm").await?;
    // The address may have gone to another account a moment ago.
    if user.id != account.signed_in.user_id {
        return Err(SignInError::Refused);
    }
    let shown = Shown { user_id: user.id, acr: ACR_PASSWORD, amr: &[AMR_PASSWORD], password: Some(&user) };
    finish(state, &account.page, session, &shown, &sent.through.onward()).await
}

async fn refused(
    state: &AppState,
    mut account: Account,
    through: &Through,
    recovery: bool,
    why: SignInError,
    wrong: Fault,
) -> Response {
    let (fault, status, after) = match why {
        SignInError::Refused => (wrong, StatusCode::UNPROCESSABLE_ENTITY, None),
        SignInError::Limited(after) => (Fault::Alert("factor-limited"), StatusCode::TOO_MANY_REQUESTS, Some(after)),
        SignInError::Busy(after) => (Fault::Alert("login-busy"), StatusCode::SERVICE_UNAVAILABLE, Some(after)),
        SignInError::Db(error) => return error::database(&account.page, &error),
    };
    let mut response = match shown(state, &mut account, through, recovery, Some(fault)).await {
        Ok(response) => response,
        Err(response) => return response,
    };
    *response.status_mut() = status;
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(after));
    }
    response
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let (page, t) = (&account.page, account.page.t());
    let shown = |by_code: bool, recovery: bool, client: Option<String>, alert: Option<String>| ConfirmPage {
        page,
        t,
        csrf: account.csrf(),
        request: None,
        client,
        email: &account.user.email,
        alert,
        code: by_code.then(|| code_field(t, recovery)),
        password: (!by_code).then(|| password_field(t)),
        recovery,
        recovery_link: "/account/confirm?with=recovery".into(),
        passkeys: true,
        other_link: "/login".into(),
    };
    into.page("account-confirm", || shown(false, false, None, Some(t.get("factor-limited"))));
    into.page("account-confirm-code", || shown(true, false, Some("Bookshelf".into()), None));
    into.page("account-confirm-recovery", || shown(true, true, None, None));
}
