//! What the mails say and how they look: one letter, as HTML and as text, in the reader's language.

use askama::Template;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use fluent_templates::fluent_bundle::FluentValue;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use shared::brand::Palette;
use shared::config::Config;
use shared::email::Email;
use shared::outbox::{Notice, Side};
use uuid::Uuid;

use super::MailError;
use crate::locales::Locale;

/// A mail's occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Confirm the address of an account that exists.
    VerifyEmail { hours: u64 },
    /// Confirm an address, and the account comes to be.
    ConfirmSignup { hours: u64 },
    /// Somebody tried to sign up with the address of an account.
    AlreadyRegistered,
    /// A member's code for a friend. `name` has passed [`super::name::presentable`]; `code` is absent when only the
    /// link is to carry it.
    Invitation { name: Option<String>, code: Option<String>, expires_at: DateTime<Utc>, unsubscribe: String },
    /// Something was done to the account. `detail` has passed [`super::name::presentable`], or is ours.
    Security { what: Notice, at: DateTime<Utc>, detail: Option<String> },
    /// A forgotten password.
    ResetPassword { code: String, minutes: u64 },
    /// One of the two addresses of a change is to confirm it.
    EmailChange { side: Side, code: String, hours: u64 },
    /// A code in place of the app's.
    SecondFactor { code: String, minutes: u64 },
    /// A code that proves the address of who comes from another provider.
    ProveAddress { code: String, hours: u64 },
}

impl Occasion {
    /// What its messages are called: `…-subject`, `…-intro`, `…-button`, `…-note`.
    pub(super) fn key(&self) -> String {
        match self {
            Self::VerifyEmail { .. } => "mail-verify-email".into(),
            Self::ConfirmSignup { .. } => "mail-confirm-signup".into(),
            Self::AlreadyRegistered => "mail-already-registered".into(),
            Self::Invitation { .. } => "mail-invitation".into(),
            Self::ResetPassword { .. } => "mail-reset-password".into(),
            Self::EmailChange { side: Side::Old, .. } => "mail-email-change-old".into(),
            Self::EmailChange { side: Side::New, .. } => "mail-email-change-new".into(),
            Self::SecondFactor { .. } => "mail-second-factor".into(),
            Self::ProveAddress { .. } => "mail-prove-address".into(),
            Self::Security { what, .. } => format!("mail-notice-{}", what.name()),
        }
    }
}

/// Whose mail it is, and how it looks.
#[derive(Clone, Debug)]
pub struct Letterhead {
    pub name: String,
    /// The host that the reader knows us by.
    pub site: String,
    pub light: Palette,
    pub dark: Palette,
    /// Is there a look of the operator's own? Then the mark, which is ours, is left out.
    pub own: bool,
}

impl Letterhead {
    pub fn of(config: &Config) -> Self {
        let style = config.style();
        Self {
            name: config.brand.name.clone(),
            site: config.auth.public_url.as_str().split("://").last().unwrap_or_default().to_owned(),
            light: style.light(),
            dark: style.dark(),
            own: config.brand.logo_file.is_some(),
        }
    }
}

/// A mail, said and not yet sent.
#[derive(Clone, Debug, Template)]
#[template(path = "mail/letter.html")]
pub struct Letter {
    pub head: Letterhead,
    pub lang: &'static str,
    pub subject: String,
    pub intro: String,
    /// A code to be shown large: a referral code, or one to be typed.
    pub code: Option<String>,
    pub button: String,
    pub link: String,
    pub note: String,
    pub fallback: String,
    pub sign_off: String,
    pub unsubscribe: Option<Unsubscribe>,
}

/// How to get no more of these.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    pub why: String,
    pub label: String,
    pub link: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Plain<'a> {
    brand: &'a str,
    underline: String,
    subject: &'a str,
    intro: &'a str,
    code: Option<&'a str>,
    button: &'a str,
    link: &'a str,
    note: &'a str,
    sign_off: &'a str,
    unsubscribe: Option<&'a Unsubscribe>,
}

impl Letter {
    /// The type that the text part is made by.
    pub(crate) const PLAIN: &str = concat!(module_path!(), "::Plain");

    /// Says it in `locale`. `link` is where the button leads.
    pub fn new(locale: Locale, head: Letterhead, occasion: &Occasion, link: String) -> Self {
        let site = || ("site", FluentValue::from(head.site.clone()));
        let key = occasion.key();
        let name = match occasion {
            Occasion::Invitation { name, .. } => name.as_deref(),
            _ => None,
        };
        let anonymous = matches!(occasion, Occasion::Invitation { name: None, .. });
        let say = |part: &str, named: bool| {
            let suffix = if named && anonymous { "-anonymous" } else { "" };
            let mut values = vec![site()];
            values.extend(name.map(|name| ("name", FluentValue::from(name))));
            match occasion {
                Occasion::ResetPassword { minutes, .. } | Occasion::SecondFactor { minutes, .. } => {
                    values.push(("minutes", FluentValue::from(*minutes)));
                }
                Occasion::VerifyEmail { hours }
                | Occasion::ConfirmSignup { hours }
                | Occasion::ProveAddress { hours, .. }
                | Occasion::EmailChange { hours, .. } => {
                    values.push(("hours", FluentValue::from(*hours)));
                }
                Occasion::Invitation { expires_at, .. } => values.push(("day", last_day(locale, *expires_at).into())),
                Occasion::Security { at, .. } => {
                    values.push(("moment", moment(locale, *at).into()));
                    values.push(("day", day(locale, *at).into()));
                }
                Occasion::AlreadyRegistered => {}
            }
            locale.text_with(&format!("{key}-{part}{suffix}"), values)
        };
        let (code, unsubscribe) = match occasion {
            Occasion::Invitation { code, unsubscribe, .. } => {
                let why = say("why", false);
                let label = locale.text("mail-unsubscribe");
                (code.clone(), Some(Unsubscribe { why, label, link: unsubscribe.clone() }))
            }
            Occasion::ResetPassword { code, .. } | Occasion::EmailChange { code, .. } => (Some(code.clone()), None),
            Occasion::SecondFactor { code, .. } | Occasion::ProveAddress { code, .. } => (Some(code.clone()), None),
            _ => (None, None),
        };
        let mut intro = say("intro", true);
        if let Occasion::Security { detail: Some(detail), what, .. } = occasion {
            let words = if *what == Notice::PasswordReset { "mail-notice-kept" } else { "mail-notice-detail" };
            let detail = locale.text_with(words, [("detail", FluentValue::from(detail.as_str()))]);
            intro = format!("{intro} {detail}");
        }
        let (subject, button, note) = (say("subject", true), say("button", false), say("note", false));
        let sign_off = locale.text_with("mail-sign-off", [site()]);
        let fallback = locale.text("mail-link-fallback");
        Self { lang: locale.tag(), subject, intro, code, button, link, note, fallback, sign_off, unsubscribe, head }
    }

    /// The text part.
    pub fn plain(&self) -> Result<String, askama::Error> {
        let plain = Plain {
            brand: &self.head.name,
            underline: "=".repeat(self.subject.chars().count()),
            subject: &self.subject,
            intro: &self.intro,
            code: self.code.as_deref(),
            button: &self.button,
            link: &self.link,
            note: &self.note,
            sign_off: &self.sign_off,
            unsubscribe: self.unsubscribe.as_ref(),
        };
        plain.render()
    }

    /// The mail itself.
    ///
    /// # Errors
    /// When `to` is no address that mail can be sent to.
    pub fn to_message(&self, from: &Mailbox, to: &Email, now: DateTime<Utc>, id: Uuid) -> Result<Message, MailError> {
        let malformed = |e: &dyn std::error::Error| MailError::Malformed(e.to_string());
        let html = self.render().map_err(|e| malformed(&e))?;
        let plain = self.plain().map_err(|e| malformed(&e))?;
        let mut builder = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, deliverable(to)?))
            .subject(one_line(&self.subject))
            .date(now.into())
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            // RFC 3834 §5: nobody's holiday notice is to answer this.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("Content-Language", self.lang));
        if let Some(unsubscribe) = &self.unsubscribe {
            // RFC 8058 §3.1: both headers, and the mail program unsubscribes with one POST.
            builder = builder
                .raw_header(header("List-Unsubscribe", &format!("<{}>", unsubscribe.link)))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        builder.multipart(MultiPart::alternative_plain_html(plain, html)).map_err(|e| malformed(&e))
    }
}

/// The local part as it was typed, since it may matter to its server; the domain in ASCII, since not every server
/// speaks anything else.
fn deliverable(to: &Email) -> Result<Address, MailError> {
    let local = to.display.rsplit_once('@').map_or("", |(local, _)| local);
    let domain = to.key.rsplit_once('@').map_or("", |(_, domain)| domain);
    Address::new(local, domain).map_err(|_| MailError::Malformed("the address can't be mailed to".into()))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), one_line(value))
}

/// Header injection starts with a line break.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(400).collect()
}

fn moment(locale: Locale, at: DateTime<Utc>) -> String {
    let time = at.format("%H:%M").to_string();
    locale.text_with("mail-moment", [("day", day(locale, at).into()), ("time", time.into())])
}

/// The last day on which something still serves that ends then.
fn last_day(locale: Locale, end: DateTime<Utc>) -> String {
    day(locale, end - TimeDelta::microseconds(1))
}

fn day(locale: Locale, at: DateTime<Utc>) -> String {
    locale.text_with(
        "mail-day",
        [
            ("day", FluentValue::from(at.day().to_string())),
            ("month", FluentValue::from(at.month())),
            ("year", FluentValue::from(at.year().to_string())),
        ],
    )
}

#[cfg(test)]
mod tests {
    use lettre::message::header::{Date, Subject};

    use super::*;

    use super::super::samples::{letterhead, letters};

    fn said(locale: Locale, occasion: &Occasion) -> Letter {
        Letter::new(locale, letterhead(), occasion, String::new())
    }

    #[test]
    fn a_link_is_escaped_in_html_and_not_in_text() {
        let link = "https://id.example.com/verify-email?token=Zm9vYmFyYmF6&x=1";
        let letter = Letter::new(Locale::En, letterhead(), &Occasion::AlreadyRegistered, link.into());
        assert!(letter.render().unwrap().contains("token=Zm9vYmFyYmF6&#38;x=1"));
        assert!(letter.plain().unwrap().contains("token=Zm9vYmFyYmF6&x=1"));
    }

    #[test]
    fn a_mail_has_the_name_and_the_colours_of_the_brand() {
        let brand = [("NAME", "Кафе <Роза>"), ("ACCENT_LIGHT", "#6d28d9"), ("ACCENT_DARK", "#c4b5fd")];
        let brand = brand.map(|(key, value)| (format!("REFERRIS__BRAND__{key}"), value.to_owned()));
        let head = Letterhead::of(&shared::config::load_from(None, brand).unwrap());
        let letter = Letter::new(Locale::Ru, head, &Occasion::AlreadyRegistered, String::new());
        let html = letter.render().unwrap();
        assert!(html.contains("Кафе &#60;Роза&#62;") && !html.contains("Referris"), "{html}");
        assert!(html.contains("background:#6d28d9;") && html.contains("background: #c4b5fd !important"), "{html}");
        assert!(letter.plain().unwrap().contains("\nКафе <Роза>\n"));
    }

    #[test]
    fn hours_and_days_are_said_as_people_say_them() {
        let note = |locale, hours| said(locale, &Occasion::VerifyEmail { hours }).note;
        assert!(note(Locale::En, 1).contains("1 hour."));
        assert!(note(Locale::En, 24).contains("24 hours."));
        assert!(note(Locale::Ru, 21).contains("21 час."));
        assert!(note(Locale::Ru, 24).contains("24 часа."));
        assert!(note(Locale::Ru, 48).contains("48 часов."));
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(day(Locale::En, at), "15 January 2027");
        let midnight = "2027-01-15T00:00:00Z".parse().unwrap();
        assert_eq!(last_day(Locale::En, midnight), "14 January 2027");
        assert_eq!(last_day(Locale::En, midnight + TimeDelta::seconds(1)), "15 January 2027");
        assert_eq!(day(Locale::Ru, at), "15 января 2027 года");
    }

    #[test]
    fn headers_are_complete_and_nothing_can_be_smuggled_into_them() {
        let from: Mailbox = "Referris <no-reply@id.example.com>".parse().unwrap();
        let to = Email::parse("Ann@Example.com").unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let letters = letters(&letterhead()).into_iter();
        let mut letter =
            letters.filter(|sample| sample.name == "invitation").map(|sample| sample.letter).next().unwrap();
        letter.subject = "Hello\r\nBcc: everybody@example.com".into();
        let message = letter.to_message(&from, &to, now, Uuid::nil()).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
        for line in [
            "To: Ann@example.com",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://id.example.com/unsubscribe?token=c2FtcGxl>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "Message-ID: <00000000-0000-0000-0000-000000000000@id.example.com>",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
        ] {
            assert!(head.lines().any(|l| l == line), "{line} in\n{head}");
        }
        assert!(message.headers().get::<Subject>().is_some() && message.headers().get::<Date>().is_some());
        assert!(text.contains("multipart/alternative"));
        assert!(!text.lines().any(|line| line.len() > 998), "RFC 5322 §2.1.1");
    }

    #[test]
    fn a_name_in_html_is_text() {
        let occasion = Occasion::Invitation {
            name: Some("<b>Ann</b>".into()),
            code: Some("7K3M9QXZ".into()),
            expires_at: DateTime::UNIX_EPOCH,
            unsubscribe: String::new(),
        };
        let html = said(Locale::En, &occasion).render().unwrap();
        assert!(!html.contains("<b>"));
    }
}
