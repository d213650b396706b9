//! `/account/…`: what a person sees and changes of their own account. [`Account`] is what each page is given, one file a
//! page.

mod overview;
mod upstream;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use shared::users::{self, User};
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use crate::AppState;
use crate::sessions::{self, SignedIn};

/// The page about other providers, and the word by which sign-in comes back to it.
pub const UPSTREAM_PATH: &str = "/account/security/upstream";
pub const UPSTREAM_WORD: &str = "account-upstream";

/// The pages' routes. They need the layer of sessions.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/account", get(overview::show))
        .route(UPSTREAM_PATH, get(upstream::show).post(upstream::submit))
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
    pub const ALL: &[Self] = &[Self::Overview];

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

impl FromRequestParts<AppState> for Account {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Ok(page) = Page::from_request_parts(parts, state).await;
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let signed_in = match sessions::current(&session, state).await {
            Ok(signed_in) => signed_in,
            Err(error) => return Err(error::database(&page, &error)),
        };
        let path = parts.uri.path();
        let section = Section::ALL.iter().find(|section| section.path() == path).copied().unwrap_or(Section::Overview);
        let word = if path == UPSTREAM_PATH { UPSTREAM_WORD.to_owned() } else { section.word() };
        let sign_in = || see_other(&format!("/login?request={word}"));
        let signed_in = signed_in.ok_or_else(sign_in)?;
        let read = async { users::by_id(&mut state.platform.db.read().await?, signed_in.user_id).await };
        match read.await {
            Ok(Some(user)) => Ok(Self { page, signed_in, user }),
            Ok(None) => Err(sign_in()),
            Err(error) => Err(error::database(&page, &error)),
        }
    }
}
