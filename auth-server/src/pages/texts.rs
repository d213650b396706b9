//! [`Texts`]: the messages of one language as templates use them, and the choice of that language.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::layout::Page;
use crate::accounts::Fault;
use crate::locales::Locale;

/// The messages in one language: `{{ t.get("login-title") }}`.
#[derive(Clone, Copy, Debug)]
pub struct Texts(pub Locale);

impl Texts {
    /// The message `key`.
    pub fn get(&self, key: &str) -> String {
        self.0.text(key)
    }

    /// The message `key` with one argument.
    pub fn with(&self, key: &str, name: &'static str, value: impl ToString) -> String {
        self.0.text_with(key, [(name, value.to_string().into())])
    }

    /// The message `key` with an argument, and with what we are called.
    pub fn with_brand(&self, key: &str, page: &Page, name: &'static str, value: impl ToString) -> String {
        let brand = page.brand().name().to_owned();
        self.0.text_with(key, [(name, value.to_string().into()), ("brand", brand.into())])
    }

    /// The message `key` with a number, which chooses the plural form.
    pub fn count(&self, key: &str, name: &'static str, n: u64) -> String {
        self.0.text_with(key, [(name, n.into())])
    }

    /// A day in UTC, as people write it.
    pub fn day(&self, at: DateTime<Utc>) -> String {
        self.0.text_with(
            "mail-day",
            [("day", at.day().into()), ("month", at.month().into()), ("year", at.year().to_string().into())],
        )
    }

    /// The last day on which something still serves that ends then: what ends with a day's first moment, the day before.
    pub fn last_day(&self, end: DateTime<Utc>) -> String {
        self.day(end - TimeDelta::microseconds(1))
    }

    /// A day of the calendar.
    pub fn date(&self, day: NaiveDate) -> String {
        self.day(day.and_time(NaiveTime::MIN).and_utc())
    }

    /// A moment in UTC, to the minute.
    pub fn moment(&self, at: DateTime<Utc>) -> String {
        let time = at.format("%H:%M").to_string();
        self.0.text_with("account-moment", [("day", self.day(at).into()), ("time", time.into())])
    }

    /// A month and its year by the message `key`.
    pub fn month(&self, key: &str, year: i32, month: u32) -> String {
        self.0.text_with(key, [("month", month.into()), ("year", year.to_string().into())])
    }

    /// Is there a message `key`?
    pub fn knows(&self, key: &str) -> bool {
        self.0.knows(key)
    }

    /// What is wrong with a field, told to a person.
    pub fn fault(&self, fault: Fault) -> String {
        match fault.message() {
            (key, None) => self.get(key),
            (key, Some(n)) => self.count(key, "n", n.into()),
        }
    }
}

/// What a browser would like best (RFC 9110 §12.5.4).
pub fn from_accept_language(header: &str) -> Option<Locale> {
    let mut wishes: Vec<(f32, Locale)> = header
        .split(',')
        .filter_map(|part| {
            let mut pieces = part.split(';');
            let locale = Locale::from_tag(pieces.next()?)?;
            let q = pieces.find_map(|piece| piece.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            (q > 0.0).then_some((q, locale))
        })
        .collect();
    // Stable: of two equal wishes the first counts.
    wishes.sort_by(|a, b| b.0.total_cmp(&a.0));
    wishes.first().map(|(_, locale)| *locale)
}

/// What a language is called by those who speak it.
pub fn own_name(locale: Locale) -> &'static str {
    match locale {
        Locale::En => "English",
        Locale::Ru => "Русский",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    fn files(dir: &Path, extensions: &[&str], into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, extensions, into);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                into.push(path);
            }
        }
    }

    /// Message id → the names of its arguments.
    fn messages(locale: Locale) -> BTreeMap<String, BTreeSet<String>> {
        let mut paths = vec![];
        files(&root().join("templates/locales").join(locale.tag()), &["ftl"], &mut paths);
        let mut found = BTreeMap::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut current = None;
            for line in text.lines() {
                if line.starts_with(|c: char| c.is_ascii_lowercase())
                    && let Some((id, _)) = line.split_once(" =")
                {
                    assert!(found.insert(id.to_owned(), BTreeSet::new()).is_none(), "{id} is there twice");
                    current = Some(id.to_owned());
                }
                if let Some(arguments) = current.as_ref().and_then(|id| found.get_mut(id)) {
                    for piece in line.split('$').skip(1) {
                        arguments
                            .insert(piece.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect());
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_message_is_there_in_every_language_with_the_same_arguments() {
        let english = messages(Locale::En);
        let russian = messages(Locale::Ru);
        assert!(english.len() > 50);
        assert_eq!(english.keys().collect::<Vec<_>>(), russian.keys().collect::<Vec<_>>());
        for (id, arguments) in &english {
            assert_eq!(arguments, &russian[id], "{id}");
        }
    }

    #[test]
    fn every_message_a_page_asks_for_is_there_and_none_is_left_over() {
        let mut paths = vec![];
        files(&root().join("templates"), &["html", "txt"], &mut paths);
        files(&root().join("auth-server/src"), &["rs"], &mut paths);
        let text: String = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let known: BTreeSet<String> = messages(Locale::En).into_keys().collect();
        for call in ["get", "with", "count"] {
            for start in [format!("t.{call}(\""), format!("t().{call}(\"")] {
                for (at, _) in text.match_indices(&start) {
                    // The end of another name, as in `act.get`.
                    if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                        continue;
                    }
                    let key = text[at + start.len()..].split('"').next().unwrap();
                    assert!(known.contains(key), "{key:?} is asked for and not there");
                }
            }
        }
        for key in known.iter().filter(|key| key.starts_with("mail-")) {
            // A letter's parts are named by its occasion.
            let whole = key.trim_end_matches("-anonymous");
            let parts = ["-subject", "-intro", "-button", "-note", "-why"];
            let occasion = parts.iter().find_map(|part| whole.strip_suffix(part)).unwrap_or(whole);
            let notices = shared::outbox::Notice::ALL.iter().map(|notice| format!("mail-notice-{}", notice.name()));
            let said = text.contains(&format!("\"{occasion}\"")) || notices.into_iter().any(|name| name == occasion);
            assert!(said, "no letter says {key}");
        }
        for key in known.iter().filter(|key| !key.starts_with("mail-")) {
            let put_together = key.starts_with("scope-") || key.starts_with("activity-");
            assert!(put_together || text.contains(&format!("\"{key}\"")), "nobody asks for {key}");
        }
        for scope in crate::clients::SCOPES {
            let key = super::super::consent::message_of(scope);
            assert!(known.contains(&key), "{key} explains no scope");
        }
    }

    #[test]
    fn a_browser_gets_the_language_it_likes_best__rfc9110_12_5_4() {
        for (header, expected) in [
            ("ru-RU,ru;q=0.9,en-US;q=0.8", Some(Locale::Ru)),
            ("de, en;q=0.5, ru;q=0.7", Some(Locale::Ru)),
            ("en-GB", Some(Locale::En)),
            ("ru;q=0, en", Some(Locale::En)),
            ("de, fr", None),
            ("", None),
            (";;q=,,", None),
        ] {
            assert_eq!(from_accept_language(header), expected, "{header}");
        }
    }
}
