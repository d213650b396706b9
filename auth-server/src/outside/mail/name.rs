//! Names in mails to strangers. Whoever signs up chooses their own name, and an invitation carries it to any address:
//! it must not serve as advertisement, as a link, or as a second header.

/// The longest name that is shown, in characters.
const MAX_LENGTH: usize = 64;
/// «John 3rd» and «Maria 92», but no telephone number.
const MAX_DIGITS: usize = 3;

/// A person's name as it may be shown to a stranger, or `None` when it is more than a name. Then the mail speaks of «a
/// member».
pub fn presentable(name: &str) -> Option<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !name.is_empty()
        && name.chars().count() <= MAX_LENGTH
        && name.chars().all(is_of_names)
        && name.chars().any(char::is_alphabetic)
        && name.chars().filter(|c| c.is_numeric()).count() <= MAX_DIGITS
        && !name.split(' ').any(looks_like_a_host);
    fits.then_some(name)
}

/// What names are made of. Not: control and direction characters, which reorder what follows; `@ / :` and all else that
/// makes an address; pictures and prices.
fn is_of_names(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, ' ' | '\'' | '’' | 'ʼ' | '-' | '‐' | '.' | ',' | '·')
        // Combining marks, which some names are written with.
        || matches!(c, '\u{300}'..='\u{36f}')
}

/// `example.com`, which mail programs turn into a link. A dot within a word followed by two letters or more; initials
/// (`J.R.R.`) have one.
fn looks_like_a_host(word: &str) -> bool {
    let labels: Vec<&str> = word.trim_matches(|c: char| !c.is_alphanumeric()).split('.').collect();
    labels.len() > 1 && labels.last().is_some_and(|last| last.chars().count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::presentable;

    #[test]
    fn names_are_shown() {
        for name in [
            "Ann Lee",
            "Jean-Luc d’Arc",
            "J. R. R. Tolkien",
            "J.R.R. Tolkien",
            "Иван Петров",
            "山田 太郎",
            "John 3rd",
            "Dr. Strange",
        ] {
            assert_eq!(presentable(name).as_deref(), Some(name));
        }
        assert_eq!(presentable("  Ann \u{a0} Lee ").as_deref(), Some("Ann Lee"));
    }

    #[test]
    fn what_is_more_than_a_name_is_not() {
        for name in [
            "",
            "   ",
            "...",
            "https://evil.example",
            "WIN at evil.example",
            "evil.example, Ann",
            "www.evil.com",
            "ann@evil.com",
            "Ann\r\nBcc: everybody@example.com",
            "Ann\u{202e}nnA",
            "Call +7 999 123-45-67",
            "Call 123456",
            "💰💰💰",
            "100% free",
            "<b>Ann</b>",
            "evil[.]com",
        ] {
            assert_eq!(presentable(name), None, "{name:?}");
        }
        assert_eq!(presentable(&"a".repeat(65)), None);
        assert!(presentable(&"a".repeat(64)).is_some());
    }
}
