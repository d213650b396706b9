//! What WebDriver has no words for: the theme and the screen that a browser pretends to have, and scripts that are there
//! before a page begins. By Chromium's own protocol, through chromedriver.

use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::browser::Browser;

#[derive(Debug)]
struct Command {
    name: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.name, "params": self.parameters }).to_string()))
    }
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub language: &'static str,
    pub theme: &'static str,
    pub screen: &'static str,
}

impl Look {
    fn size(self) -> (u32, u32) {
        if self.screen == "phone" { (390, 844) } else { (1280, 900) }
    }
}

impl Browser {
    pub async fn devtools(&self, name: &'static str, parameters: Value) -> Value {
        let done = self.client.issue_cmd(Command { name, parameters }).await;
        done.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Pretends to be on that screen, in that theme.
    pub async fn looks(&self, look: Look) {
        let (width, height) = look.size();
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": look.screen == "phone" });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": look.theme }] });
        self.devtools("Emulation.setEmulatedMedia", theme).await;
    }

    /// A picture of the page as far as the screen shows it, or of all of it.
    pub async fn picture(&self, look: Look, whole: bool) -> Vec<u8> {
        use base64::Engine;
        // Let what moves come to rest.
        tokio::time::sleep(Duration::from_millis(250)).await;
        let (width, mut height) = look.size();
        if whole {
            let full = self.client.execute("return document.documentElement.scrollHeight", vec![]).await.unwrap();
            height = u32::try_from(full.as_u64().unwrap_or_default()).unwrap_or(height).clamp(height, 4000);
        }
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "webp", "quality": 72, "clip": clip, "captureBeyondViewport": true });
        let answer = self.devtools("Page.captureScreenshot", wanted).await;
        let data = answer["data"].as_str().expect("a picture");
        base64::engine::general_purpose::STANDARD.decode(data).expect("base64")
    }
}
