//! The referral API in the name of the person signed in, as its OpenAPI document describes it.

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;
use url::Url;

/// A page of codes or referrals is small; a larger answer is not one.
const MOST_BYTES: usize = 1 << 20;

/// Where the API is.
pub(crate) struct ReferralApi {
    base: Url,
    http: reqwest::Client,
}

/// One thing to ask of it: plain data, so that it can be asked again with a renewed token.
pub(crate) struct Ask {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<NewCode>,
}

/// A referral code of the person signed in.
#[derive(Debug, Deserialize)]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) status: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) uses: i64,
    pub(crate) max_uses: Option<i64>,
    /// By which clicks are counted.
    pub(crate) link: String,
}

impl Code {
    /// Does it hold the place of the one active code? One that is used up does, until it is deleted or expires.
    pub(crate) fn is_current(&self) -> bool {
        matches!(self.status.as_str(), "active" | "exhausted")
    }
}

/// Somebody who came by the person's code.
#[derive(Debug, Deserialize)]
pub(crate) struct Referral {
    pub(crate) display_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) status: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// A piece of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

/// What a new code shall be.
#[derive(Clone, Serialize)]
pub(crate) struct NewCode {
    pub(crate) expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
}

/// Why the API did not do what was asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The token has expired or was revoked.
    #[error("the access token is refused")]
    Unauthorized,
    /// The person did not grant this app the scope.
    #[error("the access token does not allow this")]
    Forbidden,
    /// What is wrong, in the API's words.
    #[error("{}", .0.join(" "))]
    Refused(Vec<String>),
    #[error("the API gives no usable answer")]
    Unreachable,
}

/// The part of an error document (RFC 9457) that people can use.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

impl Ask {
    /// The newest codes.
    pub(crate) fn codes() -> Self {
        Self::get(&["v1", "referral-codes"])
    }

    /// The person's referrals, from `cursor` on.
    pub(crate) fn referrals(cursor: Option<&str>) -> Self {
        let query = cursor.map(|cursor| ("cursor", cursor.to_owned())).into_iter().collect();
        Self { query, ..Self::get(&["v1", "referrers", "me", "referrals"]) }
    }

    /// A new code.
    pub(crate) fn create(code: NewCode) -> Self {
        Self { method: Method::POST, body: Some(code), ..Self::get(&["v1", "referral-codes"]) }
    }

    /// No more of this code.
    pub(crate) fn delete(code: &str) -> Self {
        Self { method: Method::DELETE, ..Self::get(&["v1", "referral-codes", code]) }
    }

    fn get(path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { method: Method::GET, path, query: vec![], body: None }
    }
}

impl ReferralApi {
    pub(crate) fn new(base: &str, http: reqwest::Client) -> anyhow::Result<Self> {
        Ok(Self { base: base.parse()?, http })
    }

    /// Asks, and reads the answer as `T`. An empty answer reads as `null`.
    pub(crate) async fn send<T: DeserializeOwned>(&self, access_token: &str, ask: &Ask) -> Result<T, ApiError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self.http.request(ask.method.clone(), url).bearer_auth(access_token);
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let (status, body) = self.exchange(request).await.map_err(|error| {
            warn!(%error, "the referral API is out of reach");
            ApiError::Unreachable
        })?;
        match status {
            StatusCode::UNAUTHORIZED => Err(ApiError::Unauthorized),
            StatusCode::FORBIDDEN => Err(ApiError::Forbidden),
            _ if status.is_success() => {
                let body = if body.is_empty() { b"null" } else { body.as_slice() };
                serde_json::from_slice(body).map_err(|error| {
                    warn!(%error, %status, "the referral API answers with something else");
                    ApiError::Unreachable
                })
            }
            _ if status.is_client_error() => Err(ApiError::Refused(sentences(&body))),
            _ => {
                warn!(%status, "the referral API has a fault");
                Err(ApiError::Unreachable)
            }
        }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
        let mut response = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MOST_BYTES {
                break; // What is cut off does not parse.
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body))
    }
}

/// What a problem document says, field by field where it can.
fn sentences(body: &[u8]) -> Vec<String> {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if problem.errors.is_empty() {
        let said = problem.detail.or(problem.title);
        return vec![sentence(&said.unwrap_or_else(|| "The request was not accepted".into()))];
    }
    problem
        .errors
        .iter()
        .map(|error| {
            let field = match error.pointer.as_str() {
                "#/expires_at" => "The expiry date",
                "#/code" => "The wording",
                "#/max_uses" => "The number of uses",
                _ => "The request",
            };
            sentence(&format!("{field} {}", error.detail))
        })
        .collect()
}

/// With a capital letter in front and a full stop behind.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let mut sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_field_by_field() {
        let body = br##"{"title":"The request is not valid","errors":[
            {"pointer":"#/expires_at","detail":"must lie in the future"},
            {"pointer":"#/code","detail":"is taken."}]}"##;
        assert_eq!(sentences(body), ["The expiry date must lie in the future.", "The wording is taken."]);
        assert_eq!(sentences(br#"{"title":"No","detail":"you have a code"}"#), ["You have a code."]);
        assert_eq!(sentences(b"<html>"), ["The request was not accepted."]);
    }
}
