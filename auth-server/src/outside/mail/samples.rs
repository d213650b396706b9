//! Every mail with made-up data.

use chrono::{DateTime, Utc};
use shared::config::load_from;
use shared::outbox::{Notice, Side};

use super::letter::{Letter, Letterhead, Occasion};
use crate::locales::{Locale, missed};

/// Of a server that configures nothing but its address.
pub fn letterhead() -> Letterhead {
    let here = [("REFERRIS__AUTH__PUBLIC_URL".to_owned(), "https://id.example.com".to_owned())];
    Letterhead::of(&load_from(None, here).expect("the defaults are a configuration"))
}

/// A mail with made-up data.
pub struct SampleLetter {
    pub name: String,
    pub locale: Locale,
    pub letter: Letter,
    /// The texts that are not there in this language.
    pub missing: Vec<String>,
}

/// Every mail there is, in each language.
pub fn letters(head: &Letterhead) -> Vec<SampleLetter> {
    let mut letters = vec![];
    for locale in Locale::ALL {
        for (occasion, path) in occasions(&head.site) {
            let anonymous = matches!(occasion, Occasion::Invitation { name: None, .. });
            let name =
                occasion.key().trim_start_matches("mail-").to_owned() + if anonymous { "-anonymous" } else { "" };
            let link = format!("https://{}{path}", head.site);
            let (letter, missing) = missed(|| Letter::new(locale, head.clone(), &occasion, link));
            letters.push(SampleLetter { name, locale, letter, missing });
        }
    }
    letters
}

fn occasions(site: &str) -> Vec<(Occasion, &'static str)> {
    const TOKEN: &str = "/verify-email?token=c2FtcGxlLW9mLWEtdG9rZW4tdGhhdC1vcGVucy1ub3RoaW5n";
    let at: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
    let invitation = |name: Option<&str>, code: Option<&str>| Occasion::Invitation {
        name: name.map(str::to_owned),
        code: code.map(str::to_owned),
        expires_at: at,
        unsubscribe: format!("https://{site}/unsubscribe?token=c2FtcGxl"),
    };
    let mut occasions = vec![
        (Occasion::VerifyEmail { hours: 24 }, TOKEN),
        (Occasion::ConfirmSignup { hours: 24 }, TOKEN),
        (Occasion::AlreadyRegistered, "/login"),
        (invitation(Some("Ann Lee"), Some("7K3M9QXZ")), "/r/7K3M9QXZ"),
        (invitation(None, None), "/r/7K3M9QXZ"),
        (
            Occasion::ResetPassword { code: "7K3M-9QXZ".into(), minutes: 30 },
            "/reset-password?token=c2FtcGxlLW9mLWEtdG9rZW4tdGhhdC1vcGVucy1ub3RoaW5n",
        ),
        (Occasion::SecondFactor { code: "7K3M-9QXZ".into(), minutes: 10 }, ""),
        (Occasion::ProveAddress { code: "7K3M-9QXZ".into(), hours: 1 }, ""),
    ];
    for side in [Side::Old, Side::New] {
        let change = Occasion::EmailChange { side, code: "7K3M-9QXZ".into(), hours: 24 };
        occasions.push((change, "/email-change?token=c2FtcGxlLW9mLWEtdG9rZW4tdGhhdC1vcGVucy1ub3RoaW5n"));
    }
    for &what in Notice::ALL {
        // Those that have a name to tell.
        let detail = match what {
            Notice::PasskeyAdded | Notice::PasskeyRemoved => Some("Ann’s phone".to_owned()),
            Notice::PasswordReset => Some("passkeys, an authenticator app".to_owned()),
            Notice::ProviderLinked | Notice::ProviderUnlinked => Some("Work".to_owned()),
            _ => None,
        };
        occasions.push((Occasion::Security { what, at, detail }, "/account/security"));
    }
    occasions
}
