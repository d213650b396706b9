//! A QR code as an SVG picture, to stand in a page or alone: one path, no styles, dark on light in every theme.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, without which cameras do not find it (ISO/IEC 18004 §9.1).
const QUIET: usize = 4;

/// `text` as a picture; `None` when it is too long for one. `class` is what its page's styles know it by; `label` what it
/// says to who does not see it: without one it is left out for them, because what it says stands beside it.
pub fn svg(text: &str, class: &'static str, label: Option<&str>) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in modules.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|module| **module == Color::Dark).count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run.max(1);
        }
    }
    let side = width + 2 * QUIET;
    let told = match label {
        Some(label) => format!("role=\"img\" aria-label=\"{}\"", escape(label)),
        None => "aria-hidden=\"true\" focusable=\"false\"".to_owned(),
    };
    Some(format!(
        "<svg class=\"{class}\" xmlns=\"http://www.w3.org/2000/svg\" {told} \
         viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the path again, module by module.
    #[test]
    fn the_picture_has_the_modules_of_the_code() {
        let text = "https://id.example.com/r/7K2M9QXD";
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let svg = svg(text, "qr", Some("a <code> & \"more\"")).unwrap();
        let path = svg.split("fill=\"#000\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut drawn = vec![Color::Light; code.width() * code.width()];
        for run in path.split('M').skip(1) {
            let (x, rest) = run.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let length = rest.split_once('v').unwrap().0;
            let [x, y, length]: [usize; 3] = [x, y, length].map(|n| n.parse().unwrap());
            for i in 0..length {
                drawn[(y - QUIET) * code.width() + x - QUIET + i] = Color::Dark;
            }
        }
        assert!(drawn == code.to_colors());
        assert!(svg.contains("aria-label=\"a &lt;code> &amp; &quot;more&quot;\""));
        assert!(!svg.contains("style"));
        assert!(super::svg(text, "qr", None).unwrap().contains("aria-hidden"));
        assert!(super::svg(&"a".repeat(5000), "qr", None).is_none());
    }
}
