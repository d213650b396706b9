//! `/problems` and `/problems/{name}`: what each kind of problem means and what to do, for who got one. Every problem
//! leads to its page (`Link`, `rel="help"`); its `type` is a URN and stays the same wherever the service is.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Problem;
use super::catalogue::{KINDS, Kind, find};

/// How the pages look: as the hosted ones, as far as text goes.
const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fffdf8;--ink:#1a2420;--soft:#55605a;--line:#ded7c9;--code:#f3eee4;--link:#0f5c44}\
@media(prefers-color-scheme:dark){:root{--paper:#141c19;--ink:#ecf1ed;--soft:#a6b4ac;--line:#2b3833;--code:#0e1412;\
--link:#8bd9b6}}\
body{margin:0;background:var(--paper);color:var(--ink);font:1.05rem/1.6 system-ui,sans-serif}\
main{max-width:44rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}\
h1,h2{font-family:Palatino,Georgia,serif;line-height:1.25}h1{margin:0 0 1rem;font-size:1.9rem}\
h2{margin:2rem 0 .4rem;font-size:1.25rem}p{margin:0 0 1rem}a{color:var(--link)}\
code,pre{font:.93em/1.5 ui-monospace,'DejaVu Sans Mono',monospace;background:var(--code);border-radius:.3rem}\
code{padding:.1em .3em;overflow-wrap:anywhere}pre{padding:1rem;overflow-x:auto;border:1px solid var(--line)}\
table{border-collapse:collapse;width:100%}td{padding:.55rem .6rem .55rem 0;border-top:1px solid var(--line);\
vertical-align:top}td:first-child{color:var(--soft)}";

/// Text in that style, and nothing that loads or runs.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 may stand in a header")
});

/// Both routes.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/problems", get(async || all())).route("/problems/{name}", get(one))
}

fn all() -> Response {
    let mut list = String::from("<h1>Problems</h1>\n<p>By the last part of their <code>type</code>.</p>\n<table>\n");
    for Kind { slug, status, title, .. } in KINDS {
        let title = html(title);
        let _ = writeln!(list, "<tr><td>{status}<td><a href=\"/problems/{slug}\">{slug}</a><br>{title}");
    }
    page("Problems", &(list + "</table>\n"))
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
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
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

    #[tokio::test]
    async fn a_page_runs_nothing_and_is_styled_by_its_own_sheet_alone() {
        let request = Request::get("/problems/not-found").body(Body::empty()).unwrap();
        let (parts, body) = router::<()>().oneshot(request).await.unwrap().into_parts();
        let page = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let allowed = format!("style-src 'sha256-{}'", STANDARD.encode(Sha256::digest(style)));
        let policy = parts.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && policy.contains(&allowed), "{policy}");
    }

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
