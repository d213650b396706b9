//! Who acts, and what they are answered.

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// Someone who sends requests with one credential, or with none.
#[derive(Clone)]
pub struct Actor {
    pub http: Client,
    pub auth_url: String,
    pub api_url: String,
    /// Of a person: the account's id and address.
    pub id: String,
    pub email: String,
    pub token: Option<String>,
}

impl Actor {
    /// Someone without a token.
    pub fn anon(http: Client, auth_url: &str, api_url: &str) -> Self {
        let (auth_url, api_url) = (auth_url.to_owned(), api_url.to_owned());
        Self { http, auth_url, api_url, id: String::new(), email: String::new(), token: None }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// A request of the story's own making. `/v1/…` is the referral API's; everything else the authorization server's.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path {
            path if path.starts_with("http") => path.to_owned(),
            path if path.starts_with("/v1/") => format!("{}{path}", self.api_url),
            path => format!("{}{path}", self.auth_url),
        };
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The same actor with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Creates a referral code that lasts for `days`.
    pub async fn creates_a_code(&self, now: chrono::DateTime<chrono::Utc>, days: i64) -> String {
        let expires_at = now + chrono::TimeDelta::days(days);
        let code = self.post("/v1/referral-codes", serde_json::json!({ "expires_at": expires_at })).await.is(201);
        code["code"].as_str().expect("a code").to_owned()
    }
}

/// A response, read whole.
#[derive(Debug)]
pub struct Answer {
    pub request: String,
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request that can be sent");
        let line = format!("{} {}", request.method(), request.url());
        let response = client.execute(request).await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        Self::read(line, response).await
    }

    pub async fn read(request: String, response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.text().await.unwrap_or_else(|error| panic!("{request}: {error:?}"));
        Self { request, status, headers, body }
    }

    /// Holds the answer to a status and returns its JSON (null when it has none).
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        self.json()
    }

    /// Holds a problem document (RFC 9457) to its status and, where it is about a field, to the pointer to it.
    #[track_caller]
    pub fn is_problem(&self, status: u16, pointer: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.request);
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{}: {problem}", self.request);
        assert!(self.body.contains(pointer), "{}: {problem} does not name {pointer}", self.request);
        problem
    }

    /// Holds an OAuth error (RFC 6749 §5.2) to its code; it may not be cached, nor may any answer with a token.
    #[track_caller]
    pub fn is_oauth_error(&self, status: u16, code: &str) -> Value {
        let error = self.is(status);
        assert_eq!(error["error"], code, "{}: {error}", self.request);
        self.is_not_cached();
        error
    }

    #[track_caller]
    pub fn is_not_cached(&self) {
        assert_eq!(self.header("cache-control"), "no-store", "{}", self.request);
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
