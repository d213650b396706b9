//! `/login/second-factor`: a code of the authenticator app, or one that stands in for it, for a sign-in that waits. Where the
//! operator wants it, a code can be mailed in its place: by a POST, so that nothing that follows links asks for mails.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::limits::Limited;
use shared::problem::retry_after_header;
use shared::secret::PlainToken;
use tower_sessions::Session;

use super::error;
use super::field::Field;
use super::layout::{Page, see_other};
use super::samples::Samples;
use super::sheet::mailed_code;
use super::signing_in::{Proof, SECOND_FACTOR, Second, conclude_with, presented_key, set_key, waiting};
use super::texts::Texts;
use crate::AppState;
use crate::accounts::factors::mailed::{self, MailedError};
use crate::accounts::factors::unfinished::{ATTEMPTS, Unfinished};
use crate::accounts::factors::{count_try, unfinished, use_code};
use crate::accounts::signin::{self, SignInError};
use crate::sessions::{ACR_PASSWORD, AMR_MAILED, with_code};

#[derive(Template)]
#[template(path = "pages/second_factor.html")]
struct SecondFactorPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    /// Were too many codes wrong?
    over: bool,
    /// Absent then, and while no code has been mailed.
    code: Option<Field>,
    with: With,
    /// Has a code been mailed?
    mailed: bool,
    /// May one be?
    by_mail: bool,
    /// For how many days this device can be remembered.
    days: Option<u64>,
    /// Is it to be?
    remember: bool,
    alert: Option<String>,
    /// Where it leads who gives up.
    cancel: String,
}

/// Which code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    App,
    Recovery,
    Mail,
}

impl With {
    fn read(with: &str) -> Self {
        match with {
            "recovery" => Self::Recovery,
            "mail" => Self::Mail,
            _ => Self::App,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::App => "",
            Self::Recovery => "recovery",
            Self::Mail => "mail",
        }
    }

    fn wrong(self) -> &'static str {
        match self {
            Self::App => "factor-code-wrong",
            Self::Recovery => "factor-recovery-code-wrong",
            Self::Mail => "recovery-code-wrong",
        }
    }
}

impl SecondFactorPage<'_> {
    fn lead(&self) -> String {
        self.t.get(match self.with {
            With::App => "factor-lead",
            With::Recovery => "factor-recovery-lead",
            With::Mail if self.mailed => "mailed-sent",
            With::Mail => "mailed-lead",
        })
    }

    fn is_app(&self) -> bool {
        self.with == With::App
    }

    fn is_recovery(&self) -> bool {
        self.with == With::Recovery
    }

    fn is_mail(&self) -> bool {
        self.with == With::Mail
    }
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

fn shown<'a>(page: &'a Page, begun: &Unfinished, asked: Asked) -> SecondFactorPage<'a> {
    let t = page.t();
    let Asked { with, by_mail, mailed } = asked;
    let code = match with {
        With::App | With::Recovery => Some(code_field(t, with == With::Recovery)),
        With::Mail if mailed => {
            let mut field = mailed_code(page);
            field.focus = true;
            Some(field)
        }
        With::Mail => None,
    };
    // Who shows no more than a mailbox gets no way around showing more.
    let days = Some(page.state().platform.config.factors.remember_days).filter(|n| *n > 0 && with != With::Mail);
    SecondFactorPage {
        page,
        t,
        csrf: page.csrf_token(None),
        over: false,
        code,
        with,
        mailed,
        by_mail,
        days,
        remember: false,
        alert: None,
        cancel: begun.onward.clone(),
    }
}

/// What the page asks for.
#[derive(Clone, Copy)]
struct Asked {
    with: With,
    by_mail: bool,
    mailed: bool,
}

/// May a code be mailed, and was it? Not for an app that asks for a better sign-in than a mailed code makes.
async fn asked(state: &AppState, key: &PlainToken, begun: &Unfinished, with: With) -> Result<Asked, DbError> {
    let by_mail = mailed::may_be_asked_for(&state.platform, begun) && is_enough(state, begun).await?;
    let mailed = by_mail
        && with == With::Mail
        && mailed::was_asked(&mut state.platform.db.read().await?, &state.platform, key).await?;
    Ok(Asked { with: if by_mail || with != With::Mail { with } else { With::App }, by_mail, mailed })
}

/// Is a sign-in by password, which is what one with a mailed code is told as, enough for what it goes on to?
async fn is_enough(state: &AppState, begun: &Unfinished) -> Result<bool, DbError> {
    let pending = waiting(state, &begun.onward).await?;
    Ok(pending.is_none_or(|pending| !pending.request.wants_better_than(ACR_PASSWORD)))
}

/// As the client would like it that the sign-in is for. Where that can't be read, the page serves all the same.
async fn suit(state: &AppState, page: &mut Page, begun: &Unfinished) {
    if let Ok(Some(pending)) = waiting(state, &begun.onward).await {
        page.suit(&pending);
    }
}

#[derive(Deserialize)]
pub struct Variant {
    /// `recovery` for the code that stands in for the app, `mail` for one from the mailbox.
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
    let found = async {
        let begun = unfinished::look(&mut state.platform.db.read().await?, &state.platform, &key).await?;
        let Some(begun) = begun else { return Ok::<_, DbError>(None) };
        let asked = asked(&state, &key, &begun, With::read(&with)).await?;
        Ok(Some((begun, asked)))
    };
    match found.await {
        Ok(Some((begun, asked))) => {
            suit(&state, &mut page, &begun).await;
            page.render(StatusCode::OK, &shown(&page, &begun, asked))
        }
        Ok(None) => see_other("/login"),
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    csrf: String,
}

/// `POST /login/second-factor/mail`. It leads to the page with a field for the code, whether one is mailed or not.
pub async fn ask_for_mail(
    State(state): State<AppState>,
    mut page: Page,
    ip: ClientIp,
    headers: HeaderMap,
    sent: Result<Form<Wish>, FormRejection>,
) -> Response {
    let Ok(Form(Wish { csrf })) = sent else { return error::malformed(&page) };
    page.at(SECOND_FACTOR, &[("with", "mail")]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let Some(key) = presented_key(&state, &headers) else { return see_other("/login") };
    let wanted = async {
        let begun = unfinished::look(&mut state.platform.db.read().await?, &state.platform, &key).await?;
        let begun = begun.ok_or(MailedError::Gone)?;
        if !is_enough(&state, &begun).await? {
            return Err(MailedError::Gone);
        }
        mailed::ask(&state, &key, page.lang(), &ip).await
    };
    match wanted.await {
        Ok(()) => {
            let mut response = see_other(&format!("{SECOND_FACTOR}?with=mail"));
            // It waits anew from here.
            set_key(&state, &mut response, Some(&key));
            response
        }
        Err(MailedError::Limited(limited)) => {
            refused(&state, page, &key, With::Mail, false, Refusal::Limited(limited)).await
        }
        Err(MailedError::Db(error)) => error::database(&page, &error),
        Err(MailedError::Gone | MailedError::NoneWaits | MailedError::Wrong) => see_other(SECOND_FACTOR),
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
    /// Is this device to be remembered? The box is ticked, or not there.
    #[serde(default)]
    remember: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    headers: HeaderMap,
    sent: Result<Form<Code>, FormRejection>,
) -> Response {
    let Ok(Form(Code { csrf, code, with, remember })) = sent else { return error::malformed(&page) };
    page.at(SECOND_FACTOR, &[("with", with.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let Some(key) = presented_key(&state, &headers) else { return see_other("/login") };
    let (with, remember) = (With::read(&with), !remember.is_empty());
    let judged = match with {
        With::Mail => judge_mailed(&state, &key, &code).await,
        With::App | With::Recovery => judge(&state, &key, &code).await,
    };
    match judged {
        Ok(Judged::Right(begun)) => {
            let second = if with == With::Mail { Second::Mailed } else { Second::Code { remember } };
            let mut response = match sign_in(&state, &page, &session, &begun, second).await {
                Ok(response) => response,
                Err(SignInError::Db(error)) => return error::database(&page, &error),
                // The password was changed meanwhile, or the account has another owner.
                Err(_) => see_other("/login"),
            };
            set_key(&state, &mut response, None);
            response
        }
        Ok(Judged::Refused(refusal)) => refused(&state, page, &key, with, remember, refusal).await,
        Ok(Judged::Gone) => see_other("/login"),
        Err(error) => error::database(&page, &error),
    }
}

enum Judged {
    Right(Unfinished),
    Refused(Refusal),
    /// Over, used, or never there.
    Gone,
}

enum Refusal {
    Wrong,
    /// The last that was to be tried: what is left is to begin anew.
    Over(Unfinished),
    /// No mailed code waits any more: another mail may be asked for.
    NoneWaits,
    Limited(Limited),
}

/// The page again, and why.
async fn refused(
    state: &AppState,
    mut page: Page,
    key: &PlainToken,
    with: With,
    remember: bool,
    refusal: Refusal,
) -> Response {
    let again = async {
        if let Refusal::Over(begun) = &refusal {
            let asked = Asked { with, by_mail: false, mailed: false };
            return Ok(Some((begun.clone(), asked)));
        }
        let begun = unfinished::look(&mut state.platform.db.read().await?, &state.platform, key).await?;
        let Some(begun) = begun else { return Ok::<_, DbError>(None) };
        let asked = asked(state, key, &begun, with).await?;
        Ok(Some((begun, asked)))
    };
    let (begun, asked) = match again.await {
        Ok(Some(again)) => again,
        Ok(None) => return see_other("/login"),
        Err(error) => return error::database(&page, &error),
    };
    suit(state, &mut page, &begun).await;
    let (page, t) = (&page, page.t());
    let mut again = shown(page, &begun, asked);
    if matches!(refusal, Refusal::Over(_)) {
        (again.over, again.code) = (true, None);
    }
    again.remember = remember;
    let (status, alert) = match &refusal {
        Refusal::Over(_) => (StatusCode::UNPROCESSABLE_ENTITY, Some("factor-over")),
        Refusal::NoneWaits => (StatusCode::UNPROCESSABLE_ENTITY, Some("mailed-over")),
        Refusal::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, Some("factor-limited")),
        Refusal::Wrong => {
            match &mut again.code {
                Some(field) => {
                    field.error = Some(t.get(with.wrong()));
                    (StatusCode::UNPROCESSABLE_ENTITY, None)
                }
                // It was the last of a mail's.
                None => (StatusCode::UNPROCESSABLE_ENTITY, Some("mailed-over")),
            }
        }
    };
    again.alert = alert.map(|key| t.get(key));
    let mut response = page.render(status, &again);
    if let Refusal::Limited(limited) = refusal {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(limited.retry_after));
    }
    response
}

async fn judge(state: &AppState, key: &PlainToken, code: &str) -> Result<Judged, DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let begun = unfinished::attempt(&mut tx, platform, key).await?;
    tx.commit().await?;
    let Some(begun) = begun else { return Ok(Judged::Gone) };
    if let Err(limited) = count_try(platform, begun.user_id, code).await {
        return Ok(Judged::Refused(Refusal::Limited(limited)));
    }
    let mut tx = platform.db.begin().await?;
    let right = use_code(&mut tx, platform, begun.user_id, code).await?;
    // Without it the code is not used up either.
    if right && !unfinished::consume(&mut tx, platform, key).await? {
        return Ok(Judged::Gone);
    }
    tx.commit().await?;
    Ok(match right {
        true => Judged::Right(begun),
        false if begun.attempts >= ATTEMPTS => Judged::Refused(Refusal::Over(begun)),
        false => Judged::Refused(Refusal::Wrong),
    })
}

async fn judge_mailed(state: &AppState, key: &PlainToken, code: &str) -> Result<Judged, DbError> {
    // The page may have been there before the app asked for more: its code would make no sign-in of use.
    let begun = unfinished::look(&mut state.platform.db.read().await?, &state.platform, key).await?;
    let Some(begun) = begun else { return Ok(Judged::Gone) };
    if !is_enough(state, &begun).await? {
        return Ok(Judged::Gone);
    }
    match mailed::use_up(&state.platform, key, code).await {
        Ok(begun) => Ok(Judged::Right(begun)),
        Err(MailedError::Wrong) => Ok(Judged::Refused(Refusal::Wrong)),
        Err(MailedError::NoneWaits) => Ok(Judged::Refused(Refusal::NoneWaits)),
        Err(MailedError::Limited(limited)) => Ok(Judged::Refused(Refusal::Limited(limited))),
        Err(MailedError::Gone) => Ok(Judged::Gone),
        Err(MailedError::Db(error)) => Err(error),
    }
}

async fn sign_in(
    state: &AppState,
    page: &Page,
    session: &Session,
    begun: &Unfinished,
    second: Second,
) -> Result<Response, SignInError> {
    let password = match &begun.phc_digest {
        None => None,
        Some(digest) => {
            let mut conn = state.platform.db.read().await?;
            Some(signin::take_up(&mut conn, begun.user_id, digest).await?.ok_or(SignInError::Refused)?)
        }
    };
    let proof = password.as_ref().map_or(Proof::Code(begun.user_id), Proof::Password);
    let shown = begun.amr.iter().map(String::as_str);
    let (acr, amr) = match second {
        // Two channels, and one factor: `docs/decisions/0014-mailed-codes-and-remembered-devices.md`.
        Second::Mailed => (ACR_PASSWORD, shown.chain([AMR_MAILED]).collect()),
        _ => with_code(shown),
    };
    conclude_with(state, page, session, (begun.user_id, acr, &amr), (proof, second), &begun.onward).await
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
    let shown = |with, mailed| shown(page, &begun, Asked { with, by_mail: true, mailed });
    into.page("second-factor", || shown(With::App, false));
    into.page("second-factor-recovery", || shown(With::Recovery, false));
    into.page("second-factor-mail", || shown(With::Mail, false));
    into.page("second-factor-mailed", || shown(With::Mail, true));
    into.page("second-factor-over", || {
        let mut shown = shown(With::App, false);
        shown.alert = Some(page.t().get("factor-over"));
        (shown.over, shown.code) = (true, None);
        shown
    });
}
