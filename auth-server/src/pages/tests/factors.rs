//! The second factor, the page of security, and showing anew who one is.

use std::time::Duration;

use super::*;
use crate::accounts::factors::totp::code_at;

/// Signs in, sets the app up, and returns what was typed into it and the recovery codes.
pub(super) async fn set_up(state: &AppState, browser: &mut Browser, email: &str) -> (String, Vec<String>) {
    assert_eq!(browser.sign_in(email).await.location(), "/");
    let csrf = browser.get("/account/security").await.hidden("csrf");
    let page = browser.post("/account/security/app", &[("csrf", &csrf)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("<svg class=\"app-qr\""), "no QR code");
    let secret = between(&page.body, "aria-labelledby=\"secret-label\">", "<").to_owned();
    let setup = page.hidden("setup");
    let wrong = [("csrf", csrf.as_str()), ("setup", &setup), ("code", "000000")];
    let again = browser.post("/account/security/app/confirm", &wrong).await;
    assert_eq!(again.status, 422);
    assert!(again.body.contains(&secret), "the same secret, for it is in the app by now");
    let code = code_at(&secret, state.platform.clock.now());
    let right = [("csrf", csrf.as_str()), ("setup", &setup), ("code", &code)];
    let done = browser.post("/account/security/app/confirm", &right).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let codes = done.body.split("<li><code>").skip(1).map(|c| c.split('<').next().unwrap().to_owned()).collect();
    // The code that confirmed it is used up.
    state.platform.clock.advance(Duration::from_secs(60));
    (secret, codes)
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split(from).nth(1).expect(from).split(to).next().unwrap()
}

pub(super) async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/account/security").await.status == 200
}

pub(super) async fn enter(browser: &mut Browser, code: &str, with: &str) -> Answer {
    let csrf = browser.get("/login/second-factor").await.hidden("csrf");
    browser.post("/login/second-factor", &[("csrf", &csrf), ("code", code), ("with", with)]).await
}

#[tokio::test]
async fn a_password_alone_signs_nobody_in_who_has_an_app() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let (secret, codes) = set_up(&state, &mut Browser::new(&state), "ann@example.com").await;
        assert_eq!(codes.len(), 10);
        let mut ann = Browser::new(&state);
        assert_eq!(ann.sign_in("ann@example.com").await.location(), "/login/second-factor");
        assert!(!ann.cookies.keys().any(|name| name.ends_with("session")), "no session yet");
        assert!(!is_signed_in(&mut ann).await);
        let page = ann.get("/login/second-factor").await;
        assert!(page.body.contains("autocomplete=\"one-time-code\""));
        let wrong = enter(&mut ann, "000000", "").await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.body.contains("id=\"code-error\"") && !wrong.body.contains("value=\"000000\""));
        let code = code_at(&secret, state.platform.clock.now());
        let right = enter(&mut ann, &code, "").await;
        assert_eq!(right.location(), "/");
        assert!(is_signed_in(&mut ann).await);
        assert!(!ann.cookies.keys().any(|name| name.ends_with("signin")), "its key is gone");

        // The code once more, for who has seen it and knows the password.
        let mut mallory = Browser::new(&state);
        mallory.sign_in("ann@example.com").await;
        assert_eq!(enter(&mut mallory, &code, "").await.status, 422);
        // A recovery code once.
        assert_eq!(enter(&mut mallory, &codes[0], "recovery").await.location(), "/");
        let mut late = Browser::new(&state);
        late.sign_in("ann@example.com").await;
        assert_eq!(enter(&mut late, &codes[0], "recovery").await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn factors_in_the_wrong_order_lead_to_the_first() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let (secret, _) = set_up(&state, &mut Browser::new(&state), "ann@example.com").await;
        let code = code_at(&secret, state.platform.clock.now());
        let mut mallory = Browser::new(&state);
        let csrf = mallory.get("/login").await.hidden("csrf");
        assert_eq!(mallory.get("/login/second-factor").await.location(), "/login");
        let form = [("csrf", csrf.as_str()), ("code", &code)];
        assert_eq!(mallory.post("/login/second-factor", &form).await.location(), "/login");
        assert!(!is_signed_in(&mut mallory).await);
        // A key of one's own making opens nothing.
        let name = mallory.cookies.keys().next().unwrap().replace("csrf", "signin");
        mallory.cookies.insert(name, "A".repeat(43));
        assert_eq!(mallory.post("/login/second-factor", &form).await.location(), "/login");
        assert!(!is_signed_in(&mut mallory).await);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_waits_ends_with_the_fifth_wrong_code_and_the_owner_gets_in_by_another() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let (secret, _) = set_up(&state, &mut Browser::new(&state), "ann@example.com").await;
        let mut mallory = Browser::new(&state);
        mallory.sign_in("ann@example.com").await;
        let csrf = mallory.get("/login/second-factor").await.hidden("csrf");
        for n in 1..=5 {
            let form = [("csrf", csrf.as_str()), ("code", "000000")];
            let page = mallory.post("/login/second-factor", &form).await;
            assert_eq!(page.status, 422);
            assert_eq!(page.body.contains("name=\"code\""), n < 5);
        }
        let code = code_at(&secret, state.platform.clock.now());
        let form = [("csrf", csrf.as_str()), ("code", &code)];
        assert_eq!(mallory.post("/login/second-factor", &form).await.location(), "/login");
        let mut ann = Browser::new(&state);
        ann.sign_in("ann@example.com").await;
        assert_eq!(enter(&mut ann, &code, "").await.location(), "/");
    })
    .await;
}

#[tokio::test]
async fn who_gives_up_or_takes_too_long_begins_anew() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        set_up(&state, &mut Browser::new(&state), "ann@example.com").await;
        let mut ann = Browser::new(&state);
        let csrf = ann.get("/login?request=account-security").await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
        ann.post("/login", &[&form[..], &[("request", "account-security")]].concat()).await;
        let page = ann.get("/login/second-factor").await;
        assert!(page.body.contains("href=\"/account/security\""), "cancel leads where it came from");
        assert_eq!(ann.get("/account/security").await.location(), "/login?request=account-security");
        state.platform.clock.advance(Duration::from_secs(601));
        assert_eq!(ann.get("/login/second-factor").await.location(), "/login");
    })
    .await;
}

#[tokio::test]
async fn what_is_sensitive_wants_a_sign_in_of_a_moment_ago() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut ann = Browser::new(&state);
        ann.sign_in("ann@example.com").await;
        let csrf = ann.get("/account/security").await.hidden("csrf");
        state.platform.clock.advance(Duration::from_secs(601));
        let form = [("csrf", csrf.as_str())];
        let confirm = "/account/confirm?request=account-security";
        for path in [
            "/account/security/app",
            "/account/security/app/confirm",
            "/account/security/app/remove",
            "/account/security/recovery-codes",
            "/account/security/passkeys",
            "/account/security/passkeys/00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(ann.post(path, &form).await.location(), confirm, "{path}");
        }
        assert_eq!(ann.post("/account/security/passkeys/options", &form).await.status, 401);
        let before = ann.cookies.clone();
        let page = ann.get(confirm).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let wrong = [("csrf", csrf.as_str()), ("request", &request), ("password", "wrong horse")];
        assert_eq!(ann.post("/account/confirm", &wrong).await.status, 422);
        let right = [("csrf", csrf.as_str()), ("request", &request), ("password", PASSWORD)];
        assert_eq!(ann.post("/account/confirm", &right).await.location(), "/account/security");
        assert_ne!(ann.cookies, before, "the session goes on under a new key");
        // The same session, so the form of the other tab serves still.
        assert_eq!(ann.post("/account/security/app", &form).await.status, 200);

        assert_eq!(Browser::new(&state).get(confirm).await.location(), "/login?request=account-security");
        let mut old = Browser::new(&state);
        old.cookies = before;
        assert_eq!(old.get("/account").await.location(), "/login?request=account-overview", "the former key is dead");
    })
    .await;
}

#[tokio::test]
async fn a_form_of_the_page_of_security_is_bound_to_its_session() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut ann = Browser::new(&state);
        let anybodys = ann.get("/login").await.hidden("csrf");
        ann.sign_in("ann@example.com").await;
        for path in ["/account/security/app", "/account/security/app/remove", "/account/security/passkeys"] {
            for csrf in ["", anybodys.as_str()] {
                assert_eq!(ann.post(path, &[("csrf", csrf)]).await.status, 403, "{path}");
            }
        }
        assert_eq!(ann.post("/account/security/passkeys/options", &[("csrf", &anybodys)]).await.status, 403);
        assert_eq!(ann.post("/account/confirm", &[("csrf", &anybodys), ("password", PASSWORD)]).await.status, 403);
        assert_eq!(Browser::new(&state).post("/login/passkey/options", &[("csrf", &anybodys)]).await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn an_app_that_was_taken_off_asks_for_nothing_and_leaves_no_codes() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut ann = Browser::new(&state);
        let (_, codes) = set_up(&state, &mut ann, "ann@example.com").await;
        let page = ann.get("/account/security").await;
        assert!(page.body.contains("10 codes are left"), "{}", page.body);
        let csrf = page.hidden("csrf");
        let new = ann.post("/account/security/recovery-codes", &[("csrf", &csrf)]).await;
        assert!(new.body.matches("<li><code>").count() == 10 && !new.body.contains(&codes[0]));
        assert_eq!(ann.post("/account/security/app/remove", &[("csrf", &csrf)]).await.location(), "/account/security");
        assert_eq!(Browser::new(&state).sign_in("ann@example.com").await.location(), "/");
        let mut conn = state.platform.db.read().await.unwrap();
        let count = crate::accounts::testing::count(&mut conn, "SELECT COUNT(*) FROM recovery_codes").await;
        assert_eq!(count, 0);
    })
    .await;
}

#[tokio::test]
async fn passkeys_are_asked_for_only_at_an_address_that_can_have_them() {
    for (url, offered) in [("http://localhost:8080", true), ("http://127.0.0.1:8080", false)] {
        each_state(&[("AUTH__PUBLIC_URL", url)], |state| async move {
            person(&state, "ann@example.com").await;
            let mut ann = Browser::new(&state);
            let login = ann.get("/login").await;
            assert_eq!(login.body.contains("autocomplete=\"username webauthn\""), offered, "{url}");
            assert_eq!(login.body.contains("/login/passkey"), offered, "{url}");
            let csrf = login.hidden("csrf");
            let options = ann.post("/login/passkey/options", &[("csrf", &csrf)]).await;
            assert_eq!(options.status, if offered { 200 } else { 404 });
            ann.sign_in("ann@example.com").await;
            let page = ann.get("/account/security").await;
            assert_eq!(page.body.contains("data-passkey"), offered, "{url}");
            let form = [("csrf", csrf.as_str()), ("ceremony", "x"), ("credential", "{}")];
            assert_eq!(ann.post("/login/passkey", &form).await.status, 422);
        })
        .await;
    }
}
