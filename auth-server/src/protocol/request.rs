//! Parameters of OAuth requests, read strictly: a duplicated parameter is refused instead of silently dropped
//! (RFC 6749 §3.1), and one without a value counts as left out. At the authorization endpoint alone it is noted instead:
//! there the client is told, by way of a browser (§4.1.2.1).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{Method, header};
use oxide_auth::code_grant::{accesstoken, authorization, client_credentials, refresh};
use oxide_auth_axum::{OAuthRequest, OAuthResource};
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
    values: BTreeMap<String, String>,
    /// The `Authorization` header, as oxide-auth reads it: one at most.
    request: OAuthRequest,
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
        self.values.get(name).filter(|value| !value.is_empty()).map(|value| Cow::Borrowed(value.as_str()))
    }

    /// The value of a parameter that must be there.
    pub fn require(&self, name: &str) -> Result<Cow<'_, str>, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("the parameter {name} is missing")))
    }

    /// The same request with other parameters: those of a request object, or of a request that was pushed before. The
    /// `Authorization` header belongs to the request that came.
    ///
    /// # Errors
    /// As for a request of a client's: a parameter that is there twice is refused.
    pub fn with_parameters<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, OAuthError> {
        let mut read = Self {
            values: BTreeMap::new(),
            request: OAuthRequest::default(),
            resource: vec![],
            audience: vec![],
            dpop: self.dpop.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            certificate: self.certificate.clone(),
            twice: None,
        };
        read.take(parameters.into_iter().map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))))?;
        read.once()
    }

    /// The name of every parameter but `resource` and `audience`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The parameter that came twice.
    pub fn twice(&self) -> Option<&str> {
        self.twice.as_deref()
    }

    /// The `Authorization` header.
    pub fn authorization_header(&self) -> Option<&str> {
        self.request.authorization_header()
    }

    fn take<'a>(&mut self, parameters: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<(), OAuthError> {
        for (name, value) in parameters {
            // No specification has a use for it, and PostgreSQL can't store it.
            if name.contains('\0') || value.contains('\0') {
                return Err(OAuthError::invalid_request("a parameter contains a NUL character"));
            }
            match &*name {
                "resource" => self.resource.push(value.into_owned()),
                "audience" => self.audience.push(value.into_owned()),
                _ => match self.values.entry(name.into_owned()) {
                    Entry::Vacant(place) => {
                        place.insert(value.into_owned());
                    }
                    Entry::Occupied(mut taken) => {
                        self.twice.get_or_insert_with(|| taken.key().clone());
                        // Nobody knows which of the two is meant.
                        taken.get_mut().clear();
                    }
                },
            }
        }
        if self.audience.len() > 1 && self.get("grant_type").as_deref() != Some(TOKEN_EXCHANGE) {
            self.twice.get_or_insert("audience".to_owned());
        }
        Ok(())
    }

    /// Itself, where no parameter came twice.
    fn once(self) -> Result<Self, OAuthError> {
        match &self.twice {
            None => Ok(self),
            Some(name) => Err(doubled(name)),
        }
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
        Self::read(request, state).await?.once()
    }
}

impl Parameters {
    async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Self, OAuthError> {
        let (mut parts, body) = request.into_parts();
        let header = OAuthResource::from_request_parts(&mut parts, state)
            .await
            .map_err(|_| OAuthError::invalid_request("there is more than one Authorization header"))?;
        let dpop = parts.headers.get_all("dpop").iter();
        let dpop = dpop.map(|proof| String::from_utf8_lossy(proof.as_bytes()).into_owned()).collect();
        let mut read = Self {
            values: BTreeMap::new(),
            request: header.into(),
            resource: vec![],
            audience: vec![],
            dpop,
            path: parts.uri.path().to_owned(),
            certificate: parts.extensions.get().cloned(),
            method: parts.method,
            twice: None,
        };
        let query = parts.uri.query().unwrap_or_default();
        if read.method == Method::POST {
            let bytes = to_bytes(body, MAX_LENGTH)
                .await
                .map_err(|_| OAuthError::invalid_request("the body is longer than 64 KiB or was cut off"))?;
            let form = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let form = form.split(';').next().unwrap_or_default().trim();
            if !form.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                return Err(OAuthError::invalid_request("send the parameters as application/x-www-form-urlencoded"));
            }
            // A secret in the URI ends up in logs and histories (RFC 6749 §2.3.1).
            if !query.is_empty() {
                return Err(OAuthError::invalid_request("send the parameters in the body, not in the URI"));
            }
            read.take(form_urlencoded::parse(&bytes))?;
        } else {
            read.take(form_urlencoded::parse(query.as_bytes()))?;
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
    use axum::body::Body;

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
