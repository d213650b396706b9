//! Referral codes found by email address, from the cache, by people with access tokens: beside a handler that is sent the
//! same request, answers JSON of the same size and does nothing else. Limits are on, at numbers that nobody reaches:
//! counting is part of the work.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::instance::{Bare, Instance};
use crate::load::{self, Connection, Load};
use crate::{CLIENTS, Measure, PASSWORD, ROUNDS};

const SETTINGS: [(&str, &str); 5] = [
    ("LIMITS__ENABLED", "true"),
    ("LIMITS__API_REQUESTS_PER_MINUTE", "1000000000"),
    ("LIMITS__LOOKUPS_PER_MINUTE", "1000000000"),
    ("LIMITS__SIGNUPS_PER_MINUTE", "1000"),
    ("LIMITS__SIGNINS_PER_MINUTE", "1000"),
];

/// Ours beside theirs, in turns.
pub async fn measure(args: &Measure, round: Duration) -> Result<Vec<(Load, Load)>> {
    eprintln!("look-ups");
    let folder = tempfile::tempdir()?;
    let instance = Instance::start_with(&args.standalone, folder.path(), &SETTINGS).await?;
    let mut requests = vec![];
    for n in 0..CLIENTS {
        let email = format!("finder{n}@example.com");
        let token = sign_up(&instance, &email).await?;
        let body = r#"{"expires_at": "IN_A_MONTH"}"#.replace("IN_A_MONTH", &in_a_month());
        let created = send(&instance, &load::post_as(&token, "/v1/referral-codes", &body)).await?;
        ensure!(created["code"].is_string(), "no code was made: {created}");
        requests.push(load::get_as(&token, &format!("/v1/referral-codes/lookup?email={email}")));
    }
    let bare = Bare::start().await?;
    let size = async |address, request: &[u8]| -> Result<usize> {
        let mut connection = Connection::open(address).await?;
        connection.send(request).await?;
        Ok(connection.json()?.to_string().len())
    };
    let (ours, theirs) = (size(instance.api, &requests[0]).await?, size(bare.address, &requests[0]).await?);
    ensure!(ours.abs_diff(theirs) < 20, "the bare handler answers {theirs} bytes, ours {ours}");

    let mut rounds = vec![];
    for number in 0..=ROUNDS {
        let theirs = Load::run(bare.address, bare.pid, &requests, round).await?;
        let ours = Load::run(instance.api, instance.pid, &requests, round).await?;
        // The first round warms up.
        if number > 0 {
            rounds.push((ours, theirs));
        }
    }
    instance.stop().await?;
    Ok(rounds)
}

/// A new account; its access token.
pub async fn sign_up(instance: &Instance, email: &str) -> Result<String> {
    let body = format!(r#"{{"email": "{email}", "password": "{PASSWORD}"}}"#);
    let mut connection = Connection::open(instance.auth).await?;
    let status = connection.send(&load::post("/api/v1/signup", "application/json", None, &body)).await?;
    ensure!(status == 201, "the sign-up of {email} was answered {status}");
    sign_in(instance, email).await
}

/// An access token for everything that the command line may ask for.
pub async fn sign_in(instance: &Instance, email: &str) -> Result<String> {
    let form =
        format!("grant_type=password&client_id=demo-cli&username={email}&password={}", PASSWORD.replace(' ', "+"));
    let mut connection = Connection::open(instance.auth).await?;
    let request = load::post("/oauth/token", "application/x-www-form-urlencoded", None, &form);
    let status = connection.send(&request).await?;
    let token = connection.json()?["access_token"].as_str().map(str::to_owned);
    token.with_context(|| format!("the sign-in of {email} was answered {status}"))
}

async fn send(instance: &Instance, request: &[u8]) -> Result<Value> {
    let mut connection = Connection::open(instance.api).await?;
    connection.send(request).await?;
    connection.json()
}

#[expect(clippy::disallowed_methods, reason = "the services that are measured have the machine's clock too")]
fn in_a_month() -> String {
    (chrono::Utc::now() + chrono::TimeDelta::days(30)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
