//! `/account/apps`: the apps one is connected with, what each may do, and the end of that.

use askama::Template;
use axum::Form;
use axum::extract::Query;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use shared::ids::ClientId;

use super::{Account, Done, Section};
use crate::clients::Origin;
use crate::pages::layout::{Page, see_other};
use crate::pages::samples::{self, Samples};
use crate::pages::texts::Texts;
use crate::pages::{consent, consent_details, error, place};
use crate::sessions::apps::{Connected, connected, disconnect};

#[derive(Template)]
#[template(path = "pages/account/apps.html")]
struct AppsPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    notice: Option<String>,
    apps: Vec<App>,
}

struct App {
    client_id: String,
    name: String,
    first_party: bool,
    /// It registered or published itself: its name is its own choice.
    stranger: bool,
    /// Who published it, where its id tells.
    publisher: Option<String>,
    allowed: Vec<String>,
    since: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl App {
    fn new(t: Texts, app: Connected) -> Self {
        let client = app.client;
        let scopes = app.scope.iter().map(|scope| t.get(&consent::message_of(scope)));
        let allowed = scopes.chain(consent_details::words(t, &app.authorization_details)).collect();
        let publisher = (client.origin == Origin::Document).then(|| place::place(t, client.client_id.as_str()));
        Self {
            client_id: client.client_id.0,
            name: client.name,
            first_party: client.first_party,
            stranger: client.origin != Origin::Operator,
            publisher,
            allowed,
            since: app.since,
            used_at: app.used_at,
        }
    }
}

pub async fn show(account: Account, Query(done): Query<Done>) -> Response {
    let page = &account.page;
    let platform = &page.state().platform;
    let read =
        async { connected(&mut platform.db.read().await?, account.signed_in.user_id, platform.clock.now()).await };
    let apps = match read.await {
        Ok(apps) => apps,
        Err(error) => return error::database(page, &error),
    };
    let t = page.t();
    let shown = AppsPage {
        page,
        t,
        section: Section::Apps,
        csrf: account.csrf(),
        notice: done.notice(t, &[("one", "apps-done")]),
        apps: apps.into_iter().map(|app| App::new(t, app)).collect(),
    };
    page.render(StatusCode::OK, &shown)
}

#[derive(Deserialize)]
pub struct Revoke {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    client_id: String,
}

pub async fn submit(mut account: Account, sent: Result<Form<Revoke>, FormRejection>) -> Response {
    account.page.at("/account/apps", &[]);
    let (page, signed_in) = (&account.page, &account.signed_in);
    let Ok(Form(Revoke { csrf, client_id })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(signed_in)) {
        return response;
    }
    let state = page.state();
    let revoke = async {
        let mut tx = state.platform.db.begin().await?;
        if !account.hold(&mut tx, state).await? {
            return Ok(false);
        }
        let ended = disconnect(&mut tx, &state.platform, signed_in.user_id, &ClientId(client_id)).await?;
        tx.commit().await?;
        Ok(ended)
    };
    match revoke.await {
        Ok(true) => {
            state.outside.wake();
            see_other("/account/apps?done=one")
        }
        Ok(false) => error::absent(page),
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let page = &account.page;
    let t = page.t();
    let shown = |notice: Option<String>, apps: Vec<App>| AppsPage {
        page,
        t,
        section: Section::Apps,
        csrf: account.csrf(),
        notice,
        apps,
    };
    into.page("account-apps", || {
        let apps = [Origin::Operator, Origin::Registered, Origin::Document].map(|origin| {
            let client = samples::client(origin);
            App {
                publisher: (origin == Origin::Document).then(|| place::place(t, client.client_id.as_str())),
                client_id: client.client_id.0,
                name: client.name,
                first_party: origin == Origin::Operator,
                stranger: origin != Origin::Operator,
                allowed: vec![t.get(&consent::message_of("email"))],
                since: samples::moment(),
                used_at: (origin != Origin::Document).then(samples::moment),
            }
        });
        shown(Some(t.get("apps-done")), apps.into())
    });
    into.page("account-apps-none", || shown(None, vec![]));
}
