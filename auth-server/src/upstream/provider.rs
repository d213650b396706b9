//! One provider: what is known of it, where a sign-in there begins, and who came back (OpenID Connect Core §3.1, with PKCE,
//! `nonce`, `state` and the `iss` of RFC 9207). What is believed of its answer is decided here, and it is little: who
//! somebody is there, their address and name. How they signed in there is not ours to vouch for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGrantType, CoreIdToken, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, SubjectIdentifier, TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::Platform;
use shared::clock::Clock;
use shared::config::Upstream;
use shared::random::Random;
use url::Url;

use super::http::{Http, HttpError};
use crate::sessions::AMR_PROVIDER;

/// How long metadata and keys are used without asking again.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// How long they serve while the provider does not answer. A withdrawn key must not be accepted for ever.
const LONGEST_USE: TimeDelta = TimeDelta::hours(12);
/// The least time between two discoveries, whatever the reason: who waits for one that failed is told so at once.
const PAUSE: TimeDelta = TimeDelta::seconds(5);

/// What ID tokens may be signed with: a provider's own key, never the secret that it shares with us, never nothing.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What RFC 9207 adds to OpenID Connect's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Extra {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// A provider, as far as it has been discovered.
pub struct Provider {
    settings: Upstream,
    secret: Option<ClientSecret>,
    issuer: IssuerUrl,
    redirect_uri: RedirectUrl,
    http: Http,
    clock: Clock,
    random: Random,
    found: Mutex<Found>,
    /// Held by who asks it: one at a time, while the others do with what is known.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Found {
    known: Option<(Arc<Known>, DateTime<Utc>)>,
    /// When it was looked for last.
    asked: Option<DateTime<Utc>>,
}

struct Known {
    client: Client,
    extra: Extra,
    algorithms: Vec<CoreJwsSigningAlgorithm>,
}

/// What only this side knows of a sign-in under way.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    nonce: String,
    verifier: String,
    /// Not before this may the person have shown there who they are, in seconds since 1970.
    #[serde(default)]
    fresh_since: Option<i64>,
}

/// What came back to the redirect URI (RFC 6749 §4.1.2, RFC 9207 §2).
#[derive(Default, Deserialize)]
pub struct Callback {
    #[serde(default)]
    pub state: String,
    pub code: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// Who somebody is at a provider, and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    /// The provider says that it has proved the address, and is believed.
    pub email_verified: bool,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
}

/// Why nobody came back.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It does not answer, or not in a way that could be understood.
    #[error("the provider is out of reach: {0}")]
    Down(String),
    /// The person said no, there.
    #[error("the person declined")]
    Declined,
    /// What came back is not to be trusted.
    #[error("the answer is not to be trusted: {0}")]
    Untrusted(String),
}

impl Provider {
    pub(super) fn new(platform: &Platform, settings: Upstream) -> anyhow::Result<Self> {
        let back = format!("/login/upstream/{}/callback", settings.id);
        Ok(Self {
            secret: settings.secret()?.map(|secret| ClientSecret::new(secret.expose().to_owned())),
            issuer: IssuerUrl::new(settings.issuer.clone())?,
            redirect_uri: RedirectUrl::new(platform.config.auth.public_url.join(&back))?,
            http: Http(platform.outbound.clone()),
            clock: platform.clock.clone(),
            random: platform.random.clone(),
            found: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            settings,
        })
    }

    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Its name, as people read it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// How a sign-in there is told (RFC 8176): by nothing, unless the configuration says that it counts.
    pub fn amr(&self) -> &'static [&'static str] {
        if self.settings.counts_as_factor { &[AMR_PROVIDER] } else { &[] }
    }

    fn draw(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.random.bytes::<32>())
    }

    /// Where to send the browser, the `state` that must come back, and what to keep of it. `prompt=select_account` where
    /// an account is added: whoever is signed in there already may not be who is meant. `anew` where the person is to show
    /// once more who they are: a provider that lets them through without asking shows nothing.
    ///
    /// # Errors
    /// When nothing is known of the provider and it does not answer.
    pub async fn begin(&self, choosing: bool, anew: bool) -> Result<(Url, String, Secrets), UpstreamError> {
        let known = self.known().await?;
        let (state, nonce) = (CsrfToken::new(self.draw()), Nonce::new(self.draw()));
        let verifier = PkceCodeVerifier::new(self.draw());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let mut request = known
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(challenge);
        for scope in self.settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if choosing {
            request = request.add_prompt(openidconnect::core::CoreAuthPrompt::SelectAccount);
        }
        if anew {
            request =
                request.add_prompt(openidconnect::core::CoreAuthPrompt::Login).set_max_age(std::time::Duration::ZERO);
        }
        let (url, state, nonce) = request.url();
        // Not that the browser be sent to a script, or to something of this network.
        self.http.0.guarded().check(&url).map_err(|error| UpstreamError::Down(error.to_string()))?;
        let fresh_since = anew.then(|| self.clock.now().timestamp());
        let secrets = Secrets { nonce: nonce.secret().clone(), verifier: verifier.into_secret(), fresh_since };
        Ok((url, state.into_secret(), secrets))
    }

    /// Redeems what came back and learns who it stands for. The `state` was the caller's to check.
    ///
    /// # Errors
    /// When the person declined, the provider does not answer, or its answer is not to be trusted.
    pub async fn finish(&self, callback: Callback, secrets: Secrets) -> Result<Identity, UpstreamError> {
        let known = self.known().await?;
        self.check_issuer(&known, callback.iss.as_deref())?;
        match callback.error.as_deref() {
            None => {}
            Some("access_denied" | "login_required" | "interaction_required") => return Err(UpstreamError::Declined),
            Some("temporarily_unavailable" | "server_error") => {
                return Err(UpstreamError::Down("it says so itself".into()));
            }
            // Its description is anybody's to write into our log.
            Some(_) => return Err(UpstreamError::Untrusted("it answered with an error".into())),
        }
        let code = callback.code.ok_or_else(|| UpstreamError::Untrusted("neither code nor error".into()))?;
        let response: CoreTokenResponse = known
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| UpstreamError::Down(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier))
            .request_async(&self.http)
            .await
            .map_err(refused)?;
        let id_token = response.id_token().ok_or_else(|| UpstreamError::Untrusted("no ID token".into()))?;
        let nonce = Nonce::new(secrets.nonce);
        let (known, verified) = match self.verify(&known, id_token, &nonce, &response) {
            // It signs with a key that it published after we looked.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let known = self.look_again().await?;
                let verified = self.verify(&known, id_token, &nonce, &response);
                (known, verified)
            }
            verified => (known, verified),
        };
        let subject = verified.map_err(|error| UpstreamError::Untrusted(error.to_string()))?;
        if subject.is_empty() || subject.len() > 255 || subject.chars().any(char::is_control) {
            return Err(UpstreamError::Untrusted("the subject is none (OpenID Connect Core 2)".into()));
        }
        let claims = payload(id_token);
        // §3.1.3.7 rule 13. Clocks differ by a minute.
        let shown_at = claims.get("auth_time").and_then(Value::as_i64);
        if secrets.fresh_since.is_some_and(|since| shown_at.is_none_or(|at| at < since - 60)) {
            return Err(UpstreamError::Untrusted("it did not ask anew who the person is".into()));
        }
        let mut identity = self.identity(&subject, &claims);
        if identity.email.is_none() && known.client.user_info_url().is_some() {
            self.ask_userinfo(&known, &response, &mut identity).await?;
        }
        Ok(identity)
    }

    /// Is this response from the server that was asked (RFC 9207 §2.4)? An attacker's server that got our browser to bring
    /// its code here (mix-up) can't say so. The comparison is of characters, not of URLs.
    fn check_issuer(&self, known: &Known, iss: Option<&str>) -> Result<(), UpstreamError> {
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            None if !known.extra.authorization_response_iss_parameter_supported => Ok(()),
            _ => Err(UpstreamError::Untrusted("the response comes from another issuer, or from none".into())),
        }
    }

    /// The subject of a valid ID token (OpenID Connect Core §3.1.3.7).
    fn verify(
        &self,
        known: &Known,
        id_token: &CoreIdToken,
        nonce: &Nonce,
        response: &CoreTokenResponse,
    ) -> Result<String, ClaimsVerificationError> {
        let clock = self.clock.clone();
        let verifier = known
            .client
            .id_token_verifier()
            .set_allowed_algs(known.algorithms.iter().cloned())
            .set_time_fn(move || clock.now());
        let claims = id_token.claims(&verifier, nonce)?;
        // §3.1.3.8: binds the access token to the sign-in.
        if let Some(expected) = claims.access_token_hash() {
            let actual = AccessTokenHash::from_token(
                response.access_token(),
                id_token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?,
                id_token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?,
            )
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
            if actual != *expected {
                return Err(ClaimsVerificationError::Other("at_hash names another access token".into()));
            }
        }
        Ok(claims.subject().to_string())
    }

    fn identity(&self, subject: &str, claims: &Map<String, Value>) -> Identity {
        let names = &self.settings.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).and_then(presentable);
        Identity {
            issuer: self.settings.issuer.clone(),
            subject: subject.to_owned(),
            email: text(&names.email),
            // A boolean, as Core §5.1 has it. Anything else proves nothing; nor does the word of a provider that lets
            // its people say what they like.
            email_verified: self.settings.trust_email_verified
                && claims.get(&names.email_verified) == Some(&Value::Bool(true)),
            given_name: text(&names.given_name),
            family_name: text(&names.family_name),
        }
    }

    /// What the ID token left out (OpenID Connect Core §5.4).
    async fn ask_userinfo(
        &self,
        known: &Known,
        response: &CoreTokenResponse,
        identity: &mut Identity,
    ) -> Result<(), UpstreamError> {
        let subject = SubjectIdentifier::new(identity.subject.clone());
        // Its `sub` must be the ID token's, or somebody's answers were mixed (§5.3.2).
        let claims: CoreUserInfoClaims = known
            .client
            .user_info(response.access_token().clone(), Some(subject))
            .map_err(|error| UpstreamError::Down(error.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                openidconnect::UserInfoError::ClaimsVerification(error) => UpstreamError::Untrusted(error.to_string()),
                error => UpstreamError::Down(error.to_string()),
            })?;
        identity.email = claims.email().and_then(|email| presentable(email.as_str()));
        let verified = self.settings.trust_email_verified && claims.email_verified().unwrap_or_default();
        identity.email_verified = identity.email.is_some() && verified;
        let given = claims.given_name().and_then(|name| name.get(None)).and_then(|name| presentable(name.as_str()));
        let family = claims.family_name().and_then(|name| name.get(None)).and_then(|name| presentable(name.as_str()));
        identity.given_name = identity.given_name.take().or(given);
        identity.family_name = identity.family_name.take().or(family);
        Ok(())
    }

    /// What is known of it. Nobody waits for it who can do without: while one asks, the others go on with what is known
    /// already, and no lock is held meanwhile that they need.
    async fn known(&self) -> Result<Arc<Known>, UpstreamError> {
        if let Some(known) = self.usable(FRESH) {
            return Ok(known);
        }
        let turn = match (self.asking.try_lock(), self.usable(LONGEST_USE)) {
            (Ok(turn), _) => turn,
            (Err(_), Some(known)) => return Ok(known),
            // There is nothing to go on with.
            (Err(_), None) => self.asking.lock().await,
        };
        let found = match self.usable(FRESH) {
            // By who had the turn before.
            Some(known) => Ok(known),
            None => self.discover().await,
        };
        drop(turn);
        found.or_else(|error| self.usable(LONGEST_USE).ok_or(error))
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // What is in it is right, whoever panicked.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self, age: TimeDelta) -> Option<Arc<Known>> {
        let now = self.clock.now();
        self.found().known.as_ref().filter(|(_, at)| now - *at < age).map(|(known, _)| known.clone())
    }

    async fn look_again(&self) -> Result<Arc<Known>, UpstreamError> {
        let _turn = self.asking.lock().await;
        self.discover().await
    }

    /// Asks it, in one's turn.
    async fn discover(&self) -> Result<Arc<Known>, UpstreamError> {
        let now = self.clock.now();
        {
            let mut found = self.found();
            if found.asked.is_some_and(|asked| (now - asked).abs() < PAUSE) {
                let known = found.known.as_ref().filter(|(_, at)| now - *at < PAUSE);
                return known
                    .map(|(known, _)| known.clone())
                    .ok_or_else(|| UpstreamError::Down("a moment ago, too".into()));
            }
            found.asked = Some(now);
        }
        let metadata = Metadata::discover_async(self.issuer.clone(), &self.http).await.map_err(|error| {
            tracing::warn!(upstream = self.id(), %error, "a provider can't be discovered");
            UpstreamError::Down(error.to_string())
        })?;
        let extra = metadata.additional_metadata().clone();
        let offered = metadata.id_token_signing_alg_values_supported();
        let algorithms = offered.iter().filter(|offered| ALGORITHMS.contains(offered)).cloned().collect();
        // OpenID Connect Discovery §3: basic, where nothing is said.
        let in_body = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let client_id = ClientId::new(self.settings.client_id.clone());
        let mut client = Client::from_provider_metadata(metadata, client_id, self.secret.clone())
            .set_redirect_uri(self.redirect_uri.clone());
        if in_body {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        let known = Arc::new(Known { client, extra, algorithms });
        self.found().known = Some((known.clone(), now));
        Ok(known)
    }
}

/// What is worth keeping of a text from outside.
fn presentable(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= 254 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The claims of a token that has been verified, by whatever name.
fn payload(id_token: &CoreIdToken) -> Map<String, Value> {
    let token = id_token.to_string();
    let body = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

fn refused(
    error: RequestTokenError<HttpError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>,
) -> UpstreamError {
    match error {
        RequestTokenError::ServerResponse(answer) => UpstreamError::Untrusted(answer.error().as_ref().to_owned()),
        RequestTokenError::Request(error) => UpstreamError::Down(error.to_string()),
        // The answer itself may hold tokens: not into the log.
        RequestTokenError::Parse(error, _) => UpstreamError::Untrusted(error.to_string()),
        RequestTokenError::Other(error) => UpstreamError::Untrusted(error),
    }
}
