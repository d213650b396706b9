//! Stories of who forgot, changes or leaves.

use shared::ids::{EmailChangeId, RecoveryId, UserId};
use shared::outbox::Side;

use super::*;
use crate::accounts::{email_change, recovery};

const NEW: &str = "staple battery horse";

/// The page of a request that nobody made: it looks like any other's.
const ASKED: &str = "/reset-password?asked=00000000-0000-4000-8000-000000000000";

/// What the mail about the newest forgotten password says: token and code.
async fn reset_mail(state: &AppState) -> (String, String) {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await.unwrap();
    let (id,) = shared::fetch_one!(
        &mut tx,
        (RecoveryId,),
        "SELECT id FROM recovery_requests WHERE user_id IS NOT NULL AND token_hash IS NULL LIMIT 1"
    )
    .unwrap();
    let minted = recovery::mint(&mut tx, platform, id).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    (minted.token.reveal().to_owned(), minted.code)
}

/// What the mail to one side of the change says.
async fn change_mail(state: &AppState, side: Side) -> (String, String) {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await.unwrap();
    let (id,) =
        shared::fetch_one!(&mut tx, (EmailChangeId,), "SELECT id FROM email_changes WHERE consumed_at IS NULL LIMIT 1")
            .unwrap();
    let minted = email_change::mint(&mut tx, platform, id, side).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let (token, code) = minted.confirmation.unwrap();
    (token.reveal().to_owned(), code)
}

async fn verify(state: &AppState, id: UserId) {
    let mut tx = state.platform.db.begin().await.unwrap();
    shared::execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", id).unwrap();
    tx.commit().await.unwrap();
}

/// Signs in and is back where the account's pages are.
async fn at_home(state: &AppState, email: &str) -> Browser {
    let mut browser = Browser::new(state);
    assert_eq!(browser.sign_in(email).await.status, 303);
    browser
}

#[tokio::test]
async fn a_lost_password_is_found_by_the_link() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut elsewhere = at_home(&state, "ann@example.com").await;
        let mut browser = Browser::new(&state);
        assert!(browser.get("/login").await.body.contains("href=\"/forgot-password\""));
        let csrf = browser.get("/forgot-password").await.hidden("csrf");
        let sent = browser.post("/forgot-password", &[("csrf", &csrf), ("email", " Ann@Example.com ")]).await;
        assert_eq!(sent.status, 303);
        assert!(sent.location().starts_with("/reset-password?asked="));
        let (token, _) = reset_mail(&state).await;

        let mut phone = Browser::new(&state);
        let path = format!("/reset-password?token={token}");
        for _ in 0..3 {
            let page = phone.get(&path).await;
            assert_eq!(page.status, 200, "a GET uses up nothing");
            assert!(page.body.contains("ann@example.com") && page.body.contains("autocomplete=\"new-password\""));
        }
        let csrf = phone.get(&path).await.hidden("csrf");
        let form = |password| [("csrf", csrf.as_str()), ("token", token.as_str()), ("password", password)];
        let short = phone.post("/reset-password", &form("short")).await;
        assert_eq!(short.status, 422);
        assert!(short.body.contains("aria-invalid") && !short.body.contains("value=\"short\""));
        assert_eq!(phone.post("/reset-password", &form("ann@example.com")).await.status, 422, "the address itself");
        let done = phone.post("/reset-password", &form(NEW)).await;
        assert_eq!(done.status, 200);
        assert!(done.body.contains("Your new password is set") && done.body.contains("value=\"ann@example.com\""));
        assert!(!phone.cookies.keys().any(|name| name.ends_with("session")), "nobody is signed in by it");
        assert_eq!(phone.post("/reset-password", &form(NEW)).await.status, 410);
        assert_eq!(phone.get(&path).await.status, 410);
        assert_eq!(elsewhere.get("/account").await.status, 303, "signed out everywhere");
        assert_eq!(phone.sign_in("ann@example.com").await.status, 422, "the old password");
    })
    .await;
}

#[tokio::test]
async fn a_lost_password_is_found_by_the_code_in_the_browser_that_asked() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut browser = Browser::new(&state);
        let csrf = browser.get("/forgot-password").await.hidden("csrf");
        let sent = browser.post("/forgot-password", &[("csrf", &csrf), ("email", "ann@example.com")]).await;
        let path = sent.location().to_owned();
        let page = browser.get(&path).await;
        let (csrf, asked) = (page.hidden("csrf"), page.hidden("asked"));
        assert!(page.body.contains("autocomplete=\"one-time-code\""));
        let (_, code) = reset_mail(&state).await;
        let form = |code| [("csrf", csrf.as_str()), ("asked", asked.as_str()), ("code", code), ("password", NEW)];
        let wrong = browser.post("/reset-password", &form("7777-7777")).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.body.contains("value=\"7777-7777\"") && !wrong.body.contains(NEW), "{}", wrong.body);
        // The name of a request that never was is answered like one that is over.
        for name in ["", "x", "00000000-0000-4000-8000-000000000000"] {
            let form = [("csrf", csrf.as_str()), ("asked", name), ("code", &code), ("password", NEW)];
            assert_eq!(browser.post("/reset-password", &form).await.status, 410, "{name:?}");
        }
        let done = browser.post("/reset-password", &form(&code)).await;
        assert_eq!(done.status, 200, "{}", done.body);
    })
    .await;
}

#[tokio::test]
async fn a_known_and_an_unknown_address_are_answered_alike() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut browser = Browser::new(&state);
        let mut answers = vec![];
        for email in ["ann@example.com", "bob@example.com"] {
            let csrf = browser.get("/forgot-password").await.hidden("csrf");
            let sent = browser.post("/forgot-password", &[("csrf", &csrf), ("email", email)]).await;
            let path = sent.location().to_owned();
            let asked = path.split('=').nth(1).unwrap().to_owned();
            let page = browser.get(&path).await;
            let form = [("csrf", csrf.as_str()), ("asked", asked.as_str()), ("code", "0000-0000"), ("password", NEW)];
            let wrong = browser.post("/reset-password", &form).await;
            answers.push((sent.status, page.status, page.body.replace(&asked, ""), wrong.status));
        }
        assert_eq!(answers[0], answers[1]);
        let csrf = browser.get("/forgot-password").await.hidden("csrf");
        let bad = browser.post("/forgot-password", &[("csrf", &csrf), ("email", "not an address")]).await;
        assert_eq!(bad.status, 422);
        assert!(bad.body.contains("value=\"not an address\""));
        assert_eq!(browser.post("/forgot-password", &[("email", "ann@example.com")]).await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_keeps_this_browser_with_another_key() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let (mut here, mut there) =
            (at_home(&state, "ann@example.com").await, at_home(&state, "ann@example.com").await);
        let path = "/account/security/password";
        let csrf = here.get(path).await.hidden("csrf");
        let form = |current, new| [("csrf", csrf.as_str()), ("current_password", current), ("password", new)];
        let wrong = here.post(path, &form("wrong horse", NEW)).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.body.contains("not your current password") && !wrong.body.contains("wrong horse"));
        let others = there.get(path).await.hidden("csrf");
        let stolen = [("csrf", others.as_str()), ("current_password", PASSWORD), ("password", NEW)];
        assert_eq!(here.post(path, &stolen).await.status, 403, "the form of another session");
        let before = here.cookies.clone();
        assert_eq!(here.post(path, &form(PASSWORD, NEW)).await.status, 200);
        assert_ne!(here.cookies, before, "another key");
        assert_eq!(here.get("/account").await.status, 200);
        assert_eq!(there.get("/account").await.status, 303);
        let mut thief = Browser::new(&state);
        thief.cookies = before;
        assert_eq!(thief.get("/account").await.status, 303, "the key from before");
    })
    .await;
}

#[tokio::test]
async fn an_address_changes_when_both_mailboxes_agreed() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        verify(&state, ann).await;
        let mut browser = at_home(&state, "ann@example.com").await;
        let path = "/account/profile/email";
        let csrf = browser.get(path).await.hidden("csrf");
        let begin = |email, password| {
            [("csrf", csrf.as_str()), ("step", "begin"), ("email", email), ("current_password", password)]
        };
        for (email, password) in
            [("nonsense", PASSWORD), ("ANN@example.com", PASSWORD), ("new@example.com", "wrong horse")]
        {
            let refused = browser.post(path, &begin(email, password)).await;
            assert_eq!(refused.status, 422, "{email}");
            assert!(refused.body.contains(&format!("value=\"{email}\"")), "{email} is lost");
        }
        assert_eq!(browser.post(path, &begin("new@example.com", PASSWORD)).await.status, 303);
        let waits = browser.get(path).await;
        assert_eq!(waits.body.matches("Waits for a confirmation").count(), 2);

        let (token, _) = change_mail(&state, Side::New).await;
        let (_, code) = change_mail(&state, Side::Old).await;
        let link = format!("/email-change?token={token}");
        // In another browser the link only tells where to go on.
        let mut elsewhere = Browser::new(&state);
        let shown = elsewhere.get(&link).await;
        assert!(shown.body.contains("sign in to the account first"));
        let shown = shown.hidden("csrf");
        let form = [("csrf", shown.as_str()), ("token", token.as_str()), ("decision", "confirm")];
        assert_eq!(elsewhere.post("/email-change", &form).await.status, 403);

        let shown = browser.get(&link).await.hidden("csrf");
        let form = [("csrf", shown.as_str()), ("token", token.as_str()), ("decision", "confirm")];
        let one = browser.post("/email-change", &form).await;
        assert!(one.body.contains("One more confirmation"));
        let waits = browser.get(path).await;
        assert_eq!(waits.body.matches("Waits for a confirmation").count(), 1);
        let csrf = waits.hidden("csrf");
        let typed = |code| [("csrf", csrf.as_str()), ("step", "code"), ("code", code)];
        assert_eq!(browser.post(path, &typed("0000-0000")).await.status, 422);
        let done = browser.post(path, &typed(&code)).await;
        assert_eq!(done.status, 200, "{}", done.body);
        assert!(browser.get("/account").await.body.contains("new@example.com"));
        let mut again = Browser::new(&state);
        assert_eq!(again.sign_in("ann@example.com").await.status, 422);
        assert_eq!(again.sign_in("new@example.com").await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn the_mailbox_of_now_stops_a_change_without_signing_in() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        verify(&state, ann).await;
        let mut thief = at_home(&state, "ann@example.com").await;
        let path = "/account/profile/email";
        let csrf = thief.get(path).await.hidden("csrf");
        let form =
            [("csrf", &*csrf), ("step", "begin"), ("email", "thief@example.com"), ("current_password", PASSWORD)];
        thief.post(path, &form).await;
        let (token, _) = change_mail(&state, Side::Old).await;
        let mut owner = Browser::new(&state);
        let link = format!("/email-change?token={token}");
        let csrf = owner.get(&link).await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("token", token.as_str()), ("decision", "stop")];
        let stopped = owner.post("/email-change", &form).await;
        assert!(stopped.body.contains("stays as it is"));
        assert_eq!(owner.post("/email-change", &form).await.status, 410);
        assert_eq!(owner.get(&link).await.status, 410);
        assert!(!thief.get(path).await.body.contains("Waits for"));
    })
    .await;
}

#[tokio::test]
async fn who_leaves_may_come_back_until_the_day() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut browser = at_home(&state, "ann@example.com").await;
        let csrf = browser.get("/account/delete").await.hidden("csrf");
        let form = |confirmation, password| {
            [("csrf", csrf.as_str()), ("confirmation", confirmation), ("current_password", password)]
        };
        for (confirmation, password) in [("", PASSWORD), ("bob@example.com", PASSWORD), ("ann@example.com", "wrong")] {
            assert_eq!(browser.post("/account/delete", &form(confirmation, password)).await.status, 422);
        }
        let done = browser.post("/account/delete", &form("Ann@example.com ", PASSWORD)).await;
        assert_eq!(done.status, 200);
        assert!(done.body.contains("Your account will be deleted"));
        assert!(!browser.cookies.keys().any(|name| name.ends_with("session")));
        assert_eq!(browser.get("/account").await.status, 303);

        let back = browser.sign_in("ann@example.com").await;
        assert_eq!(back.location(), "/account/keep?onward=%2F");
        // There is nothing else to do with it.
        assert_eq!(browser.get("/").await.location(), "/account");
        for path in ["/account", "/account/profile/email", "/account/data"] {
            assert_eq!(browser.get(path).await.location(), "/account/keep", "{path}");
        }
        let page = browser.get("/account/keep?onward=%2F%2Fevil.example").await;
        assert_eq!(page.hidden("onward"), "/account", "not to somebody else");
        let csrf = page.hidden("csrf");
        let kept = browser.post("/account/keep", &[("csrf", &csrf), ("onward", "/account")]).await;
        assert_eq!(kept.location(), "/account");
        assert_eq!(browser.get("/account").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn everything_about_oneself_comes_as_a_file() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut browser = at_home(&state, "ann@example.com").await;
        let csrf = browser.get("/account/data").await.hidden("csrf");
        let form = |password| [("csrf", csrf.as_str()), ("current_password", password)];
        assert_eq!(browser.post("/account/data", &form("wrong horse")).await.status, 422);
        assert_eq!(browser.post("/account/data", &[("current_password", PASSWORD)]).await.status, 403);
        let file = browser.post("/account/data", &form(PASSWORD)).await;
        assert_eq!(file.status, 200);
        assert_eq!(file.headers[header::CACHE_CONTROL], "no-store");
        assert!(file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
        let document: serde_json::Value = serde_json::from_str(&file.body).unwrap();
        assert_eq!(document["account"]["email"], "ann@example.com");
    })
    .await;
}

/// With `PAGE_PREVIEW=folder` the pages are also written there, to be looked at.
#[tokio::test]
async fn the_pages_speak_both_languages_and_ask_for_a_sign_in() {
    let preview = std::env::var_os("PAGE_PREVIEW").map(std::path::PathBuf::from);
    let preview = preview.as_deref();
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let paths = [
            "/account/security/password",
            "/account/profile/email",
            "/account/data",
            "/account/delete",
            "/account/keep",
        ];
        for language in ["en", "ru"] {
            let mut browser = Browser::new(&state);
            browser.language = language;
            for path in paths {
                let section = ["security", "profile"].into_iter().find(|section| path.contains(section));
                let back = format!("/login?request=account-{}", section.unwrap_or("overview"));
                assert_eq!(browser.get(path).await.location(), back, "{path}");
            }
            browser.sign_in("ann@example.com").await;
            for path in [&paths[..4], &["/forgot-password", ASKED, "/email-change?token=x"]].concat() {
                let page = browser.get(path).await;
                assert!(page.body.contains(&format!("<html lang=\"{language}\">")), "{path}");
                assert!(!page.body.contains("Unknown localization"), "{path}");
                if let Some(folder) = preview {
                    let name = path.trim_start_matches('/').replace(['/', '?', '='], "-");
                    std::fs::write(folder.join(format!("{name}-{language}.html")), &page.body).unwrap();
                }
                let inline = ["<style", " style=", "<script>", " onclick="];
                assert!(inline.iter().all(|part| !page.body.contains(part)), "{path}");
            }
        }
    })
    .await;
}
