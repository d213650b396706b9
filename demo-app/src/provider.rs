//! OpenID Connect as a relying party: discovery, the authorization-code flow with PKCE, the checks on what comes back,
//! refreshing and revoking. The protocol is the `openidconnect` crate's; what is ours is when to ask and what to refuse.

use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AsyncHttpClient, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RefreshToken,
    RequestTokenError, RevocationUrl, Scope, SignatureVerificationError, TokenResponse,
};
use serde::{Deserialize, Serialize};
use shared::clock::Clock;
use tokio::sync::Mutex;
use tracing::{debug, warn};
use url::Url;

use crate::DemoClient;

/// What the app asks people for, besides `openid`.
const SCOPES: [&str; 5] = ["profile", "email", "referral-codes:read", "referral-codes:write", "referrals:read"];

/// Documents of a provider are small; a larger answer is not one.
const MOST_BYTES: usize = 1 << 20;

/// A token is renewed this long before it expires, so that it does not expire on its way.
const EARLY: TimeDelta = TimeDelta::seconds(15);

/// What RFC 8414 and RFC 9207 add to OpenID Connect's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Extra {
    revocation_endpoint: Option<RevocationUrl>,
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

/// The authorization server, as far as it has been discovered.
pub(crate) struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    redirect_uri: RedirectUrl,
    http: Http,
    clock: Clock,
    found: Mutex<Option<Arc<Found>>>,
}

struct Found {
    client: Client,
    extra: Extra,
}

/// A sign-in that is under way in a browser.
#[derive(Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) state: String,
    nonce: String,
    verifier: String,
}

/// What came back to the redirect URI (RFC 6749 §4.1.2, RFC 9207 §2).
#[derive(Default, Deserialize)]
pub(crate) struct Callback {
    pub(crate) state: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) iss: Option<String>,
    pub(crate) error: Option<String>,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
}

/// What the app may do in somebody's name, and until when.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    refresh: Option<String>,
    expires_at: DateTime<Utc>,
    scope: Vec<String>,
}

impl Tokens {
    /// Must it be renewed before it is used?
    pub(crate) fn is_stale(&self, now: DateTime<Utc>) -> bool {
        now + EARLY >= self.expires_at
    }

    pub(crate) fn allows(&self, scope: &str) -> bool {
        self.scope.iter().any(|granted| granted == scope)
    }
}

/// Why a sign-in, or its renewal, came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("the authorization server is out of reach: {0}")]
    Unreachable(String),
    #[error("the authorization server answered with an error: {0}")]
    Answered(String),
    #[error("the response comes from another issuer, or from none")]
    WrongIssuer,
    #[error("the ID token can't be trusted: {0}")]
    Untrusted(String),
    #[error("the grant has ended")]
    Ended,
}

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Reqwest(#[from] reqwest::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("the answer is too large")]
    TooLarge,
}

/// How the crate sends its requests: by our client.
struct Http(reqwest::Client);

impl Http {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl Provider {
    pub(crate) fn new(
        issuer: &str,
        client: DemoClient,
        redirect_uri: String,
        http: reqwest::Client,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            issuer: IssuerUrl::new(issuer.to_owned())?,
            client_id: ClientId::new(client.client_id),
            client_secret: ClientSecret::new(client.client_secret),
            redirect_uri: RedirectUrl::new(redirect_uri)?,
            http: Http(http),
            clock,
            found: Mutex::new(None),
        })
    }

    /// Where to send the browser, and what to remember of it.
    pub(crate) async fn begin(&self) -> Result<(Url, Attempt), ProviderError> {
        let found = self.found().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = found
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        let attempt =
            Attempt { state: state.into_secret(), nonce: nonce.secret().clone(), verifier: verifier.into_secret() };
        Ok((url, attempt))
    }

    /// Is this response from the server that was asked (RFC 9207 §2.4)? An attacker's server that got our browser to
    /// bring its code here (mix-up) can't say so. The comparison is of characters, not of URLs.
    pub(crate) async fn check_issuer(&self, iss: Option<&str>) -> Result<(), ProviderError> {
        match iss {
            Some(iss) if iss == self.issuer.as_str() => Ok(()),
            Some(_) => Err(ProviderError::WrongIssuer),
            None if self.found().await?.extra.authorization_response_iss_parameter_supported => {
                Err(ProviderError::WrongIssuer)
            }
            None => Ok(()),
        }
    }

    /// Redeems the code and learns who it stands for.
    pub(crate) async fn finish(&self, code: String, attempt: Attempt) -> Result<(Person, Tokens), ProviderError> {
        let found = self.found().await?;
        let response: CoreTokenResponse = found
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|e| ProviderError::Answered(e.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .request_async(&self.http)
            .await
            .map_err(refused)?;

        let id_token = response.id_token().ok_or_else(|| ProviderError::Untrusted("there is none".into()))?;
        let nonce = Nonce::new(attempt.nonce);
        let claims = match self.verify(&found, id_token, &nonce, &response) {
            // The server signs with a key it published after we looked.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                debug!("the ID token's key is new; discovering again");
                let found = self.discover_again().await?;
                self.verify(&found, id_token, &nonce, &response)
            }
            verified => verified,
        }
        .map_err(|e| ProviderError::Untrusted(e.to_string()))?;

        // Its `sub` must be the ID token's, or somebody's answers were mixed (OpenID Connect Core §5.3.2): the crate
        // checks that when it is told whom to expect.
        let info: CoreUserInfoClaims = found
            .client
            .user_info(response.access_token().clone(), Some(claims.subject().clone()))
            .map_err(|e| ProviderError::Answered(e.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(|e| ProviderError::Answered(e.to_string()))?;
        let person = Person {
            subject: info.subject().to_string(),
            name: info.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
            email: info.email().map(|email| email.to_string()),
            email_verified: info.email_verified().unwrap_or_default(),
        };
        let tokens = self.tokens(&response, None);
        Ok((person, tokens))
    }

    fn verify(
        &self,
        found: &Found,
        id_token: &CoreIdToken,
        nonce: &Nonce,
        response: &CoreTokenResponse,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let verifier = found.client.id_token_verifier().set_time_fn(|| self.clock.now());
        let claims = id_token.claims(&verifier, nonce)?;
        // OpenID Connect Core §3.1.3.8: binds the access token to the sign-in.
        if let Some(expected) = claims.access_token_hash() {
            let actual = AccessTokenHash::from_token(
                response.access_token(),
                id_token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?,
                id_token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?,
            )
            .map_err(|e| ClaimsVerificationError::Other(e.to_string()))?;
            if actual != *expected {
                return Err(ClaimsVerificationError::Other("at_hash names another access token".into()));
            }
        }
        Ok(claims.clone())
    }

    /// New tokens for old ones. [`ProviderError::Ended`]: the person has to sign in again.
    pub(crate) async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, ProviderError> {
        let refresh = tokens.refresh.clone().ok_or(ProviderError::Ended)?;
        let found = self.found().await?;
        let response: CoreTokenResponse = found
            .client
            .exchange_refresh_token(&RefreshToken::new(refresh))
            .map_err(|e| ProviderError::Answered(e.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(refused)?;
        Ok(self.tokens(&response, Some(tokens)))
    }

    /// Gives a grant back (RFC 7009). Best effort: who signs out is not kept waiting for the outcome.
    pub(crate) async fn revoke(&self, tokens: &Tokens) {
        let Some(refresh) = tokens.refresh.clone() else { return };
        let Ok(found) = self.found().await else { return };
        let Some(url) = found.extra.revocation_endpoint.clone() else { return };
        // By hand: the crate revokes over TLS only, and on one's own machine there is none. RFC 6749 §2.3.1: both
        // halves are form-encoded first.
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self
            .http
            .0
            .post(url.url().clone())
            .basic_auth(encoded(&self.client_id), Some(encoded(self.client_secret.secret())))
            .form(&[("token", refresh.as_str()), ("token_type_hint", "refresh_token")]);
        if let Err(error) = request.send().await.and_then(reqwest::Response::error_for_status) {
            warn!(%error, "the grant could not be revoked; it will expire");
        }
    }

    fn tokens(&self, response: &CoreTokenResponse, before: Option<&Tokens>) -> Tokens {
        // RFC 6749 §5.1 leaves `expires_in` out at the server's will; five minutes is then a guess on the safe side.
        let lifetime = response.expires_in().and_then(|d| TimeDelta::from_std(d).ok()).unwrap_or(TimeDelta::minutes(5));
        let scope = match (response.scopes(), before) {
            (Some(granted), _) => granted.iter().map(|scope| scope.to_string()).collect(),
            (None, Some(before)) => before.scope.clone(),
            // Left out means: what was asked for (RFC 6749 §5.1).
            (None, None) => SCOPES.map(str::to_owned).to_vec(),
        };
        Tokens {
            access: response.access_token().secret().clone(),
            refresh: response
                .refresh_token()
                .map(|token| token.secret().clone())
                .or_else(|| before.and_then(|before| before.refresh.clone())),
            expires_at: self.clock.now() + lifetime,
            scope,
        }
    }

    async fn found(&self) -> Result<Arc<Found>, ProviderError> {
        let mut found = self.found.lock().await;
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        Ok(found.insert(self.discover().await?).clone())
    }

    async fn discover_again(&self) -> Result<Arc<Found>, ProviderError> {
        let fresh = self.discover().await?;
        *self.found.lock().await = Some(fresh.clone());
        Ok(fresh)
    }

    async fn discover(&self) -> Result<Arc<Found>, ProviderError> {
        let metadata = Metadata::discover_async(self.issuer.clone(), &self.http)
            .await
            .map_err(|e| ProviderError::Unreachable(e.to_string()))?;
        let extra = metadata.additional_metadata().clone();
        let client = Client::from_provider_metadata(metadata, self.client_id.clone(), Some(self.client_secret.clone()))
            .set_redirect_uri(self.redirect_uri.clone());
        Ok(Arc::new(Found { client, extra }))
    }
}

fn refused(
    error: RequestTokenError<HttpError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>,
) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(answer) if *answer.error() == CoreErrorResponseType::InvalidGrant => {
            ProviderError::Ended
        }
        RequestTokenError::ServerResponse(answer) => ProviderError::Answered(answer.error().as_ref().to_owned()),
        RequestTokenError::Request(error) => ProviderError::Unreachable(error.to_string()),
        // The answer itself may hold tokens: not into the log.
        RequestTokenError::Parse(error, _) => ProviderError::Answered(error.to_string()),
        RequestTokenError::Other(error) => ProviderError::Answered(error),
    }
}
