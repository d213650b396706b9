//! `/logout`: a GET asks, a POST signs out. A client's request (`/oauth/logout`) comes here too when the person has to be
//! asked, and when they have left: the page that says so tells the clients in frames of their own (OpenID Connect
//! Front-Channel Logout 1.0) before it goes on.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::place::place;
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::oauth::logout::CONTINUE;
use crate::protocol::logout_request::{Destination, LogoutRequest};
use crate::sessions::{self, RelyingParty, SignedIn};

#[derive(Template)]
#[template(path = "pages/logout.html")]
struct LogoutPage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    /// The app that asks.
    client: Option<String>,
    /// Its request, sealed.
    request: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/signed_out.html")]
struct SignedOutPage<'a> {
    page: &'a Page,
    t: Texts,
    /// What the frames open.
    frames: Vec<String>,
    /// Whose they are.
    apps: Vec<String>,
    /// Did somebody else sign in at once?
    switched: bool,
    onward: Option<Onward>,
}

/// Where it goes on.
struct Onward {
    url: String,
    words: String,
    /// By itself, when the apps have been told or did not answer.
    unasked: bool,
}

impl Onward {
    fn to(t: Texts, Destination { url, client, unasked }: Destination) -> Self {
        // The name is the app's own choice; where nobody vouches for it, the host says where the button leads.
        let words = match unasked {
            true => t.with("signed-out-onward", "client", client),
            false => t.with("onward-to", "place", place(t, &url)),
        };
        Self { url, words, unasked }
    }
}

pub async fn show(State(state): State<AppState>, page: Page, session: Session) -> Response {
    match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => {
            let csrf = page.csrf_token(Some(&signed_in));
            let shown = LogoutPage { page: &page, t: page.t(), csrf, client: None, request: None };
            page.render(StatusCode::OK, &shown)
        }
        Ok(None) => see_other("/"),
        Err(error) => error::database(&page, &error),
    }
}

/// Asks whether to do what a client's request wants.
pub async fn ask(state: &AppState, mut page: Page, signed_in: &SignedIn, request: &LogoutRequest) -> Response {
    let client = match request.client(state).await {
        Ok(client) => client,
        Err(error) => return error::database(&page, &error),
    };
    if let Some(client) = &client {
        page.dress(client);
    }
    let client = client.map(|client| client.name.clone());
    let sealed = request.seal(state);
    page.at(CONTINUE, &[("request", &sealed)]);
    let csrf = page.csrf_token(Some(signed_in));
    page.render(StatusCode::OK, &LogoutPage { page: &page, t: page.t(), csrf, client, request: Some(sealed) })
}

#[derive(Deserialize)]
pub struct Leave {
    #[serde(default)]
    csrf: String,
    /// The client's request that led here, sealed.
    #[serde(default)]
    request: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    sent: Result<Form<Leave>, FormRejection>,
) -> Response {
    let Ok(Form(Leave { csrf, request })) = sent else { return error::malformed(&page) };
    page.at("/logout", &[]);
    // One that took too long is taken for none: the person leaves, and stays here.
    let of_client = !request.is_empty();
    let request = LogoutRequest::open(&state, &request).unwrap_or_default();
    page.prefer(&request.ui_locales);
    match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => {
            if let Err(response) = page.check_form(&csrf, Some(&signed_in)) {
                return response;
            }
        }
        // Signed out already, in another tab perhaps.
        Ok(None) if !of_client => return see_other("/"),
        Ok(None) => {}
        Err(error) => return error::database(&page, &error),
    }
    if of_client {
        leave(&state, &page, &session, &request, false).await
    } else {
        leave_home(&state, &page, &session).await
    }
}

async fn leave_home(state: &AppState, page: &Page, session: &Session) -> Response {
    match sessions::sign_out(session, state).await {
        Ok(parties) if frames(state, &parties).is_empty() => without_cookie(state, see_other("/")),
        Ok(parties) => without_cookie(state, good_bye(state, page, &parties, false, None)),
        Err(error) => error::database(page, &error),
    }
}

/// Signs out whoever is signed in and goes where the request leads; a page says so where it leads nowhere. `certain` as in
/// [`LogoutRequest::destination`].
pub async fn leave(
    state: &AppState,
    page: &Page,
    session: &Session,
    request: &LogoutRequest,
    certain: bool,
) -> Response {
    // A post from another site comes without the cookie: it must not be the one to take it away.
    let had_cookie = session.id().is_some();
    let leave = async {
        let destination = request.destination(state, certain).await?;
        Ok::<_, DbError>((sessions::sign_out(session, state).await?, destination))
    };
    match leave.await {
        Ok((parties, destination)) => {
            let response = match destination {
                Some(to) if to.unasked && frames(state, &parties).is_empty() => see_other(&to.url),
                to => good_bye(state, page, &parties, false, to.map(|to| Onward::to(page.t(), to))),
            };
            if had_cookie { without_cookie(state, response) } else { response }
        }
        Err(error) => error::database(page, &error),
    }
}

/// Goes on to a page of ours after somebody signed in: at once, or by way of the frames that tell the apps of whoever was
/// signed in here before.
pub fn onward(state: &AppState, page: &Page, left: &[RelyingParty], url: &str) -> Response {
    if frames(state, left).is_empty() {
        return see_other(url);
    }
    let onward = Onward { url: url.to_owned(), words: page.t().get("switched-onward"), unasked: true };
    good_bye(state, page, left, true, Some(onward))
}

/// Takes the session's cookie from a browser whose session has ended.
pub fn without_cookie(state: &AppState, mut response: Response) -> Response {
    if let Ok(removal) = HeaderValue::from_str(&sessions::removal_cookie(state)) {
        response.headers_mut().append(header::SET_COOKIE, removal);
    }
    response
}

fn frames(state: &AppState, parties: &[RelyingParty]) -> Vec<url::Url> {
    parties.iter().filter_map(|party| party.frame(&state.platform)).collect()
}

fn good_bye(
    state: &AppState,
    page: &Page,
    parties: &[RelyingParty],
    switched: bool,
    onward: Option<Onward>,
) -> Response {
    let urls = frames(state, parties);
    let mut origins: Vec<String> = urls.iter().map(|url| url.origin().ascii_serialization()).collect();
    origins.sort();
    origins.dedup();
    let told = parties.iter().filter(|party| party.frame(&state.platform).is_some());
    let shown = SignedOutPage {
        page,
        t: page.t(),
        frames: urls.iter().map(ToString::to_string).collect(),
        apps: told.map(|party| party.client.name.clone()).collect(),
        switched,
        onward,
    };
    page.render_framing(StatusCode::OK, &shown, &origins)
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let t = page.t();
    for (name, client) in [("logout", None), ("logout-asked", Some("Bookshelf".to_owned()))] {
        let request = client.as_ref().map(|_| "sample".to_owned());
        into.page(name, || LogoutPage { page, t, csrf: page.csrf_token(None), client, request });
    }
    let frames = || vec!["https://app.example/signed-out".to_owned()];
    let signed_out = |apps: bool, switched: bool, onward: Option<Onward>| SignedOutPage {
        page,
        t,
        frames: if apps { frames() } else { vec![] },
        apps: if apps { vec!["Bookshelf".to_owned()] } else { vec![] },
        switched,
        onward,
    };
    let to = |unasked: bool| {
        let url = "https://app.example/".to_owned();
        Some(Onward::to(t, Destination { url, client: "Bookshelf".into(), unasked }))
    };
    into.page("signed-out", || signed_out(false, false, None));
    into.page("signed-out-onward", || signed_out(false, false, to(false)));
    into.page("signed-out-apps", || signed_out(true, false, to(true)));
    into.page("signed-out-switched", || {
        let onward = Onward { url: "/".into(), words: t.get("switched-onward"), unasked: true };
        signed_out(true, true, Some(onward))
    });
}
