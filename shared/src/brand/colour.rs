//! A colour as people write it, and as they see it.

use std::fmt;
use std::str::FromStr;

use palette::color_difference::Wcag21RelativeContrast;
use palette::convert::FromColorUnclamped;
use palette::{FromColor, IsWithinBounds, Oklch, Srgb};
use serde::{Deserialize, Serialize};

/// The contrast that text needs (WCAG 2.2 AA, 1.4.3).
pub const READABLE: f32 = 4.5;

/// `#rrggbb`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour([u8; 3]);

impl Colour {
    /// `0xrrggbb`.
    pub const fn hex(rgb: u32) -> Self {
        let [_, red, green, blue] = rgb.to_be_bytes();
        Self([red, green, blue])
    }

    /// By lightness (0 to 1), strength and hue, as OKLCH has them: steps look alike in every hue. What no screen can
    /// show is taken paler until it can.
    pub fn of(lightness: f32, chroma: f32, hue: f32) -> Self {
        let at = |chroma: f32| Srgb::<f32>::from_color_unclamped(Oklch::new(lightness, chroma, hue));
        let mut chroma = chroma;
        let mut shown = at(chroma);
        while !shown.is_within_bounds() && chroma > 0.0 {
            chroma = (chroma - 0.005).max(0.0);
            shown = at(chroma);
        }
        let Srgb { red, green, blue, .. } = shown.into_format::<u8>();
        Self([red, green, blue])
    }

    fn srgb(self) -> Srgb<f32> {
        let [red, green, blue] = self.0;
        Srgb::new(red, green, blue).into_format()
    }

    /// Lightness, strength and hue.
    pub fn lch(self) -> (f32, f32, f32) {
        let Oklch { l, chroma, hue } = Oklch::from_color(self.srgb());
        (l, chroma, hue.into_positive_degrees())
    }

    /// The same colour, lighter or darker.
    pub fn with_lightness(self, lightness: f32) -> Self {
        let (_, chroma, hue) = self.lch();
        Self::of(lightness, chroma, hue)
    }

    /// From 1 (alike) to 21 (black and white).
    pub fn contrast(self, other: Self) -> f32 {
        self.srgb().relative_contrast(other.srgb())
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits =
            text.strip_prefix('#').filter(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        let rgb = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        rgb.map(Self::hex).ok_or_else(|| format!("{text:?} is not a colour; write #rrggbb, such as #6d28d9"))
    }
}

impl TryFrom<String> for Colour {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl fmt::Debug for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_six_digits_and_nothing_that_could_be_more() {
        assert_eq!("#6D28d9".parse::<Colour>().unwrap().to_string(), "#6d28d9");
        for text in ["", "#", "6d28d9", "#6d28d", "#6d28d9a", "#fff", "red", "#6d28d9;}", "#+d28d9", "#6d28dя"] {
            assert!(text.parse::<Colour>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let grey = Colour::hex(0x767676);
        assert!((Colour::hex(0xffffff).contrast(Colour::hex(0)) - 21.0).abs() < 0.001);
        assert!((grey.contrast(Colour::hex(0xffffff)) - 4.54).abs() < 0.01);
        assert!((grey.contrast(grey) - 1.0).abs() < 0.001);
    }

    #[test]
    fn what_no_screen_can_show_is_paler_and_not_of_another_hue() {
        let (lightness, _, hue) = Colour::of(0.8, 0.4, 300.0).lch();
        assert!((lightness - 0.8).abs() < 0.02 && (hue - 300.0).abs() < 3.0, "{lightness} {hue}");
    }
}
