//! Mail: handed to the server of `smtp.url`, or written to `data_dir/mail` when there is none. What a mail says and
//! whether it still may be sent is decided when it is made ([`jobs`]), not when it was asked for.

mod invitation;
mod jobs;
pub mod letter;
pub mod name;
pub(crate) mod samples;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use shared::config::Config;
use shared::db::create_private_dir;
use uuid::Uuid;

/// How long the server may take for each command. A whole mail is bounded by the worker's deadline.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);
const SMTP_CONNECTIONS: u32 = 4;

/// The mail settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum MailSettingsError {
    // The URL holds a password: it is not repeated, and lettre's error may quote parts of it.
    #[error("smtp.url is not usable; write smtps://user:password@host, smtp://host:587?tls=required or smtp://host:25")]
    Url,
    #[error("smtp.from is not a sender ({0}); write Name <address@example.com>")]
    From(String),
}

/// Why a mail was not taken. Holds no addresses: servers like to quote them, so their words are left out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server refuses this mail, today and probably tomorrow.
    #[error("the mail server refuses the mail (status {0})")]
    Refused(u16),
    /// The server does not let us in, or can't just now.
    #[error("the mail server does not take the mail: {0}")]
    Unavailable(String),
    #[error("the mail can't be written: {0}")]
    Folder(#[from] std::io::Error),
    #[error("the mail can't be made: {0}")]
    Malformed(String),
}

/// Where mails go.
pub struct Mailer {
    from: Mailbox,
    transport: Transport,
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

impl Mailer {
    /// Reads `smtp.url` and `smtp.from`. Nothing is connected to yet.
    ///
    /// # Errors
    /// When one of them is not usable.
    pub fn new(config: &Config) -> Result<Self, MailSettingsError> {
        let from: Mailbox = config
            .smtp
            .from
            .parse()
            .map_err(|e: lettre::address::AddressError| MailSettingsError::From(e.to_string()))?;
        let transport = match &config.smtp.url {
            None => Transport::Folder(config.data_dir.join("mail")),
            Some(url) => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
                    .map_err(|_| MailSettingsError::Url)?
                    .timeout(Some(SMTP_TIMEOUT))
                    .pool_config(PoolConfig::new().max_size(SMTP_CONNECTIONS).idle_timeout(Duration::from_secs(30)))
                    .build(),
            ),
        };
        Ok(Self { from, transport })
    }

    /// The sender.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Is the mail server there, and does it let us in? What a mail would find out, without one. A folder always is.
    pub async fn answers(&self) -> Result<(), MailError> {
        match &self.transport {
            Transport::Folder(_) => Ok(()),
            Transport::Smtp(smtp) => match smtp.test_connection().await {
                Ok(true) => Ok(()),
                Ok(false) => Err(MailError::Unavailable("no connection".into())),
                Err(error) => Err(smtp_error(error)),
            },
        }
    }

    /// Hands a mail over. `now` and `id` name the file where mails are files; names sort by time.
    pub async fn send(&self, message: Message, now: DateTime<Utc>, id: Uuid) -> Result<(), MailError> {
        match &self.transport {
            Transport::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(smtp_error),
            Transport::Folder(folder) => {
                let (folder, name) =
                    (folder.clone(), format!("{}-{}.eml", now.format("%Y%m%dT%H%M%S%.6fZ"), id.simple()));
                let written = tokio::task::spawn_blocking(move || write(&folder, &name, &message.formatted()));
                written.await.map_err(|e| MailError::Folder(std::io::Error::other(e)))?.map_err(MailError::Folder)
            }
        }
    }
}

fn smtp_error(error: lettre::transport::smtp::Error) -> MailError {
    match error.status().map(u16::from) {
        // 530, 534, 535, 538: it is us it does not like (RFC 4954 §6). An operator will mend that.
        Some(code @ (530 | 534 | 535 | 538)) => MailError::Unavailable(format!("status {code}, sign-in failed")),
        Some(code) if code >= 500 => MailError::Refused(code),
        Some(code) => MailError::Unavailable(format!("status {code}")),
        None if error.is_timeout() => MailError::Unavailable("timeout".into()),
        None if error.is_tls() => MailError::Unavailable("no TLS connection".into()),
        // The server lacks what this mail needs, such as SMTPUTF8 for an address that is not ASCII.
        None if error.is_client() => MailError::Malformed(error.to_string()),
        None => MailError::Unavailable("no connection".into()),
    }
}

/// Written whole under another name, then renamed: who watches the folder never sees half a mail. The links in it are
/// secrets, so nobody else on the machine may read it.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    create_private_dir(folder)?;
    let draft = folder.join(format!(".{name}"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, folder.join(name))
}

#[cfg(test)]
mod tests {
    use shared::config::load_from;

    use super::*;

    /// The configuration's check refuses them first, so they are put in behind its back.
    fn settings(url: Option<&str>, from: &str) -> Result<Mailer, MailSettingsError> {
        let mut config = load_from(None, []).unwrap();
        config.smtp.url = url.map(shared::secret::Secret::new);
        config.smtp.from = from.to_owned();
        Mailer::new(&config)
    }

    #[test]
    fn settings_that_can_not_work_are_refused_without_repeating_the_password() {
        let from = "Referris <no-reply@localhost>";
        for url in ["smtps://ann:s3cret@", "http://ann:s3cret@mail.example.com", "s3cret"] {
            let error = settings(Some(url), from).err().map(|e| e.to_string());
            assert!(error.as_ref().is_some_and(|e| !e.contains("s3cret")), "{error:?}");
        }
        assert!(settings(None, "nobody").is_err());
        assert!(settings(None, from).is_ok());
    }
}
