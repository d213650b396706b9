//! The hosted pages, as a browser asks for them: the whole answer, from the request's first byte to the page's last, with
//! everything that the database is asked for. No password is hashed for any of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::Measure;
use crate::flows::{CHALLENGE, REDIRECT_URI, sign_in};
use crate::instance::{self, Instance};
use crate::load::{Connection, Probe};

/// How long one page took.
pub struct PageTime {
    pub name: String,
    pub probe: Probe,
    /// Processor time of the server for each answer, in microseconds.
    pub cpu: f64,
}

fn get(path: &str, cookies: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nAccept-Language: en\r\nCookie: {cookies}\r\n\r\n"
    )
    .into_bytes()
}

/// Each page for a quarter of a round, after a few times that do not count.
pub async fn measure(args: &Measure, instance: &Instance, round: Duration) -> Result<Vec<PageTime>> {
    eprintln!("pages");
    let options = [
        "--grant",
        "authorization_code",
        "--scope",
        "openid email",
        "--redirect-uri",
        REDIRECT_URI,
        "--brand-accent-light",
        "#6d28d9",
    ];
    let (client, _) = instance.client(&args.standalone.with_file_name("auth-server"), &options).await?;
    // Clients made beside running services are known within a second.
    sleep(Duration::from_secs(1)).await;
    let session = sign_in(instance.auth, "person0@example.com", crate::PASSWORD).await?;
    let redirect_uri: String = url::form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect();
    let authorize = format!(
        "/oauth/authorize?response_type=code&client_id={client}&redirect_uri={redirect_uri}&scope=openid%20email\
         &state=x&nonce=y&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let consent = leads_to(instance, &get(&authorize, &session)).await?;
    let sign_in_for = leads_to(instance, &get(&authorize, "")).await?;
    ensure!(consent.starts_with("/consent?") && sign_in_for.starts_with("/login?"), "{consent}, {sign_in_for}");

    let pages = [
        ("sign-in", "/login", "", 200),
        ("sign-in for an app with colours of its own", &sign_in_for, "", 200),
        ("sign-up", "/signup", "", 200),
        ("sign-up by a referral link that is none", "/signup?ref=ABCD2345", "", 200),
        ("forgotten password", "/forgot-password", "", 200),
        ("consent", &consent, &session, 200),
        ("device", "/device", &session, 200),
        ("account", "/account", &session, 200),
        ("profile", "/account/profile", &session, 200),
        ("security", "/account/security", &session, 200),
        ("sessions", "/account/sessions", &session, 200),
        ("apps", "/account/apps", &session, 200),
        ("activity", "/account/activity", &session, 200),
        ("referrals", "/account/referrals", &session, 200),
        ("error", "/oauth/authorize?client_id=nobody&response_type=code", "", 400),
        ("not found", "/nothing", "", 404),
    ];
    let mut times = vec![];
    for (name, path, cookies, status) in pages {
        let request = get(path, cookies);
        Probe::expecting(status, instance.auth, &request, round / 20).await.with_context(|| path.to_owned())?;
        let before = instance::cpu_time(instance.pid)?;
        let (probe, count) = Probe::expecting(status, instance.auth, &request, round / 4).await?;
        let cpu = instance::cpu_time(instance.pid)?.saturating_sub(before);
        times.push(PageTime { name: name.to_owned(), probe, cpu: cpu.as_secs_f64() * 1e6 / count as f64 });
    }
    Ok(times)
}

/// Where a request is redirected to.
async fn leads_to(instance: &Instance, request: &[u8]) -> Result<String> {
    let mut connection = Connection::open(instance.auth).await?;
    let status = connection.send(request).await?;
    let location = connection.header("location").with_context(|| format!("{status} leads nowhere"))?;
    Ok(location)
}
