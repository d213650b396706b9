//! `/login`: one page with the fields `email` and `password`.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::config::SignUpPolicy;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::ids::{AuthorizationRequestId, UserId};
use shared::problem::retry_after_header;
use shared::users;
use tower_sessions::Session;

use super::field::Field;
use super::layout::{Page, see_other};
use super::samples::Samples;
use super::signing_in::{Shown, enter};
use super::texts::Texts;
use super::upstream::Ways;
use super::{account, device, error, upstream};
use crate::AppState;
use crate::accounts::factors::has_second;
use crate::accounts::factors::passkeys::relying_party;
use crate::accounts::signin::{Caller, SignInError, authenticate_in};
use crate::protocol::authorization::{Loaded, Pending, continue_url, lacks_second_factor, load, showed_for};
use crate::sessions::{self, ACR_PASSWORD, AMR_PASSWORD};

/// What the pages around signing in carry through.
#[derive(Default, Deserialize)]
pub struct Through {
    /// The authorization request that waits for this. Text, so that nonsense makes no error.
    #[serde(default)]
    pub request: String,
}

impl Through {
    pub fn id(&self) -> Option<AuthorizationRequestId> {
        self.request.parse().ok()
    }

    /// Where it goes on after signing in or up.
    pub fn onward(&self) -> String {
        self.id().map(continue_url).or_else(|| resume(&self.request)).unwrap_or_else(|| "/".to_owned())
    }

    /// The request that waits; in its language. `Err` is the page that says that it waits no more.
    pub async fn load(&self, state: &AppState, page: &mut Page) -> Result<Option<Pending>, Response> {
        let Some(id) = self.id() else { return Ok(None) };
        match load(state, id).await {
            Ok(Loaded::Live(pending)) => {
                page.suit(&pending);
                Ok(Some(pending))
            }
            Ok(Loaded::Expired(pending)) => Err(error::expired(page, state, &pending)),
            // Signing in is of use all the same.
            Ok(Loaded::Gone) => Ok(None),
            Err(error) => Err(error::database(page, &error)),
        }
    }

    /// A link to a sister page that carries the request along.
    pub fn link(&self, path: &str) -> String {
        self.carried().map_or_else(|| path.to_owned(), |request| format!("{path}?request={request}"))
    }

    /// What the form carries along: the request's id, or the device page's word.
    pub fn carried(&self) -> Option<String> {
        let id = self.id().map(|id| id.to_string());
        // Spaces and such were read over in the word: they do not go on.
        let word = || self.request.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        id.or_else(|| resume(&self.request).map(|_| word()))
    }
}

/// Where a word leads that is no authorization request's id: to the page of ours that asked for the sign-in.
fn resume(word: &str) -> Option<String> {
    device::resume(word).or_else(|| account::Section::resume(word)).or_else(|| upstream::resume(word))
}

/// Who was chosen on the page for that: an id, or `other`.
#[derive(Default, Deserialize)]
pub struct Chosen {
    #[serde(default)]
    pub account: String,
}

#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: Option<String>,
    /// The app that asks for the sign-in.
    client: Option<String>,
    /// What went wrong with the last attempt.
    alert: Option<String>,
    email: Field,
    password: Field,
    /// Can this browser be asked for a passkey?
    passkeys: bool,
    /// Absent where nobody can sign up.
    signup_link: Option<String>,
    /// Where the accounts are that this browser knows, if it does.
    choose_link: Option<String>,
    ways: Ways,
    forgot_link: String,
    /// What went well on the way here.
    notice: Option<String>,
    /// Does it ask by itself, in the field for the address? Not right after a passkey that was refused: it would be
    /// offered again.
    unasked: bool,
}

fn form<'a>(page: &'a Page, through: &Through, client: Option<String>, email: String) -> LoginPage<'a> {
    let t = page.t();
    let passkeys = relying_party(&page.state().platform).is_some();
    // The browser offers passkeys among the addresses it knows.
    let autocomplete = if passkeys { "username webauthn" } else { "username" };
    let is_open = page.state().platform.config.accounts.signup != SignUpPolicy::Off;
    let mut email = Field::new("email", "email", autocomplete, t.get("field-email")).required().value(email);
    let mut password = Field::new("password", "password", "current-password", t.get("field-password")).required();
    password.max_length = crate::passwords::MAX_BYTES;
    email.focus = email.value.is_empty();
    password.focus = !email.focus;
    LoginPage {
        page,
        t,
        csrf: page.csrf_token(None),
        request: through.carried(),
        client,
        alert: None,
        email,
        password,
        passkeys,
        signup_link: is_open.then(|| through.link("/signup")),
        choose_link: (!page.known().is_empty()).then(|| through.link("/choose-account")),
        ways: Ways::new(page),
        forgot_link: through.link("/forgot-password"),
        notice: None,
        unasked: true,
    }
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Query(through): Query<Through>,
    Query(chosen): Query<Chosen>,
) -> Response {
    let pending = match through.load(&state, &mut page).await {
        Ok(pending) => pending,
        Err(response) => return response,
    };
    let signed_in = match sessions::current(&session, &state).await {
        Ok(signed_in) => signed_in,
        Err(error) => return error::database(&page, &error),
    };
    // Who is signed in and lacks the second factor alone is asked for that alone.
    if let (Some(pending), Some(signed_in)) = (&pending, &signed_in) {
        let lacks = async {
            let showed = showed_for(&state, &pending.request, signed_in).await?;
            let now = state.platform.clock.now();
            Ok(lacks_second_factor(&pending.request, signed_in, showed, pending.created_at, now)
                && has_second(&mut state.platform.db.read().await?, signed_in.user_id).await?)
        };
        match lacks.await {
            Ok(true) => return see_other(&through.link("/account/confirm")),
            Ok(false) => {}
            Err(error) => return error::database(&page, &error),
        }
    }
    let awaits_choice = pending.as_ref().is_some_and(|pending| pending.request.awaits_choice());
    if awaits_choice && chosen.account.is_empty() && !page.known().is_empty() {
        return see_other(&through.link("/choose-account"));
    }
    // Who comes from the device page has signed in there, or wants to as somebody else.
    if pending.is_none() && resume(&through.request).is_none() && signed_in.is_some() {
        return see_other("/");
    }
    let hint = match email_of(&state, &page, &through, &chosen).await {
        Ok(Some(email)) => email,
        Ok(None) => pending.as_ref().and_then(|p| p.request.login_hint.clone()).unwrap_or_default(),
        Err(error) => return error::database(&page, &error),
    };
    page.render(StatusCode::OK, &form(&page, &through, pending.map(|p| p.client.name.clone()), hint))
}

/// The address of who was chosen: only of accounts that signed in here before, or that came back from a provider.
async fn email_of(
    state: &AppState,
    page: &Page,
    through: &Through,
    chosen: &Chosen,
) -> Result<Option<String>, DbError> {
    if let Ok(id) = chosen.account.parse::<UserId>()
        && page.known().has(id)
    {
        let mut conn = state.platform.db.read().await?;
        let may = page.known().still(&mut conn).await?.contains(&id);
        let user = users::by_id(&mut conn, id).await?.filter(|_| may);
        return Ok(user.map(|user| user.email));
    }
    upstream::email_of(state, page, &through.request).await
}

#[derive(Deserialize)]
pub struct SignIn {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let Ok(Form(SignIn { csrf, email, password, through })) = sent else { return error::malformed(&page) };
    page.at("/login", &[("request", through.request.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let caller = Caller { ip: &ip, known: Some(page.known()) };
    let user = match authenticate_in(&state, &email, &password, caller, "login").await {
        Ok(user) => user,
        Err(error) => return refused(&state, page, &through, email, error).await,
    };
    let shown = Shown { user_id: user.id, acr: ACR_PASSWORD, amr: &[AMR_PASSWORD], password: Some(&user) };
    let why = match enter(&state, &page, &session, &shown, &through.onward()).await {
        Ok(response) => return response,
        Err(why) => why,
    };
    refused(&state, page, &through, email, why).await
}

/// The way in for who has just set a new password. Not in itself: there may be a second factor, and whoever reads the
/// mailbox has not shown that.
pub async fn after_reset(state: &AppState, mut page: Page, through: &Through, email: String) -> Response {
    let client = match through.load(state, &mut page).await {
        Ok(pending) => pending.map(|p| p.client.name.clone()),
        Err(response) => return response,
    };
    page.at("/login", &[("request", through.request.as_str())]);
    let mut shown = form(&page, through, client, email);
    shown.notice = Some(format!("{} {}", page.t().get("reset-done"), page.t().get("reset-review")));
    page.render(StatusCode::OK, &shown)
}

/// When to try again, in words.
pub fn wait(t: Texts, after: Duration) -> String {
    let seconds = after.as_millis().div_ceil(1000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    if seconds < 60 {
        t.count("login-wait-seconds", "n", seconds)
    } else {
        t.count("login-wait-minutes", "n", seconds.div_ceil(60))
    }
}

/// The page again, after a passkey that was not accepted.
pub async fn passkey_refused(state: &AppState, page: Page, through: &Through, why: SignInError) -> Response {
    again(state, page, through, String::new(), why, "passkey-refused").await
}

async fn refused(state: &AppState, page: Page, through: &Through, email: String, why: SignInError) -> Response {
    again(state, page, through, email, why, "login-refused").await
}

async fn again(
    state: &AppState,
    mut page: Page,
    through: &Through,
    email: String,
    why: SignInError,
    refused: &'static str,
) -> Response {
    let client = match through.load(state, &mut page).await {
        Ok(pending) => pending.map(|p| p.client.name.clone()),
        Err(response) => return response,
    };
    let unasked = !(matches!(why, SignInError::Refused) && refused == "passkey-refused");
    let (status, message, retry_after) = match why {
        // 422 like any other field at fault: 401 would need a challenge, and there is none for forms.
        SignInError::Refused => (StatusCode::UNPROCESSABLE_ENTITY, page.t().get(refused), None),
        SignInError::Limited(after) => (StatusCode::TOO_MANY_REQUESTS, wait(page.t(), after), Some(after)),
        SignInError::Busy(after) => (StatusCode::SERVICE_UNAVAILABLE, page.t().get("login-busy"), Some(after)),
        SignInError::Db(error) => return error::database(&page, &error),
    };
    let mut shown = form(&page, through, client, email);
    shown.alert = Some(message);
    shown.unasked = unasked;
    let mut response = page.render(status, &shown);
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(after));
    }
    response
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let through = Through::default();
    into.page("login", || form(page, &through, Some("Bookshelf".into()), String::new()));
    into.page("login-refused", || {
        let mut shown = form(page, &through, None, "ann@example.com".into());
        shown.alert = Some(page.t().get("login-refused"));
        shown.passkeys = true;
        shown.choose_link = Some("/choose-account".into());
        shown.ways = Ways { providers: vec![("work".into(), "Work".into())] };
        shown
    });
    into.page("login-after-reset", || {
        let mut shown = form(page, &through, None, "ann@example.com".into());
        shown.notice = Some(page.t().get("reset-done"));
        shown
    });
}
