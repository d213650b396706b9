//! `/account/security/upstream`: the providers that open this account; one more, or one less.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;
use shared::db::DbError;
use shared::http::ClientIp;

use super::{Account, Section, UPSTREAM_PATH, UPSTREAM_WORD};
use crate::AppState;
use crate::accounts::upstream::{self as identities, Way};
use crate::accounts::ways_in::{self, WayIn};
use crate::pages::error;
use crate::pages::layout::{Page, see_other};
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;
use crate::pages::upstream::{Purpose, leave_for};

/// How recent a sign-in must be for a change of the ways in: who finds a browser open does not get to come back.
const RECENT: TimeDelta = TimeDelta::minutes(10);

#[derive(Template)]
#[template(path = "pages/account/upstream.html")]
struct UpstreamPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    /// Something was not done.
    alert: Option<String>,
    providers: Vec<Shown<'a>>,
}

struct Shown<'a> {
    id: &'a str,
    name: &'a str,
    ways: Vec<Way>,
    /// Nothing else opens the account.
    needed: bool,
}

async fn read<'a>(state: &'a AppState, account: &Account) -> Result<Vec<Shown<'a>>, DbError> {
    let user = account.user.id;
    let mut conn = state.platform.db.read().await?;
    let mut ways = identities::of_user(&mut conn, user).await?;
    let mut providers = vec![];
    for provider in state.upstreams.iter() {
        let (mine, others) = ways.into_iter().partition(|way| way.issuer == provider.issuer());
        ways = others;
        let needed = ways_in::is_only(state, &mut conn, user, WayIn::Provider(provider.issuer())).await?;
        providers.push(Shown { id: provider.id(), name: provider.name(), ways: mine, needed });
    }
    Ok(providers)
}

async fn render(state: &AppState, account: &Account, status: StatusCode, alert: Option<&'static str>) -> Response {
    let page = &account.page;
    let providers = match read(state, account).await {
        Ok(providers) => providers,
        Err(error) => return error::database(page, &error),
    };
    let alert = alert.map(|key| page.t().get(key));
    let shown = UpstreamPage { page, t: page.t(), section: Section::Security, csrf: account.csrf(), alert, providers };
    page.render(status, &shown)
}

pub async fn show(State(state): State<AppState>, account: Account) -> Response {
    render(&state, &account, StatusCode::OK, None).await
}

#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    csrf: String,
    /// A provider to add.
    #[serde(default)]
    add: String,
    /// A provider to take away.
    #[serde(default)]
    remove: String,
}

pub async fn submit(
    State(state): State<AppState>,
    account: Account,
    ip: ClientIp,
    sent: Result<Form<Change>, FormRejection>,
) -> Response {
    let page = &account.page;
    let Ok(Form(Change { csrf, add, remove })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    if state.platform.clock.now() - account.signed_in.auth_time > RECENT {
        return see_other(&format!("/login?request={UPSTREAM_WORD}"));
    }
    if let Err(response) = account.wholly(&state, Section::Security).await {
        return response;
    }
    if let Some(provider) = state.upstreams.get(&add) {
        let back = UPSTREAM_PATH.to_owned();
        let purpose = Purpose { adding: Some(&account.signed_in), anew: false };
        return leave_for(&state, page, &ip, provider, "", purpose, back).await;
    }
    let Some(provider) = state.upstreams.get(&remove) else { return error::malformed(page) };
    match identities::unlink(&state, provider.id(), provider.issuer(), &account.signed_in).await {
        Ok(true) => see_other(UPSTREAM_PATH),
        Ok(false) => render(&state, &account, StatusCode::CONFLICT, Some("upstream-only-way")).await,
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let page = &account.page;
    let way = || Way {
        issuer: "https://id.example.org".into(),
        subject: "sample".into(),
        email: Some("ann@example.org".into()),
        created_at: moment(),
        last_used_at: None,
    };
    let shown = |providers: Vec<Shown<'static>>| UpstreamPage {
        page,
        t: page.t(),
        section: Section::Security,
        csrf: account.csrf(),
        alert: providers.is_empty().then(|| page.t().get("upstream-only-way")),
        providers,
    };
    into.page("account-upstream", || {
        shown(vec![
            Shown { id: "work", name: "Work", ways: vec![way()], needed: false },
            Shown { id: "school", name: "School", ways: vec![way()], needed: true },
            Shown { id: "club", name: "Club", ways: vec![], needed: false },
        ])
    });
    into.page("account-upstream-none", || shown(vec![]));
}
