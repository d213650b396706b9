//! Extractors that refuse what they do not understand, always with a problem document: [`Json`], [`Query`], [`Path`].
//! Unknown fields are refused where the type says `#[serde(deny_unknown_fields)]`, as every request type should.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::{Path as ErrorPath, Segment};

use super::strings::from_pairs;
use crate::problem::{FieldError, Problem, escape};

/// A JSON body, which must be an object: one that may grow fields later. Also a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// The query string. A parameter given twice is refused: two readers may each take another one of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

/// The parts of the path. What does not parse names nothing that exists: 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type().with_detail("send application/json"));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::payload_too_large(),
            _ => Problem::malformed("the body could not be read to its end"),
        })?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads a JSON object as the [`Json`] extractor does, for bodies that came another way.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let syntax = |error: serde_json::Error| Problem::malformed(format!("not JSON: {error}"));
    let value = parsed.map_err(|error| {
        if !error.inner().is_data() {
            return syntax(error.into_inner());
        }
        let message = error.inner().to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let (name, detail) = locate(error.path(), message);
        Problem::validation([FieldError::body(&name, detail)])
    })?;
    json.end().map_err(syntax)?;
    // serde reads a struct from an array as well, by position.
    if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::validation([FieldError::body("", "must be an object")]));
    }
    // PostgreSQL keeps no NUL in texts and SQLite cuts them off there.
    if has_nul(body) {
        return Err(Problem::validation([FieldError::body("", "no text may hold the character U+0000")]));
    }
    Ok(value)
}

/// For a member that is an object or null. serde reads a struct from an array as well, by position.
///
/// # Errors
/// The deserializer's.
pub fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_option(Object(PhantomData))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Is there an escaped NUL? In valid JSON a backslash stands only in strings, and an unescaped NUL nowhere.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        if rest[at + 1..].starts_with(b"u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let mut errors = vec![];
        let mut seen = HashSet::new();
        for (index, (name, value)) in pairs.iter().enumerate() {
            // Few are compared with one another, which takes no memory; of many a list is kept.
            let again = match pairs.len() {
                ..=8 => pairs[..index].iter().any(|(before, _)| before == name),
                _ => !seen.insert(name),
            };
            if again {
                errors.push(FieldError::query(name, "given more than once"));
            } else if value.contains('\0') {
                errors.push(FieldError::query(name, "may not hold the character U+0000"));
            }
        }
        if !errors.is_empty() {
            return Err(Problem::validation(errors));
        }
        from_pairs(&pairs).map(Self).map_err(|error| {
            let (name, detail) = locate(error.path(), &error.inner().to_string());
            Problem::validation([FieldError { pointer: format!("#/query/{name}"), detail }])
        })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::not_found());
        }
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error))
                if !matches!(
                    error.kind(),
                    ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. }
                ) =>
            {
                Err(Problem::not_found())
            }
            Err(error) => {
                tracing::error!(%error, "the route and its handler disagree about the path");
                Err(Problem::internal())
            }
        }
    }
}

/// Where a value is at fault, as reference tokens, and what is wrong. For a field that is missing or unknown, serde
/// points at the object around it or says the name only in its message.
fn locate(path: &ErrorPath, message: &str) -> (String, String) {
    let mut tokens: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(escape(key)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect();
    let quoted = |start: &str| message.strip_prefix(start)?.split('`').next().map(escape);
    if let Some(name) = quoted("missing field `") {
        tokens.push(name);
        return (tokens.join("/"), "is required".to_owned());
    }
    for (start, detail) in [("unknown field `", "is not a known field"), ("duplicate field `", "given more than once")]
    {
        if let Some(name) = quoted(start) {
            if tokens.last() != Some(&name) {
                tokens.push(name);
            }
            return (tokens.join("/"), detail.to_owned());
        }
    }
    (tokens.join("/"), message.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::DefaultBodyLimit;
    use axum::http::Request;
    use axum::routing::{get, post};
    use serde::Deserialize;
    use serde_json::Value;
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NewCode {
        expires_at: String,
        #[serde(default)]
        max_uses: Option<u32>,
        #[serde(default)]
        tags: Vec<Tag>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tag {
        #[serde(rename = "na/me")]
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Status {
        Pending,
        Verified,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        limit: Option<u8>,
        status: Option<Status>,
        #[serde(default)]
        past: bool,
        email: String,
    }

    fn app() -> Router {
        Router::new()
            .route(
                "/codes",
                post(async |Json(new): Json<NewCode>| {
                    let tags: Vec<_> = new.tags.into_iter().map(|t| t.name).collect();
                    format!("{} {:?} {tags:?}", new.expires_at, new.max_uses)
                }),
            )
            .route(
                "/codes",
                get(async |Query(p): Query<Page>| format!("{:?} {:?} {} {}", p.limit, p.status, p.past, p.email)),
            )
            .route("/codes/{id}", get(async |Path(id): Path<Uuid>| id.to_string()))
            .route("/names/{name}", get(async |Path(name): Path<String>| name))
            .layer(DefaultBodyLimit::max(200))
    }

    async fn ask(request: Request<Body>) -> (u16, String) {
        let response = app().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8(to_bytes(response.into_body(), 65536).await.unwrap().to_vec()).unwrap())
    }

    /// Status, pointer and detail of the answer to a JSON body.
    async fn send(body: &str) -> (u16, String, String) {
        let request = Request::post("/codes").header("content-type", "application/json; charset=utf-8");
        fault(ask(request.body(Body::from(body.to_owned())).unwrap()).await)
    }

    async fn query(text: &str) -> (u16, String, String) {
        fault(ask(Request::get(format!("/codes?{text}")).body(Body::empty()).unwrap()).await)
    }

    fn fault((status, body): (u16, String)) -> (u16, String, String) {
        let Ok(problem) = serde_json::from_str::<Value>(&body) else { return (status, body, String::new()) };
        let error = &problem["errors"][0];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (status, text(&error["pointer"]), text(&error["detail"]))
    }

    #[tokio::test]
    async fn a_good_body_is_read() {
        let (status, body, _) = send(r#"{"expires_at":"soon","max_uses":3,"tags":[{"na/me":"\\u0000"}]}"#).await;
        assert_eq!((status, body.as_str()), (200, r#"soon Some(3) ["\\u0000"]"#));
    }

    #[tokio::test]
    async fn a_bad_body_is_refused_with_a_pointer_to_the_fault() {
        for (body, pointer, detail) in [
            (r#"{}"#, "#/expires_at", "is required"),
            (r#"{"expires_at":5}"#, "#/expires_at", "invalid type: integer `5`, expected a string"),
            (r#"{"expires_at":"a","color":1}"#, "#/color", "is not a known field"),
            (r#"{"expires_at":"a","expires_at":"b"}"#, "#/expires_at", "given more than once"),
            (r#"{"expires_at":"a","max_uses":-1}"#, "#/max_uses", "invalid value: integer `-1`, expected u32"),
            (r#"{"expires_at":"a","tags":[{"na/me":"x"},{}]}"#, "#/tags/1/na~1me", "is required"),
            (
                r#"{"expires_at":"a","tags":[{"na/me":1}]}"#,
                "#/tags/0/na~1me",
                "invalid type: integer `1`, expected a string",
            ),
            (r#"{"expires_at":"a","tags":[{"na/me":"x","y":1}]}"#, "#/tags/0/y", "is not a known field"),
            (r#"["a",null,[]]"#, "#/", "must be an object"),
            (r#"{"expires_at":"a\u0000"}"#, "#/", "no text may hold the character U+0000"),
        ] {
            assert_eq!(send(body).await, (422, pointer.to_owned(), detail.to_owned()), "{body}");
        }
    }

    #[tokio::test]
    async fn what_is_not_json_is_refused_as_a_problem() {
        for body in ["", "{", "{\"expires_at\":\"a\"} x", "{\"expires_at\":\"\u{0}\"}", "nonsense"] {
            assert_eq!(send(body).await.0, 400, "{body}");
        }
        assert_eq!(send(&format!("{{\"expires_at\":\"{}\"}}", "a".repeat(300))).await.0, 413);
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "json"] {
            let request = Request::post("/codes").header("content-type", media_type);
            assert_eq!(ask(request.body(Body::from("{}")).unwrap()).await.0, 415, "{media_type}");
        }
        assert_eq!(ask(Request::post("/codes").body(Body::from("{}")).unwrap()).await.0, 415);
    }

    #[tokio::test]
    async fn a_query_is_parsed_into_its_types() {
        let (status, body, _) = query("limit=7&status=verified&past=true&email=a%40b.c").await;
        assert_eq!((status, body.as_str()), (200, "Some(7) Some(Verified) true a@b.c"));
        let (_, body, _) = query("status=pending&email=a+b").await;
        assert_eq!(body, "None Some(Pending) false a b");
    }

    #[tokio::test]
    async fn a_bad_query_is_refused_with_a_pointer_to_the_parameter() {
        for (text, pointer, detail) in [
            ("", "#/query/email", "is required"),
            ("email=a&email=b", "#/query/email", "given more than once"),
            ("email=a&limit=many", "#/query/limit", "must be a whole number from 0 to 255"),
            ("email=a&limit=", "#/query/limit", "must be a whole number from 0 to 255"),
            ("email=a&past=1", "#/query/past", "must be true or false"),
            ("email=a&color=red", "#/query/color", "is not a known field"),
            ("email=a%00", "#/query/email", "may not hold the character U+0000"),
            ("email=a&status=no", "#/query/status", "unknown variant `no`, expected `pending` or `verified`"),
        ] {
            assert_eq!(query(text).await, (422, pointer.to_owned(), detail.to_owned()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_path_that_does_not_parse_names_nothing() {
        for path in ["/codes/nonsense", "/codes/%ff", "/names/a%00b", "/names/%ff"] {
            let (status, body) = ask(Request::get(path).body(Body::empty()).unwrap()).await;
            assert_eq!(status, 404, "{path}");
            assert!(body.contains("urn:referris:problem:not-found"), "{body}");
        }
        assert_eq!(ask(Request::get("/names/a%20b").body(Body::empty()).unwrap()).await, (200, "a b".into()));
    }
}
