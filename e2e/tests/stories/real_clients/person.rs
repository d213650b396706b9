//! The person at the browser: scripts send an authorization URL here and are told where she ended. It is the driver's
//! own connection, which no client library sees.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{ClientMetadata, initial_access_tokens};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::testing::certificates::Identity;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::visitor::{Stop, Visitor};
use crate::world::{PASSWORD, World, app_client};

/// What a script may ask.
#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    /// To open a URL and go through sign-in and consent where she is asked.
    Authorize { url: String, browser: String, decision: String },
    /// To open the page of RFC 8628 §3.3 with its code filled in, sign in, and decide.
    Device { url: String, browser: String, decision: String },
    /// To open a sign-out (OpenID Connect RP-Initiated Logout §2) and confirm it where she is asked.
    Logout { url: String, browser: String },
    /// The operator: to register a client with this metadata (RFC 7591 §2; `scopes` is a list).
    Register {
        metadata: Box<ClientMetadata>,
        #[serde(default)]
        first_party: bool,
    },
    /// The operator: for a token that registers so many clients (RFC 7591 §1.2).
    Permit { name: String, uses: i64 },
    /// An authority that the operator trusts: for a certificate with this common name. Or for one that nobody signed.
    Certificate { name: String, self_signed: bool },
    /// To move the services' clock forward, in seconds.
    Pass { seconds: u64 },
    /// To move it on until other keys sign.
    Rotate,
}

struct Person {
    world: Arc<World>,
    email: String,
    /// By name, each with cookies of its own.
    browsers: Mutex<HashMap<String, Visitor>>,
}

/// Listens on a loopback port until the handle is dropped.
pub struct Line {
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The person with this address is ready to be asked.
pub async fn listens(world: Arc<World>, email: &str) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("http://{}/", listener.local_addr().expect("it listens"));
    let person = Arc::new(Person { world, email: email.to_owned(), browsers: Mutex::default() });
    let router = Router::new().route("/", post(answer)).with_state(person);
    let task = tokio::spawn(async move {
        axum::serve(listener, router).await.expect("it serves until it is dropped");
    });
    Line { url, task }
}

async fn answer(State(person): State<Arc<Person>>, Json(question): Json<Question>) -> Response {
    // A task of its own: what fails in it is told to the script, which shows it.
    match tokio::spawn(async move { person.does(question).await }).await {
        Ok(answer) => Json(answer).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

impl Person {
    async fn does(&self, question: Question) -> Value {
        let mut browsers = self.browsers.lock().await;
        let browsers = &mut *browsers;
        match question {
            Question::Authorize { url, browser, decision } => {
                let visitor = self.at(browsers, browser);
                let first = visitor.open(&url).await;
                told(self.decides(visitor, first, &decision).await)
            }
            Question::Device { url, browser, decision } => {
                let visitor = self.at(browsers, browser);
                let mut stop = visitor.open(&url).await;
                // Signed in first, where she is not: then the code she compares, and the decision.
                for _ in 0..3 {
                    stop = match stop {
                        Stop::Page(page) if page.has_field("user_code") && !page.has_field("decision") => {
                            let code = page.value_of("user_code").expect("the code is filled in");
                            visitor.submit(&page, &[("user_code", &code)]).await
                        }
                        other => self.decides(visitor, other, &decision).await,
                    };
                }
                told(stop)
            }
            Question::Logout { url, browser } => {
                let visitor = self.at(browsers, browser);
                let stop = match visitor.open(&url).await {
                    Stop::Page(page) if page.has_field("csrf") => visitor.submit(&page, &[]).await,
                    other => other,
                };
                told(stop)
            }
            Question::Register { metadata, first_party } => {
                let mut client = app_client("An app that asked", &[], "");
                client.first_party = first_party;
                // Where nothing is said of scopes: those of other apps.
                let scopes = std::mem::take(&mut client.metadata.scopes);
                client.metadata = *metadata;
                if client.metadata.scopes.is_empty() {
                    client.metadata.scopes = scopes;
                }
                let app = self.world.register(client).await;
                json!({ "client_id": app.client_id, "client_secret": app.secret, "redirect_uri": app.redirect_uri })
            }
            Question::Certificate { name, self_signed } => {
                let (authority, _) = self.world.tls.as_ref().expect("it speaks TLS");
                let identity = if self_signed { Identity::self_signed(&name) } else { authority.client(&name, |_| {}) };
                json!({ "certificate": identity.pem, "key": identity.key_pem })
            }
            Question::Permit { name, uses } => {
                let made = initial_access_tokens::create(&self.world.platform, &name, Some(uses), TimeDelta::days(1));
                let (token, _) = made.await.expect("the database answers").expect("the name is new");
                json!({ "initial_access_token": token.reveal() })
            }
            Question::Rotate => json!({ "seconds": self.world.rotates_its_keys().await.as_secs() }),
            Question::Pass { seconds } => {
                self.world.pass(Duration::from_secs(seconds));
                json!({})
            }
        }
    }

    /// The browser of this name.
    fn at<'a>(&self, browsers: &'a mut HashMap<String, Visitor>, name: String) -> &'a mut Visitor {
        browsers.entry(name).or_insert_with(|| self.world.visitor())
    }

    /// Signs in and decides where the pages ask for it.
    async fn decides(&self, visitor: &mut Visitor, mut stop: Stop, decision: &str) -> Stop {
        for _ in 0..3 {
            stop = match stop {
                Stop::Page(page) if page.has_field("password") => {
                    visitor.submit(&page, &[("email", &self.email), ("password", PASSWORD)]).await
                }
                Stop::Page(page) if page.has_field("decision") => {
                    visitor.submit(&page, &[("decision", decision)]).await
                }
                other => return other,
            };
        }
        stop
    }
}

fn told(stop: Stop) -> Value {
    match stop {
        Stop::Away(url) => json!({ "callback": url }),
        Stop::Page(page) => {
            let form_post = page.form_post().map(|(action, fields)| json!({ "action": action, "fields": fields }));
            json!({ "page": {
                "url": page.url,
                "status": page.status,
                "body": page.body,
                "links": page.links(),
                "form_post": form_post,
            } })
        }
    }
}
