//! How the hosted pages and the mails look, as an operator wishes: accents, theme, logo. Whatever is wished can be read:
//! every other colour is made from the accents, and the accents themselves are checked (WCAG 2.2, 1.4.3).

mod colour;
mod logo;
mod palette;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

pub use colour::{Colour, READABLE};
pub use logo::{Logo, LogoKind};
pub use palette::Palette;

/// Whose wish the pages follow, light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// That of the person's system.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// For CSS's `color-scheme`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::System => "light dark",
            other => other.name(),
        }
    }
}

/// Accents and theme. The default is our own look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    pub accent_light: Option<Colour>,
    pub accent_dark: Option<Colour>,
    pub theme: Theme,
}

/// An accent that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Illegible {
    /// `accent_light` or `accent_dark`.
    pub member: &'static str,
    /// How little it stands out, and what to take instead.
    pub reason: String,
}

impl Style {
    /// What people could not read: an accent is the colour of links, on each background of its theme.
    pub fn faults(&self) -> Vec<Illegible> {
        let dark = self.accent_dark.and_then(|accent| fault("accent_dark", accent, true));
        let light = self.accent_light.and_then(|accent| fault("accent_light", accent, false));
        light.into_iter().chain(dark).collect()
    }

    /// The colours of the light theme. An accent that is only there for the dark one is made darker.
    pub fn light(&self) -> Palette {
        match (self.accent_light, self.accent_dark) {
            (Some(accent), _) => Palette::light(accent),
            (None, Some(dark)) => Palette::light(Palette::readable(dark.with_lightness(0.44), false)),
            (None, None) => Palette::OUR_LIGHT,
        }
    }

    /// The colours of the dark theme, likewise.
    pub fn dark(&self) -> Palette {
        match (self.accent_dark, self.accent_light) {
            (Some(accent), _) => Palette::dark(accent),
            (None, Some(light)) => Palette::dark(Palette::readable(light.with_lightness(0.8), true)),
            (None, None) => Palette::OUR_DARK,
        }
    }

    /// The style sheet that puts these colours in place of our own: custom properties, and nothing else.
    pub fn stylesheet(&self) -> String {
        let root = |palette: &Palette| {
            let mut css = format!(":root{{color-scheme:{};", self.theme.scheme());
            for (name, colour) in palette.properties() {
                let _ = write!(css, "--{name}:{colour};");
            }
            css + "}"
        };
        match self.theme {
            Theme::Light => root(&self.light()),
            Theme::Dark => root(&self.dark()),
            Theme::System => {
                format!("{}@media (prefers-color-scheme:dark){{{}}}", root(&self.light()), root(&self.dark()))
            }
        }
    }
}

fn fault(member: &'static str, accent: Colour, is_dark: bool) -> Option<Illegible> {
    let contrast = Palette::worst_contrast(accent, is_dark);
    // Such as it is printed: 4.46 is not 4.5.
    if contrast >= READABLE {
        return None;
    }
    let (other, background) = if is_dark { ("lighter", "dark") } else { ("darker", "light") };
    let reason = format!(
        "{accent} has a contrast of {:.2}:1 on the {background} background, and links need {READABLE}:1 (WCAG 2.2 AA, \
         1.4.3); take a {other} shade, such as {}",
        (contrast * 100.0).floor() / 100.0,
        Palette::readable(accent, is_dark),
    );
    Some(Illegible { member, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        text.parse().unwrap()
    }

    #[test]
    fn an_accent_that_can_not_be_read_is_refused_with_its_ratio_and_another_that_can() {
        let style =
            Style { accent_light: Some(colour("#ffd400")), accent_dark: Some(colour("#2a1b6b")), theme: Theme::System };
        let faults = style.faults();
        assert_eq!(faults.iter().map(|fault| fault.member).collect::<Vec<_>>(), ["accent_light", "accent_dark"]);
        for (fault, is_dark) in faults.iter().zip([false, true]) {
            assert!(fault.reason.contains(":1 on the") && fault.reason.contains("4.5:1"), "{}", fault.reason);
            let other = colour(fault.reason.rsplit(' ').next().unwrap());
            assert!(Palette::worst_contrast(other, is_dark) >= READABLE, "{}", fault.reason);
        }
        let good = Style { accent_light: Some(colour("#6d28d9")), accent_dark: None, theme: Theme::Dark };
        assert_eq!(good.faults(), []);
    }

    #[test]
    fn our_own_look_is_readable_too() {
        for (palette, is_dark) in [(Palette::OUR_LIGHT, false), (Palette::OUR_DARK, true)] {
            palette.assert_readable(is_dark);
        }
    }

    /// Every hue, every strength, every lightness that passes the check: nothing on the page is hard to read.
    #[test]
    fn whatever_accent_passes_every_other_colour_can_be_read_beside_it() {
        let mut tried = 0;
        for hue in (0..360).step_by(15) {
            for chroma in [0.0, 0.05, 0.12, 0.2, 0.3] {
                for lightness in [0.0, 0.2, 0.35, 0.45, 0.5, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0] {
                    let accent = Colour::of(lightness, chroma, hue as f32);
                    let light = Style { accent_light: Some(accent), ..Style::default() };
                    if light.faults().is_empty() {
                        light.light().assert_readable(false);
                        light.dark().assert_readable(true);
                        tried += 1;
                    }
                    let dark = Style { accent_dark: Some(accent), ..Style::default() };
                    if dark.faults().is_empty() {
                        dark.light().assert_readable(false);
                        dark.dark().assert_readable(true);
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 500, "{tried}");
    }

    #[test]
    fn the_sheet_names_colours_and_nothing_else() {
        let style = Style { accent_light: Some(colour("#6d28d9")), ..Style::default() };
        let css = style.stylesheet();
        assert!(css.starts_with(":root{color-scheme:light dark;--paper:#"), "{css}");
        assert!(css.contains("@media (prefers-color-scheme:dark){:root{") && css.contains("--fir:#6d28d9;"), "{css}");
        for only in [Theme::Light, Theme::Dark] {
            let css = Style { theme: only, ..style }.stylesheet();
            assert!(css.starts_with(&format!(":root{{color-scheme:{};", only.name())) && !css.contains("@media"));
        }
        assert!(Style::default().stylesheet().contains("--fir:#14533f;"));
    }

    /// Both are written down where they are needed: the sheet serves who configures nothing, and these the rest.
    #[test]
    fn our_own_look_is_that_of_the_style_sheet() {
        let sheet = include_str!("../../templates/static/site.css");
        let roots: Vec<&str> = sheet.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        let [light, dark] = roots[..] else { panic!("a light and a dark one") };
        let value = |block: &str, name: &str| {
            let line = block.lines().find_map(|line| line.trim().strip_prefix(&format!("--{name}: ")))?;
            Some(line.trim_end_matches(';').to_owned())
        };
        for (name, colour) in Palette::OUR_LIGHT.properties() {
            assert_eq!(value(light, name), Some(colour.to_string()), "--{name}");
        }
        for (name, colour) in Palette::OUR_DARK.properties() {
            let written = value(dark, name).or_else(|| value(light, name));
            assert_eq!(written, Some(colour.to_string()), "--{name} in the dark");
        }
        let named =
            |block: &str| block.lines().filter(|line| line.trim().starts_with("--") && line.contains('#')).count();
        assert_eq!(named(light), Palette::OUR_LIGHT.properties().len(), "no colour is forgotten");
    }
}
