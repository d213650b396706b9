//! RFC 7592: OAuth 2.0 Dynamic Client Registration Management Protocol.

mod access;
mod conflicts;
mod delete;
mod read;
mod sector;
mod update;
mod waiting;

use axum::http::Request;
use serde_json::{Map, Value};

use crate::harness::{Answer, Server};

/// A client's hold on its registration.
pub struct Registration {
    pub server: Server,
    pub path: String,
    pub token: String,
    /// As it was told at registration.
    pub said: Value,
}

impl Registration {
    pub fn of(server: &Server, said: Value) -> Self {
        let uri = said["registration_client_uri"].as_str().expect("a URI");
        let path = server.path_of(uri).expect("ours").to_owned();
        let token = said["registration_access_token"].as_str().expect("a token").to_owned();
        Self { server: server.clone(), path, token, said }
    }

    pub async fn send(&self, method: &str, token: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(&self.path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.server.send(request, body.to_owned()).await
    }

    pub async fn get(&self) -> Answer {
        self.send("GET", Some(&self.token), "").await
    }

    pub async fn put(&self, metadata: &Value) -> Answer {
        self.send("PUT", Some(&self.token), &metadata.to_string()).await
    }

    /// What a client sends to change `changes` and nothing else: all it was told, but for what it may not say.
    pub fn with(&self, changes: &Value) -> Value {
        let mut metadata: Map<String, Value> = self.said.as_object().expect("an object").clone();
        for member in
            ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"]
        {
            metadata.remove(member);
        }
        metadata.extend(changes.as_object().expect("an object").clone());
        Value::Object(metadata)
    }
}
