//! Answers kept for a repeated `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a client that lost the
//! answer asks again and gets the same one, and nothing is done twice. The answer is stored in the transaction that
//! did the work, so there is never one without the other.

use axum::http::HeaderMap;
use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use utoipa::IntoParams;

use crate::db::{Conn, DbError, Tx};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::{execute, fetch_optional};

/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// The header as OpenAPI documents have it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct KeyHeader {
    /// Any unique text; kept for 24 hours
    #[param(rename = "Idempotency-Key", example = "5f1c0a52-8c1e-4d6b-9f0e-2b7a4c9d1e33")]
    pub key: Option<String>,
}

/// A request that carries an `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Idempotent {
    key_hash: Vec<u8>,
    request_hash: Vec<u8>,
}

/// An answer given before.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub status: u16,
    pub answer: Value,
}

impl Idempotent {
    /// Reads the header. `scope` names the route and the caller, so that keys of different callers never meet;
    /// `body` is what the request asks for. `Ok(None)` without the header.
    ///
    /// # Errors
    /// A [`Problem`] when the key is empty, longer than 255 bytes or not printable ASCII.
    pub fn from_headers(headers: &HeaderMap, scope: &[&str], body: &[u8]) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
        let (Some(text), None) = (text, values.next()) else {
            return Err(Problem::malformed("Idempotency-Key must be one value of 1 to 255 printable characters"));
        };
        let mut hash = Sha256::new();
        for part in scope.iter().chain(&[text]) {
            // Lengths go in, so that no two lists of parts read the same.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Ok(Some(Self { key_hash: hash.finalize().to_vec(), request_hash: Sha256::digest(body).to_vec() }))
    }

    /// The answer kept for this key, if any.
    ///
    /// The inner error is a 422: the key was used for another request.
    pub async fn find(&self, conn: &mut Conn, platform: &Platform) -> Result<Result<Option<Kept>, Problem>, DbError> {
        let row: Option<(Vec<u8>, i64, Json<Value>)> = fetch_optional!(
            conn,
            (Vec<u8>, i64, Json<Value>),
            "SELECT request_hash, status, answer FROM idempotency_keys WHERE key_hash = $1 AND expires_at > $2",
            &self.key_hash,
            platform.clock.now()
        )?;
        Ok(match row {
            None => Ok(None),
            Some((request_hash, _, _)) if request_hash != self.request_hash => Err(Problem::idempotency_key_reused()),
            Some((_, status, Json(answer))) => {
                Ok(Some(Kept { status: u16::try_from(status).unwrap_or(200), answer: answer["body"].clone() }))
            }
        })
    }

    /// The same where there may be no key, over a connection of its own.
    ///
    /// # Errors
    /// 422 when the key was used for another request; the database's.
    pub async fn kept(key: Option<&Self>, platform: &Platform) -> Result<Option<Kept>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let mut conn = platform.db.read().await?;
        key.find(&mut conn, platform).await?
    }

    /// Keeps an answer in the transaction that did the work. A concurrent request with the same key that committed
    /// first makes this a [`DbError::UniqueViolation`]: drop the transaction and answer with [`Idempotent::find`].
    pub async fn keep(&self, tx: &mut Tx, platform: &Platform, status: u16, answer: &Value) -> Result<(), DbError> {
        let now = platform.clock.now();
        execute!(tx, "DELETE FROM idempotency_keys WHERE key_hash = $1 AND expires_at <= $2", &self.key_hash, now)?;
        execute!(
            tx,
            "INSERT INTO idempotency_keys (key_hash, request_hash, status, answer, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &self.key_hash,
            &self.request_hash,
            i64::from(status),
            Json(serde_json::json!({ "body": answer })),
            now,
            now + KEPT
        )?;
        Ok(())
    }
}
