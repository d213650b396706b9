//! All the colours of one theme, made from its accent.

use super::colour::{Colour, READABLE};

macro_rules! palette {
    ($($field:ident $name:literal $light:literal $dark:literal;)*) => {
        /// The colours of a theme, by what they are for; in the style sheet they are custom properties.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Palette { $(pub $field: Colour,)* }

        impl Palette {
            /// Those of who configures nothing.
            pub const OUR_LIGHT: Self = Self { $($field: Colour::hex($light),)* };
            pub const OUR_DARK: Self = Self { $($field: Colour::hex($dark),)* };

            /// By their names in the style sheet.
            pub fn properties(&self) -> Vec<(&'static str, Colour)> {
                vec![$(($name, self.$field),)*]
            }
        }
    };
}

palette! {
    paper "paper" 0xf8f4ec 0x0e1412;
    sheet "sheet" 0xfffdf8 0x141c19;
    ink "ink" 0x1a2420 0xecf1ed;
    soft "soft" 0x55605a 0xa6b4ac;
    line "line" 0xded7c9 0x2b3833;
    edge "edge" 0x7f7a6d 0x71837a;
    accent "fir" 0x14533f 0x8bd9b6;
    accent_deep "fir-deep" 0x0d3a2c 0xa9e6cb;
    on_accent "on-fir" 0xfffdf8 0x06231a;
    link "link" 0x0f5c44 0x8bd9b6;
    tint "tint" 0xe4f1e6 0x14301f;
    sun "sun" 0xf0b445 0xf0b445;
    good "good" 0x14603f 0x8bd9b6;
    good_paper "good-paper" 0xe4f1e6 0x14301f;
    bad "bad" 0x9c2a1c 0xffab9c;
    bad_paper "bad-paper" 0xfbe9e4 0x3a1a15;
    ring "ring" 0xa85b00 0xf0b445;
    panel_from "panel-from" 0x0c3527 0x071c15;
    panel_to "panel-to" 0x1b6a50 0x10402f;
    panel_ink "panel-ink" 0xf7f1e3 0xf7f1e3;
    panel_soft "panel-soft" 0xb9d6c8 0xb9d6c8;
}

/// Hue of an accent, and how much of it goes into what lies around: none of a grey.
struct Tone {
    hue: f32,
    part: f32,
    lightness: f32,
    chroma: f32,
}

impl Tone {
    fn of(accent: Colour) -> Self {
        let (lightness, chroma, hue) = accent.lch();
        Self { hue, part: (chroma / 0.1).min(1.0), lightness, chroma }
    }

    /// A neutral colour with a breath of the hue.
    fn neutral(&self, lightness: f32, chroma: f32) -> Colour {
        Colour::of(lightness, chroma * self.part, self.hue)
    }

    /// A colour as strong as the accent, and no stronger than `most`.
    fn strong(&self, lightness: f32, most: f32) -> Colour {
        Colour::of(lightness, self.chroma.min(most), self.hue)
    }
}

impl Palette {
    pub(super) fn light(accent: Colour) -> Self {
        let tone = Tone::of(accent);
        let [sheet, paper, tint] = backgrounds(&tone, false);
        let (on_accent, is_light) = text_on(accent, &tone);
        Self {
            paper,
            sheet,
            tint,
            ink: tone.neutral(0.235, 0.02),
            soft: tone.neutral(0.455, 0.025),
            line: tone.neutral(0.885, 0.015),
            edge: tone.neutral(0.57, 0.02),
            accent,
            accent_deep: hovered(accent, &tone, is_light),
            on_accent,
            link: accent,
            panel_from: tone.strong(tone.lightness.min(0.28), 0.13),
            panel_to: tone.strong(tone.lightness.clamp(0.36, 0.42), 0.22),
            panel_ink: tone.neutral(0.965, 0.012),
            panel_soft: tone.neutral(0.84, 0.05),
            ..Self::OUR_LIGHT
        }
    }

    pub(super) fn dark(accent: Colour) -> Self {
        let tone = Tone::of(accent);
        let [sheet, paper, tint] = backgrounds(&tone, true);
        let (on_accent, is_light) = text_on(accent, &tone);
        Self {
            paper,
            sheet,
            tint,
            ink: tone.neutral(0.95, 0.008),
            soft: tone.neutral(0.76, 0.018),
            line: tone.neutral(0.335, 0.02),
            edge: tone.neutral(0.6, 0.02),
            accent,
            accent_deep: hovered(accent, &tone, is_light),
            on_accent,
            link: accent,
            panel_from: tone.strong(0.2, 0.08),
            panel_to: tone.strong(0.34, 0.13),
            panel_ink: tone.neutral(0.965, 0.012),
            panel_soft: tone.neutral(0.84, 0.05),
            ..Self::OUR_DARK
        }
    }

    /// How much an accent stands out where it does so least.
    pub(super) fn worst_contrast(accent: Colour, is_dark: bool) -> f32 {
        let backgrounds = backgrounds(&Tone::of(accent), is_dark);
        backgrounds.map(|background| accent.contrast(background)).into_iter().fold(f32::INFINITY, f32::min)
    }

    /// The nearest shade of `accent` that can be read: lighter in the dark, darker in the light.
    pub(super) fn readable(accent: Colour, is_dark: bool) -> Colour {
        let (mut lightness, chroma, hue) = accent.lch();
        let mut shade = accent;
        // A little more than needed: the ratio is rounded where it is told.
        while Self::worst_contrast(shade, is_dark) < READABLE + 0.05 && (0.0..=1.0).contains(&lightness) {
            lightness += if is_dark { 0.01 } else { -0.01 };
            shade = Colour::of(lightness.clamp(0.0, 1.0), chroma, hue);
        }
        shade
    }

    /// What is read is readable, and what is seen is seen (WCAG 2.2, 1.4.3 and 1.4.11).
    #[cfg(test)]
    pub(super) fn assert_readable(&self, is_dark: bool) {
        let text: [(Colour, &[Colour]); 8] = [
            (self.ink, &[self.sheet, self.paper, self.tint]),
            (self.soft, &[self.sheet, self.paper]),
            (self.link, &[self.sheet, self.paper, self.tint]),
            (self.bad, &[self.sheet, self.paper, self.bad_paper]),
            (self.good, &[self.sheet, self.paper, self.good_paper]),
            (self.on_accent, &[self.accent, self.accent_deep]),
            (self.panel_ink, &[self.panel_from, self.panel_to]),
            (self.ink, &[self.good_paper, self.bad_paper]),
        ];
        for (what, backgrounds) in text {
            for background in backgrounds {
                let contrast = what.contrast(*background);
                assert!(contrast >= READABLE, "{what} on {background}: {contrast} ({is_dark}) in {self:?}");
            }
        }
        let seen: [(Colour, &[Colour]); 4] = [
            (self.edge, &[self.sheet, self.paper]),
            (self.ring, &[self.sheet, self.paper]),
            (self.sun, &[self.panel_from, self.panel_to]),
            (self.accent, &[self.sheet, self.paper]),
        ];
        for (what, backgrounds) in seen {
            for background in backgrounds {
                let contrast = what.contrast(*background);
                assert!(contrast >= 3.0, "{what} beside {background}: {contrast} ({is_dark}) in {self:?}");
            }
        }
    }
}

/// Sheet, paper and tint.
fn backgrounds(tone: &Tone, is_dark: bool) -> [Colour; 3] {
    if is_dark {
        [tone.neutral(0.215, 0.014), tone.neutral(0.175, 0.012), tone.neutral(0.28, 0.04)]
    } else {
        [tone.neutral(0.992, 0.004), tone.neutral(0.968, 0.01), tone.neutral(0.95, 0.025)]
    }
}

/// What is written on the accent, and whether that is the light one.
fn text_on(accent: Colour, tone: &Tone) -> (Colour, bool) {
    let (white, black) = (Colour::hex(0xff_ffff), Colour::hex(0));
    let (pale, deep) = (tone.neutral(0.99, 0.005), tone.neutral(0.17, 0.03));
    let reads = |text: &Colour| accent.contrast(*text) >= READABLE;
    // Of black and white, one always reads.
    [(pale, true), (white, true), (deep, false)].into_iter().find(|(text, _)| reads(text)).unwrap_or((black, false))
}

/// The accent under the pointer: further from what is written on it.
fn hovered(accent: Colour, tone: &Tone, text_is_light: bool) -> Colour {
    let lightness = if text_is_light { tone.lightness - 0.09 } else { tone.lightness + 0.06 };
    let moved = accent.with_lightness(lightness.clamp(0.0, 1.0));
    // Black gets no darker, and white no lighter: what would turn back stays.
    if (moved.lch().0 < tone.lightness) == text_is_light { moved } else { accent }
}
