//! Writes that are done once for an `Idempotency-Key`, whatever they answer. The answer is kept sealed: some hold a secret
//! that is shown this once.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use shared::db::Tx;
use shared::idempotency::Idempotent;
use shared::problem::Problem;

use crate::access::Webhooks;
use crate::state::AppState;

const PURPOSE: &str = "idempotent-answer";

/// A write of one caller on one thing.
pub struct Once<'a> {
    state: &'a AppState,
    key: Option<Idempotent>,
    /// What the kept answer is sealed to.
    context: String,
}

impl<'a> Once<'a> {
    /// `route` and `id` say what is written to; `request` is what is asked for.
    pub fn new<S>(
        state: &'a AppState,
        caller: &Webhooks<S>,
        headers: &HeaderMap,
        route: &str,
        id: &str,
        request: &impl Serialize,
    ) -> Result<Self, Problem> {
        let request = serde_json::to_vec(request).map_err(|_| Problem::internal())?;
        let (client, caller) = (caller.client.as_str(), caller.named());
        let key = Idempotent::from_headers(headers, &[route, id, client, &caller], &request)?;
        Ok(Self { state, key, context: format!("{route} {id} {client} {caller}") })
    }

    /// What was answered before, or else what `work` answers now. Somebody may send the same request twice at once: whoever
    /// is second fails in its own way, and hears what the first was answered.
    pub async fn or(&self, work: impl Future<Output = Result<Value, Problem>>) -> Result<Value, Problem> {
        if let Some(kept) = self.kept().await? {
            return Ok(kept);
        }
        match work.await {
            Ok(answer) => Ok(answer),
            Err(problem) => self.kept().await?.ok_or(problem),
        }
    }

    /// Keeps the answer, in the transaction that did the work.
    pub async fn keep(&self, tx: &mut Tx, status: u16, answer: &Value) -> Result<(), Problem> {
        let Some(key) = &self.key else { return Ok(()) };
        let platform = self.state.platform();
        let plain = answer.to_string();
        let sealed = platform.master_key.seal(PURPOSE, self.context.as_bytes(), plain.as_bytes(), &platform.random);
        match key.keep(tx, platform, status, &json!({ "sealed": STANDARD.encode(sealed) })).await {
            Err(error) if error.is_unique_violation() => {
                Err(Problem::conflict("idempotency-key-in-use", "the same request is being answered just now"))
            }
            kept => Ok(kept?),
        }
    }

    async fn kept(&self) -> Result<Option<Value>, Problem> {
        let platform = self.state.platform();
        let Some(kept) = Idempotent::kept(self.key.as_ref(), platform).await? else { return Ok(None) };
        let sealed = STANDARD.decode(kept.answer["sealed"].as_str().unwrap_or_default()).unwrap_or_default();
        let plain = platform.master_key.open(PURPOSE, self.context.as_bytes(), &sealed);
        let answer = plain.ok().and_then(|plain| serde_json::from_slice(&plain).ok());
        // Sealed under a master key that is no more.
        Ok(Some(answer.ok_or_else(Problem::internal)?))
    }
}
