//! What a referral code looks like, and how one is read back from what a person typed.

use std::fmt;

use crate::random::Random;

/// Crockford's base32: no I, L, O or U, so that nothing is misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How many characters a drawn code has: 32^8 ≈ 10^12 possibilities, far too many to try within the rate limits.
const DRAWN_LENGTH: usize = 8;

/// Words that are routes or would look like them.
const RESERVED: &[&str] = &[
    "lookup",
    "me",
    "new",
    "self",
    "admin",
    "api",
    "null",
    "none",
    "true",
    "false",
    "stats",
    "signup",
    "login",
    "logout",
    "account",
    "undefined",
    "referrals",
    "invitations",
    "referris",
];

/// Left out of drawn codes, and refused within vanity ones. Compared folded.
const RUDE: &[&str] = &[
    "fuck", "shit", "cunt", "cock", "dick", "piss", "twat", "wank", "slut", "whore", "nigg", "fagg", "rape", "nazi",
    "porn", "anus", "arse", "tits", "jizz", "xxx", "hui", "pizd", "blyad", "ebat", "suka",
];

/// A referral code as shown, with the folded form that is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferralCode {
    pub shown: String,
    pub key: CodeKey,
}

/// A code folded for comparison: upper case, O read as 0, I and L as 1, hyphens left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeKey(String);

impl CodeKey {
    /// Folds what a person typed. `None` when it can't be a code at all.
    pub fn fold(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > 64 {
            return None;
        }
        let mut key = String::with_capacity(text.len());
        for c in text.chars() {
            match c.to_ascii_uppercase() {
                '-' | '_' => {}
                'O' => key.push('0'),
                'I' | 'L' => key.push('1'),
                c if c.is_ascii_alphanumeric() => key.push(c),
                _ => return None,
            }
        }
        if key.is_empty() { None } else { Some(Self(key)) }
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a chosen (vanity) code is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VanityError {
    #[error("must have 4 to 32 characters")]
    Length,
    #[error("may contain letters A to Z, digits and hyphens, and begins and ends with a letter or digit")]
    Alphabet,
    #[error("is reserved; choose another")]
    Reserved,
}

impl ReferralCode {
    /// Draws a code of eight characters.
    pub fn draw(random: &Random) -> Self {
        loop {
            // 32 divides 256, so taking five bits of each byte favours no character.
            let shown: String =
                random.bytes::<DRAWN_LENGTH>().iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect();
            if let Some(key) = CodeKey::fold(&shown).filter(|key| !is_rude(key)) {
                return Self { shown, key };
            }
        }
    }

    /// Could this code, as shown, have been drawn? Any other was chosen by its owner, who may mean it to say something.
    pub fn looks_drawn(shown: &str) -> bool {
        shown.len() == DRAWN_LENGTH && shown.bytes().all(|b| ALPHABET.contains(&b))
    }

    /// Takes a code that its owner chose.
    pub fn vanity(text: &str) -> Result<Self, VanityError> {
        let text = text.trim();
        if !(4..=32).contains(&text.chars().count()) {
            return Err(VanityError::Length);
        }
        let edges_are_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !edges_are_plain || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(VanityError::Alphabet);
        }
        let key = CodeKey::fold(text).filter(|key| key.as_str().len() >= 4).ok_or(VanityError::Length)?;
        if is_rude(&key) || RESERVED.iter().any(|word| CodeKey::fold(word).as_ref() == Some(&key)) {
            return Err(VanityError::Reserved);
        }
        Ok(Self { shown: text.to_ascii_uppercase(), key })
    }
}

fn is_rude(key: &CodeKey) -> bool {
    RUDE.iter().filter_map(|word| CodeKey::fold(word)).any(|word| key.as_str().contains(word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_codes_have_eight_characters_that_can_not_be_misread() {
        let random = Random::seeded(7);
        for _ in 0..1000 {
            let code = ReferralCode::draw(&random);
            assert!(ReferralCode::looks_drawn(&code.shown));
            assert_eq!(code.shown.len(), 8);
            assert!(code.shown.bytes().all(|b| ALPHABET.contains(&b)));
            assert_eq!(CodeKey::fold(&code.shown.to_lowercase()), Some(code.key));
        }
    }

    #[test]
    fn a_code_is_read_back_as_people_misread_it() {
        let key = CodeKey::fold("1O0l-iL").unwrap();
        assert_eq!(key.as_str(), "100111");
        assert_eq!(CodeKey::fold(" 1001 11"), None);
        assert_eq!(CodeKey::fold(""), None);
        assert_eq!(CodeKey::fold("абвг"), None);
    }

    #[test]
    fn vanity_codes_are_four_to_thirty_two_plain_characters() {
        assert_eq!(ReferralCode::vanity("ann-lee").unwrap().shown, "ANN-LEE");
        assert_eq!(ReferralCode::vanity("abc"), Err(VanityError::Length));
        assert_eq!(ReferralCode::vanity(&"a".repeat(33)), Err(VanityError::Length));
        assert_eq!(ReferralCode::vanity("a b c d"), Err(VanityError::Alphabet));
        assert_eq!(ReferralCode::vanity("-abcd"), Err(VanityError::Alphabet));
        assert_eq!(ReferralCode::vanity("L00KUP"), Err(VanityError::Reserved));
        assert_eq!(ReferralCode::vanity("5h1t-0r-sh1t"), Err(VanityError::Reserved));
    }
}
