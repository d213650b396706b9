//! `/v1/webhook-endpoints/{id}/deliveries` and what has messages sent again: the log, replays, and tests.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::db::{Conn, DbError, Tx};
use shared::http::{Json, Path, Query};
use shared::idempotency::KeyHeader;
use shared::ids::WebhookEndpointId;
use shared::problem::{FieldError, Problem};
use shared::webhooks::{Message, MessageId, TEST};
use shared::{Platform, execute, fetch_all, fetch_optional};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::endpoints::record;
use super::once::Once;
use super::{count_write, endpoint_disabled, no_such_endpoint, store};
use crate::access::{ChangeWebhooks, SeeWebhooks, Webhooks};
use crate::paging::{Page, Position};
use crate::state::AppState;

/// How many messages are replayed by one request.
const REPLAYED: i64 = 1000;
/// How many attempts of a delivery are shown, the last ones.
const SHOWN: i64 = 20;
/// What is swept in a moment is not replayed.
const SOON_GONE: TimeDelta = TimeDelta::minutes(1);

/// How a delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookOutcome)]
pub enum DeliveryOutcome {
    /// To be tried, or tried again.
    Pending,
    /// Answered with 2xx.
    Delivered,
    /// Not, however often it was tried. A replay tries again.
    Failed,
}

impl DeliveryOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The schema's CHECK knows the same three.
    fn stored(text: &str) -> Self {
        match text {
            "delivered" => Self::Delivered,
            "failed" => Self::Failed,
            _ => Self::Pending,
        }
    }
}

/// A message on its way to an endpoint, or there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    /// The same in every attempt, in the header `webhook-id`.
    #[schema(value_type = String, example = "msg_0197f3a0b1c27d3e8f40516273849506")]
    message_id: MessageId,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "referral.verified")]
    kind: String,
    /// How it went.
    outcome: DeliveryOutcome,
    /// When that happened which it tells.
    created_at: DateTime<Utc>,
    /// When it is tried next, if it is pending and the endpoint enabled and not left alone.
    #[schema(required, example = json!(null))]
    next_attempt_at: Option<DateTime<Utc>>,
    /// The last 20, the first first.
    attempts: Vec<Attempt>,
}

/// One attempt. Of an answer nothing is kept but its status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct Attempt {
    /// When.
    at: DateTime<Utc>,
    /// The status that the endpoint answered with; null when it did not answer.
    #[schema(required, example = 204)]
    status: Option<i64>,
    /// Why there is no answer: `timeout`, `no_connection`, `broken_connection`, `private_address` (its name leads to an
    /// address that is not public now), or `refused` (its URL may not be called any more).
    #[schema(required, example = json!(null))]
    error: Option<String>,
    /// Milliseconds until the answer, or until it was given up.
    #[schema(example = 87)]
    duration_ms: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesQuery {
    /// Only deliveries that went so.
    #[param(inline, example = "failed")]
    outcome: Option<DeliveryOutcome>,
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

/// Which messages are to be sent again.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookReplay)]
pub struct Replay {
    /// Messages of this time and later.
    #[schema(example = "2030-01-31T12:00:00Z")]
    since: DateTime<Utc>,
    /// And before this. Default: until now.
    #[schema(example = "2030-02-01T12:00:00Z")]
    until: Option<DateTime<Utc>>,
    /// Only those that failed. Default: also those that were delivered, and those that came to be while the endpoint was
    /// disabled and others were told.
    #[serde(default)]
    #[schema(default = false)]
    only_failed: bool,
}

/// What will be sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookReplayed)]
pub struct Replayed {
    /// How many messages, 1000 at most.
    #[schema(example = 17)]
    replayed: u64,
    /// Where to go on, as `since` of another request; null when that was all.
    #[schema(required, example = json!(null))]
    next_since: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    message_id: MessageId,
    kind: String,
    status: String,
    created_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    message_id: MessageId,
    at: DateTime<Utc>,
    status: Option<i64>,
    error: Option<String>,
    duration_ms: i64,
}

impl Delivery {
    fn of(row: DeliveryRow, attempts: Vec<Attempt>) -> Self {
        Self {
            message_id: row.message_id,
            kind: row.kind,
            outcome: DeliveryOutcome::stored(&row.status),
            created_at: row.created_at,
            next_attempt_at: row.next_attempt_at,
            attempts,
        }
    }
}

/// List the deliveries to a webhook endpoint
///
/// Newest first, for as long as they are kept (30 days by default). Messages may arrive in any order and more than once:
/// know them by their id.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "Webhooks", operation_id = "listWebhookDeliveries",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"), DeliveriesQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = Page<Delivery>),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Webhooks<SeeWebhooks>,
    Path(id): Path<WebhookEndpointId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let position = Position::read(query.limit, query.cursor.as_deref())?;
    let before = MessageId(position.before.unwrap_or(Uuid::max()));
    let outcome = query.outcome.map(DeliveryOutcome::as_str);
    let mut conn = state.platform().db.read().await?;
    store::by_id(&mut conn, caller.sees(), id).await?.ok_or_else(no_such_endpoint)?;
    let rows = page_of(&mut conn, id, outcome, before, position.rows()).await?;
    let mut attempts = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => attempts(&mut conn, id, outcome, last.message_id, first.message_id).await?,
        _ => HashMap::new(),
    };
    drop(conn);
    let with_attempts = |row: DeliveryRow| {
        let attempts = attempts.remove(&row.message_id).unwrap_or_default();
        (row, attempts)
    };
    let rows: Vec<_> = rows.into_iter().map(with_attempts).collect();
    Ok(Json(position.page(rows, |(row, _)| row.message_id.0, |(row, attempts)| Delivery::of(row, attempts))))
}

macro_rules! deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT d.message_id, m.kind, d.status, m.created_at, d.next_attempt_at \
             FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id WHERE d.endpoint_id = $1 ",
            $rest
        )
    };
}

async fn page_of(
    conn: &mut Conn,
    endpoint: WebhookEndpointId,
    outcome: Option<&str>,
    before: MessageId,
    limit: i64,
) -> Result<Vec<DeliveryRow>, DbError> {
    match outcome {
        Some(outcome) => {
            fetch_all!(
                conn,
                DeliveryRow,
                deliveries!("AND d.message_id < $2 AND d.status = $3 ORDER BY d.message_id DESC LIMIT $4"),
                endpoint,
                before,
                outcome,
                limit
            )
        }
        None => {
            fetch_all!(
                conn,
                DeliveryRow,
                deliveries!("AND d.message_id < $2 ORDER BY d.message_id DESC LIMIT $3"),
                endpoint,
                before,
                limit
            )
        }
    }
}

/// The last attempts of each delivery on a page.
async fn attempts(
    conn: &mut Conn,
    endpoint: WebhookEndpointId,
    outcome: Option<&str>,
    from: MessageId,
    to: MessageId,
) -> Result<HashMap<MessageId, Vec<Attempt>>, DbError> {
    let rows = fetch_all!(
        conn,
        AttemptRow,
        "SELECT message_id, at, status, error, duration_ms FROM \
           (SELECT id, message_id, at, status, error, duration_ms, \
              ROW_NUMBER() OVER (PARTITION BY message_id ORDER BY id DESC) AS n \
            FROM webhook_attempts WHERE endpoint_id = $1 AND message_id BETWEEN $2 AND $3 AND message_id IN \
              (SELECT message_id FROM webhook_deliveries \
               WHERE endpoint_id = $1 AND message_id BETWEEN $2 AND $3 AND ($4 IS NULL OR status = $4))) a \
         WHERE n <= $5 ORDER BY id",
        endpoint,
        from,
        to,
        outcome,
        SHOWN
    )?;
    let mut all: HashMap<MessageId, Vec<Attempt>> = HashMap::new();
    for AttemptRow { message_id, at, status, error, duration_ms } in rows {
        all.entry(message_id).or_default().push(Attempt { at, status, error, duration_ms });
    }
    Ok(all)
}

/// Send a test
///
/// A message of the type `webhook_endpoint.test` is sent to this endpoint, whatever it wants to be told. Look for it among
/// the deliveries.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/test", tag = "Webhooks", operation_id = "testWebhookEndpoint",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        KeyHeader,
    ),
    responses(
        (status = 202, description = "It will be sent", body = Delivery),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`endpoint-disabled`: nothing is sent to it", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn test(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path(id): Path<WebhookEndpointId>,
) -> Result<Response, Problem> {
    let route = "POST /v1/webhook-endpoints/test";
    let once = Once::new(&state, &caller, &headers, route, &id.to_string(), &())?;
    let answer = once.or(send_test(&state, &caller, id, &once)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

async fn send_test(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    count_write(state, caller).await?;
    let mut tx = platform.db.begin().await?;
    hold_enabled(&mut tx, caller, id).await?;
    let message = Message::new(platform, TEST, &json!({ "endpoint_id": id }));
    execute!(
        &mut tx,
        "INSERT INTO webhook_messages (id, kind, payload, endpoint_id, created_at, handed_out_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $5, $6)",
        message.id,
        TEST,
        &message.payload,
        id,
        message.created_at,
        message.expires_at
    )?;
    execute!(
        &mut tx,
        "INSERT INTO webhook_deliveries (endpoint_id, message_id, status, next_attempt_at, expires_at) \
         VALUES ($1, $2, 'pending', $3, $4)",
        id,
        message.id,
        message.created_at,
        message.expires_at
    )?;
    record(&mut tx, state, "webhook_endpoint.tested", caller, json!({ "endpoint_id": id })).await?;
    let answer = json!(Delivery {
        message_id: message.id,
        kind: TEST.to_owned(),
        outcome: DeliveryOutcome::Pending,
        created_at: message.created_at,
        next_attempt_at: Some(message.created_at),
        attempts: vec![],
    });
    once.keep(&mut tx, 202, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// The endpoint is the caller's and enabled, and stays so until the commit. Somebody looks after it, so it is left alone no
/// longer.
async fn hold_enabled(tx: &mut Tx, caller: &Webhooks<ChangeWebhooks>, id: WebhookEndpointId) -> Result<(), Problem> {
    let status: Option<(String,)> = fetch_optional!(
        tx,
        (String,),
        "UPDATE webhook_endpoints SET not_before = NULL WHERE id = $1 AND ($2 IS NULL OR client_id = $2) RETURNING status",
        id,
        caller.sees()
    )?;
    match status {
        None => Err(no_such_endpoint()),
        Some((status,)) if status == "enabled" => Ok(()),
        Some(_) => Err(endpoint_disabled()),
    }
}

/// Replay a delivery
///
/// The message is sent again, under the same id, and by the whole schedule if need be.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/deliveries/{message_id}/replay", tag = "Webhooks",
    operation_id = "replayWebhookDelivery",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        ("message_id" = String, Path, description = "The message's id", example = "msg_0197f3a0b1c27d3e8f40516273849506"),
        KeyHeader,
    ),
    responses(
        (status = 202, description = "It will be sent", body = Replayed),
        (status = 404, description = "There is no such delivery among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`endpoint-disabled`: nothing is sent to it", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay_one(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path((id, message)): Path<(WebhookEndpointId, String)>,
) -> Result<Response, Problem> {
    let message: MessageId = message.parse().map_err(|_| no_such_delivery())?;
    let route = "POST /v1/webhook-endpoints/deliveries/replay";
    let once = Once::new(&state, &caller, &headers, route, &format!("{id}/{message}"), &())?;
    let answer = once.or(send_again(&state, &caller, id, message, &once)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

async fn send_again(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    message: MessageId,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    count_write(state, caller).await?;
    let mut tx = platform.db.begin().await?;
    hold_enabled(&mut tx, caller, id).await?;
    let again = execute!(
        &mut tx,
        "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = $3 \
         WHERE endpoint_id = $1 AND message_id = $2",
        id,
        message,
        platform.clock.now()
    )?;
    if again == 0 {
        return Err(no_such_delivery());
    }
    let details = json!({ "endpoint_id": id, "message_id": message });
    record(&mut tx, state, "webhook_endpoint.replayed", caller, details).await?;
    let answer = json!(Replayed { replayed: again, next_since: None });
    once.keep(&mut tx, 202, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Replay what an endpoint was told, or was not
///
/// Messages of a span of time that the endpoint wants now, a thousand at most: `next_since` says where to go on.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/replay", tag = "Webhooks", operation_id = "replayWebhookDeliveries",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        KeyHeader,
    ),
    request_body = Replay,
    responses(
        (status = 202, description = "They will be sent", body = Replayed),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`endpoint-disabled`: nothing is sent to it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/until`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path(id): Path<WebhookEndpointId>,
    Json(replay): Json<Replay>,
) -> Result<Response, Problem> {
    let route = "POST /v1/webhook-endpoints/replay";
    let once = Once::new(&state, &caller, &headers, route, &id.to_string(), &replay)?;
    let answer = once.or(send_all_again(&state, &caller, id, &replay, &once)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

async fn send_all_again(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    replay: &Replay,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    count_write(state, caller).await?;
    let now = platform.clock.now();
    let span = Span {
        endpoint: id,
        // What is compared with is whole microseconds.
        since: replay.since.trunc_subsecs(6),
        until: replay.until.map_or(now + TimeDelta::seconds(1), |until| until.trunc_subsecs(6)),
    };
    let mut tx = platform.db.begin().await?;
    hold_enabled(&mut tx, caller, id).await?;
    if span.until <= span.since {
        return Err(Problem::validation([FieldError::body("until", "must lie after since")]));
    }
    let (replayed, next_since) = if replay.only_failed {
        span.failed_again(&mut tx, now).await?
    } else {
        span.all_again(&mut tx, platform).await?
    };
    let details = json!({ "endpoint_id": id, "since": span.since, "until": span.until, "replayed": replayed });
    record(&mut tx, state, "webhook_endpoint.replayed", caller, details).await?;
    let answer = json!(Replayed { replayed, next_since });
    once.keep(&mut tx, 202, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// The messages to an endpoint in a span of time.
struct Span {
    endpoint: WebhookEndpointId,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

type Again = (u64, Option<DateTime<Utc>>);

impl Span {
    /// Those that failed.
    async fn failed_again(&self, tx: &mut Tx, now: DateTime<Utc>) -> Result<Again, DbError> {
        let next: Option<(DateTime<Utc>,)> = fetch_optional!(
            tx,
            (DateTime<Utc>,),
            "SELECT m.created_at FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id \
             WHERE d.endpoint_id = $1 AND d.status = 'failed' AND m.created_at >= $2 AND m.created_at < $3 \
             ORDER BY m.created_at, m.id LIMIT 1 OFFSET $4",
            self.endpoint,
            self.since,
            self.until,
            REPLAYED
        )?;
        let replayed = execute!(
            tx,
            "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = $5 \
             WHERE endpoint_id = $1 AND status = 'failed' AND message_id IN \
               (SELECT m.id FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id \
                WHERE d.endpoint_id = $1 AND d.status = 'failed' AND m.created_at >= $2 AND m.created_at < $3 \
                ORDER BY m.created_at, m.id LIMIT $4)",
            self.endpoint,
            self.since,
            self.until,
            REPLAYED,
            now
        )?;
        Ok((replayed, next.map(|(at,)| at)))
    }

    /// All that the endpoint wants, tests left out. What it was never told is put down for it now.
    async fn all_again(&self, tx: &mut Tx, platform: &Platform) -> Result<Again, DbError> {
        let now = platform.clock.now();
        let next: Option<(DateTime<Utc>,)> = fetch_optional!(
            tx,
            (DateTime<Utc>,),
            "SELECT m.created_at FROM webhook_messages m JOIN webhook_endpoints e ON e.id = $1 \
             WHERE m.created_at >= $2 AND m.created_at < $3 AND m.endpoint_id IS NULL AND m.handed_out_at IS NOT NULL \
               AND m.expires_at > $5 AND (m.client_id IS NULL OR m.client_id = e.client_id) \
               AND EXISTS (SELECT 1 FROM webhook_subscriptions s WHERE s.endpoint_id = e.id AND s.kind IN (m.kind, '*')) \
             ORDER BY m.created_at, m.id LIMIT 1 OFFSET $4",
            self.endpoint,
            self.since,
            self.until,
            REPLAYED,
            now + SOON_GONE
        )?;
        let replayed = execute!(
            tx,
            "INSERT INTO webhook_deliveries (endpoint_id, message_id, status, attempts, next_attempt_at, expires_at) \
             SELECT e.id, m.id, 'pending', 0, $6, m.expires_at FROM webhook_messages m JOIN webhook_endpoints e ON e.id = $1 \
             WHERE m.created_at >= $2 AND m.created_at < $3 AND m.endpoint_id IS NULL AND m.handed_out_at IS NOT NULL \
               AND m.expires_at > $5 AND (m.client_id IS NULL OR m.client_id = e.client_id) \
               AND EXISTS (SELECT 1 FROM webhook_subscriptions s WHERE s.endpoint_id = e.id AND s.kind IN (m.kind, '*')) \
             ORDER BY m.created_at, m.id LIMIT $4 \
             ON CONFLICT (endpoint_id, message_id) DO UPDATE SET status = 'pending', attempts = 0, next_attempt_at = $6",
            self.endpoint,
            self.since,
            self.until,
            REPLAYED,
            now + SOON_GONE,
            now
        )?;
        Ok((replayed, next.map(|(at,)| at)))
    }
}

fn no_such_delivery() -> Problem {
    Problem::not_found().with_detail("there is no such delivery to this endpoint")
}
