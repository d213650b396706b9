//! `/v1/webhook-endpoints`: registering, changing and deleting endpoints, and rotating their secrets.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::audit;
use shared::db::Tx;
use shared::http::{Json, Path, Query};
use shared::idempotency::KeyHeader;
use shared::ids::{ClientId, WebhookEndpointId};
use shared::outbound::Refused;
use shared::problem::{FieldError, Problem};
use shared::webhooks::KINDS;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::keys::{self, Scheme, shown_public_key};
use super::once::Once;
use super::store::{self, EndpointRow};
use super::{count_write, no_such_endpoint};
use crate::access::{ChangeWebhooks, SeeWebhooks, Webhooks};
use crate::paging::{Page, PageQuery};
use crate::state::AppState;

const LONGEST_URL: usize = 2048;
const LONGEST_DESCRIPTION: usize = 200;

/// A new endpoint.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub struct NewEndpoint {
    /// Where messages are posted to: an https URL that leads to a public address, without user and fragment.
    #[schema(example = "https://hooks.example.com/referrals", max_length = 2048)]
    url: String,
    /// What it wants to be told; `*` alone for everything, also what later releases tell.
    #[schema(example = json!(["referral.verified", "referral.rewarded"]), min_items = 1)]
    events: Vec<String>,
    /// For people.
    #[schema(example = "CRM", max_length = 200)]
    description: Option<String>,
    /// How messages are signed: `v1`, or `v1` and `v1a`. Default: `v1` alone.
    #[schema(example = json!(["v1", "v1a"]))]
    schemes: Option<Vec<Scheme>>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointChange, example = json!({"status": "enabled"}))]
pub struct EndpointChange {
    /// With another URL the endpoint's failures are forgotten. Messages that wait go there, too.
    #[schema(example = "https://hooks.example.com/referrals", max_length = 2048)]
    url: Option<String>,
    /// For messages that come to be from now on.
    #[schema(example = json!(["*"]), min_items = 1)]
    events: Option<Vec<String>>,
    /// Empty text for none.
    #[schema(example = "CRM", max_length = 200)]
    description: Option<String>,
    /// `v1` is always among them. Taking `v1a` out deletes its key.
    #[schema(example = json!(["v1", "v1a"]))]
    schemes: Option<Vec<Scheme>>,
    /// `enabled` has a disabled endpoint go on with what was not delivered.
    status: Option<EndpointStatus>,
}

/// Messages are sent to enabled endpoints only. While an endpoint is disabled, nothing new is put down for it; a replay
/// gets it what others were told meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookEndpointStatus)]
pub enum EndpointStatus {
    Enabled,
    Disabled,
}

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookDisabledReason)]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// It did nothing but fail for days.
    Failing,
    /// By a request here.
    Requested,
}

/// Where another system is told of things.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct Endpoint {
    /// Of the endpoint.
    id: WebhookEndpointId,
    /// The client that made it.
    #[schema(example = "crm")]
    client_id: String,
    /// Where messages are posted to.
    #[schema(example = "https://hooks.example.com/referrals")]
    url: String,
    /// For people; null for none.
    #[schema(required, example = "CRM")]
    description: Option<String>,
    /// What it is told; `*` for everything.
    #[schema(example = json!(["referral.rewarded", "referral.verified"]))]
    events: Vec<String>,
    /// How messages are signed.
    #[schema(example = json!(["v1", "v1a"]))]
    schemes: Vec<Scheme>,
    /// What `v1a` signatures are verified with; null without them.
    #[schema(required, example = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")]
    public_key: Option<String>,
    /// Is anything sent to it?
    status: EndpointStatus,
    /// Why it is disabled; null while it is not.
    #[schema(required, example = json!(null))]
    disabled_reason: Option<DisabledReason>,
    /// Since when it is disabled; null while it is not.
    #[schema(required, example = json!(null))]
    disabled_at: Option<DateTime<Utc>>,
    /// Since when every attempt has failed; null when the last one did not.
    #[schema(required, example = json!(null))]
    failing_since: Option<DateTime<Utc>>,
    /// When it was set up.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// An endpoint with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecret)]
pub struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What `v1` signatures are verified with. Keep it like a password.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

/// An endpoint with its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointRotated)]
pub struct EndpointRotated {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What `v1` signatures are verified with from now on.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
    /// Until when the keys of before sign along: 24 hours from now.
    previous_valid_until: DateTime<Utc>,
}

impl From<EndpointRow> for Endpoint {
    fn from(row: EndpointRow) -> Self {
        let events = row.events();
        let status = if row.is_enabled() { EndpointStatus::Enabled } else { EndpointStatus::Disabled };
        let disabled_reason = row.disabled_reason.as_deref().map(|reason| match reason {
            "gone" => DisabledReason::Gone,
            "failing" => DisabledReason::Failing,
            _ => DisabledReason::Requested,
        });
        let public_key = row.public_key.as_deref().map(shown_public_key);
        let v1a = public_key.is_some().then_some(Scheme::V1a);
        Self {
            id: row.id,
            client_id: row.client_id,
            url: row.url,
            description: row.description,
            events,
            schemes: [Scheme::V1].into_iter().chain(v1a).collect(),
            public_key,
            status,
            disabled_reason,
            disabled_at: row.disabled_at,
            failing_since: row.failing_since,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Register a webhook endpoint
///
/// The answer holds the secret, this once. Each endpoint has keys of its own. With an `Idempotency-Key`, a repeated request
/// gets the first one's answer, secret included.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "Webhooks", operation_id = "createWebhookEndpoint",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(KeyHeader),
    request_body = NewEndpoint,
    responses(
        (status = 201, description = "Registered", body = EndpointWithSecret, headers(("Location" = String, description = "The new endpoint"))),
        (status = 409, description = "`too-many-endpoints`: the client has as many as it may", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/url`: it leads to a private address", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Json(new): Json<NewEndpoint>,
) -> Result<Response, Problem> {
    let once = Once::new(&state, &caller, &headers, "POST /v1/webhook-endpoints", "", &new)?;
    let answer = once.or(register(&state, &caller, &new, &once)).await?;
    let location = format!("/v1/webhook-endpoints/{}", answer["id"].as_str().unwrap_or_default());
    let location = HeaderValue::try_from(location).map_err(|_| Problem::internal())?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(answer)).into_response())
}

async fn register(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    new: &NewEndpoint,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    let wanted = Wanted {
        url: Some(&new.url),
        events: Some(&new.events),
        description: new.description.as_deref(),
        schemes: new.schemes.as_deref(),
    };
    // First: names are looked up for who is within the limit only.
    count_write(state, caller).await?;
    let checked = wanted.check(state).await?;

    let mut tx = platform.db.begin().await?;
    let max = i64::try_from(platform.config.webhooks.max_endpoints).unwrap_or(i64::MAX);
    match store::count_of(&mut tx, &caller.client).await? {
        None => return Err(Problem::forbidden().with_detail("the client is not registered any more")),
        Some(count) if count >= max => {
            let detail = format!("a client may have {max} endpoints; delete one first");
            return Err(Problem::conflict("too-many-endpoints", detail));
        }
        Some(_) => {}
    }
    let id = WebhookEndpointId::new(&platform.random, &platform.clock);
    let (url, description) = (checked.url.as_deref().unwrap_or_default(), new.description.as_deref());
    let description = description.filter(|text| !text.is_empty());
    store::insert(&mut tx, platform, id, &caller.client, url, description).await?;
    store::subscribe(&mut tx, id, &checked.events.unwrap_or_default()).await?;
    let secret = keys::make(&mut tx, platform, id, Scheme::V1).await?.ok_or_else(Problem::internal)?;
    if checked.v1a == Some(true) {
        keys::make(&mut tx, platform, id, Scheme::V1a).await?;
    }
    record(&mut tx, state, "webhook_endpoint.created", caller, json!({ "endpoint_id": id })).await?;
    let row = store::by_id(&mut tx, None, id).await?.ok_or_else(Problem::internal)?;
    let answer = json!(EndpointWithSecret { endpoint: row.into(), secret: secret.reveal().to_owned() });
    once.keep(&mut tx, 201, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// What is asked for, of an endpoint that is made or changed.
struct Wanted<'a> {
    url: Option<&'a str>,
    events: Option<&'a [String]>,
    description: Option<&'a str>,
    schemes: Option<&'a [Scheme]>,
}

/// The same, found good.
struct Checked {
    /// As it is called: with its path, and its host in lower case.
    url: Option<String>,
    events: Option<BTreeSet<String>>,
    v1a: Option<bool>,
}

impl Wanted<'_> {
    /// Everything that is wrong with it, at once. The name in the URL is resolved: who is refused hears of it here and not
    /// from a log.
    async fn check(&self, state: &AppState) -> Result<Checked, Problem> {
        let mut errors = vec![];
        let url = match self.url.map(parse_url).transpose() {
            Ok(url) => url,
            Err(reason) => {
                errors.push(FieldError::body("url", reason));
                None
            }
        };
        if let Some(url) = &url
            && let Err(refused) = state.platform().outbound.guarded().check_resolved(url).await
        {
            let detail = match refused {
                Refused::NotHttps => "must start with https://",
                Refused::NotPlain => "must name a host and no user",
                Refused::NotPublic => "leads to an address that is not public",
            };
            errors.push(FieldError::body("url", detail));
        }
        let events = self.events.map(|events| events.iter().cloned().collect::<BTreeSet<String>>());
        if let Some(events) = &events
            && let Err(reason) = check_events(events)
        {
            errors.push(FieldError::body("events", reason));
        }
        if self.description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
            errors.push(FieldError::body("description", format!("has {LONGEST_DESCRIPTION} characters at most")));
        }
        if self.schemes.is_some_and(|schemes| !schemes.contains(&Scheme::V1)) {
            errors.push(FieldError::body("schemes", "must have v1 among them"));
        }
        if !errors.is_empty() {
            return Err(Problem::validation(errors));
        }
        let v1a = self.schemes.map(|schemes| schemes.contains(&Scheme::V1a));
        Ok(Checked { url: url.map(String::from), events, v1a })
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    if text.len() > LONGEST_URL {
        return Err(format!("has {LONGEST_URL} characters at most"));
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute URL, such as https://hooks.example.com/referrals")?;
    // It would not be sent.
    if url.fragment().is_some() { Err("must have no fragment".into()) } else { Ok(url) }
}

fn check_events(events: &BTreeSet<String>) -> Result<(), String> {
    if events.is_empty() {
        return Err("must name at least one kind of event, or be [\"*\"]".into());
    }
    if events.contains("*") {
        return if events.len() == 1 { Ok(()) } else { Err("* stands for all of them, and stands alone".into()) };
    }
    match events.iter().find(|event| !KINDS.iter().any(|(kind, _)| kind == event)) {
        None => Ok(()),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(60).collect();
            let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            Err(format!("there is no event {unknown:?}; there are: {}", kinds.join(", ")))
        }
    }
}

/// List webhook endpoints
///
/// Of the client, newest first; of all clients for an administrator whose token has the scope `referrals:admin` as well.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "Webhooks", operation_id = "listWebhookEndpoints",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of endpoints", body = Page<Endpoint>),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Webhooks<SeeWebhooks>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Endpoint>>, Problem> {
    let position = query.position()?;
    let before = WebhookEndpointId(position.before.unwrap_or(Uuid::max()));
    let mut conn = state.platform().db.read().await?;
    let rows = store::page_of(&mut conn, caller.sees(), before, position.rows()).await?;
    drop(conn);
    Ok(Json(position.page(rows, |row| row.id.0, Endpoint::from)))
}

/// Get a webhook endpoint
///
/// Another client's is 404, like one that does not exist.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "Webhooks", operation_id = "getWebhookEndpoint",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95")),
    responses(
        (status = 200, description = "The endpoint", body = Endpoint),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Webhooks<SeeWebhooks>,
    Path(id): Path<WebhookEndpointId>,
) -> Result<Json<Endpoint>, Problem> {
    let mut conn = state.platform().db.read().await?;
    let row = store::by_id(&mut conn, caller.sees(), id).await?.ok_or_else(no_such_endpoint)?;
    Ok(Json(row.into()))
}

/// Change a webhook endpoint
///
/// Enabling one that was disabled continues with what was not delivered.
#[utoipa::path(
    patch, path = "/v1/webhook-endpoints/{id}", tag = "Webhooks", operation_id = "updateWebhookEndpoint",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        KeyHeader,
    ),
    request_body = EndpointChange,
    responses(
        (status = 200, description = "Changed", body = Endpoint),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/url`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path(id): Path<WebhookEndpointId>,
    Json(change): Json<EndpointChange>,
) -> Result<Json<Value>, Problem> {
    let once = Once::new(&state, &caller, &headers, "PATCH /v1/webhook-endpoints", &id.to_string(), &change)?;
    once.or(apply(&state, &caller, id, &change, &once)).await.map(Json)
}

async fn apply(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    change: &EndpointChange,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    let mut conn = platform.db.read().await?;
    // First of all: whether a URL would do is nobody's business who has no such endpoint.
    store::by_id(&mut conn, caller.sees(), id).await?.ok_or_else(no_such_endpoint)?;
    drop(conn);
    let wanted = Wanted {
        url: change.url.as_deref(),
        events: change.events.as_deref(),
        description: change.description.as_deref(),
        schemes: change.schemes.as_deref(),
    };
    count_write(state, caller).await?;
    let checked = wanted.check(state).await?;

    let mut tx = platform.db.begin().await?;
    let (url, description) = (checked.url.as_deref(), change.description.as_deref());
    if !store::change(&mut tx, platform, caller.sees(), id, url, description).await? {
        return Err(no_such_endpoint());
    }
    if let Some(events) = &checked.events {
        store::subscribe(&mut tx, id, events).await?;
    }
    let before = store::by_id(&mut tx, None, id).await?.ok_or_else(no_such_endpoint)?;
    match (checked.v1a, &before.public_key) {
        (Some(true), None) => {
            keys::make(&mut tx, platform, id, Scheme::V1a).await?;
        }
        (Some(false), Some(_)) => keys::forget_v1a(&mut tx, id).await?,
        _ => {}
    }
    let details = json!({ "endpoint_id": id });
    let kind = match change.status {
        Some(EndpointStatus::Enabled) if store::enable(&mut tx, platform, id).await? => "webhook_endpoint.enabled",
        Some(EndpointStatus::Disabled) if store::disable(&mut tx, platform, id).await? => "webhook_endpoint.disabled",
        _ => "webhook_endpoint.changed",
    };
    record(&mut tx, state, kind, caller, details).await?;
    let row = store::by_id(&mut tx, None, id).await?.ok_or_else(no_such_endpoint)?;
    let answer = json!(Endpoint::from(row));
    once.keep(&mut tx, 200, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Delete a webhook endpoint
///
/// With its keys, and with what was not delivered and the log of what was.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "Webhooks", operation_id = "deleteWebhookEndpoint",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        KeyHeader,
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path(id): Path<WebhookEndpointId>,
) -> Result<StatusCode, Problem> {
    let once = Once::new(&state, &caller, &headers, "DELETE /v1/webhook-endpoints", &id.to_string(), &())?;
    once.or(remove(&state, &caller, id, &once)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    let mut tx = platform.db.begin().await?;
    let deleted = shared::execute!(
        &mut tx,
        "DELETE FROM webhook_endpoints WHERE id = $1 AND ($2 IS NULL OR client_id = $2)",
        id,
        caller.sees()
    )?;
    if deleted == 0 {
        return Err(no_such_endpoint());
    }
    record(&mut tx, state, "webhook_endpoint.deleted", caller, json!({ "endpoint_id": id })).await?;
    once.keep(&mut tx, 204, &Value::Null).await?;
    tx.commit().await?;
    Ok(Value::Null)
}

/// Rotate an endpoint's secret
///
/// A new secret, and with `v1a` a new key pair. The ones of before sign along for 24 hours: the signature header has a
/// signature by each, separated by spaces, and receivers try them until one matches. Rotated twice within that time, the
/// oldest end at once.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "Webhooks", operation_id = "rotateWebhookSecret",
    security(("oauth2" = ["webhooks:manage"]), ("token" = [])),
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint's id", example = "0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b95"),
        KeyHeader,
    ),
    responses(
        (status = 200, description = "Rotated", body = EndpointRotated),
        (status = 404, description = "There is no such endpoint among the caller's", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once; come back after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn rotate_secret(
    State(state): State<AppState>,
    caller: Webhooks<ChangeWebhooks>,
    headers: HeaderMap,
    Path(id): Path<WebhookEndpointId>,
) -> Result<Json<Value>, Problem> {
    let route = "POST /v1/webhook-endpoints/rotate-secret";
    let once = Once::new(&state, &caller, &headers, route, &id.to_string(), &())?;
    once.or(rotate(&state, &caller, id, &once)).await.map(Json)
}

async fn rotate(
    state: &AppState,
    caller: &Webhooks<ChangeWebhooks>,
    id: WebhookEndpointId,
    once: &Once<'_>,
) -> Result<Value, Problem> {
    let platform = state.platform();
    count_write(state, caller).await?;
    let mut tx = platform.db.begin().await?;
    // Held, so that of two rotations at once the second rotates what the first made.
    if !store::change(&mut tx, platform, caller.sees(), id, None, None).await? {
        return Err(no_such_endpoint());
    }
    let (secret, previous_valid_until) = keys::rotate(&mut tx, platform, id).await?;
    let secret = secret.ok_or_else(Problem::internal)?;
    record(&mut tx, state, "webhook_endpoint.secret_rotated", caller, json!({ "endpoint_id": id })).await?;
    let row = store::by_id(&mut tx, None, id).await?.ok_or_else(no_such_endpoint)?;
    let secret = secret.reveal().to_owned();
    let answer = json!(EndpointRotated { endpoint: row.into(), secret, previous_valid_until });
    once.keep(&mut tx, 200, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

pub(super) async fn record(
    tx: &mut Tx,
    state: &AppState,
    kind: &str,
    caller: &Webhooks<ChangeWebhooks>,
    details: Value,
) -> Result<(), shared::db::DbError> {
    let client: &ClientId = &caller.client;
    audit::record(tx, state.platform(), kind, caller.administrator, Some(client), details).await
}
