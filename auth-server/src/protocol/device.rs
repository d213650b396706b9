//! Devices that wait for their person (RFC 8628): the codes, and what becomes of them. Every step is one guarded
//! statement, so that two browsers, or two polls, never both win.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, GrantId};
use shared::secret::PlainToken;
use shared::{Platform, audit, execute, fetch_optional};
use sqlx::types::Json;

use super::grants::{self, GrantDetails};
use crate::clients::{self, Client, DEVICE_CODE};
use crate::sessions::{self, SignedIn};
use crate::state::AppState;

/// By how many seconds a device that asks too often has to slow down (§3.5).
const SLOWER: i64 = 5;

/// The letters of user codes: no vowels, so that no words come about, and none that look alike (§6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// How many letters: 34 bits, against guesses that are limited and an hour at most.
const LENGTH: usize = 8;

/// What a person types: eight letters, shown as `WDJB-MJHT`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    fn draw(platform: &Platform) -> Self {
        let mut code = String::with_capacity(LENGTH);
        while code.len() < LENGTH {
            let [byte] = platform.random.bytes::<1>();
            // The largest multiple of 20 in a byte: beyond it some letters would come more often.
            if byte < 240 {
                code.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
            }
        }
        Self(code)
    }

    /// Reads what was typed: in any case, with or without the dash (§6.1).
    pub fn parse(text: &str) -> Option<Self> {
        let code: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–' | '—' | '_' | '.'))
            .take(LENGTH + 1)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        (code.len() == LENGTH && code.bytes().all(|b| LETTERS.contains(&b))).then_some(Self(code))
    }

    /// Without the dash.
    pub fn letters(&self) -> &str {
        &self.0
    }

    /// What is stored. Keyed: a plain hash of 34 bits is turned back in seconds.
    fn hash(&self, platform: &Platform) -> Vec<u8> {
        platform.master_key.mac("device-user-code", self.0.as_bytes())
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

/// What the device asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    pub scope: Vec<String>,
    pub resource: Vec<String>,
}

/// Keeps a request and draws its codes.
pub async fn begin(
    platform: &Platform,
    client: &ClientId,
    request: &DeviceRequest,
) -> Result<(PlainToken, UserCode), DbError> {
    let seconds = i64::try_from(platform.config.device.expires_in_seconds).unwrap_or(600);
    let interval = i64::try_from(platform.config.device.interval_seconds).unwrap_or(5);
    let device_code = PlainToken::new(&platform.random);
    loop {
        let user_code = UserCode::draw(platform);
        let now = platform.clock.now();
        let mut tx = platform.db.begin().await?;
        let inserted = execute!(
            &mut tx,
            "INSERT INTO device_authorizations (id, device_code_hash, user_code_hash, client_id, request, status, \
             interval_seconds, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8) \
             ON CONFLICT (user_code_hash) DO NOTHING",
            platform.random.uuid_v4(),
            device_code.hash(),
            user_code.hash(platform),
            client,
            Json(request),
            interval,
            now,
            now + TimeDelta::seconds(seconds)
        )?;
        tx.commit().await?;
        // Of 25 billion codes, this one was taken: draw again.
        if inserted == 1 {
            return Ok((device_code, user_code));
        }
    }
}

/// A request that waits for its person.
#[derive(Clone)]
pub struct Waiting {
    pub code: UserCode,
    pub client: Arc<Client>,
    pub request: DeviceRequest,
}

/// Does the client's registration stand behind this request?
fn stands(client: &Client, request: &DeviceRequest) -> bool {
    client.may_use(DEVICE_CODE) && request.scope.iter().all(|scope| client.metadata.scopes.contains(scope))
}

/// The request with this code, when it still waits.
pub async fn find(state: &AppState, code: &UserCode) -> Result<Option<Waiting>, DbError> {
    let mut conn = state.platform.db.read().await?;
    let row = fetch_optional!(
        &mut conn,
        (ClientId, Json<DeviceRequest>),
        "SELECT client_id, request FROM device_authorizations \
         WHERE user_code_hash = $1 AND status = 'pending' AND expires_at > $2",
        code.hash(&state.platform),
        state.platform.clock.now()
    )?;
    drop(conn);
    let Some((client_id, Json(request))) = row else { return Ok(None) };
    let client = state.clients.get(&client_id).await?;
    // What was withdrawn from the client while its device waited is not granted any more.
    let client = client.filter(|client| stands(client, &request));
    Ok(client.map(|client| Waiting { code: code.clone(), client, request }))
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Done,
    /// It waits no more: decided in another tab, too late, or its client may not ask for this any more.
    Over,
    /// The session that decides has just ended: it answers for nobody.
    SignedOut,
}

/// The person allows it: makes the grant that the device's next question gets.
///
/// The grant has no `sid`: the device goes on when the browser that helped it is signed out.
pub async fn allow(platform: &Platform, waiting: &Waiting, signed_in: &SignedIn) -> Result<Decided, DbError> {
    let details = GrantDetails {
        scope: waiting.request.scope.clone(),
        resource: waiting.request.resource.clone(),
        auth_time: signed_in.auth_time,
        acr: signed_in.acr.clone(),
        amr: signed_in.amr.clone(),
        ..GrantDetails::default()
    };
    let mut tx = platform.db.begin().await?;
    // Whoever was signed out meanwhile, by the address's owner perhaps, must not leave a grant behind.
    if !sessions::hold(&mut tx, platform, signed_in.sid).await? {
        return Ok(Decided::SignedOut);
    }
    let client = clients::by_id(&mut tx, &waiting.client.client_id).await?;
    if !client.is_some_and(|client| stands(&client, &waiting.request)) {
        return Ok(Decided::Over);
    }
    let grant = grants::insert_grant(&mut tx, platform, &waiting.client, signed_in.user_id, None, &details).await?;
    let allowed = fetch_optional!(
        &mut tx,
        (DateTime<Utc>,),
        "UPDATE device_authorizations SET status = 'allowed', grant_id = $3 \
         WHERE user_code_hash = $1 AND status = 'pending' AND expires_at > $2 RETURNING expires_at",
        waiting.code.hash(platform),
        platform.clock.now(),
        grant.id
    )?;
    let Some((expires_at,)) = allowed else { return Ok(Decided::Over) };
    grants::wait_for_exchange(&mut tx, grant.id, expires_at).await?;
    let client = Some(&waiting.client.client_id);
    audit::record(&mut tx, platform, "device.allowed", Some(signed_in.user_id), client, json!({ "grant": grant.id }))
        .await?;
    tx.commit().await?;
    Ok(Decided::Done)
}

/// The person refuses.
pub async fn deny(platform: &Platform, waiting: &Waiting, signed_in: &SignedIn) -> Result<Decided, DbError> {
    let mut tx = platform.db.begin().await?;
    if !sessions::hold(&mut tx, platform, signed_in.sid).await? {
        return Ok(Decided::SignedOut);
    }
    let denied = execute!(
        &mut tx,
        "UPDATE device_authorizations SET status = 'denied' \
         WHERE user_code_hash = $1 AND status = 'pending' AND expires_at > $2",
        waiting.code.hash(platform),
        platform.clock.now()
    )?;
    if denied == 0 {
        return Ok(Decided::Over);
    }
    let client = Some(&waiting.client.client_id);
    audit::record(&mut tx, platform, "device.denied", Some(signed_in.user_id), client, json!({})).await?;
    tx.commit().await?;
    Ok(Decided::Done)
}

/// What a device learns when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// This once.
    Allowed(GrantId),
    Pending,
    SlowDown,
    Denied,
    Expired,
    /// Never was, was used, or is another client's.
    Unknown,
}

/// What a device learns of a code that is over, or never was: nothing is written for that. `None` when it is to be asked
/// for in earnest ([`poll`]).
pub async fn peek(
    conn: &mut Conn,
    platform: &Platform,
    client: &ClientId,
    code: &PlainToken,
) -> Result<Option<Poll>, DbError> {
    let row = fetch_optional!(
        conn,
        (String, DateTime<Utc>),
        "SELECT status, expires_at FROM device_authorizations WHERE device_code_hash = $1 AND client_id = $2",
        code.hash(),
        client
    )?;
    let Some((status, expires_at)) = row else { return Ok(Some(Poll::Unknown)) };
    Ok(over(&status, expires_at, platform.clock.now()))
}

fn over(status: &str, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Poll> {
    match status {
        "used" => Some(Poll::Unknown),
        "denied" => Some(Poll::Denied),
        _ => (expires_at <= now).then_some(Poll::Expired),
    }
}

/// The device asks (§3.4), in the token request's transaction. Whatever the answer, the transaction is to be committed:
/// it holds when the device asked last.
pub async fn poll(tx: &mut Tx, platform: &Platform, client: &ClientId, code: &PlainToken) -> Result<Poll, DbError> {
    let now = platform.clock.now();
    let used = fetch_optional!(
        tx,
        (GrantId,),
        "UPDATE device_authorizations SET status = 'used', polled_at = $3 \
         WHERE device_code_hash = $1 AND client_id = $2 AND status = 'allowed' AND expires_at > $3 RETURNING grant_id",
        code.hash(),
        client,
        now
    )?;
    if let Some((grant,)) = used {
        return Ok(Poll::Allowed(grant));
    }
    let row = fetch_optional!(
        tx,
        (String, i64, Option<DateTime<Utc>>, DateTime<Utc>),
        "SELECT status, interval_seconds, polled_at, expires_at FROM device_authorizations \
         WHERE device_code_hash = $1 AND client_id = $2",
        code.hash(),
        client
    )?;
    let Some((status, interval, polled_at, expires_at)) = row else { return Ok(Poll::Unknown) };
    if let Some(over) = over(&status, expires_at, now) {
        return Ok(over);
    }
    let too_soon = polled_at.is_some_and(|at| now < at + TimeDelta::seconds(interval));
    let next_interval = if too_soon { interval + SLOWER } else { interval };
    let noted = execute!(
        tx,
        "UPDATE device_authorizations SET polled_at = $3, interval_seconds = $4 \
         WHERE device_code_hash = $1 AND client_id = $2 AND status = 'pending' AND interval_seconds = $5 \
           AND polled_at IS NOT DISTINCT FROM $6",
        code.hash(),
        client,
        now,
        next_interval,
        interval,
        polled_at
    )?;
    // Somebody else asked, or decided, at this very moment: whichever, come again later.
    Ok(if too_soon || noted == 0 { Poll::SlowDown } else { Poll::Pending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::{Scratch, Store};

    #[tokio::test]
    async fn a_user_code_has_no_vowels_and_is_read_however_it_is_typed__rfc8628_6_1() {
        let scratch = Scratch::new(Store::Embedded).await.unwrap();
        let platform = scratch.platform(&[]).await;
        for _ in 0..200 {
            let code = UserCode::draw(&platform);
            let shown = code.to_string();
            assert_eq!((shown.len(), shown.find('-')), (9, Some(4)));
            assert!(!shown.contains(|c: char| "AEIOUY0123456789".contains(c)), "{shown}");
            assert!(UserCode::parse(&shown) == Some(code));
        }
        let expected = Some("WDJBMJHT");
        for typed in ["WDJB-MJHT", "wdjbmjht", " WdJb  mJhT ", "W-D-J-B-M-J-H-T", "WDJB–MJHT"] {
            assert_eq!(UserCode::parse(typed).as_ref().map(UserCode::letters), expected, "{typed}");
        }
        for bad in ["", "WDJB-MJH", "WDJB-MJHTX", "WDJB-MJH1", "AEIO-UAEI", "ЩДЖБ-МЖХТ", &"W".repeat(10_000)] {
            assert!(UserCode::parse(bad).is_none(), "{bad}");
        }
    }
}
