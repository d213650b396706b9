//! CORS (Fetch §3.2) for who asks by it: requests with an `Origin`, as browsers send it across origins. All others pass
//! beside it and are told no more than that it would make a difference.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::header::{ORIGIN, VARY};
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use futures::future::Either;
use pin_project_lite::pin_project;
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tower_http::cors::{CorsLayer, ResponseFuture};

/// Answers differ by it: a cache must not give a browser what was answered to somebody else.
const VARIES: HeaderValue = HeaderValue::from_static("origin");

/// `cors` around requests that have an `Origin`, and around every OPTIONS.
pub fn for_browsers<S>(cors: CorsLayer) -> impl Layer<S, Service = ForBrowsers<S>> + Clone {
    let cors = Arc::new(cors);
    layer_fn(move |inner| ForBrowsers { cors: cors.clone(), inner })
}

/// What [`for_browsers`] wraps.
#[derive(Clone, Debug)]
pub struct ForBrowsers<S> {
    cors: Arc<CorsLayer>,
    inner: S,
}

impl<S> Service<Request> for ForBrowsers<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Varied<S::Future>, ResponseFuture<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !request.headers().contains_key(ORIGIN) && request.method() != Method::OPTIONS {
            return Either::Left(Varied { answer: self.inner.call(request) });
        }
        // The one that was found ready goes in; a copy takes its place.
        let next = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, next);
        Either::Right(self.cors.layer(ready).call(request))
    }
}

pin_project! {
    /// An answer that says that it may differ for browsers.
    #[derive(Debug)]
    pub struct Varied<F> {
        #[pin]
        answer: F,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Varied<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(self.project().answer.poll(context))?;
        answer.headers_mut().append(VARY, VARIES);
        Poll::Ready(Ok(answer))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::{ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN};
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::cors::AllowOrigin;

    use super::*;

    async fn ask(allowed: AllowOrigin, method: Method, headers: &[(&'static str, &str)]) -> (StatusCode, HeaderMap) {
        let cors = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET]);
        let router = Router::new().route("/", get(async || "fine")).layer(for_browsers(cors));
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

    #[tokio::test]
    async fn browsers_are_told_and_all_others_are_answered_as_if_there_was_no_cors() {
        for allowed in [AllowOrigin::any(), AllowOrigin::list([HeaderValue::from_static("https://app.example")])] {
            let (status, headers) = ask(allowed.clone(), Method::GET, &[("origin", "https://app.example")]).await;
            assert!(status == 200 && headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && varies_by_origin(&headers));

            let (status, headers) = ask(allowed.clone(), Method::GET, &[]).await;
            assert!(status == 200 && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && varies_by_origin(&headers));

            let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
            let (status, headers) = ask(allowed, Method::OPTIONS, &preflight).await;
            assert!(status == 200 && headers[ACCESS_CONTROL_ALLOW_METHODS] == "GET");
        }
        let others = AllowOrigin::list([HeaderValue::from_static("https://app.example")]);
        let (status, headers) = ask(others, Method::GET, &[("origin", "https://evil.example")]).await;
        assert!(status == 200 && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && varies_by_origin(&headers));
    }
}
