//! What one does with a mailbox, in a real browser: a lost password, another address, an account left and kept.

use crate::browser::{Browser, Driver};
use crate::recovery::{code, link, mail};
use crate::world::{PASSWORD, World};

const NEW: &str = "staple battery horse";

async fn open(world: &World) -> (Driver, Browser) {
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, None).await;
    (driver, browser)
}

async fn goes(world: &World, browser: &Browser, path: &str) {
    browser.goto(&format!("{}{path}", world.auth_url)).await;
}

/// On the sign-in page.
async fn signs_in(browser: &Browser, email: &str, password: &str) {
    browser.fill("email", email).await;
    browser.fill("password", password).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.gone("form[action='/login']").await;
}

/// Follows the link in the mail that came upon sign-up, and says whose account it is.
async fn proves(world: &World, browser: &Browser, email: &str) {
    let mailed = mail(&world.platform, email, "Confirm your email address").await;
    browser.goto(&link(&mailed, "/verify-email")).await;
    browser.fill("password", PASSWORD).await;
    browser.click("form[action='/verify-email'] button[type=submit]").await;
    browser.gone("form[action='/verify-email']").await;
}

async fn a_lost_password_leads_back_to_the_app_that_asked(world: World) {
    world.person("ann").await;
    let app = world.app().await;
    let (_driver, browser) = open(&world).await;
    browser.goto(app.authorization("openid").url.as_str()).await;
    browser.click("a[href^='/forgot-password']").await;
    browser.find("form[action='/forgot-password']").await;
    browser.fill("email", "ann@example.com").await;
    browser.click("form[action='/forgot-password'] button[type=submit]").await;
    browser.find("form[action='/reset-password'] input[name=code]").await;
    let mailed = mail(&world.platform, "ann@example.com", "Choose a new password").await;
    // A scanner of mails opens the link before her: that uses up nothing.
    world.visitor().open(&link(&mailed, "/reset-password")).await.page();

    browser.fill("code", "AAAA-AAAA").await;
    browser.fill("password", NEW).await;
    browser.click("form[action='/reset-password'] button[type=submit]").await;
    browser.find("#code-error").await;
    let kept = browser.find("input[name=code]").await.prop("value").await.unwrap();
    assert_eq!(kept.as_deref(), Some("AAAA-AAAA"), "nothing typed is lost");
    let secret = browser.find("input[name=password]").await.prop("value").await.unwrap();
    assert_eq!(secret.as_deref(), Some(""), "but secrets");
    browser.fill("code", &code(&mailed)).await;
    browser.fill("password", NEW).await;
    browser.click("form[action='/reset-password'] button[type=submit]").await;
    browser.gone("form[action='/reset-password']").await;
    browser.shows("mailbox-reset").await;

    // On to the app: its request is still there.
    signs_in(&browser, "ann@example.com", NEW).await;
    browser.find("button[name=decision][value=allow]").await;
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");

    // Back to a page that is over: it says so, and leads on.
    browser.goto(&link(&mailed, "/reset-password")).await;
    browser.find("a[href^='/forgot-password']").await;
    browser.client.close().await.unwrap();
}
on_both_stores!(a_lost_password_leads_back_to_the_app_that_asked);

async fn another_address_is_confirmed_at_both(world: World) {
    world.person("ann").await;
    let (_driver, browser) = open(&world).await;
    proves(&world, &browser, "ann@example.com").await;
    goes(&world, &browser, "/login").await;
    signs_in(&browser, "ann@example.com", PASSWORD).await;
    goes(&world, &browser, "/account/profile/email").await;
    browser.fill("email", "ann@new.example").await;
    browser.fill("current_password", PASSWORD).await;
    browser.click("form[action='/account/profile/email'] button.main").await;
    browser.find(".stages").await;
    browser.shows("mailbox-address-waits").await;

    for (address, subject) in [
        ("ann@example.com", "Your email address is to be changed"),
        ("ann@new.example", "Confirm your new email address"),
    ] {
        let mailed = mail(&world.platform, address, subject).await;
        world.cli.password("ann@new.example", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
        browser.goto(&link(&mailed, "/email-change")).await;
        browser.click("form[action='/email-change'] button.main").await;
        browser.gone("form[action='/email-change']").await;
    }
    goes(&world, &browser, "/account/profile").await;
    let profile = browser.find("main").await.text().await.unwrap();
    assert!(profile.contains("ann@new.example") && !profile.contains("ann@example.com"), "{profile}");
    world.cli.password("ann@new.example", PASSWORD, "openid").await.is(200);
    browser.client.close().await.unwrap();
}
on_both_stores!(another_address_is_confirmed_at_both);

async fn an_account_is_left_and_kept(world: World) {
    world.person("ann").await;
    let (_driver, browser) = open(&world).await;
    goes(&world, &browser, "/login").await;
    signs_in(&browser, "ann@example.com", PASSWORD).await;
    goes(&world, &browser, "/account/delete").await;
    // The wrong address is a slip, not a wish.
    browser.fill("confirmation", "ben@example.com").await;
    browser.fill("current_password", PASSWORD).await;
    browser.click("form[action='/account/delete'] button[type=submit]").await;
    browser.find("#confirmation-error").await;
    browser.fill("confirmation", "ann@example.com").await;
    browser.fill("current_password", PASSWORD).await;
    browser.click("form[action='/account/delete'] button[type=submit]").await;
    browser.gone("form[action='/account/delete']").await;
    browser.shows("mailbox-left").await;
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");

    goes(&world, &browser, "/login").await;
    signs_in(&browser, "ann@example.com", PASSWORD).await;
    browser.find("form[action='/account/keep']").await;
    browser.shows("mailbox-keep").await;
    browser.click("form[action='/account/keep'] button[type=submit]").await;
    browser.gone("form[action='/account/keep']").await;
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is(200);
    browser.client.close().await.unwrap();
}
on_both_stores!(an_account_is_left_and_kept);
