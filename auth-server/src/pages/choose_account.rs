//! `/choose-account`: the accounts that signed in in this browser. Who is signed in goes on with one click; the others sign
//! in, with their address filled in; each can be forgotten here.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::email::Email;
use shared::ids::UserId;
use shared::users;
use tower_sessions::Session;

use super::error;
use super::layout::{Page, see_other};
use super::login::Through;
use super::samples::Samples;
use super::texts::Texts;
use crate::AppState;
use crate::protocol::authorization::choose;
use crate::sessions::{self, SignedIn};

#[derive(Template)]
#[template(path = "pages/choose_account.html")]
struct ChoosePage<'a> {
    page: &'a Page,
    t: Texts,
    csrf: String,
    request: Option<String>,
    client: Option<String>,
    accounts: Vec<Account>,
    other_link: String,
}

/// An account as strangers at this browser may see it.
struct Account {
    id: UserId,
    name: Option<String>,
    /// Masked.
    email: String,
    current: bool,
    link: String,
}

impl Account {
    /// What it is called in the names of buttons.
    fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.email)
    }

    fn initial(&self) -> String {
        self.called().chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default()
    }
}

/// A link to sign in as `who`.
fn sign_in_link(through: &Through, who: &str) -> String {
    let link = through.link("/login");
    let separator = if link.contains('?') { '&' } else { '?' };
    format!("{link}{separator}account={who}")
}

async fn accounts(
    state: &AppState,
    page: &Page,
    through: &Through,
    current: Option<UserId>,
) -> Result<Vec<Account>, DbError> {
    let mut conn = state.platform.db.read().await?;
    let mut ids = page.known().still(&mut conn).await?;
    ids.retain(|id| Some(*id) != current);
    ids.splice(0..0, current);
    let mut found = vec![];
    for id in ids {
        // One that was deleted is not there.
        let Some(user) = users::by_id(&mut conn, id).await? else { continue };
        found.push(Account {
            id,
            name: user.display_name(),
            email: Email::masked(&user.email),
            current: Some(id) == current,
            link: sign_in_link(through, &id.to_string()),
        });
    }
    Ok(found)
}

pub async fn show(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    Query(through): Query<Through>,
) -> Response {
    let pending = match through.load(&state, &mut page).await {
        Ok(pending) => pending,
        Err(response) => return response,
    };
    let found = async {
        let signed_in = sessions::current(&session, &state).await?;
        let current = signed_in.as_ref().map(|signed_in| signed_in.user_id);
        Ok::<_, DbError>((accounts(&state, &page, &through, current).await?, signed_in))
    };
    let (accounts, signed_in) = match found.await {
        Ok(found) => found,
        Err(error) => return error::database(&page, &error),
    };
    if accounts.is_empty() {
        return see_other(&sign_in_link(&through, "other"));
    }
    let shown = ChoosePage {
        page: &page,
        t: page.t(),
        csrf: page.csrf_token(signed_in.as_ref()),
        request: through.carried(),
        client: pending.map(|pending| pending.client.name.clone()),
        accounts,
        other_link: sign_in_link(&through, "other"),
    };
    page.render(StatusCode::OK, &shown)
}

#[derive(Deserialize)]
pub struct Choice {
    #[serde(default)]
    csrf: String,
    /// Who to go on as: the one who is signed in.
    #[serde(default)]
    account: String,
    /// Who to forget here.
    #[serde(default)]
    forget: String,
    #[serde(flatten)]
    through: Through,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    sent: Result<Form<Choice>, FormRejection>,
) -> Response {
    let Ok(Form(Choice { csrf, account, forget, through })) = sent else { return error::malformed(&page) };
    page.at("/choose-account", &[("request", through.request.as_str())]);
    let signed_in = match sessions::current(&session, &state).await {
        Ok(signed_in) => signed_in,
        Err(error) => return error::database(&page, &error),
    };
    if let Err(response) = page.check_form(&csrf, signed_in.as_ref()) {
        return response;
    }
    if let Ok(id) = forget.parse::<UserId>() {
        let mut response = see_other(&through.link("/choose-account"));
        page.remember(&mut response, &page.known().without(id));
        return response;
    }
    match (account.parse::<UserId>(), signed_in) {
        (Ok(id), Some(signed_in)) if id == signed_in.user_id => go_on(&state, page, &through, &signed_in).await,
        // Signed out, or somebody else by now.
        (Ok(id), _) => see_other(&sign_in_link(&through, &id.to_string())),
        (Err(_), _) => error::malformed(&page),
    }
}

async fn go_on(state: &AppState, mut page: Page, through: &Through, signed_in: &SignedIn) -> Response {
    match through.load(state, &mut page).await {
        Ok(Some(pending)) => {
            if let Err(error) = choose(state, &pending, signed_in.sid).await {
                return error::database(&page, &error);
            }
        }
        Ok(None) => {}
        Err(response) => return response,
    }
    see_other(&through.onward())
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let account = |name: Option<&str>, current: bool| Account {
        id: UserId(uuid::Uuid::nil()),
        name: name.map(str::to_owned),
        email: Email::masked("ann@example.com"),
        current,
        link: "/login?account=sample".into(),
    };
    into.page("choose-account", || ChoosePage {
        page,
        t: page.t(),
        csrf: page.csrf_token(None),
        request: Some("sample".into()),
        client: Some("Bookshelf".into()),
        accounts: vec![account(Some("Ann Lee"), true), account(None, false)],
        other_link: "/login?account=other".into(),
    });
}
