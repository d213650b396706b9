//! Client authentication by a signed JWT: `private_key_jwt` and `client_secret_jwt` (RFC 7521 §4.2, RFC 7523 §2.2 and §3,
//! OpenID Connect Core §9, FAPI 2.0 Security Profile §5.3.2.1).
//!
//! Every refusal is the same answer; the log says why. (That the client's keys can't be fetched is none.) That an unknown client is refused sooner than a bad signature is
//! left as it is: client ids are public (they stand in every authorization request).

use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use shared::ids::ClientId;
use shared::jose::jwt::{ClaimError, JwtError, Unverified, Verified};
use shared::jose::{ASYMMETRIC, FAPI, algorithm_named};

use super::Proved;
use crate::clients::Client;
use crate::clients::keys::{ClientKeysError, NotSigned, verify_signed};
use crate::protocol::error::OAuthError;
use crate::protocol::proofs::UsedProof;
use crate::protocol::request::Parameters;
use crate::state::AppState;

/// RFC 7523 §2.2.
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Room for a signature by an RSA key of 4096 bits and claims nobody asks for.
const LONGEST: usize = 8192;
const LONGEST_JTI: usize = 256;
/// How far clocks may differ, in seconds (FAPI 2.0 §5.3.2.1: ten seconds into the future are accepted).
const LEEWAY: i64 = 10;
/// How long an assertion may live, in seconds: for so long its `jti` has to be remembered.
pub const LONGEST_LIFE: i64 = 3600;

/// The types by which the two kinds of assertions tell themselves apart, where they do (RFC 8725 §3.11).
pub(crate) const CLIENT: &str = "client-authentication+jwt";
const GRANT: &str = "authorization-grant+jwt";

/// What a request shows, well-formed and not verified yet.
pub(crate) struct Presented {
    pub(crate) client_id: ClientId,
    pub(crate) token: Unverified,
}

impl Presented {
    /// Whose it says it is.
    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }
}

/// Why an assertion proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("client_assertion_type is not {TYPE}")]
    Type,
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Signature(#[from] NotSigned),
    #[error("the token is of another type")]
    Typ,
    #[error("iss, sub and client_id are not one and the same")]
    Issuer,
    #[error("there is no such client, or it authenticates in another way")]
    Client,
    #[error("the client's secret can't be opened with this master key")]
    Secret,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token's jti is too long")]
    Jti,
}

impl Refusal {
    /// Was nothing found wrong with it, since there is nothing to verify it with just now?
    fn is_for_want_of_keys(&self) -> bool {
        matches!(self, Self::Signature(NotSigned::Keys(ClientKeysError::Unavailable)))
    }
}

impl From<Refusal> for OAuthError {
    fn from(refusal: Refusal) -> Self {
        tracing::debug!(%refusal, "a client assertion is refused");
        if refusal.is_for_want_of_keys() { Self::keys_unavailable() } else { Self::invalid_assertion() }
    }
}

/// The assertion of a request, when it has one.
///
/// # Errors
/// `invalid_request` when one of its two parameters is missing; `invalid_client` when it can't be read or does not name
/// its client.
pub(super) fn read(parameters: &Parameters) -> Result<Option<Presented>, OAuthError> {
    let (assertion, kind) = match (parameters.get("client_assertion"), parameters.get("client_assertion_type")) {
        (None, None) => return Ok(None),
        (Some(assertion), Some(kind)) => (assertion, kind),
        _ => return Err(OAuthError::invalid_request("client_assertion and client_assertion_type go together")),
    };
    let presented = parse(&assertion, &kind).map_err(OAuthError::from)?;
    // RFC 7521 §4.2: the parameter is unnecessary, and where it is there it names the same client.
    if parameters.get("client_id").is_some_and(|id| id != presented.client_id.as_str()) {
        return Err(Refusal::Issuer.into());
    }
    Ok(Some(presented))
}

fn parse(assertion: &str, kind: &str) -> Result<Presented, Refusal> {
    if kind != TYPE {
        return Err(Refusal::Type);
    }
    let token = Unverified::parse(assertion, LONGEST)?;
    let client_id = named(&token).ok_or(Refusal::Issuer)?;
    Ok(Presented { client_id, token })
}

/// Whose it says it is (RFC 7523 §3 rules 1 and 2): good for nothing but finding the key.
fn named(token: &Unverified) -> Option<ClientId> {
    let (issuer, subject) = (token.claims().get("iss")?.as_str()?, token.claims().get("sub")?.as_str()?);
    (issuer == subject).then(|| ClientId(issuer.to_owned()))
}

/// An assertion that a client shows as a grant (RFC 7523 §2.1), verified.
pub struct Granting {
    /// For whom it speaks.
    pub subject: String,
    /// It serves once; for the request's transaction.
    pub proof: UsedProof,
}

/// Verifies an assertion that `client`, which has authenticated, signed itself with a registered key. `None` for one that
/// does not serve.
///
/// # Errors
/// When the client's keys can't be fetched just now.
pub async fn grant(
    state: &AppState,
    parameters: &Parameters,
    client: &Client,
    assertion: &str,
) -> Result<Option<Granting>, OAuthError> {
    let verified = async {
        let token = Unverified::parse(assertion, LONGEST)?;
        let verified = with_registered_key(state, client, &token).await?;
        if verified.required("iss")? != client.client_id.as_str() {
            return Err(Refusal::Issuer);
        }
        let subject = verified.required("sub")?.to_owned();
        let (jti, until) = check(&Us::of(state, parameters), client, &verified, GRANT)?;
        let used = OAuthError::invalid_grant("this assertion was used before");
        Ok::<_, Refusal>(Granting {
            subject,
            proof: UsedProof::new(GRANT, client.client_id.as_str(), &jti, until, used),
        })
    };
    match verified.await {
        Ok(granting) => Ok(Some(granting)),
        Err(refusal) => {
            tracing::debug!(%refusal, "an assertion grant is refused");
            if refusal.is_for_want_of_keys() { Err(OAuthError::keys_unavailable()) } else { Ok(None) }
        }
    }
}

/// Verifies it. The `jti` is left to be written down with the request.
///
/// # Errors
/// `invalid_client`, whatever is wrong; those of the database.
pub(super) async fn verify(
    state: &AppState,
    parameters: &Parameters,
    presented: &Presented,
) -> Result<Proved, OAuthError> {
    let Presented { client_id, token } = presented;
    let client = state.clients.get(client_id).await?.ok_or(Refusal::Client)?;
    let verified = signed(state, &client, token).await?;
    let (jti, until) = check(&Us::of(state, parameters), &client, &verified, CLIENT)?;
    let refusal = OAuthError::invalid_assertion();
    let proof = UsedProof::new(CLIENT, client_id.as_str(), &jti, until, refusal);
    Ok(Proved { client, proofs: vec![proof] })
}

async fn signed(state: &AppState, client: &Client, token: &Unverified) -> Result<Verified, Refusal> {
    match client.metadata.token_endpoint_auth_method.as_str() {
        "private_key_jwt" => with_registered_key(state, client, token).await,
        "client_secret_jwt" => {
            let secret = client.open_secret(&state.platform).ok_or(Refusal::Secret)?;
            Ok(token.verify_hmac(&secret)?)
        }
        _ => Err(Refusal::Client),
    }
}

async fn with_registered_key(state: &AppState, client: &Client, token: &Unverified) -> Result<Verified, Refusal> {
    let profile = if client.is_fapi2() { FAPI.as_slice() } else { ASYMMETRIC.as_slice() };
    let metadata = &client.metadata;
    // What it registered for a MAC says nothing about its keys.
    let registered = metadata.token_endpoint_auth_signing_alg.as_deref();
    let registered = registered.filter(|_| metadata.token_endpoint_auth_method == "private_key_jwt");
    let allowed: Vec<Algorithm> = match registered {
        Some(name) => algorithm_named(name).into_iter().filter(|alg| profile.contains(alg)).collect(),
        None => profile.to_vec(),
    };
    Ok(verify_signed(&state.client_keys, client, token, &allowed).await?)
}

/// Whom an assertion is for, and when it comes.
pub(crate) struct Us<'a> {
    pub issuer: &'a str,
    /// The token endpoint and the endpoint that is called, each at every address of ours.
    pub endpoints: Vec<String>,
    pub now: i64,
}

impl<'a> Us<'a> {
    fn of(state: &'a AppState, parameters: &Parameters) -> Self {
        let auth = &state.platform.config.auth;
        let addresses = [Some(&auth.public_url), auth.mtls_public_url.as_ref()].into_iter().flatten();
        let endpoints = addresses.flat_map(|base| [base.join("/oauth/token"), base.join(&parameters.path)]).collect();
        Self { issuer: state.issuer(), endpoints, now: state.platform.clock.timestamp() }
    }
}

/// The claims (RFC 7523 §3): the `jti`, and until when it must be remembered.
pub(crate) fn check(
    us: &Us<'_>,
    client: &Client,
    token: &Verified,
    typ: &str,
) -> Result<(String, DateTime<Utc>), Refusal> {
    let header = &token.header;
    if header.typ().is_some() && !header.has_typ("JWT") && !header.has_typ(typ) {
        return Err(Refusal::Typ);
    }
    check_audience(us, client, token)?;
    token.check_times(us.now, LEEWAY, Some(LONGEST_LIFE))?;
    let jti = token.required("jti")?;
    if jti.len() > LONGEST_JTI {
        return Err(Refusal::Jti);
    }
    let exp = token.timestamp("exp")?.ok_or(ClaimError::Missing("exp"))?;
    let until = DateTime::from_timestamp(exp + LEEWAY + 1, 0).ok_or(ClaimError::Malformed("exp"))?;
    Ok((jti.to_owned(), until))
}

/// RFC 7523 §3 rule 3: us, by our issuer identifier or by the URL of the token endpoint or of the endpoint that is called
/// (RFC 9126 §2), each at the address for mutual TLS as well, where there is one (RFC 8705 §5: a client that is bound to a
/// certificate takes that for the endpoint's). Somebody else beside us could use it too, so it must be us alone. Under
/// FAPI 2.0 the issuer as a string and nothing else: an endpoint's URL is what a hostile server would make the client say.
fn check_audience(us: &Us<'_>, client: &Client, token: &Verified) -> Result<(), Refusal> {
    if client.is_fapi2() {
        let alone = token.claims.get("aud").and_then(|aud| aud.as_str()) == Some(us.issuer);
        return if alone { Ok(()) } else { Err(Refusal::Audience) };
    }
    let ours = |one: &String| one == us.issuer || us.endpoints.contains(one);
    let audience = token.audience()?;
    if !audience.is_empty() && audience.iter().all(ours) { Ok(()) } else { Err(Refusal::Audience) }
}
