//! `/consent`: one form with the buttons `decision=allow` and `decision=deny`.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::users;
use tower_sessions::Session;

use super::asks::{Asks, Question, question};
use super::form_post::deliver;
use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::{self, Samples};
use super::texts::Texts;
use super::{consent_details, error};
use crate::AppState;
use crate::clients::Origin;
use crate::protocol::authorization::{Loaded, Pending, ValidatedRequest, allow, deny, gone, load};
use crate::sessions::{self, SignedIn};

#[derive(Template)]
#[template(path = "pages/consent.html")]
struct ConsentPage<'a> {
    page: &'a Page,
    t: Texts,
    asks: Asks<'a>,
}

/// The message that says in words what a scope allows.
pub(super) fn message_of(scope: &str) -> String {
    format!("scope-{}", scope.replace([':', '_'], "-"))
}

/// The request and who decides about it; or the response that leads elsewhere.
async fn prepare(
    state: &AppState,
    page: &mut Page,
    session: &Session,
    through: &Through,
) -> Result<(Pending, SignedIn), Response> {
    let Some(id) = through.id() else { return Err(error::oauth(page, &gone())) };
    let pending = match load(state, id).await {
        Ok(Loaded::Live(pending)) => pending,
        Ok(Loaded::Expired(pending)) => return Err(error::expired(page, state, &pending)),
        Ok(Loaded::Gone) => return Err(error::oauth(page, &gone())),
        Err(error) => return Err(error::database(page, &error)),
    };
    page.suit(&pending);
    match sessions::current(session, state).await {
        Ok(Some(signed_in)) => Ok((pending, signed_in)),
        Ok(None) => Err(see_other(&through.link("/login"))),
        Err(error) => Err(error::database(page, &error)),
    }
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Query(through): Query<Through>,
) -> Response {
    let (pending, signed_in) = match prepare(&state, &mut page, &session, &through).await {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    let user = async { users::by_id(&mut state.platform.db.read().await?, signed_in.user_id).await };
    let user = match user.await {
        Ok(Some(user)) => user,
        Ok(None) => return see_other(&through.link("/login")),
        Err(error) => return error::database(&page, &error),
    };
    let t = page.t();
    let question = Question {
        redirect_uri: Some(&pending.request.redirect_uri),
        user_code: None,
        asked: asked_for(t, &pending.request),
        action: "/consent",
        carried: ("request", pending.id.to_string()),
        other_link: through.link("/choose-account"),
        hint: t.get("consent-password"),
    };
    let asks = Asks::new(&page, &pending.client, user, &signed_in, question);
    let shown = ConsentPage { page: &page, t, asks };
    page.render(StatusCode::OK, &shown)
}

/// All that is asked for, in words.
fn asked_for(t: Texts, request: &ValidatedRequest) -> Vec<String> {
    let scopes = request.to_allow();
    let scopes = scopes.iter().map(|scope| t.get(&message_of(scope)));
    scopes.chain(consent_details::words(t, &request.authorization_details)).collect()
}

#[derive(Deserialize)]
pub struct Decision {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    decision: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    sent: Result<Form<Decision>, FormRejection>,
) -> Response {
    let Ok(Form(Decision { csrf, decision, through })) = sent else { return error::malformed(&page) };
    page.at("/consent", &[("request", through.request.as_str())]);
    let (pending, signed_in) = match prepare(&state, &mut page, &session, &through).await {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    if let Err(response) = page.check_form(&csrf, Some(&signed_in)) {
        return response;
    }
    let decided = match decision.as_str() {
        "allow" => allow(&state, pending, &signed_in).await,
        "deny" => deny(&state, pending).await,
        _ => return error::malformed(&page),
    };
    deliver(&page, decided)
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let client = samples::client(Origin::Registered);
    into.page("consent", || {
        let asks = Asks::new(page, &client, samples::user(), &samples::signed_in(), question(page));
        ConsentPage { page, t: page.t(), asks }
    });
}
