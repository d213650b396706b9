//! `/account/…`: what a person sees and changes of their own account. [`Account`] is what each page is given, one file a
//! page.

mod activity;
mod apps;
mod chart;
mod overview;
mod profile;
mod qr;
mod referrals;
mod sessions;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use shared::users::{self, User};
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::texts::Texts;
use crate::AppState;
use crate::sessions::{SignedIn, current};

/// The pages' routes. They need the layer of sessions.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/account", get(overview::show))
        .route("/account/profile", get(profile::show).post(profile::submit))
        .route("/account/profile/verification", post(profile::verify_again))
        .route("/account/sessions", get(sessions::show).post(sessions::submit))
        .route("/account/apps", get(apps::show).post(apps::submit))
        .route("/account/activity", get(activity::show))
        .route("/account/referrals", get(referrals::show).post(referrals::create))
        .route("/account/referrals/delete", post(referrals::delete))
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
        &[Self::Overview, Self::Profile, Self::Sessions, Self::Apps, Self::Referrals, Self::Activity];

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
        let section = Section::of(path);
        let sign_in = || see_other(&format!("/login?request={}", section.word()));
        let signed_in = signed_in.ok_or_else(sign_in)?;
        let read = async { users::by_id(&mut state.platform.db.read().await?, signed_in.user_id).await };
        match read.await {
            Ok(Some(user)) => Ok(Self { page, signed_in, user }),
            Ok(None) => Err(sign_in()),
            Err(error) => Err(error::database(&page, &error)),
        }
    }
}

#[cfg(test)]
mod tests;
