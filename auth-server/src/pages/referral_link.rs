//! `/r/{code}`: the link that a referrer shares. It counts a click, remembers the code in the browser, and leads to
//! sign-up; nowhere else, whatever it is given.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use shared::Platform;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::referrals::clicks;
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, CodeRow};

use super::layout::see_other;
use super::visit::Visit;
use crate::AppState;

const MINUTE: Duration = Duration::from_secs(60);

/// Words by which programs that follow links for people, or make pictures of what a link leads to, name themselves.
const ROBOTS: &[&str] = &[
    "bot",
    "crawler",
    "spider",
    "preview",
    "facebookexternalhit",
    "whatsapp",
    "slack-imgproxy",
    "snapchat",
    "scrape",
    "headless",
    "vkshare",
    "embedly",
    "google-read-aloud",
    "googleother",
    "apis-google",
    "mediapartners",
];

pub async fn follow(
    State(state): State<AppState>,
    visit: Visit,
    ip: ClientIp,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    let platform = &state.platform;
    let Some(key) = path.ok().and_then(|Path(code)| CodeKey::fold(&code)) else { return dead() };
    let per_minute = platform.config.limits.link_clicks_per_minute;
    if platform.limits.check("link-click", &ip.bucket(), per_minute, MINUTE).await.is_err() {
        return on_with(key.as_str());
    }
    let row = match usable(platform, &key).await {
        Ok(Some(row)) => row,
        Ok(None) => return dead(),
        Err(error) => {
            tracing::warn!(%error, "a referral link leads on without being looked at");
            return on_with(key.as_str());
        }
    };
    let mut response = on_with(&row.code);
    if visit.in_person() && !is_robot(&headers) {
        visit.touch(&mut response, &key);
        if let Err(error) = count(platform, &row, &ip).await {
            tracing::warn!(%error, "a click is not counted");
        }
    }
    response
}

async fn usable(platform: &Platform, key: &CodeKey) -> Result<Option<CodeRow>, DbError> {
    let mut conn = platform.db.read().await?;
    Ok(store::by_key(&mut conn, key).await?.filter(|row| row.is_usable(platform.clock.now())))
}

async fn count(platform: &Platform, row: &CodeRow, ip: &ClientIp) -> Result<(), DbError> {
    let mut tx = platform.db.begin().await?;
    clicks::record(&mut tx, platform, row.id, &ip.bucket()).await?;
    tx.commit().await
}

/// To sign-up with this code: letters, digits and hyphens, nothing to escape.
fn on_with(code: &str) -> Response {
    lead(&format!("/signup?ref={code}"))
}

/// To sign-up, which says that the link does not work and no more: not whether it ever did.
fn dead() -> Response {
    lead("/signup?link=dead")
}

fn lead(to: &str) -> Response {
    let mut response = see_other(to);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

/// Does it say of itself that it is nobody? What lies about that is counted, and found out by nobody here.
fn is_robot(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    // A telephone, whose name ends like that.
    let agent = agent.to_ascii_lowercase().replace("cubot", "");
    ROBOTS.iter().any(|word| agent.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robots_are_known_by_what_they_say() {
        for (agent, expected) in [
            ("", false),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", false),
            ("Mozilla/5.0 (Linux; Android 14; CUBOT KINGKONG 9) AppleWebKit/537.36 Mobile Safari/537.36", false),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", true),
            ("TelegramBot (like TwitterBot)", true),
            ("facebookexternalhit/1.1", true),
            ("WhatsApp/2.23.20.0", true),
            ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", true),
            ("Mozilla/5.0 SkypeUriPreview Preview/0.5", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
            assert_eq!(is_robot(&headers), expected, "{agent}");
        }
    }
}
