//! Who forgot a password, moves to another mailbox, or leaves: through the pages and the mails.

use std::time::Duration;

use shared::platform::Platform;

use crate::visitor::{Page, Visitor};
use crate::world::{PASSWORD, World};

const NEW: &str = "staple battery horse";

/// The newest mail to `to` whose subject has `subject` in it, once it is there.
pub async fn mail(platform: &Platform, to: &str, subject: &str) -> String {
    let folder = platform.config.data_dir.join("mail");
    for _ in 0..100 {
        let mut mails: Vec<_> =
            std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        mails.sort();
        for path in mails.into_iter().rev() {
            // Quoted-printable (RFC 2045 §6.7), of which these mails use little.
            let text = std::fs::read_to_string(path).unwrap_or_default().replace("=\r\n", "").replace("=3D", "=");
            if text.contains(&format!("To: {to}")) && text.contains(&format!("Subject: {subject}")) {
                return text;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no mail «{subject}» for {to} arrives");
}

/// The first link in a mail to this page of ours.
pub fn link(mail: &str, path: &str) -> String {
    let at = mail.find(&format!("{path}?token=")).expect("the mail has a link");
    let begin = mail[..at].rfind("http").expect("the link is whole");
    mail[begin..].split(|c: char| c.is_whitespace() || c == '"').next().unwrap().to_owned()
}

/// The code that stands alone on its line.
pub fn code(mail: &str) -> String {
    let is_code = |line: &&str| line.len() == 9 && line.as_bytes()[4] == b'-' && !line.contains(' ');
    mail.lines().map(str::trim).find(is_code).expect("the mail has a code").to_owned()
}

async fn open(visitor: &mut Visitor, world: &World, path: &str) -> Page {
    visitor.open(format!("{}{path}", world.auth_url)).await.page()
}

async fn sign_in(world: &World, email: &str, password: &str) -> (Visitor, Page) {
    let mut visitor = world.visitor();
    let page = open(&mut visitor, world, "/login").await;
    let page = visitor.submit(&page, &[("email", email), ("password", password)]).await.page();
    (visitor, page)
}

async fn a_lost_password_is_found_by_the_link_and_by_the_code(world: World) {
    let ann = world.person("ann").await;
    let mut visitor = world.visitor();
    let login = open(&mut visitor, &world, "/login").await;
    let forgot = login.links().into_iter().find(|link| link.path() == "/forgot-password").expect("a link");
    let page = visitor.open(&forgot).await.page();
    let sent = visitor.submit(&page, &[("email", "ann@example.com")]).await.page();
    assert!(sent.says("Look into your mailbox"), "{}", sent.body);
    let mailed = mail(&world.platform, "ann@example.com", "Choose a new password").await;

    // By the link, on another device. A scanner was there before.
    let link = link(&mailed, "/reset-password");
    world.visitor().open(&link).await.page();
    let mut phone = world.visitor();
    let page = phone.open(&link).await.page();
    assert_eq!(page.status, 200);
    let done = phone.submit(&page, &[("password", NEW)]).await.page();
    assert!(done.says("Your new password is set"), "{}", done.body);
    let (_, home) = sign_in(&world, "ann@example.com", NEW).await;
    assert!(home.says("ann@example.com"));
    // What was granted before is over.
    ann.get("/api/v1/me").await.is_problem(401, "");
    mail(&world.platform, "ann@example.com", "Your forgotten password was replaced").await;

    // By the code, where it was asked for; the first one is over with its link.
    let stale = visitor.submit(&sent, &[("code", &code(&mailed)), ("password", PASSWORD)]).await.page();
    assert_eq!(stale.status, 410);
    world.pass(Duration::from_secs(60));
    let page = visitor.open(&forgot).await.page();
    let sent = visitor.submit(&page, &[("email", "ann@example.com")]).await.page();
    let first = code(&mailed);
    let second = loop {
        let second = code(&mail(&world.platform, "ann@example.com", "Choose a new password").await);
        if second != first {
            break second;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let wrong = visitor.submit(&sent, &[("code", &first), ("password", PASSWORD)]).await.page();
    assert_eq!(wrong.status, 422);
    let done = visitor.submit(&wrong, &[("code", &second.to_lowercase()), ("password", PASSWORD)]).await.page();
    assert!(done.says("Your new password is set"), "{}", done.body);
    sign_in(&world, "ann@example.com", PASSWORD).await.1.says("ann@example.com");
}
on_both_stores!(a_lost_password_is_found_by_the_link_and_by_the_code);

async fn an_address_moves_to_another_mailbox(world: World) {
    world.person("ann").await;
    let (mut visitor, _) = sign_in(&world, "ann@example.com", PASSWORD).await;
    let page = open(&mut visitor, &world, "/account/profile/email").await;
    let waits = visitor.submit(&page, &[("email", "ann@new.example"), ("current_password", PASSWORD)]).await.page();
    assert!(waits.says("Waits for a confirmation") && waits.says("ann@new.example"), "{}", waits.body);
    // Nobody proved the old one here; it is told all the same, and could stop it.
    mail(&world.platform, "ann@example.com", "Your email address is to be changed").await;
    let mailed = mail(&world.platform, "ann@new.example", "Confirm your new email address").await;
    let page = visitor.open(link(&mailed, "/email-change")).await.page();
    let done = visitor.submit(&page, &[("decision", "confirm")]).await.page();
    assert!(done.says("Your address is changed"), "{}", done.body);
    for to in ["ann@example.com", "ann@new.example"] {
        mail(&world.platform, to, "Your email address was changed").await;
    }
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
    world.cli.password("ann@new.example", PASSWORD, "openid").await.is(200);
}
on_both_stores!(an_address_moves_to_another_mailbox);

async fn who_leaves_is_nobody_until_they_come_back(world: World) {
    let ann = world.person("ann").await;
    let referral = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let (mut visitor, _) = sign_in(&world, "ann@example.com", PASSWORD).await;
    let page = open(&mut visitor, &world, "/account/delete").await;
    let fields = [("confirmation", "ann@example.com"), ("current_password", PASSWORD)];
    let planned = visitor.submit(&page, &fields).await.page();
    assert!(planned.says("Your account will be deleted"), "{}", planned.body);
    mail(&world.platform, "ann@example.com", "Your account will be deleted").await;

    // No way to a token, and the code rests.
    ann.get("/api/v1/me").await.is_problem(401, "");
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is_oauth_error(400, "invalid_grant");
    let form = serde_json::json!({ "email": "ben@example.com", "password": PASSWORD, "referral_code": referral });
    world.anon().post("/api/v1/signup", form.clone()).await.is_problem(422, "referral_code");
    let app = world.app().await;
    let (mut back, page) = sign_in(&world, "ann@example.com", PASSWORD).await;
    assert!(page.says("Keep your account?"), "{}", page.body);
    let asked = back.open(&app.authorization("openid").url).await.page();
    let refused = back.submit(&asked, &[("decision", "allow")]).await.page();
    assert!(refused.has_field("password"), "an app gets no code: {}", refused.body);

    let page = open(&mut back, &world, "/account/keep").await;
    back.submit(&page, &[("onward", "/account")]).await.page();
    mail(&world.platform, "ann@example.com", "Your account is kept").await;
    world.cli.password("ann@example.com", PASSWORD, "openid").await.is(200);
    world.anon().post("/api/v1/signup", form).await.is(201);
}
on_both_stores!(who_leaves_is_nobody_until_they_come_back);
