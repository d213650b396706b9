//! The sessions of one person as that person knows them: by browser and system, since when, and how they end.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{SessionId, UserId};
use shared::{Platform, audit, execute, fetch_all};
use sqlx::types::Json;

use super::{SIGNED_IN, SignedIn, end, remembered};
use crate::AppState;

/// Longer than what browsers say of themselves.
pub(super) const MAX_USER_AGENT: usize = 300;

/// Nobody has more browsers than they can look through.
const MOST: i64 = 200;

/// A live session.
#[derive(Clone, Debug)]
pub struct Device {
    pub sid: SessionId,
    pub signed_in: SignedIn,
    pub expires_at: DateTime<Utc>,
    pub browser: Browser,
}

/// What a browser says of itself, in the two words that people know it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    pub name: Option<&'static str>,
    pub system: Option<&'static str>,
    /// Is it held in the hand?
    pub mobile: bool,
}

impl Browser {
    /// Reads a `User-Agent` (RFC 9110 §10.1.5). It is anybody's to write, so only words of ours are ever shown.
    pub fn of(user_agent: &str) -> Self {
        // Most name others whose pages they want to be sent: the more particular come first.
        const NAMES: &[(&str, &str)] = &[
            ("Edg", "Edge"),
            ("OPR/", "Opera"),
            ("YaBrowser/", "Yandex Browser"),
            ("SamsungBrowser/", "Samsung Internet"),
            ("Vivaldi/", "Vivaldi"),
            ("Firefox/", "Firefox"),
            ("FxiOS/", "Firefox"),
            ("CriOS/", "Chrome"),
            ("Chromium/", "Chromium"),
            ("Chrome/", "Chrome"),
            ("Safari/", "Safari"),
            ("curl/", "curl"),
        ];
        const SYSTEMS: &[(&str, &str)] = &[
            ("iPhone", "iPhone"),
            ("iPad", "iPad"),
            ("Android", "Android"),
            ("CrOS", "ChromeOS"),
            ("Windows", "Windows"),
            ("Mac OS X", "macOS"),
            ("Macintosh", "macOS"),
            ("Linux", "Linux"),
        ];
        let find = |list: &[(&str, &'static str)]| {
            list.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
        };
        let system = find(SYSTEMS);
        let mobile = matches!(system, Some("iPhone" | "iPad" | "Android")) || user_agent.contains("Mobile");
        Self { name: find(NAMES), system, mobile }
    }
}

/// Keeps by which browser a session began. It may fail without harm: the session is then shown without.
pub async fn note(state: &AppState, sid: SessionId, user_agent: Option<&str>) {
    let Some(user_agent) = user_agent else { return };
    let short: String = user_agent.chars().take(MAX_USER_AGENT).collect();
    let write = async {
        let mut tx = state.platform.db.begin().await?;
        execute!(&mut tx, "UPDATE browser_sessions SET user_agent = $2 WHERE sid = $1", sid, short)?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::warn!(%error, "a session is kept without its browser");
    }
}

/// The live sessions of a person, the latest sign-in first.
pub async fn of_person(conn: &mut Conn, user: UserId, now: DateTime<Utc>) -> Result<Vec<Device>, DbError> {
    type Row = (Option<SessionId>, Json<Value>, Option<String>, DateTime<Utc>);
    let rows: Vec<Row> = fetch_all!(
        conn,
        Row,
        "SELECT sid, record, user_agent, expires_at FROM browser_sessions WHERE user_id = $1 AND expires_at > $2 \
         ORDER BY created_at DESC LIMIT $3",
        user,
        now,
        MOST
    )?;
    let device = |(sid, Json(record), user_agent, expires_at): Row| {
        let signed_in = serde_json::from_value(record.get(SIGNED_IN)?.clone()).ok()?;
        let browser = user_agent.as_deref().map(Browser::of).unwrap_or_default();
        Some(Device { sid: sid?, signed_in, expires_at, browser })
    };
    Ok(rows.into_iter().filter_map(device).collect())
}

/// Ends one session of a person's, in the caller's transaction. `false` when it is not theirs, or over.
pub async fn end_one(tx: &mut Tx, platform: &Platform, user: UserId, sid: SessionId) -> Result<bool, DbError> {
    let theirs: Vec<(Option<SessionId>,)> = fetch_all!(
        tx,
        (Option<SessionId>,),
        "SELECT sid FROM browser_sessions WHERE user_id = $1 AND sid = $2 AND expires_at > $3",
        user,
        sid,
        platform.clock.now()
    )?;
    if theirs.is_empty() {
        return Ok(false);
    }
    end(tx, platform, sid).await?;
    let details = json!({ "sid": sid, "why": "own wish" });
    audit::record(tx, platform, "session.ended", Some(user), None, details).await?;
    Ok(true)
}

/// Ends every session of a person's but `kept`, in the caller's transaction. How many those were.
pub async fn end_others(tx: &mut Tx, platform: &Platform, user: UserId, kept: SessionId) -> Result<usize, DbError> {
    remembered::forget_browsers(tx, platform, user).await?;
    let others: Vec<(Option<SessionId>,)> = fetch_all!(
        tx,
        (Option<SessionId>,),
        "SELECT sid FROM browser_sessions WHERE user_id = $1 AND sid <> $2 AND expires_at > $3",
        user,
        kept,
        platform.clock.now()
    )?;
    for sid in others.iter().filter_map(|(sid,)| *sid) {
        end(tx, platform, sid).await?;
    }
    if !others.is_empty() {
        let details = json!({ "sessions": others.len(), "why": "own wish" });
        audit::record(tx, platform, "sessions.ended", Some(user), None, details).await?;
    }
    Ok(others.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_known_by_the_more_particular_of_the_names_it_gives() {
        for (user_agent, name, system, mobile) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                Some("Chrome"),
                Some("Linux"),
                false,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0",
                Some("Edge"),
                Some("Windows"),
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1",
                Some("Safari"),
                Some("iPhone"),
                true,
            ),
            (
                "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                Some("Firefox"),
                Some("Android"),
                true,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
                Some("Safari"),
                Some("macOS"),
                false,
            ),
            ("<script>alert(1)</script>", None, None, false),
            ("", None, None, false),
        ] {
            assert_eq!(Browser::of(user_agent), Browser { name, system, mobile }, "{user_agent}");
        }
    }
}
