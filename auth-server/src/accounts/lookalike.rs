//! Addresses and names that look like others (Unicode Technical Standard 39): letters of two scripts in one word serve
//! nobody but who wants to be taken for somebody else.

use unicode_normalization::UnicodeNormalization;
use unicode_security::MixedScript;

/// Is a label of the domain, or the part before the `@`, put together from letters of several scripts, or from letters that
/// are another way of writing plain ones? `text` is as typed, trimmed.
pub fn is_deceptive_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    // «ａｎｎ» is shown like «ann» and is another mailbox.
    local.nfkc().ne(local.chars())
        || !local.is_single_script()
        || domain.split(['.', '。', '．', '｡']).any(|label| !readable(label).is_single_script())
}

/// A label as it is shown: what is written in Punycode may hide the same.
fn readable(label: &str) -> String {
    if label.to_ascii_lowercase().starts_with("xn--") { idna::domain_to_unicode(label).0 } else { label.to_owned() }
}

/// Does one word of this name mix scripts? Two words may each have their own.
pub fn is_deceptive_name(name: &str) -> bool {
    name.split_whitespace().any(|word| !word.is_single_script())
}

/// A name in the form in which equal ones are equal.
pub fn normal(name: &str) -> String {
    name.nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_one_script_a_label() {
        for good in [
            "ann@example.com",
            "ann.lee+shop@example.com",
            "иван@пример.рф",
            "ivan@пример.com",
            "用户@例え.jp",
            "o'neill_7@ex-ample.co.uk",
            "jürgen@müller.de",
            "ann@xn--mller-kva.de",
        ] {
            assert!(!is_deceptive_address(good), "{good}");
        }
        // Cyrillic а, е and р among Latin letters; fullwidth letters; the same in Punycode.
        for bad in ["ann@exаmple.com", "pеter@example.com", "ａｎｎ@example.com", "ann@xn--exmple-4nf.com"] {
            assert!(is_deceptive_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_is_of_one_script_a_word() {
        for good in ["Ann", "Мария", "Мария Smith", "O’Neill", "山田 太郎", "Jean-Luc", "Björk 2"] {
            assert!(!is_deceptive_name(good), "{good}");
        }
        assert!(is_deceptive_name("Аnn"), "the first letter is Cyrillic");
        assert_eq!(normal("Ａｎｎ"), "Ann");
    }
}
