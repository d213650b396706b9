//! What the programme tells other systems: messages promised in the transaction that changed something (Standard Webhooks
//! 1.0.0). The referral API hands them out and delivers them; here they only come to be.
//!
//! Messages may arrive in any order, and more than once: each has an id that stays the same ([`MessageId`]) and says when
//! what it tells happened.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::execute;
use crate::ids::ClientId;
use crate::platform::Platform;

/// What there is to tell, with what it means. Names are hierarchical, of `[a-zA-Z0-9_]`, and one name is always one shape
/// of data ("Event types").
pub const KINDS: &[(&str, &str)] = &[
    ("referral.created", "Somebody signed up with a referral code"),
    ("referral.flagged", "Something speaks against a referral: somebody has to look at it"),
    ("referral.cleared", "Somebody looked at it and found nothing"),
    ("referral.verified", "The referral's email address is confirmed"),
    ("referral.qualified", "The referral did what the programme is for; it is held for a while"),
    ("referral.rewarded", "The referral counts, and what it earned was credited"),
    ("referral.rejected", "The referral does not count"),
    ("referral.reversed", "A referral that was rewarded does not count any more"),
    ("referral.expired", "The referral did not qualify in time"),
    ("reward.credited", "Something was credited to somebody"),
    ("reward.reversed", "What was credited was taken back"),
    (ENDPOINT_DISABLED, "One of the client's own endpoints was disabled, because it failed or said that it is gone"),
];

/// Told to the other endpoints of the client whose endpoint was disabled.
pub const ENDPOINT_DISABLED: &str = "webhook_endpoint.disabled";

/// Sent to one endpoint because somebody asked for it; it can't be subscribed to.
pub const TEST: &str = "webhook_endpoint.test";

/// Names a message: `msg_` and 32 hexadecimal digits, in the order of time. It holds no full stop, as the signature
/// scheme asks, and is the same in every attempt: receivers know by it what they have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct MessageId(pub Uuid);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}", self.0.simple())
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// This names no message.
#[derive(Debug, thiserror::Error)]
#[error("not a message's id")]
pub struct NoMessageId;

impl FromStr for MessageId {
    type Err = NoMessageId;

    fn from_str(text: &str) -> Result<Self, NoMessageId> {
        let digits = text.strip_prefix("msg_").filter(|digits| digits.len() == 32).ok_or(NoMessageId)?;
        digits.parse().map(Self).map_err(|_| NoMessageId)
    }
}

/// A message as its endpoints will get it.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    /// JSON, minified, byte for byte as it is signed and sent.
    pub payload: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Its members in the order in which the specification names them.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: DateTime<Utc>,
    data: &'a Value,
}

impl Message {
    /// A message of this `kind` about what happens now.
    pub fn new(platform: &Platform, kind: &str, data: &Value) -> Self {
        let now = platform.clock.now();
        let payload = serde_json::to_string(&Payload { kind, timestamp: now, data }).unwrap_or_default();
        let kept = Days::new(platform.config.webhooks.keep_days);
        Self {
            id: MessageId(platform.random.uuid_v7(&platform.clock)),
            payload,
            created_at: now,
            expires_at: now.checked_add_days(kept).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

/// Promises a message of this `kind`, such as `referral.verified`, to every endpoint that wants it, in the transaction
/// that did what it tells. `data` is an object and holds no address and no name. Nothing is written where no enabled
/// endpoint wants it.
pub async fn publish(tx: &mut Tx, platform: &Platform, kind: &str, data: &Value) -> Result<(), DbError> {
    debug_assert!(KINDS.iter().any(|(known, _)| *known == kind), "{kind} is not among the kinds that are documented");
    put(tx, platform, kind, data, None).await
}

/// The same to the endpoints of one client.
pub async fn publish_to(
    tx: &mut Tx,
    platform: &Platform,
    client: &ClientId,
    kind: &str,
    data: &Value,
) -> Result<(), DbError> {
    put(tx, platform, kind, data, Some(client)).await
}

async fn put(
    tx: &mut Tx,
    platform: &Platform,
    kind: &str,
    data: &Value,
    client: Option<&ClientId>,
) -> Result<(), DbError> {
    let message = Message::new(platform, kind, data);
    execute!(
        tx,
        "INSERT INTO webhook_messages (id, kind, payload, client_id, created_at, expires_at) \
         SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS \
           (SELECT 1 FROM webhook_subscriptions s JOIN webhook_endpoints e ON e.id = s.endpoint_id \
            WHERE s.kind IN ($2, '*') AND e.status = 'enabled' AND ($4 IS NULL OR e.client_id = $4))",
        message.id,
        kind,
        &message.payload,
        client.map(ClientId::as_str),
        message.created_at,
        message.expires_at
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fetch_all;
    use crate::testing::each_store;

    #[test]
    fn kinds_are_hierarchical_and_of_few_characters() {
        for (kind, meaning) in KINDS.iter().chain(&[(TEST, "a test")]) {
            assert!(kind.split('.').count() == 2 && !meaning.is_empty(), "{kind}");
            assert!(
                kind.split('.')
                    .all(|part| { !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') })
            );
        }
        for status in crate::referrals::life::Status::ALL.into_iter().skip(1) {
            assert!(KINDS.iter().any(|(kind, _)| *kind == format!("referral.{status}")), "each transition: {status}");
        }
    }

    #[test]
    fn an_id_is_read_back_and_holds_no_full_stop() {
        let id = MessageId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string(), "msg_01900000000070008000000000000001");
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        assert!(!id.to_string().contains('.'));
        for text in ["", "msg_", "01900000000070008000000000000001", "msg_01900000-0000-7000-8000-000000000001"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }

    async fn endpoint(platform: &Platform, client: &str, kind: &str, status: &str) {
        let mut tx = platform.db.begin().await.unwrap();
        let (now, id) = (platform.clock.now(), platform.random.uuid_v4());
        execute!(
            &mut tx,
            "INSERT INTO clients (client_id, name, first_party, metadata, created_at, updated_at) \
             VALUES ($1, 'A', TRUE, '{}', $2, $2) ON CONFLICT (client_id) DO NOTHING",
            client,
            now
        )
        .unwrap();
        let reason = (status == "disabled").then_some("requested");
        execute!(
            &mut tx,
            "INSERT INTO webhook_endpoints (id, client_id, url, status, disabled_reason, created_at, updated_at) \
             VALUES ($1, $2, 'https://a.example', $3, $4, $5, $5)",
            id,
            client,
            status,
            reason,
            now
        )
        .unwrap();
        execute!(&mut tx, "INSERT INTO webhook_subscriptions (endpoint_id, kind) VALUES ($1, $2)", id, kind).unwrap();
        tx.commit().await.unwrap();
    }

    async fn kinds(platform: &Platform) -> Vec<String> {
        let mut conn = platform.db.read().await.unwrap();
        let rows = fetch_all!(&mut conn, (String,), "SELECT kind FROM webhook_messages ORDER BY kind").unwrap();
        rows.into_iter().map(|(kind,)| kind).collect()
    }

    async fn publish_all(platform: &Platform, keep: bool) {
        let mut tx = platform.db.begin().await.unwrap();
        for kind in ["referral.created", "reward.credited"] {
            publish(&mut tx, platform, kind, &json!({ "id": 1 })).await.unwrap();
        }
        publish_to(&mut tx, platform, &ClientId::from("a"), ENDPOINT_DISABLED, &json!({})).await.unwrap();
        if keep {
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_message_is_written_with_what_it_tells_or_not_at_all() {
        each_store(|platform| async move {
            endpoint(&platform, "a", "*", "disabled").await;
            publish_all(&platform, true).await;
            assert_eq!(kinds(&platform).await, [""; 0], "no enabled endpoint wants any");
            endpoint(&platform, "b", ENDPOINT_DISABLED, "enabled").await;
            publish_all(&platform, true).await;
            assert_eq!(kinds(&platform).await, [""; 0], "that is another client's business");
            endpoint(&platform, "a", "reward.credited", "enabled").await;
            publish_all(&platform, false).await;
            assert_eq!(kinds(&platform).await, [""; 0], "what was rolled back did not happen");
            publish_all(&platform, true).await;
            assert_eq!(kinds(&platform).await, ["reward.credited"]);
            endpoint(&platform, "a", "*", "enabled").await;
            publish_all(&platform, true).await;
            let all = ["referral.created", "reward.credited", "reward.credited", ENDPOINT_DISABLED];
            assert_eq!(kinds(&platform).await, all);
        })
        .await;
    }

    #[tokio::test]
    async fn a_payload_says_type_timestamp_and_data_and_is_minified() {
        each_store(|platform| async move {
            let message = Message::new(&platform, "referral.verified", &json!({ "id": "x", "b": { "c": 2 } }));
            let value: Value = serde_json::from_str(&message.payload).unwrap();
            let timestamp = value["timestamp"].as_str().unwrap();
            assert_eq!(DateTime::parse_from_rfc3339(timestamp).unwrap(), message.created_at);
            assert_eq!(
                message.payload,
                format!(
                    r#"{{"type":"referral.verified","timestamp":"{timestamp}","data":{{"b":{{"c":2}},"id":"x"}}}}"#
                )
            );
        })
        .await;
    }
}
