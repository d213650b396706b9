//! [`Browser`]: a person's, without JavaScript. Keeps cookies and follows only what it is told to.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, header};
use url::Url;

use super::server::encode;
use super::{Answer, PASSWORD, Server};

pub struct Browser {
    server: Server,
    cookies: BTreeMap<String, String>,
    pub language: &'static str,
}

impl Browser {
    pub fn new(server: Server) -> Self {
        Self { server, cookies: BTreeMap::new(), language: "en" }
    }

    pub async fn send(&mut self, request: Builder, body: impl Into<Body>) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::COOKIE, cookies.join("; "))
            .header(header::ACCEPT, "text/html")
            .header(header::ACCEPT_LANGUAGE, self.language);
        let answer = self.server.send(request, body).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("ASCII");
            let (name, value) = line.split(';').next().and_then(|c| c.split_once('=')).expect("a cookie");
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, encode(form)).await
    }

    /// Signs in on the page by itself.
    pub async fn sign_in(&mut self, email: &str) -> Answer {
        let csrf = self.get("/login").await.hidden("csrf");
        let answer = self.post("/login", &[("csrf", &csrf), ("email", email), ("password", PASSWORD)]).await;
        answer.location();
        answer
    }

    async fn fill_in(&mut self, page: &Answer, email: &str) -> Answer {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", email), ("password", PASSWORD)];
        self.post("/login", &form).await
    }

    /// Goes on from `answer` through sign-in (as `email`) and consent (allowed) until the browser leaves for the client
    /// or stops at something else.
    pub async fn follow(&mut self, mut answer: Answer, email: &str) -> Answer {
        for _ in 0..12 {
            if !answer.status.is_redirection() {
                return answer;
            }
            let location = answer.header("location").to_owned();
            let Some(path) = self.server.path_of(&location).map(str::to_owned) else { return answer };
            let page = self.get(&path).await;
            let bare = path.split('?').next().expect("a path");
            answer = match bare {
                "/login" if page.status.is_success() => self.fill_in(&page, email).await,
                // As somebody whom this browser may not know yet.
                "/choose-account" if page.status.is_success() => {
                    let other = format!("/login?request={}&account=other", page.hidden("request"));
                    let page = self.get(&other).await;
                    self.fill_in(&page, email).await
                }
                "/consent" if page.status.is_success() => {
                    let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
                    self.post("/consent", &[("csrf", &csrf), ("request", &request), ("decision", "allow")]).await
                }
                _ => page,
            };
        }
        panic!("it goes in circles: {answer:?}")
    }

    /// Opens `url` and goes on as [`Browser::follow`].
    pub async fn authorize(&mut self, url: &str, email: &str) -> Answer {
        let answer = self.get(url).await;
        self.follow(answer, email).await
    }

    /// The code that the client receives in its redirect URI's query.
    pub async fn code(&mut self, url: &str, email: &str) -> String {
        let answer = self.authorize(url, email).await;
        let location = Url::parse(answer.location()).expect("a URL");
        let code = location.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        code.unwrap_or_else(|| panic!("no code: {answer:?}"))
    }
}
