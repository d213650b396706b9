//! How well a password withstands guessing, as zxcvbn estimates it, and what a person is told who chose a weak one.

use shared::email::Email;
use zeroize::Zeroizing;
use zxcvbn::feedback::Warning;
use zxcvbn::{Score, zxcvbn};

/// Why a password is weak, in as many words as help to choose a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It is on the lists, or nearly.
    Common,
    /// One word, or one name.
    Word,
    /// A row of keys.
    Keys,
    /// The same again.
    Repeats,
    /// `abc`, `6543`.
    Sequence,
    /// A date or a year.
    Date,
    /// None of these: too little of it.
    Short,
}

impl Weakness {
    /// The message that tells a person.
    pub fn message(self) -> &'static str {
        match self {
            Self::Common => "fault-password-weak-common",
            Self::Word => "fault-password-weak-word",
            Self::Keys => "fault-password-weak-keys",
            Self::Repeats => "fault-password-weak-repeats",
            Self::Sequence => "fault-password-weak-sequence",
            Self::Date => "fault-password-weak-date",
            Self::Short => "fault-password-weak-short",
        }
    }

    /// The same for a program.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Common => "is too close to a password that many people have; use a few words in a row instead",
            Self::Word => "is little more than one word or name; add a few unrelated words",
            Self::Keys => "is little more than a row of keys; use a few words in a row instead",
            Self::Repeats => "repeats itself; add a few unrelated words",
            Self::Sequence => "is little more than a sequence; use a few words in a row instead",
            Self::Date => "is little more than a date or a year; add a few unrelated words",
            Self::Short => "is easily guessed; add a few unrelated words",
        }
    }
}

/// Characters that are looked at together. What zxcvbn does grows with their square, and with the letters that may stand for
/// others: a hundred chosen for it take more than a second, and so many a twentieth of that.
const PIECE: usize = 24;

/// As many are looked at in all.
const LOOKED_AT: usize = 96;

/// Is it worth `least` (0 to 4)? What is known of the person is worth nothing in it. A long one is worth what its best piece
/// is. It may take a tenth of a second: not for a thread on which others wait.
pub fn estimate(password: &str, email: Option<&Email>, least: u32) -> Result<(), Weakness> {
    if least == 0 {
        return Ok(());
    }
    let characters: Vec<char> = password.chars().take(LOOKED_AT).collect();
    let last = characters.len().saturating_sub(PIECE);
    let starts = (0..last).step_by(PIECE).chain([last]);
    let pieces = starts.map(|start| characters[start..].iter().take(PIECE).collect::<String>());
    let mut first = None;
    for piece in pieces.map(Zeroizing::new) {
        match estimate_piece(&piece, email, least) {
            Ok(()) => return Ok(()),
            Err(weakness) => _ = first.get_or_insert(weakness),
        }
    }
    Err(first.unwrap_or(Weakness::Short))
}

fn estimate_piece(password: &str, email: Option<&Email>, least: u32) -> Result<(), Weakness> {
    let key = email.map(|email| email.key.as_str()).unwrap_or_default();
    let mut inputs = vec!["referris", key];
    inputs.extend(key.split(['@', '.', '+', '-', '_']).filter(|part| part.len() > 2));
    let estimate = zxcvbn(password, &inputs);
    if score(estimate.score()) >= least {
        return Ok(());
    }
    Err(match estimate.feedback().and_then(|feedback| feedback.warning()) {
        Some(Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess) => {
            Weakness::Keys
        }
        Some(Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess) => {
            Weakness::Repeats
        }
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword,
        ) => Weakness::Common,
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => Weakness::Sequence,
        Some(Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess) => Weakness::Date,
        Some(
            Warning::AWordByItselfIsEasyToGuess
            | Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
            | Warning::CommonNamesAndSurnamesAreEasyToGuess,
        ) => Weakness::Word,
        None => Weakness::Short,
    })
}

fn score(score: Score) -> u32 {
    u8::from(score).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_password_is_told_why_and_a_few_words_in_a_row_are_strong() {
        let ann = Email::parse("annabelle.lee@example.com").unwrap();
        for good in ["correct horse battery staple", "correct horse battery", "x9k2mpq7wzrt", "четыре слова подряд тут"]
        {
            assert_eq!(estimate(good, Some(&ann), 3), Ok(()), "{good}");
        }
        for (weak, why) in [
            ("zxcvbnm,.", Weakness::Keys),
            ("aaaaaaaaaaa", Weakness::Repeats),
            ("P@ssw0rd1", Weakness::Common),
            ("abcdefghijk", Weakness::Sequence),
            ("14.02.1988", Weakness::Date),
            ("Annabelle1", Weakness::Word),
        ] {
            assert_eq!(estimate(weak, None, 3), Err(why), "{weak}");
        }
        assert!(estimate("annabelle lee", Some(&ann), 3).is_err());
        assert_eq!(estimate("aaaaaaaaaaa", None, 0), Ok(()));
        assert_eq!(estimate(&"correct horse ".repeat(70), None, 3), Ok(()));
        assert_eq!(estimate(&"a".repeat(1000), None, 1), Err(Weakness::Repeats));
        assert_eq!(estimate(&("a".repeat(60) + "x9k2mpq7wzrt"), None, 3), Ok(()), "its end is strong");
    }

    #[test]
    fn a_password_made_to_be_slow_is_not_looked_at_for_long() {
        let slow = "4@8({[<369&!|10$5+7%2".repeat(3);
        let time = |what: &dyn Fn()| {
            let begun = tokio::time::Instant::now();
            what();
            begun.elapsed()
        };
        // The least of a few: other tests take turns with it.
        let ours = (0..4).map(|_| time(&|| assert_eq!(estimate(&slow, None, 3), Ok(())))).min().unwrap();
        let theirs = time(&|| _ = zxcvbn(&slow, &[]));
        assert!(ours * 3 < theirs, "{ours:?} beside {theirs:?}");
    }
}
