//! [`Site`]: a client's own web server, on a free port of this machine. The server under test must be
//! [`ALLOWED`](super::ALLOWED) to call it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
struct Page {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

#[derive(Clone, Default)]
struct Pages {
    pages: Arc<Mutex<HashMap<String, Page>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Answers 404 to what was not published.
#[derive(Clone)]
pub struct Site {
    /// `http://127.0.0.1:PORT`, without a slash.
    pub url: String,
    pages: Pages,
}

impl Site {
    pub async fn start() -> Self {
        let pages = Pages::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(serve).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, pages }
    }

    /// Publishes JSON at `path`; its URL.
    pub fn publish(&self, path: &str, document: &Value) -> String {
        self.answer(path, 200, &[("content-type", "application/json")], &document.to_string())
    }

    /// Answers so at `path`; its URL.
    pub fn answer(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: &str) -> String {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let page = Page { status, headers, body: body.to_owned() };
        self.pages.pages.lock().expect("not poisoned").insert(path.to_owned(), page);
        format!("{}{path}", self.url)
    }

    /// How often `path` was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.pages.seen.lock().expect("not poisoned").iter().filter(|seen| *seen == path).count()
    }
}

async fn serve(State(pages): State<Pages>, request: Request) -> Response {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    pages.seen.lock().expect("not poisoned").push(path.clone());
    let page = pages.pages.lock().expect("not poisoned").get(&path).cloned();
    let page = page.unwrap_or_else(|| Page { status: 404, headers: vec![], body: String::new() });
    let mut response = Response::builder().status(page.status);
    for (name, value) in page.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(page.body)).expect("a response")
}
