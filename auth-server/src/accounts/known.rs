//! [`Known`]: which accounts signed in in this browser, in one cookie that nobody but us can write.
//!
//! It opens nothing. It gives the browser a count of its own for wrong passwords ([`super::throttle`]), spares the owner
//! the mail about a new device, and fills the page on which an account is chosen. So there are no rows to keep of it: the
//! cookie holds ids alone, under a MAC, and the person can take each out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use shared::Platform;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::outbox::Notice;
use shared::{audit, fetch_optional};
use uuid::Uuid;

use super::notices;

const PURPOSE: &str = "known-accounts";

/// How many accounts are remembered; the one that was used longest ago goes.
pub const MOST: usize = 5;

/// After so long without a sign-in, an account is forgotten here. Browsers keep no cookie longer.
pub const LIFE: TimeDelta = TimeDelta::days(400);

/// How long after an account was made its first device is no news.
const JUST: TimeDelta = TimeDelta::minutes(10);

/// 16 bytes of id, 8 of time.
const ENTRY: usize = 24;

/// The browser, and who signed in there, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    browser: [u8; 16],
    accounts: Vec<(UserId, DateTime<Utc>)>,
}

impl Known {
    /// Reads the cookie. One that is not ours says nothing.
    pub fn read(platform: &Platform, cookie: Option<&str>) -> Self {
        cookie.filter(|cookie| cookie.len() < 1024).and_then(|cookie| Self::parse(platform, cookie)).unwrap_or_default()
    }

    fn parse(platform: &Platform, cookie: &str) -> Option<Self> {
        let (body, mac) = cookie.split_once('.')?;
        let (body, mac) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        if !platform.master_key.verify_mac(PURPOSE, &body, &mac) {
            return None;
        }
        let (browser, entries) = body.split_first_chunk::<16>()?;
        let oldest = platform.clock.now() - LIFE;
        let accounts = entries.chunks_exact(ENTRY).filter_map(|entry| {
            let (id, at) = entry.split_first_chunk::<16>()?;
            let at = DateTime::from_timestamp(i64::from_be_bytes(at.try_into().ok()?), 0)?;
            (at > oldest).then_some((UserId(Uuid::from_bytes(*id)), at))
        });
        Some(Self { browser: *browser, accounts: accounts.collect() })
    }

    /// The cookie's value.
    pub fn cookie(&self, platform: &Platform) -> String {
        let mut body = self.browser.to_vec();
        for (UserId(id), at) in &self.accounts {
            body.extend_from_slice(id.as_bytes());
            body.extend_from_slice(&at.timestamp().to_be_bytes());
        }
        let mac = platform.master_key.mac(PURPOSE, &body);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Did this account sign in here?
    pub fn has(&self, user: UserId) -> bool {
        self.accounts.iter().any(|(known, _)| *known == user)
    }

    /// The accounts, the latest first.
    pub fn accounts(&self) -> impl Iterator<Item = UserId> {
        self.accounts.iter().map(|(user, _)| *user)
    }

    /// Those that this browser still knows: none whose password was set since by somebody who need not be them, or whose
    /// owner signed out everywhere since, or moved to another address.
    pub async fn still(&self, conn: &mut Conn) -> Result<Vec<UserId>, DbError> {
        let mut still = vec![];
        for (user, at) in &self.accounts {
            type Since = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);
            let since: Option<Since> = fetch_optional!(
                conn,
                Since,
                "SELECT c.updated_at, f.at FROM users u LEFT JOIN password_credentials c ON c.user_id = u.id \
                 LEFT JOIN forgotten_browsers f ON f.user_id = u.id WHERE u.id = $1",
                *user
            )?;
            // The cookie has whole seconds.
            let holds = |since: Option<DateTime<Utc>>| since.is_none_or(|since| since.timestamp() <= at.timestamp());
            if since.is_some_and(|(set, forgotten)| holds(set) && holds(forgotten)) {
                still.push(*user);
            }
        }
        Ok(still)
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// What tells this browser from others; of no meaning where nobody signed in yet.
    pub fn browser(&self) -> &[u8] {
        &self.browser
    }

    /// With `user`, who has just signed in.
    pub fn with(&self, platform: &Platform, user: UserId) -> Self {
        let browser = if self.is_empty() { platform.random.bytes() } else { self.browser };
        let others = self.accounts.iter().filter(|(known, _)| *known != user).copied();
        let accounts = std::iter::once((user, platform.clock.now())).chain(others).take(MOST).collect();
        Self { browser, accounts }
    }

    /// Without `user`.
    pub fn without(&self, user: UserId) -> Self {
        let accounts = self.accounts.iter().filter(|(known, _)| *known != user).copied().collect();
        Self { browser: self.browser, accounts }
    }
}

/// Somebody signed in to `user` in a browser that the account was never used in. The one place for what the owner is told
/// of it: written down here, and to be mailed (kind `new-device`) unless it is the account's first sign-in at all, of which
/// nobody needs a warning. Call it before the sign-in itself is written down.
pub async fn notice_new_device(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
    let made: Option<(DateTime<Utc>,)> =
        fetch_optional!(tx, (DateTime<Utc>,), "SELECT created_at FROM users WHERE id = $1", user)?;
    // Whoever has just signed up knows.
    let first = made.is_none_or(|(at,)| platform.clock.now() - at < JUST);
    audit::record(tx, platform, "signin.new_device", Some(user), None, serde_json::json!({ "first": first })).await?;
    if first { Ok(()) } else { notices::tell_of(tx, platform, user, Notice::NewDevice, None).await }
}

#[cfg(test)]
mod tests {
    use shared::testing::each_store;

    use super::*;
    use crate::accounts::testing::{each_state, person, session_of};

    #[tokio::test]
    async fn the_cookie_says_only_what_we_wrote() {
        each_store(|platform| async move {
            let user = || UserId::new(&platform.random, &platform.clock);
            let (ann, bob) = (user(), user());
            let known = Known::default().with(&platform, ann).with(&platform, bob);
            let cookie = known.cookie(&platform);
            let read = Known::read(&platform, Some(&cookie));
            assert_eq!(read.accounts().collect::<Vec<_>>(), [bob, ann]);
            assert_eq!(read.browser(), known.browser());
            assert!(!read.without(bob).has(bob) && read.without(bob).has(ann));

            let (body, mac) = cookie.split_once('.').unwrap();
            let mut other = URL_SAFE_NO_PAD.decode(body).unwrap();
            other[20] ^= 1;
            let longer = [&URL_SAFE_NO_PAD.decode(body).unwrap()[..], &[0; ENTRY]].concat();
            for bad in [
                format!("{}.{mac}", URL_SAFE_NO_PAD.encode(other)),
                format!("{}.{mac}", URL_SAFE_NO_PAD.encode(longer)),
                format!("{body}."),
                format!(".{mac}"),
                body.to_owned(),
                String::new(),
                "x".repeat(5000),
            ] {
                assert!(Known::read(&platform, Some(&bad)).is_empty(), "{bad}");
            }
            platform.clock.advance((LIFE + TimeDelta::seconds(1)).to_std().unwrap());
            assert!(Known::read(&platform, Some(&cookie)).is_empty());
        })
        .await;
    }

    /// A cookie is a browser's to keep: what it says is held against what happened since.
    #[tokio::test]
    async fn a_browser_is_a_stranger_again_once_its_owner_signed_out_everywhere_or_moved() {
        each_state(&[], |state| async move {
            let platform = &state.platform;
            let (ann, bob) = (person(&state, "ann@example.com").await, person(&state, "bob@example.com").await);
            for how in 0..4 {
                let known = Known::default().with(platform, ann).with(platform, bob);
                let still = known.still(&mut platform.db.read().await.unwrap()).await.unwrap();
                assert_eq!(still, [bob, ann]);
                platform.clock.advance(std::time::Duration::from_secs(2));
                let here = session_of(&state, ann).await;
                let mut tx = platform.db.begin().await.unwrap();
                match how {
                    0 => crate::sessions::end_all_of(&mut tx, platform, ann).await.unwrap(),
                    // As with a change of the address, which ends the others.
                    1 => crate::sessions::end_others_of(&mut tx, platform, ann, here.sid).await.unwrap(),
                    2 => {
                        crate::sessions::devices::end_others(&mut tx, platform, ann, here.sid).await.unwrap();
                    }
                    _ => {
                        let sql = "UPDATE password_credentials SET updated_at = $2 WHERE user_id = $1";
                        shared::execute!(&mut tx, sql, ann, platform.clock.now()).unwrap();
                    }
                }
                tx.commit().await.unwrap();
                let still = known.still(&mut platform.db.read().await.unwrap()).await.unwrap();
                assert_eq!(still, [bob], "{how}");
            }
            let nobody = UserId::new(&platform.random, &platform.clock);
            let known = Known::default().with(platform, nobody);
            assert!(known.still(&mut platform.db.read().await.unwrap()).await.unwrap().is_empty(), "a deleted account");
        })
        .await;
    }

    #[tokio::test]
    async fn the_sixth_account_takes_the_place_of_the_first() {
        each_store(|platform| async move {
            let people: Vec<_> = (0..=MOST).map(|_| UserId::new(&platform.random, &platform.clock)).collect();
            let known = people.iter().fold(Known::default(), |known, user| known.with(&platform, *user));
            assert_eq!(known.accounts().count(), MOST);
            assert!(!known.has(people[0]) && known.has(people[1]));
            // Known again is not known twice.
            assert_eq!(known.with(&platform, people[3]).accounts().count(), MOST);
        })
        .await;
    }
}
