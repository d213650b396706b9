//! Stories of the demo app against a made-up authorization server and API: what it accepts, what it refuses, and what
//! it says.

mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use chrono::{DateTime, Utc};
use demo_app::DemoClient;
use serde_json::json;
use shared::clock::Clock;
use tokio::net::TcpListener;
use tower::ServiceExt;
use url::Url;

use fake::{AuthorizationRequest, CLIENT_ID, CLIENT_SECRET, Fake};

const OWN: &str = "http://127.0.0.1:8082";

/// A person's browser: it keeps cookies and says where its posts come from.
struct Browser {
    app: Router,
    cookies: BTreeMap<String, String>,
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    headers: axum::http::HeaderMap,
    page: String,
}

impl Browser {
    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.send(request, Body::from(body)).await
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::HOST, "127.0.0.1:8082").header(header::COOKIE, cookies.join("; "));
        let response = self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            assert_eq!(name, "kopi-8082");
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
                continue;
            }
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax") && text.contains("Path=/"), "{text}");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = response.status();
        let headers = response.headers().clone();
        let location = headers.get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let page = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status, location, headers, page }
    }

    /// Presses «Sign in»: what the authorization server is asked.
    async fn begin(&mut self) -> AuthorizationRequest {
        let answer = self.get("/sign-in").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.page);
        let url = Url::parse(&answer.location.unwrap()).unwrap();
        let query: serde_json::Map<_, _> =
            url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned().into())).collect();
        serde_json::from_value(query.into()).unwrap()
    }

    /// Comes back from the authorization server.
    async fn come_back(&mut self, with: &[(&'static str, String)]) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(with).finish();
        self.get(&format!("/callback?{query}")).await
    }

    async fn sign_in(&mut self, fake: &Fake) {
        let request = self.begin().await;
        let answer = self.come_back(&fake.agree(request)).await;
        assert_eq!((answer.status, answer.location.as_deref()), (StatusCode::SEE_OTHER, Some("/")), "{}", answer.page);
    }
}

fn noon() -> DateTime<Utc> {
    "2030-03-01T12:00:00Z".parse().unwrap()
}

fn app(url: &str, clock: Clock) -> Browser {
    // One listener, two names: the configuration wants the two services apart.
    let settings = [
        ("REFERRIS__AUTH__PUBLIC_URL", url.to_owned()),
        ("REFERRIS__API__PUBLIC_URL", url.replace("127.0.0.1", "localhost")),
    ];
    let config = shared::config::load_from(None, settings.map(|(name, value)| (name.to_owned(), value))).unwrap();
    let client = DemoClient { client_id: CLIENT_ID.into(), client_secret: CLIENT_SECRET.into() };
    Browser { app: demo_app::router(&config, client, clock).unwrap(), cookies: BTreeMap::new() }
}

async fn start() -> (Fake, Browser) {
    let clock = Clock::fixed(noon());
    let fake = Fake::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), clock.clone());
    let browser = app(&fake.url, clock);
    (fake, browser)
}

#[tokio::test]
async fn a_person_signs_in_with_pkce_and_sees_who_they_are_their_code_and_their_friends() {
    let (fake, mut anna) = start().await;
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));

    let request = anna.begin().await;
    assert_eq!((request.response_type.as_str(), request.client_id.as_str()), ("code", CLIENT_ID));
    assert_eq!(request.redirect_uri, format!("{OWN}/callback"));
    assert_eq!((request.code_challenge_method.as_str(), request.code_challenge.len()), ("S256", 43));
    for scope in ["openid", "profile", "email", "referral-codes:read", "referral-codes:write", "referrals:read"] {
        assert!(request.scope.split(' ').any(|asked| asked == scope), "{scope}");
    }
    {
        let mut state = fake.state();
        state.codes = vec![json!({
            "code": "7K2M9QXD", "status": "active", "created_at": noon(), "expires_at": "2030-04-01T00:00:00Z",
            "uses": 1, "max_uses": null, "share_url": "http://127.0.0.1:8080/signup?ref=7K2M9QXD", "link": "http://127.0.0.1:8080/r/7K2M9QXD",
        })];
        state.referrals = vec![json!({
            "display_name": "Bob <b>Miller</b>", "email": "b•••@e•••.com", "status": "pending", "created_at": noon(),
        })];
    }
    let before = anna.cookies.clone();
    anna.come_back(&fake.agree(request)).await;
    assert_ne!(anna.cookies, before, "a session id from before the sign-in must be worth nothing after it");

    let card = anna.get("/").await;
    assert_eq!(card.status, StatusCode::OK);
    for shown in ["Anna Tan", "anna@example.com", "7K2M9QXD", "31 March 2030", "/r/7K2M9QXD", "b•••@e•••.com"]
    {
        assert!(card.page.contains(shown), "{shown}");
    }
    assert!(!card.page.contains("<b>Miller"), "what other people call themselves is text");
    let policy = card.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert_eq!(card.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn an_answer_that_this_browser_did_not_ask_for_signs_nobody_in__rfc6749_10_12() {
    let (fake, mut anna) = start().await;
    let mut mallory = Browser { app: anna.app.clone(), cookies: BTreeMap::new() };
    let request = mallory.begin().await;
    let theirs = fake.agree(request);
    assert_eq!(anna.come_back(&theirs).await.status, StatusCode::BAD_REQUEST);
    anna.begin().await;
    assert_eq!(anna.come_back(&theirs).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(anna.get("/callback").await.status, StatusCode::BAD_REQUEST);
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));
}

#[tokio::test]
async fn a_state_serves_once() {
    let (fake, mut anna) = start().await;
    let request = anna.begin().await;
    let answer = fake.agree(request);
    assert_eq!(anna.come_back(&answer).await.status, StatusCode::SEE_OTHER);
    assert_eq!(anna.come_back(&answer).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn two_tabs_can_sign_in_at_once() {
    let (fake, mut anna) = start().await;
    let (first, second) = (anna.begin().await, anna.begin().await);
    assert_eq!(anna.come_back(&fake.agree(first)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(anna.come_back(&fake.agree(second)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_answer_from_another_issuer_or_from_none_is_refused__rfc9207_2_4() {
    let (fake, mut anna) = start().await;
    for iss in [Some("https://mallory.example".to_owned()), Some(format!("{}/", fake.url)), None] {
        let request = anna.begin().await;
        let mut answer = fake.agree(request);
        answer.retain(|(name, _)| *name != "iss");
        answer.extend(iss.map(|iss| ("iss", iss)));
        let refused = anna.come_back(&answer).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.page.contains("nobody was signed in"));
    }
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));
}

#[tokio::test]
async fn an_id_token_with_another_nonce_is_refused() {
    let (fake, mut anna) = start().await;
    fake.state().nonce = Some("of another sign-in".into());
    let request = anna.begin().await;
    assert_eq!(anna.come_back(&fake.agree(request)).await.status, StatusCode::BAD_REQUEST);
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));
}

#[tokio::test]
async fn userinfo_of_somebody_else_is_refused__oidc_core_5_3_2() {
    let (fake, mut anna) = start().await;
    fake.state().userinfo_subject = "somebody else".into();
    let request = anna.begin().await;
    assert_eq!(anna.come_back(&fake.agree(request)).await.status, StatusCode::BAD_GATEWAY);
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));
}

#[tokio::test]
async fn a_person_who_says_no_is_told_kindly_and_unknown_errors_are_not_repeated() {
    let (fake, mut anna) = start().await;
    let back = |request: AuthorizationRequest, error: &str| {
        [("error", error.to_owned()), ("state", request.state), ("iss", fake.url.clone())]
    };
    let request = anna.begin().await;
    let denied = anna.come_back(&back(request, "access_denied")).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(denied.page.contains("No hard feelings"));
    let request = anna.begin().await;
    let odd = anna.come_back(&back(request, "<script>alert(1)</script>")).await;
    assert_eq!(odd.status, StatusCode::BAD_GATEWAY);
    assert!(!odd.page.contains("alert"));
}

#[tokio::test]
async fn keys_that_were_rotated_are_looked_up_again() {
    let (fake, mut anna) = start().await;
    let request = anna.begin().await;
    fake.rotate();
    assert_eq!(anna.come_back(&fake.agree(request)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_access_token_is_renewed_when_it_expires_and_when_it_is_refused() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    fake.clock.advance(Duration::from_secs(3600));
    fake.end_access_token();
    assert!(anna.get("/").await.page.contains("You have no code yet"));
    fake.end_access_token();
    assert!(anna.get("/").await.page.contains("You have no code yet"));
}

#[tokio::test]
async fn when_the_grant_has_ended_the_person_is_asked_to_sign_in_again() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    fake.end_grant();
    assert_eq!(anna.get("/").await.location.as_deref(), Some("/"));
    let page = anna.get("/").await.page;
    assert!(page.contains("Your sign-in has ended") && page.contains("Sign in with Referris"));
}

#[tokio::test]
async fn a_person_makes_a_code_and_deletes_it() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    let made = anna.post("/codes", &[("expires_on", "2030-03-31"), ("code", "")]).await;
    assert_eq!(made.location.as_deref(), Some("/"), "{}", made.page);
    assert_eq!(fake.state().codes[0]["expires_at"], "2030-03-31T23:59:59Z");
    let card = anna.get("/").await.page;
    assert!(card.contains("Your code is ready") && card.contains("7K2M9QXD"));
    assert_eq!(anna.post("/codes/delete", &[("code", "7K2M9QXD")]).await.location.as_deref(), Some("/"));
    assert!(anna.get("/").await.page.contains("You have no code yet"));
}

#[tokio::test]
async fn what_the_api_refuses_is_said_and_what_was_typed_is_kept() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    let problem = json!({"title": "The request is not valid", "errors": [{"pointer": "#/code", "detail": "is taken"}]});
    fake.state().refusal = Some((StatusCode::UNPROCESSABLE_ENTITY, problem));
    let refused = anna.post("/codes", &[("expires_on", "2030-03-31"), ("code", "LATTE")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for shown in ["The wording is taken.", "value=\"LATTE\"", "value=\"2030-03-31\""] {
        assert!(refused.page.contains(shown), "{shown}");
    }
    let missing = anna.post("/codes", &[("expires_on", ""), ("code", "LATTE")]).await;
    assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(missing.page.contains("The expiry date is missing"));
}

#[tokio::test]
async fn without_the_scope_there_is_no_form() {
    let (fake, mut anna) = start().await;
    fake.state().scope = "openid profile email referral-codes:read".into();
    anna.sign_in(&fake).await;
    assert!(!anna.get("/").await.page.contains("action=\"/codes\""));
}

#[tokio::test]
async fn posts_from_other_sites_do_nothing() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "null")] {
        let request = Request::post("/sign-out").header(name, value);
        assert_eq!(anna.send(request, Body::empty()).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert!(anna.get("/").await.page.contains("Anna Tan"));
}

#[tokio::test]
async fn signing_out_forgets_the_browser_and_gives_the_grant_back() {
    let (fake, mut anna) = start().await;
    anna.sign_in(&fake).await;
    assert_eq!(anna.post("/sign-out", &[]).await.location.as_deref(), Some("/"));
    assert!(anna.get("/").await.page.contains("Sign in with Referris"));
    for _ in 0..100 {
        if fake.state().revoked == ["refresh-1"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the refresh token was not revoked");
}

#[tokio::test]
async fn the_authorization_server_may_start_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let clock = Clock::fixed(noon());
    let mut anna = app(&format!("http://{address}"), clock.clone());
    let early = anna.get("/sign-in").await;
    assert_eq!(early.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(early.page.contains("can&#39;t be reached") || early.page.contains("can't be reached"), "{}", early.page);
    let fake = Fake::start(TcpListener::bind(address).await.unwrap(), clock);
    anna.sign_in(&fake).await;
    assert!(anna.get("/").await.page.contains("Anna Tan"));
}

#[tokio::test]
async fn another_name_of_this_machine_leads_to_the_one_that_has_the_cookie() {
    let (_fake, browser) = start().await;
    let request = Request::get("/sign-in").header(header::HOST, "localhost:8082").body(Body::empty()).unwrap();
    let response = browser.app.oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::LOCATION], format!("{OWN}/"));
}
