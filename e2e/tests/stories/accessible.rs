//! Every hosted page under axe-core, in both languages and themes, on a phone and on a desktop: no violation of WCAG 2.2 at
//! the levels A and AA that a program can find. And pictures of the main ones, for `docs/gallery`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use auth_server::accounts::verification::mint_link;
use auth_server::outside::unsubscribe;
use auth_server::samples::{Sample, Stage};
use axum::Router;
use axum::routing::get;
use serde_json::json;
use shared::config::load_from;
use shared::email::Email;
use shared::execute;
use shared::ids::UserId;
use tokio::net::TcpListener;
use url::Url;
use xtask::clients;

use crate::app::App;
use crate::browser::{Browser, Driver};
use crate::devtools::Look;
use crate::processes::root;
use crate::real_clients::fetched;
use crate::world::{PASSWORD, Store, World};

/// Each language with each theme, each with each screen.
const LOOKS: [Look; 4] = [
    Look { language: "en", theme: "light", screen: "desktop" },
    Look { language: "en", theme: "dark", screen: "phone" },
    Look { language: "ru", theme: "light", screen: "phone" },
    Look { language: "ru", theme: "dark", screen: "desktop" },
];

/// Routes of the pages' router that answer with something else than a page; and the page of terms, which is there only
/// where the configuration has some (`fallback` holds it to the same).
const NO_PAGES: &[&str] =
    &["/assets/{name}", "/signup/referral-code", "/login/upstream/{id}/callback", "/terms", "/r/{code}"];

/// The pages in the gallery.
const PAINTED: &[&str] = &[
    "login",
    "signup",
    "second-factor",
    "forgot-password",
    "consent",
    "account",
    "account-profile",
    "account-security",
    "account-sessions",
    "account-apps",
    "account-activity",
    "account-referrals",
];

/// Routes of the pages that a GET opens, read from the code.
fn routes() -> BTreeSet<String> {
    let mut folders = vec![root().join("auth-server/src/pages")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for route in text.split(".route(\"").skip(1) {
                let (route, handlers) = route.split_once('"').unwrap();
                // What only a POST reaches shows the page of another route.
                let handlers = handlers.trim_start_matches([',', ' ', '\n']);
                // What a GET only leads back from shows nothing itself.
                let shows = handlers.starts_with("get(") && !handlers.starts_with("get(back)");
                if shows && !NO_PAGES.contains(&route) {
                    found.insert(route.to_owned());
                }
            }
        }
    }
    assert!(found.contains("/login") && found.contains("/account/sessions"), "{found:?}");
    found
}

/// Lets the browser be asked for [`violations`], on every page that it opens from now on: a policy that allows no script
/// but ours does not stop what a tester brings.
pub async fn brings_axe(browser: &Browser) {
    let folder = fetched(clients::javascript).await.folder;
    let axe = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).expect("npm fetched it");
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": axe })).await;
}

/// What on the page that is open keeps somebody out. What others show in its frames is theirs: of made-up apps, the browser's
/// own page that says so.
pub async fn violations(browser: &Browser) -> Vec<String> {
    let script = "
        const done = arguments[arguments.length - 1];
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
        axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'], iframes: false }).then(
            (found) => done(found.violations.flatMap((v) =>
                v.nodes.map((n) => v.id + ': ' + n.html + ' ' + n.failureSummary))),
            (error) => done(['axe: ' + error]),
        );";
    let found = browser.client.execute_async(script, vec![]).await.unwrap();
    let found = found.as_array().unwrap_or_else(|| panic!("axe answers {found}"));
    let mut faults: Vec<String> = found.iter().map(ToString::to_string).collect();
    // Nobody has to scroll sideways (WCAG 1.4.10).
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let wide = browser.client.execute(wide, vec![]).await.unwrap().as_i64().unwrap_or_default();
    if wide > 0 {
        faults.push(format!("it is {wide} pixels too wide"));
    }
    faults
}

/// What is done with each page that a walk comes to.
enum Task<'a> {
    /// Hold it to the rules.
    Check,
    /// Take pictures into a folder.
    Picture(&'a Path),
}

/// A walk through every page in one look.
struct Walk<'a> {
    world: &'a World,
    browser: &'a Browser,
    look: Look,
    task: &'a Task<'a>,
    walked: BTreeSet<String>,
    faults: Vec<String>,
}

impl Walk<'_> {
    async fn page(&mut self, name: &str, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.world.auth_url) };
        self.browser.goto(&url).await;
        self.here(name).await;
    }

    /// The page that is open.
    async fn here(&mut self, name: &str) {
        let url = self.browser.client.current_url().await.unwrap();
        self.walked.insert(url.path().to_owned());
        let title = self.browser.client.title().await.unwrap();
        assert!(!title.trim().is_empty() && !title.trim().starts_with('·'), "{url} has no title");
        match self.task {
            Task::Check => self.check(name, &url).await,
            Task::Picture(_) if !PAINTED.contains(&name) => {}
            Task::Picture(folder) => {
                let look = self.look;
                let file = folder.join(format!("{name}-{}-{}-{}.webp", look.language, look.theme, look.screen));
                std::fs::write(file, self.browser.picture(look, name.starts_with("account")).await).unwrap();
            }
        }
    }

    async fn check(&mut self, name: &str, url: &Url) {
        let found = violations(self.browser).await;
        self.faults.extend(found.iter().map(|fault| format!("{:?} {name} ({url}): {fault}", self.look)));
    }

    /// Sends the form as it stands, past what the browser itself would check.
    async fn sends(&self, form: &str) {
        let script = "document.querySelector(arguments[0]).setAttribute('novalidate', '')";
        self.browser.client.execute(script, vec![form.into()]).await.unwrap();
        self.browser.click(&format!("{form} button[type=submit].main")).await;
    }

    async fn goes(&mut self, ann: &Ann, app: &App) {
        self.browser.looks(self.look).await;
        self.browser.goto(&self.world.auth_url).await;
        self.browser.client.delete_all_cookies().await.unwrap();
        self.browser.goto(&format!("{}/login?lang={}", self.world.auth_url, self.look.language)).await;

        self.page("welcome", "/").await;
        self.page("signup", &format!("/signup?ref={}", ann.code)).await;
        self.browser.fill("email", "nonsense").await;
        self.browser.fill("password", "short").await;
        self.sends("form[action='/signup']").await;
        self.browser.find("[aria-invalid=true]").await;
        self.here("signup-faults").await;
        self.page("verify", &ann.link).await;
        self.page("verify-dead", "/verify-email?token=x").await;
        self.page("unsubscribe", &ann.unsubscribe).await;
        self.page("unsubscribe-dead", "/unsubscribe?token=x").await;
        self.page("signup-dead-link", "/r/NOSUCHCD").await;
        self.page("not-found", "/nothing").await;
        self.page("error", "/oauth/authorize?client_id=nobody&response_type=code").await;
        self.page("signed-out", "/oauth/logout").await;
        self.page("email-change-dead", "/email-change?token=x").await;
        self.page("provider-dead", "/login/continue?attempt=x").await;
        self.page("forgot-password", "/forgot-password").await;
        self.browser.fill("email", &ann.email).await;
        self.sends("form[action='/forgot-password']").await;
        self.browser.find("input[name=code]").await;
        self.here("reset-password").await;
        for (name, email) in [("second-factor", &ann.with_an_app), ("account-keep", &ann.leaving)] {
            self.page("login", "/login").await;
            self.browser.fill("email", email).await;
            self.browser.fill("password", PASSWORD).await;
            self.sends("form[action='/login']").await;
            self.browser.find("form[action='/login/second-factor'], form[action='/account/keep']").await;
            self.here(name).await;
            self.browser.client.delete_all_cookies().await.unwrap();
            self.browser.goto(&format!("{}/login?lang={}", self.world.auth_url, self.look.language)).await;
        }
        self.page("login", "/login").await;
        self.browser.fill("email", &ann.email).await;
        self.browser.fill("password", "wrong horse").await;
        self.sends("form[action='/login']").await;
        self.browser.find(".alert").await;
        self.here("login-refused").await;
        self.browser.fill("password", PASSWORD).await;
        self.sends("form[action='/login']").await;
        self.browser.find(".sections").await;

        self.page("account", "/account").await;
        self.page("account-profile", "/account/profile?done=saved").await;
        self.browser.click("form[action='/account/profile'] summary").await;
        self.browser.fill("website", "nonsense").await;
        self.sends("form[action='/account/profile']").await;
        self.browser.find("#faults").await;
        self.here("account-profile-faults").await;
        self.page("account-sessions", "/account/sessions").await;
        self.page("account-apps", "/account/apps").await;
        self.page("account-activity", "/account/activity").await;
        self.page("account-referrals", "/account/referrals").await;
        self.page("account-security", "/account/security").await;
        self.page("account-providers", "/account/security/upstream").await;
        self.page("choose-account", "/choose-account").await;
        for section in routes().iter().filter(|route| route.starts_with("/account")) {
            if !self.walked.contains(section) {
                self.page("account-other", section).await;
            }
        }
        self.browser.goto(app.authorization("openid profile referral-codes:write").url.as_str()).await;
        self.browser.find("button[name=decision][value=allow]").await;
        self.here("consent").await;
        self.page("device", "/device").await;
        self.browser.fill("user_code", "ZZZZ-ZZZZ").await;
        self.sends("form[action='/device']").await;
        self.browser.find(".alert, [aria-invalid=true]").await;
        self.here("device-unknown").await;
        self.page("logout", "/logout").await;
    }
}

/// Somebody with a bit of a past.
struct Ann {
    email: String,
    code: String,
    link: String,
    unsubscribe: String,
    /// The address of somebody whose sign-in wants a code as well.
    with_an_app: String,
    /// And of somebody whose account is about to be deleted.
    leaving: String,
}

async fn ann(world: &World) -> Ann {
    let ann = world.person("anna").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 90).await;
    for friend in ["ben", "carla", "dmitri"] {
        world.person_through(friend, Some(&code)).await;
    }
    let shelf = world.app().await;
    let mut phone = world.visitor();
    shelf.signs_in(&mut phone, &ann.email, "openid email offline_access referrals:read").await;
    let platform = &world.platform;
    let id: UserId = ann.id.parse().unwrap();
    let (tom, kim) = (world.person("tom").await, world.person("kim").await);
    let mut tx = platform.db.begin().await.unwrap();
    let token = mint_link(&mut tx, platform, id).await.unwrap().expect("her address waits for it");
    let user = |id: &str| id.parse::<UserId>().unwrap();
    let now = platform.clock.now();
    execute!(
        &mut tx,
        "INSERT INTO totp_secrets (user_id, sealed_secret, last_step, created_at) VALUES ($1, $2, $3, $4)",
        user(&tom.id),
        vec![0_u8; 40],
        0_i64,
        now
    )
    .unwrap();
    let leaves = now + chrono::TimeDelta::days(7);
    execute!(&mut tx, "UPDATE users SET deletion_at = $2 WHERE id = $1", user(&kim.id), leaves).unwrap();
    tx.commit().await.unwrap();
    let link = format!("/verify-email?token={}", token.reveal());
    let unsubscribe = unsubscribe::link(platform, &Email::parse("dora@example.com").unwrap());
    Ann {
        email: ann.email.clone(),
        code,
        link,
        unsubscribe,
        with_an_app: tom.email.clone(),
        leaving: kim.email.clone(),
    }
}

async fn no_page_keeps_anybody_out(world: World) {
    let (ann, app) = (ann(&world).await, world.app().await);
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, None).await;
    brings_axe(&browser).await;
    // The store makes no page look otherwise: on the second, one look will do.
    let looks = if world.scratch.store == Store::Embedded { &LOOKS[..] } else { &LOOKS[3..] };
    let task = Task::Check;
    let mut faults = vec![];
    for look in looks {
        let mut walk = Walk {
            world: &world,
            browser: &browser,
            look: *look,
            task: &task,
            walked: BTreeSet::new(),
            faults: vec![],
        };
        walk.goes(&ann, &app).await;
        let left = routes().into_iter().filter(|route| !walk.walked.contains(route));
        faults.extend(left.map(|route| format!("the walk does not come to {route}")));
        faults.extend(walk.faults);
    }
    browser.client.close().await.unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
on_both_stores!(no_page_keeps_anybody_out);

/// A strong colour, a long name in another script, a logo.
const BRAND: [(&str, &str); 3] = [
    ("BRAND__NAME", "Объединённая кофейня «Фиалка»"),
    ("BRAND__ACCENT_LIGHT", "#6d28d9"),
    ("BRAND__LOGO_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/brand/violet.svg")),
];

/// What a server in that brand shows with made-up data, at an address of its own. The walk above does not come to all of
/// it: requests that took too long, answers that are posted, sign-outs with frames, a device's questions.
async fn made_up_pages() -> (String, Vec<Sample>) {
    let settings = BRAND.map(|(key, value)| (format!("REFERRIS__{key}"), value.to_owned()));
    let stage = Stage::set(&load_from(None, settings).expect("a brand")).await.expect("a stage");
    let pages: Vec<Sample> = stage.samples().into_iter().filter(|sample| sample.folder == "pages").collect();
    let mut router = Router::new();
    for (path, content) in stage.assets() {
        let kind = match path.rsplit('.').next() {
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            _ => "image/svg+xml",
        };
        router = router.route(&path, get(async move || ([("content-type", kind)], content)));
    }
    for page in &pages {
        let html = page.rendered.clone().expect("it is rendered");
        // The page that posts itself stays.
        let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:";
        let headers = [("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy)];
        router = router.route(&format!("/{}", page.path()), get(async move || (headers, html)));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, pages)
}

/// On no store: made-up pages come from none.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_pages_in_a_strong_brand_keep_nobody_out_either() {
    let (url, pages) = made_up_pages().await;
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, Store::Embedded, None).await;
    brings_axe(&browser).await;
    let mut faults = vec![];
    for look in [LOOKS[1], LOOKS[2]] {
        browser.looks(look).await;
        for page in pages.iter().filter(|page| page.locale.tag() == look.language) {
            browser.goto(&format!("{url}/{}", page.path())).await;
            let found = violations(&browser).await;
            faults.extend(found.iter().map(|fault| format!("{look:?} {} {fault}", page.path())));
        }
    }
    browser.client.close().await.unwrap();
    assert!(pages.len() > 100, "both languages of every page: {}", pages.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Those that the walk does not come to, and the first that anybody sees, in the brand's colours.
const PAINTED_IN_A_BRAND: &[&str] =
    &["login", "consent", "account-referrals", "device-decide", "signed-out-apps", "error-expired"];

async fn paint_a_brand(browser: &Browser, folder: &Path) {
    let (url, pages) = made_up_pages().await;
    for look in [
        Look { language: "ru", theme: "light", screen: "desktop" },
        Look { language: "ru", theme: "dark", screen: "desktop" },
        Look { language: "ru", theme: "light", screen: "phone" },
        Look { language: "ru", theme: "dark", screen: "phone" },
    ] {
        browser.looks(look).await;
        for page in pages.iter().filter(|page| page.locale.tag() == look.language) {
            if PAINTED_IN_A_BRAND.contains(&page.name.as_str()) {
                browser.goto(&format!("{url}/{}", page.path())).await;
                let file = folder.join(format!("brand-{}-{}-{}.webp", page.name, look.theme, look.screen));
                std::fs::write(file, browser.picture(look, page.name.starts_with("account")).await).unwrap();
            }
        }
    }
}

/// `docs/gallery`, or where REFERRIS_GALLERY says: `cargo test -p e2e --test stories -- --ignored the_gallery_is_painted`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it writes docs/gallery"]
async fn the_gallery_is_painted() {
    let world = World::new(Store::Embedded, &[]).await.expect("a store of its own");
    let (ann, app) = (ann(&world).await, world.app().await);
    let driver = Driver::start().await;
    let browser = Browser::open_trusting(&driver, world.scratch.store, None).await;
    let folder = std::env::var_os("REFERRIS_GALLERY").map_or_else(|| root().join("docs/gallery"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    for theme in ["light", "dark"] {
        for screen in ["phone", "desktop"] {
            let look = Look { language: if theme == "dark" && screen == "phone" { "ru" } else { "en" }, theme, screen };
            let task = Task::Picture(&folder);
            let (walked, faults) = (BTreeSet::new(), vec![]);
            Walk { world: &world, browser: &browser, look, task: &task, walked, faults }.goes(&ann, &app).await;
        }
    }
    paint_a_brand(&browser, &folder).await;
    browser.client.close().await.unwrap();
}
