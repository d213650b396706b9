//! Email addresses in the three forms that matter: as typed, as compared, and as «the same person».

use lettre::Address;

/// A valid address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// As typed, trimmed: for display and for mail.
    pub display: String,
    /// Lower case with an ASCII domain: what is unique among accounts and compared at sign-in.
    pub key: String,
    /// Tags, dots and provider aliases folded too: two accounts with one canonical address are taken to be one person,
    /// so that nobody refers themself. Never used to sign anyone in.
    pub canonical: String,
}

/// The text is not an email address we can send to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an email address; write it like name@example.com")]
pub struct InvalidEmail;

/// The longest address that SMTP carries (RFC 5321 §4.5.3.1.3, less the angle brackets).
const MAX_LENGTH: usize = 254;

impl Email {
    /// Reads an address as a person types it.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let display = text.trim();
        if display.len() > MAX_LENGTH || display.chars().any(char::is_control) {
            return Err(InvalidEmail);
        }
        let (local, domain) = display.rsplit_once('@').ok_or(InvalidEmail)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        // Quoted local parts and address literals are legal and, in sign-ups, only ever an attempt at something else.
        if local.is_empty() || local.len() > 64 || local.starts_with('"') || domain.starts_with('[') {
            return Err(InvalidEmail);
        }
        // A dot in the domain: the public internet has no addresses without one.
        if !domain.contains('.') || domain.split('.').any(str::is_empty) {
            return Err(InvalidEmail);
        }
        Address::new(local, &domain).map_err(|_| InvalidEmail)?;
        let local = local.to_lowercase();
        Ok(Self {
            display: display.to_owned(),
            key: format!("{local}@{domain}"),
            canonical: canonical(&local, &domain),
        })
    }

    /// The address as shown to someone it does not belong to: `a•••@e•••.com`.
    pub fn masked(display: &str) -> String {
        let first = |s: &str| s.chars().next().map(String::from).unwrap_or_default();
        match display.rsplit_once('@') {
            Some((local, domain)) => {
                let (name, tld) = domain.rsplit_once('.').unwrap_or((domain, ""));
                format!("{}•••@{}•••.{tld}", first(local), first(name))
            }
            None => "•••".into(),
        }
    }
}

fn canonical(local: &str, domain: &str) -> String {
    let domain = match domain {
        "googlemail.com" => "gmail.com",
        "ya.ru" | "yandex.com" | "yandex.by" | "yandex.kz" | "yandex.ua" => "yandex.ru",
        "proton.me" | "pm.me" => "protonmail.com",
        "hotmail.com" | "live.com" | "msn.com" => "outlook.com",
        "me.com" | "mac.com" => "icloud.com",
        other => other,
    };
    let untagged = local.split_once('+').map_or(local, |(name, _)| name);
    let untagged = if untagged.is_empty() { local } else { untagged };
    let local = match domain {
        "gmail.com" => untagged.replace('.', ""),
        "yandex.ru" => untagged.replace('.', "-"),
        _ => untagged.to_owned(),
    };
    format!("{local}@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_in_three_forms() {
        let email = Email::parse("  Ann.Lee+shop@GoogleMail.com ").unwrap();
        assert_eq!(email.display, "Ann.Lee+shop@GoogleMail.com");
        assert_eq!(email.key, "ann.lee+shop@googlemail.com");
        assert_eq!(email.canonical, "annlee@gmail.com");
        assert_eq!(Email::parse("иван@пример.рф").unwrap().key, "иван@xn--e1afmkfd.xn--p1ai");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b..c",
            "\"a b\"@c.de",
            "a@[127.0.0.1]",
            "a\n@b.cd",
            "a@b.cd\r\nBcc: x@y.zz",
        ] {
            assert_eq!(Email::parse(text), Err(InvalidEmail), "{text:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_masked_address_keeps_its_first_letters() {
        assert_eq!(Email::masked("ann@example.com"), "a•••@e•••.com");
    }
}
