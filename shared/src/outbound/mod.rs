//! The only place that makes HTTP clients. [`Outbound::trusted`] calls services from the configuration;
//! [`Outbound::guarded`] calls URLs that users gave, and never reaches a private address (SSRF).

mod address;
mod breaker;
mod retry;

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response};
use url::{Host, Url};

use crate::clock::Clock;

pub use address::{AllowList, BadEntry, is_public};
pub use breaker::{CallError, CircuitBreaker, Open, Permit};
pub use retry::{Backoff, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the first byte sent to the last one read. Callers that can't wait so long set a shorter one per request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The clients for outgoing requests. Cheap to clone; connections are pooled.
#[derive(Clone, Debug)]
pub struct Outbound {
    trusted: Client,
    guarded: Guarded,
    clock: Clock,
}

impl Outbound {
    /// `allow` is `outbound.allow` of the configuration.
    pub fn new<S: AsRef<str>>(allow: &[S], clock: Clock) -> Result<Self, OutboundError> {
        Self::built(Arc::new(AllowList::parse(allow)?), clock, builder)
    }

    /// The same, trusting the authority with this certificate (PEM) and none of the machine's.
    #[cfg(feature = "testing")]
    pub fn trusting(&self, authority: &str) -> Result<Self, OutboundError> {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes())?;
        let builder = |resolver| builder(resolver).tls_certs_only([authority.clone()]);
        Self::built(self.guarded.allow.clone(), self.clock.clone(), builder)
    }

    fn built(
        allow: Arc<AllowList>,
        clock: Clock,
        builder: impl Fn(Option<GuardedResolver>) -> ClientBuilder,
    ) -> Result<Self, OutboundError> {
        let trusted = builder(None).build()?;
        let strict = builder(Some(GuardedResolver { allow: allow.clone() })).build()?;
        Ok(Self { guarded: Guarded { strict, excepted: trusted.clone(), allow }, trusted, clock })
    }

    /// For services that the operator configured. It follows no redirects and keeps no cookies.
    pub fn trusted(&self) -> &Client {
        &self.trusted
    }

    /// For URLs that users gave.
    pub fn guarded(&self) -> &Guarded {
        &self.guarded
    }

    /// A breaker for one configured service: make it once and keep it.
    pub fn breaker(&self, service: &'static str, threshold: u32, rest: Duration) -> CircuitBreaker {
        CircuitBreaker::new(service, self.clock.clone(), threshold, rest)
    }
}

/// No client can be made.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("outbound.allow: {0}")]
    Allow(#[from] BadEntry),
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes HTTP clients")]
fn builder(resolver: Option<GuardedResolver>) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("referris/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(60))
        // A redirect would lead past the check of the URL, and no service we call needs one.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // A proxy from the environment would resolve names itself, past the guard, and would be asked for services on
        // this machine.
        .no_proxy();
    match resolver {
        Some(resolver) => builder.dns_resolver(resolver),
        None => builder,
    }
}

/// Sends requests to URLs that users gave: https only, to public addresses only, except what `outbound.allow` lists.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// Its resolver drops every address that is not public.
    strict: Client,
    /// For the hosts that the operator excepted.
    excepted: Client,
    allow: Arc<AllowList>,
}

/// The guard refuses a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the URL must start with https://")]
    NotHttps,
    #[error("the URL must name a host and no user")]
    NotPlain,
    #[error("the URL leads to an address that is not public")]
    NotPublic,
}

impl Guarded {
    /// Would a request to `url` be sent, as far as can be told without resolving its name?
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        self.client_for(url).map(|_| ())
    }

    /// The same once its name is resolved, as it is now: for who gives a URL to hear of it at once. Each request is judged
    /// anew, for names move. A name without an address passes; it may get one.
    pub async fn check_resolved(&self, url: &Url) -> Result<(), Refused> {
        self.client_for(url)?;
        let (Some(Host::Domain(name)), false) = (url.host(), self.allow.permits_host(url)) else { return Ok(()) };
        let found = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
        let Ok(Ok(found)) = found else { return Ok(()) };
        let mut found = found.peekable();
        if found.peek().is_none() || found.any(|a| permits(&self.allow, a.ip())) {
            Ok(())
        } else {
            Err(Refused::NotPublic)
        }
    }

    /// Begins a request to `url`.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Refused> {
        Ok(self.client_for(url)?.request(method, url.clone()))
    }

    /// Begins a GET of `url`.
    pub fn get(&self, url: &Url) -> Result<RequestBuilder, Refused> {
        self.request(Method::GET, url)
    }

    /// Begins a POST to `url`.
    pub fn post(&self, url: &Url) -> Result<RequestBuilder, Refused> {
        self.request(Method::POST, url)
    }

    fn client_for(&self, url: &Url) -> Result<&Client, Refused> {
        let host = url.host().ok_or(Refused::NotPlain)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::NotPlain);
        }
        if self.allow.permits_host(url) && matches!(url.scheme(), "http" | "https") {
            return Ok(&self.excepted);
        }
        if url.scheme() != "https" {
            return Err(Refused::NotHttps);
        }
        // The resolver is not asked about literal addresses.
        let literal = match host {
            Host::Domain(_) => return Ok(&self.strict),
            Host::Ipv4(v4) => IpAddr::V4(v4),
            Host::Ipv6(v6) => IpAddr::V6(v6),
        };
        if is_public(literal) { Ok(&self.strict) } else { Err(Refused::NotPublic) }
    }
}

/// Was a request refused by the guard once its name was resolved?
pub fn refusal(error: &reqwest::Error) -> Option<&Refused> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        source = error.source();
    }
    None
}

/// May a name lead there?
fn permits(allow: &AllowList, address: IpAddr) -> bool {
    is_public(address) || allow.permits_address(address)
}

/// Resolves names and keeps only public addresses. The connection is made to what was judged here, so a name that
/// answers differently the second time (DNS rebinding) gains nothing.
struct GuardedResolver {
    allow: Arc<AllowList>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.allow.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            let good: Vec<_> = found.into_iter().filter(|a| permits(&allow, a.ip())).collect();
            if good.is_empty() {
                return Err(Refused::NotPublic.into());
            }
            Ok::<Addrs, Box<dyn Error + Send + Sync>>(Box::new(good.into_iter()))
        })
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads a body of at most `limit` bytes: what answers may be hostile, or broken.
pub async fn read_at_most(mut response: Response, limit: usize) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(ReadError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;

    use super::*;

    async fn server() -> String {
        let app = Router::new()
            .route("/", get(|| async { "0123456789" }))
            .route("/away", get(|| async { Redirect::to("/") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address.to_string()
    }

    fn outbound(allow: &[&str]) -> Outbound {
        Outbound::new(allow, Clock::system()).unwrap()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn the_guard_refuses_private_addresses_however_they_are_written() {
        let outbound = outbound(&[]);
        let guard = outbound.guarded();
        for text in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::1]/",
        ] {
            assert_eq!(guard.check(&url(text)), Err(Refused::NotPublic), "{text}");
        }
        assert_eq!(guard.check(&url("http://example.com/")), Err(Refused::NotHttps));
        assert_eq!(guard.check(&url("ftp://example.com/")), Err(Refused::NotHttps));
        assert_eq!(guard.check(&url("https://user@example.com/")), Err(Refused::NotPlain));
        assert_eq!(guard.check(&url("data:text/plain,hello")), Err(Refused::NotPlain));
        assert_eq!(guard.check(&url("https://example.com/")), Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved() {
        let outbound = outbound(&[]);
        let error = outbound.guarded().get(&url("https://localhost:1/")).unwrap().send().await.unwrap_err();
        assert_eq!(refusal(&error), Some(&Refused::NotPublic), "{error:?}");
        let check = async |text: &str| outbound.guarded().check_resolved(&url(text)).await;
        assert_eq!(check("https://localhost:1/").await, Err(Refused::NotPublic));
        assert_eq!(check("https://no-such-name.invalid/").await, Ok(()), "it may get an address");
        assert_eq!(check("http://no-such-name.invalid/").await, Err(Refused::NotHttps));
    }

    #[tokio::test]
    async fn an_excepted_host_is_reached_over_plain_http() {
        let address = server().await;
        let outbound = outbound(&[&address]);
        let response = outbound.guarded().get(&url(&format!("http://{address}/"))).unwrap().send().await.unwrap();
        assert_eq!(response.status(), 200);
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_long_answers_are_cut_off() {
        let address = server().await;
        let outbound = outbound(&[]);
        let response = outbound.trusted().get(format!("http://{address}/away")).send().await.unwrap();
        assert_eq!(response.status(), 303);

        let response = outbound.trusted().get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(read_at_most(response, 10).await.unwrap(), "0123456789");
        let response = outbound.trusted().get(format!("http://{address}/")).send().await.unwrap();
        assert!(matches!(read_at_most(response, 9).await, Err(ReadError::TooLarge(9))));
    }
}
