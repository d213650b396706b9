//! `/terms`: who agreed to terms that have changed since, or to none, is asked before a sign-in goes on. Who declines goes
//! back to the app with that answer; without an app, they may still take their data, or leave.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use tower_sessions::Session;

use super::account::local;
use super::error;
use super::form_post::deliver;
use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::Samples;
use super::sheet::Sheet;
use super::texts::Texts;
use crate::AppState;
use crate::accounts::terms::{self, Terms};
use crate::protocol::authorization::{Pending, deny};
use crate::sessions::{self, SignedIn};

pub const PATH: &str = "/terms";

#[derive(Template)]
#[template(path = "pages/terms.html")]
struct TermsPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: Option<String>,
    onward: String,
    terms: Terms<'a>,
    /// The app that waits.
    client: Option<String>,
    alert: Option<String>,
}

/// What sent somebody here.
#[derive(Deserialize)]
pub struct Arrival {
    /// A path of ours, where no word says it.
    #[serde(default)]
    onward: String,
    #[serde(flatten)]
    through: Through,
}

impl Arrival {
    fn onward(&self) -> String {
        match self.through.carried() {
            Some(_) => self.through.onward(),
            None => local(&self.onward).to_owned(),
        }
    }
}

/// Who is asked, and for which app; or the response that leads elsewhere.
async fn prepare(
    state: &AppState,
    page: &mut Page,
    session: &Session,
    arrival: &Arrival,
) -> Result<(SignedIn, Option<Pending>), Response> {
    let signed_in = match sessions::current(session, state).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return Err(see_other(&arrival.through.link("/login"))),
        Err(error) => return Err(error::database(page, &error)),
    };
    let pending = arrival.through.load(state, page).await?;
    Ok((signed_in, pending))
}

fn shown(
    page: &Page,
    status: StatusCode,
    arrival: &Arrival,
    (signed_in, client): (&SignedIn, Option<String>),
    alert: Option<&str>,
) -> Response {
    let Some(terms) = terms::of_today(&page.state().platform) else { return see_other(&arrival.onward()) };
    let t = page.t();
    let shown = TermsPage {
        page,
        t,
        csrf: page.csrf_token(Some(signed_in)),
        request: arrival.through.carried(),
        onward: arrival.onward(),
        terms,
        client,
        alert: alert.map(|key| t.get(key)),
    };
    page.render(status, &shown)
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Query(arrival): Query<Arrival>,
) -> Response {
    let (signed_in, pending) = match prepare(&state, &mut page, &session, &arrival).await {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    match terms::are_wanted(&state, signed_in.user_id).await {
        Ok(true) => {
            let client = pending.map(|pending| pending.client.name.clone());
            shown(&page, StatusCode::OK, &arrival, (&signed_in, client), None)
        }
        // Agreed to in another tab.
        Ok(false) => see_other(&arrival.onward()),
        Err(error) => error::database(&page, &error),
    }
}

#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    csrf: String,
    /// The terms that the page showed.
    #[serde(default)]
    version: String,
    /// `agree` or `decline`.
    #[serde(default)]
    decision: String,
    #[serde(flatten)]
    arrival: Arrival,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(Answer { csrf, version, decision, arrival })) = sent else { return error::malformed(&page) };
    page.at(PATH, &[("request", arrival.through.request.as_str()), ("onward", arrival.onward.as_str())]);
    let (signed_in, pending) = match prepare(&state, &mut page, &session, &arrival).await {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    if let Err(response) = page.check_form(&csrf, Some(&signed_in)) {
        return response;
    }
    match decision.as_str() {
        "agree" => match agree(&state, &signed_in, &version).await {
            Ok(Agreed::Done) => see_other(&arrival.onward()),
            Ok(Agreed::SignedOut) => see_other(&arrival.through.link("/login")),
            Ok(Agreed::Newer) => {
                let client = pending.map(|pending| pending.client.name.clone());
                let status = StatusCode::CONFLICT;
                shown(&page, status, &arrival, (&signed_in, client), Some("terms-changed-again"))
            }
            Err(error) => error::database(&page, &error),
        },
        "decline" => match pending {
            Some(pending) => deliver(&page, deny(&state, pending).await),
            None => declined(&page),
        },
        _ => error::malformed(&page),
    }
}

enum Agreed {
    Done,
    /// To terms that are not those of today.
    Newer,
    SignedOut,
}

async fn agree(state: &AppState, signed_in: &SignedIn, version: &str) -> Result<Agreed, DbError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    if !sessions::hold(&mut tx, platform, signed_in.sid).await? {
        return Ok(Agreed::SignedOut);
    }
    let done = terms::agree(&mut tx, platform, signed_in.user_id, version).await?;
    tx.commit().await?;
    Ok(if done { Agreed::Done } else { Agreed::Newer })
}

fn declined(page: &Page) -> Response {
    let t = page.t();
    let links = [("data-title", "/account/data"), ("delete-title", "/account/delete"), ("logout-submit", "/logout")];
    let sheet = Sheet {
        title: t.get("terms-declined-title"),
        lead: Some(t.get("terms-declined-text")),
        links: links.into_iter().map(|(key, path)| (t.get(key), path.to_owned())).collect(),
        ..Sheet::default()
    };
    sheet.show(page, StatusCode::OK)
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let shown = |client: Option<&str>, alert: Option<&str>| TermsPage {
        page,
        t: page.t(),
        csrf: page.csrf_token(None),
        request: None,
        onward: "/account".into(),
        terms: Terms { url: "https://example.com/terms", version: "2026-11" },
        client: client.map(str::to_owned),
        alert: alert.map(|key| page.t().get(key)),
    };
    into.page("terms", || shown(Some("Wonder App"), None));
    into.page("terms-alone", || shown(None, Some("terms-changed-again")));
}
