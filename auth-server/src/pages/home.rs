//! `/`: who is signed in here, their referral code, and the way out; for everybody else, the way in.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use shared::db::DbError;
use shared::fetch_one;
use shared::ids::UserId;
use shared::referrals::store;
use shared::users::{self, User};
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::texts::Texts;
use crate::AppState;
use crate::sessions;

#[derive(Template)]
#[template(path = "pages/home.html")]
struct HomePage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    account: Account,
    api_docs: String,
}

#[derive(Template)]
#[template(path = "pages/welcome.html")]
struct WelcomePage<'a> {
    page: &'a Page,
    t: Texts,
}

struct Account {
    user: User,
    /// The code others can sign up with now.
    code: Option<Code>,
    referrals: u64,
}

struct Code {
    code: String,
    link: String,
    expires_at: DateTime<Utc>,
}

async fn read(state: &AppState, user_id: UserId) -> Result<Option<Account>, DbError> {
    let platform = &state.platform;
    let mut conn = platform.db.read().await?;
    let Some(user) = users::by_id(&mut conn, user_id).await? else { return Ok(None) };
    let code = store::active_of(&mut conn, user_id).await?.filter(|code| code.is_usable(platform.clock.now()));
    let code = code.map(|row| Code {
        link: platform.config.auth.public_url.join(&format!("/signup?ref={}", row.code)),
        code: row.code,
        expires_at: row.expires_at,
    });
    // Bounded, so that the page costs the same for who invited a million.
    let (count,): (i64,) = fetch_one!(
        &mut conn,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT id FROM referrals WHERE referrer_id = $1 LIMIT 1000) r",
        user_id
    )?;
    Ok(Some(Account { user, code, referrals: u64::try_from(count).unwrap_or_default() }))
}

pub async fn show(State(state): State<AppState>, page: Page, session: Session) -> Response {
    let signed_in = match sessions::current(&session, &state).await {
        Ok(signed_in) => signed_in,
        Err(error) => return error::database(&page, &error),
    };
    let Some(signed_in) = signed_in else {
        return page.render(StatusCode::OK, &WelcomePage { page: &page, t: page.t() });
    };
    match read(&state, signed_in.user_id).await {
        Ok(Some(account)) if account.user.deletion_at.is_some() => see_other(super::account::KEEP),
        Ok(Some(account)) => {
            let shown = HomePage {
                page: &page,
                t: page.t(),
                csrf: page.csrf_token(Some(&signed_in)),
                account,
                api_docs: state.platform.config.api.public_url.join("/docs"),
            };
            page.render(StatusCode::OK, &shown)
        }
        Ok(None) => page.render(StatusCode::OK, &WelcomePage { page: &page, t: page.t() }),
        Err(error) => error::database(&page, &error),
    }
}
