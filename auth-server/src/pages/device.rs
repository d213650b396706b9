//! `/device`: a person types the code that their device shows, sees whose it is and what it asks for, and decides
//! (RFC 8628 §3.3).

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::problem::retry_after_header;
use shared::users;
use tower_sessions::Session;

use super::asks::{Asks, Question, question};
use super::consent::message_of;
use super::error;
use super::field::Field;
use super::layout::{Page, see_other};
use super::samples::{self, Samples};
use super::texts::Texts;
use crate::AppState;
use crate::accounts::terms;
use crate::clients::Origin;
use crate::protocol::device::{Decided, UserCode, Waiting, allow, deny, find};
use crate::sessions::{self, SignedIn};

/// Wrong codes in ten minutes, from one address and for one account (§5.1): of 25 billion codes, a guesser finds none.
const GUESSES_PER_ADDRESS: u64 = 30;
const GUESSES_PER_ACCOUNT: u64 = 10;
const WINDOW: Duration = Duration::from_secs(600);

#[derive(Template)]
#[template(path = "pages/device.html")]
struct DevicePage<'a> {
    page: &'a Page,
    t: Texts,
    step: Step<'a>,
}

enum Step<'a> {
    Enter { csrf: String, field: Box<Field>, alert: Option<String> },
    Decide { asks: Box<Asks<'a>> },
    Done { allowed: bool },
}

/// The word by which sign-in comes back here, with the code when there is one.
pub(super) fn word(code: Option<&UserCode>) -> String {
    code.map_or_else(|| "device".to_owned(), |code| format!("device-{}", code.letters()))
}

/// Where that word leads; `None` for any other.
pub(super) fn resume(word: &str) -> Option<String> {
    match word.strip_prefix("device")? {
        "" => Some("/device".to_owned()),
        rest => UserCode::parse(rest.strip_prefix('-')?).map(|code| format!("/device?user_code={code}")),
    }
}

#[derive(Default, Deserialize)]
pub struct Arrival {
    #[serde(default)]
    user_code: String,
}

pub async fn show(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    ip: ClientIp,
    query: Result<Query<Arrival>, QueryRejection>,
) -> Response {
    let user_code = query.map(|Query(arrival)| arrival.user_code).unwrap_or_default();
    let code = UserCode::parse(&user_code);
    let signed_in = match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return see_other(&format!("/login?request={}", word(code.as_ref()))),
        Err(error) => return error::database(&page, &error),
    };
    if user_code.is_empty() {
        return enter(&page, &signed_in, StatusCode::OK, String::new(), None);
    }
    match look_up(&state, &page, &signed_in, &ip, &user_code).await {
        Ok(waiting) => ask(&state, &page, &signed_in, &waiting).await,
        Err(response) => response,
    }
}

fn enter(page: &Page, signed_in: &SignedIn, status: StatusCode, typed: String, alert: Option<String>) -> Response {
    let t = page.t();
    let csrf = page.csrf_token(Some(signed_in));
    let field = Box::new(code_field(t, typed));
    page.render(status, &DevicePage { page, t, step: Step::Enter { csrf, field, alert } })
}

fn code_field(t: Texts, typed: String) -> Field {
    let mut field = Field::new("user_code", "text", "one-time-code", t.get("device-code"))
        .required()
        .hint(t.get("device-code-hint"))
        .value(typed);
    field.max_length = 20;
    field.focus = true;
    field
}

/// The request that waits under what was typed; or the page that says that there is none.
async fn look_up(
    state: &AppState,
    page: &Page,
    signed_in: &SignedIn,
    ip: &ClientIp,
    typed: &str,
) -> Result<Waiting, Response> {
    let limits = &state.platform.limits;
    let UserId(account) = signed_in.user_id;
    let (address, account) = (ip.bucket(), account.into_bytes());
    let guesses = [
        ("device_code_address", address.as_slice(), GUESSES_PER_ADDRESS),
        ("device_code_account", account.as_slice(), GUESSES_PER_ACCOUNT),
    ];
    let wrong = |status, message: &str| {
        let typed: String = typed.chars().take(20).collect();
        enter(page, signed_in, status, typed, Some(page.t().get(message)))
    };
    for (name, who, max) in guesses {
        if let Err(limited) = limits.is_reached(name, who, max).await {
            let mut response = wrong(StatusCode::TOO_MANY_REQUESTS, "device-limited");
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(limited.retry_after));
            return Err(response);
        }
    }
    let found = match UserCode::parse(typed) {
        Some(code) => find(state, &code).await.map_err(|error| error::database(page, &error))?,
        None => None,
    };
    if let Some(waiting) = found {
        return Ok(waiting);
    }
    for (name, who, max) in guesses {
        // Counted for the next time.
        let _ = limits.check(name, who, max, WINDOW).await;
    }
    Err(wrong(StatusCode::UNPROCESSABLE_ENTITY, "device-unknown"))
}

async fn ask(state: &AppState, page: &Page, signed_in: &SignedIn, waiting: &Waiting) -> Response {
    let user = async { users::by_id(&mut state.platform.db.read().await?, signed_in.user_id).await };
    let other_link = format!("/choose-account?request={}", word(Some(&waiting.code)));
    let user = match user.await {
        Ok(Some(user)) => user,
        Ok(None) => return see_other(&other_link),
        Err(error) => return error::database(page, &error),
    };
    let mut page = page.clone();
    page.dress(&waiting.client);
    let t = page.t();
    let question = Question {
        redirect_uri: None,
        user_code: Some(waiting.code.to_string()),
        asked: waiting.request.scope.iter().map(|scope| t.get(&message_of(scope))).collect(),
        action: "/device",
        carried: ("user_code", waiting.code.to_string()),
        other_link,
        hint: t.get("device-warning"),
    };
    let step = Step::Decide { asks: Box::new(Asks::new(&page, &waiting.client, user, signed_in, question)) };
    page.render(StatusCode::OK, &DevicePage { page: &page, t, step })
}

#[derive(Deserialize)]
pub struct Decision {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    user_code: String,
    /// `allow` or `deny`; empty while the code is being typed.
    #[serde(default)]
    decision: String,
}

pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Decision>, FormRejection>,
) -> Response {
    let Ok(Form(Decision { csrf, user_code, decision })) = sent else { return error::malformed(&page) };
    page.at("/device", &[]);
    let signed_in = match sessions::current(&session, &state).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => {
            return see_other(&format!("/login?request={}", word(UserCode::parse(&user_code).as_ref())));
        }
        Err(error) => return error::database(&page, &error),
    };
    if let Err(response) = page.check_form(&csrf, Some(&signed_in)) {
        return response;
    }
    let waiting = match look_up(&state, &page, &signed_in, &ip, &user_code).await {
        Ok(waiting) => waiting,
        Err(response) => return response,
    };
    let decided = match decision.as_str() {
        "" => return see_other(&format!("/device?user_code={}", waiting.code)),
        "allow" => {
            match terms::are_wanted(&state, signed_in.user_id).await {
                Ok(false) => {}
                Ok(true) => {
                    return see_other(&format!("{}?request={}", super::terms::PATH, word(Some(&waiting.code))));
                }
                Err(error) => return error::database(&page, &error),
            }
            allow(&state.platform, &waiting, &signed_in).await
        }
        "deny" => deny(&state.platform, &waiting, &signed_in).await,
        _ => return error::malformed(&page),
    };
    match decided {
        Ok(Decided::Done) => {
            let step = Step::Done { allowed: decision == "allow" };
            page.render(StatusCode::OK, &DevicePage { page: &page, t: page.t(), step })
        }
        Ok(Decided::SignedOut) => see_other(&format!("/login?request={}", word(Some(&waiting.code)))),
        Ok(Decided::Over) => {
            let alert = Some(page.t().get("device-unknown"));
            enter(&page, &signed_in, StatusCode::UNPROCESSABLE_ENTITY, String::new(), alert)
        }
        Err(error) => error::database(&page, &error),
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let t = page.t();
    for (name, alert) in [("device", None), ("device-unknown", Some("device-unknown"))] {
        into.page(name, || {
            let field = Box::new(code_field(t, "ZZZZ-ZZZZ".into()));
            let step = Step::Enter { csrf: page.csrf_token(None), field, alert: alert.map(|key| t.get(key)) };
            DevicePage { page, t, step }
        });
    }
    let client = samples::client(Origin::Operator);
    into.page("device-decide", || {
        let asked = Question {
            redirect_uri: None,
            user_code: Some("WDJB-MJHT".into()),
            hint: t.get("device-warning"),
            ..question(page)
        };
        let asks = Asks::new(page, &client, samples::user(), &samples::signed_in(), asked);
        DevicePage { page, t, step: Step::Decide { asks: Box::new(asks) } }
    });
    for (name, allowed) in [("device-allowed", true), ("device-denied", false)] {
        into.page(name, || DevicePage { page, t, step: Step::Done { allowed } });
    }
}
