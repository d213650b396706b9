//! The languages that pages and mails speak. Texts are Fluent messages in `templates/locales/<language>/*.ftl`, built
//! into the binary.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader, langid};

fluent_templates::static_loader! {
    static LOCALES = {
        locales: "../templates/locales",
        fallback_language: "en",
        // Isolation marks around what is filled in would end up in subjects, links and copied text.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

thread_local! {
    static MISSED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What `f` gives, and the texts that it asked for on this thread which are not there in their language, or were given
/// too few values.
pub fn missed<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    MISSED.set(Some(vec![]));
    let given = f();
    let mut missed = MISSED.take().unwrap_or_default();
    missed.sort();
    missed.dedup();
    (given, missed)
}

/// A language we have texts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Locale {
    #[default]
    En,
    Ru,
}

impl Locale {
    /// Every language, the default first.
    pub const ALL: [Self; 2] = [Self::En, Self::Ru];

    /// The language of a tag such as `ru`, `ru-RU` or `en_GB` (BCP 47). `None` when we have no texts in it.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|locale| locale.tag().eq_ignore_ascii_case(primary))
    }

    /// Its tag, for `lang` attributes and `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }

    /// The text `id`.
    pub fn text(self, id: &str) -> String {
        self.note(id, None);
        LOCALES.lookup(&self.language(), id)
    }

    /// Is there a text `id`?
    pub fn knows(self, id: &str) -> bool {
        LOCALES.try_lookup(&self.language(), id).is_some()
    }

    /// The text `id` with values filled in.
    pub fn text_with<'a>(self, id: &str, values: impl IntoIterator<Item = (&'static str, FluentValue<'a>)>) -> String {
        let values: HashMap<Cow<'static, str>, FluentValue<'a>> =
            values.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        self.note(id, Some(&values));
        LOCALES.lookup_with_args(&self.language(), id, &values)
    }

    /// Where somebody watches, a text that is not there is noted. What people are shown instead is another language's, or
    /// none: they must not see an error.
    fn note(self, id: &str, values: Option<&HashMap<Cow<'static, str>, FluentValue<'_>>>) {
        MISSED.with_borrow_mut(|missed| {
            if let Some(missed) = missed
                && LOCALES.lookup_single_language(&self.language(), id, values).is_err()
            {
                missed.push(format!("{id} ({})", self.tag()));
            }
        });
    }

    fn language(self) -> LanguageIdentifier {
        match self {
            Self::En => langid!("en"),
            Self::Ru => langid!("ru"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Locale;

    #[test]
    fn a_text_that_is_not_there_or_lacks_a_value_is_noted_while_somebody_watches() {
        let (_, missed) = super::missed(|| {
            Locale::En.text("skip");
            Locale::Ru.text("no-such-text");
            Locale::En.text("login-for");
            Locale::En.text_with("login-for", [("client", "App".into())])
        });
        assert_eq!(missed, ["login-for (en)", "no-such-text (ru)"]);
        assert_eq!(super::missed(|| ()).1, Vec::<String>::new());
    }

    #[test]
    fn a_tag_is_read_by_its_primary_language() {
        assert_eq!(Locale::from_tag("ru-RU"), Some(Locale::Ru));
        assert_eq!(Locale::from_tag(" EN_gb "), Some(Locale::En));
        assert_eq!(Locale::from_tag("de"), None);
        assert_eq!(Locale::from_tag(""), None);
    }
}
