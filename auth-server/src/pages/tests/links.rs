//! A referral link is followed: what is counted, what is remembered, and whose the sign-up is.

use shared::ids::UserId;
use shared::referrals::clicks::{self, Totals};
use shared::referrals::store::CodeRow;
use shared::{execute, fetch_all, fetch_optional};

use super::*;
use crate::accounts::testing::count;

async fn totals(state: &AppState, code: &CodeRow) -> Totals {
    clicks::totals(&mut state.platform.db.read().await.unwrap(), code.id).await.unwrap()
}

/// Somebody with a code.
async fn referrer(state: &AppState, email: &str) -> CodeRow {
    let id = person(state, email).await;
    code_of(&state.platform, id, None).await
}

/// How the referral of this person came, and by whose code.
async fn referral(state: &AppState, email: &str) -> Option<(String, String)> {
    let mut conn = state.platform.db.read().await.unwrap();
    fetch_optional!(
        &mut conn,
        (String, String),
        "SELECT c.code, r.source FROM referrals r JOIN referral_codes c ON c.id = r.code_id \
         JOIN users u ON u.id = r.referral_user_id WHERE u.email_key = $1",
        email
    )
    .unwrap()
}

/// Sends the sign-up form as the page shows it, with `changes`.
async fn sign_up(browser: &mut Browser, page: &Answer, email: &str, changes: &[(&str, &str)]) -> Answer {
    let csrf = page.hidden("csrf");
    let mut form =
        vec![("csrf".to_owned(), csrf), ("email".into(), email.into()), ("password".into(), PASSWORD.into())];
    for name in ["touch", "referral_code"] {
        form.extend(shown(page, name).map(|value| (name.to_owned(), value)));
    }
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push(((*name).to_owned(), (*value).to_owned()));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post("/signup", &form).await
}

/// What a field of the page holds.
fn shown(page: &Answer, name: &str) -> Option<String> {
    let input = page.body.split("<input").find(|input| input.contains(&format!("name=\"{name}\"")))?;
    let value = input.split('>').next()?.split("value=\"").nth(1)?;
    value.split('"').next().filter(|value| !value.is_empty()).map(str::to_owned)
}

async fn request(browser: &mut Browser, method: &str, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request, Body::empty()).await
}

#[tokio::test]
async fn a_link_counts_a_click_and_leads_to_sign_up_and_nowhere_else() {
    each_state(&[], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut ann = Browser::new(&state);
        for written in [code.code.clone(), code.code.to_lowercase(), format!("{}?ref=https://evil.example", code.code)]
        {
            let led = ann.get(&format!("/r/{written}")).await;
            assert_eq!((led.status, led.location()), (StatusCode::SEE_OTHER, &*format!("/signup?ref={}", code.code)));
            assert_eq!(led.headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(led.headers[header::REFERRER_POLICY], "no-referrer");
            let cookie = led.headers[header::SET_COOKIE].to_str().unwrap();
            for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
            assert!(!cookie.contains(&code.code), "{cookie}");
        }
        assert_eq!(totals(&state, &code).await, Totals { clicks: 3, visitors: 1, sign_ups: 0 });
        let page = ann.get(&format!("/signup?ref={}", code.code)).await;
        assert!(page.body.contains("invites you"), "{}", page.body);
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM referral_visitors").await, 1);
    })
    .await;
}

#[tokio::test]
async fn robots_looks_ahead_and_pictures_of_others_pages_count_for_nothing() {
    each_state(&[], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut browser = Browser::new(&state);
        let path = format!("/r/{}", code.code);
        for (method, headers) in [
            ("HEAD", vec![]),
            ("GET", vec![("sec-purpose", "prefetch")]),
            ("GET", vec![("sec-purpose", "prefetch;prerender"), ("sec-fetch-dest", "document")]),
            ("GET", vec![("sec-fetch-dest", "image")]),
            ("GET", vec![("sec-fetch-dest", "iframe")]),
        ] {
            let led = request(&mut browser, method, &path, &headers).await;
            assert_eq!(led.status, StatusCode::SEE_OTHER, "{method} {headers:?}");
            assert!(!led.headers.contains_key(header::SET_COOKIE), "{method} {headers:?}");
        }
        browser.user_agent = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";
        assert_eq!(
            browser.get(&path).await.location(),
            format!("/signup?ref={}", code.code),
            "its preview shows the page"
        );
        assert_eq!(totals(&state, &code).await, Totals::default());
        assert_eq!(request(&mut browser, "POST", &path, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    })
    .await;
}

#[tokio::test]
async fn a_link_that_leads_nowhere_any_more_says_so_and_not_why() {
    each_state(&[], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut browser = Browser::new(&state);
        let change = async |sql: &'static str| {
            let mut tx = state.platform.db.begin().await.unwrap();
            execute!(&mut tx, sql).unwrap();
            tx.commit().await.unwrap();
        };
        let path = format!("/r/{}", code.code);
        let mut answers = vec![];
        for (what, sql, path) in [
            ("unknown", "UPDATE users SET locale = locale", "/r/NEVERWAS"),
            ("nonsense", "UPDATE users SET locale = locale", "/r/%D1%84%2F..%2F..%2Flogin"),
            ("not text", "UPDATE users SET locale = locale", "/r/%ff%fe"),
            ("used up", "UPDATE referral_codes SET max_uses = 1, uses = 1", &path),
            ("deleted", "UPDATE referral_codes SET max_uses = NULL, status = 'deleted'", &path),
        ] {
            change(sql).await;
            let led = browser.get(path).await;
            assert_eq!((led.status, led.location()), (StatusCode::SEE_OTHER, "/signup?link=dead"), "{what}");
            assert!(!led.headers.contains_key(header::SET_COOKIE), "{what}");
            answers.push(led.headers.len());
        }
        state.platform.clock.advance(std::time::Duration::from_secs(31 * 86_400));
        change("UPDATE referral_codes SET status = 'active', deleted_at = NULL").await;
        assert_eq!(browser.get(&path).await.location(), "/signup?link=dead", "expired");
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        let page = browser.get("/signup?link=dead").await;
        assert!(page.body.contains("no longer works") && shown(&page, "referral_code").is_none(), "{}", page.body);
        assert_eq!(sign_up(&mut browser, &page, "ann@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(totals(&state, &code).await, Totals::default());
    })
    .await;
}

#[tokio::test]
async fn beyond_the_limit_a_link_leads_on_and_counts_nothing() {
    let limits = [("LIMITS__ENABLED", "true"), ("LIMITS__LINK_CLICKS_PER_MINUTE", "2")];
    each_state(&limits, |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut browser = Browser::new(&state);
        for _ in 0..4 {
            let led = browser.get(&format!("/r/{}", code.code)).await;
            assert_eq!(led.status, StatusCode::SEE_OTHER);
            assert!(led.location().starts_with("/signup?ref="), "{}", led.location());
        }
        assert_eq!(totals(&state, &code).await.clicks, 2);
        // Nor does it tell any more which codes there are.
        let (known, unknown) = (browser.get("/r/NEVERWAS").await, browser.get(&format!("/r/{}", code.code)).await);
        assert!(known.location().starts_with("/signup?ref=") && !known.headers.contains_key(header::SET_COOKIE));
        assert_eq!(known.headers.len(), unknown.headers.len());
    })
    .await;
}

#[tokio::test]
async fn without_a_code_the_link_that_was_followed_counts_and_a_typed_code_wins() {
    for (model, sources) in [("last_touch", "last_touch"), ("first_touch", "first_touch")] {
        each_state(&[("ATTRIBUTION__MODEL", model)], |state| async move {
            let (bob, cleo) = (referrer(&state, "bob@example.com").await, referrer(&state, "cleo@example.com").await);
            let chosen = if model == "last_touch" { &cleo } else { &bob };
            let visitor = async || {
                let mut browser = Browser::new(&state);
                browser.get(&format!("/r/{}", bob.code)).await;
                state.platform.clock.advance(std::time::Duration::from_secs(3600));
                browser.get(&format!("/r/{}", cleo.code)).await;
                browser
            };
            // The page fills it in, and it is sent back as it stands.
            let mut one = visitor().await;
            let page = one.get("/signup").await;
            assert_eq!(shown(&page, "referral_code").as_ref(), Some(&chosen.code), "{}", page.body);
            assert_eq!(sign_up(&mut one, &page, "one@example.com", &[]).await.status, StatusCode::SEE_OTHER);
            assert_eq!(referral(&state, "one@example.com").await, Some((chosen.code.clone(), sources.into())));
            // It counts for one sign-up.
            assert!(!one.cookies.keys().any(|name| name.ends_with("-ref")), "{:?}", one.cookies);

            // The page was open before the link was followed.
            let mut two = Browser::new(&state);
            let page = two.get("/signup").await;
            two.cookies.extend(visitor().await.cookies.into_iter().filter(|(name, _)| name.ends_with("-ref")));
            assert_eq!(sign_up(&mut two, &page, "two@example.com", &[]).await.status, StatusCode::SEE_OTHER);
            assert_eq!(referral(&state, "two@example.com").await, Some((chosen.code.clone(), sources.into())));

            let other = if model == "last_touch" { &bob } else { &cleo };
            let mut three = visitor().await;
            let page = three.get("/signup").await;
            let typed = [("referral_code", other.code.as_str())];
            assert_eq!(sign_up(&mut three, &page, "three@example.com", &typed).await.status, StatusCode::SEE_OTHER);
            assert_eq!(referral(&state, "three@example.com").await, Some((other.code.clone(), "code".into())));

            let mut four = visitor().await;
            let page = four.get("/signup").await;
            let emptied = [("referral_code", "")];
            assert_eq!(sign_up(&mut four, &page, "four@example.com", &emptied).await.status, StatusCode::SEE_OTHER);
            assert_eq!(referral(&state, "four@example.com").await, None, "a field that was emptied stays empty");

            let mut five = visitor().await;
            let page = five.get(&format!("/signup?ref={}", other.code)).await;
            assert_eq!(shown(&page, "referral_code").as_ref(), Some(&other.code), "the link that one is on");
            assert_eq!(sign_up(&mut five, &page, "five@example.com", &[]).await.status, StatusCode::SEE_OTHER);
            assert_eq!(referral(&state, "five@example.com").await, Some((other.code.clone(), "code".into())));
        })
        .await;
    }
}

#[tokio::test]
async fn a_remembered_code_that_stopped_working_is_nobodys_fault() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, Some(1)).await;
        let mut ann = Browser::new(&state);
        ann.get(&format!("/r/{}", code.code)).await;
        let page = ann.get("/signup").await;
        assert_eq!(shown(&page, "referral_code").as_ref(), Some(&code.code));
        let (mut cleo, mut dan) = (ann.twin(), ann.twin());
        assert_eq!(sign_up(&mut cleo, &page, "cleo@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        assert!(referral(&state, "cleo@example.com").await.is_some());
        // The last use is gone, between the page and its answer.
        assert_eq!(sign_up(&mut ann, &page, "ann@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(referral(&state, "ann@example.com").await, None);
        // Nor is it filled in any more.
        let again = dan.get("/signup").await;
        assert!(shown(&again, "referral_code").is_none() && !again.body.contains("used up"), "{}", again.body);

        // One's own link, too.
        let own = code_of_second(&state, bob, &code).await;
        let mut bob = Browser::new(&state);
        bob.get(&format!("/r/{}", own.code)).await;
        let page = bob.get("/signup").await;
        assert_eq!(sign_up(&mut bob, &page, "bob+two@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(referral(&state, "bob+two@example.com").await, None);
    })
    .await;
}

/// The code after `before`.
async fn code_of_second(state: &AppState, user: UserId, before: &CodeRow) -> CodeRow {
    let mut tx = state.platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE referral_codes SET status = 'deleted' WHERE id = $1", before.id).unwrap();
    tx.commit().await.unwrap();
    code_of(&state.platform, user, None).await
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_or_too_old_counts_for_nothing() {
    each_state(&[("ATTRIBUTION__WINDOW_DAYS", "7")], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut ann = Browser::new(&state);
        ann.get(&format!("/r/{}", code.code)).await;
        let (name, ours) = ann.cookies.iter().find(|(name, _)| name.ends_with("-ref")).unwrap();
        let (name, ours) = (name.clone(), ours.clone());
        let mut tampered = ours.clone();
        tampered.replace_range(3..4, if &ours[3..4] == "A" { "B" } else { "A" });
        for bad in [tampered, String::new(), "a.b".into(), "A".repeat(4000)] {
            ann.cookies.insert(name.clone(), bad);
            assert!(shown(&ann.get("/signup").await, "referral_code").is_none());
        }
        ann.cookies.insert(name.clone(), ours);
        assert!(shown(&ann.get("/signup").await, "referral_code").is_some());
        state.platform.clock.advance(std::time::Duration::from_secs(7 * 86_400));
        assert!(shown(&ann.get("/signup").await, "referral_code").is_none());
    })
    .await;
    each_state(&[("ATTRIBUTION__WINDOW_DAYS", "0")], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        let mut ann = Browser::new(&state);
        let led = ann.get(&format!("/r/{}", code.code)).await;
        assert!(!led.headers.contains_key(header::SET_COOKIE), "nothing is remembered");
        assert_eq!(totals(&state, &code).await.clicks, 1);
    })
    .await;
}

#[tokio::test]
async fn where_addresses_are_proved_first_the_link_and_the_browser_are_kept_until_then() {
    each_state(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state| async move {
        let bob = proved(&state, "bob@example.com").await;
        let code = code_of(&state.platform, bob, None).await;
        let mut ann = Browser::new(&state);
        ann.get(&format!("/r/{}", code.code)).await;
        let page = ann.get("/signup").await;
        assert_eq!(sign_up(&mut ann, &page, "ann@example.com", &[]).await.status, StatusCode::OK);
        confirm(&state, "ann@example.com").await;
        assert_eq!(referral(&state, "ann@example.com").await, Some((code.code.clone(), "last_touch".into())));
        // Another sign-up in the same browser, by a code that ends before its address is proved.
        ann.get(&format!("/r/{}", code.code)).await;
        let page = ann.get("/signup").await;
        sign_up(&mut ann, &page, "eve@example.com", &[]).await;
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE referral_codes SET status = 'deleted' WHERE id = $1", code.id).unwrap();
        tx.commit().await.unwrap();
        confirm(&state, "eve@example.com").await;
        assert_eq!(referral(&state, "eve@example.com").await, None, "nobody typed it, so nobody is told");
        let mut conn = state.platform.db.read().await.unwrap();
        let traces = fetch_all!(
            &mut conn,
            (Option<Vec<u8>>, Option<Vec<u8>>),
            "SELECT t.address_hash, t.device_hash FROM signup_traces t JOIN users u ON u.id = t.user_id \
             WHERE u.email_key <> 'bob@example.com'"
        )
        .unwrap();
        assert_eq!(traces.len(), 2);
        assert!(traces[0] == traces[1] && traces[0].0.is_some() && traces[0].1.is_some(), "{traces:?}");
    })
    .await;
}

/// Somebody whose address is proved, where that is required.
async fn proved(state: &AppState, email: &str) -> UserId {
    let mut browser = Browser::new(state);
    let page = browser.get("/signup").await;
    assert_eq!(sign_up(&mut browser, &page, email, &[]).await.status, StatusCode::OK);
    confirm(state, email).await
}

/// Follows the link of the mail.
async fn confirm(state: &AppState, email: &str) -> UserId {
    let mut tx = state.platform.db.begin().await.unwrap();
    let (pending,): (shared::ids::PendingSignupId,) = shared::fetch_one!(
        &mut tx,
        (shared::ids::PendingSignupId,),
        "SELECT id FROM pending_signups WHERE email_key = $1 AND consumed_at IS NULL",
        email
    )
    .unwrap();
    let token = crate::accounts::verification::mint_signup_link(&mut tx, &state.platform, pending).await.unwrap();
    tx.commit().await.unwrap();
    let mut browser = Browser::new(state);
    let token = token.unwrap().reveal().to_owned();
    let page = browser.get(&format!("/verify-email?token={token}")).await;
    let form = [("csrf", page.hidden("csrf")), ("token", token), ("password", PASSWORD.to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = browser.post("/verify-email", &form).await;
    assert!(done.status.is_success() || done.status.is_redirection(), "{}: {}", done.status, done.body);
    let mut conn = state.platform.db.read().await.unwrap();
    shared::users::by_email(&mut conn, email).await.unwrap().unwrap().id
}

#[tokio::test]
async fn two_sign_ups_in_one_browser_are_noticed_also_where_the_first_was_the_referrers_own() {
    each_state(&[], |state| async move {
        let mut browser = Browser::new(&state);
        let page = browser.get("/signup").await;
        assert_eq!(sign_up(&mut browser, &page, "bob@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        let bob = shared::users::by_email(&mut state.platform.db.read().await.unwrap(), "bob@example.com").await;
        let code = code_of(&state.platform, bob.unwrap().unwrap().id, None).await;
        let page = browser.get(&format!("/signup?ref={}", code.code)).await;
        assert_eq!(sign_up(&mut browser, &page, "again@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        let mut elsewhere = Browser::new(&state);
        let page = elsewhere.get(&format!("/signup?ref={}", code.code)).await;
        assert_eq!(sign_up(&mut elsewhere, &page, "ann@example.com", &[]).await.status, StatusCode::SEE_OTHER);
        let mut conn = state.platform.db.read().await.unwrap();
        let flagged = fetch_all!(
            &mut conn,
            (String,),
            "SELECT u.email_key FROM referral_signals s JOIN referrals r ON r.id = s.referral_id \
             JOIN users u ON u.id = r.referral_user_id WHERE s.signal = 'same_device'"
        )
        .unwrap();
        assert_eq!(flagged, [("again@example.com".to_owned(),)]);
    })
    .await;
    each_state(&[("PROGRAMME__TRACE_DAYS", "0")], |state| async move {
        let mut browser = Browser::new(&state);
        let page = browser.get("/signup").await;
        sign_up(&mut browser, &page, "bob@example.com", &[]).await;
        assert!(!browser.cookies.keys().any(|name| name.ends_with("-device")), "nothing is compared, nothing is kept");
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM signup_traces").await, 0);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM daily_salts").await, 0);
    })
    .await;
}

#[tokio::test]
async fn traces_and_salts_are_deleted_when_their_time_is_over() {
    each_state(&[], |state| async move {
        let code = referrer(&state, "bob@example.com").await;
        Browser::new(&state).get(&format!("/r/{}", code.code)).await;
        let left = async |table: &'static str| {
            let mut conn = state.platform.db.read().await.unwrap();
            match table {
                "traces" => count(&mut conn, "SELECT COUNT(*) FROM signup_traces").await,
                "salts" => count(&mut conn, "SELECT COUNT(*) FROM daily_salts").await,
                _ => count(&mut conn, "SELECT COUNT(*) FROM referral_visitors").await,
            }
        };
        crate::sweeper::sweep(&state.platform).await.unwrap();
        assert_eq!((left("traces").await, left("salts").await, left("visitors").await), (1, 1, 1));
        state.platform.clock.advance(std::time::Duration::from_secs(86_400));
        crate::sweeper::sweep(&state.platform).await.unwrap();
        assert_eq!((left("traces").await, left("salts").await, left("visitors").await), (1, 0, 0));
        state.platform.clock.advance(std::time::Duration::from_secs(30 * 86_400));
        crate::sweeper::sweep(&state.platform).await.unwrap();
        assert_eq!(left("traces").await, 0);
        assert_eq!(totals(&state, &code).await.clicks, 1, "the sums stay");
    })
    .await;
}
