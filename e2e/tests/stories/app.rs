//! An OAuth client, as its developers would write it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Client;
use sha2::{Digest, Sha256};
use shared::random::Random;
use url::Url;

use crate::actor::Answer;
use crate::visitor::{Stop, Visitor};

#[derive(Clone)]
pub struct App {
    pub auth_url: String,
    pub http: Client,
    pub client_id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
}

/// An authorization request and what the app keeps of it.
#[derive(Clone)]
pub struct Authorization {
    pub url: Url,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

impl Authorization {
    /// The same with one parameter changed, or without it.
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let kept: Vec<(String, String)> = self.url.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
        let mut query = self.url.query_pairs_mut();
        query.clear().extend_pairs(kept);
        if let Some(value) = value {
            query.append_pair(name, value);
        }
        drop(query);
        self
    }
}

impl App {
    /// Begins a sign-in: PKCE S256, `state` and `nonce` (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1).
    pub fn authorization(&self, scope: &str) -> Authorization {
        let [state, nonce, verifier] = [(); 3].map(|()| URL_SAFE_NO_PAD.encode(Random::system().bytes::<32>()));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let url = Url::parse_with_params(
            &format!("{}/oauth/authorize", self.auth_url),
            [
                ("response_type", "code"),
                ("client_id", &self.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("scope", scope),
                ("state", &state),
                ("nonce", &nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        Authorization { url: url.expect("a URL"), state, nonce, verifier }
    }

    /// Leads `visitor`, who signs in as `email` where asked to, through the pages; returns the code the app receives.
    pub async fn code(&self, visitor: &mut Visitor, email: &str, authorization: &Authorization) -> String {
        let callback = visitor.authorizes(email, &authorization.url).await;
        let parameter = |name: &str| callback.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
        assert!(callback.as_str().starts_with(&self.redirect_uri), "{callback}");
        assert_eq!(parameter("state").as_deref(), Some(authorization.state.as_str()), "{callback}");
        // RFC 9207 §2: against mix-up attacks.
        assert_eq!(parameter("iss").as_deref(), Some(self.auth_url.as_str()), "{callback}");
        parameter("code").unwrap_or_else(|| panic!("no code in {callback}"))
    }

    /// Signs `email` in and returns the token response.
    pub async fn signs_in(&self, visitor: &mut Visitor, email: &str, scope: &str) -> serde_json::Value {
        let authorization = self.authorization(scope);
        let code = self.code(visitor, email, &authorization).await;
        self.exchange(&code, &authorization.verifier).await.is(200)
    }

    pub async fn exchange(&self, code: &str, verifier: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ])
        .await
    }

    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    pub async fn password(&self, email: &str, password: &str, scope: &str) -> Answer {
        self.token(&[("grant_type", "password"), ("username", email), ("password", password), ("scope", scope)]).await
    }

    pub async fn revoke(&self, token: &str) -> Answer {
        self.post("/oauth/revoke", &[("token", token)]).await
    }

    pub async fn introspect(&self, token: &str) -> serde_json::Value {
        self.post("/oauth/introspect", &[("token", token)]).await.is(200)
    }

    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let answer = self.post("/oauth/token", form).await;
        // RFC 6749 §5.1: whatever it says.
        answer.is_not_cached();
        answer
    }

    /// Posts a form as this client: with HTTP Basic, or its id in the body when it has no secret.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.auth_url));
        let mut form = form.to_vec();
        let request = match &self.secret {
            Some(secret) => request.basic_auth(&self.client_id, Some(secret)),
            None => {
                form.push(("client_id", &self.client_id));
                request
            }
        };
        Answer::to(request.form(&form)).await
    }
}

/// Where a visitor must have been led for a story to go on.
#[track_caller]
pub fn callback(stop: Stop) -> Url {
    match stop {
        Stop::Away(url) => url,
        Stop::Page(page) => panic!("a page instead of a redirect: {} {}\n{}", page.status, page.url, page.body),
    }
}
