//! Another system is told of referrals: registered by a program, told of what people do, and sure of who tells it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_server::clients;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::actor::Actor;
use crate::recovery::{link, mail};
use crate::world::{PASSWORD, World, app_client};

/// A server that verifies what it is sent before it believes it, by the library for Standard Webhooks.
#[derive(Clone)]
struct Crm {
    url: String,
    secret: Arc<Mutex<String>>,
    believed: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Crm {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/referrals", listener.local_addr().unwrap());
        let crm = Self { url, secret: Arc::default(), believed: Arc::default() };
        let app = Router::new().fallback(receive).with_state(crm.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        crm
    }

    /// The message of this type, once it is there.
    async fn hears(&self, kind: &str) -> (String, Value) {
        for _ in 0..200 {
            let found = self.believed.lock().unwrap().iter().find(|(_, body)| body["type"] == kind).cloned();
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{kind} does not arrive: {:?}", self.believed.lock().unwrap());
    }
}

async fn receive(State(crm): State<Crm>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verified = Webhook::new(&crm.secret.lock().unwrap()).unwrap().verify(&body, &headers);
    if verified.is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    crm.believed.lock().unwrap().push((id, serde_json::from_slice(&body).unwrap()));
    StatusCode::NO_CONTENT
}

/// A program of the operator's that may set up webhooks.
async fn program(world: &World) -> Actor {
    let mut client = app_client("CRM", &["client_credentials"], "");
    client.first_party = true;
    client.metadata.redirect_uris.clear();
    client.metadata.scopes = vec!["webhooks:manage".to_owned()];
    let app = world.register(client).await;
    let answer = app.token(&[("grant_type", "client_credentials"), ("scope", "webhooks:manage")]).await.is(200);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(app.introspect(token).await["aud"], json!(world.api_url), "the scope is the referral API's");
    world.anon().with_token(token)
}

async fn a_program_is_told_of_referrals_as_they_happen(world: World) {
    let crm = Crm::start().await;
    let program = program(&world).await;
    let new = json!({ "url": crm.url, "events": ["referral.created", "referral.verified"] });
    let endpoint = program.post("/v1/webhook-endpoints", new).await.is(201);
    *crm.secret.lock().unwrap() = endpoint["secret"].as_str().unwrap().to_owned();

    let ann = world.person("ann").await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;
    let ben = world.person_through("ben", Some(&code)).await;
    let (_, created) = crm.hears("referral.created").await;
    let data = &created["data"];
    assert_eq!((&data["referrer_id"], &data["referral_user_id"]), (&json!(ann.id), &json!(ben.id)), "{created}");
    assert_eq!(
        (&data["status"], &data["code"], &data["previous_status"]),
        (&json!("pending"), &json!(code), &json!(null))
    );
    assert!(!created.to_string().contains("example.com"), "no address: {created}");

    let mailed = mail(&world.platform, "ben@example.com", "Confirm your email address").await;
    let mut visitor = world.visitor();
    let page = visitor.open(&link(&mailed, "/verify-email")).await.page();
    visitor.submit(&page, &[("password", PASSWORD)]).await;
    let (id, verified) = crm.hears("referral.verified").await;
    assert_eq!(verified["data"]["id"], data["id"]);
    assert_eq!(
        (&verified["data"]["status"], &verified["data"]["previous_status"]),
        (&json!("verified"), &json!("pending"))
    );

    // As the document describes them, member by member.
    let document = world.anon().get(&format!("{}/openapi.json", world.api_url)).await.is(200);
    let schema = &document["components"]["schemas"]["ReferralEventData"];
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(members(&verified["data"]), members(&schema["properties"]));
    assert!(document["webhooks"]["referral.verified"]["post"]["requestBody"].is_object());

    // The log says what went where.
    let path = format!("/v1/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
    let log = program.get(&format!("{path}/deliveries?outcome=delivered")).await.is(200);
    let items = log["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{log}");
    assert_eq!((&items[0]["message_id"], &items[0]["attempts"][0]["status"]), (&json!(id), &json!(204)));

    // Who is not the program sees nothing of it.
    ann.get(&path).await.is_problem(403, "");
    world.anon().get(&path).await.is_problem(401, "");
}
on_both_stores!(a_program_is_told_of_referrals_as_they_happen, "OUTBOUND__ALLOW" = r#"["127.0.0.1"]"#);

async fn a_receiver_that_does_not_believe_it_is_told_again_and_can_be_helped(world: World) {
    let crm = Crm::start().await;
    // Of another endpoint.
    *crm.secret.lock().unwrap() = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    let program = program(&world).await;
    let new = json!({ "url": crm.url, "events": ["*"] });
    let endpoint = program.post("/v1/webhook-endpoints", new).await.is(201);
    let path = format!("/v1/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
    let test = program.post(&format!("{path}/test"), json!({})).await.is(202);
    for _ in 0..100 {
        let log = program.get(&format!("{path}/deliveries")).await.is(200);
        if log["items"][0]["attempts"][0]["status"] == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    *crm.secret.lock().unwrap() = endpoint["secret"].as_str().unwrap().to_owned();
    let replay = format!("{path}/deliveries/{}/replay", test["message_id"].as_str().unwrap());
    program.post(&replay, json!({})).await.is(202);
    let (id, _) = crm.hears("webhook_endpoint.test").await;
    assert_eq!(json!(id), test["message_id"]);
}
on_both_stores!(
    a_receiver_that_does_not_believe_it_is_told_again_and_can_be_helped,
    "OUTBOUND__ALLOW" = r#"["127.0.0.1"]"#,
);

async fn only_the_operators_own_programs_may_set_up_webhooks(world: World) {
    let mut stranger = app_client("Stranger", &["client_credentials"], "");
    stranger.metadata.redirect_uris.clear();
    stranger.metadata.scopes = vec!["webhooks:manage".to_owned()];
    let refused = clients::create(&world.platform, stranger).await.unwrap_err();
    assert!(refused.to_string().contains("first-party"), "{refused}");
    // Nor does one get it by asking.
    let (job, _) = world.service("referral-codes:read").await;
    let asked = job.token(&[("grant_type", "client_credentials"), ("scope", "webhooks:manage")]).await;
    asked.is_oauth_error(400, "invalid_scope");
}
on_both_stores!(only_the_operators_own_programs_may_set_up_webhooks);
