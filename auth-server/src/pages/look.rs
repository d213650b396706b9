//! How a page looks: the operator's brand, and in the flow of a client that the operator gave colours of its own, those.
//!
//! A client's colours come from the operator alone. Whoever registers itself, or publishes its metadata, can't make our
//! pages look like somebody else's: `clients/members.rs` does not read it from them.

use std::sync::Arc;

use axum::body::Bytes;
use shared::brand::{Logo, LogoKind, Style, Theme};
use shared::config::Config;

use super::assets::{ASSETS, Asset, hash};
use crate::clients::Client;

/// What the operator configured, read once.
pub struct Brand {
    name: String,
    logo: Option<Asset>,
    style: Style,
    look: Arc<Look>,
}

/// What the layout of a page is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The style sheet that follows ours. None where ours says it all.
    pub stylesheet: Option<String>,
    /// For `color-scheme`.
    pub scheme: &'static str,
}

impl Brand {
    /// # Errors
    /// When the logo can't be read, or is none.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let logo = match &config.brand.logo_file {
            None => None,
            Some(file) => {
                let Logo { kind, bytes } =
                    Logo::read(file).map_err(|reason| anyhow::anyhow!("brand.logo_file: {reason}"))?;
                let (extension, media_type) = match kind {
                    LogoKind::Svg => ("svg", "image/svg+xml"),
                    LogoKind::Png => ("png", "image/png"),
                };
                Some(Asset::new("logo", extension, media_type, Bytes::from(bytes)))
            }
        };
        let style = config.style();
        Ok(Self { name: config.brand.name.clone(), logo, style, look: Arc::new(Look::of(&style)) })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn logo(&self) -> Option<&Asset> {
        self.logo.as_ref()
    }

    /// The picture that stands for us in a browser's tab.
    pub fn icon(&self) -> &Asset {
        self.logo.as_ref().unwrap_or(&ASSETS.icon)
    }

    /// Of every page outside the flow of a client.
    pub fn look(&self) -> &Arc<Look> {
        &self.look
    }

    /// In the flow of `client`.
    pub fn look_for(&self, client: &Client) -> Arc<Look> {
        match client.style_over(self.style) {
            Some(style) => Arc::new(Look::of(&style)),
            None => self.look.clone(),
        }
    }
}

impl Look {
    fn of(style: &Style) -> Self {
        let stylesheet = (*style != Style::default()).then(|| format!("/assets/{}", file_name(style)));
        Self { stylesheet, scheme: style.theme.scheme() }
    }
}

/// The name says all that is in it, so that every instance can serve what another's page asks for. The hash is of the
/// content: another release may make other colours of the same accents.
fn file_name(style: &Style) -> String {
    let word = |accent: Option<shared::brand::Colour>| accent.map_or("0".into(), |a| a.to_string()[1..].to_owned());
    let (light, dark) = (word(style.accent_light), word(style.accent_dark));
    format!("brand-{light}-{dark}-{}-{}.css", style.theme.name(), hash(style.stylesheet().as_bytes()))
}

/// The style sheet of that name; `None` for a name that no page of ours has.
pub fn stylesheet(name: &str) -> Option<String> {
    let words: Vec<&str> = name.strip_prefix("brand-")?.strip_suffix(".css")?.split('-').collect();
    let [light, dark, theme, _] = words[..] else { return None };
    let accent = |word: &str| match word {
        "0" => Some(None),
        digits => format!("#{digits}").parse().ok().map(Some),
    };
    let theme = Theme::ALL.into_iter().find(|known| known.name() == theme)?;
    let style = Style { accent_light: accent(light)?, accent_dark: accent(dark)?, theme };
    // What can't be read is served to nobody, whoever asks for it.
    (style.faults().is_empty() && file_name(&style) == name).then(|| style.stylesheet())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_served_under_the_name_that_its_content_gives_it_and_no_other() {
        for style in [
            Style { theme: Theme::Dark, ..Style::default() },
            Style { accent_light: "#6d28d9".parse().ok(), ..Style::default() },
            Style { accent_light: "#6d28d9".parse().ok(), accent_dark: "#c4b5fd".parse().ok(), theme: Theme::Light },
        ] {
            let path = Look::of(&style).stylesheet.unwrap();
            let name = path.strip_prefix("/assets/").unwrap();
            assert_eq!(stylesheet(name), Some(style.stylesheet()));
            assert_eq!(stylesheet(&name.to_uppercase()), None);
            assert_eq!(stylesheet(&name.replace("brand-", "brand-0-")), None);
        }
        assert_eq!(Look::of(&Style::default()).stylesheet, None);
        // Under its right name, and not to be read.
        let pale = Style { accent_light: "#ffd400".parse().ok(), ..Style::default() };
        assert_eq!(stylesheet(&file_name(&pale)), None);
        for name in
            ["", "brand-.css", "brand-0-0-system-0.css", "brand-0-0-dark-0000000000000000.css", "brand-é-0-dark-0.css"]
        {
            assert_eq!(stylesheet(name), None, "{name}");
        }
    }
}
