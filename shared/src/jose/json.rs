//! [`parse_object`]: JSON from strangers. A member that comes twice is refused at any depth (RFC 7515 §4, RFC 7519 §4):
//! of two readers, one would take the first and the other the last.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of the text.
    pub max_bytes: usize,
    /// Of objects and arrays within each other; the outermost object is the first. At most 127 is meaningful.
    pub max_depth: usize,
}

/// Why it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("too large")]
    TooLarge,
    #[error("nested too deeply")]
    TooDeep,
    #[error("a member comes twice")]
    DuplicateMember,
    /// Neither a header nor a database can hold it.
    #[error("a string holds the character U+0000")]
    Nul,
    #[error("not a JSON object")]
    NotAnObject,
    #[error("not JSON")]
    Malformed,
}

/// The one object that `bytes` hold.
pub fn parse_object(bytes: &[u8], bounds: &Bounds) -> Result<Map<String, Value>, JsonError> {
    if bytes.len() > bounds.max_bytes {
        return Err(JsonError::TooLarge);
    }
    let refused = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { depth_left: bounds.max_depth, refused: &refused }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| refused.get().unwrap_or(JsonError::Malformed))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

/// One value within the tree.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth_left: usize,
    /// serde's errors are text; this says which of ours it was.
    refused: &'a Cell<Option<JsonError>>,
}

impl Node<'_> {
    fn refuse<E: serde::de::Error>(&self, why: JsonError) -> E {
        self.refused.set(Some(why));
        E::custom(why)
    }

    fn inside<E: serde::de::Error>(&self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, refused: self.refused }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }

    fn text<E: serde::de::Error>(&self, text: String) -> Result<String, E> {
        if text.contains('\0') { Err(self.refuse(JsonError::Nul)) } else { Ok(text) }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        self.text(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = vec![];
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let name = self.text(name)?;
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
            let value = members.next_value_seed(inside)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const BOUNDS: Bounds = Bounds { max_bytes: 4096, max_depth: 8 };

    fn parse(text: &str) -> Result<Map<String, Value>, JsonError> {
        parse_object(text.as_bytes(), &BOUNDS)
    }

    #[test]
    fn an_object_is_read_as_it_stands() {
        let value = json!({"a": [1, -2, 2.5, true, null, "ü\n"], "b": {"a": {}}});
        assert_eq!(Value::Object(parse(&value.to_string()).unwrap()), value);
    }

    #[test]
    fn duplicate_members_are_refused_at_any_depth__rfc7515_4() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            r#"{"x":[[{"a":1,"a":2}]]}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(parse(text), Err(JsonError::DuplicateMember), "{text}");
        }
        // The same name in different objects is no duplicate.
        assert!(parse(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn what_is_no_single_object_is_refused() {
        for text in
            ["", " ", "{", "{}{}", "{} x", "{'a':1}", "{\"a\":1,}", "\u{feff}{}", "{\"a\":1e999}", "{\"a\":NaN}"]
        {
            assert_eq!(parse(text), Err(JsonError::Malformed), "{text}");
        }
        for text in ["[]", "null", "1", "\"{}\"", "true"] {
            assert_eq!(parse(text), Err(JsonError::NotAnObject), "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}", &BOUNDS), Err(JsonError::Malformed));
        assert_eq!(parse(r#"{"a":"\u0000"}"#), Err(JsonError::Nul));
        assert_eq!(parse(r#"{"a":{"\u0000":1}}"#), Err(JsonError::Nul));
        assert_eq!(parse(r#"{"a":"\ud800"}"#), Err(JsonError::Malformed));
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse(&nested(8)).is_ok());
        assert_eq!(parse(&nested(9)), Err(JsonError::TooDeep));
        let roomy = Bounds { max_bytes: 4 << 20, max_depth: 8 };
        assert_eq!(parse_object(nested(10_000).as_bytes(), &roomy), Err(JsonError::TooDeep));
        let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(parse_object(objects.as_bytes(), &roomy), Err(JsonError::TooDeep));
        // Without a bound of ours, serde_json's own holds: the stack is safe either way.
        let unbounded = Bounds { max_bytes: 4 << 20, max_depth: usize::MAX };
        assert_eq!(parse_object(objects.as_bytes(), &unbounded), Err(JsonError::Malformed));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        assert_eq!(parse(&large), Err(JsonError::TooLarge));
    }

    /// Arbitrary JSON whose outermost value is an object.
    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[^\0]{0,8}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]{1,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map("[a-d]{1,2}", tree, 1..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse_object(&bytes, &BOUNDS);
        }

        #[test]
        fn arbitrary_text_that_looks_like_json_never_panics(text in r#"[{}\[\]",:a0-9\\u\-.e ]{0,64}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn what_serde_json_writes_reads_back_the_same(value in objects()) {
            prop_assert_eq!(Value::Object(parse(&value.to_string()).unwrap()), value);
        }

        #[test]
        fn a_repeated_member_is_always_refused__rfc7519_4(value in objects(), again in "[a-d0-9]{0,3}") {
            let mut text = value.to_string();
            let first = value.as_object().unwrap().keys().next().unwrap().clone();
            text.truncate(text.len() - 1);
            text.push_str(&format!(",{}:\"{again}\"}}", Value::from(first)));
            prop_assert_eq!(parse(&text), Err(JsonError::DuplicateMember));
            // And inside another object just the same.
            prop_assert_eq!(parse(&format!("{{\"outer\":[{text}]}}")), Err(JsonError::DuplicateMember));
        }
    }
}
