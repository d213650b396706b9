use crate::http::distinguished_name::DistinguishedName;

/// A distinguished name as a client registers it (RFC 4514). What is read can be written and read again, and still
/// means the same (RFC 4517 §4.2.15).
pub fn distinguished_name(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(name) = text.parse::<DistinguishedName>() else { return false };
    assert!(!name.is_empty(), "{text:?} names nobody");
    assert!(name.matches(&name), "{text:?} differs from itself");
    let written = name.to_string();
    // It may have grown beyond what is read: escapes are longer than what they stand for.
    if let Ok(again) = written.parse::<DistinguishedName>() {
        assert!(name.matches(&again) && again.matches(&name), "{text:?} became {written:?}");
        assert_eq!(again.to_string(), written, "writing is stable");
    } else {
        assert!(written.len() > 2048, "{text:?} was written as {written:?}, which can't be read");
    }
    true
}
