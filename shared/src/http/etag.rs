//! What answers that belong to their caller say of caching. Answers to GET have an ETag, and who has the answer already is
//! told 304 (RFC 9110 §8.8.3, §13.1.2). The tag is a hash of the body: the answer is made in any case, since who may see it
//! is decided anew each time, and what is spared is its way. Everything else stays out of caches.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};
use tower::layer::layer_fn;
use tower::{Layer, Service};

use crate::problem::Problem;

/// An answer may be kept by the one it was made for, and is asked about before each use: by then a right may be gone.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What decides whose answer it is.
const VARIES: HeaderValue = HeaderValue::from_static("authorization");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Larger answers have no tag. Far more than a page of any list.
const LARGEST: u64 = 1 << 20;
/// As many as an answer of the referral API has.
const HEADERS: usize = 12;

/// For answers that belong to their caller: JSON that is there at once and says nothing of caching itself gets a tag and
/// `Cache-Control: private, no-cache`. All others, streams among them, are `no-store` unless they say something else.
pub fn private_answers<S>() -> impl Layer<S, Service = Tagging<S>> + Clone {
    layer_fn(|inner| Tagging { inner })
}

/// What [`private_answers`] wraps.
#[derive(Clone, Debug)]
pub struct Tagging<S> {
    inner: S,
}

impl<S> Service<Request> for Tagging<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Tagged<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // HEAD has no body here to make a tag of.
        let is_get = request.method() == Method::GET;
        let known = if is_get { known(request.headers()) } else { None };
        Tagged { answer: self.inner.call(request), is_get, known }
    }
}

pin_project! {
    /// An answer that is tagged once it is there.
    #[derive(Debug)]
    pub struct Tagged<F> {
        #[pin]
        answer: F,
        is_get: bool,
        known: Option<IfNoneMatch>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Tagged<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(context))?;
        if *this.is_get && is_tagged(&answer) {
            return Poll::Ready(Ok(tagged(answer, this.known.take())));
        }
        answer.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
        Poll::Ready(Ok(answer))
    }
}

/// `None` where nothing is asked, and where what is asked can't be read: the answer is sent whole then.
fn known(headers: &HeaderMap) -> Option<IfNoneMatch> {
    if !headers.contains_key(IF_NONE_MATCH) {
        return None;
    }
    headers.typed_try_get().ok().flatten()
}

fn is_tagged(answer: &Response) -> bool {
    let headers = answer.headers();
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    let silent = !headers.contains_key(ETAG) && !headers.contains_key(CACHE_CONTROL);
    answer.status() == StatusCode::OK
        && is_json
        && silent
        && answer.body().size_hint().exact().is_some_and(|length| length <= LARGEST)
}

fn tagged(answer: Response, known: Option<IfNoneMatch>) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Some(Ok(bytes)) = body.collect().now_or_never().map(|body| body.map(|body| body.to_bytes())) else {
        tracing::error!("an answer that was there at once could not be read");
        return Problem::internal().into_response();
    };
    let tag = tag(&bytes);
    // All that is still to come, so that it is laid out once.
    parts.headers.reserve(HEADERS);
    parts.headers.insert(CACHE_CONTROL, PRIVATE);
    parts.headers.append(VARY, VARIES);
    parts.headers.insert(ETAG, tag);
    let is_known = match (known, parts.headers.typed_get::<ETag>()) {
        (Some(known), Some(tag)) => !known.precondition_passes(&tag),
        _ => false,
    };
    if !is_known {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    // What describes a body that is not sent (RFC 9110 §15.4.5).
    for name in [CONTENT_TYPE, CONTENT_LENGTH, HeaderName::from_static("content-encoding")] {
        parts.headers.remove(name);
    }
    // Of no length that is told: nothing else may be written as the length of what is not sent.
    Response::from_parts(parts, Body::from_stream(futures::stream::empty::<Result<Bytes, Infallible>>()))
}

/// A strong tag of 128 bits.
fn tag(body: &[u8]) -> HeaderValue {
    let mut text = [b'"'; 24];
    URL_SAFE_NO_PAD
        .encode_slice(&Sha256::digest(body)[..16], &mut text[1..23])
        .expect("16 bytes are 22 letters in base64");
    HeaderValue::from_bytes(&text).expect("letters of base64 may stand in a header")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::to_bytes;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    fn router() -> Router {
        let json = [(CONTENT_TYPE, "application/json")];
        let streamed = async move || {
            let parts = futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{}"))]);
            (json, Body::from_stream(parts))
        };
        Router::new()
            .route("/json", get(async || axum::Json(1)).post(async || axum::Json(1)))
            .route("/other", get(async || axum::Json(2)))
            .route("/stream", get(streamed))
            .route("/text", get(async || "text"))
            .route("/secret", get(async || ([(CACHE_CONTROL, "no-store")], axum::Json(1))))
            .route("/missing", get(async || (StatusCode::NOT_FOUND, axum::Json(1)).into_response()))
            .layer(private_answers())
    }

    async fn ask(method: Method, path: &str, known: &[&str]) -> (u16, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        for known in known {
            request = request.header(IF_NONE_MATCH, *known);
        }
        let (parts, body) = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
        (parts.status.as_u16(), parts.headers, to_bytes(body, 1024).await.unwrap())
    }

    #[tokio::test]
    async fn who_has_an_answer_is_not_sent_it_again__rfc9110_13_1_2() {
        let (status, headers, body) = ask(Method::GET, "/json", &[]).await;
        assert_eq!((status, &*body), (200, &b"1"[..]));
        assert_eq!((&headers[CACHE_CONTROL], &headers[VARY]), (&PRIVATE, &VARIES));
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.len() == 24, "{tag}");
        assert_ne!(ask(Method::GET, "/other", &[]).await.1[ETAG], tag);

        let (weak, listed) = (format!("W/{tag}"), format!("\"x\", \"a,b\" , {tag}"));
        for known in [&[tag.as_str()][..], &[&weak], &[&listed], &["\"x\"", &tag], &["*"]] {
            let (status, headers, body) = ask(Method::GET, "/json", known).await;
            assert_eq!((status, body.len()), (304, 0), "{known:?}");
            assert_eq!(headers[ETAG], tag, "{known:?}");
            assert_eq!((&headers[CACHE_CONTROL], &headers[VARY]), (&PRIVATE, &VARIES));
            assert!(!headers.contains_key(CONTENT_TYPE) && !headers.contains_key(CONTENT_LENGTH), "{headers:?}");
        }
        for unknown in ["\"x\"", "W/\"x\"", "", tag.trim_matches('"'), "nonsense"] {
            let (status, headers, body) = ask(Method::GET, "/json", &[unknown]).await;
            assert_eq!((status, &*body, &headers[ETAG]), (200, &b"1"[..], &HeaderValue::from_str(&tag).unwrap()));
        }
    }

    #[tokio::test]
    async fn nothing_else_is_tagged_nor_kept() {
        for (method, path, status) in [
            (Method::POST, "/json", 200),
            (Method::HEAD, "/json", 200),
            (Method::GET, "/stream", 200),
            (Method::GET, "/text", 200),
            (Method::GET, "/secret", 200),
            (Method::GET, "/missing", 404),
        ] {
            let (found, headers, _) = ask(method.clone(), path, &["*"]).await;
            assert_eq!((found, headers.get(ETAG)), (status, None), "{method} {path}");
            assert_eq!(headers[CACHE_CONTROL], "no-store", "{method} {path}");
        }
    }
}
