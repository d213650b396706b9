//! `/login/upstream/{id}`: signing in with another provider, its way back, and `/login/continue`, where somebody whom no
//! account knows yet either proves the account that has their address, or makes one.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::problem::retry_after_header;
use shared::users::User;
use tower_sessions::Session;
use uuid::Uuid;

use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::Samples;
use super::sheet::{FormPart, Sheet, mailed_code};
use super::signing_in::{Shown, finish_from};
use super::signup::{self, Newcomer, Typed};
use super::texts::Texts;
use super::visit::Visit;
use super::{account, error};
use crate::AppState;
use crate::accounts::Fault;
use crate::accounts::factors::showed_all;
use crate::accounts::signin::SignInError;
use crate::accounts::signup::{NewAccount, SignUpError};
use crate::accounts::upstream::{self as identities, Linked, ProofError, Returned, SignedUp, Waiting};
use crate::sessions::{self, ACR_UPSTREAM, SignedIn};
use crate::upstream::{Callback, Identity, Provider, UpstreamError};

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// The buttons of other providers, on the pages for signing in and up.
#[derive(Default)]
pub struct Ways {
    /// Id and name.
    pub providers: Vec<(String, String)>,
}

impl Ways {
    pub fn new(page: &Page) -> Self {
        let providers = page.state().upstreams.iter();
        Self { providers: providers.map(|p| (p.id().to_owned(), p.name().to_owned())).collect() }
    }
}

/// The word by which sign-in comes back to an identity that waits.
fn word(id: Uuid) -> String {
    format!("upstream-{id}")
}

fn id_in(word: &str) -> Option<Uuid> {
    word.strip_prefix("upstream-")?.parse().ok()
}

/// Where that word leads; `None` for any other.
pub(super) fn resume(word: &str) -> Option<String> {
    if word == account::UPSTREAM_WORD {
        return Some(account::UPSTREAM_PATH.to_owned());
    }
    id_in(word).map(|id| format!("/login/continue?attempt={id}"))
}

async fn read(state: &AppState, page: &Page, id: Uuid) -> Result<Option<Waiting>, DbError> {
    let Some(browser) = page.browser() else { return Ok(None) };
    identities::waiting(&mut state.platform.db.read().await?, &state.platform, id, &browser).await
}

/// The address of an identity that waits for its account to be proved, in the browser that it came back to.
pub(super) async fn email_of(state: &AppState, page: &Page, word: &str) -> Result<Option<String>, DbError> {
    let Some(id) = id_in(word) else { return Ok(None) };
    Ok(read(state, page, id).await?.and_then(|waiting| waiting.identity.email))
}

#[derive(Template)]
#[template(path = "pages/upstream_problem.html")]
struct ProblemPage<'a> {
    page: &'a Page,
    t: Texts,
    title: &'static str,
    text: &'static str,
    provider: &'a str,
    /// The way back, and the words for it.
    back: (String, &'static str),
}

/// What went wrong, and the way back to where it began.
fn problem(
    page: &Page,
    status: StatusCode,
    provider: &str,
    what: (&'static str, &'static str),
    back: String,
) -> Response {
    let (title, text) = what;
    let words = if back.starts_with("/account") { "upstream-back-account" } else { "upstream-back" };
    page.render(status, &ProblemPage { page, t: page.t(), title, text, provider, back: (back, words) })
}

fn failed(page: &Page, provider: &Provider, error: &UpstreamError, back: String) -> Response {
    let (status, what) = match error {
        UpstreamError::Declined => (StatusCode::OK, ("upstream-declined-title", "upstream-declined-text")),
        UpstreamError::Down(_) => {
            tracing::warn!(upstream = provider.id(), %error, "a sign-in can't be done");
            (StatusCode::SERVICE_UNAVAILABLE, ("upstream-down-title", "upstream-down-text"))
        }
        UpstreamError::Untrusted(_) => {
            tracing::warn!(upstream = provider.id(), %error, "a sign-in is refused");
            (StatusCode::BAD_GATEWAY, ("upstream-refused-title", "upstream-refused-text"))
        }
    };
    let mut response = problem(page, status, provider.name(), what, back);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(std::time::Duration::from_secs(10)));
    }
    response
}

/// It was used up, or is too old, or began in another browser.
fn gone(page: &Page, back: String) -> Response {
    problem(page, StatusCode::GONE, "", ("upstream-gone-title", "upstream-gone-text"), back)
}

#[derive(Deserialize)]
pub struct Begin {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    through: Through,
}

/// A POST with its proof: nobody is sent to sign in by a link of somebody else's (login CSRF).
pub async fn begin(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    ip: ClientIp,
    Path(id): Path<String>,
    sent: Result<Form<Begin>, FormRejection>,
) -> Response {
    let Ok(Form(Begin { csrf, through })) = sent else { return error::malformed(&page) };
    page.at("/login", &[("request", through.request.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let Some(provider) = state.upstreams.get(&id) else { return error::malformed(&page) };
    // Who is signed in comes to show once more who they are, and so does who is sent by an app that wants that.
    let signed_in = match sessions::current(&session, &state).await {
        Ok(signed_in) => signed_in.is_some(),
        Err(error) => return error::database(&page, &error),
    };
    let wanted = match through.load(&state, &mut page).await {
        Ok(pending) => pending.is_some_and(|p| p.request.wants_sign_in()),
        Err(response) => return response,
    };
    let onward = through.carried().unwrap_or_default();
    let purpose = Purpose { adding: None, anew: signed_in || wanted };
    leave_for(&state, &page, &ip, provider, &onward, purpose, through.link("/login")).await
}

/// What somebody goes to a provider for.
pub(super) struct Purpose<'a> {
    /// To add a way into the account of who is signed in, rather than to sign in.
    pub adding: Option<&'a SignedIn>,
    /// To show there once more who they are.
    pub anew: bool,
}

/// Sends the browser to `provider`.
pub(super) async fn leave_for(
    state: &AppState,
    page: &Page,
    ip: &ClientIp,
    provider: &Provider,
    onward: &str,
    Purpose { adding, anew }: Purpose<'_>,
    back: String,
) -> Response {
    let platform = &state.platform;
    let per_minute = platform.config.limits.signins_per_minute;
    if let Err(limited) = platform.limits.check("upstream", &ip.bucket(), per_minute, MINUTE).await {
        return error::unavailable(page, limited.retry_after);
    }
    let Some(browser) = page.browser() else { return error::forged(page) };
    let (url, sent, secrets) = match provider.begin(adding.is_some(), anew).await {
        Ok(begun) => begun,
        Err(error) => return failed(page, provider, &error, back),
    };
    match identities::begin(platform, provider.id(), &browser, &sent, &secrets, onward, adding).await {
        Ok(()) => see_other(url.as_str()),
        Err(error) => error::database(page, &error),
    }
}

pub async fn callback(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Path(id): Path<String>,
    sent: Result<Query<Callback>, QueryRejection>,
) -> Response {
    page.at("/login", &[]);
    let (Ok(Query(callback)), Some(provider)) = (sent, state.upstreams.get(&id)) else {
        return gone(&page, "/login".into());
    };
    // In another browser it is somebody else's sign-in: whoever was sent this link does not end up in their account.
    let Some(browser) = page.browser() else { return gone(&page, "/login".into()) };
    let returned = match identities::take_back(&state.platform, provider.id(), &browser, &callback.state).await {
        Ok(Some(returned)) => returned,
        Ok(None) => return gone(&page, "/login".into()),
        Err(error) => return error::database(&page, &error),
    };
    let Returned { id, onward, adding, secrets } = returned;
    let through = Through { request: onward };
    let back = if adding.is_some() { account::UPSTREAM_PATH.to_owned() } else { through.link("/login") };
    let identity = match provider.finish(callback, secrets).await {
        Ok(identity) => identity,
        Err(error) => return failed(&page, provider, &error, back),
    };
    if let Some((user, sid)) = adding {
        // The session that began it, and no other that this browser has by now.
        let current = match sessions::current(&session, &state).await {
            Ok(current) => current,
            Err(error) => return error::database(&page, &error),
        };
        if current.is_none_or(|current| current.user_id != user || current.sid != sid) {
            return gone(&page, back);
        }
        return match identities::link(&state.platform, id, provider.id(), &identity, user, sid).await {
            Ok(Linked::Done) => see_other(account::UPSTREAM_PATH),
            Ok(Linked::Taken) => taken(&page, provider, back),
            Ok(Linked::Gone) => gone(&page, back),
            Err(error) => error::database(&page, &error),
        };
    }
    match arrive(&state, &page, &session, provider, id, &identity, &through).await {
        Ok(response) => response,
        Err(SignInError::Db(error)) => error::database(&page, &error),
        // Taken from the account, or the account handed over, at this very moment.
        Err(_) => gone(&page, back),
    }
}

fn taken(page: &Page, provider: &Provider, back: String) -> Response {
    let what = ("upstream-taken-title", "upstream-taken-text");
    problem(page, StatusCode::CONFLICT, provider.name(), what, back)
}

/// Signs in whom the identity belongs to; whom no account knows is asked what to do.
async fn arrive(
    state: &AppState,
    page: &Page,
    session: &Session,
    provider: &Provider,
    id: Uuid,
    identity: &Identity,
    through: &Through,
) -> Result<Response, SignInError> {
    let Some(user_id) = identities::signs_in(&state.platform, identity).await? else {
        identities::keep(&state.platform, id, identity).await?;
        return Ok(see_other(&format!("/login/continue?attempt={id}")));
    };
    let shown = Shown { user_id, acr: ACR_UPSTREAM, amr: provider.amr(), password: None };
    finish_from(state, page, session, &shown, (provider.id(), identity), &through.onward()).await
}

#[derive(Template)]
#[template(path = "pages/upstream_link.html")]
struct LinkPage<'a> {
    page: &'a Page,
    t: Texts,
    provider: &'a str,
    email: &'a str,
    step: Step,
    login_link: String,
}

enum Step {
    /// Somebody has to sign in to the account first.
    Prove { sign_in_link: String },
    /// They did.
    Confirm { csrf: String, attempt: String },
}

/// What an identity needs.
enum Needed {
    /// The account that has its address is to be proved.
    Proof(Box<User>),
    Account,
}

async fn needed(state: &AppState, identity: &Identity) -> Result<Needed, DbError> {
    let mut conn = state.platform.db.read().await?;
    let namesake = identities::namesake(&mut conn, identity).await?;
    Ok(namesake.map_or(Needed::Account, |user| Needed::Proof(Box::new(user))))
}

/// Did somebody sign in to this account since the identity came back?
fn proves<'s>(signed_in: Option<&'s SignedIn>, user: &User, waiting: &Waiting) -> Option<&'s SignedIn> {
    signed_in.filter(|s| s.user_id == user.id && s.auth_time >= waiting.returned_at)
}

#[derive(Default, Deserialize)]
pub struct Arrival {
    #[serde(default)]
    attempt: String,
    /// Present where the address that waits for its proof is to be another.
    #[serde(default)]
    again: String,
}

/// Asks for the code that was mailed to the address.
fn ask_for_code(page: &Page, waiting: &Waiting, email: String, fault: Option<&str>) -> Response {
    let t = page.t();
    let mut code = mailed_code(page);
    code.focus = true;
    let form = FormPart::new("/login/continue/code", page.csrf_token(None), t.get("proof-submit"))
        .hidden("attempt", waiting.id.to_string())
        .field(code);
    let mut sheet = Sheet {
        title: t.get("proof-title"),
        lead: Some(t.get("proof-text")),
        about: Some(email),
        forms: vec![form],
        hint: Some(t.get("proof-hint")),
        links: vec![(t.get("proof-again"), format!("/login/continue?attempt={}&again=1", waiting.id))],
        ..Sheet::default()
    };
    let status = match fault {
        Some(fault) => {
            sheet.blame("code", t.get(fault));
            StatusCode::UNPROCESSABLE_ENTITY
        }
        None => StatusCode::OK,
    };
    sheet.show(page, status)
}

#[derive(Deserialize)]
pub struct Code {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    attempt: String,
    #[serde(default)]
    code: String,
}

/// `POST /login/continue/code`: the code that proves the address which the provider does not vouch for.
pub async fn prove(
    State(state): State<AppState>,
    mut page: Page,
    visit: Visit,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Code>, FormRejection>,
) -> Response {
    let Ok(Form(Code { csrf, attempt, code })) = sent else { return error::malformed(&page) };
    page.at("/login/continue", &[("attempt", attempt.as_str())]);
    if let Err(response) = page.check_form(&csrf, None) {
        return response;
    }
    let looked = async {
        let Some(waiting) = look(&state, &page, &attempt).await? else { return Ok::<_, DbError>(None) };
        let mut conn = state.platform.db.read().await?;
        let email = identities::to_be_proved(&mut conn, &state.platform, waiting.id).await?;
        Ok(Some((waiting, email)))
    };
    let (waiting, email) = match looked.await {
        Ok(Some(found)) => found,
        Ok(None) => return gone(&page, "/login".into()),
        Err(error) => return error::database(&page, &error),
    };
    let Some(provider) = state.upstreams.get(&waiting.provider) else { return gone(&page, "/login".into()) };
    let through = Through { request: waiting.onward.clone() };
    let again = format!("/login/continue?attempt={}&again=1", waiting.id);
    match identities::prove(&state, &waiting, &code, &ip).await {
        Ok(user_id) => {
            let mut response = arrives(&state, &page, &session, provider, &waiting, user_id).await;
            visit.forget_links(&mut response);
            response
        }
        Err(ProofError::Wrong) => ask_for_code(&page, &waiting, email.unwrap_or_default(), Some("recovery-code-wrong")),
        // Too many codes, or an address that got an account: it is typed anew, and another mail sent.
        Err(ProofError::Gone) => see_other(&again),
        Err(ProofError::Limited(limited)) => error::unavailable(&page, limited.retry_after),
        Err(ProofError::CodeRefused(refusal)) => {
            let typed = Typed { email: email.unwrap_or_default(), ..Typed::default() };
            let why = SignUpError::Invalid(vec![Fault::ReferralCode(refusal)]);
            let from = newcomer(provider, &waiting);
            signup::refused(&state, page, &ip, &through, typed, Some(&from), why).await
        }
        Err(ProofError::Db(error)) => error::database(&page, &error),
    }
}

/// Signs in whose account has just been made.
async fn arrives(
    state: &AppState,
    page: &Page,
    session: &Session,
    provider: &Provider,
    waiting: &Waiting,
    user_id: UserId,
) -> Response {
    let through = Through { request: waiting.onward.clone() };
    let shown = Shown { user_id, acr: ACR_UPSTREAM, amr: provider.amr(), password: None };
    let from = (provider.id(), &waiting.identity);
    match finish_from(state, page, session, &shown, from, &through.onward()).await {
        Ok(response) => response,
        Err(SignInError::Db(error)) => error::database(page, &error),
        Err(_) => gone(page, through.link("/login")),
    }
}

pub async fn show(
    State(state): State<AppState>,
    page: Page,
    visit: Visit,
    session: Session,
    ip: ClientIp,
    query: Result<Query<Arrival>, QueryRejection>,
) -> Response {
    let Arrival { attempt, again } = query.map(|Query(arrival)| arrival).unwrap_or_default();
    let looked = async {
        let Some(waiting) = look(&state, &page, &attempt).await? else { return Ok(None) };
        let needed = needed(&state, &waiting.identity).await?;
        let mut conn = state.platform.db.read().await?;
        let proof = identities::to_be_proved(&mut conn, &state.platform, waiting.id).await?;
        drop(conn);
        let signed_in = sessions::current(&session, &state).await?;
        let offered = visit.offered().await?.unwrap_or_default();
        Ok::<_, DbError>(Some((waiting, needed, proof, signed_in, offered)))
    };
    let (waiting, needed, proof, signed_in, offered) = match looked.await {
        Ok(Some(found)) => found,
        Ok(None) => return gone(&page, "/login".into()),
        Err(error) => return error::database(&page, &error),
    };
    let Some(provider) = state.upstreams.get(&waiting.provider) else { return gone(&page, "/login".into()) };
    let through = Through { request: waiting.onward.clone() };
    match needed {
        Needed::Proof(user) => ask_to_link(&page, provider, &waiting, &user, signed_in.as_ref(), &through),
        Needed::Account => {
            if let Some(email) = proof.filter(|_| again.is_empty()) {
                return ask_for_code(&page, &waiting, email, None);
            }
            let identity = &waiting.identity;
            let typed = Typed {
                email: identity.email.clone().unwrap_or_default(),
                given_name: identity.given_name.clone().unwrap_or_default(),
                family_name: identity.family_name.clone().unwrap_or_default(),
                referral_code: offered.clone(),
                touch: offered,
                ..Typed::default()
            };
            signup::welcome(&state, page, &visit, &ip, &through, typed, &newcomer(provider, &waiting)).await
        }
    }
}

async fn look(state: &AppState, page: &Page, attempt: &str) -> Result<Option<Waiting>, DbError> {
    match attempt.parse() {
        Ok(id) => read(state, page, id).await,
        Err(_) => Ok(None),
    }
}

fn newcomer<'a>(provider: &'a Provider, waiting: &'a Waiting) -> Newcomer<'a> {
    Newcomer {
        name: provider.name(),
        attempt: waiting.id.to_string(),
        vouched: waiting.identity.email.as_deref().filter(|_| waiting.identity.email_verified),
    }
}

fn ask_to_link(
    page: &Page,
    provider: &Provider,
    waiting: &Waiting,
    user: &User,
    signed_in: Option<&SignedIn>,
    through: &Through,
) -> Response {
    let step = match proves(signed_in, user, waiting) {
        Some(signed_in) => Step::Confirm { csrf: page.csrf_token(Some(signed_in)), attempt: waiting.id.to_string() },
        None => Step::Prove { sign_in_link: format!("/login?request={}", word(waiting.id)) },
    };
    let shown = LinkPage {
        page,
        t: page.t(),
        provider: provider.name(),
        // The provider vouches that it is theirs.
        email: &user.email,
        step,
        login_link: through.link("/login"),
    };
    page.render(StatusCode::OK, &shown)
}

#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    attempt: String,
    /// `link`, or empty for a new account.
    #[serde(default)]
    decision: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    given_name: String,
    #[serde(default)]
    family_name: String,
    #[serde(default)]
    referral_code: String,
    #[serde(default)]
    touch: String,
    #[serde(default)]
    terms: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    visit: Visit,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(answer)) = sent else { return error::malformed(&page) };
    page.at("/login/continue", &[("attempt", answer.attempt.as_str())]);
    let looked = async {
        let Some(waiting) = look(&state, &page, &answer.attempt).await? else { return Ok(None) };
        Ok::<_, DbError>(Some((waiting, sessions::current(&session, &state).await?)))
    };
    let (waiting, signed_in) = match looked.await {
        Ok(Some(found)) => found,
        Ok(None) => return gone(&page, "/login".into()),
        Err(error) => return error::database(&page, &error),
    };
    let links = answer.decision == "link";
    if let Err(response) = page.check_form(&answer.csrf, signed_in.as_ref().filter(|_| links)) {
        return response;
    }
    let Some(provider) = state.upstreams.get(&waiting.provider) else { return gone(&page, "/login".into()) };
    if links {
        link(&state, &page, provider, &waiting, signed_in.as_ref()).await
    } else {
        sign_up(&state, page, &session, (&ip, &visit), provider, &waiting, answer).await
    }
}

async fn link(
    state: &AppState,
    page: &Page,
    provider: &Provider,
    waiting: &Waiting,
    signed_in: Option<&SignedIn>,
) -> Response {
    let through = Through { request: waiting.onward.clone() };
    let user = match needed(state, &waiting.identity).await {
        Ok(Needed::Proof(user)) => user,
        Ok(Needed::Account) => return see_other(&format!("/login/continue?attempt={}", waiting.id)),
        Err(error) => return error::database(page, &error),
    };
    let Some(signed_in) = proves(signed_in, &user, waiting) else {
        return ask_to_link(page, provider, waiting, &user, None, &through);
    };
    // A way in is more than a remembered device lets anybody add.
    let showed = async { showed_all(&mut state.platform.db.read().await?, signed_in).await };
    match showed.await {
        Ok(true) => {}
        Ok(false) => return see_other(&format!("/account/confirm?request={}", word(waiting.id))),
        Err(error) => return error::database(page, &error),
    }
    let (id, identity) = (waiting.id, &waiting.identity);
    match identities::link(&state.platform, id, provider.id(), identity, signed_in.user_id, signed_in.sid).await {
        Ok(Linked::Done) => see_other(&through.onward()),
        Ok(Linked::Taken) => taken(page, provider, through.link("/login")),
        Ok(Linked::Gone) => gone(page, through.link("/login")),
        Err(error) => error::database(page, &error),
    }
}

async fn sign_up(
    state: &AppState,
    page: Page,
    session: &Session,
    (ip, visit): (&ClientIp, &Visit),
    provider: &Provider,
    waiting: &Waiting,
    answer: Answer,
) -> Response {
    let Answer { email, given_name, family_name, referral_code, touch, terms, .. } = answer;
    let newcomer = newcomer(provider, waiting);
    let through = Through { request: waiting.onward.clone() };
    // What the provider vouches for is not typed anew.
    let email = newcomer.vouched.map_or(email, str::to_owned);
    let (code, source) = visit.code(&referral_code, &touch);
    let account = NewAccount {
        email: email.clone(),
        given_name: Some(given_name.clone()),
        family_name: Some(family_name.clone()),
        referral_code: Some(code),
        source,
        device: visit.device(),
        locale: Some(page.lang().to_owned()),
        terms_version: Some(terms.clone()),
        ..NewAccount::default()
    };
    let made = identities::sign_up(state, waiting, account, ip).await;
    let user_id = match made {
        Ok(SignedUp::Done(user_id)) => user_id,
        Ok(SignedUp::ToBeProved) => return see_other(&format!("/login/continue?attempt={}", waiting.id)),
        Ok(SignedUp::Gone) => return gone(&page, through.link("/login")),
        // It got an account meanwhile, which is now to be proved.
        Err(SignUpError::TakenEmail) if newcomer.vouched.is_some() => {
            return see_other(&format!("/login/continue?attempt={}", waiting.id));
        }
        Err(why) => {
            let typed = Typed { email, given_name, family_name, referral_code, touch, terms };
            return signup::refused(state, page, ip, &through, typed, Some(&newcomer), why).await;
        }
    };
    let mut response = arrives(state, &page, session, provider, waiting, user_id).await;
    visit.forget_links(&mut response);
    response
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let t = page.t();
    for (title, text) in [
        ("upstream-declined-title", "upstream-declined-text"),
        ("upstream-down-title", "upstream-down-text"),
        ("upstream-refused-title", "upstream-refused-text"),
        ("upstream-gone-title", "upstream-gone-text"),
    ] {
        into.page(title.trim_end_matches("-title"), || {
            let back = ("/login".to_owned(), "upstream-back");
            ProblemPage { page, t, title, text, provider: "Work", back }
        });
    }
    let link = |step: Step| LinkPage {
        page,
        t,
        provider: "Work",
        email: "ann@example.com",
        step,
        login_link: "/login".into(),
    };
    into.page("upstream-prove", || link(Step::Prove { sign_in_link: "/login".into() }));
    into.page("upstream-confirm", || link(Step::Confirm { csrf: page.csrf_token(None), attempt: "sample".into() }));
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
