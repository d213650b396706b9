//! Parameters of OAuth requests, read strictly: a duplicated parameter is refused instead of silently dropped
//! (RFC 6749 §3.1), and one without a value counts as left out. At the authorization endpoint alone it is noted instead:
//! there the client is told, by way of a browser (§4.1.2.1).

use std::borrow::Cow;
use std::collections::HashSet;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use oxide_auth::code_grant::{accesstoken, authorization, client_credentials, refresh};
use oxide_auth::endpoint::QueryParameter;
use oxide_auth_axum::OAuthRequest;
use shared::http::ClientCertificate;
use url::form_urlencoded;

use super::error::OAuthError;
use crate::clients::TOKEN_EXCHANGE;

/// The longest body or query that is read, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// An OAuth request: its parameters (from the query of a GET, from the form of a POST) and its `Authorization` header.
/// Among them are passwords, codes and secrets, so it does not show them in `Debug`.
#[derive(Clone)]
pub struct Parameters {
    request: OAuthRequest,
    from_body: bool,
    /// `resource` may be repeated (RFC 8707 §2).
    pub resource: Vec<String>,
    /// So may `audience`, in a token exchange alone (RFC 8693 §2.1).
    pub audience: Vec<String>,
    /// The `DPoP` headers as sent (RFC 9449 §4.1); more than one is for the reader to refuse.
    pub dpop: Vec<String>,
    /// Where it was sent to: the method and the path below the issuer's address.
    pub method: Method,
    pub path: String,
    /// What the connection's client showed of itself (RFC 8705).
    pub certificate: Option<ClientCertificate>,
    names: Vec<String>,
    /// A parameter that came twice, which none has that is read as [`Parameters`] itself. It has no value here.
    twice: Option<String>,
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parameters(…)")
    }
}

impl Parameters {
    /// The value of a parameter; `None` when it is absent or empty.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let parameters = if self.from_body { self.request.body() } else { self.request.query() };
        parameters.and_then(|p| p.unique_value(name)).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    pub fn require(&self, name: &str) -> Result<Cow<'_, str>, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("the parameter {name} is missing")))
    }

    /// The same request with other parameters: those of a request object, or of a request that was pushed before.
    ///
    /// # Errors
    /// As for a request of a client's: a parameter that is there twice is refused.
    pub async fn with_parameters<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, OAuthError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = Request::builder()
            .uri(format!("{}?{query}", self.path))
            .body(Body::empty())
            .map_err(|_| OAuthError::invalid_request("the parameters are too long"))?;
        let (dpop, method, path) = (self.dpop.clone(), self.method.clone(), self.path.clone());
        let certificate = self.certificate.clone();
        Ok(Self { dpop, method, path, certificate, ..Self::from_request(request, &()).await? })
    }

    /// Every parameter but `resource`, by name, in no particular order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The parameter that came twice.
    pub fn twice(&self) -> Option<&str> {
        self.twice.as_deref()
    }

    /// The `Authorization` header.
    pub fn authorization_header(&self) -> Option<&str> {
        self.request.authorization_header()
    }
}

/// What is wrong with a parameter that came twice.
pub fn doubled(name: &str) -> OAuthError {
    let name: String = name.chars().take(40).collect();
    OAuthError::invalid_request(format!("the parameter {name} is there twice"))
}

/// The parameters of the authorization endpoint, one of which may have come twice ([`Parameters::twice`]).
pub struct AuthorizationParameters(pub Parameters);

impl<S: Send + Sync> FromRequest<S> for AuthorizationParameters {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        Parameters::read(request, state).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let read = Self::read(request, state).await?;
        match &read.twice {
            None => Ok(read),
            Some(name) => Err(doubled(name)),
        }
    }
}

impl Parameters {
    async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Self, OAuthError> {
        let (parts, body) = request.into_parts();
        let from_body = parts.method == Method::POST;
        let dpop = parts.headers.get_all("dpop").iter();
        let dpop = dpop.map(|proof| String::from_utf8_lossy(proof.as_bytes()).into_owned()).collect();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let certificate = parts.extensions.get().cloned();
        let bytes = to_bytes(body, MAX_LENGTH)
            .await
            .map_err(|_| OAuthError::invalid_request("the body is longer than 64 KiB or was cut off"))?;
        let query = parts.uri.query().unwrap_or_default();
        if from_body {
            let form = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let form = form.split(';').next().unwrap_or_default().trim();
            if !form.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                return Err(OAuthError::invalid_request("send the parameters as application/x-www-form-urlencoded"));
            }
            // A secret in the URI ends up in logs and histories (RFC 6749 §2.3.1).
            if !query.is_empty() {
                return Err(OAuthError::invalid_request("send the parameters in the body, not in the URI"));
            }
        }
        let mut seen = HashSet::new();
        let mut names = vec![];
        let mut twice = None;
        let (mut resource, mut audience) = (vec![], vec![]);
        for (name, value) in form_urlencoded::parse(if from_body { &bytes } else { query.as_bytes() }) {
            // No specification has a use for it, and PostgreSQL can't store it.
            if name.contains('\0') || value.contains('\0') {
                return Err(OAuthError::invalid_request("a parameter contains a NUL character"));
            }
            if name == "resource" {
                resource.push(value.into_owned());
            } else if name == "audience" {
                audience.push(value.into_owned());
            } else if !seen.insert(name.clone()) {
                twice.get_or_insert(name.into_owned());
            } else {
                names.push(name.into_owned());
            }
        }
        let request = OAuthRequest::from_request(Request::from_parts(parts, Body::from(bytes)), state)
            .await
            .map_err(|_| OAuthError::invalid_request("there is more than one Authorization header"))?;
        let mut read = Self { request, from_body, resource, audience, dpop, method, path, certificate, names, twice };
        if read.audience.len() > 1 && read.get("grant_type").as_deref() != Some(TOKEN_EXCHANGE) {
            read.twice.get_or_insert("audience".to_owned());
        }
        Ok(read)
    }
}

/// The parameters as oxide-auth's authorization machine reads them.
impl authorization::Request for Parameters {
    fn valid(&self) -> bool {
        true
    }
    fn client_id(&self) -> Option<Cow<'_, str>> {
        self.get("client_id")
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.get("scope")
    }
    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        self.get("redirect_uri")
    }
    fn state(&self) -> Option<Cow<'_, str>> {
        self.get("state")
    }
    fn response_type(&self) -> Option<Cow<'_, str>> {
        self.get("response_type")
    }
    fn extension(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key)
    }
}

/// A token request of a client that has proved who it is. The machines see that client, however it authenticated, and
/// never its secret.
pub struct Authenticated<'a> {
    pub parameters: &'a Parameters,
    pub client_id: &'a str,
    /// Where the code was sent; the machine insists on it even where the request may leave it out.
    pub redirect_uri: Option<&'a str>,
}

impl accesstoken::Request for Authenticated<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn code(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("code")
    }
    fn authorization(&self) -> accesstoken::Authorization<'_> {
        accesstoken::Authorization::None
    }
    fn client_id(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.client_id))
    }
    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        self.redirect_uri.map(Cow::Borrowed)
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("grant_type")
    }
    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl refresh::Request for Authenticated<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn refresh_token(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("refresh_token")
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("scope")
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("grant_type")
    }
    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((Cow::Borrowed(self.client_id), Cow::Borrowed(&[])))
    }
    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl client_credentials::Request for Authenticated<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((Cow::Borrowed(self.client_id), Cow::Borrowed(&[])))
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("scope")
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.parameters.get("grant_type")
    }
    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(request: axum::http::request::Builder, body: &str) -> Result<Parameters, OAuthError> {
        Parameters::from_request(request.body(Body::from(body.to_owned())).unwrap(), &()).await
    }

    fn form() -> axum::http::request::Builder {
        Request::builder().method("POST").header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
    }

    #[tokio::test]
    async fn a_duplicated_parameter_is_refused_but_for_resource__rfc6749_3_1() {
        let error = read(form(), "state=a&state=b").await.unwrap_err();
        assert!(error.description.contains("state"), "{error:?}");
        let parameters = read(form(), "resource=a&resource=b&scope=&code=x").await.unwrap();
        assert_eq!(parameters.resource, ["a", "b"]);
        assert_eq!(parameters.get("scope"), None);
        assert_eq!(parameters.get("code").as_deref(), Some("x"));
    }

    #[tokio::test]
    async fn at_the_authorization_endpoint_it_is_noted_and_has_no_value__rfc6749_4_1_2_1() {
        let request = form().body(Body::from("state=a&scope=x&state=b&scope=y&nonce=n")).unwrap();
        let AuthorizationParameters(parameters) = AuthorizationParameters::from_request(request, &()).await.unwrap();
        assert_eq!(parameters.twice(), Some("state"));
        assert_eq!((parameters.get("state"), parameters.get("scope")), (None, None));
        assert_eq!(parameters.get("nonce").as_deref(), Some("n"));
        // What can't be read at all is refused as everywhere.
        let request = form().uri("/oauth/authorize?state=a").body(Body::from("scope=x")).unwrap();
        assert!(AuthorizationParameters::from_request(request, &()).await.is_err());
    }

    #[tokio::test]
    async fn parameters_of_a_post_come_from_a_form_body_only__rfc6749_2_3_1() {
        assert!(read(form().uri("/oauth/token?client_secret=x"), "a=b").await.is_err());
        assert!(
            read(Request::builder().method("POST").header("content-type", "application/json"), "{}").await.is_err()
        );
        assert!(read(form(), &"a".repeat(MAX_LENGTH + 1)).await.is_err());
        assert!(read(form(), "state=a%00b").await.is_err());
        let twice = form().header("authorization", "Basic eA==").header("authorization", "Basic eQ==");
        assert!(read(twice, "a=b").await.is_err());
    }
}
