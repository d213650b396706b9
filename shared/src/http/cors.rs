//! CORS (Fetch §3.2) for who asks by it: requests with an `Origin`, as browsers send it across origins. All others pass
//! beside it, and their answers say what a cache must know: that any origin may read them, or that it makes a difference.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use futures::future::Either;
use pin_project_lite::pin_project;
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tower_http::cors::{CorsLayer, ResponseFuture};

/// Who may read an answer, as every answer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Any origin: said to everybody, so that a cache may give a browser what was answered to somebody else (Fetch
    /// §3.2.5).
    Anyone,
    /// Some origins: a cache must not.
    Some,
}

impl Readers {
    fn tell(self, headers: &mut HeaderMap) {
        match self {
            Self::Anyone => drop(headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))),
            Self::Some => drop(headers.append(VARY, HeaderValue::from_static("origin"))),
        }
    }
}

/// `cors`, which allows these, around requests that have an `Origin`, and around every OPTIONS.
pub fn for_browsers<S>(readers: Readers, cors: CorsLayer) -> impl Layer<S, Service = ForBrowsers<S>> + Clone {
    let cors = Arc::new(cors);
    layer_fn(move |inner| ForBrowsers { readers, cors: cors.clone(), inner })
}

/// What [`for_browsers`] wraps.
#[derive(Clone, Debug)]
pub struct ForBrowsers<S> {
    readers: Readers,
    cors: Arc<CorsLayer>,
    inner: S,
}

impl<S> Service<Request> for ForBrowsers<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Told<S::Future>, ResponseFuture<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !request.headers().contains_key(ORIGIN) && request.method() != Method::OPTIONS {
            return Either::Left(Told { answer: self.inner.call(request), readers: self.readers });
        }
        // The one that was found ready goes in; a copy takes its place.
        let next = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, next);
        Either::Right(self.cors.layer(ready).call(request))
    }
}

pin_project! {
    /// An answer that says who may read it.
    #[derive(Debug)]
    pub struct Told<F> {
        #[pin]
        answer: F,
        readers: Readers,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Told<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(context))?;
        this.readers.tell(answer.headers_mut());
        Poll::Ready(Ok(answer))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::http::header::ACCESS_CONTROL_ALLOW_METHODS;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::cors::AllowOrigin;

    use super::*;

    const APP: &str = "https://app.example";

    async fn ask(readers: Readers, method: Method, headers: &[(&'static str, &str)]) -> (StatusCode, HeaderMap) {
        let allowed = match readers {
            Readers::Anyone => AllowOrigin::any(),
            Readers::Some => AllowOrigin::list([HeaderValue::from_static(APP)]),
        };
        let cors = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET]);
        let router = Router::new().route("/", get(async || "fine")).layer(for_browsers(readers, cors));
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status(), answer.headers().clone())
    }

    fn varies_by_origin(headers: &HeaderMap) -> bool {
        headers.get_all(VARY).iter().any(|value| value.to_str().unwrap().contains("origin"))
    }

    fn reader(headers: &HeaderMap) -> Option<&str> {
        headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn what_anyone_may_read_says_so_to_everybody() {
        for headers in [&[][..], &[("origin", APP)]] {
            let (status, headers) = ask(Readers::Anyone, Method::GET, headers).await;
            assert_eq!((status, reader(&headers)), (StatusCode::OK, Some("*")));
        }
    }

    #[tokio::test]
    async fn what_some_may_read_says_to_all_others_that_it_differs() {
        for (origin, expected) in [(Some(APP), Some(APP)), (Some("https://evil.example"), None), (None, None)] {
            let origin: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
            let (status, headers) = ask(Readers::Some, Method::GET, &origin).await;
            assert_eq!((status, reader(&headers)), (StatusCode::OK, expected), "{origin:?}");
            assert!(varies_by_origin(&headers), "{origin:?}");
        }
    }

    #[tokio::test]
    async fn a_preflight_is_answered() {
        for readers in [Readers::Anyone, Readers::Some] {
            let preflight = [("origin", APP), ("access-control-request-method", "GET")];
            let (status, headers) = ask(readers, Method::OPTIONS, &preflight).await;
            assert!(status == 200 && headers[ACCESS_CONTROL_ALLOW_METHODS] == "GET", "{headers:?}");
        }
    }
}
