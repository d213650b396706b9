//! `/login`: one page with the fields `email` and `password`.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::AuthorizationRequestId;
use shared::problem::retry_after_header;
use tower_sessions::Session;

use super::field::Field;
use super::layout::{Page, see_other};
use super::signing_in::{Shown, finish};
use super::texts::Texts;
use super::{account, device, error};
use crate::AppState;
use crate::accounts::signin::{SignInError, authenticate};
use crate::protocol::authorization::{Loaded, Pending, continue_url, load};
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
                page.prefer(&pending.request.ui_locales);
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
    device::resume(word).or_else(|| account::Section::resume(word))
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
    signup_link: String,
    forgot_link: String,
    /// What went well on the way here.
    notice: Option<String>,
}

fn form<'a>(page: &'a Page, through: &Through, client: Option<String>, email: String) -> LoginPage<'a> {
    let t = page.t();
    let mut email = Field::new("email", "email", "username", t.get("field-email")).required().value(email);
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
        signup_link: through.link("/signup"),
        forgot_link: through.link("/forgot-password"),
        notice: None,
    }
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Query(through): Query<Through>,
) -> Response {
    let pending = match through.load(&state, &mut page).await {
        Ok(pending) => pending,
        Err(response) => return response,
    };
    // Who comes from the device page has signed in there, or wants to as somebody else.
    if pending.is_none() && resume(&through.request).is_none() {
        match sessions::current(&session, &state).await {
            Ok(Some(_)) => return see_other("/"),
            Ok(None) => {}
            Err(error) => return error::database(&page, &error),
        }
    }
    let hint = pending.as_ref().and_then(|p| p.request.login_hint.clone()).unwrap_or_default();
    page.render(StatusCode::OK, &form(&page, &through, pending.map(|p| p.client.name.clone()), hint))
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
    let user = match authenticate(&state, &email, &password, &ip, "login").await {
        Ok(user) => user,
        Err(error) => return refused(&state, page, &through, email, error).await,
    };
    let shown = Shown { user_id: user.id, acr: ACR_PASSWORD, amr: &[AMR_PASSWORD], password: Some(&user) };
    let why = match finish(&state, &page, &session, &shown, &through.onward()).await {
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
    shown.notice = Some(page.t().get("reset-done"));
    page.render(StatusCode::OK, &shown)
}

async fn refused(state: &AppState, mut page: Page, through: &Through, email: String, why: SignInError) -> Response {
    let client = match through.load(state, &mut page).await {
        Ok(pending) => pending.map(|p| p.client.name.clone()),
        Err(response) => return response,
    };
    let (status, message, retry_after) = match why {
        // 422 like any other field at fault: 401 would need a challenge, and there is none for forms.
        SignInError::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "login-refused", None),
        SignInError::Limited(after) => (StatusCode::TOO_MANY_REQUESTS, "login-limited", Some(after)),
        SignInError::Busy(after) => (StatusCode::SERVICE_UNAVAILABLE, "login-busy", Some(after)),
        SignInError::Db(error) => return error::database(&page, &error),
    };
    let mut shown = form(&page, through, client, email);
    shown.alert = Some(page.t().get(message));
    let mut response = page.render(status, &shown);
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(after));
    }
    response
}
