//! Codes by mail in place of the app's, and devices that are remembered.

use std::time::Duration;

use shared::ids::{MailedCodeId, UserId};

use super::factors::{enter, is_signed_in, set_up};
use super::*;
use crate::accounts::factors::mailed;
use crate::accounts::factors::totp::code_at;

const MAIL: &[(&str, &str)] = &[("FACTORS__MAILED_CODE", "true")];

/// An app of ours, which asks for nothing but a sign-in: where a request of its begins.
pub(super) async fn app(state: &AppState, more: &str) -> String {
    let metadata = ClientMetadata {
        redirect_uris: vec!["https://app.example/cb".into()],
        grant_types: vec!["authorization_code".into(), "password".into()],
        scopes: vec!["openid".into()],
        token_endpoint_auth_method: "none".into(),
        ..ClientMetadata::default()
    };
    let client = NewClient {
        client_id: Some("app".into()),
        name: "Notes".into(),
        first_party: true,
        origin: Origin::Operator,
        metadata,
    };
    // The second time it is there.
    let _ = crate::clients::create(&state.platform, client).await;
    format!(
        "/oauth/authorize?client_id=app&response_type=code&scope=openid&state=s&\
         redirect_uri=https%3A%2F%2Fapp.example%2Fcb&\
         code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256{more}"
    )
}

/// Types the password on the page that `path` leads to; where it goes on.
pub(super) async fn types_password(browser: &mut Browser, path: &str) -> String {
    let page = browser.get(path).await;
    let page = if page.status == 303 { browser.get(page.location()).await } else { page };
    let csrf = page.hidden("csrf");
    let request = if page.body.contains("name=\"request\"") { page.hidden("request") } else { String::new() };
    let form = [("csrf", csrf.as_str()), ("request", &request), ("email", "ann@example.com"), ("password", PASSWORD)];
    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location().to_owned()
}

async fn signs_out(browser: &mut Browser) {
    let csrf = browser.get("/logout").await.hidden("csrf");
    assert_eq!(browser.post("/logout", &[("csrf", &csrf)]).await.status, 303);
}

/// What the newest session says of its sign-in: `acr`, and `amr` in one word.
async fn told(state: &AppState) -> (String, String) {
    let mut conn = state.platform.db.read().await.unwrap();
    let (record,) = shared::fetch_one!(
        &mut conn,
        (sqlx::types::Json<serde_json::Value>,),
        "SELECT record FROM browser_sessions ORDER BY created_at DESC LIMIT 1"
    )
    .unwrap();
    let signed_in = &record["signed_in"];
    let amr: Vec<&str> = signed_in["amr"].as_array().unwrap().iter().filter_map(|method| method.as_str()).collect();
    (signed_in["acr"].as_str().unwrap().to_owned(), amr.join(" "))
}

async fn events(state: &AppState, kind: &str) -> i64 {
    let mut conn = state.platform.db.read().await.unwrap();
    let (n,) =
        shared::fetch_one!(&mut conn, (i64,), "SELECT COUNT(*) FROM audit_events WHERE kind = $1", kind).unwrap();
    n
}

/// Ann, whose address is proved, and what was typed into her app.
async fn ann(state: &AppState) -> (UserId, String, Vec<String>) {
    let ann = person(state, "ann@example.com").await;
    let mut tx = state.platform.db.begin().await.unwrap();
    shared::execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", ann).unwrap();
    tx.commit().await.unwrap();
    let (secret, codes) = set_up(state, &mut Browser::new(state), "ann@example.com").await;
    (ann, secret, codes)
}

/// Ann signs in with a code of the app and has the device remembered.
async fn remembered(state: &AppState, secret: &str) -> Browser {
    let mut browser = Browser::new(state);
    browser.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    browser.sign_in("ann@example.com").await;
    let page = browser.get("/login/second-factor").await;
    assert!(page.body.contains("for 30 days") && !page.body.contains("checked"), "{}", page.body);
    let csrf = page.hidden("csrf");
    let wrong = [("csrf", csrf.as_str()), ("code", "000000"), ("remember", "1")];
    let again = browser.post("/login/second-factor", &wrong).await;
    assert!(again.status == 422 && again.body.contains(" checked"), "the tick is kept");
    let code = code_at(secret, state.platform.clock.now());
    let done = browser.post("/login/second-factor", &[("csrf", &csrf), ("code", &code), ("remember", "1")]).await;
    assert_eq!(done.location(), "/");
    assert!(browser.cookies.keys().any(|name| name.ends_with("remembered")));
    signs_out(&mut browser).await;
    // The next code.
    state.platform.clock.advance(Duration::from_secs(60));
    browser
}

/// Does a password alone sign in here?
async fn is_spared(browser: &mut Browser) -> bool {
    browser.sign_in("ann@example.com").await.location() == "/"
}

#[tokio::test]
async fn a_remembered_device_asks_for_no_code_and_is_told_as_a_password() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        let mut browser = remembered(&state, &secret).await;
        assert!(is_spared(&mut browser).await);
        assert!(is_signed_in(&mut browser).await);
        assert_eq!(told(&state).await, ("urn:referris:acr:password".into(), "pwd".into()));
        assert_eq!(events(&state, "remembered_device.used").await, 1);
        // Neither elsewhere, nor for somebody else here.
        assert!(!is_spared(&mut Browser::new(&state)).await);
        person(&state, "bob@example.com").await;
        set_up(&state, &mut Browser::new(&state), "bob@example.com").await;
        signs_out(&mut browser).await;
        assert_eq!(browser.sign_in("bob@example.com").await.location(), "/login/second-factor");
        // After its days it asks.
        state.platform.clock.advance(Duration::from_secs(30 * 86_400));
        assert!(!is_spared(&mut browser).await);
    })
    .await;
}

#[tokio::test]
async fn who_is_let_in_by_a_remembered_device_changes_nothing_that_matters() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        let mut browser = remembered(&state, &secret).await;
        assert!(is_spared(&mut browser).await);
        let confirm = "/account/confirm?request=account-";
        let csrf = browser.get("/account/sessions").await.hidden("csrf");
        let form = [
            ("csrf", csrf.as_str()),
            ("current_password", PASSWORD),
            ("password", "staple battery horse"),
            ("step", "begin"),
            ("email", "thief@example.com"),
            ("confirmation", "ann@example.com"),
        ];
        for path in [
            "/account/security/app/remove",
            "/account/security/recovery-codes",
            "/account/security/passkeys",
            "/account/security/upstream",
            "/account/security/password",
            "/account/profile/email",
            "/account/data",
            "/account/delete",
        ] {
            let answer = browser.post(path, &form).await;
            assert!(answer.status == 303 && answer.location().starts_with(confirm), "{path}: {}", answer.status);
        }
        for path in ["/account/security/password", "/account/profile/email", "/account/data", "/account/delete"] {
            assert!(browser.get(path).await.location().starts_with(confirm), "{path}");
        }
        let options = [("csrf", csrf.as_str())];
        assert_eq!(browser.post("/account/security/passkeys/options", &options).await.status, 401);
        // The password once more is not what lacks, and the device spares nothing there.
        let page = browser.get("/account/confirm?request=account-security").await;
        assert!(page.body.contains("name=\"code\"") && !page.body.contains("with=mail"));
        let csrf = page.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("request", "account-security"), ("password", PASSWORD)];
        assert_eq!(browser.post("/account/confirm", &form).await.location(), "/login/second-factor");
        // A code is.
        let code = code_at(&secret, state.platform.clock.now());
        let form = [("csrf", csrf.as_str()), ("request", "account-security"), ("code", &code)];
        assert_eq!(browser.post("/account/confirm", &form).await.location(), "/account/security");
        assert_eq!(told(&state).await, ("urn:referris:acr:mfa".into(), "pwd otp mfa".into()));
        let csrf = browser.get("/account/security").await.hidden("csrf");
        assert_eq!(browser.post("/account/security/recovery-codes", &[("csrf", &csrf)]).await.status, 200);
        // Which is a change of how one signs in: the device asks again.
        signs_out(&mut browser).await;
        assert!(!is_spared(&mut browser).await);
    })
    .await;
}

#[tokio::test]
async fn an_app_that_asks_for_more_is_not_spared_by_a_remembered_device() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        let mut browser = remembered(&state, &secret).await;
        let claims = "&claims=%7B%22id_token%22%3A%7B%22acr%22%3A%7B%22essential%22%3Atrue%2C%22values%22%3A%5B%22\
                      urn%3Areferris%3Aacr%3Amfa%22%5D%7D%7D%7D";
        for (more, asked) in [
            ("", false),
            ("&acr_values=urn%3Areferris%3Aacr%3Apassword", false),
            ("&acr_values=urn%3Areferris%3Aacr%3Amfa", true),
            ("&acr_values=phr", true),
            (claims, true),
            ("&prompt=login", true),
            ("&max_age=86400", true),
        ] {
            let onward = types_password(&mut browser, &app(&state, more).await).await;
            assert_eq!(onward == "/login/second-factor", asked, "{more}: {onward}");
            if !asked {
                let back = browser.get(&onward).await;
                assert!(back.location().starts_with("https://app.example/cb?code="), "{more}: {}", back.location());
                signs_out(&mut browser).await;
            }
        }
        // And a session that was let in so steps up when an app asks for two factors.
        types_password(&mut browser, "/login").await;
        let login = browser.get(&app(&state, "&acr_values=urn%3Areferris%3Aacr%3Amfa").await).await;
        let step_up = browser.get(login.location()).await;
        assert!(step_up.location().starts_with("/account/confirm?request="), "{}", step_up.location());
        let silent = browser.get(&app(&state, &format!("{claims}&prompt=none")).await).await;
        assert!(silent.location().contains("error="), "{}", silent.location());
    })
    .await;
}

/// One leaves the app's request where it is, signs in beside it, and goes on with it.
#[tokio::test]
async fn nobody_signs_in_beside_a_request_to_be_spared() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        let mut browser = remembered(&state, &secret).await;
        for more in ["&prompt=login", "&max_age=0", "&max_age=86400", "&acr_values=urn%3Areferris%3Aacr%3Amfa"] {
            let asked = browser.get(&app(&state, more).await).await;
            let (_, request) = asked.location().split_once("request=").expect("a sign-in for the request");
            let goes_on = format!("/oauth/authorize/continue?request={request}");
            assert_eq!(types_password(&mut browser, "/login").await, "/", "{more}: the device is remembered");
            let page = browser.get(&goes_on).await;
            assert!(page.location().starts_with("/login?request="), "{more}: {}", page.location());
            // Nor with a request that is made only now.
            let again = browser.get(&app(&state, more).await).await;
            assert!(again.location().starts_with("/login?request="), "{more}: {}", again.location());
            // The code is what it lacks, and all that it lacks.
            let step = browser.get(page.location()).await;
            assert!(step.location().starts_with("/account/confirm?request="), "{more}: {}", step.location());
            let csrf = browser.get(step.location()).await.hidden("csrf");
            let code = code_at(&secret, state.platform.clock.now());
            let done = browser
                .post("/account/confirm", &[("csrf", csrf.as_str()), ("request", request), ("code", &code)])
                .await;
            let back = browser.get(done.location()).await;
            assert!(back.location().starts_with("https://app.example/cb?code="), "{more}: {}", back.location());
            signs_out(&mut browser).await;
            state.platform.clock.advance(Duration::from_secs(60));
        }
    })
    .await;
}

#[tokio::test]
async fn codes_are_mailed_again_once_the_app_was_shown_beside_the_password_and_not_before() {
    each_state(MAIL, |state| async move {
        let (ann, secret, _) = ann(&state).await;
        let refused = async || {
            let mut conn = state.platform.db.read().await.unwrap();
            let sql = "SELECT COUNT(*) FROM totp_secrets WHERE mail_refused_at IS NOT NULL";
            crate::accounts::testing::count(&mut conn, sql).await == 1
        };
        let refuse = async || {
            let mut tx = state.platform.db.begin().await.unwrap();
            mailed::refuse_from_now(&mut tx, &state.platform, ann).await.unwrap();
            tx.commit().await.unwrap();
        };
        refuse().await;
        let mut browser = remembered(&state, &secret).await;
        assert!(!refused().await, "a sign-in with both");
        // In a session that is there, the code comes without the password.
        refuse().await;
        assert!(is_spared(&mut browser).await);
        let csrf = browser.get("/account/confirm").await.hidden("csrf");
        let code = code_at(&secret, state.platform.clock.now());
        assert_eq!(browser.post("/account/confirm", &[("csrf", csrf.as_str()), ("code", &code)]).await.status, 303);
        assert!(refused().await);
    })
    .await;
}

#[tokio::test]
async fn remembered_devices_are_listed_and_forgotten_one_by_one_and_all_at_once() {
    each_state(&[], |state| async move {
        let (_, secret, codes) = ann(&state).await;
        let mut browser = remembered(&state, &secret).await;
        let mut second = remembered(&state, &secret).await;
        assert!(is_spared(&mut browser).await);
        let page = browser.get("/account/sessions").await;
        assert!(page.body.contains("not asked for a code") && page.body.contains("Firefox, Linux"), "{}", page.body);
        assert_eq!(page.body.matches("this device").count(), 1);
        let csrf = page.hidden("csrf");
        let here = page.body.split("this device").nth(1).unwrap();
        let id = here.split("name=\"device\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        // Not by somebody else, nor by a form that is not ours.
        let mut bob = Browser::new(&state);
        person(&state, "bob@example.com").await;
        bob.sign_in("bob@example.com").await;
        let theirs = bob.get("/account/sessions").await;
        assert!(!theirs.body.contains("not asked for a code"));
        let csrf_of_bob = bob.get("/account/profile").await.hidden("csrf");
        assert_eq!(bob.post("/account/sessions", &[("csrf", &csrf_of_bob), ("device", &id)]).await.status, 404);
        assert_eq!(browser.post("/account/sessions", &[("csrf", &csrf_of_bob), ("device", &id)]).await.status, 403);
        let gone = browser.post("/account/sessions", &[("csrf", &csrf), ("device", &id)]).await;
        assert_eq!(gone.location(), "/account/sessions?done=device");
        signs_out(&mut browser).await;
        assert!(!is_spared(&mut browser).await, "the one that was forgotten");
        assert!(is_spared(&mut second).await, "and no other");
        assert_eq!(enter(&mut browser, &codes[0], "recovery").await.location(), "/");
        let csrf = browser.get("/account/sessions").await.hidden("csrf");
        let gone = browser.post("/account/sessions", &[("csrf", &csrf), ("device", "all")]).await;
        assert_eq!(gone.location(), "/account/sessions?done=devices");
        signs_out(&mut second).await;
        assert!(!is_spared(&mut second).await);
    })
    .await;
}

#[tokio::test]
async fn a_device_is_forgotten_with_the_password_and_when_other_devices_are_signed_out() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        for path in ["/account/sessions", "/account/security/password"] {
            let mut device = remembered(&state, &secret).await;
            let mut other = Browser::new(&state);
            other.sign_in("ann@example.com").await;
            enter(&mut other, &code_at(&secret, state.platform.clock.now()), "").await;
            state.platform.clock.advance(Duration::from_secs(60));
            let csrf = other.get("/account/security").await.hidden("csrf");
            // The same password again, so that the next round knows it.
            let form = [
                ("csrf", csrf.as_str()),
                ("session", "others"),
                ("current_password", PASSWORD),
                ("password", PASSWORD),
            ];
            let done = other.post(path, &form).await;
            assert!(done.status == 303 || done.status == 200, "{path}: {}", done.body);
            assert!(!is_spared(&mut device).await, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cookie_that_was_planted_remembers_nobody() {
    each_state(&[], |state| async move {
        let (_, secret, _) = ann(&state).await;
        let mut mallory = remembered(&state, &secret).await;
        let name = mallory.cookies.keys().find(|name| name.ends_with("remembered")).unwrap().clone();
        let planted = "A".repeat(43);
        let mut victim = Browser::new(&state);
        victim.cookies.insert(name.clone(), planted.clone());
        victim.sign_in("ann@example.com").await;
        let csrf = victim.get("/login/second-factor").await.hidden("csrf");
        let code = code_at(&secret, state.platform.clock.now());
        victim.post("/login/second-factor", &[("csrf", &csrf), ("code", &code), ("remember", "1")]).await;
        assert!(victim.cookies[&name].starts_with(|c: char| c != 'A') || victim.cookies[&name] != planted);
        mallory.cookies.insert(name.clone(), planted);
        assert!(!is_spared(&mut mallory).await);
        signs_out(&mut victim).await;
        assert!(is_spared(&mut victim).await);
    })
    .await;
}

/// What the newest mail says, as if it were being made.
async fn code_in_the_mail(state: &AppState) -> Option<String> {
    let mut tx = state.platform.db.begin().await.unwrap();
    let (id,) = shared::fetch_one!(
        &mut tx,
        (MailedCodeId,),
        "SELECT id FROM mailed_codes WHERE consumed_at IS NULL ORDER BY created_at DESC LIMIT 1"
    )
    .unwrap();
    let minted = mailed::mint(&mut tx, &state.platform, id).await.unwrap();
    tx.commit().await.unwrap();
    minted.map(|(_, code)| code)
}

#[tokio::test]
async fn a_code_from_the_mailbox_signs_in_and_is_no_second_factor() {
    each_state(MAIL, |state| async move {
        ann(&state).await;
        let mut browser = Browser::new(&state);
        browser.sign_in("ann@example.com").await;
        let page = browser.get("/login/second-factor").await;
        assert!(page.body.contains("href=\"/login/second-factor?with=mail\""), "{}", page.body);
        for _ in 0..3 {
            let page = browser.get("/login/second-factor?with=mail").await;
            assert!(
                page.body.contains("Mail me a code") && !page.body.contains("name=\"code\""),
                "a GET mails nothing"
            );
            assert_eq!(browser.get("/login/second-factor/mail").await.status, 405);
        }
        assert_eq!(events(&state, "factor.code_mail_asked").await, 0);
        assert_eq!(browser.post("/login/second-factor/mail", &[("csrf", "AAAA")]).await.status, 403);
        let csrf = page.hidden("csrf");
        let sent = browser.post("/login/second-factor/mail", &[("csrf", &csrf)]).await;
        assert_eq!(sent.location(), "/login/second-factor?with=mail");
        let page = browser.get(sent.location()).await;
        assert!(page.body.contains("autocomplete=\"one-time-code\""), "{}", page.body);
        assert!(!page.body.contains("name=\"remember\""), "a mailbox has no device remembered");
        let code = code_in_the_mail(&state).await.unwrap();
        let wrong = enter(&mut browser, "0000-0000", "mail").await;
        assert!(wrong.status == 422 && wrong.body.contains("id=\"code-error\""), "{}", wrong.body);
        // It is no recovery code, and a box that is not there is not ticked.
        assert_eq!(enter(&mut browser, &code, "recovery").await.status, 422);
        let form = [("csrf", csrf.as_str()), ("code", &code), ("with", "mail"), ("remember", "1")];
        let done = browser.post("/login/second-factor", &form).await;
        assert_eq!(done.location(), "/");
        assert!(!browser.cookies.keys().any(|name| name.ends_with("remembered") || name.ends_with("signin")));
        assert_eq!(told(&state).await, ("urn:referris:acr:password".into(), "pwd mca".into()));
        assert!(browser.get("/account/sessions").await.body.contains("code by mail"));
        let csrf = browser.get("/account/security").await.hidden("csrf");
        let removed = browser.post("/account/security/app/remove", &[("csrf", &csrf)]).await;
        assert_eq!(removed.location(), "/account/confirm?request=account-security", "it changes nothing");
        let mut again = Browser::new(&state);
        again.sign_in("ann@example.com").await;
        assert_eq!(enter(&mut again, &code, "mail").await.status, 422, "another sign-in");
    })
    .await;
}

#[tokio::test]
async fn the_fifth_wrong_code_of_a_mail_leads_to_another_mail() {
    each_state(MAIL, |state| async move {
        ann(&state).await;
        let mut browser = Browser::new(&state);
        browser.sign_in("ann@example.com").await;
        let csrf = browser.get("/login/second-factor").await.hidden("csrf");
        for round in 0..2 {
            assert_eq!(browser.post("/login/second-factor/mail", &[("csrf", &csrf)]).await.status, 303);
            for n in 1..=5 {
                let form = [("csrf", csrf.as_str()), ("code", "0000-0000"), ("with", "mail")];
                let page = browser.post("/login/second-factor", &form).await;
                assert_eq!(page.status, 422);
                assert_eq!(page.body.contains("name=\"code\""), n < 5, "{round} {n}");
            }
        }
        let page = browser.get("/login/second-factor?with=mail").await;
        assert!(page.body.contains("Mail me a code"), "{}", page.body);
        // The sign-in waits still, and the app's codes are counted by themselves.
        assert!(browser.get("/login/second-factor").await.body.contains("name=\"code\""));
    })
    .await;
}

#[tokio::test]
async fn no_code_is_mailed_for_an_app_that_asks_for_two_factors_or_a_passkey() {
    each_state(MAIL, |state| async move {
        ann(&state).await;
        for (more, offered) in [
            ("", true),
            ("&prompt=login", true),
            ("&acr_values=urn%3Areferris%3Aacr%3Amfa", false),
            ("&acr_values=phr", false),
        ] {
            let mut browser = Browser::new(&state);
            types_password(&mut browser, &app(&state, more).await).await;
            let page = browser.get("/login/second-factor").await;
            assert_eq!(page.body.contains("with=mail"), offered, "{more}");
            let csrf = page.hidden("csrf");
            let before = events(&state, "factor.code_mail_asked").await;
            let asked = browser.post("/login/second-factor/mail", &[("csrf", &csrf)]).await;
            let with_mail = asked.location() == "/login/second-factor?with=mail";
            assert_eq!(with_mail, offered, "{more}");
            assert_eq!(events(&state, "factor.code_mail_asked").await - before, i64::from(offered), "{more}");
            let form = [("csrf", csrf.as_str()), ("code", "0000-0000"), ("with", "mail")];
            let status = browser.post("/login/second-factor", &form).await.status;
            assert_eq!(status, if offered { 422 } else { 303 }, "{more}");
        }
    })
    .await;
}

#[tokio::test]
async fn codes_are_mailed_only_where_the_operator_wants_it() {
    each_state(&[], |state| async move {
        ann(&state).await;
        let mut browser = Browser::new(&state);
        browser.sign_in("ann@example.com").await;
        let page = browser.get("/login/second-factor?with=mail").await;
        assert!(!page.body.contains("second-factor?with=mail\"") && page.body.contains("Six digits"), "{}", page.body);
        let csrf = page.hidden("csrf");
        let asked = browser.post("/login/second-factor/mail", &[("csrf", &csrf)]).await;
        assert_eq!(asked.location(), "/login/second-factor");
        assert_eq!(events(&state, "factor.code_mail_asked").await, 0);
    })
    .await;
}
