//! The load: plain HTTP/1.1 on connections that are kept, with as little work for each request as can be, because the
//! generator shares the cores with what it measures.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::instance;

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A GET request.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n").into_bytes()
}

/// A GET request with an access token.
pub fn get_as(token: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A POST request; `basic` is the base64 of HTTP Basic authentication.
pub fn post(path: &str, content_type: &str, basic: Option<&str>, body: &str) -> Vec<u8> {
    let authorization = basic.map(|text| format!("Authorization: Basic {text}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Type: {content_type}\r\n\
         {authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A POST request of JSON with an access token.
pub fn post_as(token: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends one request, reads the whole answer and returns its status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        timeout(PATIENCE, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status = text.get(9..12).context("no status")?.parse()?;
        let length = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
        ensure!(length > 0 || status >= 300, "an answer without a length: {text}");
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        Ok(status)
    }

    /// The last answer, head and body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// The last answer's body.
    pub fn json(&self) -> Result<Value> {
        let head = self.buffer.windows(4).position(|w| w == b"\r\n\r\n").context("no answer")?;
        Ok(serde_json::from_slice(&self.buffer[head + 4..])?)
    }

    /// A header of the last answer.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The cookies that the last answer set, as they are sent back.
    pub fn cookies(&self) -> String {
        let set = self.headers("set-cookie");
        let pairs: Vec<&str> = set.iter().filter_map(|cookie| cookie.split(';').next()).collect();
        pairs.join("; ")
    }

    fn headers(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default().to_owned();
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

/// What came of a round.
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// Processor time of the measured process for each answer, in microseconds.
    pub cpu: f64,
}

impl Load {
    /// From a count, the time it took and the processor time it took.
    pub fn new(count: usize, elapsed: Duration, cpu: Duration) -> Self {
        let count = count as f64;
        Self { rate: count / elapsed.as_secs_f64(), cpu: cpu.as_secs_f64() * 1e6 / count }
    }

    /// One connection for each of `requests`, which it sends over and over.
    ///
    /// # Errors
    /// When an answer is not 200.
    pub async fn run(address: SocketAddr, pid: u32, requests: &[Vec<u8>], round: Duration) -> Result<Self> {
        let (cpu, begun) = (instance::cpu_time(pid)?, Instant::now());
        let tasks = requests.iter().map(|request| {
            let request: Arc<[u8]> = request.as_slice().into();
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut count = 0;
                while begun.elapsed() < round {
                    let status = connection.send(&request).await?;
                    ensure!(status == 200, "an answer of the load was {status}");
                    count += 1;
                }
                Ok(count)
            })
        });
        let counts: Vec<usize> = crate::each(tasks.collect()).await?;
        Ok(Self::new(counts.iter().sum(), begun.elapsed(), instance::cpu_time(pid)?.saturating_sub(cpu)))
    }
}

/// How long answers took, in milliseconds.
pub struct Probe {
    pub p50: f64,
    pub p99: f64,
}

impl Probe {
    /// Asks again and again, with a pause, on one connection.
    pub async fn run(address: SocketAddr, request: &[u8], round: Duration) -> Result<Self> {
        Self::expecting(200, address, request, round).await.map(|(probe, _)| probe)
    }

    /// The same where the answer is to have this status. Also how many answers there were.
    pub async fn expecting(
        expected: u16,
        address: SocketAddr,
        request: &[u8],
        round: Duration,
    ) -> Result<(Self, usize)> {
        let mut connection = Connection::open(address).await?;
        let mut times = vec![];
        let begun = Instant::now();
        while begun.elapsed() < round {
            let sent = Instant::now();
            let status = connection.send(request).await?;
            ensure!(status == expected, "the probe was answered {status}");
            times.push(sent.elapsed().as_secs_f64() * 1000.0);
            sleep(Duration::from_millis(1)).await;
        }
        let count = times.len();
        Ok((Self::of(times), count))
    }

    /// Each of `requests` in turn, one after the other without a pause.
    pub async fn of_each(address: SocketAddr, requests: &[Vec<u8>], round: Duration) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let mut times = vec![];
        let begun = Instant::now();
        for request in requests.iter().cycle() {
            if begun.elapsed() >= round {
                break;
            }
            let sent = Instant::now();
            let status = connection.send(request).await?;
            ensure!(status == 200, "the probe was answered {status}: {}", connection.text());
            times.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(Self::of(times))
    }

    /// Of so many milliseconds each.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::NAN);
        Self { p50: at(50), p99: at(99) }
    }
}
