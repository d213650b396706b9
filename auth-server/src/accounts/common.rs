//! Passwords that anyone guesses first: the most common ones of public lists, our own name, and the address itself.

use std::collections::HashSet;
use std::sync::LazyLock;

use shared::email::Email;

/// One a line, in lower case.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Is `password` one that somebody tries who knows nothing, or nothing but the address? Capitals make no difference,
/// nor do digits and punctuation behind our name or the address's.
pub(super) fn is_easily_guessed(password: &str, email: Option<&Email>) -> bool {
    let password = password.trim().to_lowercase();
    if COMMON.contains(password.as_str()) {
        return true;
    }
    let bare = password.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_name = |name: &str| !name.is_empty() && (password == name || bare == name);
    let Some(key) = email.map(|email| email.key.as_str()) else { return is_name("referris") };
    let local = key.rsplit_once('@').map_or(key, |(local, _)| local);
    is_name("referris") || is_name(local) || is_name(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anyone_guesses_first_is_no_password() {
        let ann = Email::parse("Annabelle.Lee@example.com").unwrap();
        for bad in [
            "password",
            "Password1",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "Referris",
            "referris2026!",
            " referris ",
            "annabelle.lee",
            "Annabelle.Lee1",
            "annabelle.lee@example.com",
        ] {
            assert!(is_easily_guessed(bad, Some(&ann)), "{bad}");
        }
        for good in ["correct horse battery staple", "annabelle likes apples", "x9k2mpq7wz", "referris is mine"] {
            assert!(!is_easily_guessed(good, Some(&ann)), "{good}");
        }
        assert!(!is_easily_guessed("annabelle.lee", None));
        let digits = Email::parse("7@example.com").unwrap();
        assert!(!is_easily_guessed("84201957331", Some(&digits)));
    }

    #[test]
    fn the_list_is_in_the_form_that_is_compared() {
        assert!(COMMON.len() > 200);
        for line in COMMON.iter() {
            assert_eq!(*line, line.trim().to_lowercase());
            assert!(!line.is_empty());
        }
    }
}
