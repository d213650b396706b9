//! Devices that ask their owner for no second factor for a while: because the owner wished so, having shown one. The
//! browser holds a random token in a cookie, a row holds its hash and whose it is. It spares one step of signing in and
//! nothing else: the sign-in is told as one by what was shown, and what is sensitive asks for the step after all
//! (`accounts::factors::showed_all`).
//!
//! A browser may be several people's: the cookie holds a token for each. Each is drawn when its device is remembered and
//! never taken from what the browser sent, so that a cookie that somebody planted before is worth nothing.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};
use uuid::Uuid;

use super::devices::{Browser, MAX_USER_AGENT};

/// People whom one browser remembers.
const PEOPLE: usize = 5;

/// Devices of one person; the oldest gives way.
const MOST: usize = 20;

/// A token's length, in base64url.
const TOKEN: usize = 43;

/// The tokens that a browser holds.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<PlainToken>);

impl Tokens {
    /// Reads the cookie.
    pub fn read(cookie: Option<&str>) -> Self {
        let tokens = cookie.unwrap_or_default().split('.').filter(|token| token.len() == TOKEN);
        Self(tokens.take(PEOPLE).map(PlainToken::presented).collect())
    }

    /// The cookie's value.
    pub fn cookie(&self) -> String {
        let tokens: Vec<&str> = self.0.iter().map(PlainToken::reveal).collect();
        tokens.join(".")
    }

    fn hashes(&self) -> impl Iterator<Item = TokenHash> {
        self.0.iter().map(PlainToken::hash)
    }

    /// With one more, which is kept for the person it was drawn for, in place of the one that is `gone`.
    fn with(&self, token: PlainToken, gone: Option<&TokenHash>) -> Self {
        let others = self.0.iter().filter(|other| gone.is_none_or(|gone| !gone.matches(other))).cloned();
        Self(std::iter::once(token).chain(others).take(PEOPLE).collect())
    }
}

/// For how long; `None` where devices are not remembered.
pub fn lifetime(platform: &Platform) -> Option<TimeDelta> {
    let days = i64::try_from(platform.config.factors.remember_days).ok().filter(|days| *days > 0)?;
    TimeDelta::try_days(days)
}

/// Is this browser remembered for `user`? By which token.
pub async fn find(
    conn: &mut Conn,
    platform: &Platform,
    tokens: &Tokens,
    user: UserId,
) -> Result<Option<TokenHash>, DbError> {
    if lifetime(platform).is_none() {
        return Ok(None);
    }
    for hash in tokens.hashes() {
        let row: Option<(UserId,)> = fetch_optional!(
            conn,
            (UserId,),
            "SELECT user_id FROM remembered_devices WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3",
            &hash,
            user,
            platform.clock.now()
        )?;
        if row.is_some() {
            return Ok(Some(hash));
        }
    }
    Ok(None)
}

/// Is it still, once the session is written? If so, the use is written down. Whatever has the devices forgotten at the same
/// moment ends the session, or is noticed here.
pub async fn still(tx: &mut Tx, platform: &Platform, token: &TokenHash, user: UserId) -> Result<bool, DbError> {
    let used = execute!(
        tx,
        "UPDATE remembered_devices SET last_used_at = $3 WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3",
        token,
        user,
        platform.clock.now()
    )?;
    if used == 1 {
        audit::record(tx, platform, "remembered_device.used", Some(user), None, json!({})).await?;
    }
    Ok(used == 1)
}

/// Remembers this browser for `user`, who has just shown a second factor, in the transaction that lets them in. What the
/// browser is to hold from now on.
pub async fn remember(
    tx: &mut Tx,
    platform: &Platform,
    tokens: &Tokens,
    user: UserId,
    user_agent: Option<&str>,
) -> Result<Option<Tokens>, DbError> {
    let Some(life) = lifetime(platform) else { return Ok(None) };
    // The same browser, remembered before: one row for it.
    let before = find(tx, platform, tokens, user).await?;
    if let Some(before) = &before {
        execute!(tx, "DELETE FROM remembered_devices WHERE token_hash = $1 AND user_id = $2", before, user)?;
    }
    let theirs: Vec<(Uuid,)> =
        fetch_all!(tx, (Uuid,), "SELECT id FROM remembered_devices WHERE user_id = $1 ORDER BY created_at DESC", user)?;
    for (id,) in theirs.iter().skip(MOST - 1) {
        execute!(tx, "DELETE FROM remembered_devices WHERE id = $1", *id)?;
    }
    let token = PlainToken::new(&platform.random);
    let now = platform.clock.now();
    let user_agent: Option<String> = user_agent.map(|ua| ua.chars().take(MAX_USER_AGENT).collect());
    execute!(
        tx,
        "INSERT INTO remembered_devices (id, token_hash, user_id, user_agent, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        platform.random.uuid_v7(&platform.clock),
        token.hash(),
        user,
        user_agent,
        now,
        now + life
    )?;
    let details = json!({ "until": now + life });
    audit::record(tx, platform, "remembered_device.added", Some(user), None, details).await?;
    Ok(Some(tokens.with(token, before.as_ref())))
}

/// A device as its owner knows it.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub id: Uuid,
    pub browser: Browser,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    /// Is it the browser that holds these tokens?
    pub here: bool,
}

/// Those of one person, the latest first.
pub async fn all_of(
    conn: &mut Conn,
    platform: &Platform,
    tokens: &Tokens,
    user: UserId,
) -> Result<Vec<Remembered>, DbError> {
    type Row = (Uuid, TokenHash, Option<String>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
    let rows: Vec<Row> = fetch_all!(
        conn,
        Row,
        "SELECT id, token_hash, user_agent, created_at, last_used_at, expires_at FROM remembered_devices \
         WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id DESC",
        user,
        platform.clock.now()
    )?;
    let device = |(id, hash, user_agent, created_at, last_used_at, expires_at): Row| Remembered {
        id,
        browser: user_agent.as_deref().map(Browser::of).unwrap_or_default(),
        created_at,
        last_used_at,
        expires_at,
        here: tokens.hashes().any(|own| own == hash),
    };
    Ok(rows.into_iter().map(device).collect())
}

/// Has one device ask again. `false` when it is none of theirs.
pub async fn forget(tx: &mut Tx, platform: &Platform, user: UserId, id: Uuid) -> Result<bool, DbError> {
    let gone = execute!(tx, "DELETE FROM remembered_devices WHERE id = $1 AND user_id = $2", id, user)?;
    if gone == 1 {
        let details = json!({ "why": "own wish" });
        audit::record(tx, platform, "remembered_device.removed", Some(user), None, details).await?;
    }
    Ok(gone == 1)
}

/// Has every device of a person ask again: whenever a way to sign in changes, or other devices are signed out. How many
/// those were.
pub async fn forget_all(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<u64, DbError> {
    let gone = execute!(tx, "DELETE FROM remembered_devices WHERE user_id = $1", user)?;
    if gone > 0 {
        let details = json!({ "devices": gone });
        audit::record(tx, platform, "remembered_device.removed", Some(user), None, details).await?;
    }
    Ok(gone)
}

/// From now on, browsers that knew the account before are strangers to it: they ask for a second factor, and have no count
/// of their own for wrong passwords (`accounts::known`).
pub async fn forget_browsers(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
    forget_all(tx, platform, user).await?;
    execute!(
        tx,
        "INSERT INTO forgotten_browsers (user_id, at) SELECT id, $2 FROM users WHERE id = $1 \
         ON CONFLICT (user_id) DO UPDATE SET at = $2",
        user,
        platform.clock.now()
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::AppState;
    use crate::accounts::testing::{count, each_state, person, session_of};

    async fn remembered(state: &AppState, tokens: &Tokens, user: UserId) -> Tokens {
        let mut tx = state.platform.db.begin().await.unwrap();
        let kept = remember(&mut tx, &state.platform, tokens, user, Some("Firefox/140.0 Linux")).await.unwrap();
        tx.commit().await.unwrap();
        // As the browser gives it back.
        Tokens::read(Some(&kept.expect("devices are remembered").cookie()))
    }

    async fn is_remembered(state: &AppState, tokens: &Tokens, user: UserId) -> bool {
        let mut conn = state.platform.db.read().await.unwrap();
        find(&mut conn, &state.platform, tokens, user).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_remembered_device_is_its_owners_alone_and_for_its_days() {
        each_state(&[("FACTORS__REMEMBER_DAYS", "30")], |state| async move {
            let (ann, bob) = (person(&state, "ann@example.com").await, person(&state, "bob@example.com").await);
            let tokens = remembered(&state, &Tokens::default(), ann).await;
            assert!(is_remembered(&state, &tokens, ann).await);
            assert!(!is_remembered(&state, &tokens, bob).await, "somebody else's");
            assert!(!is_remembered(&state, &Tokens::default(), ann).await);
            let made_up = Tokens::read(Some(&format!("{}.{}", "A".repeat(43), "short")));
            assert!(!is_remembered(&state, &made_up, ann).await);
            // A browser of both, and Ann once more: a token that was planted or stolen before is worth nothing.
            let both = remembered(&state, &tokens, bob).await;
            let again = remembered(&state, &both, ann).await;
            assert!(is_remembered(&state, &again, ann).await && is_remembered(&state, &again, bob).await);
            assert!(!is_remembered(&state, &tokens, ann).await, "the former token");
            assert_eq!(again.0.len(), 2);
            let mut conn = state.platform.db.read().await.unwrap();
            let all = all_of(&mut conn, &state.platform, &again, ann).await.unwrap();
            assert!(all.len() == 1 && all[0].here && all[0].browser.name == Some("Firefox"), "{all:?}");
            let (stored,) =
                shared::fetch_one!(&mut conn, (Vec<u8>,), "SELECT token_hash FROM remembered_devices LIMIT 1").unwrap();
            assert!(again.0.iter().all(|token| token.reveal().as_bytes() != stored), "a hash is kept");
            drop(conn);
            // Use does not renew it.
            state.platform.clock.advance(Duration::from_secs(29 * 86_400));
            let hash = find(&mut state.platform.db.read().await.unwrap(), &state.platform, &again, ann).await.unwrap();
            let mut tx = state.platform.db.begin().await.unwrap();
            assert!(still(&mut tx, &state.platform, &hash.unwrap(), ann).await.unwrap());
            tx.commit().await.unwrap();
            state.platform.clock.advance(Duration::from_secs(86_401));
            assert!(!is_remembered(&state, &again, ann).await);
            crate::sweeper::sweep(&state.platform).await.unwrap();
            let mut conn = state.platform.db.read().await.unwrap();
            assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM remembered_devices").await, 0);
        })
        .await;
    }

    #[tokio::test]
    async fn signing_out_elsewhere_forgets_every_device_and_one_forgets_ones_own() {
        each_state(&[], |state| async move {
            let platform = &state.platform;
            let (ann, bob) = (person(&state, "ann@example.com").await, person(&state, "bob@example.com").await);
            let bobs = remembered(&state, &Tokens::default(), bob).await;
            for how in 0..3 {
                let tokens = remembered(&state, &Tokens::default(), ann).await;
                let here = session_of(&state, ann).await;
                let mut tx = platform.db.begin().await.unwrap();
                match how {
                    0 => crate::sessions::end_all_of(&mut tx, platform, ann).await.unwrap(),
                    1 => crate::sessions::end_others_of(&mut tx, platform, ann, here.sid).await.unwrap(),
                    _ => {
                        crate::sessions::devices::end_others(&mut tx, platform, ann, here.sid).await.unwrap();
                    }
                }
                tx.commit().await.unwrap();
                assert!(!is_remembered(&state, &tokens, ann).await, "{how}");
            }
            let tokens = remembered(&state, &Tokens::default(), ann).await;
            let mut tx = platform.db.begin().await.unwrap();
            let id = all_of(&mut tx, platform, &tokens, ann).await.unwrap()[0].id;
            assert!(!forget(&mut tx, platform, bob, id).await.unwrap(), "somebody else's");
            assert!(forget(&mut tx, platform, ann, id).await.unwrap());
            tx.commit().await.unwrap();
            assert!(!is_remembered(&state, &tokens, ann).await);
            assert!(is_remembered(&state, &bobs, bob).await);
        })
        .await;
    }

    #[tokio::test]
    async fn nobody_has_more_remembered_devices_than_they_can_look_through() {
        each_state(&[], |state| async move {
            let ann = person(&state, "ann@example.com").await;
            let first = remembered(&state, &Tokens::default(), ann).await;
            for _ in 0..MOST {
                state.platform.clock.advance(Duration::from_secs(1));
                remembered(&state, &Tokens::default(), ann).await;
            }
            let mut conn = state.platform.db.read().await.unwrap();
            let all = all_of(&mut conn, &state.platform, &first, ann).await.unwrap();
            assert!(all.len() == MOST && all.iter().all(|device| !device.here));
        })
        .await;
    }

    #[tokio::test]
    async fn where_devices_are_not_remembered_none_is() {
        each_state(&[("FACTORS__REMEMBER_DAYS", "0")], |state| async move {
            let ann = person(&state, "ann@example.com").await;
            let mut tx = state.platform.db.begin().await.unwrap();
            let kept = remember(&mut tx, &state.platform, &Tokens::default(), ann, None).await.unwrap();
            assert!(kept.is_none());
        })
        .await;
    }
}
