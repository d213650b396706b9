//! The telephone is not at hand: a code by mail, a device that is remembered, and terms that changed meanwhile; in a real
//! browser, with the pages held to what every other page is.

use std::time::Duration;

use shared::execute;
use totp_rs::{Builder, Secret, Totp};

use crate::accessible::{brings_axe, violations};
use crate::browser::{Browser, Driver};
use crate::devtools::Look;
use crate::recovery::{code, mail};
use crate::world::{PASSWORD, World};

const EMAIL: &str = "ben@example.com";

/// Each page in both languages and themes, on both screens: nothing keeps anybody out. With REFERRIS_PICTURES=folder, also
/// to be looked at.
async fn is_for_everybody(browser: &Browser, name: &str) {
    let path = browser.client.current_url().await.unwrap();
    for (language, theme, screen) in [
        ("ru", "light", "phone"),
        ("ru", "dark", "desktop"),
        ("en", "dark", "phone"),
        ("en", "light", "phone"),
        ("en", "light", "desktop"),
    ] {
        let look = Look { language, theme, screen };
        browser.looks(look).await;
        let mut there = path.clone();
        there.query_pairs_mut().append_pair("lang", language);
        browser.goto(there.as_str()).await;
        if let Some(folder) = std::env::var_os("REFERRIS_PICTURES") {
            let picture = browser.picture(look, true).await;
            let file = format!("{name}-{language}-{theme}-{screen}.webp");
            std::fs::write(std::path::Path::new(&folder).join(file), picture).expect("a folder for pictures");
        }
        let faults = violations(browser).await;
        assert!(faults.is_empty(), "{name} {look:?}:\n{}", faults.join("\n"));
    }
}

async fn goes(world: &World, browser: &Browser, path: &str) {
    browser.goto(&format!("{}{path}", world.auth_url)).await;
}

async fn signs_out(world: &World, browser: &Browser) {
    goes(world, browser, "/logout").await;
    browser.click("form[action='/logout'] button[type=submit]").await;
    browser.gone("form[action='/logout']").await;
}

async fn types_password(world: &World, browser: &Browser) {
    goes(world, browser, "/login").await;
    browser.fill("email", EMAIL).await;
    browser.fill("password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.gone("form[action='/login']").await;
}

async fn types_code(browser: &Browser, code: &str) {
    browser.fill("code", code).await;
    browser.click("form[action='/login/second-factor'] button").await;
}

fn code_of(app: &Totp, world: &World) -> String {
    app.generate(u64::try_from(world.platform.clock.timestamp()).expect("after 1970")).to_string()
}

/// Signs up, proves the address and sets an app up.
async fn begins(world: &World, browser: &Browser) -> Totp {
    goes(world, browser, "/signup").await;
    browser.fill("email", EMAIL).await;
    browser.fill("password", PASSWORD).await;
    browser.click("input[name=terms]").await;
    browser.click("form[action='/signup'] button[type=submit]").await;
    browser.gone("form[action='/signup']").await;
    goes(world, browser, "/account/security").await;
    browser.click("form[action='/account/security/app'] button").await;
    let secret = browser.find(".secret code").await.text().await.unwrap();
    let secret = Secret::try_from_base32(secret.replace(' ', "")).expect("base32");
    let app = Builder::new().with_secret(secret).build().expect("a usable secret");
    browser.fill("code", &code_of(&app, world)).await;
    browser.click("form[action='/account/security/app/confirm'] button").await;
    browser.find(".codes code").await;
    let mut tx = world.platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE users SET email_verified_at = created_at").unwrap();
    tx.commit().await.unwrap();
    world.pass(Duration::from_secs(60));
    app
}

async fn without_the_telephone_a_code_comes_by_mail_and_the_desk_is_remembered(world: World) {
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, None).await;
    brings_axe(&browser).await;
    let app = begins(&world, &browser).await;
    signs_out(&world, &browser).await;

    // Neither app nor recovery code at hand: the mailbox helps.
    types_password(&world, &browser).await;
    browser.find("input[name=remember]").await;
    is_for_everybody(&browser, "second-factor").await;
    browser.click("a[href='/login/second-factor?with=mail']").await;
    browser.find("form[action='/login/second-factor/mail'] button.main").await;
    is_for_everybody(&browser, "second-factor-mail").await;
    browser.click("form[action='/login/second-factor/mail'] button").await;
    browser.find("input[name=code]").await;
    is_for_everybody(&browser, "second-factor-mailed").await;
    let mailed = mail(&world.platform, EMAIL, "Your code to sign in").await;
    types_code(&browser, "0000-0000").await;
    browser.find("#code-error").await;
    types_code(&browser, &code(&mailed).to_lowercase()).await;
    browser.gone("form[action='/login/second-factor']").await;
    mail(&world.platform, EMAIL, "Signed in with a code by mail").await;

    // It is enough to get in, and not to take the app off.
    goes(&world, &browser, "/account/security").await;
    browser.click("form[action='/account/security/app/remove'] button").await;
    browser.find("form[action='/account/confirm'] input[name=code]").await;
    signs_out(&world, &browser).await;

    // At the desk, with the telephone again: no code for a while.
    types_password(&world, &browser).await;
    browser.click("input[name=remember]").await;
    types_code(&browser, &code_of(&app, &world)).await;
    browser.gone("form[action='/login/second-factor']").await;
    signs_out(&world, &browser).await;
    types_password(&world, &browser).await;
    goes(&world, &browser, "/account/sessions").await;
    browser.find("button[name=device]").await;
    is_for_everybody(&browser, "sessions").await;
    browser.click("button[name=device]").await;
    browser.gone("button[name=device]").await;
    signs_out(&world, &browser).await;
    types_password(&world, &browser).await;
    browser.find("form[action='/login/second-factor']").await;

    // The terms changed: they are asked about before anything goes on.
    let mut tx = world.platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE terms_agreements SET version = 'of before'").unwrap();
    tx.commit().await.unwrap();
    world.pass(Duration::from_secs(60));
    types_code(&browser, &code_of(&app, &world)).await;
    browser.find("form[action='/terms']").await;
    is_for_everybody(&browser, "terms").await;
    browser.click("button[value=agree]").await;
    browser.find(".sections").await;
    browser.client.close().await.unwrap();
}
on_both_stores!(
    without_the_telephone_a_code_comes_by_mail_and_the_desk_is_remembered,
    "FACTORS__MAILED_CODE" = "true",
    "ACCOUNTS__TERMS_URL" = "https://example.com/terms",
    "ACCOUNTS__TERMS_VERSION" = "2026-02",
);
