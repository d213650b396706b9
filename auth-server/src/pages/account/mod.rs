//! `/account/…`: what a person sees and changes of their own account. [`Account`] is what each page is given, one file a
//! page.

mod activity;
mod apps;
mod chart;
mod confirm;
mod data;
mod delete;
mod email;
mod overview;
mod password;
mod profile;
mod referrals;
mod rotate;
mod security;
mod sessions;
mod upstream;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::TimeDelta;
use serde::Deserialize;
use shared::db::{DbError, Tx};
use shared::users::{self, User};
use tower_sessions::Session;
use url::form_urlencoded;

use super::error;
use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::{self, Samples};
use super::sheet::{Sheet, after};
use super::texts::Texts;
use crate::AppState;
use crate::accounts::factors::showed_all;
use crate::accounts::password::PasswordFailure;
use crate::sessions::{SignedIn, current};

pub use delete::local;

/// How long after signing in what is sensitive may be changed without showing anew who one is.
const RECENT: TimeDelta = TimeDelta::minutes(10);
/// The page about other providers, and the word by which sign-in comes back to it.
pub const UPSTREAM_PATH: &str = "/account/security/upstream";
pub const UPSTREAM_WORD: &str = "account-upstream";
/// Where signing in leads while the account is about to be deleted.
pub const KEEP: &str = "/account/keep";

/// The pages' routes. They need the layer of sessions.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/account", get(overview::show))
        .route("/account/confirm", get(confirm::show).post(confirm::submit))
        .route("/account/confirm/passkey", post(confirm::submit_passkey))
        .merge(security::router())
        .route(UPSTREAM_PATH, get(upstream::show).post(upstream::submit))
        .route("/account/security/password", get(password::show).post(password::submit))
        .route("/account/profile/email", get(email::show).post(email::submit))
        .route("/account/data", get(data::show).post(data::submit))
        .route("/account/delete", get(delete::show).post(delete::submit))
        .route(KEEP, get(delete::ask_to_keep).post(delete::submit_keep))
        .route("/account/profile", get(profile::show).post(profile::submit))
        .route("/account/profile/verification", post(profile::verify_again))
        .route("/account/sessions", get(sessions::show).post(sessions::submit))
        .route("/account/apps", get(apps::show).post(apps::submit))
        .route("/account/activity", get(activity::show))
        .route("/account/referrals", get(referrals::show).post(referrals::create))
        .route("/account/referrals/delete", post(referrals::delete))
        .route("/account/referrals/rotate", post(rotate::submit))
}

/// A page of the account's, as its navigation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Overview,
    Profile,
    Security,
    Sessions,
    Apps,
    Activity,
    Referrals,
}

impl Section {
    /// Those that stand in the navigation, in its order.
    pub const ALL: &[Self] =
        &[Self::Overview, Self::Profile, Self::Security, Self::Sessions, Self::Apps, Self::Referrals, Self::Activity];

    /// The key of its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Overview => "account-nav-overview",
            Self::Profile => "account-nav-profile",
            Self::Security => "account-nav-security",
            Self::Sessions => "account-nav-sessions",
            Self::Apps => "account-nav-apps",
            Self::Activity => "account-nav-activity",
            Self::Referrals => "account-nav-referrals",
        }
    }

    /// The key of what it is for; the overview is where that is told.
    pub fn purpose(self) -> Option<&'static str> {
        Some(match self {
            Self::Overview => return None,
            Self::Profile => "account-for-profile",
            Self::Security => "account-for-security",
            Self::Sessions => "account-for-sessions",
            Self::Apps => "account-for-apps",
            Self::Activity => "account-for-activity",
            Self::Referrals => "account-for-referrals",
        })
    }

    /// Its last step in the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Profile => "profile",
            Self::Security => "security",
            Self::Sessions => "sessions",
            Self::Apps => "apps",
            Self::Activity => "activity",
            Self::Referrals => "referrals",
        }
    }

    pub fn path(self) -> String {
        match self {
            Self::Overview => "/account".to_owned(),
            other => format!("/account/{}", other.name()),
        }
    }

    /// The section that a page or a form belongs to.
    fn of(path: &str) -> Self {
        let within = |section: &&Self| {
            let own = section.path();
            path == own || **section != Self::Overview && path.starts_with(&format!("{own}/"))
        };
        Self::ALL.iter().find(within).copied().unwrap_or(Self::Overview)
    }

    /// The word by which sign-in comes back here (`request` of `/login`).
    pub fn word(self) -> String {
        format!("account-{}", self.name())
    }

    /// Where one shows anew who one is, to come back here.
    fn confirm(self) -> String {
        format!("/account/confirm?request={}", self.word())
    }

    /// Where that word leads; `None` for any other.
    pub fn resume(word: &str) -> Option<String> {
        Self::ALL.iter().find(|section| section.word() == word).map(|section| section.path())
    }
}

/// Who looks at a page of their account: an extractor. Who is not signed in is led to sign-in, and back.
pub struct Account {
    pub page: Page,
    pub signed_in: SignedIn,
    pub user: User,
}

impl Account {
    /// The token for a form's hidden field `csrf`.
    pub fn csrf(&self) -> String {
        self.page.csrf_token(Some(&self.signed_in))
    }

    /// Is this session still there, in the transaction that changes something in its name? The extractor has looked when
    /// the request's headers came; its body may have come long after the session, or the account, was taken away.
    pub async fn hold(&self, tx: &mut Tx, state: &AppState) -> Result<bool, DbError> {
        crate::sessions::hold(tx, &state.platform, self.signed_in.sid).await
    }

    /// Did the person show within the last minutes who they are? Asked before anything sensitive is shown or changed:
    /// whoever finds a browser open must not take the account over. When not, the answer is the way to show it, which
    /// comes back to `section`.
    pub async fn recently(&self, state: &AppState, section: Section) -> Result<(), Response> {
        let since = state.platform.clock.now() - self.signed_in.auth_time;
        if since <= RECENT { self.wholly(state, section).await } else { Err(see_other(&section.confirm())) }
    }

    /// Did the person show in this session all that signing in wants? A remembered device and a mailed code let in, and
    /// are not enough here: whoever has the password and either must not take the account over.
    pub async fn wholly(&self, state: &AppState, section: Section) -> Result<(), Response> {
        let showed = async { showed_all(&mut state.platform.db.read().await?, &self.signed_in).await };
        match showed.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(see_other(&section.confirm())),
            Err(error) => Err(error::database(&self.page, &error)),
        }
    }
}

/// What brings a person back here once they have signed in: what the page was asked to go on to, or its own word.
fn back_to(uri: &Uri) -> Through {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let request = query.into_iter().find(|(name, _)| name == "request").map(|(_, value)| value.into_owned());
    let through = Through { request: request.unwrap_or_default() };
    if through.carried().is_some() { through } else { Through { request: Section::of(uri.path()).word() } }
}

/// What a form did, told by the page that it leads to: a word in the query, of which only those are known that name a
/// message.
#[derive(Default, Deserialize)]
pub struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    /// The message of the word, if it is among `known`.
    fn notice(&self, t: Texts, known: &[(&str, &'static str)]) -> Option<String> {
        known.iter().find(|(word, _)| *word == self.done).map(|(_, key)| t.get(key))
    }
}

/// The page of a list that is asked for.
#[derive(Default, Deserialize)]
pub struct Older {
    /// The id of the last entry of the page before. Nonsense begins at the beginning.
    #[serde(default)]
    before: String,
}

impl FromRequestParts<AppState> for Account {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Ok(page) = Page::from_request_parts(parts, state).await;
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let signed_in = match current(&session, state).await {
            Ok(signed_in) => signed_in,
            Err(error) => return Err(error::database(&page, &error)),
        };
        let path = parts.uri.path();
        let word = if path == UPSTREAM_PATH { Some(UPSTREAM_WORD) } else { None };
        let sign_in = || match word {
            Some(word) => see_other(&format!("/login?request={word}")),
            None => see_other(&back_to(&parts.uri).link("/login")),
        };
        let signed_in = signed_in.ok_or_else(sign_in)?;
        let read = async { users::by_id(&mut state.platform.db.read().await?, signed_in.user_id).await };
        match read.await {
            // Until it is kept, there is nothing else to do with it.
            Ok(Some(user)) if user.deletion_at.is_some() && path != KEEP => Err(see_other(KEEP)),
            Ok(Some(user)) => Ok(Self { page, signed_in, user }),
            Ok(None) => Err(sign_in()),
            Err(error) => Err(error::database(&page, &error)),
        }
    }
}

/// The form once more, for who could not show that it is them, or whose new password is not accepted.
fn refused(account: &Account, mut sheet: Sheet, section: Section, why: PasswordFailure) -> Response {
    let page = &account.page;
    let t = page.t();
    let (status, wait) = match why {
        PasswordFailure::Wrong => {
            sheet.blame("current_password", t.get("password-wrong"));
            (StatusCode::UNPROCESSABLE_ENTITY, None)
        }
        PasswordFailure::New(fault) => {
            sheet.blame("password", t.fault(fault));
            (StatusCode::UNPROCESSABLE_ENTITY, None)
        }
        // There is no password to ask for: a fresh sign-in stands in for it.
        PasswordFailure::SignInAgain => return see_other(&format!("/login?request={}", Section::Overview.word())),
        PasswordFailure::SecondFactor => return see_other(&section.confirm()),
        PasswordFailure::Limited(limited) => {
            sheet.alert = Some(t.get("verify-limited"));
            (StatusCode::TOO_MANY_REQUESTS, Some(limited.retry_after))
        }
        PasswordFailure::Busy(wait) => {
            sheet.alert = Some(t.get("login-busy"));
            (StatusCode::SERVICE_UNAVAILABLE, Some(wait))
        }
        PasswordFailure::Db(error) => return error::database(page, &error),
    };
    let response = sheet.show_in(page, status, section);
    match wait {
        Some(wait) => after(response, wait),
        None => response,
    }
}

/// With made-up data.
pub(super) fn samples(page: &Page, into: &mut Samples) {
    let account = Account { page: page.clone(), signed_in: samples::signed_in(), user: samples::user() };
    for samples in [
        activity::samples,
        apps::samples,
        chart::samples,
        confirm::samples,
        data::samples,
        delete::samples,
        email::samples,
        overview::samples,
        password::samples,
        profile::samples,
        referrals::samples,
        security::samples,
        sessions::samples,
        upstream::samples,
    ] {
        samples(&account, into);
    }
}

#[cfg(test)]
mod tests;
