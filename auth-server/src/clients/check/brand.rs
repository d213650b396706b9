//! Colours of the pages in a client's flow: they can be read.

use super::Fault;
use crate::clients::ClientMetadata;

pub fn check(metadata: &ClientMetadata) -> Result<(), Fault> {
    let style = metadata.style();
    let Some(fault) = style.faults().into_iter().next() else { return Ok(()) };
    let member = if fault.member == "accent_dark" { "brand_accent_dark" } else { "brand_accent_light" };
    Err(Fault::new(member, format!("{member}: {}", fault.reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_accent_is_held_to_the_same_contrast_as_ours() {
        let with = |light: Option<&str>, dark: Option<&str>| ClientMetadata {
            brand_accent_light: light.map(|c| c.parse().unwrap()),
            brand_accent_dark: dark.map(|c| c.parse().unwrap()),
            ..ClientMetadata::default()
        };
        for (metadata, expected) in [
            (with(None, None), None),
            (with(Some("#b3261a"), None), None),
            (with(Some("#ffd400"), None), Some("brand_accent_light")),
            (with(Some("#b3261a"), Some("#101010")), Some("brand_accent_dark")),
        ] {
            assert_eq!(check(&metadata).err().map(|fault| fault.member), expected, "{metadata:?}");
        }
    }
}
