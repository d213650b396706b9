//! `/`: the counter for those signed out, the card for those signed in; and what is posted from the card.

use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower_sessions::Session;
use tracing::warn;

use crate::Kopi;
use crate::page::Failure;
use crate::provider::{Person, ProviderError};
use crate::referrals::{ApiError, Ask, Code, NewCode, Page, Referral};
use crate::session::{self, SignedIn};

/// What the form for a new code proposes, and how far it lets the calendar go. The API has the last word.
const PROPOSED_DAYS: u64 = 30;
const MOST_DAYS: u64 = 364;

/// Stamps on a card.
const STAMPS: usize = 10;

#[derive(Template, WebTemplate)]
#[template(path = "demo/welcome.html")]
struct WelcomePage {
    flash: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "demo/card.html")]
struct CardPage {
    person: Person,
    code: CodePanel,
    may_write: bool,
    form: CodeForm,
    earliest: NaiveDate,
    latest: NaiveDate,
    errors: Vec<String>,
    flash: Option<String>,
    friends: FriendsPanel,
    stamps: Vec<bool>,
}

impl CardPage {
    /// How to call the person.
    fn name(&self) -> &str {
        let address = self.person.email.as_deref().and_then(|email| email.split('@').next());
        self.person.name.as_deref().or(address).unwrap_or("friend")
    }

    /// One or two letters for the cup.
    fn initials(&self) -> String {
        let mut words = self.name().split_whitespace();
        let letters = [words.next(), words.next_back()];
        letters.into_iter().flatten().filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).collect()
    }
}

/// Where a part of the card comes from the API: here it is, or why it isn't.
enum CodePanel {
    Current(Code),
    None,
    NotGranted,
    Unavailable,
}

enum FriendsPanel {
    Listed { friends: Vec<Friend>, next: Option<String>, first: bool },
    NotGranted,
    Unavailable,
}

/// A referral as shown.
struct Friend {
    name: String,
    email: Option<String>,
    status: &'static str,
    counts: bool,
    since: DateTime<Utc>,
}

impl From<Referral> for Friend {
    fn from(referral: Referral) -> Self {
        let (status, counts) = match referral.status.as_str() {
            "pending" => ("signed up", true),
            "verified" => ("confirmed", true),
            "qualified" => ("regular", true),
            "rewarded" => ("rewarded", true),
            "rejected" => ("not counted", false),
            _ => ("taken back", false),
        };
        let name = referral.display_name.unwrap_or_else(|| "A friend".into());
        Self { name, email: referral.email, status, counts, since: referral.created_at }
    }
}

/// What was typed into the form for a new code.
#[derive(Clone, Deserialize)]
pub(crate) struct CodeForm {
    #[serde(default)]
    expires_on: String,
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
pub(crate) struct CardQuery {
    cursor: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct DeleteForm {
    code: String,
}

pub(crate) async fn home(
    State(kopi): State<Kopi>,
    session: Session,
    Query(query): Query<CardQuery>,
) -> Result<Response, Failure> {
    let flash = session::take_flash(&session).await?;
    match session::signed_in(&session).await? {
        Some(mut signed_in) => card(&kopi, &session, &mut signed_in, None, vec![], flash, query.cursor).await,
        None => Ok(WelcomePage { flash }.into_response()),
    }
}

pub(crate) async fn create_code(
    State(kopi): State<Kopi>,
    session: Session,
    Form(form): Form<CodeForm>,
) -> Result<Response, Failure> {
    let mut signed_in = session::signed_in(&session).await?.ok_or_else(signed_out)?;
    let Ok(day) = form.expires_on.parse::<NaiveDate>() else {
        let errors = vec!["The expiry date is missing: pick the last day your code shall work.".into()];
        return card(&kopi, &session, &mut signed_in, Some(form), errors, None, None).await;
    };
    let code = Some(form.code.trim().to_owned()).filter(|code| !code.is_empty());
    // The last day counts to its end.
    let expires_at = day.and_time(NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default()).and_utc();
    let asked = ask::<Code>(&kopi, &session, &mut signed_in, &Ask::create(NewCode { expires_at, code })).await;
    match asked {
        Ok(_) => {
            session::flash(&session, "Your code is ready. Pass it on!").await?;
            Ok(Redirect::to("/").into_response())
        }
        Err(Asking::SignedOut) => Ok(Redirect::to("/").into_response()),
        Err(Asking::Session(failure)) => Err(failure),
        Err(Asking::Api(error)) => {
            card(&kopi, &session, &mut signed_in, Some(form), explained(error), None, None).await
        }
    }
}

pub(crate) async fn delete_code(
    State(kopi): State<Kopi>,
    session: Session,
    Form(form): Form<DeleteForm>,
) -> Result<Response, Failure> {
    let mut signed_in = session::signed_in(&session).await?.ok_or_else(signed_out)?;
    match ask::<()>(&kopi, &session, &mut signed_in, &Ask::delete(&form.code)).await {
        Ok(()) => {
            session::flash(&session, "The code is gone, and no longer works anywhere.").await?;
            Ok(Redirect::to("/").into_response())
        }
        Err(Asking::SignedOut) => Ok(Redirect::to("/").into_response()),
        Err(Asking::Session(failure)) => Err(failure),
        Err(Asking::Api(error)) => card(&kopi, &session, &mut signed_in, None, explained(error), None, None).await,
    }
}

fn signed_out() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "Who was that again?", "You are no longer signed in.").with_sign_in()
}

fn explained(error: ApiError) -> Vec<String> {
    match error {
        ApiError::Refused(sentences) => sentences,
        ApiError::Unauthorized | ApiError::Forbidden => vec!["You did not allow Kopi to change your code.".into()],
        ApiError::Unreachable => vec!["Your code can't be changed just now. Please try again in a minute.".into()],
    }
}

/// The page of somebody signed in, with what the API says of them.
async fn card(
    kopi: &Kopi,
    session: &Session,
    signed_in: &mut SignedIn,
    form: Option<CodeForm>,
    errors: Vec<String>,
    flash: Option<String>,
    cursor: Option<String>,
) -> Result<Response, Failure> {
    let code = match ask::<Page<Code>>(kopi, session, signed_in, &Ask::codes()).await {
        Ok(page) => page.items.into_iter().find(Code::is_current).map_or(CodePanel::None, CodePanel::Current),
        Err(Asking::Api(ApiError::Unauthorized | ApiError::Forbidden)) => CodePanel::NotGranted,
        Err(Asking::Api(ApiError::Refused(_) | ApiError::Unreachable)) => CodePanel::Unavailable,
        Err(Asking::SignedOut) => return Ok(Redirect::to("/").into_response()),
        Err(Asking::Session(failure)) => return Err(failure),
    };
    let friends = match ask::<Page<Referral>>(kopi, session, signed_in, &Ask::referrals(cursor.as_deref())).await {
        Ok(page) => FriendsPanel::Listed {
            friends: page.items.into_iter().map(Friend::from).collect(),
            next: page.next_cursor,
            first: cursor.is_none(),
        },
        Err(Asking::Api(ApiError::Unauthorized | ApiError::Forbidden)) => FriendsPanel::NotGranted,
        Err(Asking::Api(ApiError::Refused(_) | ApiError::Unreachable)) => FriendsPanel::Unavailable,
        Err(Asking::SignedOut) => return Ok(Redirect::to("/").into_response()),
        Err(Asking::Session(failure)) => return Err(failure),
    };
    let stamped = match &friends {
        FriendsPanel::Listed { friends, .. } => friends.iter().filter(|friend| friend.counts).count(),
        FriendsPanel::NotGranted | FriendsPanel::Unavailable => 0,
    };
    let today = kopi.clock.now().date_naive();
    let day = |days| today.checked_add_days(Days::new(days)).unwrap_or(today);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = CardPage {
        person: signed_in.person.clone(),
        code,
        may_write: signed_in.tokens.allows("referral-codes:write"),
        form: form.unwrap_or_else(|| CodeForm { expires_on: day(PROPOSED_DAYS).to_string(), code: String::new() }),
        earliest: today,
        latest: day(MOST_DAYS),
        errors,
        flash,
        friends,
        stamps: (0..STAMPS).map(|stamp| stamp < stamped).collect(),
    };
    Ok((status, page).into_response())
}

/// Why a request in somebody's name got no answer.
enum Asking {
    Api(ApiError),
    /// The grant has ended: the browser has been forgotten and has to sign in again.
    SignedOut,
    Session(Failure),
}

impl From<Failure> for Asking {
    fn from(failure: Failure) -> Self {
        Self::Session(failure)
    }
}

/// Asks the API in the name of `signed_in`, with a token renewed before it expires, and once more when the API says
/// that it has ended.
async fn ask<T: DeserializeOwned>(
    kopi: &Kopi,
    session: &Session,
    signed_in: &mut SignedIn,
    ask: &Ask,
) -> Result<T, Asking> {
    let renewed = signed_in.tokens.is_stale(kopi.clock.now());
    if renewed {
        renew(kopi, session, signed_in).await?;
    }
    match kopi.referrals.send(&signed_in.tokens.access, ask).await {
        Err(ApiError::Unauthorized) if !renewed => {
            renew(kopi, session, signed_in).await?;
            kopi.referrals.send(&signed_in.tokens.access, ask).await.map_err(Asking::Api)
        }
        answer => answer.map_err(Asking::Api),
    }
}

async fn renew(kopi: &Kopi, session: &Session, signed_in: &mut SignedIn) -> Result<(), Asking> {
    match kopi.provider.refresh(&signed_in.tokens).await {
        Ok(tokens) => {
            signed_in.tokens = tokens;
            Ok(session::keep(session, signed_in).await?)
        }
        Err(ProviderError::Ended) => {
            session::forget(session).await?;
            session::flash(session, "Your sign-in has ended. Please sign in again.").await?;
            Err(Asking::SignedOut)
        }
        Err(error) => {
            warn!(%error, "the access token can't be renewed");
            Err(Asking::Api(ApiError::Unreachable))
        }
    }
}

/// The last day on which something still serves that ends then.
fn last_day(end: &DateTime<Utc>) -> String {
    day(&(*end - TimeDelta::microseconds(1)))
}

/// 5 March 2026.
fn day(date: &DateTime<Utc>) -> String {
    date.format("%-d %B %Y").to_string()
}
