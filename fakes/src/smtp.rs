//! A mail server that delivers nothing and keeps what it is handed: enough of RFC 5321 for a well-behaved client.
//!
//! The recipient's local part chooses the answer to `RCPT TO`: `refused@…` 550, `busy@…` 451; any other is accepted.
//! `silent@…` gets no answer at all, until the client gives up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest message that is taken, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// A mail that was handed over.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body as sent, dots unstuffed.
    pub text: String,
}

/// The running catcher. It stops when this is dropped.
pub struct Catcher {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    server: JoinHandle<()>,
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Catcher {
    /// For `smtp.url`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The mails so far, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts a catcher on `listener`. `seen` is called with each mail that was taken.
pub fn start(listener: TcpListener, seen: impl Fn(&Mail) + Send + Sync + 'static) -> std::io::Result<Catcher> {
    let address = listener.local_addr()?;
    let mails = Arc::<Mutex<Vec<Mail>>>::default();
    let kept = mails.clone();
    let seen = Arc::new(seen);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (kept, seen) = (kept.clone(), seen.clone());
            tokio::spawn(async move {
                let keep = |mail: Mail| {
                    seen(&mail);
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                };
                // A client that breaks off is its own affair.
                let _ = converse(stream, keep).await;
            });
        }
    });
    Ok(Catcher { address, mails, server })
}

/// The same on a free port of this machine: for tests.
pub async fn start_anywhere() -> std::io::Result<Catcher> {
    start(TcpListener::bind(("127.0.0.1", 0)).await?, |_| {})
}

async fn converse(stream: TcpStream, keep: impl Fn(Mail)) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"220 fakes ESMTP\r\n").await?;
    let mut from = String::new();
    let mut to = vec![];
    loop {
        let mut line = String::new();
        if (&mut reader).take(4096).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-fakes\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n",
            "HELO" | "NOOP" => b"250 OK\r\n",
            "RSET" => {
                from.clear();
                to.clear();
                b"250 OK\r\n"
            }
            "MAIL" => {
                from = address(line);
                b"250 OK\r\n"
            }
            "RCPT" => {
                let recipient = address(line);
                match recipient.split(['@', '+']).next().unwrap_or_default() {
                    "refused" => b"550 5.1.1 No such user here\r\n",
                    "busy" => b"451 4.3.0 Try again later\r\n",
                    "silent" => {
                        tokio::time::sleep(Duration::from_secs(120)).await;
                        b"421 Bye\r\n"
                    }
                    _ => {
                        to.push(recipient);
                        b"250 OK\r\n"
                    }
                }
            }
            "DATA" if to.is_empty() => b"503 5.5.1 No recipients\r\n",
            "DATA" => {
                writer.write_all(b"354 Go ahead\r\n").await?;
                match message(&mut reader).await? {
                    Some(text) => {
                        keep(Mail { from: std::mem::take(&mut from), to: std::mem::take(&mut to), text });
                        b"250 OK\r\n"
                    }
                    None => return writer.write_all(b"552 Too large\r\n").await,
                }
            }
            "QUIT" => return writer.write_all(b"221 Bye\r\n").await,
            _ => b"502 5.5.2 Not known here\r\n",
        };
        writer.write_all(reply).await?;
    }
}

/// The text up to the line with a lone dot; a doubled leading dot is one (RFC 5321 §4.5.2).
async fn message(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    loop {
        let mut line = vec![];
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(Some(text));
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        text.push_str(&String::from_utf8_lossy(line));
        if text.len() > MAX_MESSAGE {
            return Ok(None);
        }
    }
}

fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
