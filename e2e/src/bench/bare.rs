//! What the services are compared with: the least that does the same work.
#![expect(clippy::disallowed_methods, reason = "it measures time, and is no part of the services")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::State;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::instance;
use crate::load::Load;

/// A handler that signs one access token with a kept key and knows nothing else: no client, no scope, no form.
pub async fn serve() -> Result<()> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("a key")?;
    let router = Router::new()
        .route("/oauth/token", post(token))
        .with_state(Arc::new(key))
        .route("/v1/referral-codes/lookup", get(found));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn token(State(key): State<Arc<EcdsaKeyPair>>) -> Json<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "es256-00000000000000000000000000000000" });
    let claims = json!({
        "iss": "http://127.0.0.1:8080",
        "sub": "00000000000000000000000000000000",
        "aud": "http://127.0.0.1:8081",
        "exp": now + 600,
        "iat": now,
        "jti": Uuid::new_v4().to_string(),
        "client_id": "00000000000000000000000000000000",
        "scope": "referral-codes:read",
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).expect("a key signs");
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": "referral-codes:read" }))
}

/// What a look-up finds, of the same size, and knows nothing else: no token, no limits, no code.
#[derive(Serialize)]
struct Found {
    code: &'static str,
    expires_at: &'static str,
    share_url: &'static str,
}

async fn found() -> Json<Found> {
    Json(Found {
        code: "7K2M9QXD",
        expires_at: "2030-01-31T12:00:00Z",
        share_url: "http://127.0.0.1:50000/signup?ref=7K2M9QXD",
    })
}

/// argon2id as the services are configured by default, on all cores, with memory that is kept.
pub fn hashes(round: Duration) -> Result<Load> {
    let params = Params::new(19456, 2, 1, Some(32)).map_err(|e| anyhow!("{e}"))?;
    let cores = thread::available_parallelism()?.get();
    let pid = std::process::id();
    let (cpu, begun) = (instance::cpu_time(pid)?, Instant::now());
    let count = thread::scope(|scope| -> Result<usize> {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| -> Result<usize> {
                    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                    let mut memory = vec![Block::default(); params.block_count()];
                    let mut output = [0; 32];
                    let mut count = 0;
                    while begun.elapsed() < round {
                        argon2
                            .hash_password_into_with_memory(
                                b"correct horse battery staple",
                                &[7; 16],
                                &mut output,
                                &mut memory,
                            )
                            .map_err(|e| anyhow!("{e}"))?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("a thread ended"))?).sum()
    })?;
    Ok(Load::new(count, begun.elapsed(), instance::cpu_time(pid)?.saturating_sub(cpu)))
}
