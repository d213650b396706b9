//! The languages that pages and mails speak. Texts are Fluent messages in `templates/locales/<language>/*.ftl`, built
//! into the binary.

use std::borrow::Cow;
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
        LOCALES.lookup_with_args(&self.language(), id, &values)
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
    fn a_tag_is_read_by_its_primary_language() {
        assert_eq!(Locale::from_tag("ru-RU"), Some(Locale::Ru));
        assert_eq!(Locale::from_tag(" EN_gb "), Some(Locale::En));
        assert_eq!(Locale::from_tag("de"), None);
        assert_eq!(Locale::from_tag(""), None);
    }
}
