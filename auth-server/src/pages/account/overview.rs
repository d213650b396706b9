//! `/account`: who one is here, the referral code, and the way to everything else.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use shared::db::DbError;
use shared::fetch_one;
use shared::referrals::store;

use super::{Account, Section};
use crate::pages::error;
use crate::pages::layout::Page;
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;

#[derive(Template)]
#[template(path = "pages/account/overview.html")]
struct Overview<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    account: &'a Account,
    code: Option<Code>,
    referrals: u64,
    /// The sections, each with what it is for.
    ways: Vec<(Section, &'static str)>,
}

/// The code others can sign up with now.
struct Code {
    code: String,
    link: String,
    expires_at: DateTime<Utc>,
}

async fn read(account: &Account) -> Result<(Option<Code>, u64), DbError> {
    let platform = &account.page.state().platform;
    let user = account.signed_in.user_id;
    let mut conn = platform.db.read().await?;
    let code = store::active_of(&mut conn, user).await?.filter(|code| code.is_usable(platform.clock.now()));
    let code = code.map(|row| Code {
        link: platform.config.auth.public_url.join(&format!("/r/{}", row.code)),
        code: row.code,
        expires_at: row.expires_at,
    });
    // Bounded, so that the page costs the same for who invited a million.
    let (count,): (i64,) = fetch_one!(
        &mut conn,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT id FROM referrals WHERE referrer_id = $1 LIMIT 1000) r",
        user
    )?;
    Ok((code, u64::try_from(count).unwrap_or_default()))
}

pub async fn show(account: Account) -> Response {
    let page = &account.page;
    let (code, referrals) = match read(&account).await {
        Ok(read) => read,
        Err(error) => return error::database(page, &error),
    };
    let (t, ways) = (page.t(), ways());
    let shown = Overview { page, t, section: Section::Overview, account: &account, code, referrals, ways };
    page.render(StatusCode::OK, &shown)
}

fn ways() -> Vec<(Section, &'static str)> {
    Section::ALL.iter().filter_map(|section| Some((*section, section.purpose()?))).collect()
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let shown = |code: Option<Code>, referrals: u64| Overview {
        page: &account.page,
        t: account.page.t(),
        section: Section::Overview,
        account,
        code,
        referrals,
        ways: ways(),
    };
    let code = Code { code: "7K3M9QXZ".into(), link: "https://id.example.com/r/7K3M9QXZ".into(), expires_at: moment() };
    into.page("account", || shown(Some(code), 3));
    into.page("account-new", || shown(None, 0));
}
