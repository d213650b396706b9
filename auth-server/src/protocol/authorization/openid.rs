//! What OpenID Connect adds to an authorization request (Core §3.1.2.1). Unknown parameters are ignored (RFC 6749 §3.1).

use std::borrow::Cow;

use shared::config::{Config, SignUpPolicy};
use shared::ids::UserId;
use shared::{subjects, users};

use super::validate::MAX_OPAQUE;
use super::{ValidatedRequest, requested};
use crate::clients::Client;
use crate::locales::Locale;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::request::Parameters;
use crate::protocol::{id_token_hint, tokens};
use crate::sessions;
use crate::state::AppState;

/// The values of `prompt` (Core §3.1.2.1, Prompt Create 1.0 §4).
pub const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

/// Those that serve here: where nobody can sign up, nobody is sent to do it.
pub fn prompts(config: &Config) -> &'static [&'static str] {
    if config.accounts.signup == SignUpPolicy::Off { &PROMPTS[..4] } else { &PROMPTS }
}

/// The values of `display`. There is one layout for all of them; it fits itself to pop-ups and small screens.
const DISPLAYS: [&str; 4] = ["page", "popup", "touch", "wap"];

pub(super) async fn check(
    state: &AppState,
    client: &Client,
    parameters: &Parameters,
) -> Result<ValidatedRequest, OAuthError> {
    if parameters.get("registration").is_some() {
        return Err(OAuthError::new(Code::RegistrationNotSupported, "the registration parameter is not supported"));
    }
    let nonce = parameters.get("nonce").map(Cow::into_owned);
    if nonce.as_ref().is_some_and(|n| n.len() > MAX_OPAQUE) {
        return Err(OAuthError::invalid_request("nonce is longer than 2048 bytes"));
    }
    if let Some(unknown) = parameters.get("display").filter(|display| !DISPLAYS.contains(&display.as_ref())) {
        return Err(OAuthError::invalid_request(format!("there is no display {unknown}")));
    }
    let asked = match parameters.get("claims") {
        None => requested::Asked::default(),
        Some(text) => requested::parse(&text, client)?,
    };
    // `acr_values` are wishes (Core §3.1.2.1): the ID token tells what came of them. An essential claim is none: it can
    // be had, or there is no use in going on.
    let acrs = sessions::acr_values(&state.platform.config);
    if asked.acr.as_ref().is_some_and(|values| !values.iter().any(|acr| acrs.contains(&acr.as_str()))) {
        let known = acrs.join(", ");
        let description = format!("none of these acr values can be met; there are: {known}");
        return Err(OAuthError::new(Code::UnmetAuthenticationRequirements, description));
    }
    let prompt = prompt(parameters)?;
    if let Some(closed) = prompt.iter().find(|p| !prompts(&state.platform.config).contains(&p.as_str())) {
        return Err(OAuthError::invalid_request(format!("there is no prompt {closed} here")));
    }
    let login_hint = parameters.get("login_hint").map(Cow::into_owned).filter(|hint| hint.len() <= 254);
    Ok(ValidatedRequest {
        nonce,
        prompt,
        max_age: max_age(client, parameters)?,
        login_hint,
        people: people(state, client, parameters, asked.subjects).await?,
        acr: asked.acr,
        acr_values: acr_values(&acrs, client, parameters),
        claims: asked.claims,
        // Only what we have texts in is kept: the rest is a stranger's choice of what we store.
        ui_locales: words(parameters, "ui_locales")
            .iter()
            .filter_map(|tag| Locale::from_tag(tag))
            .take(2)
            .map(|l| l.tag().to_owned())
            .collect(),
        ..ValidatedRequest::default()
    })
}

fn words(parameters: &Parameters, name: &str) -> Vec<String> {
    parameters.get(name).map(|v| v.split_ascii_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

pub(crate) fn prompt(parameters: &Parameters) -> Result<Vec<String>, OAuthError> {
    let mut prompt = words(parameters, "prompt");
    prompt.sort();
    prompt.dedup();
    if let Some(unknown) = prompt.iter().find(|p| !PROMPTS.contains(&p.as_str())) {
        return Err(OAuthError::invalid_request(format!("there is no prompt {unknown}")));
    }
    if prompt.len() > 1 && prompt.iter().any(|p| p == "none") {
        return Err(OAuthError::invalid_request("prompt none goes with no other value"));
    }
    Ok(prompt)
}

/// The request's, or what the client registered (`default_acr_values`, Registration §2); of both, what there is.
fn acr_values(known: &[&str], client: &Client, parameters: &Parameters) -> Vec<String> {
    let mut wished = match parameters.get("acr_values") {
        Some(_) => words(parameters, "acr_values"),
        None => client.metadata.default_acr_values.clone(),
    };
    wished.retain(|acr| known.contains(&acr.as_str()));
    wished
}

/// In seconds: the request's, or what the client registered (`default_max_age`).
pub(crate) fn max_age(client: &Client, parameters: &Parameters) -> Result<Option<u64>, OAuthError> {
    let Some(text) = parameters.get("max_age") else { return Ok(client.metadata.default_max_age) };
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.map(Some).ok_or_else(|| OAuthError::invalid_request("max_age must be a number of seconds"))
}

/// Who may sign in: whom `id_token_hint` is about, and whom the claim `sub` names (Core §3.1.2.1, §3.1.2.2, §5.5.1).
async fn people(
    state: &AppState,
    client: &Client,
    parameters: &Parameters,
    named: Option<Vec<String>>,
) -> Result<Option<Vec<UserId>>, OAuthError> {
    let mut people = None;
    if let Some(hint) = parameters.get("id_token_hint") {
        people = Some(Vec::from_iter(hinted(state, client, &hint).await?));
    }
    if let Some(named) = named {
        let mut conn = state.platform.db.read().await?;
        let mut meant = vec![];
        for sub in named {
            let Some(user) = subjects::resolve(&mut conn, &sub).await? else { continue };
            let is_theirs = tokens::subject(state, client, user) == sub;
            if is_theirs && users::by_id(&mut conn, user).await?.is_some() {
                meant.push(user);
            }
        }
        people = Some(match people {
            None => meant,
            Some(hinted) => hinted.into_iter().filter(|user| meant.contains(user)).collect(),
        });
    }
    if people.as_ref().is_some_and(Vec::is_empty) {
        return Err(OAuthError::new(Code::LoginRequired, "whoever is meant can't sign in here"));
    }
    Ok(people)
}

/// Whom the hint is about. `None` for somebody whose account is no more.
async fn hinted(state: &AppState, client: &Client, hint: &str) -> Result<Option<UserId>, OAuthError> {
    let refused = |why: &str| OAuthError::invalid_request(format!("id_token_hint {why}"));
    let hint = id_token_hint::verify(state, hint).await?.ok_or_else(|| refused("is no ID token of this server"))?;
    if hint.client_id != client.client_id {
        return Err(refused("was issued to another client"));
    }
    let mut conn = state.platform.db.read().await?;
    let Some(user) = subjects::resolve(&mut conn, &hint.sub).await? else { return Ok(None) };
    if tokens::subject(state, client, user) != hint.sub {
        return Err(refused("names nobody whom this client knows so"));
    }
    Ok(users::by_id(&mut conn, user).await?.map(|user| user.id))
}
