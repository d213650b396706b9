//! How the pages look: as the operator says, in a client's flow too, and never as a stranger says. And what they weigh.

use std::io::Write;

use axum::http::Response;
use serde_json::{Value, json};

use super::*;
use crate::accounts::factors::passkeys::relying_party;
use crate::accounts::factors::totp::{Setup, code_at};
use crate::clients::{self, Looks};
use crate::protocol::device::{self, DeviceRequest};

const VIOLET: &str = "#6d28d9";
const LOGO: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><circle cx=\"4\" cy=\"4\" r=\"4\"/></svg>";

/// The paths of the files that a page loads by itself.
fn resources(page: &str) -> Vec<String> {
    let named = ["href=\"/assets/", "src=\"/assets/"];
    let mut paths: Vec<String> = named
        .iter()
        .flat_map(|start| page.split(start).skip(1))
        .map(|rest| format!("/assets/{}", rest.split('"').next().unwrap()))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn colours(page: &Answer) -> Vec<String> {
    resources(&page.body).into_iter().filter(|path| path.contains("/brand-")).collect()
}

fn logo_file(content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logo.svg");
    std::fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

/// As a browser asks for it: everything of it, as it is sent.
async fn sent(state: &AppState, path: &str) -> Response<Vec<u8>> {
    let request = Request::get(path)
        .header(header::ACCEPT, "text/html")
        .header(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd")
        .body(Body::empty())
        .unwrap();
    let (parts, body) = crate::router(state.clone()).oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, to_bytes(body, 1 << 20).await.unwrap().to_vec())
}

/// Status line, headers and body.
fn weight(response: &Response<Vec<u8>>) -> usize {
    let headers: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    17 + headers + 2 + response.body().len()
}

#[tokio::test]
async fn the_pages_have_the_operators_name_logo_and_colours() {
    let (_folder, logo) = logo_file(LOGO.as_bytes());
    let brand = [
        ("BRAND__NAME", "Кафе <Роза>"),
        ("BRAND__ACCENT_LIGHT", VIOLET),
        ("BRAND__THEME", "light"),
        ("BRAND__LOGO_FILE", &logo),
    ];
    each_state(&brand, |state| async move {
        let mut browser = Browser::new(&state);
        let page = browser.get("/login").await;
        assert!(page.body.contains("· Кафе &#60;Роза&#62;</title>"), "{}", page.body);
        assert!(page.body.contains("<span>Кафе &#60;Роза&#62;</span>") && !page.body.contains("Referris"));
        assert!(page.body.contains("<meta name=\"color-scheme\" content=\"light\">"));
        assert!(page.body.contains("<img class=\"logo\""));
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("style-src 'self';") && !policy.contains("unsafe"), "{policy}");

        let [sheet] = &colours(&page)[..] else { panic!("one sheet: {}", page.body) };
        let sheet = browser.get(sheet).await;
        assert_eq!(sheet.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(sheet.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(sheet.body.contains("--fir:#6d28d9;") && !sheet.body.contains("@media"), "{}", sheet.body);
    })
    .await;
}

#[tokio::test]
async fn an_authenticator_app_and_a_browsers_passkeys_know_us_by_the_brands_name() {
    let brand = [("BRAND__NAME", "Café Rose"), ("AUTH__PUBLIC_URL", "https://id.example")];
    each_state(&brand, |state| async move {
        let setup = Setup::new(&state.platform).uri(state.brand.name(), "ann@example.com");
        assert!(setup.starts_with("otpauth://totp/Caf%C3%A9%20Rose:ann%40example.com?"), "{setup}");
        let webauthn = relying_party(&state.platform).expect("passkeys are offered");
        let (options, _) = webauthn.start_passkey_registration(uuid::Uuid::nil(), "ann", "Ann", None).unwrap();
        let options = serde_json::to_value(options).unwrap();
        assert_eq!(options["publicKey"]["rp"]["name"], "Café Rose");
    })
    .await;
}

#[tokio::test]
async fn a_logo_opened_by_itself_can_do_nothing() {
    let (_folder, logo) = logo_file(LOGO.as_bytes());
    each_state(&[("BRAND__LOGO_FILE", &logo)], |state| async move {
        let page = sent(&state, "/login").await;
        let page = String::from_utf8(page.into_body()).unwrap();
        let path = resources(&page).into_iter().find(|path| path.contains("/logo-")).expect("a logo");
        let logo = sent(&state, &path).await;
        assert_eq!(logo.headers()[header::CONTENT_TYPE], "image/svg+xml");
        assert_eq!(logo.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let policy = logo.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox;"), "{policy}");
        assert!(!policy.contains("script-src") && !policy.contains("allow-"), "{policy}");
        // It stands in the tab as well, where our icon was.
        assert!(!page.contains("/assets/icon-") && page.matches(&path).count() == 2, "{page}");
    })
    .await;
}

fn metadata() -> ClientMetadata {
    ClientMetadata {
        redirect_uris: vec!["https://app.example/cb".into()],
        grant_types: vec!["authorization_code".into(), clients::DEVICE_CODE.into()],
        scopes: vec!["openid".into(), "email".into()],
        token_endpoint_auth_method: "client_secret_basic".into(),
        require_pkce: false,
        ..ClientMetadata::default()
    }
}

async fn app(state: &AppState, metadata: ClientMetadata) {
    let client = NewClient {
        client_id: Some("app".into()),
        name: "App".into(),
        first_party: false,
        origin: Origin::Operator,
        metadata,
    };
    clients::create(&state.platform, client).await.unwrap();
}

/// Where an authorization request of this client leads first.
async fn begin(browser: &mut Browser, client_id: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", "https://app.example/cb"),
            ("scope", "openid email"),
            ("state", "s"),
            ("nonce", "n"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    browser.get(&format!("/oauth/authorize?{query}")).await.location().to_owned()
}

#[tokio::test]
async fn a_client_that_the_operator_dressed_has_its_colours_in_its_flow_and_nowhere_else() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let setup = Setup::new(&state.platform);
        let code = code_at(&setup.in_groups(), state.platform.clock.now());
        let mut tx = state.platform.db.begin().await.unwrap();
        assert!(setup.confirm(&mut tx, &state.platform, ann, &code).await.unwrap());
        tx.commit().await.unwrap();
        app(&state, ClientMetadata { brand_accent_light: VIOLET.parse().ok(), ..metadata() }).await;
        let mut browser = Browser::new(&state);
        let login = begin(&mut browser, "app").await;
        let request = login.split("request=").nth(1).expect("a request that waits").to_owned();
        for path in ["/login", "/signup", "/forgot-password"] {
            let page = browser.get(&format!("{path}?request={request}")).await;
            assert!(colours(&page)[0].starts_with("/assets/brand-6d28d9-0-system-"), "{path}: {}", page.body);
            assert_eq!(colours(&browser.get(path).await), Vec::<String>::new(), "{path}");
        }
        let csrf = browser.get(&login).await.hidden("csrf");
        let form =
            [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD), ("request", &request)];
        assert_eq!(browser.post("/login", &form).await.location(), "/login/second-factor");
        let page = browser.get("/login/second-factor").await;
        assert_eq!(colours(&page).len(), 1, "{}", page.body);
        let wrong = browser.post("/login/second-factor", &[("csrf", &csrf), ("code", "000000")]).await;
        assert_eq!((wrong.status.as_u16(), colours(&wrong).len()), (422, 1), "{}", wrong.body);

        person(&state, "bob@example.com").await;
        let mut browser = Browser::new(&state);
        browser.sign_in("bob@example.com").await;
        let consent = begin(&mut browser, "app").await;
        assert!(consent.starts_with("/consent?"), "{consent}");
        assert_eq!(colours(&browser.get(&consent).await).len(), 1);
        let asked = DeviceRequest { scope: vec!["openid".into()], resource: vec![] };
        let (_, code) = device::begin(&state.platform, &"app".into(), &asked).await.unwrap();
        let device = browser.get(&format!("/device?user_code={code}")).await;
        assert!(device.body.contains("App") && colours(&device).len() == 1, "{}", device.body);
        assert_eq!(colours(&browser.get("/account").await), Vec::<String>::new());
        // The way back of one that took too long is the client's as well.
        state.platform.clock.advance(std::time::Duration::from_secs(2 * 3600));
        let expired = browser.get(&consent).await;
        assert_eq!((expired.status.as_u16(), colours(&expired).len()), (410, 1));
    })
    .await;
}

#[tokio::test]
async fn what_a_client_leaves_open_is_as_the_operator_has_it_everywhere() {
    each_state(&[("BRAND__ACCENT_LIGHT", "#0f5c8a"), ("BRAND__THEME", "light")], |state| async move {
        app(&state, ClientMetadata { brand_theme: Some(shared::brand::Theme::Dark), ..metadata() }).await;
        let mut browser = Browser::new(&state);
        let login = begin(&mut browser, "app").await;
        let page = browser.get(&login).await;
        assert!(colours(&page)[0].starts_with("/assets/brand-0f5c8a-0-dark-"), "{}", page.body);
        assert!(page.body.contains("content=\"dark\""));

        let looks = Looks { accent_light: VIOLET.parse().ok(), ..Looks::default() };
        assert!(clients::restyle(&state.platform, &"app".into(), looks).await.unwrap());
        state.clients.forget(&"app".into()).await;
        assert!(colours(&browser.get(&login).await)[0].starts_with("/assets/brand-6d28d9-0-light-"));
        assert!(clients::restyle(&state.platform, &"app".into(), Looks::default()).await.unwrap());
        state.clients.forget(&"app".into()).await;
        assert!(colours(&browser.get(&login).await)[0].starts_with("/assets/brand-0f5c8a-0-light-"));

        let pale = Looks { accent_light: "#ffd400".parse().ok(), ..Looks::default() };
        let refused = clients::restyle(&state.platform, &"app".into(), pale).await.unwrap_err().to_string();
        assert!(refused.contains("brand_accent_light") && refused.contains("4.5:1"), "{refused}");
        assert!(!clients::restyle(&state.platform, &"nobody".into(), Looks::default()).await.unwrap());
    })
    .await;
}

async fn register(browser: &mut Browser, request: axum::http::request::Builder, members: &Value) -> (u16, Value) {
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let answer = browser.send(request, members.to_string().into()).await;
    (answer.status.as_u16(), serde_json::from_str(&answer.body).unwrap_or_default())
}

#[tokio::test]
async fn a_client_that_registers_itself_can_not_make_our_pages_look_like_anothers() {
    each_state(&[("REGISTRATION__POLICY", "open")], |state| async move {
        let asked = json!({
            "redirect_uris": ["https://app.example/cb"],
            "client_name": "Bank",
            "brand_accent_light": "#b3261a",
            "brand_accent_dark": "#ff8a7a",
            "brand_theme": "dark",
        });
        let mut mallory = Browser::new(&state);
        let (status, mut said) = register(&mut mallory, Request::post("/oauth/register"), &asked).await;
        assert_eq!(status, 201, "{said}");
        let id = said["client_id"].as_str().unwrap().to_owned();
        let token = said["registration_access_token"].as_str().unwrap().to_owned();
        // Neither by registering, nor by changing the registration.
        for round in 0..2 {
            assert!(said.as_object().unwrap().keys().all(|member| !member.starts_with("brand")), "{said}");
            let login = begin(&mut mallory, &id).await;
            let page = mallory.get(&login).await;
            assert!(page.body.contains("Bank") && colours(&page).is_empty(), "{round}: {}", page.body);
            let mut again = asked.clone();
            again["client_id"] = json!(id);
            let request =
                Request::put(format!("/oauth/register/{id}")).header(header::AUTHORIZATION, format!("Bearer {token}"));
            let (status, changed) = register(&mut mallory, request, &again).await;
            assert_eq!(status, 200, "{changed}");
            said = changed;
        }
        // With the operator's word it may, and keeps that when it changes something else.
        let looks = Looks { accent_light: VIOLET.parse().ok(), ..Looks::default() };
        assert!(clients::restyle(&state.platform, &id.as_str().into(), looks).await.unwrap());
        let mut again = asked.clone();
        again["client_id"] = json!(id);
        let request =
            Request::put(format!("/oauth/register/{id}")).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let (status, changed) = register(&mut mallory, request, &again).await;
        assert_eq!((status, &changed["brand_accent_light"]), (200, &json!(VIOLET)), "{changed}");
        assert_eq!(changed.get("brand_theme"), None);
    })
    .await;
}

#[tokio::test]
async fn the_sign_in_page_is_sent_whole_in_less_than_30_kb() {
    // As heavy as it gets: passkeys, other providers, accounts that the browser knows; the largest logo and its colours.
    let mut drawing = LOGO.replace("</svg>", "").into_bytes();
    let mut draw = 7_u32;
    while shared::http::gzip(&drawing).len() < 9_900 {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        write!(drawing, "<circle r=\"{}.{}\"/>", draw >> 20, draw & 0xffff).unwrap();
    }
    drawing.extend(b"</svg>");
    let (_folder, logo) = logo_file(&drawing);
    let upstream = r#"[{id="work", name="Work", issuer="https://id.example.org", client_id="us"}]"#;
    let heavy = [
        ("AUTH__PUBLIC_URL", "https://id.example"),
        ("BRAND__LOGO_FILE", logo.as_str()),
        ("BRAND__ACCENT_LIGHT", VIOLET),
        ("BRAND__ACCENT_DARK", "#c4b5fd"),
        ("UPSTREAM", upstream),
    ];
    for (settings, most) in [(&heavy[..1], 18_000), (&heavy[..], 30_000)] {
        each_state(settings, |state| async move {
            for language in ["en", "ru"] {
                let page = sent(&state, &format!("/login?lang={language}")).await;
                assert_eq!(page.status(), 200);
                // A page is never compressed: it holds a secret beside what a stranger chose.
                assert!(!page.headers().contains_key(header::CONTENT_ENCODING));
                let text = String::from_utf8(page.body().clone()).unwrap();
                assert!(text.contains("/assets/passkeys-") && text.contains(&format!("lang=\"{language}\"")));
                let mut parts = vec![("the page".to_owned(), weight(&page))];
                for path in resources(&text) {
                    let file = sent(&state, &path).await;
                    assert_eq!(file.status(), 200, "{path}");
                    parts.push((path, weight(&file)));
                }
                assert!(parts.len() >= 5, "its files are found: {parts:?}");
                let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
                assert!(total < most, "{total} bytes: {parts:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn files_are_sent_packed_to_who_can_unpack_them() {
    each_state(&[], |state| async move {
        let mut browser = Browser::new(&state);
        let page = browser.get("/login").await;
        let css = resources(&page.body).into_iter().find(|path| path.ends_with(".css")).unwrap();
        let packed = sent(&state, &css).await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(packed.headers()[header::VARY], "accept-encoding");
        let plain = browser.get(&css).await;
        assert!(!plain.headers.contains_key(header::CONTENT_ENCODING) && plain.body.contains("--paper"));
        assert_eq!(shared::http::gzip(plain.body.as_bytes()), *packed.body());
    })
    .await;
}
