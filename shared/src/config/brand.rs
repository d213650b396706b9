//! What can be wrong with the brand.

use super::keys::Config;
use crate::brand::{Logo, Style};

impl Config {
    /// Accents and theme of the hosted pages.
    pub fn style(&self) -> Style {
        let brand = &self.brand;
        Style { accent_light: brand.accent_light, accent_dark: brand.accent_dark, theme: brand.theme }
    }
}

pub(super) fn contradictions(config: &Config, wrong: &mut impl FnMut(&str, String)) {
    let name = &config.brand.name;
    if name.trim().is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        wrong("brand.name", "must be a name of 60 characters at most, without line breaks".into());
    }
    // Authenticator apps take what stands before a colon for the name.
    if name.contains(':') {
        wrong("brand.name", "may have no colon: authenticator apps would show what stands before it".into());
    }
    if let Some(Err(reason)) = config.brand.logo_file.as_deref().map(Logo::read) {
        wrong("brand.logo_file", reason);
    }
    for fault in config.style().faults() {
        wrong(&format!("brand.{}", fault.member), fault.reason);
    }
}

#[cfg(test)]
mod tests {
    use crate::brand::Theme;
    use crate::config::load_from;

    fn load(pairs: &[(&str, &str)]) -> Result<crate::config::Config, crate::config::ConfigError> {
        load_from(None, pairs.iter().map(|(key, value)| (format!("REFERRIS__BRAND__{key}"), (*value).to_owned())))
    }

    #[test]
    fn a_brand_is_read() {
        let config = load(&[("NAME", "Кафе «Роза»"), ("ACCENT_LIGHT", "#6d28d9"), ("THEME", "dark")]).unwrap();
        assert_eq!(config.brand.name, "Кафе «Роза»");
        assert_eq!(config.style().theme, Theme::Dark);
        assert_eq!(config.style().accent_light.unwrap().to_string(), "#6d28d9");
        assert_eq!(load(&[]).unwrap().brand.name, "Referris");
    }

    #[test]
    fn a_brand_that_can_not_be_shown_is_refused_with_its_key_and_what_to_do() {
        for (key, value, expected) in [
            ("NAME", " ", "60 characters"),
            ("NAME", "A\nB", "line breaks"),
            ("NAME", "A:B", "colon"),
            ("ACCENT_LIGHT", "violet", "#rrggbb"),
            ("ACCENT_LIGHT", "#ffd400", "darker shade"),
            ("ACCENT_DARK", "#2a1b6b", "lighter shade"),
            ("THEME", "pink", "pink"),
            ("LOGO_FILE", "/nonexistent/logo.svg", "can't be read"),
        ] {
            let error = load(&[(key, value)]).unwrap_err();
            assert_eq!(error.0[0].key, format!("brand.{}", key.to_lowercase()));
            assert!(error.0[0].reason.contains(expected), "{error}");
        }
    }
}
