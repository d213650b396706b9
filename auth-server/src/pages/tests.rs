//! Stories of a browser without JavaScript.

mod brand;
mod factors;
mod fallback;
mod links;
mod recovery;
mod terms;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt;
use url::form_urlencoded;

use crate::AppState;
use crate::accounts::testing::{PASSWORD, code_of, each_state, person};
use crate::clients::{ClientMetadata, NewClient, Origin};

/// Keeps cookies and follows nothing by itself.
pub(super) struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    pub language: &'static str,
    pub user_agent: &'static str,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let after = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1).expect(name);
        after.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    pub fn new(state: &AppState) -> Self {
        Self { router: crate::router(state.clone()), cookies: BTreeMap::new(), language: "en", user_agent: "" }
    }

    /// Another window of the same browser.
    pub fn twin(&self) -> Self {
        Self {
            router: self.router.clone(),
            cookies: self.cookies.clone(),
            language: self.language,
            user_agent: self.user_agent,
        }
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::COOKIE, cookies.join("; "))
            .header(header::ACCEPT, "text/html")
            .header(header::ACCEPT_LANGUAGE, self.language)
            .header(header::USER_AGENT, self.user_agent);
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        for line in response.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(body)).await
    }

    pub async fn sign_in(&mut self, email: &str) -> Answer {
        let csrf = self.get("/login").await.hidden("csrf");
        self.post("/login", &[("csrf", &csrf), ("email", email), ("password", PASSWORD)]).await
    }
}

#[tokio::test]
async fn a_friend_follows_a_referral_link_and_signs_up() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "UPDATE users SET given_name = '<Bob>', family_name = 'Ray' WHERE id = $1", bob)
            .unwrap();
        tx.commit().await.unwrap();
        let code = code_of(&state.platform, bob, None).await;

        let mut ann = Browser::new(&state);
        let page = ann.get(&format!("/signup?ref={}", code.code)).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("&#60;Bob&#62; Ray invites you"), "{}", page.body);
        let csrf = page.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("given_name", "Ann")];

        let bad = [&form[..], &[("password", "short"), ("referral_code", "NEVERWAS")]].concat();
        let again = ann.post("/signup", &bad).await;
        assert_eq!(again.status, 422);
        for kept in ["value=\"ann@example.com\"", "value=\"Ann\"", "value=\"NEVERWAS\"", "aria-invalid"] {
            assert!(again.body.contains(kept), "{kept} is not kept");
        }
        assert!(!again.body.contains("value=\"short\""));

        let good = [&form[..], &[("password", PASSWORD), ("referral_code", &code.code)]].concat();
        let done = ann.post("/signup", &good).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"));
        assert_eq!(ann.get("/").await.location(), "/account");
        let home = ann.get("/account").await;
        assert!(home.body.contains("ann@example.com"));

        let mut twin = Browser::new(&state);
        let csrf = twin.get("/signup").await.hidden("csrf");
        let taken =
            twin.post("/signup", &[("csrf", &csrf), ("email", "ann@example.com"), ("password", PASSWORD)]).await;
        assert_eq!(taken.status, 409);
    })
    .await;
}

#[tokio::test]
async fn the_sign_up_page_asks_for_terms_and_invitations_as_configured_and_keeps_the_tick() {
    let terms = [("ACCOUNTS__TERMS_URL", "https://example.com/terms"), ("ACCOUNTS__SIGNUP", "invitation")];
    each_state(&terms, |state| async move {
        let mut ann = Browser::new(&state);
        let page = ann.get("/signup").await;
        assert!(page.body.contains("href=\"https://example.com/terms\"") && page.body.contains("type=\"checkbox\""));
        assert!(page.body.contains("Sign-up is by invitation"));
        let csrf = page.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
        let again = ann.post("/signup", &form).await;
        assert_eq!(again.status, 422);
        for (field, message) in [("terms", "Agree to the terms"), ("referral_code", "You need an invitation")] {
            assert!(again.body.contains(&format!("<a href=\"#{field}\">{message}")), "{field}: {}", again.body);
        }
        let again = ann.post("/signup", &[&form[..], &[("terms", "1")]].concat()).await;
        assert!(again.body.contains("value=\"1\" required checked"), "{}", again.body);
    })
    .await;
}

#[tokio::test]
async fn where_nobody_can_sign_up_the_pages_say_so_and_programs_are_told() {
    each_state(&[("ACCOUNTS__SIGNUP", "off")], |state| async move {
        let mut ann = Browser::new(&state);
        let page = ann.get("/signup").await;
        assert!(page.status == 200 && page.body.contains("Sign-up is closed"), "{}", page.body);
        let login = ann.get("/login").await;
        assert!(!login.body.contains("href=\"/signup"));
        let csrf = login.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
        assert_eq!(ann.post("/signup", &form).await.status, 403);
        let request = Request::post("/api/v1/signup").header(header::CONTENT_TYPE, "application/json");
        let told = ann.send(request, format!(r#"{{"email":"ann@example.com","password":"{PASSWORD}"}}"#).into()).await;
        assert_eq!(told.status, 403);
        assert!(told.body.contains("signup-closed"), "{}", told.body);
        let discovery = ann.get("/.well-known/openid-configuration").await.body;
        assert!(discovery.contains("select_account") && !discovery.contains("\"create\""));
    })
    .await;
}

#[tokio::test]
async fn the_page_says_when_to_try_again() {
    each_state(&[("LIMITS__ENABLED", "true"), ("LIMITS__FAILURES_WITHOUT_DELAY", "1")], |state| async move {
        let mut ann = Browser::new(&state);
        let csrf = ann.get("/login").await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", "wrong horse")];
        assert_eq!(ann.post("/login", &form).await.status, 422);
        let waits = ann.post("/login", &form).await;
        assert_eq!(waits.status, 429);
        let seconds: u64 = waits.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
        assert!(waits.body.contains("Try again in") && waits.body.contains("second"), "{}", waits.body);
    })
    .await;
}

#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let credentials = [("email", "ann@example.com"), ("password", PASSWORD)];
        let mut mallory = Browser::new(&state);
        let stolen = mallory.get("/login").await.hidden("csrf");

        let mut ann = Browser::new(&state);
        assert_eq!(ann.post("/login", &credentials).await.status, 403, "no token, no cookie");
        let own = ann.get("/login").await.hidden("csrf");
        for csrf in ["", "AAAA", &stolen] {
            let form = [&credentials[..], &[("csrf", csrf)]].concat();
            assert_eq!(ann.post("/login", &form).await.status, 403, "{csrf:?}");
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([&credentials[..], &[("csrf", &own)]].concat())
            .finish();
        let elsewhere = |name: &'static str, value: &'static str| {
            Request::post("/login")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(name, value)
        };
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "same-site")] {
            assert_eq!(ann.send(elsewhere(name, value), form.clone().into()).await.status, 403, "{name}");
        }
        assert_eq!(ann.send(elsewhere("sec-fetch-site", "same-origin"), form.into()).await.status, 303);

        // Signing out acts for who is signed in: a form for nobody, or for somebody else, does not.
        assert_eq!(ann.post("/logout", &[("csrf", &own)]).await.status, 403);
        let csrf = ann.get("/logout").await.hidden("csrf");
        assert_eq!(ann.post("/logout", &[("csrf", &csrf)]).await.status, 303);
        assert!(!ann.cookies.keys().any(|name| name.ends_with("session")));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_page() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut browser = Browser::new(&state);
        let csrf = browser.get("/login").await.hidden("csrf");
        let mut pages = vec![];
        for email in ["ann@example.com", "bob@example.com"] {
            let form = [("csrf", csrf.as_str()), ("email", email), ("password", "wrong horse")];
            let page = browser.post("/login", &form).await;
            assert_eq!(page.status, 422);
            pages.push(page.body.replace(email, ""));
        }
        assert_eq!(pages[0], pages[1]);
        assert_eq!(browser.sign_in("ann@example.com").await.location(), "/");
    })
    .await;
}

#[tokio::test]
async fn every_page_is_sent_with_a_strict_policy_and_kept_nowhere() {
    each_state(&[], |state| async move {
        let mut browser = Browser::new(&state);
        for path in ["/", "/login", "/signup", "/verify-email?token=x", "/unsubscribe?token=x", "/nothing"] {
            let page = browser.get(path).await;
            let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(!policy.contains("form-action") && !policy.contains("unsafe"), "{path}");
            assert!(!page.headers.contains_key("cross-origin-opener-policy"), "{path}");
            assert_eq!(page.headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(page.headers[header::X_FRAME_OPTIONS], "DENY", "{path}");
            let inline = ["<style", " style=", "<script>", " onclick=", "javascript:"];
            assert!(inline.iter().all(|part| !page.body.contains(part)), "{path}");
        }
        let css = browser.get("/login").await.body;
        let css = css.split("href=\"").find(|part| part.starts_with("/assets/")).unwrap().split('"').next().unwrap();
        let asset = browser.get(css).await;
        assert_eq!(asset.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(asset.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(browser.get("/assets/site-0000000000000000.css").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn the_language_is_the_chosen_one_then_the_browsers() {
    each_state(&[], |state| async move {
        let mut browser = Browser::new(&state);
        browser.language = "ru-RU,ru;q=0.9";
        let page = browser.get("/login").await;
        assert!(page.body.contains("<html lang=\"ru\">") && page.body.contains("/login?lang=en"));
        let page = browser.get("/login?lang=en").await;
        assert!(page.body.contains("<html lang=\"en\">"));
        assert!(browser.get("/signup").await.body.contains("<html lang=\"en\">"), "the choice is remembered");
    })
    .await;
}

#[tokio::test]
async fn cookies_are_host_bound_on_https_and_carry_the_port_without() {
    for (url, prefix, secure) in
        [("https://id.example", "__Host-referris-", true), ("http://127.0.0.1:8123", "referris-auth-8123-", false)]
    {
        each_state(&[("AUTH__PUBLIC_URL", url)], |state| async move {
            person(&state, "ann@example.com").await;
            let mut browser = Browser::new(&state);
            let csrf = browser.get("/login").await.hidden("csrf");
            let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
            let done = browser.post("/login", &form).await;
            let mut names = vec![];
            for cookie in done.headers.get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                names.extend(cookie.split('=').next().and_then(|name| name.strip_prefix(prefix)));
                assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"));
                assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
            }
            names.sort_unstable();
            assert_eq!(names, ["known", "session"]);
        })
        .await;
    }
}

#[tokio::test]
async fn consent_is_given_by_who_saw_the_page() {
    each_state(&[], |state| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            person(&state, email).await;
        }
        let metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".into()],
            grant_types: vec!["authorization_code".into()],
            scopes: vec!["openid".into(), "email".into()],
            token_endpoint_auth_method: "client_secret_basic".into(),
            ..ClientMetadata::default()
        };
        let client = NewClient {
            client_id: Some("app".into()),
            name: "Notes & <More>".into(),
            first_party: false,
            origin: Origin::Operator,
            metadata,
        };
        crate::clients::create(&state.platform, client).await.unwrap();
        let start = "/oauth/authorize?client_id=app&response_type=code&scope=openid%20email&state=s&\
                     redirect_uri=https%3A%2F%2Fapp.example%2Fcb&\
                     code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

        let mut browser = Browser::new(&state);
        let login = browser.get(start).await.location().to_owned();
        let page = browser.get(&login).await;
        assert!(page.body.contains("Notes &#38; &#60;More&#62;"));
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let credentials = |email| {
            [("csrf", csrf.clone()), ("request", request.clone()), ("email", email), ("password", PASSWORD.to_owned())]
        };
        let ann = credentials("ann@example.com".to_owned());
        let ann: Vec<(&str, &str)> = ann.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let onward = browser.post("/login", &ann).await.location().to_owned();
        let consent = browser.get(&onward).await.location().to_owned();
        let page = browser.get(&consent).await;
        assert!(page.body.contains("ann@example.com") && page.body.contains("See your email address"));
        let shown_to_ann = page.hidden("csrf");

        // In another tab, Bob signs in: Ann's page does not speak for him.
        let bob = credentials("bob@example.com".to_owned());
        let bob: Vec<(&str, &str)> = bob.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(browser.post("/login", &bob).await.status, 303);
        let decide = |csrf: String, decision: &'static str| {
            [("csrf", csrf), ("request", request.clone()), ("decision", decision.to_owned())]
        };
        let form = decide(shown_to_ann, "allow");
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(browser.post("/consent", &form).await.status, 403);

        let csrf = browser.get(&consent).await.hidden("csrf");
        let form = decide(csrf.clone(), "allow");
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let back = browser.post("/consent", &form).await;
        assert!(back.location().starts_with("https://app.example/cb?code="), "{}", back.location());
        // Decided: the page leads back to the app.
        let again = browser.get(&consent).await;
        assert_eq!(again.status, 410);
        assert!(again.body.contains("https://app.example/cb?error="));
    })
    .await;
}

#[tokio::test]
async fn a_mailed_link_is_used_by_a_post_and_not_by_a_get() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let platform = &state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        let token = crate::accounts::verification::mint_link(&mut tx, platform, ann).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let mut browser = Browser::new(&state);
        let path = format!("/verify-email?token={}", token.reveal());
        for _ in 0..2 {
            assert_eq!(browser.get(&path).await.status, 200);
        }
        let csrf = browser.get(&path).await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("token", token.reveal()), ("decision", "confirm")];
        // The click alone confirms nothing: whoever opened the account chose a password.
        for password in [&[][..], &[("password", "wrong horse")]] {
            let again = browser.post("/verify-email", &[&form[..], password].concat()).await;
            assert_eq!(again.status, 422);
            assert!(again.body.contains("not the password that was chosen") && again.body.contains("ann@example.com"));
            assert!(!again.body.contains("wrong horse"));
        }
        let form = [&form[..], &[("password", PASSWORD)]].concat();
        assert_eq!(browser.post("/verify-email", &form).await.status, 200);
        assert_eq!(browser.post("/verify-email", &form).await.status, 410);
        assert_eq!(browser.get(&path).await.status, 410);
    })
    .await;
}

#[tokio::test]
async fn who_is_signed_in_to_the_account_confirms_its_address_without_the_password() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let platform = &state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        let token = crate::accounts::verification::mint_link(&mut tx, platform, ann).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let path = format!("/verify-email?token={}", token.reveal());
        for (who, asked, status) in [("bob@example.com", true, 422), ("ann@example.com", false, 200)] {
            let mut browser = Browser::new(&state);
            browser.sign_in(who).await;
            let page = browser.get(&path).await;
            assert_eq!(page.body.contains("type=\"password\""), asked, "{who}");
            let csrf = page.hidden("csrf");
            let form = [("csrf", csrf.as_str()), ("token", token.reveal()), ("decision", "confirm")];
            assert_eq!(browser.post("/verify-email", &form).await.status, status, "{who}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_gets_a_problem_where_a_browser_gets_a_page() {
    each_state(&[], |state| async move {
        let router = crate::router(state.clone());
        let request = Request::get("/nothing").header(header::ACCEPT, "application/json").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    })
    .await;
}
