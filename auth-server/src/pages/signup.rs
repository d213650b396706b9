//! `/signup`: one page with the fields `email`, `password`, `given_name`, `family_name` and `referral_code`. A link
//! `/signup?ref=CODE` fills in the code and shows who invites.

use std::time::Duration;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::{Deserialize, Serialize};
use shared::config::SignUpPolicy;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::problem::{Problem, retry_after_header};
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Refusal};
use shared::users;
use tower_sessions::Session;

use super::field::Field;
use super::layout::Page;
use super::login::Through;
use super::samples::Samples;
use super::texts::Texts;
use super::upstream::Ways;
use super::visit::Visit;
use super::{error, logout};
use crate::AppState;
use crate::accounts::signup::{NewAccount, Outcome, SignUpError, sign_up};
use crate::accounts::{Fault, MAX_NAME, refusal_message};
use crate::sessions::{self, ACR_PASSWORD, AMR_PASSWORD};

const MINUTE: Duration = Duration::from_secs(60);

/// What is known of a code before the sign-up.
enum CodeState {
    Valid {
        inviter: Option<String>,
    },
    Refused(Refusal),
    /// Nothing to check, or checked too often.
    Unknown,
}

async fn check(state: &AppState, ip: &ClientIp, code: &str) -> Result<CodeState, DbError> {
    if code.trim().is_empty() {
        return Ok(CodeState::Unknown);
    }
    let platform = &state.platform;
    let Some(key) = CodeKey::fold(code) else { return Ok(CodeState::Refused(Refusal::Unknown)) };
    let per_minute = platform.config.limits.code_checks_per_minute;
    if platform.limits.check("code-check", &ip.bucket(), per_minute, MINUTE).await.is_err() {
        return Ok(CodeState::Unknown);
    }
    let mut conn = platform.db.read().await?;
    let Some(code) = store::by_key(&mut conn, &key).await? else { return Ok(CodeState::Refused(Refusal::Unknown)) };
    if let Some(refusal) = store::refusal(&code, platform.clock.now()) {
        return Ok(CodeState::Refused(refusal));
    }
    let inviter = users::by_id(&mut conn, code.referrer_id).await?.and_then(|user| user.display_name());
    Ok(CodeState::Valid { inviter })
}

#[derive(Template)]
#[template(path = "pages/signup.html")]
struct SignUpPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: Option<String>,
    client: Option<String>,
    /// Who invites: shown large when the code came with the link.
    invitation: Option<String>,
    /// What there is to say about the link that led here.
    notice: Option<String>,
    /// The code that was filled in because a link was followed before, so that one that is taken out stays out.
    touch: Option<String>,
    /// Faults of fields, for the summary: field and message.
    faults: Vec<(&'static str, String)>,
    /// What else went wrong.
    alert: Option<String>,
    /// The page that the form is posted to.
    action: &'static str,
    /// Who comes from another provider: by its name, and what the form knows that by.
    from: Option<(String, String)>,
    /// An address that the provider vouches for, which is not typed.
    vouched: Option<String>,
    email: Field,
    /// Who comes from another provider needs none.
    password: Option<Field>,
    given_name: Field,
    family_name: Field,
    referral_code: Field,
    /// What is known of the code, and whether it is good.
    code_status: Option<(String, bool)>,
    terms: Option<Terms>,
    login_link: String,
    ways: Ways,
}

/// Terms to agree to.
struct Terms {
    url: String,
    version: String,
    agreed: bool,
    fault: Option<String>,
}

/// What a form keeps when it is shown again: all but the password.
#[derive(Default)]
pub(super) struct Typed {
    pub email: String,
    pub given_name: String,
    pub family_name: String,
    pub referral_code: String,
    /// The code that the page filled in by itself.
    pub touch: String,
    pub terms: String,
}

fn form<'a>(
    page: &'a Page,
    through: &Through,
    client: Option<String>,
    typed: Typed,
    code: &CodeState,
) -> SignUpPage<'a> {
    let t = page.t();
    let config = &page.state().platform.config;
    let touch = Some(typed.touch).filter(|code| !code.is_empty());
    let min = u64::from(config.passwords.min_length);
    let mut email = Field::new("email", "email", "username", t.get("field-email")).required().value(typed.email);
    email.focus = email.value.is_empty();
    let mut password = Field::new("password", "password", "new-password", t.get("field-password"))
        .required()
        .hint(t.count("signup-password-hint", "n", min));
    password.max_length = crate::passwords::MAX_BYTES;
    let mut given_name =
        Field::new("given_name", "text", "given-name", t.get("field-given-name")).value(typed.given_name);
    let mut family_name =
        Field::new("family_name", "text", "family-name", t.get("field-family-name")).value(typed.family_name);
    given_name.max_length = MAX_NAME;
    family_name.max_length = MAX_NAME;
    let mut referral_code =
        Field::new("referral_code", "text", "off", t.get("field-referral-code")).value(typed.referral_code);
    // The code is what lets people in, or a friend's kindness.
    referral_code.required = config.accounts.signup == SignUpPolicy::Invitation;
    referral_code.hint =
        Some(t.get(if referral_code.required { "signup-invitation-hint" } else { "signup-code-hint" }));
    referral_code.max_length = 64;
    referral_code.check_at = Some("/signup/referral-code");
    let invited = |inviter: &Option<String>| match inviter {
        Some(name) => t.with("signup-invited-by", "name", name),
        None => t.get("signup-invited"),
    };
    let (invitation, code_status) = match code {
        CodeState::Valid { inviter } => (Some(invited(inviter)), Some((invited(inviter), true))),
        CodeState::Refused(refusal) => (None, Some((t.get(refusal_message(*refusal)), false))),
        CodeState::Unknown => (None, None),
    };
    SignUpPage {
        page,
        t,
        csrf: page.csrf_token(None),
        request: through.carried(),
        client,
        invitation,
        notice: None,
        touch,
        faults: vec![],
        alert: None,
        action: "/signup",
        from: None,
        vouched: None,
        email,
        password: Some(password),
        given_name,
        family_name,
        referral_code,
        code_status,
        terms: config.accounts.terms_url.as_ref().map(|url| Terms {
            url: url.to_string(),
            version: config.accounts.terms_version.clone(),
            agreed: typed.terms == config.accounts.terms_version,
            fault: None,
        }),
        login_link: through.link("/login"),
        ways: Ways::new(page),
    }
}

impl SignUpPage<'_> {
    fn blame(&mut self, faults: &[Fault]) {
        for fault in faults {
            let message = self.t.fault(*fault);
            let field = match fault.field() {
                "email" => &mut self.email,
                "password" if let Some(password) = &mut self.password => password,
                "terms" => {
                    if let Some(terms) = &mut self.terms {
                        terms.fault = Some(message.clone());
                    }
                    self.faults.push((fault.field(), message));
                    continue;
                }
                "given_name" => &mut self.given_name,
                "family_name" => &mut self.family_name,
                _ => {
                    self.code_status = None;
                    &mut self.referral_code
                }
            };
            field.error = Some(message.clone());
            self.faults.push((fault.field(), message));
        }
        self.email.focus = false;
    }
}

#[derive(Deserialize)]
pub struct Arrival {
    #[serde(default, rename = "ref")]
    code: String,
    /// `dead`: who comes followed a link that leads nowhere any more.
    #[serde(default)]
    link: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    visit: Visit,
    ip: ClientIp,
    Query(Arrival { code, link, through }): Query<Arrival>,
) -> Response {
    let pending = match through.load(&state, &mut page).await {
        Ok(pending) => pending,
        Err(response) => return response,
    };
    if state.platform.config.accounts.signup == SignUpPolicy::Off {
        return closed(&page, StatusCode::OK, &through);
    }
    // Without a code in the link, the one by whose link the browser came before.
    let touch = match visit.offered().await {
        Ok(offered) => offered.filter(|_| code.trim().is_empty()).unwrap_or_default(),
        Err(error) => return error::database(&page, &error),
    };
    let code = if touch.is_empty() { code } else { touch.clone() };
    let checked = match check(&state, &ip, &code).await {
        Ok(checked) => checked,
        Err(error) => return error::database(&page, &error),
    };
    let email = pending.as_ref().and_then(|p| p.request.login_hint.clone()).unwrap_or_default();
    let followed = CodeKey::fold(&code).filter(|_| touch.is_empty() && matches!(checked, CodeState::Valid { .. }));
    let typed = Typed { email, referral_code: code.chars().take(64).collect(), touch, ..Typed::default() };
    let client = pending.map(|p| p.client.name.clone());
    let mut shown = form(&page, &through, client, typed, &checked);
    shown.notice = (link == "dead").then(|| page.t().get("signup-link-dead"));
    let mut response = page.render(StatusCode::OK, &shown);
    visit.mark_device(&mut response);
    if let Some(code) = followed {
        visit.touch(&mut response, &code);
    }
    response
}

#[derive(Deserialize)]
pub struct SignUp {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    given_name: String,
    #[serde(default)]
    family_name: String,
    #[serde(default)]
    referral_code: String,
    #[serde(default)]
    touch: String,
    /// The version of the terms, where its box is ticked.
    #[serde(default)]
    terms: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    visit: Visit,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<SignUp>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else { return error::malformed(&page) };
    let SignUp { csrf, email, password, given_name, family_name, referral_code, touch, terms, through } = sent;
    page.at("/signup", &[("ref", referral_code.as_str()), ("request", through.request.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let (code, source) = visit.code(&referral_code, &touch);
    let account = NewAccount {
        email: email.clone(),
        password,
        given_name: Some(given_name.clone()),
        family_name: Some(family_name.clone()),
        referral_code: Some(code),
        source,
        device: visit.device(),
        locale: Some(page.lang().to_owned()),
        terms_version: Some(terms.clone()),
    };
    match sign_up(&state, account, &ip).await {
        Ok(Outcome::Created { id, .. }) => {
            match sessions::sign_in(&session, &state, id, ACR_PASSWORD, &[AMR_PASSWORD]).await {
                Ok((signed_in, left)) => {
                    sessions::devices::note(&state, signed_in.sid, page.user_agent()).await;
                    let mut response = logout::onward(&state, &page, &left, &through.onward());
                    page.remember(&mut response, &page.known().with(&state.platform, id));
                    visit.forget_links(&mut response);
                    response
                }
                // The account is there; signing in is all that is left to do.
                Err(error) => error::database(&page, &error),
            }
        }
        Ok(Outcome::VerificationRequired) => {
            let mut response = check_your_mail(&page, email.trim());
            visit.forget_links(&mut response);
            response
        }
        Err(why) => {
            let typed = Typed { email, given_name, family_name, referral_code, touch, terms };
            refused(&state, page, &ip, &through, typed, None, why).await
        }
    }
}

pub(super) async fn refused(
    state: &AppState,
    mut page: Page,
    ip: &ClientIp,
    through: &Through,
    typed: Typed,
    from: Option<&Newcomer<'_>>,
    why: SignUpError,
) -> Response {
    let (status, faults, alert, retry_after) = match why {
        SignUpError::Invalid(faults) => (StatusCode::UNPROCESSABLE_ENTITY, faults, None, None),
        SignUpError::Closed => return closed(&page, StatusCode::FORBIDDEN, through),
        SignUpError::TakenEmail => (StatusCode::CONFLICT, vec![Fault::EmailTaken], None, None),
        SignUpError::Limited(limited) => {
            (StatusCode::TOO_MANY_REQUESTS, vec![], Some("signup-limited"), Some(limited.retry_after))
        }
        SignUpError::Busy(after) => (StatusCode::SERVICE_UNAVAILABLE, vec![], Some("login-busy"), Some(after)),
        SignUpError::AnsweredAlready => (StatusCode::SERVICE_UNAVAILABLE, vec![], Some("login-busy"), Some(MINUTE)),
        SignUpError::Db(error) => return error::database(&page, &error),
    };
    let client = match through.load(state, &mut page).await {
        Ok(pending) => pending.map(|p| p.client.name.clone()),
        Err(response) => return response,
    };
    let checked = match check(state, ip, &typed.referral_code).await {
        Ok(checked) => checked,
        Err(error) => return error::database(&page, &error),
    };
    let mut shown = form(&page, through, client, typed, &checked);
    if let Some(from) = from {
        shown.comes_from(from);
    }
    shown.blame(&faults);
    shown.alert = alert.map(|key| page.t().get(key));
    let mut response = page.render(status, &shown);
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(after));
    }
    response
}

/// Somebody who comes from another provider, without an account here.
pub(super) struct Newcomer<'a> {
    pub name: &'a str,
    pub attempt: String,
    pub vouched: Option<&'a str>,
}

impl SignUpPage<'_> {
    fn comes_from(&mut self, from: &Newcomer<'_>) {
        self.action = "/login/continue";
        self.from = Some((from.name.to_owned(), from.attempt.clone()));
        self.vouched = from.vouched.map(str::to_owned);
        self.password = None;
        self.ways = Ways::default();
        self.email.focus = self.email.focus && self.vouched.is_none();
    }
}

/// The form for somebody who comes from another provider.
pub(super) async fn welcome(
    state: &AppState,
    mut page: Page,
    visit: &Visit,
    ip: &ClientIp,
    through: &Through,
    typed: Typed,
    from: &Newcomer<'_>,
) -> Response {
    if state.platform.config.accounts.signup == SignUpPolicy::Off {
        return closed(&page, StatusCode::FORBIDDEN, through);
    }
    let client = match through.load(state, &mut page).await {
        Ok(pending) => pending.map(|p| p.client.name.clone()),
        Err(response) => return response,
    };
    let checked = match check(state, ip, &typed.referral_code).await {
        Ok(checked) => checked,
        Err(error) => return error::database(&page, &error),
    };
    let mut shown = form(&page, through, client, typed, &checked);
    shown.comes_from(from);
    let mut response = page.render(StatusCode::OK, &shown);
    visit.mark_device(&mut response);
    response
}

#[derive(Template)]
#[template(path = "pages/signup_closed.html")]
struct ClosedPage<'a> {
    page: &'a Page,
    t: Texts,
    login_link: String,
}

/// Nobody can sign up here.
fn closed(page: &Page, status: StatusCode, through: &Through) -> Response {
    page.render(status, &ClosedPage { page, t: page.t(), login_link: through.link("/login") })
}

#[derive(Template)]
#[template(path = "pages/check_mail.html")]
struct CheckMailPage<'a> {
    page: &'a Page,
    t: Texts,
    email: &'a str,
}

/// Said whether the address was free or taken.
fn check_your_mail(page: &Page, email: &str) -> Response {
    page.render(StatusCode::OK, &CheckMailPage { page, t: page.t(), email })
}

#[derive(Deserialize)]
pub struct CodeQuery {
    #[serde(default)]
    code: String,
}

/// What the script of the page is told about a code.
#[derive(Serialize)]
struct CodeAnswer {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<String>,
    /// For the person, in the page's language.
    message: String,
}

/// `GET /signup/referral-code?code=…`.
pub async fn check_code(
    State(state): State<AppState>,
    page: Page,
    ip: ClientIp,
    Query(query): Query<CodeQuery>,
) -> Response {
    let t = page.t();
    let answer = match check(&state, &ip, &query.code).await {
        Ok(CodeState::Valid { inviter }) => {
            let message = match &inviter {
                Some(name) => t.with("signup-invited-by", "name", name),
                None => t.get("signup-invited"),
            };
            CodeAnswer { valid: true, inviter, message }
        }
        Ok(CodeState::Refused(refusal)) => {
            CodeAnswer { valid: false, inviter: None, message: t.get(refusal_message(refusal)) }
        }
        Ok(CodeState::Unknown) if query.code.trim().is_empty() => {
            CodeAnswer { valid: false, inviter: None, message: String::new() }
        }
        Ok(CodeState::Unknown) => return Problem::too_many_requests(MINUTE).into_response(),
        Err(error) => return Problem::from(error).into_response(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let through = Through::default();
    let valid = CodeState::Valid { inviter: Some("Bob Ray".into()) };
    let typed = || Typed { email: "ann@example.com".into(), given_name: "Ann".into(), ..Typed::default() };
    into.page("signup", || form(page, &through, Some("Bookshelf".into()), Typed::default(), &valid));
    into.page("signup-faults", || {
        let mut shown = form(page, &through, None, typed(), &CodeState::Refused(Refusal::Expired));
        let url = "https://example.com/terms".to_owned();
        shown.terms = Some(Terms { url, version: "1".into(), agreed: false, fault: None });
        shown.blame(&[Fault::EmailTaken, Fault::Terms]);
        shown.alert = Some(page.t().get("login-busy"));
        shown.ways = Ways { providers: vec![("work".into(), "Work".into())] };
        shown
    });
    into.page("signup-from-provider", || {
        let mut shown = form(page, &through, None, typed(), &CodeState::Unknown);
        shown.comes_from(&Newcomer { name: "Work", attempt: "sample".into(), vouched: Some("ann@example.com") });
        shown
    });
    into.page("signup-dead-link", || {
        let mut shown = form(page, &through, None, Typed::default(), &CodeState::Unknown);
        shown.notice = Some(page.t().get("signup-link-dead"));
        shown
    });
    into.page("signup-closed", || ClosedPage { page, t: page.t(), login_link: "/login".into() });
    into.page("check-mail", || CheckMailPage { page, t: page.t(), email: "ann@example.com" });
}
