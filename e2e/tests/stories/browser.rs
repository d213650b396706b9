//! The main job in a real browser: a friend's link, sign-up, a third-party app, and a code made in Swagger UI.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use shared::clock::Clock;
use shared::testing::Scratch;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use xtask::machine;

use crate::processes::{Standalone, free_ports};
use crate::world::{PASSWORD, Store};

/// How long a page may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

async fn from_a_friends_link_to_a_code_of_ones_own(scratch: Scratch) {
    let running = Standalone::start(&scratch, free_ports()).await;
    let now: DateTime<Utc> = Clock::system().now();
    let ann = running.person("ann").await;
    let code = ann.creates_a_code(now, 30).await;

    let driver = Driver::start().await;
    let browser = Browser::open(&driver, scratch.store).await;

    // Ann's link: the page names her.
    browser.goto(&format!("{}/signup?ref={code}", running.auth_url)).await;
    let invitation = browser.find(".invitation").await.text().await.unwrap();
    assert!(invitation.contains("Ann"), "{invitation}");
    browser.fill("email", "ben@example.com").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("given_name", "Ben").await;
    browser.shows("1-a-friends-link").await;
    browser.click("form[action='/signup'] button[type=submit]").await;
    browser.gone("form[action='/signup']").await;
    browser.shows("2-signed-up").await;

    // A third-party app. It asks Referris, which asks Ben: he signs in where he is not signed in yet.
    browser.goto(&running.demo_url).await;
    browser.shows("3-the-app").await;
    browser.click("a[href='/sign-in']").await;
    let asked = browser.find("input[name=password], button[name=decision][value=allow]").await;
    if asked.tag_name().await.unwrap() == "input" {
        browser.fill("email", "ben@example.com").await;
        browser.fill("password", PASSWORD).await;
        browser.click("form[action='/login'] button[type=submit]").await;
    }
    browser.find("button[name=decision][value=allow]").await;
    browser.shows("4-consent").await;
    browser.click("button[name=decision][value=allow]").await;

    // Back in the app, signed in.
    let name = browser.find(".greeting .name").await.text().await.unwrap();
    assert_eq!(name, "Ben");
    assert!(browser.client.current_url().await.unwrap().as_str().starts_with(&running.demo_url));
    browser.shows("5-signed-in").await;

    // Swagger UI: Authorize by code + PKCE in a window of its own.
    browser.goto(&format!("{}/docs/", running.api_url)).await;
    browser.click(".auth-wrapper button.authorize").await;
    let page = browser.client.window().await.unwrap();
    browser.shows("6-authorize").await;
    browser.click(".modal-ux .auth-container .auth-btn-wrapper button.authorize").await;
    let window = browser.other_window().await;
    browser.client.switch_to_window(window).await.unwrap();
    browser.find("button[name=decision][value=allow]").await;
    browser.shows("7-consent-for-the-documentation").await;
    browser.click("button[name=decision][value=allow]").await;
    browser.closes().await;
    browser.client.switch_to_window(page).await.unwrap();
    // It became a way to log out.
    browser.find(".modal-ux .auth-container .scope-def, .modal-ux .auth-container .auth-btn-wrapper").await;
    browser.click(".modal-ux .btn-done").await;
    browser.find(".auth-wrapper button.authorize.locked").await;

    browser.click("[id$='-createReferralCode'] .opblock-summary-control").await;
    browser.click("[id$='-createReferralCode'] button.execute").await;
    let answer = "[id$='-createReferralCode'] .live-responses-table tbody .response-col_status";
    let status = loop_until(|| async {
        let text = browser.find(answer).await.text().await.ok()?;
        text.split_whitespace().find_map(|word| word.parse::<u16>().ok())
    })
    .await;
    let body = browser.find("[id$='-createReferralCode'] .live-responses-table").await;
    let _ = browser.client.execute("arguments[0].scrollIntoView()", vec![serde_json::to_value(&body).unwrap()]).await;
    browser.shows("8-a-code-of-ones-own").await;
    assert_eq!(status, 201, "{}", body.text().await.unwrap());

    // What the browser did is what the store holds.
    let ben = running.signed_in("ben@example.com").await;
    let own = ben.get("/v1/referral-codes").await.is(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
    assert!(body.text().await.unwrap().contains(own["items"][0]["code"].as_str().unwrap()));
    let referrals = ann.get("/v1/referrers/me/referrals").await.is(200);
    assert_eq!(referrals["items"].as_array().unwrap().len(), 1, "{referrals}");
    assert!(referrals.to_string().contains("Ben"), "{referrals}");

    browser.client.close().await.unwrap();
    assert!(running.terminate().await);
}
on_both_stores_by_program!(from_a_friends_link_to_a_code_of_ones_own);

/// Asks again until there is an answer.
async fn loop_until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> T {
    let answer = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answer).await.expect("it happens in time")
}

/// `chromedriver` and the profile of the browser that it starts. Both end, and go, when this is dropped.
pub struct Driver {
    child: Child,
    url: String,
    profile: TempDir,
}

impl Driver {
    pub async fn start() -> Self {
        // Of many that look for a free port at once, one may find its port taken.
        for _ in 0..4 {
            if let Some(driver) = Self::try_start().await {
                return driver;
            }
        }
        panic!("chromedriver ended before it was ready");
    }

    async fn try_start() -> Option<Self> {
        let program = machine::CHROMEDRIVER.find().expect("cargo xtask test installs it");
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        let announced = async {
            while let Some(line) = lines.next_line().await.expect("it prints text") {
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return Some(port.trim_end_matches('.').to_owned());
                }
            }
            None
        };
        let port = timeout(PATIENCE, announced).await.expect("chromedriver becomes ready")?;
        // What else it says must go somewhere, or it would stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::Builder::new().prefix("referris-browser-").tempdir().expect("a folder");
        Some(Self { child, url: format!("http://127.0.0.1:{port}"), profile })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        // The browser of a story that failed outlives its driver. It is known by its profile.
        let profile = self.profile.path().as_os_str().as_encoded_bytes();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if line.windows(profile.len()).any(|part| part == profile) {
                xtask::command::send("KILL", &process.file_name().to_string_lossy());
            }
        }
    }
}

pub struct Browser {
    pub client: Client,
    store: Store,
}

impl Browser {
    async fn open(driver: &Driver, store: Store) -> Self {
        Self::open_trusting(driver, store, None).await
    }

    /// One that takes certificates with this key (SHA-256 of the SubjectPublicKeyInfo, in base64) for good.
    pub async fn open_trusting(driver: &Driver, store: Store, key: Option<&str>) -> Self {
        let profile = format!("--user-data-dir={}", driver.profile.path().display());
        let trusted = format!("--ignore-certificate-errors-spki-list={}", key.unwrap_or_default());
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": machine::CHROMIUM.find().expect("cargo xtask test installs it"),
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--lang=en", "--window-size=1280,1000", profile, trusted,
                ],
            },
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await
            .expect("a browser opens");
        Self { client, store }
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The first element that `css` selects, once it is there.
    pub async fn find(&self, css: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => self.fails(css, &error.to_string()).await,
        }
    }

    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.find(&format!("input[name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Clicks as a person does: only what can be seen, and is not covered or about to move.
    pub async fn click(&self, css: &str) {
        let clicked = async {
            loop {
                match self.find(css).await.click().await {
                    Ok(()) => return,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        if timeout(PATIENCE, clicked).await.is_err() {
            self.fails(css, "it can't be clicked").await;
        }
    }

    /// Waits until `css` selects nothing any more.
    pub async fn gone(&self, css: &str) {
        let script = "return document.querySelector(arguments[0]) === null && document.readyState === 'complete'";
        let gone = async {
            while self.client.execute(script, vec![css.into()]).await.ok() != Some(true.into()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, gone).await.is_err() {
            self.fails(css, "it is still there").await;
        }
    }

    /// The window that is not the current one.
    async fn other_window(&self) -> fantoccini::wd::WindowHandle {
        let current = self.client.window().await.unwrap();
        loop_until(|| async { self.client.windows().await.ok()?.into_iter().find(|window| *window != current) }).await
    }

    /// Waits until only one window is left.
    async fn closes(&self) {
        let closed = async {
            while self.client.windows().await.is_ok_and(|windows| windows.len() > 1) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, closed).await.is_err() {
            self.fails("the window", "it does not close").await;
        }
    }

    /// Leaves a screenshot for whoever wants to see what a person saw.
    pub async fn shows(&self, name: &str) {
        let folder = screenshots();
        std::fs::create_dir_all(&folder).expect("a folder for screenshots");
        let image = self.client.screenshot().await.expect("a screenshot");
        let store = if self.store == Store::Embedded { "sqlite" } else { "postgresql" };
        std::fs::write(folder.join(format!("{store}-{name}.png")), image).expect("a screenshot can be written");
    }

    async fn fails(&self, css: &str, why: &str) -> ! {
        self.shows("failure").await;
        let url = self.client.current_url().await.map(|url| url.to_string()).unwrap_or_default();
        let text = "return document.body.innerText";
        let text = self.client.execute(text, vec![]).await.unwrap_or_default();
        panic!("{css} on {url}: {why}; see {}\n{text}", screenshots().display());
    }
}

/// `target/screenshots`.
fn screenshots() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a program");
    test.ancestors().nth(3).unwrap_or(Path::new(".")).join("screenshots")
}
