//! What a request still needs of the person before it can be answered.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::db::{Conn, DbError, Tx};
use shared::fetch_optional;
use shared::ids::UserId;
use sqlx::types::Json;
use url::Url;

use super::ValidatedRequest;
use crate::accounts::factors::{self, Showed};
use crate::accounts::terms;
use crate::clients::{Client, OFFLINE_ACCESS, is_loopback};
use crate::protocol::error::{Code, OAuthError};
use crate::sessions::{SignedIn, satisfied, with_code};
use crate::state::AppState;

/// What becomes of a request next.
pub enum Next<'s> {
    /// The person has something to do first.
    Ask(Ask),
    /// The code can be issued, in this session.
    Issue(&'s SignedIn),
    /// Somebody signed in for this request, and it is not who was meant, or not in the way that was asked for: asking
    /// again would go in circles.
    Refuse(OAuthError),
}

/// What a person is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    SignIn,
    SignUp,
    Consent,
    /// Consent was given, and must be confirmed: whoever asks may be somebody else than the one it was given to.
    Confirm,
    /// The terms are newer than those that they agreed to.
    Terms,
}

impl Ask {
    /// Where they do it.
    pub fn page(self) -> &'static str {
        match self {
            Self::SignIn => "/login",
            Self::SignUp => "/signup",
            Self::Consent | Self::Confirm => "/consent",
            Self::Terms => "/terms",
        }
    }

    /// What the client is told that does not want anybody to be asked (OpenID Connect Core §3.1.2.6).
    pub fn cannot_be_asked(self) -> OAuthError {
        let (code, reason) = match self {
            Self::SignIn | Self::SignUp => {
                (Code::LoginRequired, "nobody is signed in, or somebody else, or too long ago")
            }
            Self::Consent => (Code::ConsentRequired, "the person has not consented yet"),
            Self::Confirm => {
                (Code::InteractionRequired, "anybody could pose as this client: the person must confirm their consent")
            }
            Self::Terms => (Code::InteractionRequired, "the person must agree to terms that are new first"),
        };
        OAuthError::new(code, reason)
    }
}

fn is_fresh(signed_in: &SignedIn, since: Option<DateTime<Utc>>) -> bool {
    since.is_some_and(|since| signed_in.auth_time >= since)
}

/// Does the session answer what the request asks of it (`prompt=login`, `max_age`, `id_token_hint`…)? `since` is when the request was
/// stored; before that, nobody can have signed in for it.
pub(super) fn signed_in_enough(
    request: &ValidatedRequest,
    signed_in: &SignedIn,
    showed: Showed,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    let fresh = is_fresh(signed_in, since);
    if !request.accepts(signed_in) {
        return false;
    }
    // Who asks for a sign-in anew, or not long ago, means all of it.
    if showed == Showed::Spared && request.wants_sign_in() {
        return false;
    }
    if (request.prompts("login") || request.prompts("create")) && !fresh {
        return false;
    }
    // Signing in is a choice, too.
    if request.prompts("select_account") && !fresh && request.chosen != Some(signed_in.sid) {
        return false;
    }
    // A wish, not a condition: one try to meet it (RFC 9470 §5), with all that the account has.
    let tried = fresh && showed == Showed::All;
    let met = request.acr_values.is_empty() || satisfied(&request.acr_values, &signed_in.acr).is_some();
    if !(tried || request.is_silent() || met) {
        return false;
    }
    match request.max_age.and_then(|s| i64::try_from(s).ok()).and_then(TimeDelta::try_seconds) {
        // Signing in for this very request is enough, even where max_age is 0, which no other sign-in satisfies.
        Some(age) => fresh || (!age.is_zero() && now - signed_in.auth_time <= age),
        None => true,
    }
}

/// What was shown in this session, as far as the request asks.
///
/// # Errors
/// When the database does not answer.
pub async fn showed_for(state: &AppState, request: &ValidatedRequest, signed_in: &SignedIn) -> Result<Showed, DbError> {
    if !request.wants_sign_in() && request.acr_values.is_empty() {
        return Ok(Showed::All);
    }
    factors::showed(&mut state.platform.db.read().await?, signed_in).await
}

/// Is a second factor all that the sign-in lacks for this request?
pub fn lacks_second_factor(
    request: &ValidatedRequest,
    signed_in: &SignedIn,
    showed: Showed,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
    let (acr, _) = with_code(signed_in.amr.iter().map(String::as_str));
    let with_it = SignedIn { acr: acr.to_owned(), ..signed_in.clone() };
    let enough = |signed_in, showed| signed_in_enough(request, signed_in, showed, Some(since), now);
    !enough(signed_in, showed) && enough(&with_it, Showed::All)
}

/// What the request needs next, for this session.
pub async fn next<'s>(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    since: Option<DateTime<Utc>>,
    signed_in: Option<&'s SignedIn>,
) -> Result<Next<'s>, DbError> {
    if let Some(other) = signed_in.filter(|s| is_fresh(s, since) && !request.accepts(s)) {
        let right = request.acr.as_ref().is_none_or(|values| satisfied(values, &other.acr).is_some());
        return Ok(Next::Refuse(if right {
            OAuthError::new(Code::LoginRequired, "somebody else signed in than the one who is meant")
        } else {
            OAuthError::new(Code::UnmetAuthenticationRequirements, "the sign-in is of another acr")
        }));
    }
    let showed = match signed_in {
        Some(signed_in) => showed_for(state, request, signed_in).await?,
        None => Showed::All,
    };
    let now = state.platform.clock.now();
    let Some(signed_in) = signed_in.filter(|s| signed_in_enough(request, s, showed, since, now)) else {
        return Ok(Next::Ask(if request.prompts("create") { Ask::SignUp } else { Ask::SignIn }));
    };
    if terms::are_wanted(state, signed_in.user_id).await? {
        return Ok(Next::Ask(Ask::Terms));
    }
    if request.prompts("consent") {
        return Ok(Next::Ask(Ask::Consent));
    }
    // Details are about one occasion: what was allowed once is not remembered (RFC 9396 §8).
    if !request.authorization_details.is_empty() && !client.first_party {
        return Ok(Next::Ask(Ask::Consent));
    }
    if !has_consent(state, client, request, signed_in.user_id).await? {
        return Ok(Next::Ask(Ask::Consent));
    }
    // Whoever listens on a loopback port or registered a private scheme can pose as a public client: ask each time
    // (RFC 8252 §8.6).
    Ok(if impersonable(client, request) { Next::Ask(Ask::Confirm) } else { Next::Issue(signed_in) })
}

/// Did the person allow all that needs their consent? Our own apps need none, but for `offline_access`: what outlasts
/// the sign-in is nothing that a person expects of one (OpenID Connect Core §11: consent "for all Clients").
async fn has_consent(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    user: UserId,
) -> Result<bool, DbError> {
    let needed = needed(client, request);
    if needed.is_empty() {
        return Ok(true);
    }
    let mut conn = state.platform.db.read().await?;
    let consent = consent_of(&mut conn, user, client).await?;
    Ok(consent.covers(&request.redirect_uri, &needed))
}

/// What needs the person's consent.
fn needed(client: &Client, request: &ValidatedRequest) -> Vec<String> {
    let mut needed = request.to_allow();
    needed.retain(|scope| !client.first_party || scope == OFFLINE_ACCESS);
    needed
}

/// The same in the transaction that answers, so that what is taken back meanwhile is not granted after all.
pub(super) async fn still_has_consent(
    tx: &mut Tx,
    client: &Client,
    request: &ValidatedRequest,
    user: UserId,
) -> Result<bool, DbError> {
    let needed = needed(client, request);
    if needed.is_empty() {
        return Ok(true);
    }
    let held: Option<(Json<Consent>,)> = fetch_optional!(
        tx,
        (Json<Consent>,),
        "UPDATE consents SET granted_at = granted_at WHERE user_id = $1 AND client_id = $2 RETURNING consent",
        user,
        &client.client_id
    )?;
    Ok(held.is_some_and(|(Json(consent),)| consent.covers(&request.redirect_uri, &needed)))
}

fn impersonable(client: &Client, request: &ValidatedRequest) -> bool {
    client.is_public()
        && Url::parse(&request.redirect_uri).is_ok_and(|uri| uri.scheme() != "https" || is_loopback(&uri))
}

/// What a person allowed a client, as kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consent {
    /// All of it together, which is what the release before reads.
    scope: Vec<String>,
    /// The same by where the person was told that they would be taken. Anybody can register a redirect URI on a host that
    /// people trust beside one on a host of their own: who agreed to the one has not agreed to the other.
    #[serde(default)]
    origins: BTreeMap<String, Vec<String>>,
}

impl Consent {
    fn covers(&self, redirect_uri: &str, needed: &[String]) -> bool {
        let allowed = self.origins.get(&origin_of(redirect_uri));
        allowed.is_some_and(|allowed| needed.iter().all(|scope| allowed.contains(scope)))
    }

    /// Adds what `request` asks for.
    pub(super) fn add(&mut self, request: &ValidatedRequest) {
        let there = self.origins.entry(origin_of(&request.redirect_uri)).or_default();
        for scope in request.to_allow() {
            for list in [&mut self.scope, &mut *there] {
                if !list.contains(&scope) {
                    list.push(scope.clone());
                }
            }
        }
    }
}

/// What a page says of where a redirect URI leads: host and port, or the private scheme, whose authority part is anybody's
/// to write.
fn origin_of(redirect_uri: &str) -> String {
    match Url::parse(redirect_uri) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => redirect_uri.to_owned(),
    }
}

/// Nothing, where the person has not been asked yet.
pub(super) async fn consent_of(conn: &mut Conn, user: UserId, client: &Client) -> Result<Consent, DbError> {
    let row: Option<(Json<Consent>,)> = fetch_optional!(
        conn,
        (Json<Consent>,),
        "SELECT consent FROM consents WHERE user_id = $1 AND client_id = $2",
        user,
        &client.client_id
    )?;
    Ok(row.map(|(Json(consent),)| consent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::{each_state, person};
    use crate::clients::{ClientMetadata, NewClient, Origin};

    async fn notes(state: &AppState) -> Client {
        let metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".into()],
            grant_types: vec!["authorization_code".into()],
            scopes: vec!["openid".into(), "email".into()],
            token_endpoint_auth_method: "client_secret_basic".into(),
            ..ClientMetadata::default()
        };
        let new =
            NewClient { client_id: None, name: "Notes".into(), first_party: true, origin: Origin::Operator, metadata };
        crate::clients::create(&state.platform, new).await.unwrap().0
    }

    fn request(redirect_uri: &str, scope: &[&str]) -> ValidatedRequest {
        let scope = scope.iter().map(|s| (*s).to_owned()).collect();
        ValidatedRequest { redirect_uri: redirect_uri.to_owned(), scope, ..ValidatedRequest::default() }
    }

    #[test]
    fn what_was_allowed_for_one_place_says_nothing_of_another__rfc6749_10_2() {
        let mut consent = Consent::default();
        consent.add(&request("https://a.example/cb", &["openid", "email"]));
        consent.add(&request("https://b.example/cb", &["openid"]));
        consent.add(&request("com.example.app://a.example/cb", &["openid"]));
        for (uri, scope, covered) in [
            ("https://a.example/other", &["openid", "email"][..], true),
            ("https://a.example/cb", &["openid", "phone"], false),
            ("https://a.example:8443/cb", &["openid"], false),
            ("https://b.example/cb", &["openid"], true),
            // Neither what the other host was given…
            ("https://b.example/cb", &["email"], false),
            ("https://c.example/cb", &["openid"], false),
            // …nor a host that is written behind a private scheme.
            ("com.example.app:/cb", &["openid"], true),
            ("com.example.app:/cb", &["email"], false),
            ("com.example.other://a.example/cb", &["openid"], false),
        ] {
            assert_eq!(consent.covers(uri, &request(uri, scope).scope), covered, "{uri} {scope:?}");
        }
        assert_eq!(consent.scope, ["openid", "email"]);
    }

    #[test]
    fn a_consent_of_the_release_before_names_no_place_and_is_asked_for_once_more__rfc6749_10_2() {
        let kept: Consent = serde_json::from_str(r#"{"scope":["openid"]}"#).unwrap();
        assert!(!kept.covers("https://a.example/cb", &["openid".to_owned()]));
        assert_eq!(kept.scope, ["openid"]);
    }

    #[test]
    fn a_wish_for_another_acr_asks_once_and_stops_nobody__rfc9470_5() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let signed_in = SignedIn {
            user_id: UserId(uuid::Uuid::nil()),
            sid: shared::ids::SessionId(uuid::Uuid::nil()),
            auth_time: now - TimeDelta::hours(1),
            acr: "urn:example:bronze".into(),
            amr: vec![],
        };
        let wish = |acr: &str, prompt: &[&str]| ValidatedRequest {
            acr_values: vec![acr.to_owned()],
            prompt: prompt.iter().map(|p| (*p).to_owned()).collect(),
            ..ValidatedRequest::default()
        };
        let enough = |request: &ValidatedRequest, since| signed_in_enough(request, &signed_in, Showed::All, since, now);
        assert!(enough(&ValidatedRequest::default(), None));
        assert!(enough(&wish("urn:example:bronze", &[]), None));
        assert!(!enough(&wish("urn:example:gold", &[]), None));
        // Whoever signed in for this request did what could be done; and where nobody may be asked, it stays a wish.
        assert!(enough(&wish("urn:example:gold", &[]), Some(now - TimeDelta::hours(2))));
        assert!(enough(&wish("urn:example:gold", &["none"]), None));
        // Who was spared something, or had a lesser thing for it, has not tried.
        let since = Some(now - TimeDelta::hours(2));
        for showed in [Showed::Spared, Showed::Mailed] {
            assert!(!signed_in_enough(&wish("urn:example:gold", &[]), &signed_in, showed, since, now), "{showed:?}");
        }
        let recent = ValidatedRequest { max_age: Some(86_400), ..ValidatedRequest::default() };
        for (request, showed, expected) in [
            (&recent, Showed::All, true),
            (&recent, Showed::Mailed, true),
            (&recent, Showed::Spared, false),
            (&wish("urn:example:bronze", &["login"]), Showed::Mailed, true),
            (&wish("urn:example:bronze", &["login"]), Showed::Spared, false),
            (&ValidatedRequest::default(), Showed::Spared, true),
        ] {
            assert_eq!(signed_in_enough(request, &signed_in, showed, since, now), expected, "{showed:?}");
        }
    }

    #[test]
    fn who_was_chosen_need_not_sign_in_again_and_nobody_else_is_chosen__oidc_core_3_1_2_1() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let sid = |n: u128| shared::ids::SessionId(uuid::Uuid::from_u128(n));
        let signed_in = SignedIn {
            user_id: UserId(uuid::Uuid::nil()),
            sid: sid(1),
            auth_time: now - TimeDelta::hours(1),
            acr: "urn:example:bronze".into(),
            amr: vec![],
        };
        let asks = |prompt: &[&str], chosen| ValidatedRequest {
            prompt: prompt.iter().map(|p| (*p).to_owned()).collect(),
            chosen,
            ..ValidatedRequest::default()
        };
        for (prompt, chosen, expected) in [
            (&["select_account"][..], None, false),
            (&["select_account"], Some(sid(1)), true),
            (&["select_account"], Some(sid(2)), false),
            (&["login", "select_account"], Some(sid(1)), false),
            (&["login"], Some(sid(1)), false),
        ] {
            let since = Some(now - TimeDelta::minutes(1));
            assert_eq!(
                signed_in_enough(&asks(prompt, chosen), &signed_in, Showed::All, since, now),
                expected,
                "{prompt:?} {chosen:?}"
            );
        }
        assert!(asks(&["select_account"], None).awaits_choice());
        assert!(!asks(&["select_account"], Some(sid(1))).awaits_choice());
    }

    #[tokio::test]
    async fn a_consent_that_was_taken_back_meanwhile_serves_no_more() {
        each_state(&[], |state| async move {
            let ann = person(&state, "ann@example.com").await;
            let (request, mut client) = (request("https://app.example/cb", &["openid", "email"]), notes(&state).await);
            client.first_party = false;
            let mut given = Consent::default();
            given.add(&request);
            let mut tx = state.platform.db.begin().await.unwrap();
            shared::execute!(
                &mut tx,
                "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4)",
                ann,
                &client.client_id,
                Json(given),
                state.platform.clock.now()
            )
            .unwrap();
            assert!(still_has_consent(&mut tx, &client, &request, ann).await.unwrap());
            let wider = super::tests::request("https://app.example/cb", &["openid", "email", "profile"]);
            assert!(!still_has_consent(&mut tx, &client, &wider, ann).await.unwrap());
            crate::sessions::apps::disconnect(&mut tx, &state.platform, ann, &client.client_id).await.unwrap();
            assert!(!still_has_consent(&mut tx, &client, &request, ann).await.unwrap());
            client.first_party = true;
            assert!(still_has_consent(&mut tx, &client, &request, ann).await.unwrap(), "our own apps need none");
        })
        .await;
    }
}
