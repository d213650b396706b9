//! Whole authorization code flows: people who are signed in come with an authorization request, and their app turns the
//! code into tokens. No page is shown: the app is one of our own.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::instance::{self, Instance};
use crate::load::{self, Connection, Load};

const FORM: &str = "application/x-www-form-urlencoded";
pub const REDIRECT_URI: &str = "https://app.example/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// People who are signed in, and the app they use.
pub struct Flows {
    address: SocketAddr,
    pid: u32,
    authorize: Vec<Vec<u8>>,
    basic: String,
}

impl Flows {
    /// Signs `people` in on the hosted page; each of them keeps a session.
    pub async fn prepare(instance: &Instance, client: (String, String), people: &[(String, &str)]) -> Result<Self> {
        let (id, secret) = client;
        let mut authorize = vec![];
        for (email, password) in people {
            let session = sign_in(instance.auth, email, password).await?;
            let redirect_uri: String = url::form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect();
            authorize.push(
                format!(
                    "GET /oauth/authorize?response_type=code&client_id={id}&redirect_uri={redirect_uri}&scope=openid\
                     &state=x&nonce=y&code_challenge={CHALLENGE}&code_challenge_method=S256 HTTP/1.1\r\n\
                     Host: 127.0.0.1\r\nCookie: {session}\r\n\r\n"
                )
                .into_bytes(),
            );
        }
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        Ok(Self { address: instance.auth, pid: instance.pid, authorize, basic })
    }

    /// Everybody again and again, each on a connection of their own.
    pub async fn run(&self, round: Duration) -> Result<Load> {
        let (cpu, begun) = (instance::cpu_time(self.pid)?, Instant::now());
        let tasks = self.authorize.iter().map(|authorize| {
            let (address, authorize, basic) = (self.address, authorize.clone(), self.basic.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut count = 0;
                while begun.elapsed() < round {
                    let status = connection.send(&authorize).await?;
                    let location = connection.header("location").unwrap_or_default();
                    let code = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code="));
                    let code = code.with_context(|| format!("{status} without a code: {location}"))?;
                    let form = format!(
                        "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT_URI}&code_verifier={VERIFIER}"
                    );
                    let status = connection.send(&load::post("/oauth/token", FORM, Some(&basic), &form)).await?;
                    ensure!(status == 200, "a code was answered with {status}");
                    count += 1;
                }
                Ok(count)
            })
        });
        let counts: Vec<usize> = crate::each(tasks.collect()).await?;
        Ok(Load::new(counts.iter().sum(), begun.elapsed(), instance::cpu_time(self.pid)?.saturating_sub(cpu)))
    }
}

/// Signs in on the page; returns the session's cookie.
pub async fn sign_in(address: SocketAddr, email: &str, password: &str) -> Result<String> {
    let mut connection = Connection::open(address).await?;
    connection.send(&load::get("/login")).await?;
    let cookies = connection.cookies();
    let page = connection.text();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf = csrf.context("the page has no token")?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("csrf", csrf), ("email", email), ("password", password)])
        .finish();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\nContent-Type: {FORM}\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let status = connection.send(request.as_bytes()).await?;
    ensure!(status == 303, "the sign-in of {email} was answered with {status}");
    Ok(connection.cookies())
}
