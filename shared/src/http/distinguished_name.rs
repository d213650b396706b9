//! [`DistinguishedName`]: who a certificate is about, as RFC 4514 writes it and as RFC 4517 compares it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::X509Name;

/// Longer than any name in use, and short enough to compare at every request.
const LONGEST: usize = 2048;

/// The short names of RFC 4514 §3: the only ones that are written.
const WRITTEN: &[(&str, &str)] = &[
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
];

/// Names that other tools write; understood as well, in any case (RFC 4512 §2.5).
const UNDERSTOOD: &[(&str, &str)] = &[
    ("S", "2.5.4.8"),
    ("SN", "2.5.4.4"),
    ("SURNAME", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("T", "2.5.4.12"),
    ("TITLE", "2.5.4.12"),
    ("BUSINESSCATEGORY", "2.5.4.15"),
    ("POSTALCODE", "2.5.4.17"),
    ("GN", "2.5.4.42"),
    ("GIVENNAME", "2.5.4.42"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("E", "1.2.840.113549.1.9.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("JURISDICTIONLOCALITYNAME", "1.3.6.1.4.1.311.60.2.1.1"),
    ("JURISDICTIONSTATEORPROVINCENAME", "1.3.6.1.4.1.311.60.2.1.2"),
    ("JURISDICTIONCOUNTRYNAME", "1.3.6.1.4.1.311.60.2.1.3"),
];

/// A distinguished name: sets of attributes, the most significant first as in the certificate. Displayed as RFC 4514
/// says, which is the other way round.
#[derive(Clone, Debug)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

#[derive(Clone, Debug)]
struct Attribute {
    /// The type, in dotted decimals.
    oid: String,
    /// The value, when it is one of ASN.1's many kinds of text.
    text: Option<String>,
    /// The value's encoding with tag and length.
    der: Vec<u8>,
}

/// Why a text is no distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a distinguished name as RFC 4514 writes it, such as CN=client,O=Example,C=DE")]
pub struct NotAName;

impl DistinguishedName {
    pub(super) fn of(name: &X509Name<'_>) -> Result<Self, NotAName> {
        let attributes = |rdn: &x509_parser::x509::RelativeDistinguishedName<'_>| {
            rdn.iter()
                .map(|attribute| {
                    let der = attribute.attr_value().to_der_vec().map_err(|_| NotAName)?;
                    Ok(Attribute { oid: attribute.attr_type().to_id_string(), text: text_of(&der), der })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        name.iter_rdn().map(attributes).collect::<Result<_, _>>().map(Self)
    }

    /// Does it say nothing at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// distinguishedNameMatch (RFC 4517 §4.2.15): the same attributes in the same order, where letter case and runs of
    /// spaces in texts make no difference (caseIgnoreMatch, §4.2.11).
    pub fn matches(&self, other: &Self) -> bool {
        self.comparable() == other.comparable()
    }

    fn comparable(&self) -> Vec<Vec<(&str, Vec<u8>)>> {
        self.0.iter().map(|set| comparable(set)).collect()
    }
}

/// What makes one set of attributes equal to another, whatever its order.
fn comparable(set: &[Attribute]) -> Vec<(&str, Vec<u8>)> {
    let key = |attribute: &Attribute| match &attribute.text {
        Some(text) => text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase().into_bytes(),
        None => attribute.der.clone(),
    };
    let mut set: Vec<_> = set.iter().map(|attribute| (attribute.oid.as_str(), key(attribute))).collect();
    set.sort();
    set
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, set) in self.0.iter().rev().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            for (index, attribute) in set.iter().enumerate() {
                f.write_str(if index > 0 { "+" } else { "" })?;
                attribute.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = WRITTEN.iter().find(|(_, oid)| *oid == self.oid).map(|(name, _)| name);
        match (short, &self.text) {
            (Some(name), Some(text)) => {
                write!(f, "{name}=")?;
                escape(text, f)
            }
            // Without a short name the value is written as its encoding (§2.4).
            (name, _) => {
                write!(f, "{}=#", name.unwrap_or(&self.oid.as_str()))?;
                self.der.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// RFC 4514 §2.4; control characters too are written as bytes, since this is for logs and terminals as well.
fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            '#' if index == 0 => f.write_str("\\#")?,
            ' ' if index == 0 || index == last => f.write_str("\\ ")?,
            control if control.is_control() => {
                control.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "\\{byte:02x}"))?;
            }
            plain => f.write_char(plain)?,
        }
    }
    Ok(())
}

impl FromStr for DistinguishedName {
    type Err = NotAName;

    /// RFC 4514 §3. An empty name, which names nobody, is refused.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        if text.len() > LONGEST {
            return Err(NotAName);
        }
        let (mut sets, mut set, mut rest) = (vec![], vec![], text);
        loop {
            let (name, after) = rest.split_once('=').ok_or(NotAName)?;
            let oid = oid_of(name.trim_matches(' '))?;
            let (value, end, after) = value(after.trim_start_matches(' '))?;
            let (text, der) = match value {
                Value::Text(text) => (Some(text.clone()), encoded(&text)),
                Value::Der(der) => (text_of(&der), der),
            };
            set.push(Attribute { oid, text, der });
            rest = after;
            match end {
                Some('+') => {}
                Some(_) => sets.push(std::mem::take(&mut set)),
                None => break,
            }
        }
        sets.push(set);
        sets.reverse();
        Ok(Self(sets))
    }
}

fn oid_of(name: &str) -> Result<String, NotAName> {
    let known = WRITTEN.iter().chain(UNDERSTOOD).find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((_, oid)) = known {
        return Ok((*oid).to_owned());
    }
    let arc =
        |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    if name.contains('.') && name.split('.').all(arc) { Ok(name.to_owned()) } else { Err(NotAName) }
}

enum Value {
    Text(String),
    Der(Vec<u8>),
}

/// The value that `text` begins with, the separator that ended it, and what follows.
fn value(text: &str) -> Result<(Value, Option<char>, &str), NotAName> {
    let (mut bytes, mut kept, mut characters) = (vec![], 0, text.char_indices());
    let hexadecimal = text.starts_with('#');
    let (mut end, mut after) = (None, "");
    while let Some((index, character)) = characters.next() {
        match character {
            ',' | '+' => {
                (end, after) = (Some(character), &text[index + 1..]);
                break;
            }
            '\\' => {
                let (_, next) = characters.next().ok_or(NotAName)?;
                if matches!(next, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | ' ' | '#' | '=') {
                    bytes.push(next as u8);
                } else {
                    let (_, low) = characters.next().ok_or(NotAName)?;
                    bytes.push(byte_of(next, low)?);
                }
                kept = bytes.len();
            }
            '"' | ';' | '<' | '>' | '\0' => return Err(NotAName),
            plain => {
                bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                if plain != ' ' {
                    kept = bytes.len();
                }
            }
        }
    }
    // Spaces before a separator belong to nobody, unless they were escaped.
    bytes.truncate(kept);
    let text = String::from_utf8(bytes).map_err(|_| NotAName)?;
    if !hexadecimal {
        return Ok((Value::Text(text), end, after));
    }
    let digits: Vec<char> = text.chars().skip(1).collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => byte_of(*high, *low),
        _ => Err(NotAName),
    });
    let der = pairs.collect::<Result<Vec<_>, _>>()?;
    if contents(&der).is_none() {
        return Err(NotAName);
    }
    Ok((Value::Der(der), end, after))
}

fn byte_of(high: char, low: char) -> Result<u8, NotAName> {
    let (high, low) = (high.to_digit(16).ok_or(NotAName)?, low.to_digit(16).ok_or(NotAName)?);
    u8::try_from(high * 16 + low).map_err(|_| NotAName)
}

/// A UTF8String.
fn encoded(text: &str) -> Vec<u8> {
    let mut der = vec![0x0c];
    match text.len() {
        // The bound on names leaves nothing that two bytes of length could not tell.
        length @ 0..=0x7f => der.push(length as u8),
        length @ 0x80..=0xff => der.extend([0x81, length as u8]),
        length => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(text.as_bytes());
    der
}

/// The tag and the contents of one whole primitive value.
fn contents(der: &[u8]) -> Option<(u8, &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    (rest.len() == length).then_some((tag, rest))
}

fn text_of(der: &[u8]) -> Option<String> {
    let (tag, contents) = contents(der)?;
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(contents.to_vec()).ok(),
        // TeletexString: Latin-1 in practice.
        0x14 => Some(contents.iter().map(|&byte| char::from(byte)).collect()),
        // UniversalString, BMPString
        0x1c => contents.chunks(4).map(|c| char::from_u32(u32::from_be_bytes(c.try_into().ok()?))).collect(),
        0x1e if contents.len() % 2 == 0 => {
            let units: Vec<u16> = contents.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DistinguishedName {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn the_examples_of_the_specification_are_read_and_written_again__rfc4514_4() {
        for text in [
            "UID=jsmith,DC=example,DC=net",
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
            "CN=Before\\0dAfter,DC=example,DC=net",
            "1.3.6.1.4.1.1466.0=#04024869",
            "CN=Lu\u{10d}i\u{107}",
            "CN=\\ leading and trailing\\ ",
            "CN=\\#hash",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("CN=Lu\\C4\\8Di\\C4\\87").to_string(), "CN=Lu\u{10d}i\u{107}");
    }

    #[test]
    fn names_are_compared_by_what_they_say__rfc4517_4_2_15() {
        let ours = name("CN=client,OU=b+O=a,C=DE");
        for same in ["cn=Client, O=a+OU=b , c=de", "2.5.4.3=client,O=a+OU=b,C=DE", "CN=#0c06636c69656e74,O=a+OU=b,C=DE"]
        {
            assert!(ours.matches(&name(same)), "{same}");
        }
        for other in
            ["C=DE,OU=b+O=a,CN=client", "CN=client,OU=b,O=a,C=DE", "CN=client,C=DE", "CN=cl ient,OU=b+O=a,C=DE"]
        {
            assert!(!ours.matches(&name(other)), "{other}");
        }
        assert!(
            name("organizationIdentifier=PSDDE-1")
                .matches(&name("2.5.4.97=#1307505344444552d31".replace("52d31", "2d31").as_str()))
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", "CN", "=x", "CN=a,", "XX=a", "1..2=a", "CN=a\\", "CN=a\\0", "CN=#0", "CN=#0c05aa", "CN=a;b", "CN=\\ff"]
        {
            assert_eq!(text.parse::<DistinguishedName>().unwrap_err(), NotAName, "{text}");
        }
        assert!(format!("CN={}", "a".repeat(LONGEST)).parse::<DistinguishedName>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_can_be_read_again(text in "(CN|O|1\\.2)=\\PC{0,40}|.{0,60}") {
            if let Ok(read) = text.parse::<DistinguishedName>() {
                let again: DistinguishedName = read.to_string().parse().unwrap();
                prop_assert!(read.matches(&again));
            }
        }
    }
}
