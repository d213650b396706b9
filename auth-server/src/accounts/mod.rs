//! People's accounts: [`signup`], [`signin`], what else one proves oneself with ([`factors`]), the proof of an address ([`verification`]), and what may stand in their
//! fields.

pub mod attribution;
mod common;
pub mod deletion;
pub mod email_change;
pub mod export;
pub mod factors;
pub mod known;
mod lookalike;
pub mod notices;
pub mod password;
pub mod recovery;
pub mod signin;
pub mod signup;
mod strength;
pub mod terms;
mod throttle;
mod typed_code;
pub mod upstream;
pub mod verification;
pub mod ways_in;

use shared::db::{DbError, Tx};
use shared::email::Email;
use shared::ids::UserId;
use shared::problem::FieldError;
use shared::referrals::deletion::queue as queue_deletion;
use shared::referrals::store::{self, Refusal};
use shared::revocations::{Kind, revoke};
use shared::{Platform, audit, execute};
use zeroize::Zeroizing;

use crate::AppState;
use crate::passwords::PasswordError;
use crate::printable::is_deceptive;

pub use strength::Weakness;

/// The longest given or family name, in characters.
pub const MAX_NAME: usize = 64;

/// Deletes an account with all that hangs on it, and ends its sessions and tokens, in the caller's transaction. Those
/// who signed up with its codes keep their accounts.
pub async fn delete(tx: &mut Tx, platform: &Platform, user_id: UserId, why: &'static str) -> Result<(), DbError> {
    crate::sessions::end_all_of(tx, platform, user_id).await?;
    for sub in shared::subjects::all_of(tx, user_id).await? {
        revoke(tx, platform, Kind::User, &sub).await?;
    }
    if let Some(code) = store::active_of(tx, user_id).await? {
        // The referral API, which may hold the code in its cache, delivers what is queued here within a second.
        queue_deletion(tx, platform, &code).await?;
    }
    audit::record(tx, platform, "account.deleted", Some(user_id), None, serde_json::json!({"why": why})).await?;
    execute!(tx, "DELETE FROM users WHERE id = $1", user_id)?;
    Ok(())
}

/// What is wrong with one field of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    EmailInvalid,
    /// The inline check says that mail to it goes nowhere.
    EmailUndeliverable,
    /// The inline check says that it comes from a throw-away service.
    EmailDisposable,
    EmailTaken,
    PasswordShort {
        min: u32,
    },
    PasswordLong,
    /// Among those that are guessed first.
    PasswordCommon,
    PasswordWeak(Weakness),
    /// Others have lost it.
    PasswordBreached,
    /// Letters of several scripts in one word.
    EmailLookalike,
    GivenNameLookalike,
    FamilyNameLookalike,
    /// Who has no invitation signs up nowhere.
    InvitationNeeded,
    /// Not agreed to, or to others than those of today.
    Terms,
    GivenName,
    FamilyName,
    Locale,
    ReferralCode(Refusal),
}

impl Fault {
    /// The field's name, in JSON and in forms.
    pub fn field(self) -> &'static str {
        match self {
            Self::EmailInvalid
            | Self::EmailUndeliverable
            | Self::EmailDisposable
            | Self::EmailTaken
            | Self::EmailLookalike => "email",
            Self::PasswordShort { .. }
            | Self::PasswordLong
            | Self::PasswordCommon
            | Self::PasswordWeak(_)
            | Self::PasswordBreached => "password",
            Self::GivenName | Self::GivenNameLookalike => "given_name",
            Self::FamilyName | Self::FamilyNameLookalike => "family_name",
            Self::Locale => "locale",
            Self::ReferralCode(_) | Self::InvitationNeeded => "referral_code",
            Self::Terms => "terms",
        }
    }

    /// The message that tells a person, with its argument.
    pub fn message(self) -> (&'static str, Option<u32>) {
        match self {
            Self::EmailInvalid => ("fault-email-invalid", None),
            Self::EmailUndeliverable => ("fault-email-undeliverable", None),
            Self::EmailDisposable => ("fault-email-disposable", None),
            Self::EmailTaken => ("fault-email-taken", None),
            Self::PasswordShort { min } => ("fault-password-short", Some(min)),
            Self::PasswordLong => ("fault-password-long", None),
            Self::PasswordCommon => ("fault-password-common", None),
            Self::PasswordWeak(weakness) => (weakness.message(), None),
            Self::PasswordBreached => ("fault-password-breached", None),
            Self::EmailLookalike => ("fault-email-lookalike", None),
            Self::GivenNameLookalike | Self::FamilyNameLookalike => ("fault-name-lookalike", None),
            Self::InvitationNeeded => ("fault-invitation-needed", None),
            Self::Terms => ("fault-terms", None),
            Self::GivenName | Self::FamilyName => ("fault-name", Some(MAX_NAME as u32)),
            Self::Locale => ("fault-locale", None),
            Self::ReferralCode(refusal) => (refusal_message(refusal), None),
        }
    }
}

/// The message that tells a person why a referral code does not serve.
pub fn refusal_message(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "refusal-unknown",
        Refusal::Expired => "refusal-expired",
        Refusal::Deleted => "refusal-deleted",
        Refusal::Exhausted => "refusal-exhausted",
        Refusal::SelfReferral => "refusal-self",
    }
}

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        let detail = match fault {
            Fault::EmailInvalid => "is not an email address; write it like name@example.com".to_owned(),
            Fault::EmailUndeliverable => "does not take mail; check it for a typing mistake".to_owned(),
            Fault::EmailDisposable => "is of a throw-away service; use one you keep".to_owned(),
            Fault::EmailTaken => "has an account already".to_owned(),
            Fault::PasswordShort { min } => format!("must have {min} characters or more"),
            Fault::PasswordLong => format!("may have {} bytes at most", crate::passwords::MAX_BYTES),
            Fault::PasswordCommon => "is easily guessed; use a few words in a row instead".to_owned(),
            Fault::PasswordWeak(weakness) => weakness.detail().to_owned(),
            Fault::PasswordBreached => "was found among passwords that others have lost; use another one".to_owned(),
            Fault::EmailLookalike => "mixes letters of different scripts, which look alike; type it again".to_owned(),
            Fault::GivenNameLookalike | Fault::FamilyNameLookalike => {
                "mixes letters of different scripts in one word; use one script".to_owned()
            }
            Fault::InvitationNeeded => "is needed: sign-up is by invitation".to_owned(),
            Fault::Terms => "must be the version of the terms in force, to which the person agreed".to_owned(),
            Fault::GivenName | Fault::FamilyName => {
                format!(
                    "may have {MAX_NAME} characters at most, none of them control characters or parts of an address"
                )
            }
            Fault::Locale => "must be a language tag such as en or ru-RU".to_owned(),
            Fault::ReferralCode(refusal) => refusal.to_string(),
        };
        // In JSON it says which terms.
        Self::body(if fault == Fault::Terms { "terms_version" } else { fault.field() }, detail)
    }
}

/// An address for an account, as typed.
///
/// # Errors
/// `EmailInvalid`, and `EmailLookalike` where it is made to be taken for another.
pub fn address(text: &str) -> Result<Email, Fault> {
    let email = Email::parse(text).map_err(|_| Fault::EmailInvalid)?;
    if lookalike::is_deceptive_address(&email.display) { Err(Fault::EmailLookalike) } else { Ok(email) }
}

/// Why a text can't be somebody's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAName {
    /// Too long, or with signs that names have not.
    Strange,
    /// A word of it mixes scripts.
    Lookalike,
}

impl NotAName {
    /// As a given name.
    pub fn given(self) -> Fault {
        if self == Self::Lookalike { Fault::GivenNameLookalike } else { Fault::GivenName }
    }

    /// As a family name.
    pub fn family(self) -> Fault {
        if self == Self::Lookalike { Fault::FamilyNameLookalike } else { Fault::FamilyName }
    }
}

/// A name as typed, without the spaces around it and in the form in which equal ones are equal; empty is absent.
///
/// Names are shown to strangers and stand in mails to them, so what a mail program would make a link of is refused:
/// nobody's name may serve to advertise.
pub fn name(text: Option<&str>) -> Result<Option<String>, NotAName> {
    let text = lookalike::normal(text.unwrap_or_default().trim());
    if text.is_empty() {
        return Ok(None);
    }
    let strange = |c: char| c.is_control() || is_deceptive(c) || "/\\@:<>{}[]|=".contains(c);
    if text.chars().count() > MAX_NAME || text.chars().any(strange) || looks_like_a_host(&text) {
        return Err(NotAName::Strange);
    }
    if lookalike::is_deceptive_name(&text) { Err(NotAName::Lookalike) } else { Ok(Some(text)) }
}

/// Two or more letters on either side of a dot: `example.com`, not `J. R. R.`.
fn looks_like_a_host(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        let labels: Vec<&str> = word.split('.').collect();
        labels.windows(2).any(|pair| pair.iter().all(|label| label.chars().filter(|c| c.is_alphanumeric()).count() > 1))
    })
}

/// Why a password is not taken.
#[derive(Debug)]
pub enum Unfit {
    Fault(Fault),
    /// It was not looked at.
    Unknown(PasswordError),
}

/// A new password against the policy: long enough, short enough to be hashed whole, and not among the first that anyone
/// guesses. Rules of composition make none better (NIST SP 800-63B §3.1.1.2).
///
/// # Errors
/// What to tell the person; or that too many passwords wait to be looked at.
pub async fn check_password(state: &AppState, password: &str, email: Option<&Email>) -> Result<(), Unfit> {
    let config = &state.platform.config;
    let min = config.passwords.min_length;
    let fault = if password.len() > crate::passwords::MAX_BYTES {
        Fault::PasswordLong
    } else if password.chars().count() < min as usize {
        Fault::PasswordShort { min }
    } else if common::is_easily_guessed(password, email) {
        Fault::PasswordCommon
    } else {
        let (password, email) = (Zeroizing::new(password.to_owned()), email.cloned());
        let least = config.accounts.password_min_score;
        let estimate = move || strength::estimate(&password, email.as_ref(), least);
        match state.passwords.think(estimate).await.map_err(Unfit::Unknown)? {
            Ok(()) => return Ok(()),
            Err(weakness) => Fault::PasswordWeak(weakness),
        }
    };
    Err(Unfit::Fault(fault))
}

/// The same, and whether others have lost it, wherever somebody chooses a password. It may ask a service outside: call it
/// outside any transaction.
///
/// # Errors
/// As [`check_password`].
pub async fn check_new_password(state: &AppState, password: &str, email: Option<&Email>) -> Result<(), Unfit> {
    check_password(state, password, email).await?;
    if state.outside.is_breached(password).await { Err(Unfit::Fault(Fault::PasswordBreached)) } else { Ok(()) }
}

/// A language tag (BCP 47) as we keep it; empty is absent.
pub fn locale(text: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let plain = text
        .split(['-', '_'])
        .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if text.len() > 35 || !plain {
        return Err(Fault::Locale);
    }
    Ok(Some(text.replace('_', "-")))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_nothing_that_could_advertise() {
        assert_eq!(name(Some("  Ann-Marie O’Neill ")), Ok(Some("Ann-Marie O’Neill".into())));
        assert_eq!(name(Some("J. R. R.")), Ok(Some("J. R. R.".into())));
        assert_eq!(name(Some("J.R.R.")), Ok(Some("J.R.R.".into())));
        assert_eq!(name(Some("Мария Ивановна")), Ok(Some("Мария Ивановна".into())));
        assert_eq!(name(Some("  ")), Ok(None));
        assert_eq!(name(None), Ok(None));
        for bad in [
            "https://x",
            "buy at cheap.example now",
            "a@b",
            "line\nbreak",
            "\u{202e}abc",
            "A\u{200b}nn",
            &"a".repeat(65),
        ] {
            assert_eq!(name(Some(bad)), Err(NotAName::Strange), "{bad:?}");
        }
        assert_eq!(name(Some("Аnn")), Err(NotAName::Lookalike), "the first letter is Cyrillic");
        assert_eq!(name(Some("Ａｎｎ")), Ok(Some("Ann".into())), "as it is shown");
    }

    #[test]
    fn a_locale_is_a_language_tag() {
        assert_eq!(locale(Some("ru_RU")), Ok(Some("ru-RU".into())));
        assert_eq!(locale(Some("")), Ok(None));
        assert_eq!(locale(Some("<script>")), Err(Fault::Locale));
    }
}
