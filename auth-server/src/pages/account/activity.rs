//! `/account/activity`: what happened with the account, newest first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::db::DbError;
use shared::fetch_all;
use shared::ids::ClientId;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Account, Older, Section};
use crate::clients;
use crate::pages::error;
use crate::pages::layout::Page;
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;

/// Entries on a page.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "pages/account/activity.html")]
struct ActivityPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    events: Vec<Event>,
    first: bool,
    older: Option<Uuid>,
}

struct Event {
    words: String,
    /// The app that did it, or to which it was done.
    app: Option<String>,
    at: DateTime<Utc>,
    /// Worth a second look.
    grave: bool,
}

type Row = (Uuid, String, Option<String>, Json<Value>, DateTime<Utc>);

/// The message that tells of this kind of event.
pub(super) fn message_of(kind: &str) -> String {
    format!("activity-{}", kind.replace(['.', '_'], "-"))
}

/// A kind as it is written down: lower-case words, a dot.
fn is_known(t: Texts, kind: &str) -> bool {
    t.knows(&message_of(kind))
}

fn words(t: Texts, kind: &str, details: &Value) -> String {
    // Told by whom: a session that one ended oneself is another story than one that an operator ended.
    if details["why"] == "operator" && matches!(kind, "session.ended" | "grant.revoked" | "account.signed_out") {
        return t.get("activity-by-operator");
    }
    // A release before or after this one may know more kinds.
    if is_known(t, kind) { t.get(&message_of(kind)) } else { t.with("activity-other", "kind", kind) }
}

async fn read(account: &Account, before: Option<Uuid>) -> Result<(Vec<Event>, Option<Uuid>), DbError> {
    let t = account.page.t();
    let mut conn = account.page.state().platform.db.read().await?;
    let mut rows: Vec<Row> = fetch_all!(
        &mut conn,
        Row,
        "SELECT id, kind, client_id, details, created_at FROM audit_events WHERE user_id = $1 AND id < $2 \
         ORDER BY id DESC LIMIT $3",
        account.signed_in.user_id,
        before.unwrap_or(Uuid::max()),
        SHOWN as i64 + 1
    )?;
    let more = rows.len() > SHOWN;
    rows.truncate(SHOWN);
    let older = rows.last().filter(|_| more).map(|row| row.0);
    let mut names: BTreeMap<String, Option<String>> = BTreeMap::new();
    for id in rows.iter().filter_map(|row| row.2.clone()) {
        if let Entry::Vacant(place) = names.entry(id) {
            let client = clients::by_id(&mut conn, &ClientId(place.key().clone())).await?;
            place.insert(client.map(|client| client.name));
        }
    }
    let event = |(_, kind, client, Json(details), at): Row| Event {
        words: words(t, &kind, &details),
        app: client.and_then(|id| names.get(&id).cloned().flatten()),
        at,
        grave: matches!(kind.as_str(), "signin.failed" | "refresh_token.reused" | "authorization_code.reused"),
    };
    Ok((rows.into_iter().map(event).collect(), older))
}

pub async fn show(account: Account, Query(Older { before }): Query<Older>) -> Response {
    let page = &account.page;
    let before = before.parse().ok();
    let (events, older) = match read(&account, before).await {
        Ok(read) => read,
        Err(error) => return error::database(page, &error),
    };
    let t = page.t();
    let shown = ActivityPage { page, t, section: Section::Activity, events, first: before.is_none(), older };
    page.render(StatusCode::OK, &shown)
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let page = &account.page;
    let shown = |events: Vec<Event>, older: Option<Uuid>| ActivityPage {
        page,
        t: page.t(),
        section: Section::Activity,
        events,
        first: older.is_none(),
        older,
    };
    into.page("account-activity", || {
        let event = |kind: &str, app: Option<&str>, grave: bool| Event {
            words: words(page.t(), kind, &Value::Null),
            app: app.map(str::to_owned),
            at: moment(),
            grave,
        };
        let events = vec![
            event("signin.succeeded", Some("Bookshelf"), false),
            event("signin.failed", None, true),
            event("of.tomorrow", None, false),
        ];
        shown(events, Some(Uuid::nil()))
    });
    into.page("account-activity-none", || shown(vec![], None));
}
