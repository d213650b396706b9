//! Webhooks: endpoints, deliveries and replays, told to a receiver that answers as it is bidden.

mod delivery;
mod endpoints;
mod replaying;
mod trouble;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use referral_api::webhooks::courier::Courier;
use serde_json::{Value, json};
use shared::webhooks::publish;

use crate::world::{Actor, Answer, World};

pub const ENDPOINTS: &str = "/v1/webhook-endpoints";
pub const SCOPE: &str = "webhooks:manage";

/// What a receiver heard.
#[derive(Clone, Debug)]
pub struct Call {
    pub headers: HeaderMap,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn signatures(&self) -> Vec<&str> {
        self.header("webhook-signature").split(' ').collect()
    }
}

/// How a receiver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    With(u16, &'static str, String),
    /// After a while.
    Slow(Duration, u16),
    /// 200, and a body without an end.
    Endless,
}

/// Somebody else's server.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    heard: Arc<Mutex<Vec<Call>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    always: Arc<Mutex<Reply>>,
}

impl Receiver {
    /// One that answers 204 unless it is told otherwise.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            heard: Arc::default(),
            replies: Arc::default(),
            always: Arc::new(Mutex::new(Reply::Status(204))),
        };
        let app = Router::new().fallback(answer).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub fn heard(&self) -> Vec<Call> {
        self.heard.lock().unwrap().clone()
    }

    /// The types of what it heard, sorted.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.heard().iter().map(|call| call.json()["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort_unstable();
        kinds
    }

    pub fn answers(&self, reply: Reply) {
        *self.always.lock().unwrap() = reply;
    }

    pub fn answers_once(&self, reply: Reply) {
        self.replies.lock().unwrap().push_back(reply);
    }

    /// Waits until it heard so many.
    pub async fn until_heard(&self, calls: usize) {
        for _ in 0..200 {
            if self.heard().len() >= calls {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it heard {} of {calls}", self.heard().len());
    }
}

async fn answer(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    receiver.heard.lock().unwrap().push(Call { headers, body: String::from_utf8(body.to_vec()).unwrap() });
    let reply = receiver.replies.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| receiver.always.lock().unwrap().clone());
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match reply {
        Reply::Status(code) => status(code).into_response(),
        Reply::With(code, name, value) => (status(code), [(name, value)]).into_response(),
        Reply::Slow(wait, code) => {
            tokio::time::sleep(wait).await;
            status(code).into_response()
        }
        Reply::Endless => {
            let chunks = futures::stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 1024])));
            Body::from_stream(chunks).into_response()
        }
    }
}

/// Settings in which receivers on this machine are reached.
pub fn here<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [("OUTBOUND__ALLOW", r#"["127.0.0.1"]"#)].into_iter().chain(more.iter().copied()).collect()
}

/// A program of the operator's, registered, with a token of its own.
pub async fn program(world: &World) -> Actor {
    let id = format!("program-{}", world.unique());
    registered(world, &id).await;
    let mut claims = world.claims(&id, SCOPE);
    claims["client_id"] = id.into();
    // These stories last for days.
    claims["exp"] = (world.platform.clock.timestamp() + 60 * 24 * 3600).into();
    world.bearer(&world.token(&claims))
}

pub async fn registered(world: &World, client: &str) {
    let mut tx = world.platform.db.begin().await.unwrap();
    shared::execute!(
        &mut tx,
        "INSERT INTO clients (client_id, name, first_party, metadata, created_at, updated_at) \
         VALUES ($1, 'A program', TRUE, '{}', $2, $2) ON CONFLICT (client_id) DO NOTHING",
        client,
        world.now()
    )
    .unwrap();
    tx.commit().await.unwrap();
}

/// Registers an endpoint that wants everything.
pub async fn endpoint(program: &Actor, url: &str) -> Answer {
    endpoint_for(program, url, &["*"]).await
}

pub async fn endpoint_for(program: &Actor, url: &str, events: &[&str]) -> Answer {
    let answer = program.post(ENDPOINTS, &json!({ "url": url, "events": events })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

/// The path of an endpoint, and below it.
pub fn path(endpoint: &Answer, below: &str) -> String {
    format!("{ENDPOINTS}/{}{below}", endpoint.text("id"))
}

/// Something of this kind happens.
pub async fn happens(world: &World, kind: &str) {
    let mut tx = world.platform.db.begin().await.unwrap();
    publish(&mut tx, &world.platform, kind, &json!({ "id": world.unique() })).await.unwrap();
    tx.commit().await.unwrap();
}

pub fn courier(world: &World) -> Courier {
    Courier::new(world.platform.clone())
}

/// The deliveries to an endpoint, newest first.
pub async fn deliveries(program: &Actor, endpoint: &Answer) -> Vec<Value> {
    let answer = program.get(&path(endpoint, "/deliveries?limit=100")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["items"].as_array().unwrap().clone()
}

/// How often something of this kind was audited.
pub async fn audited(world: &World, kind: &str) -> i64 {
    let mut conn = world.platform.db.read().await.unwrap();
    shared::fetch_one!(&mut conn, (i64,), "SELECT COUNT(*) FROM audit_events WHERE kind = $1", kind).unwrap().0
}
