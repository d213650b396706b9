//! A code goes round: its link is shared, followed and remembered, the code replaced and deleted under way, friends are
//! invited by mail, and some of them do not want to be.

use chrono::TimeDelta;
use futures::future::join_all;
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::actor::{Actor, Answer};
use crate::recovery::{link, mail};
use crate::world::{PASSWORD, World};

async fn item(who: &Actor) -> Value {
    who.get("/v1/referral-codes").await.is(200)["items"][0].clone()
}

/// What a link answers by itself.
#[expect(clippy::disallowed_methods, reason = "a stranger's client, which follows nothing")]
async fn leads(url: &str, method: Method, headers: &[(&'static str, &str)]) -> Answer {
    let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().expect("an HTTP client");
    let mut request = http.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::to(request).await
}

/// "share link `/r/{code}` on the authorization server that records a click … and leads to sign-up" and "explicit code
/// wins, else a signed first- or last-touch cookie".
async fn a_link_is_shared_followed_and_remembered_until_somebody_signs_up(world: World) {
    let ann = world.person("ann").await;
    let created = ann.post("/v1/referral-codes", json!({ "expires_at": in_days(&world, 30) })).await.is(201);
    let code = created["code"].as_str().unwrap().to_owned();
    let link = created["link"].as_str().unwrap().to_owned();
    assert_eq!(link, format!("{}/r/{code}", world.auth_url));

    let led = leads(&link, Method::GET, &[]).await;
    assert_eq!((led.status, led.header("location")), (303, &*format!("/signup?ref={code}")));
    assert!(led.header("cache-control") == "no-store" && led.header("referrer-policy") == "no-referrer", "{led:?}");
    for (method, headers) in [
        (Method::HEAD, vec![]),
        (Method::GET, vec![("sec-purpose", "prefetch")]),
        (Method::GET, vec![("user-agent", "TelegramBot (like TwitterBot)")]),
    ] {
        assert_eq!(leads(&link, method, &headers).await.status, 303);
    }

    let mut ben = world.visitor();
    let page = ben.open(&link).await.page();
    assert!(page.says("Ann invites you") && page.url.path() == "/signup", "{}", page.body);
    // Not today. The next day the browser still knows.
    world.pass(std::time::Duration::from_secs(86_400));
    let page = ben.open(format!("{}/signup", world.auth_url)).await.page();
    assert_eq!(page.value_of("referral_code").as_deref(), Some(code.as_str()));
    let done = ben.submit(&page, &[("email", "ben@example.com"), ("password", PASSWORD)]).await.page();
    assert_eq!(done.status, 200, "{}", done.body);

    let ann = world.signed_in(ann).await;
    let stats = ann.get(&format!("/v1/referral-codes/{code}/stats")).await.is(200);
    assert_eq!([&stats["clicks"], &stats["visitors"], &stats["sign_ups"]].map(Value::as_i64), [2, 1, 1].map(Some));
    assert_eq!(stats["by_day"].as_array().unwrap().len(), 2, "{stats}");
    assert_eq!((item(&ann).await["clicks"].as_i64(), item(&ann).await["uses"].as_i64()), (Some(2), Some(1)));
    let mut conn = world.platform.db.read().await.unwrap();
    let sources = shared::fetch_all!(&mut conn, (String,), "SELECT source FROM referrals").unwrap();
    assert_eq!(sources, [("last_touch".to_owned(),)]);
    drop(conn);

    let qr = ann.get(&format!("/v1/referral-codes/{code}/qr.svg")).await;
    assert!(qr.status == 200 && qr.header("content-type") == "image/svg+xml" && qr.body.starts_with("<svg"), "{qr:?}");
    assert_eq!(created["qr_url"], format!("{}/v1/referral-codes/{code}/qr.svg", world.api_url));
}
on_both_stores!(a_link_is_shared_followed_and_remembered_until_somebody_signs_up);

fn in_days(world: &World, days: i64) -> String {
    (world.platform.clock.now() + TimeDelta::days(days)).to_rfc3339()
}

/// "rotate (delete and create in one step), history".
async fn a_code_is_replaced_and_its_old_links_lead_nowhere(world: World) {
    let ann = world.person("ann").await;
    let old = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let mut ben = world.visitor();
    let page = ben.open(format!("{}/r/{old}", world.auth_url)).await.page();
    let body = json!({ "expires_at": in_days(&world, 60), "code": "ANN-2030", "max_uses": 9 });
    let new = ann.post(&format!("/v1/referral-codes/{old}/rotate"), body.clone()).await.is(201);
    assert_eq!((new["code"].as_str(), new["max_uses"].as_i64()), (Some("ANN-2030"), Some(9)));
    ann.post(&format!("/v1/referral-codes/{old}/rotate"), body).await.is_problem(404, "");

    // Who has the old one in the form is told; who has it from the link alone goes on without.
    let refused = ben.submit(&page, &[("email", "ben@example.com"), ("password", PASSWORD)]).await.page();
    assert_eq!(refused.status, 422, "{}", refused.body);
    let page = ben.open(format!("{}/signup", world.auth_url)).await.page();
    assert_eq!(page.value_of("referral_code").as_deref(), Some(""));
    let dead = world.visitor().open(format!("{}/r/{old}", world.auth_url)).await.page();
    assert!(dead.status == 200 && dead.says("no longer works"), "{}", dead.body);

    let history = ann.get("/v1/referral-codes").await.is(200);
    let told: Vec<_> = history["items"].as_array().unwrap().iter().map(|i| (&i["code"], &i["status"])).collect();
    assert_eq!(told, [(&json!("ANN-2030"), &json!("active")), (&json!(old), &json!("deleted"))]);
    assert!(history["items"][1]["deleted_at"].is_string() && history["items"][1]["clicks"] == 1, "{history}");
}
on_both_stores!(a_code_is_replaced_and_its_old_links_lead_nowhere);

async fn of_forty_that_replace_a_code_one_does(world: World) {
    let ann = world.person("ann").await;
    let old = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let path = format!("/v1/referral-codes/{old}/rotate");
    let body = json!({ "expires_at": in_days(&world, 30) });
    let answers = join_all((0..40).map(|_| ann.post(&path, body.clone()))).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(201), with(404)), (1, 39), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert_eq!(ann.get("/v1/referral-codes").await.is(200)["items"].as_array().unwrap().len(), 2);
}
on_both_stores!(of_forty_that_replace_a_code_one_does);

/// "deletion against sign-up → never a referral by a deleted code".
async fn sign_ups_that_race_with_a_deletion_leave_no_referral_by_a_deleted_code(world: World) {
    let ann = world.person("ann").await;
    for round in 0..3 {
        let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
        let anon = world.anon();
        let sign_up = |email: String| {
            anon.post("/api/v1/signup", json!({ "email": email, "password": PASSWORD, "referral_code": code }))
        };
        let path = format!("/v1/referral-codes/{code}");
        let deletion = async {
            tokio::time::sleep(std::time::Duration::from_millis(40 * round)).await;
            ann.delete(&path).await.is(204);
        };
        let (answers, ()) =
            tokio::join!(join_all((0..20).map(|n| sign_up(format!("r{round}f{n}@example.com")))), deletion);
        let referred = answers.iter().filter(|answer| answer.status == 201).count();
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            refused.is_problem(422, "referral_code");
        }
        // From the answer on, nobody more.
        sign_up(format!("late{round}@example.com")).await.is_problem(422, "referral_code");
        let stats = ann.get(&format!("{path}/stats")).await.is(200);
        assert_eq!(stats["sign_ups"], referred, "{stats}");
        assert_eq!(ann.get(&path).await.is(200)["status"], "deleted");
        let mut conn = world.platform.db.read().await.unwrap();
        let (uses, referrals): (i64, i64) = shared::fetch_one!(
            &mut conn,
            (i64, i64),
            "SELECT c.uses, (SELECT COUNT(*) FROM referrals r WHERE r.code_id = c.id) FROM referral_codes c \
             WHERE c.code = $1",
            &code
        )
        .unwrap();
        assert_eq!((uses, referrals), (referred as i64, referred as i64));
    }
}
on_both_stores!(sign_ups_that_race_with_a_deletion_leave_no_referral_by_a_deleted_code);

/// "a person who objected is never mailed again; delivery state visible to the referrer without telling who exists".
async fn who_objects_to_invitations_gets_no_more_and_the_referrer_can_not_tell(world: World) {
    let ann = world.person("ann").await;
    let mut browser = world.visitor();
    let mailed = mail(&world.platform, &ann.email, "Confirm your email address").await;
    let page = browser.open(link(&mailed, "/verify-email")).await.page();
    browser.submit(&page, &[("password", PASSWORD)]).await.page();
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;

    let invite = async |friend: &str| {
        let body = json!({ "referrer_email": ann.email, "email": friend });
        assert_eq!(ann.post("/v1/invitations", body).await.is(202), json!({ "status": "accepted" }));
    };
    let is_sent = async |n: usize| {
        for _ in 0..100 {
            let listed = ann.get("/v1/invitations").await.is(200);
            let items = listed["items"].as_array().unwrap().clone();
            if items.len() == n && items.iter().all(|item| item["status"] == "sent" && item["sent_at"].is_string()) {
                return items;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("an invitation is not sent");
    };
    invite("friend@example.org").await;
    is_sent(1).await;
    let mailed = mail(&world.platform, "friend@example.org", "Ann invites you").await;
    assert!(mailed.contains(&format!("/r/{code}")), "{mailed}");
    let mut friend = world.visitor();
    assert!(mailed.contains("/unsubscribe"), "{mailed}");
    let address = shared::email::Email::parse("friend@example.org").unwrap();
    let way_out = auth_server::outside::unsubscribe::link(&world.platform, &address);
    let page = friend.open(way_out).await.page();
    friend.submit(&page, &[("token", &page.value_of("token").unwrap())]).await.page();

    invite("friend+again@example.org").await;
    invite("other@example.org").await;
    let items = is_sent(3).await;
    mail(&world.platform, "other@example.org", "Ann invites you").await;
    assert!(items.iter().all(|item| item.as_object().unwrap().len() == 5), "{items:?}");
    assert_eq!(items[1]["email"], "f•••@e•••.org");
    let folder = world.platform.config.data_dir.join("mail");
    let mails: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| std::fs::read_to_string(e.unwrap().path())).collect();
    let to_friend = mails.iter().flatten().filter(|mail| mail.contains("To: friend")).count();
    assert_eq!(to_friend, 1, "once, and never again");
    let stranger = world.person("eve").await;
    let path = format!("/v1/invitations/{}", items[0]["id"].as_str().unwrap());
    stranger.get(&path).await.is_problem(404, "");
    ann.delete(&path).await.is_problem(409, "");
}
on_both_stores!(who_objects_to_invitations_gets_no_more_and_the_referrer_can_not_tell);
