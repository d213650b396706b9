//! `/account/security`: how one signs in. Password, passkeys, authenticator app and recovery codes. All that changes any
//! of it wants a sign-in of a moment ago.

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use shared::db::DbError;
use shared::outbox::Notice;
use shared::qr;
use shared::secret::PlainToken;
use uuid::Uuid;

use super::{Account, Section};
use crate::AppState;
use crate::accounts;
use crate::accounts::factors::passkeys::{self, Kept, PasskeyError};
use crate::accounts::factors::totp::{self, Setup};
use crate::accounts::factors::{count_try, has_second, recovery_codes};
use crate::accounts::notices;
use crate::accounts::ways_in::{self, WayIn};
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::{Page, see_other};
use crate::pages::passkey::{Asked, options};
use crate::pages::samples::{Samples, moment};
use crate::pages::second_factor::code_field;
use crate::pages::texts::Texts;

const HERE: &str = "/account/security";

pub fn router() -> Router<AppState> {
    let back = || async { see_other(HERE) };
    Router::new()
        .route(HERE, get(show))
        .route("/account/security/passkeys", get(back).post(add_passkey))
        .route("/account/security/passkeys/options", post(begin_passkey))
        .route("/account/security/passkeys/{id}", get(back).post(change_passkey))
        .route("/account/security/app", get(back).post(set_up))
        .route("/account/security/app/confirm", get(back).post(confirm))
        .route("/account/security/app/remove", get(back).post(remove))
        .route("/account/security/recovery-codes", get(back).post(make_codes))
}

#[derive(Template)]
#[template(path = "pages/account/security.html")]
struct SecurityPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    alert: Option<String>,
    passkeys: Vec<Kept>,
    /// Can browsers hold passkeys for this address?
    offered: bool,
    /// Can other providers be ways in?
    upstream: bool,
    app_since: Option<DateTime<Utc>>,
    codes_left: u64,
}

#[derive(Template)]
#[template(path = "pages/account/security_app.html")]
struct AppPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    /// SVG of our own making.
    qr: Option<String>,
    secret: String,
    setup: String,
    code: Field,
}

#[derive(Template)]
#[template(path = "pages/account/security_codes.html")]
struct CodesPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    codes: Vec<String>,
    /// Was the app set up just now?
    app_is_new: bool,
}

async fn page(state: &AppState, account: &Account, status: StatusCode, alert: Option<&'static str>) -> Response {
    let user = account.user.id;
    let read = async {
        let mut conn = state.platform.db.read().await?;
        Ok::<_, DbError>((
            passkeys::all_of(&mut conn, user).await?,
            totp::since(&mut conn, user).await?,
            recovery_codes::left(&mut conn, user).await?,
        ))
    };
    let page = &account.page;
    let t = page.t();
    match read.await {
        Ok((passkeys, app_since, codes_left)) => page.render(
            status,
            &SecurityPage {
                page,
                t,
                section: Section::Security,
                csrf: account.csrf(),
                alert: alert.map(|key| t.get(key)),
                passkeys,
                offered: passkeys::relying_party(&state.platform).is_some(),
                upstream: !state.platform.config.upstream.is_empty(),
                app_since,
                codes_left,
            },
        ),
        Err(error) => error::database(page, &error),
    }
}

async fn show(State(state): State<AppState>, account: Account) -> Response {
    page(&state, &account, StatusCode::OK, None).await
}

/// A form of this page, by who is signed in and signed in a moment ago. `Err` is the answer to any other.
async fn checked<T>(
    state: &AppState,
    account: &mut Account,
    sent: Result<Form<T>, FormRejection>,
    csrf: impl Fn(&T) -> &str,
) -> Result<T, Response> {
    let Ok(Form(sent)) = sent else { return Err(error::malformed(&account.page)) };
    account.page.at(HERE, &[]);
    account.page.check_form(csrf(&sent), Some(&account.signed_in))?;
    account.recently(state, Section::Security).await?;
    Ok(sent)
}

async fn begin_passkey(
    State(state): State<AppState>,
    account: Account,
    sent: Result<Form<Asked>, FormRejection>,
) -> Response {
    let Ok(Form(Asked { csrf })) = sent else { return StatusCode::BAD_REQUEST.into_response() };
    if account.page.check_form(&csrf, Some(&account.signed_in)).is_err() {
        return StatusCode::FORBIDDEN.into_response();
    }
    if account.recently(&state, Section::Security).await.is_err() {
        let onward = Section::Security.confirm();
        return (StatusCode::UNAUTHORIZED, Json(json!({ "onward": onward }))).into_response();
    }
    options(passkeys::begin_registration(&state.platform, &account.user, account.signed_in.sid).await)
}

#[derive(Deserialize)]
struct NewPasskey {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    credential: String,
}

async fn add_passkey(
    State(state): State<AppState>,
    mut account: Account,
    sent: Result<Form<NewPasskey>, FormRejection>,
) -> Response {
    let sent = match checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        Ok(sent) => sent,
        Err(response) => return response,
    };
    // The authenticator has made its key: a name that can't be one must not leave it without ours.
    let name = accounts::name(Some(&sent.name)).ok().flatten();
    let name = name.unwrap_or_else(|| account.page.t().get("passkey-default-name"));
    let key = PlainToken::presented(sent.ceremony);
    match passkeys::finish_registration(&state.platform, &account.signed_in, &key, &sent.credential, &name).await {
        Ok(()) => see_other(HERE),
        Err(PasskeyError::Db(error)) => error::database(&account.page, &error),
        Err(PasskeyError::TooMany) => page(&state, &account, StatusCode::CONFLICT, Some("passkey-too-many")).await,
        Err(PasskeyError::Refused) => {
            page(&state, &account, StatusCode::UNPROCESSABLE_ENTITY, Some("passkey-not-added")).await
        }
    }
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    /// `rename` or `delete`.
    #[serde(default)]
    action: String,
}

async fn change_passkey(
    State(state): State<AppState>,
    mut account: Account,
    Path(id): Path<String>,
    sent: Result<Form<Change>, FormRejection>,
) -> Response {
    let sent = match checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        Ok(sent) => sent,
        Err(response) => return response,
    };
    let Ok(id) = id.parse::<Uuid>() else { return see_other(HERE) };
    let name = match (sent.action.as_str(), accounts::name(Some(&sent.name))) {
        ("delete", _) => None,
        ("rename", Ok(Some(name))) => Some(name),
        ("rename", _) => {
            return page(&state, &account, StatusCode::UNPROCESSABLE_ENTITY, Some("passkey-name-bad")).await;
        }
        _ => return error::malformed(&account.page),
    };
    let (platform, user) = (&state.platform, account.user.id);
    let done = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, &state).await? {
            return Ok(true);
        }
        match &name {
            Some(name) => passkeys::rename(&mut tx, platform, user, id, name).await?,
            None if ways_in::is_last(&state, &mut tx, user, WayIn::Passkey(id)).await? => return Ok(false),
            None => passkeys::delete(&mut tx, platform, user, id).await?,
        };
        tx.commit().await.map(|()| true)
    };
    match done.await {
        // One that is gone already, in another tab, is what was wanted.
        Ok(true) => see_other(HERE),
        Ok(false) => page(&state, &account, StatusCode::CONFLICT, Some("passkey-only-way")).await,
        Err(error) => error::database(&account.page, &error),
    }
}

#[derive(Deserialize)]
struct Bare {
    #[serde(default)]
    csrf: String,
}

async fn set_up(
    State(state): State<AppState>,
    mut account: Account,
    sent: Result<Form<Bare>, FormRejection>,
) -> Response {
    if let Err(response) = checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        return response;
    }
    set_up_page(&state, &account, &Setup::new(&state.platform), None)
}

fn set_up_page(state: &AppState, account: &Account, setup: &Setup, fault: Option<&'static str>) -> Response {
    let page = &account.page;
    let t = page.t();
    let mut code = code_field(t, false);
    code.error = fault.map(|key| t.get(key));
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let shown = AppPage {
        page,
        t,
        section: Section::Security,
        csrf: account.csrf(),
        qr: qr::svg(&setup.uri(state.brand.name(), &account.user.email), "app-qr", None),
        secret: setup.in_groups(),
        setup: setup.seal(&state.platform, (account.user.id, account.signed_in.sid)),
        code,
    };
    page.render(status, &shown)
}

#[derive(Deserialize)]
struct FirstCode {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    setup: String,
    #[serde(default)]
    code: String,
}

async fn confirm(
    State(state): State<AppState>,
    mut account: Account,
    sent: Result<Form<FirstCode>, FormRejection>,
) -> Response {
    let sent = match checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        Ok(sent) => sent,
        Err(response) => return response,
    };
    let (platform, user) = (&state.platform, account.user.id);
    let Some(setup) = Setup::open(platform, (user, account.signed_in.sid), &sent.setup) else {
        return page(&state, &account, StatusCode::GONE, Some("app-too-late")).await;
    };
    if count_try(platform, user, &sent.code).await.is_err() {
        return set_up_page(&state, &account, &setup, Some("factor-limited"));
    }
    let code: String = sent.code.chars().filter(|c| !c.is_whitespace()).collect();
    let made = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, &state).await? || has_second(&mut tx, user).await? {
            return Ok(Made::Already);
        }
        if !setup.confirm(&mut tx, platform, user, &code).await? {
            return Ok::<_, DbError>(Made::Wrong);
        }
        let codes = recovery_codes::make(&mut tx, platform, user).await?;
        // They began with less than signing in wants from now on.
        crate::sessions::end_others_of(&mut tx, platform, user, account.signed_in.sid).await?;
        tx.commit().await?;
        state.outside.wake();
        Ok(Made::Codes(codes))
    };
    match made.await {
        Ok(Made::Codes(codes)) => {
            let mut response = codes_page(&account, codes, true);
            account.page.remember(&mut response, &account.page.known().with(platform, user));
            response
        }
        Ok(Made::Wrong) => set_up_page(&state, &account, &setup, Some("factor-code-wrong")),
        Ok(Made::Already) => see_other(HERE),
        Err(error) => error::database(&account.page, &error),
    }
}

enum Made {
    Codes(Vec<String>),
    Wrong,
    /// In another tab; or the session has ended.
    Already,
}

fn codes_page(account: &Account, codes: Vec<String>, app_is_new: bool) -> Response {
    let page = &account.page;
    page.render(StatusCode::OK, &CodesPage { page, t: page.t(), section: Section::Security, codes, app_is_new })
}

async fn remove(
    State(state): State<AppState>,
    mut account: Account,
    sent: Result<Form<Bare>, FormRejection>,
) -> Response {
    if let Err(response) = checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        return response;
    }
    let done = async {
        let mut tx = state.platform.db.begin().await?;
        if !account.hold(&mut tx, &state).await? {
            return Ok(());
        }
        totp::remove(&mut tx, &state.platform, account.user.id).await?;
        tx.commit().await
    };
    done.await.map_or_else(|error| error::database(&account.page, &error), |()| see_other(HERE))
}

async fn make_codes(
    State(state): State<AppState>,
    mut account: Account,
    sent: Result<Form<Bare>, FormRejection>,
) -> Response {
    if let Err(response) = checked(&state, &mut account, sent, |sent| &sent.csrf).await {
        return response;
    }
    let user = account.user.id;
    let made = async {
        let mut tx = state.platform.db.begin().await?;
        // Without an app there is nothing for them to stand in for.
        if !account.hold(&mut tx, &state).await? || !has_second(&mut tx, user).await? {
            return Ok::<_, DbError>(None);
        }
        let codes = recovery_codes::make(&mut tx, &state.platform, user).await?;
        notices::tell_of(&mut tx, &state.platform, user, Notice::RecoveryCodesMade, None).await?;
        tx.commit().await?;
        Ok(Some(codes))
    };
    match made.await {
        Ok(Some(codes)) => codes_page(&account, codes, false),
        Ok(None) => see_other(HERE),
        Err(error) => error::database(&account.page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let (page, t) = (&account.page, account.page.t());
    let platform = &page.state().platform;
    let kept = |name: &str, used: bool| Kept {
        id: uuid::Uuid::nil(),
        name: name.into(),
        created_at: moment(),
        last_used_at: used.then(moment),
    };
    let shown = |passkeys: Vec<Kept>, app: bool, alert: Option<&str>| SecurityPage {
        page,
        t,
        section: Section::Security,
        csrf: account.csrf(),
        alert: alert.map(|key| t.get(key)),
        passkeys,
        offered: true,
        upstream: true,
        app_since: app.then(moment),
        codes_left: if app { 7 } else { 0 },
    };
    into.page("account-security", || shown(vec![kept("Phone", true), kept("Key", false)], true, None));
    into.page("account-security-new", || shown(vec![], false, Some("passkey-failed")));
    into.page("account-security-app", || {
        let setup = Setup::new(platform);
        AppPage {
            page,
            t,
            section: Section::Security,
            csrf: account.csrf(),
            qr: qr::svg(&setup.uri(page.state().brand.name(), &account.user.email), "app-qr", None),
            secret: setup.in_groups(),
            setup: setup.seal(platform, (account.user.id, account.signed_in.sid)),
            code: code_field(t, false),
        }
    });
    for (name, app_is_new) in [("account-security-codes", false), ("account-security-codes-new", true)] {
        let codes = vec!["sample-code-0001".to_owned(), "sample-code-0002".to_owned()];
        into.page(name, || CodesPage { page, t, section: Section::Security, codes, app_is_new });
    }
}
