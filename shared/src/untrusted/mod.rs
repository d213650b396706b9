//! What the parsers of untrusted input promise, one file a parser: see `auth-server/src/untrusted/mod.rs`, whose tests and
//! fuzz targets hold these too.

mod client_certificate_header;
mod distinguished_name;
mod dpop_proof;

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

pub use client_certificate_header::client_certificate_header;
pub use distinguished_name::distinguished_name;
pub use dpop_proof::dpop_proof;

/// The first line, and what follows it.
pub fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Does `read` hold each member that `text` has? Two of one name, of which a lenient reader keeps one, are told by their
/// number.
///
/// # Panics
/// When a member is missing: then another reader of the same text may see another one (RFC 8725 §2).
pub fn no_member_twice(text: &[u8], read: &Map<String, Value>) {
    let Members(written) = serde_json::from_slice(text).expect("what is accepted is JSON");
    let kept: usize = read.len() + read.values().map(members).sum::<usize>();
    assert_eq!(written, kept, "a member was there twice: {}", String::from_utf8_lossy(text));
}

fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

/// How many members the objects in a text have between them, counted as they are written.
struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

impl<'de> Visitor<'de> for Counter {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut count = 0;
        while let Some((_, Members(inner))) = object.next_entry::<IgnoredAny, Members>()? {
            count += 1 + inner;
        }
        Ok(Members(count))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Members, A::Error> {
        let mut count = 0;
        while let Some(Members(inner)) = array.next_element()? {
            count += inner;
        }
        Ok(Members(count))
    }

    fn visit_unit<E>(self) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Members, E> {
        Ok(Members(0))
    }
}
