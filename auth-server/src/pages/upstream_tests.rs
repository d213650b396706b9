use std::time::Duration;

use axum::http::StatusCode;
use shared::users;
use url::form_urlencoded;

use super::super::tests::{Answer, Browser};
use crate::AppState;
use crate::accounts::testing::{PASSWORD, code_of, count, each_state, person};
use crate::upstream::testing::{Fake, Signature};

/// A server with one other provider, which is believed what it says of addresses, on each store.
async fn each<F: Future<Output = ()>>(overrides: &[(&str, &str)], test: impl Fn(AppState, Fake) -> F) {
    each_with(", trust_email_verified=true", overrides, test).await;
}

/// The same with other words about the provider in the configuration.
async fn each_with<F: Future<Output = ()>>(more: &str, overrides: &[(&str, &str)], test: impl Fn(AppState, Fake) -> F) {
    let (overrides, test) = (overrides.to_vec(), &test);
    // The address is told to the server before anybody listens there: each store has a fake of its own.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let settings = Fake::settings(&format!("http://127.0.0.1:{port}"), more);
    let own = [("UPSTREAM", settings.as_str()), ("OUTBOUND__ALLOW", r#"["127.0.0.1"]"#)];
    let all: Vec<_> = own.into_iter().chain(overrides).collect();
    each_state(&all, |state| async move {
        let listener = loop {
            match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                // The fake of the store before is just going.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let fake = Fake::on(listener, state.platform.clock.clone());
        test(state, fake).await;
    })
    .await;
}

/// Leaves for the provider from the sign-in page; what the browser is sent back with.
async fn leaves(browser: &mut Browser, fake: &Fake) -> Vec<(String, String)> {
    let csrf = browser.get("/login").await.hidden("csrf");
    let away = browser.post("/login/upstream/other", &[("csrf", &csrf)]).await;
    assert_eq!(away.status, 303, "{}", away.body);
    fake.agree(away.location())
}

async fn returns(browser: &mut Browser, with: &[(String, String)]) -> Answer {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(with).finish();
    browser.get(&format!("/login/upstream/other/callback?{query}")).await
}

async fn comes_back(browser: &mut Browser, fake: &Fake) -> Answer {
    let with = leaves(browser, fake).await;
    returns(browser, &with).await
}

/// Signs in as somebody else than who is signed in.
async fn switches(browser: &mut Browser, email: &str) {
    let csrf = browser.get("/login?request=device").await.hidden("csrf");
    let form = [("csrf", csrf.as_str()), ("email", email), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &form).await.status, 303);
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/account").await.status == 200
}

async fn rows(state: &AppState, sql: &'static str) -> i64 {
    count(&mut state.platform.db.read().await.unwrap(), sql).await
}

const IDENTITIES: &str = "SELECT COUNT(*) FROM upstream_identities";

/// A new person goes through sign-up.
async fn signs_up(browser: &mut Browser, fake: &Fake, email: &str) -> Answer {
    let onward = comes_back(browser, fake).await.location().to_owned();
    let page = browser.get(&onward).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let (csrf, attempt) = (page.hidden("csrf"), page.hidden("attempt"));
    let form = [("csrf", &*csrf), ("attempt", &attempt), ("given_name", "Ann"), ("email", email)];
    browser.post("/login/continue", &form).await
}

#[tokio::test]
async fn a_new_person_gets_an_account_without_a_password_and_comes_back_to_it() {
    each(&[], |state, fake| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        let mut browser = Browser::new(&state);
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        let page = browser.get(&onward).await;
        assert!(page.body.contains("ann@example.com") && page.body.contains("value=\"Lee\""), "{}", page.body);
        assert!(!page.body.contains("type=\"password\""));
        let (csrf, attempt) = (page.hidden("csrf"), page.hidden("attempt"));
        // An address that the provider did not vouch for is not taken for the one that it did.
        let form = [
            ("csrf", &*csrf),
            ("attempt", &attempt),
            ("email", "bob@example.com"),
            ("given_name", "Ann"),
            ("referral_code", &code.code),
        ];
        let done = browser.post("/login/continue", &form).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"), "{}", done.body);
        let mut conn = state.platform.db.read().await.unwrap();
        let ann = users::by_email(&mut conn, "ann@example.com").await.unwrap().unwrap();
        assert!(ann.email_verified_at.is_some());
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM password_credentials").await, 1, "Bob's alone");
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM referrals").await, 1);
        drop(conn);
        // Once is enough.
        assert_eq!(browser.post("/login/continue", &form).await.status, 410);

        // Elsewhere, under another address: it is the subject that counts.
        fake.says().claims["email"] = "ann.new@example.com".into();
        let mut elsewhere = Browser::new(&state);
        let done = comes_back(&mut elsewhere, &fake).await;
        assert_eq!(done.location(), "/", "{}", done.body);
        assert!(elsewhere.get("/account").await.body.contains("ann@example.com"));
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM users").await, 2);
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM audit_events WHERE kind = 'signin.succeeded'").await, 2);
        // No password opens it.
        assert_eq!(Browser::new(&state).sign_in("ann@example.com").await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_has_an_account_leads_to_a_proof_and_never_to_the_account() {
    each(&[], |state, fake| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        shared::execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", ann).unwrap();
        tx.commit().await.unwrap();

        let mut browser = Browser::new(&state);
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        let page = browser.get(&onward).await;
        assert!(page.body.contains("Sign in to connect"), "{}", page.body);
        assert!(!is_signed_in(&mut browser).await);
        assert_eq!(rows(&state, IDENTITIES).await, 0);
        let attempt = onward.split('=').nth(1).unwrap().to_owned();

        // Neither the form without a session, nor in somebody else's, connects it.
        let csrf = browser.get("/login").await.hidden("csrf");
        let link = |csrf: String| [("csrf", csrf), ("attempt", attempt.clone()), ("decision", "link".to_owned())];
        let form = |fields: &[(&'static str, String); 3]| fields.clone();
        let mut tries = vec![csrf];
        browser.sign_in("bob@example.com").await;
        let page = browser.get(&onward).await;
        assert!(page.body.contains("Sign in to connect"));
        tries.push(browser.get("/logout").await.hidden("csrf"));
        for csrf in tries {
            let fields = form(&link(csrf));
            let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
            browser.post("/login/continue", &fields).await;
            assert_eq!(rows(&state, IDENTITIES).await, 0);
        }

        // The account's own sign-in does, and its address is filled in.
        let login = format!("/login?request=upstream-{attempt}");
        let page = browser.get(&login).await;
        assert!(page.body.contains("value=\"ann@example.com\""), "{}", page.body);
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "ann@example.com"), ("password", PASSWORD)];
        let back = browser.post("/login", &form).await;
        assert_eq!(back.location(), onward);
        let page = browser.get(&onward).await;
        let csrf = page.hidden("csrf");
        let fields = link(csrf);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(browser.post("/login/continue", &fields).await.location(), "/");
        assert_eq!(rows(&state, IDENTITIES).await, 1);
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM audit_events WHERE kind = 'upstream.linked'").await, 1);

        let mut elsewhere = Browser::new(&state);
        assert_eq!(comes_back(&mut elsewhere, &fake).await.location(), "/");
        assert!(elsewhere.get("/account").await.body.contains("ann@example.com"));
    })
    .await;
}

#[tokio::test]
async fn who_was_signed_in_before_the_identity_came_back_proves_nothing_with_that() {
    each(&[], |state, fake| async move {
        person(&state, "ann@example.com").await;
        let mut browser = Browser::new(&state);
        browser.sign_in("ann@example.com").await;
        state.platform.clock.advance(Duration::from_secs(5));
        // An account left open: whoever finds it has an identity of their own there with this address.
        let csrf = browser.get("/login?request=device").await.hidden("csrf");
        let away = browser.post("/login/upstream/other", &[("csrf", &csrf)]).await;
        assert!(away.location().contains("prompt=login") && away.location().contains("max_age=0"));
        // A provider that lets them through without asking has shown nothing.
        let with = fake.agree(away.location());
        assert_eq!(returns(&mut browser, &with).await.status, 502);
        let away = browser.post("/login/upstream/other", &[("csrf", &csrf)]).await;
        fake.says().claims["auth_time"] = (state.platform.clock.now().timestamp() - 61).into();
        let with = fake.agree(away.location());
        assert_eq!(returns(&mut browser, &with).await.status, 502);
        let away = browser.post("/login/upstream/other", &[("csrf", &csrf)]).await;
        fake.says().claims["auth_time"] = state.platform.clock.now().timestamp().into();
        let with = fake.agree(away.location());
        let onward = returns(&mut browser, &with).await.location().to_owned();
        assert!(browser.get(&onward).await.body.contains("Sign in to connect"));
        assert_eq!(rows(&state, IDENTITIES).await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_unverified_address_finds_nobody() {
    for unproved in [serde_json::json!(false), serde_json::Value::Null] {
        each(&[], |state, fake| {
            let unproved = unproved.clone();
            async move {
                person(&state, "ann@example.com").await;
                fake.says().claims["email_verified"] = unproved.clone();
                let mut browser = Browser::new(&state);
                // As a sign-up with that address typed in: told no more than anybody.
                let refused = signs_up(&mut browser, &fake, "ann@example.com").await;
                assert_eq!(refused.status, 409, "{}", refused.body);
                assert_eq!(rows(&state, IDENTITIES).await, 0);
                let mut other = Browser::new(&state);
                let done = signs_up(&mut other, &fake, "ann2@example.com").await;
                assert_eq!(done.location(), "/");
                let mut conn = state.platform.db.read().await.unwrap();
                let made = users::by_email(&mut conn, "ann2@example.com").await.unwrap().unwrap();
                assert!(made.email_verified_at.is_none());
            }
        })
        .await;
    }
}

/// What the newest mail that is to prove an address says, as if it were being made.
async fn proof_mail(state: &AppState) -> (String, String) {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await.unwrap();
    let (id,) = shared::fetch_one!(
        &mut tx,
        (shared::ids::UpstreamProofId,),
        "SELECT id FROM upstream_proofs WHERE consumed_at IS NULL ORDER BY created_at DESC LIMIT 1"
    )
    .unwrap();
    let (to, code, _) = crate::accounts::upstream::mint_proof(&mut tx, platform, id).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    (to, code)
}

#[tokio::test]
async fn where_addresses_are_confirmed_first_one_that_nobody_vouches_for_is_proved_by_a_code_of_ours() {
    each(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state, fake| async move {
        fake.says().claims["email_verified"] = false.into();
        let mut browser = Browser::new(&state);
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        let page = browser.get(&onward).await;
        let (csrf, attempt) = (page.hidden("csrf"), page.hidden("attempt"));
        let form = [("csrf", &*csrf), ("attempt", &attempt), ("given_name", "Ann"), ("email", "ann@example.com")];
        let asked = browser.post("/login/continue", &form).await;
        assert_eq!(asked.location(), onward);
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM users").await, 0, "nothing is there before the proof");
        let page = browser.get(&onward).await;
        assert!(page.body.contains("Confirm your address") && page.body.contains("one-time-code"), "{}", page.body);
        let (to, code) = proof_mail(&state).await;
        assert_eq!(to, "ann@example.com");

        let typed =
            |code: &str| [("csrf", csrf.clone()), ("attempt", attempt.clone()), ("code", code.to_owned())].to_vec();
        async fn post(browser: &mut Browser, form: &[(&'static str, String)]) -> Answer {
            let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
            browser.post("/login/continue/code", &form).await
        }
        assert_eq!(post(&mut browser, &typed("0000-0000")).await.status, 422);
        // The code is worth nothing in another browser, and without a form of ours.
        let mut mallory = Browser::new(&state);
        let theirs = mallory.get("/login").await.hidden("csrf");
        let mut form = typed(&code);
        assert_eq!(post(&mut mallory, &form).await.status, 403);
        form[0].1 = theirs;
        assert_eq!(post(&mut mallory, &form).await.status, 410);
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM users").await, 0);

        let done = post(&mut browser, &typed(&code.to_lowercase())).await;
        assert_eq!(done.location(), "/", "{}", done.body);
        assert!(is_signed_in(&mut browser).await);
        let mut conn = state.platform.db.read().await.unwrap();
        let ann = users::by_email(&mut conn, "ann@example.com").await.unwrap().unwrap();
        assert!(ann.email_verified_at.is_some() && ann.given_name.as_deref() == Some("Ann"));
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM password_credentials").await, 0);
        drop(conn);
        assert_eq!(post(&mut browser, &typed(&code)).await.status, 410, "once");
        assert_eq!(comes_back(&mut Browser::new(&state), &fake).await.location(), "/");

        // What the provider vouches for, and is believed in, needs no code.
        fake.says().claims = serde_json::json!({"sub": "bob", "email": "bob@example.com", "email_verified": true});
        assert_eq!(signs_up(&mut Browser::new(&state), &fake, "bob@example.com").await.location(), "/");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_answered_as_one_that_is_to_be_proved() {
    each(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state, fake| async move {
        fake.says().claims = serde_json::json!({"sub": "bob", "email": "bob@example.com", "email_verified": true});
        assert_eq!(signs_up(&mut Browser::new(&state), &fake, "bob@example.com").await.location(), "/");
        fake.says().claims = serde_json::json!({"sub": "m", "email": "bob@example.com", "email_verified": false});
        let mut pages = vec![];
        for email in ["bob@example.com", "nobody@example.com"] {
            fake.says().claims["sub"] = email.into();
            let mut browser = Browser::new(&state);
            let asked = signs_up(&mut browser, &fake, email).await;
            let page = browser.get(asked.location()).await;
            let (csrf, attempt) = (page.hidden("csrf"), page.hidden("attempt"));
            let mut answers = vec![];
            for _ in 0..6 {
                let form = [("csrf", &*csrf), ("attempt", &attempt), ("code", "0000-0000")];
                answers.push(browser.post("/login/continue/code", &form).await.status);
            }
            pages.push((page.status, page.body.replace(email, "").replace(&attempt, "").replace(&csrf, ""), answers));
        }
        assert_eq!(pages[0], pages[1]);
        assert_eq!(pages[0].2.iter().filter(|status| **status == 422).count(), 5, "then another mail");
        let sql = "SELECT COUNT(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%already_registered%'";
        assert_eq!(rows(&state, sql).await, 1, "the owner is told");
        assert_eq!(rows(&state, "SELECT COUNT(*) FROM users").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_provider_is_believed_about_addresses_only_where_the_configuration_says_so() {
    each_with("", &[], |state, fake| async move {
        let bob = person(&state, "bob@example.com").await;
        fake.says().claims["email"] = "bob@example.com".into();
        let mut browser = Browser::new(&state);
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        // Neither told that there is an account, nor taken for whose address it is.
        let page = browser.get(&onward).await;
        assert!(!page.body.contains("Sign in to connect") && !page.body.contains("class=\"vouched\""), "{}", page.body);
        assert_eq!(signs_up(&mut Browser::new(&state), &fake, "bob@example.com").await.status, 409);
        assert_eq!(signs_up(&mut Browser::new(&state), &fake, "ann@example.com").await.location(), "/");
        let mut conn = state.platform.db.read().await.unwrap();
        for email in ["ann@example.com", "bob@example.com"] {
            let user = users::by_email(&mut conn, email).await.unwrap().unwrap();
            assert!(user.email_verified_at.is_none(), "{email}");
            assert_eq!(user.id == bob, email == "bob@example.com");
        }
        drop(conn);
        // Nor by what userinfo says.
        fake.says().userinfo =
            Some(serde_json::json!({"sub": "new-there", "email": "bob@example.com", "email_verified": true}));
        fake.says().claims["sub"] = "new-there".into();
        let mut browser = Browser::new(&state);
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        assert!(!browser.get(&onward).await.body.contains("Sign in to connect"));
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_hangs_keeps_nobody_waiting_who_can_do_without() {
    each(&[], |state, fake| async move {
        assert_eq!(comes_back(&mut Browser::new(&state), &fake).await.status, 303);
        state.platform.clock.advance(Duration::from_secs(2 * 3600));
        fake.says().hangs = true;
        let mut first = Browser::new(&state);
        let csrf = first.get("/login").await.hidden("csrf");
        let asks = tokio::spawn(async move { first.post("/login/upstream/other", &[("csrf", &csrf)]).await.status });
        while fake.says().discovered < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // While that one waits, the others go on with what is known.
        for _ in 0..3 {
            let gone = tokio::time::timeout(Duration::from_secs(2), comes_back(&mut Browser::new(&state), &fake)).await;
            assert_eq!(gone.expect("nobody waits").status, 303);
        }
        assert!(!asks.is_finished());
        assert_eq!(asks.await.unwrap(), 303, "and it goes on too, in the end");
        assert_eq!(fake.says().discovered, 2);
    })
    .await;
}

/// Somebody who came by the provider sets an app up, and signs in by both; what the session says of it.
async fn by_provider_and_app(state: &AppState, fake: &Fake) -> (Browser, String, String) {
    let mut browser = Browser::new(state);
    assert_eq!(signs_up(&mut browser, fake, "ann@example.com").await.location(), "/");
    let csrf = browser.get("/account/security").await.hidden("csrf");
    let page = browser.post("/account/security/app", &[("csrf", &csrf)]).await;
    let secret = page.body.split("aria-labelledby=\"secret-label\">").nth(1).unwrap().split('<').next().unwrap();
    let setup = page.hidden("setup");
    let code = || crate::accounts::factors::totp::code_at(secret, state.platform.clock.now());
    let first = code();
    let form = [("csrf", csrf.as_str()), ("setup", &setup), ("code", &first)];
    assert_eq!(browser.post("/account/security/app/confirm", &form).await.status, 200);
    state.platform.clock.advance(Duration::from_secs(60));
    let mut browser = Browser::new(state);
    assert_eq!(comes_back(&mut browser, fake).await.location(), "/login/second-factor");
    let page = browser.get("/login/second-factor").await;
    assert!(!page.body.contains("with=mail"), "the mailbox may have let them in there");
    let csrf = page.hidden("csrf");
    let second = code();
    let done = browser.post("/login/second-factor", &[("csrf", &csrf), ("code", &second)]).await;
    assert_eq!(done.location(), "/");
    let mut conn = state.platform.db.read().await.unwrap();
    let (record,) = shared::fetch_one!(
        &mut conn,
        (sqlx::types::Json<serde_json::Value>,),
        "SELECT record FROM browser_sessions ORDER BY created_at DESC LIMIT 1"
    )
    .unwrap();
    let signed_in = &record["signed_in"];
    (browser, signed_in["acr"].as_str().unwrap().to_owned(), signed_in["amr"].to_string())
}

#[tokio::test]
async fn another_providers_sign_in_with_a_code_is_two_factors_only_where_it_counts() {
    const MAIL: &[(&str, &str)] = &[("FACTORS__MAILED_CODE", "true")];
    each_with("", MAIL, |state, fake| async move {
        let (mut browser, acr, amr) = by_provider_and_app(&state, &fake).await;
        assert_eq!((acr.as_str(), amr.as_str()), ("urn:referris:acr:upstream", r#"["otp"]"#));
        // It was all that the account asks for: what is sensitive may be done.
        let csrf = browser.get("/account/security").await.hidden("csrf");
        assert_eq!(browser.post("/account/security/recovery-codes", &[("csrf", &csrf)]).await.status, 200);
    })
    .await;
    each_with(", counts_as_factor=true", MAIL, |state, fake| async move {
        let (_, acr, amr) = by_provider_and_app(&state, &fake).await;
        assert_eq!((acr.as_str(), amr.as_str()), ("urn:referris:acr:mfa", r#"["fed","otp","mfa"]"#));
    })
    .await;
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_sign_in_is_refused__oidc_core_3_1_3_7() {
    each(&[], |state, fake| async move {
        let now = state.platform.clock.timestamp();
        let hostile = [
            (Signature::Right, serde_json::json!({"nonce": "another"})),
            (Signature::Right, serde_json::json!({"nonce": null})),
            (Signature::Right, serde_json::json!({"aud": "somebody-else"})),
            (Signature::Right, serde_json::json!({"aud": ["us", "somebody-else"]})),
            (Signature::Right, serde_json::json!({"iss": "https://accounts.example"})),
            (Signature::Right, serde_json::json!({"exp": now - 3600, "iat": now - 7200})),
            (Signature::Right, serde_json::json!({"sub": ""})),
            (Signature::Right, serde_json::json!({"email_verified": "yes"})),
            (Signature::Right, serde_json::json!({"email_verified": 1})),
            (Signature::Right, serde_json::json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
            (Signature::None, serde_json::json!({})),
            (Signature::Foreign, serde_json::json!({})),
            (Signature::Shared, serde_json::json!({})),
        ];
        for (signature, instead) in hostile {
            {
                let mut says = fake.says();
                (says.signature, says.instead) = (signature, instead.clone());
            }
            let mut browser = Browser::new(&state);
            let refused = comes_back(&mut browser, &fake).await;
            assert_eq!(refused.status, 502, "{signature:?} {instead}: {}", refused.body);
            assert!(refused.body.contains("href=\"/login\"") && !is_signed_in(&mut browser).await);
        }
        {
            let mut says = fake.says();
            (says.signature, says.instead) = (Signature::Right, serde_json::json!({}));
        }
        // Somebody else's userinfo is not mixed in (§5.3.2).
        fake.says().userinfo = Some(serde_json::json!({"sub": "bob-there", "email": "bob@example.com"}));
        assert_eq!(comes_back(&mut Browser::new(&state), &fake).await.status, 502);
        fake.says().userinfo =
            Some(serde_json::json!({"sub": "ann-there", "email": "ann@example.com", "email_verified": true}));
        assert_eq!(comes_back(&mut Browser::new(&state), &fake).await.status, 303);
        fake.says().userinfo = None;
        // A key that is new is looked for once.
        state.platform.clock.advance(Duration::from_secs(10));
        fake.rotate();
        assert_eq!(comes_back(&mut Browser::new(&state), &fake).await.status, 303);
        assert_eq!(rows(&state, IDENTITIES).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_state_serves_once_in_its_own_browser_for_its_own_provider_and_for_a_while() {
    each(&[], |state, fake| async move {
        let mut ann = Browser::new(&state);
        let with = leaves(&mut ann, &fake).await;
        // Another's browser, with and without cookies of ours (login CSRF).
        let mut mallory = Browser::new(&state);
        assert_eq!(returns(&mut mallory, &with).await.status, 410);
        mallory.get("/login").await;
        assert_eq!(returns(&mut mallory, &with).await.status, 410);
        // What nobody sent.
        let forged = [("code".to_owned(), "code-0".to_owned()), ("state".to_owned(), "A".repeat(43))];
        assert_eq!(returns(&mut ann, &forged).await.status, 410);
        // The answer of another issuer (RFC 9207), or of none: the state is used up by that.
        for iss in [Some("https://evil.example"), None] {
            let mut with = leaves(&mut ann, &fake).await;
            with.retain(|(name, _)| name != "iss");
            with.extend(iss.map(|iss| ("iss".to_owned(), iss.to_owned())));
            assert_eq!(returns(&mut ann, &with).await.status, 502, "{iss:?}");
            assert_eq!(returns(&mut ann, &with).await.status, 410, "{iss:?}");
        }
        assert_eq!(returns(&mut ann, &with).await.status, 303);
        assert_eq!(returns(&mut ann, &with).await.status, 410, "used");
        let late = leaves(&mut ann, &fake).await;
        state.platform.clock.advance(Duration::from_secs(31 * 60));
        assert_eq!(returns(&mut ann, &late).await.status, 410, "late");
        // The page of an identity that waits is its browser's alone.
        let onward = comes_back(&mut ann, &fake).await.location().to_owned();
        assert_eq!(mallory.get(&onward).await.status, 410);
        assert_eq!(ann.get(&onward).await.status, 200);
        // Nobody is sent away by a link, or by somebody else's form.
        assert_eq!(ann.get("/login/upstream/other").await.status, 405);
        assert_eq!(ann.post("/login/upstream/other", &[("csrf", "AAAA")]).await.status, 403);
        let csrf = ann.get("/login").await.hidden("csrf");
        assert_eq!(ann.post("/login/upstream/nobody", &[("csrf", &csrf)]).await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_bring_one_state_exactly_one_is_heard() {
    each(&[], |state, fake| async move {
        let mut ann = Browser::new(&state);
        let with = leaves(&mut ann, &fake).await;
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&with).finish();
        let path = format!("/login/upstream/other/callback?{query}");
        let tries = (0..12).map(|_| {
            let (mut twin, path) = (ann.twin(), path.clone());
            async move { twin.get(&path).await.status }
        });
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|status| **status == 303).count(), 1, "{answers:?}");
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_is_down_or_declined_at_leads_back_to_sign_in() {
    each(&[], |state, fake| async move {
        fake.says().down = true;
        let mut browser = Browser::new(&state);
        let csrf = browser.get("/login").await.hidden("csrf");
        for _ in 0..3 {
            let down = browser.post("/login/upstream/other", &[("csrf", &csrf), ("request", "device")]).await;
            assert_eq!(down.status, 503);
            assert!(down.body.contains("href=\"/login?request=device\""), "{}", down.body);
            assert!(down.headers.contains_key("retry-after"));
        }
        assert_eq!(fake.says().discovered, 1, "who fails is left alone for a moment");
        fake.says().down = false;
        state.platform.clock.advance(Duration::from_secs(6));
        assert_eq!(comes_back(&mut browser, &fake).await.status, 303);
        // What is known of it serves while it is down again.
        fake.says().down = true;
        state.platform.clock.advance(Duration::from_secs(2 * 3600));
        assert_eq!(comes_back(&mut browser, &fake).await.status, 303);
        fake.says().down = false;
        let mut with = leaves(&mut browser, &fake).await;
        with.retain(|(name, _)| name != "code");
        with.push(("error".into(), "access_denied".into()));
        let declined = returns(&mut browser, &with).await;
        assert_eq!(declined.status, 200);
        assert!(declined.body.contains("was cancelled") && declined.body.contains("href=\"/login\""));
    })
    .await;
}

#[tokio::test]
async fn a_way_in_is_added_and_taken_away_on_the_accounts_page_and_the_last_one_stays() {
    each(&[], |state, fake| async move {
        const PAGE: &str = "/account/security/upstream";
        person(&state, "bob@example.com").await;
        let mut bob = Browser::new(&state);
        bob.sign_in("bob@example.com").await;
        let csrf = bob.get(PAGE).await.hidden("csrf");
        let away = bob.post(PAGE, &[("csrf", &csrf), ("add", "other")]).await;
        let with = fake.agree(away.location());
        assert_eq!(returns(&mut bob, &with).await.location(), PAGE);
        assert!(bob.get(PAGE).await.body.contains("name=\"remove\""));
        // It is Bob's now: nobody else can add it.
        person(&state, "cy@example.com").await;
        let mut cy = Browser::new(&state);
        cy.sign_in("cy@example.com").await;
        let theirs = cy.get(PAGE).await.hidden("csrf");
        let away = cy.post(PAGE, &[("csrf", &theirs), ("add", "other")]).await;
        let with = fake.agree(away.location());
        assert_eq!(returns(&mut cy, &with).await.status, 409);
        // Another session than the one that began it adds nothing.
        fake.says().claims["sub"] = "cy-there".into();
        let away = cy.post(PAGE, &[("csrf", &theirs), ("add", "other")]).await;
        let with = fake.agree(away.location());
        switches(&mut cy, "bob@example.com").await;
        assert_eq!(returns(&mut cy, &with).await.status, 410);
        assert_eq!(rows(&state, IDENTITIES).await, 1);
        fake.says().claims["sub"] = "ann-there".into();

        assert_eq!(bob.post(PAGE, &[("csrf", &csrf), ("remove", "other")]).await.location(), PAGE);
        assert_eq!(rows(&state, IDENTITIES).await, 0);
        // A sign-in of long ago is not enough to change the ways in.
        state.platform.clock.advance(Duration::from_secs(16 * 60));
        let late = bob.post(PAGE, &[("csrf", &csrf), ("add", "other")]).await;
        assert_eq!(late.location(), "/login?request=account-upstream");
        let page = bob.get(late.location()).await;
        let (token, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*token), ("request", &request), ("email", "bob@example.com"), ("password", PASSWORD)];
        assert_eq!(bob.post("/login", &form).await.location(), PAGE);

        // Ann has nothing else.
        let mut ann = Browser::new(&state);
        assert_eq!(signs_up(&mut ann, &fake, "ann@example.com").await.location(), "/");
        let page = ann.get(PAGE).await;
        assert!(page.body.contains("only way in") && !page.body.contains("name=\"remove\""), "{}", page.body);
        let csrf = page.hidden("csrf");
        assert_eq!(ann.post(PAGE, &[("csrf", &csrf), ("remove", "other")]).await.status, 409);
        assert_eq!(rows(&state, IDENTITIES).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_handed_over_loses_the_ways_in_of_who_had_it() {
    each(&[], |state, fake| async move {
        // Mallory opens an account with Ann's address, which nobody proved, and connects an identity of her own.
        fake.says().claims =
            serde_json::json!({"sub": "mallory-there", "email": "m@example.com", "email_verified": false});
        let mut mallory = Browser::new(&state);
        assert_eq!(signs_up(&mut mallory, &fake, "ann@example.com").await.location(), "/");
        assert_eq!(rows(&state, IDENTITIES).await, 1);
        crate::accounts::verification::tests::takes_over(&state, "ann@example.com").await;
        assert_eq!(rows(&state, IDENTITIES).await, 0);
        assert!(!is_signed_in(&mut mallory).await);
        let again = comes_back(&mut Browser::new(&state), &fake).await;
        assert!(again.location().starts_with("/login/continue"), "{}", again.location());
    })
    .await;
}

#[tokio::test]
async fn the_browser_knows_who_signed_in_and_offers_them_until_they_are_forgotten() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let mut browser = Browser::new(&state);
        assert!(browser.get("/choose-account").await.location().starts_with("/login"));
        browser.sign_in("ann@example.com").await;
        switches(&mut browser, "bob@example.com").await;
        let page = browser.get("/choose-account").await;
        assert!(page.body.contains("a•••@e•••.com") && page.body.contains("b•••@e•••.com"), "{}", page.body);
        assert!(!page.body.contains("ann@example.com"));
        let login = format!("/login?request=device&account={ann}");
        assert!(browser.get(&login).await.body.contains("value=\"ann@example.com\""));
        // A stranger's browser is told no address for an id.
        assert!(!Browser::new(&state).get(&login).await.body.contains("ann@example.com"));

        let csrf = page.hidden("csrf");
        let id = ann.to_string();
        assert_eq!(browser.post("/choose-account", &[("csrf", "AAAA"), ("forget", &id)]).await.status, 403);
        assert_eq!(browser.post("/choose-account", &[("csrf", &csrf), ("forget", &id)]).await.status, 303);
        let page = browser.get("/choose-account").await;
        assert!(!page.body.contains("a•••@e•••.com") && page.body.contains("b•••@e•••.com"));
        assert!(!browser.get(&login).await.body.contains("ann@example.com"));
        // Bob goes on with one click; Ann, who is not signed in, signs in.
        let csrf = page.hidden("csrf");
        let onward = browser.post("/choose-account", &[("csrf", &csrf), ("account", &id)]).await;
        assert_eq!(onward.location(), format!("/login?account={ann}"));
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_is_new_to_an_account_is_noticed_once() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        const NEW: &str = "SELECT COUNT(*) FROM audit_events WHERE kind = 'signin.new_device'";
        let mut browser = Browser::new(&state);
        for _ in 0..2 {
            browser.sign_in("ann@example.com").await;
            assert_eq!(rows(&state, NEW).await, 1);
            let csrf = browser.get("/logout").await.hidden("csrf");
            browser.post("/logout", &[("csrf", &csrf)]).await;
        }
        state.platform.clock.advance(Duration::from_secs(660));
        Browser::new(&state).sign_in("ann@example.com").await;
        assert_eq!(rows(&state, NEW).await, 2);
        let mut conn = state.platform.db.read().await.unwrap();
        let details: Vec<(sqlx::types::Json<serde_json::Value>,)> = shared::fetch_all!(
            &mut conn,
            (sqlx::types::Json<serde_json::Value>,),
            "SELECT details FROM audit_events WHERE kind = 'signin.new_device' ORDER BY id"
        )
        .unwrap();
        let first: Vec<_> = details.iter().map(|(details,)| details["first"].as_bool()).collect();
        assert_eq!(first, [Some(true), Some(false)]);
    })
    .await;
}

/// The link that led somebody here is not lost on the way over another provider.
#[tokio::test]
async fn the_referral_link_that_was_followed_counts_for_who_comes_by_a_provider() {
    const SOURCES: &str = "SELECT COUNT(*) FROM referrals WHERE source = 'last_touch'";
    const TRACES: &str =
        "SELECT COUNT(*) FROM signup_traces WHERE address_hash IS NOT NULL AND device_hash IS NOT NULL";
    each(&[], |state, fake| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        let mut browser = Browser::new(&state);
        browser.get(&format!("/signup?ref={}", code.code)).await;
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        let page = browser.get(&onward).await;
        assert!(page.body.contains(&format!("name=\"touch\" value=\"{}\"", code.code)), "{}", page.body);
        let (csrf, attempt, touch) = (page.hidden("csrf"), page.hidden("attempt"), page.hidden("touch"));
        let form = [("csrf", &*csrf), ("attempt", &attempt), ("touch", &touch), ("referral_code", &touch)];
        let done = browser.post("/login/continue", &form).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"), "{}", done.body);
        assert_eq!((rows(&state, SOURCES).await, rows(&state, TRACES).await), (1, 1));
    })
    .await;
    // And where the address is to be proved first, not on that way either.
    each_with("", &[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state, fake| async move {
        let mut tx = state.platform.db.begin().await.unwrap();
        let bob = users::NewUser {
            id: shared::ids::UserId::new(&state.platform.random, &state.platform.clock),
            email: shared::email::Email::parse("bob@example.com").unwrap(),
            email_verified_at: Some(state.platform.clock.now()),
            given_name: None,
            family_name: None,
            locale: None,
        };
        users::insert(&mut tx, &bob, state.platform.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let code = code_of(&state.platform, bob.id, None).await;
        let mut browser = Browser::new(&state);
        browser.get(&format!("/r/{}", code.code)).await;
        let onward = comes_back(&mut browser, &fake).await.location().to_owned();
        let page = browser.get(&onward).await;
        let (csrf, attempt, touch) = (page.hidden("csrf"), page.hidden("attempt"), page.hidden("touch"));
        let email = "ann@example.com";
        let form =
            [("csrf", &*csrf), ("attempt", &attempt), ("touch", &touch), ("referral_code", &touch), ("email", email)];
        let asked = browser.post("/login/continue", &form).await;
        assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.body);
        let (_, code) = proof_mail(&state).await;
        let page = browser.get(asked.location()).await;
        let (csrf, attempt) = (page.hidden("csrf"), page.hidden("attempt"));
        let form = [("csrf", &*csrf), ("attempt", &attempt), ("code", &code)];
        let done = browser.post("/login/continue/code", &form).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"), "{}", done.body);
        assert_eq!((rows(&state, SOURCES).await, rows(&state, TRACES).await), (1, 1));
        assert!(
            !done.headers.get_all("set-cookie").iter().all(|c| !c.to_str().unwrap().contains("-ref=;")),
            "{:?}",
            done.headers
        );
    })
    .await;
}
