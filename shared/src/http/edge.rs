//! The middleware around everything: one function that reads from the request's arrival to its answer's departure.

use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use foldhash::fast::RandomState;
use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::IpNet;
use metrics::{Counter, Histogram};
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceBuilder};
use tracing::Instrument;

use super::client_certificate::{self, ClientCertificate};
use super::client_ip::{self, ClientIp};
use super::current::{CURRENT, Current};
use super::request_id;
use crate::clock::Clock;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::random::Random;

/// No request takes longer: whoever asked has given up, and the transaction is rolled back.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Enough for every form and document of both services.
const BODY_LIMIT: usize = 64 * 1024;
/// The route of what no route matched: never the path itself, which anyone can make up.
const UNMATCHED: &str = "unmatched";

/// What a service's routers are wrapped in.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    clock: Clock,
    random: Random,
    trusted_proxies: Vec<IpNet>,
    /// Where those hand on a client's certificate, and its chain.
    certificate_header: Option<(HeaderName, Option<HeaderName>)>,
    timeout: Duration,
    meters: Arc<Meters>,
}

impl Edge {
    /// `trusted_proxies` may say who the client is.
    pub fn new(clock: Clock, random: Random, trusted_proxies: Vec<IpNet>) -> Self {
        Self::with_timeout(TIMEOUT, clock, random, trusted_proxies)
    }

    fn with_timeout(timeout: Duration, clock: Clock, random: Random, trusted_proxies: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner {
            clock,
            random,
            trusted_proxies,
            certificate_header: None,
            timeout,
            meters: Arc::default(),
        }))
    }

    /// The trusted proxies say in `header` which certificate the client showed them (RFC 9440), and its chain in the
    /// header named so with `-chain`. From anybody else both are taken out.
    pub fn with_certificates_from(self, header: Option<HeaderName>) -> Self {
        let certificate_header = header.map(|header| {
            let chain = HeaderName::try_from(format!("{header}-chain")).ok();
            (header, chain)
        });
        Self(Arc::new(Inner { certificate_header, ..Inner::clone(&self.0) }))
    }

    /// Wraps `router`, which gets no further routes after.
    pub fn wrap<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        router.layer(self.layer())
    }

    /// The same with another layer within, as one of the router's: each of those takes a box, and a copy of all that is
    /// within, for every request.
    pub fn wrap_with<S, L>(&self, router: Router<S>, within: L) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        router.layer(ServiceBuilder::new().layer(self.layer()).layer(within))
    }

    fn layer<S>(&self) -> impl Layer<S, Service = Passing<S>> + Clone + use<S> {
        let edge = self.clone();
        layer_fn(move |inner| Passing { edge: edge.clone(), inner })
    }
}

/// What is within the edge. Not axum's `from_fn`, which copies and boxes it anew for every request.
#[derive(Clone)]
struct Passing<S> {
    edge: Edge,
    inner: S,
}

impl<S> Service<Request> for Passing<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let arrival = self.edge.admit(&mut request);
        let edge = self.edge.clone();
        // A router's services do nothing before they are awaited: what they do is within what `pass` catches and names.
        let inner = self.inner.call(request);
        Box::pin(async move { Ok(pass(&edge.0, arrival, inner.map(|Ok(answer)| answer)).await) })
    }
}

/// What is known of a request when it comes in.
struct Arrival {
    at: Instant,
    id: HeaderValue,
    method: &'static str,
    matched: Option<MatchedPath>,
}

impl Edge {
    /// Settles where a request comes from and what it is called.
    fn admit(&self, request: &mut Request) -> Arrival {
        let (at, edge) = (Instant::now(), &*self.0);
        if !request.body().is_end_stream() {
            DefaultBodyLimit::max(BODY_LIMIT).apply(request);
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let from_proxy = peer.is_some_and(|peer| client_ip::is_trusted(peer, &edge.trusted_proxies));
        if let Some(peer) = peer {
            let client = ClientIp::resolve(peer, request.headers(), &edge.trusted_proxies);
            request.extensions_mut().insert(client);
        }
        if let Some((header, chain)) = &edge.certificate_header {
            client_certificate::settle(request, from_proxy, header, chain.as_ref());
        } else if from_proxy {
            // A proxy's own certificate is not its clients': tokens bound to it would serve whoever comes that way.
            request.extensions_mut().remove::<ClientCertificate>();
        }
        let id = request_id::settle(request.headers(), from_proxy, &edge.random, &edge.clock);
        let method = method_name(request.method());
        Arrival { at, id, method, matched: request.extensions().get::<MatchedPath>().cloned() }
    }
}

async fn pass(edge: &Inner, arrival: Arrival, inner: impl Future<Output = Response>) -> Response {
    let Arrival { at, id, method, matched } = arrival;
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let span = tracing::info_span!("request", method, route, request_id = id.to_str().unwrap_or_default());

    let answer = async {
        let answer = tokio::time::timeout(edge.timeout, AssertUnwindSafe(inner).catch_unwind()).await;
        let mut response = match answer {
            Ok(Ok(response)) => described(response),
            Ok(Err(panic)) => {
                tracing::error!(panic = message(&*panic), "a handler panicked");
                Problem::internal().into_response()
            }
            Err(_) => {
                tracing::error!("no answer in time");
                Problem::unavailable().into_response()
            }
        };
        report(&edge.meters, method, route, response.status().as_u16(), at.elapsed());
        CURRENT.with(|current| current.finish(response.headers_mut()));
        response
    };
    let mut response = CURRENT.scope(Current::new(id), answer).instrument(span).await;

    // The rest of the body is not read: who sends the next request on this connection would find it closed
    // (RFC 9110 §15.5.14, RFC 9112 §9.6).
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let headers = response.headers_mut();
    // What the pages set themselves stays.
    headers.reserve(2);
    for (name, value) in [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// An error that axum made (404, 405, a failed extractor) is plain text or empty; here it becomes a problem document.
/// It keeps its headers, such as `Allow`.
fn described(response: Response) -> Response {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let bare = media_type.is_none_or(|media_type| media_type.starts_with(b"text/plain"));
    if !bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut described = Problem::from_status(status).into_response();
    debug_assert_eq!(described.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    for (name, value) in response.headers() {
        let of_the_body: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL];
        if !of_the_body.contains(name) {
            described.headers_mut().append(name, value.clone());
        }
    }
    described
}

/// What is counted and measured for one route, method and status.
#[derive(Clone)]
struct Meter {
    requests: Counter,
    duration: Histogram,
}

impl Meter {
    fn new(method: &'static str, route: &str, status: u16) -> Self {
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        Self {
            requests: metrics::counter!("http_requests_total", &labels),
            duration: metrics::histogram!("http_request_duration_seconds", &labels[..2]),
        }
    }

    fn record(&self, latency: Duration) {
        self.requests.increment(1);
        self.duration.record(latency.as_secs_f64());
    }
}

/// The meters in use: making one takes longer than many a request. Routes, methods and statuses are all few.
#[derive(Default)]
struct Meters(RwLock<HashMap<(&'static str, u16), ByRoute, RandomState>>);

type ByRoute = HashMap<String, Meter, RandomState>;

impl Meters {
    fn record(&self, method: &'static str, route: &str, status: u16, latency: Duration) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(&(method, status)).and_then(|routes| routes.get(route)) {
            Some(meter) => meter.record(latency),
            None => {
                drop(known);
                let meter = Meter::new(method, route, status);
                meter.record(latency);
                let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
                known.entry((method, status)).or_default().insert(route.to_owned(), meter);
            }
        }
    }
}

fn report(meters: &Meters, method: &'static str, route: &str, status: u16, latency: Duration) {
    meters.record(method, route, status, latency);

    let ms = latency.as_secs_f64() * 1000.0;
    match (status, route) {
        (500.., _) => tracing::warn!(target: "access", status, ms, "answered"),
        (_, "/livez" | "/readyz") => tracing::debug!(target: "access", status, ms, "answered"),
        _ => tracing::info!(target: "access", status, ms, "answered"),
    }
}

/// Methods are free text in HTTP, and a metric per invention would fill the memory.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes, to_bytes};
    use axum::extract::Path;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    fn app() -> Router {
        let router = Router::new()
            .route("/ok", get(async || "fine"))
            .route("/ip", get(async |ip: ClientIp| ip.to_string()))
            .route("/echo", post(async |body: Bytes| body.len().to_string()))
            .route("/number/{n}", get(async |Path(n): Path<u8>| n.to_string()))
            .route("/page", get(async || (StatusCode::NOT_FOUND, axum::response::Html("<p>No such page"))))
            .route("/slow", get(async || std::future::pending::<()>().await))
            .route("/panic", get(async || -> &'static str { panic!("secret cause") }))
            .route("/teapot", get(async || (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")])));
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Edge::with_timeout(Duration::from_millis(100), Clock::system(), Random::system(), proxies).wrap(router)
    }

    async fn ask(request: axum::http::request::Builder, body: impl Into<Body>) -> Response {
        app().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    async fn problem(response: Response) -> Value {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 65536).await.unwrap()).unwrap();
        assert_eq!(body["request_id"], id);
        body
    }

    #[tokio::test]
    async fn every_answer_has_its_request_id_and_safe_headers() {
        let response = ask(Request::get("/ok").header("x-request-id", "chosen-by-a-stranger"), "").await;
        assert_eq!(response.status(), 200);
        assert_ne!(response.headers()["x-request-id"], "chosen-by-a-stranger");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    }

    #[tokio::test]
    async fn a_trusted_proxy_names_the_request_and_its_client() {
        let peer = ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5)));
        let request = || Request::get("/ip").header("x-request-id", "from-the-proxy").extension(peer);
        let response = ask(request().header("x-forwarded-for", "192.0.2.7"), "").await;
        assert_eq!(response.headers()["x-request-id"], "from-the-proxy");
        assert_eq!(to_bytes(response.into_body(), 99).await.unwrap(), "192.0.2.7");
        assert_eq!(to_bytes(ask(Request::get("/ip"), "").await.into_body(), 99).await.unwrap(), "0.0.0.0");
    }

    #[tokio::test]
    async fn what_axum_answers_in_plain_text_becomes_a_problem() {
        assert_eq!(problem(ask(Request::get("/nowhere"), "").await).await["type"], "urn:referris:problem:not-found");

        let response = ask(Request::delete("/ok"), "").await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        assert_eq!(problem(response).await["type"], "urn:referris:problem:method-not-allowed");

        assert_eq!(problem(ask(Request::get("/number/x"), "").await).await["status"], 400);
        let too_large = ask(Request::post("/echo"), vec![b'a'; BODY_LIMIT + 1]).await;
        assert_eq!(too_large.headers()["connection"], "close");
        assert_eq!(problem(too_large).await["status"], 413);
        assert_eq!(ask(Request::post("/echo"), vec![b'a'; BODY_LIMIT]).await.status(), 200);

        let response = ask(Request::get("/teapot"), "").await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(problem(response).await["status"], 401);
    }

    #[tokio::test]
    async fn a_page_stays_a_page() {
        let response = ask(Request::get("/page"), "").await;
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_does_not_tell_its_cause() {
        let body = problem(ask(Request::get("/panic"), "").await).await;
        assert_eq!(body["status"], 500);
        assert!(!body.to_string().contains("secret cause"));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_a_503() {
        let response = ask(Request::get("/slow"), "").await;
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(problem(response).await["status"], 503);
    }
}
