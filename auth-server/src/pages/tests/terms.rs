//! Terms that have changed since somebody agreed to some.

use super::fallback::{app, types_password};
use super::*;

const TERMS: &[(&str, &str)] =
    &[("ACCOUNTS__TERMS_URL", "https://example.com/terms"), ("ACCOUNTS__TERMS_VERSION", "2026-02")];

/// Ann, who agreed to the terms of before.
async fn ann(state: &AppState) {
    let mut account = crate::accounts::testing::account("ann@example.com", None);
    account.terms_version = Some("2026-02".into());
    crate::accounts::signup::sign_up(state, account, &crate::accounts::testing::HERE).await.unwrap();
    let mut tx = state.platform.db.begin().await.unwrap();
    shared::execute!(&mut tx, "UPDATE terms_agreements SET version = '2026-01'").unwrap();
    tx.commit().await.unwrap();
}

async fn agreements(state: &AppState) -> i64 {
    let mut conn = state.platform.db.read().await.unwrap();
    crate::accounts::testing::count(&mut conn, "SELECT COUNT(*) FROM terms_agreements").await
}

/// The form of the terms page.
fn answer<'a>(page: &'a Answer, csrf: &'a str, request: &'a str, decision: &'a str) -> [(&'a str, &'a str); 4] {
    assert!(page.body.contains("https://example.com/terms") && page.body.contains("2026-02"), "{}", page.body);
    [("csrf", csrf), ("request", request), ("version", "2026-02"), ("decision", decision)]
}

#[tokio::test]
async fn who_agreed_to_older_terms_agrees_before_an_app_gets_a_code() {
    each_state(TERMS, |state| async move {
        ann(&state).await;
        let mut browser = Browser::new(&state);
        let onward = types_password(&mut browser, &app(&state, "").await).await;
        let terms = browser.get(&onward).await.location().to_owned();
        assert!(terms.starts_with("/terms?request="), "{terms}");
        // Nobody may be asked anything: the app is told what lacks.
        let silent = browser.get(&app(&state, "&prompt=none").await).await;
        assert!(silent.location().contains("error=interaction_required"), "{}", silent.location());
        // The consent page, opened by hand, is no way around it.
        let consent = browser.get(&terms.replace("/terms", "/consent")).await;
        let form =
            [("csrf", &*consent.hidden("csrf")), ("request", &*consent.hidden("request")), ("decision", "allow")]
                .map(|(k, v)| (k, v.to_owned()));
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(browser.post("/consent", &form).await.location(), terms);

        let page = browser.get(&terms).await;
        assert_eq!(page.status, 200);
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let forged = answer(&page, "AAAA", &request, "agree");
        assert_eq!(browser.post("/terms", &forged).await.status, 403);
        // Those of before are not what is agreed to.
        let mut older = answer(&page, &csrf, &request, "agree");
        older[2].1 = "2026-01";
        let again = browser.post("/terms", &older).await;
        assert!(again.status == 409 && again.body.contains("changed once more"), "{}", again.body);
        assert_eq!(agreements(&state).await, 1);
        let done = browser.post("/terms", &answer(&page, &csrf, &request, "agree")).await;
        assert_eq!(done.location(), onward);
        let back = browser.get(&onward).await;
        assert!(back.location().starts_with("https://app.example/cb?code="), "{}", back.location());
        assert_eq!(agreements(&state).await, 2);
        // Once.
        let next = browser.get(&app(&state, "").await).await;
        assert!(next.location().starts_with("https://app.example/cb?code="), "{}", next.location());
        assert_eq!(browser.get("/terms").await.location(), "/account");
    })
    .await;
}

#[tokio::test]
async fn who_declines_new_terms_goes_back_to_the_app_or_may_leave_with_their_data() {
    each_state(TERMS, |state| async move {
        ann(&state).await;
        let mut browser = Browser::new(&state);
        let onward = types_password(&mut browser, &app(&state, "").await).await;
        let terms = browser.get(&onward).await.location().to_owned();
        let page = browser.get(&terms).await;
        assert!(page.body.contains("Notes"), "the app that waits");
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let declined = browser.post("/terms", &answer(&page, &csrf, &request, "decline")).await;
        assert!(
            declined.location().starts_with("https://app.example/cb?error=access_denied"),
            "{}",
            declined.location()
        );

        // Without an app: asked at the sign-in, and led on to where it was for.
        let mut home = Browser::new(&state);
        let onward = types_password(&mut home, "/login?request=account-security").await;
        assert_eq!(onward, "/terms?onward=%2Faccount%2Fsecurity");
        let page = home.get(&onward).await;
        let csrf = page.hidden("csrf");
        let elsewhere = home.get("/terms?onward=%2F%2Fevil.example").await;
        assert_eq!(elsewhere.hidden("onward"), "/account");
        let declined = home.post("/terms", &answer(&page, &csrf, "", "decline")).await;
        assert!(declined.status == 200 && declined.body.contains("href=\"/account/data\""), "{}", declined.body);
        assert_eq!(home.get("/account/data").await.status, 200);
        assert_eq!(home.get("/account/delete").await.status, 200);
        let mut form = answer(&page, &csrf, "", "agree").to_vec();
        form.push(("onward", "/account/security"));
        assert_eq!(home.post("/terms", &form).await.location(), "/account/security");
        assert_eq!(types_password(&mut Browser::new(&state), "/login").await, "/");
    })
    .await;
}

#[tokio::test]
async fn a_password_grant_says_that_new_terms_are_to_be_agreed_to() {
    each_state(TERMS, |state| async move {
        ann(&state).await;
        app(&state, "").await;
        let mut program = Browser::new(&state);
        for (password, says) in [(PASSWORD, "terms"), ("wrong horse", "password is wrong")] {
            let form = [
                ("grant_type", "password"),
                ("client_id", "app"),
                ("username", "ann@example.com"),
                ("password", password),
                ("scope", "openid"),
            ];
            let refused = program.post("/oauth/token", &form).await;
            assert_eq!(refused.status, 400);
            assert!(refused.body.contains("invalid_grant") && refused.body.contains(says), "{}", refused.body);
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(crate::accounts::testing::count(&mut conn, "SELECT COUNT(*) FROM grants").await, 0);
    })
    .await;
}
