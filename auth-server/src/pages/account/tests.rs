//! Stories of people who look after their account, without JavaScript, on both stores.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde_json::json;
use shared::ids::{ClientId, SessionId, UserId};
use shared::outbox::{self, Job};
use shared::referrals::cached::{self, Entry};
use shared::referrals::code::CodeKey;
use shared::referrals::store;
use shared::{audit, execute};

use super::Section;
use super::activity::message_of;
use crate::AppState;
use crate::accounts::signup::sign_up;
use crate::accounts::testing::{account, code_of, count, each_state, person};
use crate::clients::{self, ClientMetadata, NewClient, Origin};
use crate::locales::Locale;
use crate::pages::tests::{Answer, Browser};
use crate::protocol::grants::{GrantDetails, insert_grant};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1";

/// Where forms of the account are posted to.
const FORMS: &[&str] = &[
    "/account/profile",
    "/account/profile/verification",
    "/account/sessions",
    "/account/apps",
    "/account/referrals",
    "/account/referrals/delete",
];

async fn signed_in(state: &AppState, email: &str, user_agent: &'static str) -> Browser {
    let mut browser = Browser::new(state);
    browser.user_agent = user_agent;
    assert_eq!(browser.sign_in(email).await.status, 303);
    browser
}

/// Sends a form of the page at `from` with the fields that a person filled in.
async fn send(browser: &mut Browser, from: &str, to: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = browser.get(from).await.hidden("csrf");
    browser.post(to, &[&[("csrf", csrf.as_str())], fields].concat()).await
}

/// The session that the page offers to end.
fn offered(page: &str) -> Vec<String> {
    let values = page.split("name=\"session\" value=\"").skip(1);
    values.filter_map(|v| Some(v.split('"').next()?.to_owned())).filter(|v| v != "others").collect()
}

#[tokio::test]
async fn every_page_is_for_who_is_signed_in_and_leads_back_after_it() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut ann = Browser::new(&state);
        for section in Section::ALL {
            let page = ann.get(&section.path()).await;
            assert_eq!((page.status.as_u16(), page.location()), (303, &*format!("/login?request={}", section.word())));
        }
        for form in FORMS {
            assert_eq!(ann.post(form, &[]).await.status, 303, "{form}");
        }
        let csrf = ann.get("/login").await.hidden("csrf");
        let fields = [("csrf", csrf.as_str()), ("request", "account-apps"), ("email", "ann@example.com")];
        let done =
            ann.post("/login", &[&fields[..], &[("password", crate::accounts::testing::PASSWORD)]].concat()).await;
        assert_eq!(done.location(), "/account/apps");
        for language in ["en", "ru"] {
            ann.language = language;
            for section in Section::ALL {
                let page = ann.get(&section.path()).await;
                assert_eq!(page.status, 200, "{}", page.body);
                assert!(page.body.contains(&format!("href=\"{}\" aria-current=\"page\"", section.path())));
                assert!(page.body.contains("<h1>") && !page.body.contains("<title> ·"), "{}", page.body);
                assert!(!page.body.contains("Unknown localization"), "{}", page.body);
                let inline = ["<style", " style=", "<script>", " onclick="];
                assert!(inline.iter().all(|part| !page.body.contains(part)), "{}", section.path());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_form_of_the_account_that_is_not_ours_or_of_another_session_does_nothing() {
    each_state(&[], |state| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            person(&state, email).await;
        }
        let mut ann = signed_in(&state, "ann@example.com", "").await;
        let mut bob = signed_in(&state, "bob@example.com", "").await;
        let of_bob = bob.get("/account/profile").await.hidden("csrf");
        for form in FORMS {
            for csrf in ["", "AAAA", of_bob.as_str()] {
                assert_eq!(ann.post(form, &[("csrf", csrf)]).await.status, 403, "{form} {csrf:?}");
            }
        }
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'account.changed'").await, 0);
    })
    .await;
}

#[tokio::test]
async fn one_ends_ones_own_sessions_and_nobody_elses() {
    each_state(&[], |state| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            person(&state, email).await;
        }
        let mut laptop = signed_in(&state, "ann@example.com", FIREFOX).await;
        let page = laptop.get("/account/sessions").await.body;
        assert!(page.contains("Firefox, Linux") && page.contains("nowhere else"), "{page}");
        let mut phone = signed_in(&state, "ann@example.com", SAFARI).await;
        let mut bob = signed_in(&state, "bob@example.com", "<script>alert(1)</script>").await;

        let page = laptop.get("/account/sessions").await.body;
        assert!(page.contains("Safari, iPhone") && page.contains("by password"), "{page}");
        let [of_phone] = offered(&page).try_into().unwrap();
        let page = phone.get("/account/sessions").await.body;
        let [of_laptop] = offered(&page).try_into().unwrap();
        assert_ne!(of_laptop, of_phone);
        let page = bob.get("/account/sessions").await.body;
        assert!(page.contains("A browser we do not know") && !page.contains("alert(1)"), "{page}");

        // Neither another's, nor one's own by this way, nor nonsense.
        let made_up = SessionId::new(&state.platform.random, &state.platform.clock).to_string();
        let stolen = send(&mut bob, "/account/profile", "/account/sessions", &[("session", &of_phone)]).await;
        assert_eq!(stolen.status, 404);
        for sid in [&*of_laptop, &*made_up, "", "' OR 1=1"] {
            let answer = send(&mut laptop, "/account/profile", "/account/sessions", &[("session", sid)]).await;
            assert_eq!(answer.status, 404, "{sid}");
        }
        assert_eq!(phone.get("/account").await.status, 200);

        let done = send(&mut laptop, "/account/profile", "/account/sessions", &[("session", &of_phone)]).await;
        assert_eq!(done.location(), "/account/sessions?done=one");
        assert!(laptop.get(done.location()).await.body.contains("That browser is signed out."));
        assert_eq!(phone.get("/account").await.status, 303);
        // Over is over.
        let again = send(&mut laptop, "/account/profile", "/account/sessions", &[("session", &of_phone)]).await;
        assert_eq!(again.status, 404);

        let mut phone = signed_in(&state, "ann@example.com", SAFARI).await;
        let done = send(&mut laptop, "/account/profile", "/account/sessions", &[("session", "others")]).await;
        assert_eq!(done.location(), "/account/sessions?done=others");
        assert_eq!(phone.get("/account").await.status, 303);
        assert_eq!(laptop.get("/account").await.status, 200);
        assert_eq!(bob.get("/account").await.status, 200);
        let page = laptop.get("/account/activity").await.body;
        assert!(page.contains("A session was ended") && page.contains("All other sessions were ended"), "{page}");
    })
    .await;
}

async fn app(state: &AppState, id: &str, name: &str, backchannel: Option<&str>) -> clients::Client {
    let metadata = ClientMetadata {
        redirect_uris: vec![format!("https://{id}.example/cb")],
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        scopes: vec!["openid".into(), "email".into(), "referrals:read".into()],
        token_endpoint_auth_method: "client_secret_basic".into(),
        backchannel_logout_uri: backchannel.map(str::to_owned),
        ..ClientMetadata::default()
    };
    let (client_id, name) = (Some(ClientId(id.to_owned())), name.to_owned());
    let client = NewClient { client_id, name, first_party: false, origin: Origin::Operator, metadata };
    clients::create(&state.platform, client).await.unwrap().0
}

/// What allowing leaves behind: a consent and a grant.
async fn allows(state: &AppState, user: UserId, client: &clients::Client) {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await.unwrap();
    let scope = vec!["openid".to_owned(), "referrals:read".to_owned()];
    execute!(
        &mut tx,
        "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4)",
        user,
        &client.client_id,
        sqlx::types::Json(json!({ "scope": scope })),
        platform.clock.now()
    )
    .unwrap();
    let details = GrantDetails { scope, ..GrantDetails::default() };
    insert_grant(&mut tx, platform, client, user, None, &details).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_app_loses_all_that_one_allowed_it_and_is_told() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let bob = person(&state, "bob@example.com").await;
        let notes = app(&state, "notes", "Заметки & <Co>", Some("https://notes.example/out")).await;
        let long = app(&state, "long", &"Ж".repeat(60), None).await;
        for user in [ann, bob] {
            allows(&state, user, &notes).await;
        }
        allows(&state, ann, &long).await;

        let mut browser = signed_in(&state, "ann@example.com", "").await;
        let page = browser.get("/account/apps").await.body;
        assert!(page.contains("Заметки &#38; &#60;Co&#62;") && page.contains(&"Ж".repeat(60)), "{page}");
        assert!(page.contains("See who signed up with your codes") && !page.contains("See your email address"));
        let revoke = |id: &'static str| [("client_id", id)];
        let done = send(&mut browser, "/account/apps", "/account/apps", &revoke("notes")).await;
        assert_eq!(done.location(), "/account/apps?done=one");
        let page = browser.get("/account/apps").await.body;
        assert!(!page.contains("Заметки") && page.contains(&"Ж".repeat(60)), "{page}");
        for id in ["notes", "nobody", ""] {
            assert_eq!(send(&mut browser, "/account/apps", "/account/apps", &revoke(id)).await.status, 404, "{id}");
        }

        let mut conn = state.platform.db.read().await.unwrap();
        let left = count(&mut conn, "SELECT COUNT(*) FROM consents WHERE client_id = 'notes'").await;
        let live =
            count(&mut conn, "SELECT COUNT(*) FROM grants WHERE client_id = 'notes' AND revoked_at IS NULL").await;
        let ended = count(&mut conn, "SELECT COUNT(*) FROM revocations WHERE kind = 'grant'").await;
        assert_eq!((left, live, ended), (1, 1, 1), "Bob's is left, Ann's is over");
        drop(conn);
        let now = state.platform.clock.now();
        let jobs = outbox::take(&state.platform.db, "backchannel_logout", now, TimeDelta::seconds(1), 9).await.unwrap();
        let told: Vec<_> = jobs
            .iter()
            .filter(|taken| matches!(&taken.job, Job::BackchannelLogout { user_id, .. } if *user_id == ann))
            .collect();
        assert_eq!((jobs.len(), told.len()), (1, 1));
        let page = browser.get("/account/activity").await.body;
        assert!(page.contains("Access of an app removed") && page.contains("Заметки"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_profile_is_changed_and_what_was_typed_is_kept_when_something_is_wrong() {
    each_state(&[], |state| async move {
        let id = person(&state, "ann@example.com").await;
        let mut ann = signed_in(&state, "ann@example.com", "").await;
        assert!(ann.get("/account/profile").await.body.contains("value=\"yes\" checked"));
        let good = [
            ("given_name", " Анна-Мария "),
            ("family_name", "О’Нил"),
            ("locale", "ru"),
            ("nickname", "Нюта"),
            ("website", "https://ann.example/"),
            ("street_address", "Невский, 1\nкв. 2"),
            ("country", "Россия"),
        ];
        let bad = [&good[..], &[("website", "javascript:alert(1)"), ("birthdate", "1990-02-30")]].concat();
        let bad: Vec<_> = bad.into_iter().filter(|field| *field != ("website", "https://ann.example/")).collect();
        let page = send(&mut ann, "/account/profile", "/account/profile", &bad).await;
        assert_eq!(page.status, 422);
        for kept in [
            "value=\"Нюта\"",
            "value=\"javascript:alert(1)\"",
            "кв. 2</textarea>",
            "href=\"#birthdate\"",
            "<details open>",
        ] {
            assert!(page.body.contains(kept), "{kept}: {}", page.body);
        }
        assert!(!page.body.contains("value=\"yes\" checked"), "the box was not ticked");
        let page = send(&mut ann, "/account/profile", "/account/profile", &[("given_name", &"Ы".repeat(65))]).await;
        assert_eq!(page.status, 422);
        let page =
            send(&mut ann, "/account/profile", "/account/profile", &[("family_name", "free-money.example.com")]).await;
        assert_eq!(page.status, 422);

        let done = send(&mut ann, "/account/profile", "/account/profile", &good).await;
        assert_eq!(done.location(), "/account/profile?done=saved");
        let page = ann.get(done.location()).await.body;
        assert!(page.contains("Your profile is saved.") && page.contains("value=\"Анна-Мария\""), "{page}");
        let user = shared::users::by_id(&mut state.platform.db.read().await.unwrap(), id).await.unwrap().unwrap();
        assert_eq!(user.display_name().as_deref(), Some("Анна-Мария О’Нил"));
        assert_eq!((user.locale.as_deref(), user.discoverable), (Some("ru"), false));
        assert_eq!(user.profile.nickname.as_deref(), Some("Нюта"));
        assert_eq!(user.profile.address.as_ref().unwrap().country.as_deref(), Some("Россия"));
        assert!(ann.get("/account").await.body.contains("Анна-Мария О’Нил"));
        // A word in the address that is none of ours tells nothing.
        assert!(!ann.get("/account/profile?done=%3Cb%3E").await.body.contains("class=\"notice\""));
    })
    .await;
}

#[tokio::test]
async fn the_confirmation_mail_is_sent_again_a_few_times_an_hour() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        let id = person(&state, "ann@example.com").await;
        let mut ann = signed_in(&state, "ann@example.com", "").await;
        for _ in 0..3 {
            let done = send(&mut ann, "/account/profile", "/account/profile/verification", &[]).await;
            assert_eq!(done.location(), "/account/profile?done=mail");
        }
        let page = send(&mut ann, "/account/profile", "/account/profile/verification", &[]).await;
        assert_eq!(page.status, 429);
        assert!(page.headers.contains_key("retry-after") && page.body.contains("several mails already"));
        let now = state.platform.clock.now();
        let mails = outbox::take(&state.platform.db, "mail", now, TimeDelta::seconds(1), 20).await.unwrap();
        let mails = mails.iter().filter(|taken| matches!(taken.job, Job::VerifyEmail { .. })).count();
        assert_eq!(mails, 4, "one by the sign-up, three asked for");

        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", id, now).unwrap();
        tx.commit().await.unwrap();
        let done = send(&mut ann, "/account/profile", "/account/profile/verification", &[]).await;
        assert_eq!(done.location(), "/account/profile", "there is nothing to confirm any more");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_made_shared_and_deleted_everywhere_at_once() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let (mut browser, mut bob) =
            (signed_in(&state, "ann@example.com", "").await, signed_in(&state, "bob@example.com", "").await);
        let page = browser.get("/account/referrals").await.body;
        assert!(page.contains("type=\"date\"") && page.contains("Nobody has signed up"), "{page}");
        let day = (state.platform.clock.now() + TimeDelta::days(30)).date_naive().to_string();
        let (today, far) = (state.platform.clock.now().date_naive().to_string(), "2999-01-01");
        for (fields, fault) in [
            ([("expires", "soon"), ("code", ""), ("max_uses", "")], "#expires"),
            ([("expires", &*today), ("code", ""), ("max_uses", "")], "#expires"),
            ([("expires", far), ("code", ""), ("max_uses", "")], "#expires"),
            ([("expires", &*day), ("code", "аня"), ("max_uses", "")], "#code"),
            ([("expires", &*day), ("code", "lookup"), ("max_uses", "")], "#code"),
            ([("expires", &*day), ("code", "<b>ANN"), ("max_uses", "7")], "#code"),
            ([("expires", &*day), ("code", ""), ("max_uses", "0")], "#max_uses"),
            ([("expires", &*day), ("code", ""), ("max_uses", "many")], "#max_uses"),
        ] {
            let page = send(&mut browser, "/account/referrals", "/account/referrals", &fields).await;
            assert_eq!(page.status, 422, "{fields:?}");
            assert!(page.body.contains(&format!("href=\"{fault}\"")), "{fields:?}: {}", page.body);
            assert!(!page.body.contains("<b>ANN"));
        }
        let fields = [("expires", &*day), ("code", "ann-lee"), ("max_uses", "7")];
        let done = send(&mut browser, "/account/referrals", "/account/referrals", &fields).await;
        assert_eq!(done.location(), "/account/referrals?done=made");
        let page = browser.get(done.location()).await.body;
        assert!(page.contains("ANN-LEE") && page.contains("/r/ANN-LEE") && page.contains("0 / 7"), "{page}");
        assert!(page.contains("<svg class=\"qr\"") && page.contains("data-copy="), "{page}");
        // A second tab, and somebody else with the same wish.
        let csrf = browser.get("/account/referrals").await.hidden("csrf");
        let again = browser.post("/account/referrals", &[("csrf", &csrf), ("expires", &day)]).await;
        assert_eq!(again.status, 409);
        let taken = send(&mut bob, "/account/referrals", "/account/referrals", &fields).await;
        assert_eq!(taken.status, 409);
        assert!(taken.body.contains("Somebody has or had this code") && taken.body.contains("value=\"ann-lee\""));

        // The API keeps it in the cache; whoever deletes it here is done with it there too.
        let platform = &state.platform;
        let row = store::active_of(&mut platform.db.read().await.unwrap(), ann).await.unwrap().unwrap();
        let end = row.expires_at.to_rfc3339();
        assert!(end.starts_with(&format!("{day}T23:59:59")), "{end}");
        cached::fill(platform, &row).await;
        let entry = Entry::Code(CodeKey::fold(&row.code).unwrap());
        assert_eq!(entry.get(platform).await.is_some(), platform.cache.keeps_entries());
        for code in ["ANN-LEE", "", "абв", "NEVERWAS"] {
            let stolen = send(&mut bob, "/account/referrals", "/account/referrals/delete", &[("code", code)]).await;
            assert_eq!(stolen.status, 404, "{code}");
        }
        let done = send(&mut browser, "/account/referrals", "/account/referrals/delete", &[("code", "ann-lee")]).await;
        assert_eq!(done.location(), "/account/referrals?done=deleted");
        assert!(entry.get(platform).await.is_none());
        cached::fill(platform, &row).await;
        assert!(entry.get(platform).await.is_none(), "a reader who was slow puts nothing back");
        let mut conn = platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM cache_invalidations").await, 0, "it was delivered");
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind LIKE 'referral_code.%'").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_replaced_by_a_new_one_with_the_same_end_and_limit() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let old = code_of(&state.platform, ann, Some(7)).await;
        let (mut browser, mut bob) =
            (signed_in(&state, "ann@example.com", "").await, signed_in(&state, "bob@example.com", "").await);
        let replace = "/account/referrals/rotate";
        for code in [old.code.as_str(), "", "абв", "NEVERWAS"] {
            let stolen = send(&mut bob, "/account/referrals", replace, &[("code", code)]).await;
            assert_eq!(stolen.status, 404, "{code}");
        }
        let csrf = browser.get("/account/referrals").await.hidden("csrf");
        assert_eq!(browser.post(replace, &[("csrf", "AAAA"), ("code", &old.code)]).await.status, 403);
        let done = browser.post(replace, &[("csrf", &csrf), ("code", &old.code)]).await;
        assert_eq!(done.location(), "/account/referrals?done=rotated");
        let platform = &state.platform;
        let new = store::active_of(&mut platform.db.read().await.unwrap(), ann).await.unwrap().unwrap();
        assert_eq!((new.max_uses, new.uses, new.expires_at), (Some(7), 0, old.expires_at));
        assert_ne!(new.code, old.code);
        let page = browser.get(done.location()).await.body;
        assert!(page.contains(&new.code) && !page.contains(&old.code) && page.contains("your new code"), "{page}");
        let again = browser.post(replace, &[("csrf", &csrf), ("code", &old.code)]).await;
        assert_eq!(again.status, 404, "a second tab replaces nothing more");
        let refused = sign_up(&state, account("cleo@example.com", Some(&old.code)), &crate::accounts::testing::HERE);
        assert!(refused.await.is_err());
    })
    .await;
}

#[tokio::test]
async fn referrals_are_shown_masked_page_by_page_and_counted_by_month() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let code = code_of(&state.platform, ann, Some(22)).await;
        for n in 0..22 {
            let mut friend = account(&format!("friend{n}@example.org"), Some(&code.code));
            friend.given_name = Some(if n == 21 { "Я".repeat(64) } else { format!("Friend {n}") });
            sign_up(&state, friend, &crate::accounts::testing::HERE).await.unwrap();
        }
        let mut browser = signed_in(&state, "ann@example.com", "").await;
        let first = browser.get("/account/referrals").await.body;
        assert_eq!(first.matches("class=\"entry\"").count(), 20);
        assert!(first.contains(&"Я".repeat(64)) && !first.contains("friend3@example.org"), "{first}");
        assert!(first.contains("f•••@e•••.org"), "{first}");
        assert!(first.contains("used up") && first.contains("22 sign-ups") && first.contains("<td>22</td>"), "{first}");
        let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let second = browser.get(next).await.body;
        assert_eq!(second.matches("class=\"entry\"").count(), 2);
        assert!(second.contains("Friend 0") && !second.contains("rel=\"next\""), "{second}");
        assert_eq!(browser.get("/account/referrals?before=nonsense").await.status, 200);
        let mut bob = Browser::new(&state);
        person(&state, "bob@example.com").await;
        bob.sign_in("bob@example.com").await;
        assert_eq!(bob.get(next).await.body.matches("class=\"entry\"").count(), 0);
    })
    .await;
}

#[tokio::test]
async fn activity_tells_each_kind_in_words_and_of_nobody_else() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let bob = person(&state, "bob@example.com").await;
        let platform = &state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        for _ in 0..25 {
            audit::record(&mut tx, platform, "signin.failed", Some(ann), None, json!({})).await.unwrap();
        }
        audit::record(&mut tx, platform, "moon.rose", Some(ann), None, json!({})).await.unwrap();
        let operator = json!({ "why": "operator" });
        audit::record(&mut tx, platform, "account.signed_out", Some(ann), None, operator).await.unwrap();
        audit::record(&mut tx, platform, "device.denied", Some(bob), None, json!({})).await.unwrap();
        tx.commit().await.unwrap();
        let mut browser = signed_in(&state, "ann@example.com", "").await;
        let page = browser.get("/account/activity").await.body;
        for words in ["Signed in", "An administrator ended", "“moon.rose”", "tried to sign in and failed"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains("A device was turned away"));
        let next = page.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let second = browser.get(next).await.body;
        assert!(second.contains("Account created") && second.contains("Newest"), "{second}");
    })
    .await;
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, into);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

/// The kinds of events that the code records, read from the code: the first text that looks like one after each call.
fn recorded() -> BTreeSet<String> {
    let mut files = vec![];
    for folder in ["auth-server/src", "referral-api/src", "shared/src"] {
        sources(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder), &mut files);
    }
    let is_kind = |text: &str| {
        text.split_once('.').is_some_and(|(thing, deed)| {
            [thing, deed].iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        })
    };
    let mut kinds = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (at, call) in text.match_indices("record(") {
            let after: String = text[at + call.len()..].chars().take(400).collect();
            // The arguments of this call, without what follows it.
            let arguments = after.split(';').next().unwrap();
            kinds.extend(arguments.split('"').skip(1).step_by(2).find(|t| is_kind(t)).map(str::to_owned));
        }
    }
    kinds
}

#[test]
fn every_kind_of_event_that_the_code_records_has_words() {
    let kinds = recorded();
    for known in
        ["signin.failed", "referral_code.deleted", "app.disconnected", "refresh_token.reused", "invitation.requested"]
    {
        assert!(kinds.contains(known), "{known} is not found in the code: {kinds:?}");
    }
    for kind in &kinds {
        for locale in Locale::ALL {
            assert!(
                locale.knows(&message_of(kind)),
                "the page of activity has no words for {kind} ({})",
                message_of(kind)
            );
        }
    }
    // And none for what nobody records any more.
    let messages = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/locales/en/account.ftl"));
    let told: BTreeSet<String> = kinds.iter().map(|kind| message_of(kind)).collect();
    let own = ["activity-text", "activity-none", "activity-other", "activity-by-operator"];
    for line in messages.unwrap().lines().filter(|line| line.starts_with("activity-")) {
        let key = line.split(" =").next().unwrap();
        assert!(own.contains(&key) || told.contains(key), "nobody records what {key} tells");
    }
}
