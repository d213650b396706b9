//! `/consent`: one form with the buttons `decision=allow` and `decision=deny`.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use shared::users;
use tower_sessions::Session;
use url::Url;

use super::form_post::deliver;
use super::layout::{Page, see_other};
use super::login::Through;
use super::texts::Texts;
use super::{consent_details, error};
use crate::AppState;
use crate::clients::Origin;
use crate::protocol::authorization::{Loaded, Pending, ValidatedRequest, allow, deny, load};
use crate::protocol::error::OAuthError;
use crate::sessions::{self, SignedIn};

#[derive(Template)]
#[template(path = "pages/consent.html")]
struct ConsentPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: String,
    client: &'a str,
    /// Where the answer goes: people know hosts better than client names, which anybody can choose.
    host: Option<String>,
    /// The host of the client's id, where that is the URL of its metadata: nobody else vouches for its name.
    client_host: Option<String>,
    first_party: bool,
    scopes: Vec<String>,
    email: String,
    name: Option<String>,
    other_link: String,
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
    let gone = OAuthError::invalid_request("this request is unknown or long gone; start again from the app");
    let Some(id) = through.id() else { return Err(error::oauth(page, &gone)) };
    let pending = match load(state, id).await {
        Ok(Loaded::Live(pending)) => pending,
        Ok(Loaded::Expired(pending)) => return Err(error::expired(page, state, &pending)),
        Ok(Loaded::Gone) => return Err(error::oauth(page, &gone)),
        Err(error) => return Err(error::database(page, &error)),
    };
    page.prefer(&pending.request.ui_locales);
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
    let shown = ConsentPage {
        t,
        csrf: page.csrf_token(Some(&signed_in)),
        request: pending.id.to_string(),
        client: &pending.client.name,
        host: host_of(&pending.request.redirect_uri),
        client_host: match pending.client.origin {
            Origin::Document => host_of(pending.client.client_id.as_str()),
            Origin::Operator | Origin::Registered => None,
        },
        first_party: pending.client.first_party,
        scopes: asked_for(t, &pending.request),
        name: user.display_name(),
        email: user.email,
        other_link: through.link("/login"),
        page: &page,
    };
    page.render(StatusCode::OK, &shown)
}

/// All that is asked for, in words.
fn asked_for(t: Texts, request: &ValidatedRequest) -> Vec<String> {
    let scopes = request.to_allow();
    let scopes = scopes.iter().map(|scope| t.get(&message_of(scope)));
    scopes.chain(consent_details::words(t, &request.authorization_details)).collect()
}

fn host_of(redirect_uri: &str) -> Option<String> {
    let url = Url::parse(redirect_uri).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
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
    headers: HeaderMap,
    sent: Result<Form<Decision>, FormRejection>,
) -> Response {
    let Ok(Form(Decision { csrf, decision, through })) = sent else { return error::malformed(&page) };
    page.at("/consent", &[("request", through.request.as_str())]);
    let (pending, signed_in) = match prepare(&state, &mut page, &session, &through).await {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    if let Err(response) = page.check_form(&headers, &csrf, Some(&signed_in)) {
        return response;
    }
    let decided = match decision.as_str() {
        "allow" => allow(&state, pending, &signed_in).await,
        "deny" => deny(&state, pending).await,
        _ => return error::malformed(&page),
    };
    deliver(&page, decided)
}
