//! One's own account in a real browser: a session ended, an app's access removed, a referral code made, shared and deleted.

use crate::browser::{Browser, Driver};
use crate::visitor::Stop;
use crate::world::{PASSWORD, World};

async fn a_person_looks_after_their_account(world: World) {
    let ann = world.person("ann").await;
    // Another browser, and an app that was allowed to keep its access.
    let wonder = world.app().await;
    let mut phone = world.visitor();
    let tokens = wonder.signs_in(&mut phone, &ann.email, "openid offline_access referrals:read").await;
    assert_eq!(phone.open(format!("{}/account", world.auth_url)).await.page().url.path(), "/account");

    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, None).await;
    browser.goto(&format!("{}/account/sessions", world.auth_url)).await;
    browser.fill("email", &ann.email).await;
    browser.fill("password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;

    // Signing in leads back to where she wanted to go. She does not know the other browser, and ends it.
    let this = browser.find(".entry.here h3").await.text().await.unwrap();
    assert_eq!(this, "Chrome, Linux");
    browser.click(".entries .entry button[name=session]").await;
    browser.find(".notice").await;
    browser.find(".empty").await;
    let led = phone.open(format!("{}/account", world.auth_url)).await.page();
    assert_eq!(led.url.path(), "/login", "the other browser is signed out");

    // The app was allowed to keep its access beyond the session; now it loses it.
    let refreshed = wonder.refresh(tokens["refresh_token"].as_str().unwrap()).await.is(200);
    browser.click(".sections a[href='/account/apps']").await;
    let allowed = browser.find(".card.app .scopes").await.text().await.unwrap();
    assert!(allowed.contains("See who signed up with your codes"), "{allowed}");
    let app = format!("button[name=client_id][value='{}']", wonder.client_id);
    browser.click(&app).await;
    browser.find(".notice").await;
    browser.gone(&app).await;
    let token = refreshed["refresh_token"].as_str().unwrap();
    wonder.refresh(token).await.is_oauth_error(400, "invalid_grant");
    // It has to ask again.
    let mut laptop = world.visitor();
    let asked = laptop.open(&wonder.authorization("openid referrals:read").url).await.page();
    let asked = laptop.submit(&asked, &[("email", &ann.email), ("password", PASSWORD)]).await;
    assert!(matches!(asked, Stop::Page(page) if page.has_field("decision")));

    // A code of her own, with a link to share that is in the picture too.
    browser.click(".sections a[href='/account/referrals']").await;
    browser.click("form[action='/account/referrals'] button.main").await;
    let code = browser.find(".ticket").await.text().await.unwrap();
    let link = browser.find("#share").await.attr("value").await.unwrap().unwrap();
    assert_eq!(link, format!("{}/r/{code}", world.auth_url));
    browser.find("svg.qr[role=img]").await;
    browser.find("button.copy").await;
    let own = ann.get("/v1/referral-codes").await.is(200);
    assert_eq!(own["items"][0]["code"], code, "{own}");
    world.person_through("ben", Some(&code)).await;
    // The API has it in its cache when she deletes it here.
    ann.get(&format!("/v1/referral-codes/{code}")).await.is(200);
    browser.client.refresh().await.unwrap();
    let friends = browser.find(".part .entries").await.text().await.unwrap();
    assert!(friends.contains("Ben") && !friends.contains("ben@example.com"), "{friends}");
    browser.find(".chart svg[role=img]").await;
    browser.click("details.end summary").await;
    browser.click("form[action='/account/referrals/delete'] button").await;
    browser.find("form[action='/account/referrals']").await;
    assert_eq!(ann.get(&format!("/v1/referral-codes/{code}")).await.is(200)["status"], "deleted");
    let dead = world.visitor().open(&link).await.page();
    assert!(dead.says("no longer works"), "{}", dead.body);

    browser.client.close().await.unwrap();
}
on_both_stores!(a_person_looks_after_their_account);
