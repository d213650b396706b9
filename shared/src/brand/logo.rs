//! A logo, read and judged once when a service starts.

use std::io::Read;
use std::path::Path;

use crate::http::gzip;

/// As it is sent. With everything else, the sign-in page stays below 30 kB.
const MOST_SENT: usize = 10 * 1024;
/// Of the file, which may be sent compressed.
const MOST: u64 = 64 * 1024;
/// Of each side of a picture, in pixels: few bytes can be many of them.
const MOST_PIXELS: u32 = 2048;

/// What kind of picture it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    Svg,
    Png,
}

/// A picture that is small, and is what it says it is.
#[derive(Clone, Debug)]
pub struct Logo {
    pub kind: LogoKind,
    pub bytes: Vec<u8>,
}

impl Logo {
    /// Reads and judges the file.
    ///
    /// # Errors
    /// What is wrong with it and what to do, as the end of a sentence about its key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let file = std::fs::File::open(path).map_err(|error| format!("{shown} can't be read: {error}"))?;
        let mut bytes = vec![];
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| format!("{shown} can't be read: {error}"))?;
        Self::judge(bytes).map_err(|reason| format!("{shown} {reason}"))
    }

    fn judge(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.len() as u64 > MOST {
            return Err("is larger than 64 KiB; a logo is a few".into());
        }
        let (kind, sent) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            judge_png(&bytes)?;
            (LogoKind::Png, bytes.len())
        } else {
            judge_svg(&bytes)?;
            (LogoKind::Svg, gzip(&bytes).len())
        };
        if sent > MOST_SENT {
            return Err(format!(
                "takes {sent} bytes to send, and the sign-in page has room for {MOST_SENT}; make it smaller, or take \
                 an SVG of plain shapes"
            ));
        }
        Ok(Self { kind, bytes })
    }
}

fn judge_png(bytes: &[u8]) -> Result<(), String> {
    // The header comes first (PNG §5.6): length, `IHDR`, width, height.
    let side = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match (bytes.get(12..16), side(16), side(20)) {
        (Some(b"IHDR"), Some(width), Some(height)) if width > 0 && height > 0 => {
            if width > MOST_PIXELS || height > MOST_PIXELS {
                return Err(format!("is {width}×{height} pixels; at most {MOST_PIXELS} a side"));
            }
            Ok(())
        }
        _ => Err("is a broken PNG; export it anew".into()),
    }
}

/// It is served under a policy that lets no script run, also when it is opened by itself. What carries a script, or
/// wants something from elsewhere, is refused all the same: it would look otherwise than its owner thinks.
fn judge_svg(bytes: &[u8]) -> Result<(), String> {
    let neither = || "is neither an SVG nor a PNG".to_owned();
    let text = std::str::from_utf8(bytes).map_err(|_| neither())?;
    let lower = text.to_ascii_lowercase();
    let begins = lower.trim_start_matches('\u{feff}').trim_start();
    if !lower.contains("<svg")
        || !(begins.starts_with("<svg") || begins.starts_with("<?xml") || begins.starts_with("<!--"))
    {
        return Err(neither());
    }
    if !lower.contains("http://www.w3.org/2000/svg") {
        return Err("lacks xmlns=\"http://www.w3.org/2000/svg\", without which browsers show nothing".into());
    }
    for (sign, what) in [
        ("<script", "a script"),
        ("javascript:", "a script"),
        ("<foreignobject", "a page of HTML"),
        ("<!doctype", "a document type"),
        ("<!entity", "an entity"),
        ("<?xml-stylesheet", "a style sheet from elsewhere"),
        ("@import", "a style sheet from elsewhere"),
    ] {
        if lower.contains(sign) {
            return Err(format!("has {what} in it; save it as a plain SVG"));
        }
    }
    let handler = lower.split([' ', '\t', '\n', '\r', '"', '\'', '/']).any(|word| {
        let name = word.split('=').next().unwrap_or_default();
        word.contains('=') && name.len() > 2 && name.starts_with("on") && name.bytes().all(|b| b.is_ascii_lowercase())
    });
    if handler {
        return Err("has a script in it; save it as a plain SVG".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><circle r=\"4\"/></svg>";

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes
    }

    fn reason(bytes: impl Into<Vec<u8>>) -> String {
        Logo::judge(bytes.into()).expect_err("it is refused")
    }

    #[test]
    fn a_picture_is_known_by_what_is_in_it() {
        assert_eq!(Logo::judge(SVG.into()).unwrap().kind, LogoKind::Svg);
        assert_eq!(Logo::judge(format!("\u{feff}<?xml version=\"1.0\"?>\n{SVG}").into()).unwrap().kind, LogoKind::Svg);
        assert_eq!(Logo::judge(png(64, 32)).unwrap().kind, LogoKind::Png);
        for other in [&b"GIF89a"[..], b"", b"<html><svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff"] {
            assert!(reason(other).contains("neither"), "{other:?}");
        }
        assert!(reason("<svg/>").contains("xmlns"));
        assert!(reason(&b"\x89PNG\r\n\x1a\nIHDR"[..]).contains("broken"));
    }

    #[test]
    fn a_logo_with_a_script_is_refused() {
        for inner in [
            "<script>alert(1)</script>",
            "<SCRIPT href='x'/>",
            "<a href='javascript:alert(1)'/>",
            "<circle r='4' onload='alert(1)'/>",
            "<circle r='4' OnClick=alert(1) />",
            "<circle r='4'/onload='alert(1)'/>",
            "<foreignObject/>",
            "<style>@import url(//evil.example)</style>",
        ] {
            let picture = SVG.replace("<circle r=\"4\"/>", inner);
            assert!(reason(picture).contains("plain SVG"), "{inner}");
        }
        assert!(reason(format!("<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]>{SVG}")).contains("plain SVG"));
        let plain = SVG.replace("<circle r=\"4\"/>", "<text font-family=\"Once\">on = one</text><g id=\"only\"/>");
        assert!(Logo::judge(plain.into()).is_ok());
    }

    #[test]
    fn a_logo_is_small() {
        assert!(reason(png(40_000, 40_000)).contains("40000×40000"));
        assert!(reason([png(64, 64), vec![0; MOST_SENT]].concat()).contains("room for 10240"));
        assert!(reason(vec![0; 65 * 1024]).contains("64 KiB"));
        // What compresses well may be larger.
        let shapes = SVG.replace("</svg>", &format!("{}</svg>", "<circle r=\"4\"/>".repeat(3000)));
        assert!(shapes.len() > MOST_SENT && Logo::judge(shapes.into()).is_ok());
    }
}
