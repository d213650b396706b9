//! `/problems` and `/problems/{name}`: what each kind of problem means and what to do, for who got one. Every problem
//! leads to its page (`Link`, `rel="help"`); its `type` is a URN and stays the same wherever the service is.

use std::fmt::Write;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Problem;
use super::catalogue::{KINDS, Kind, find};

/// Text, and nothing that loads or runs.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// Both routes.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/problems", get(async || all())).route("/problems/{name}", get(one))
}

fn all() -> Response {
    let mut list = String::from("<h1>Problems</h1>\n<p>By the last part of their <code>type</code>.</p>\n<ul>\n");
    for Kind { slug, status, title, .. } in KINDS {
        let _ = writeln!(list, "<li>{status} <a href=\"/problems/{slug}\">{slug}</a>: {}</li>", html(title));
    }
    page("Problems", &(list + "</ul>\n"))
}

async fn one(Path(name): Path<String>) -> Response {
    let Some(kind) = find(&name) else { return Problem::not_found().into_response() };
    let example = serde_json::to_string_pretty(&kind.example(None)).unwrap_or_default();
    let body = format!(
        "<h1>{} {}</h1>\n<p><code>{}</code></p>\n<h2>What it means</h2>\n<p>{}</p>\n<h2>What to do</h2>\n<p>{}</p>\n\
         <h2>An example</h2>\n<pre>{}</pre>\n<p><a href=\"/problems\">All problems</a></p>\n",
        kind.status,
        html(kind.title),
        kind.uri(),
        marked(kind.meaning),
        marked(kind.remedy),
        html(&example),
    );
    page(kind.slug, &body)
}

fn page(title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         </head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, page).into_response()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Code spans as code.
fn marked(text: &str) -> String {
    let text = html(text);
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (parts, body) = router::<()>().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_kind_of_problem_has_a_page_that_says_what_to_do() {
        let (status, list) = ask("/problems").await;
        assert_eq!(status, 200);
        for kind in KINDS {
            assert!(list.contains(&format!("href=\"/problems/{}\"", kind.slug)), "{}", kind.slug);
            let (status, page) = ask(&format!("/problems/{}", kind.slug)).await;
            assert_eq!(status, 200);
            assert!(page.contains(&kind.uri()) && page.contains(&marked(kind.remedy)), "{page}");
        }
        assert_eq!(ask("/problems/nothing").await.0, 404);
    }
}
