//! Each promise on the seeds of its fuzz target, on inputs that were made from them by a few changes, and on arbitrary
//! bytes. Those of `shared` are held here too: there is one way of doing it.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Reads an input as a parser would, and says whether it is accepted.
type Promise = fn(&[u8]) -> bool;

/// What is put in the place of something else, besides words of other seeds.
const ODDITIES: [&str; 14] =
    ["", "0", "-1", "1e400", "null", "true", "[]", "{}", "%00", "%FF", "\\u0000", "\u{e9}", "\r\n", "*"];

/// The committed inputs of a target. Those named `good-…` are accepted and those named `bad-…` are not.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

/// A change to an input, at a place that is told by an [`Index`].
#[derive(Clone, Debug)]
enum Change {
    /// Leaves an item (of a form, an object, an array, a line) out.
    Drop(Index),
    /// Has an item twice.
    Repeat(Index),
    /// Adds an item that nobody knows: two words.
    Add(Index, Index, Index),
    /// Puts another word in the place of one.
    Replace(Index, Index),
    /// Changes bits of a byte.
    Flip(Index, u8),
    /// Ends there.
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        2 => at().prop_map(Change::Drop),
        2 => at().prop_map(Change::Repeat),
        3 => (at(), at(), at()).prop_map(|(at, name, value)| Change::Add(at, name, value)),
        6 => (at(), at()).prop_map(|(at, word)| Change::Replace(at, word)),
        1 => (at(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => at().prop_map(Change::Cut),
    ]
}

/// The runs of bytes between `separators`: where each begins and ends.
fn runs(text: &[u8], separators: &[u8]) -> Vec<(usize, usize)> {
    let mut runs = vec![];
    let mut begin = 0;
    for (at, byte) in text.iter().enumerate() {
        if separators.contains(byte) {
            runs.extend((begin < at).then_some((begin, at)));
            begin = at + 1;
        }
    }
    runs.extend((begin < text.len()).then_some((begin, text.len())));
    runs
}

const BETWEEN_ITEMS: &[u8] = b"{}[],&\n";
const BETWEEN_WORDS: &[u8] = b"{}[],&\n\":=. ?#/@+%;\\";

fn apply(change: &Change, text: &mut Vec<u8>, words: &[Vec<u8>]) {
    let json = text.contains(&b'{');
    let joint = if json { b',' } else { b'&' };
    let pick = |index: &Index, separators| {
        let runs = runs(text, separators);
        (!runs.is_empty()).then(|| runs[index.index(runs.len())])
    };
    match change {
        Change::Drop(index) => {
            let Some((begin, mut end)) = pick(index, BETWEEN_ITEMS) else { return };
            end += usize::from(text.get(end) == Some(&joint));
            text.drain(begin..end);
        }
        Change::Repeat(index) => {
            let Some((begin, end)) = pick(index, BETWEEN_ITEMS) else { return };
            let mut item = text[begin..end].to_vec();
            item.push(joint);
            text.splice(begin..begin, item);
        }
        Change::Add(index, name, value) => {
            let Some((begin, _)) = pick(index, BETWEEN_ITEMS) else { return };
            let [name, value] = [name, value].map(|index| words[index.index(words.len())].as_slice());
            let item = match json {
                true => [b"\"", name, b"\":\"", value, b"\","].concat(),
                false => [name, b"=", value, b"&"].concat(),
            };
            text.splice(begin..begin, item);
        }
        Change::Replace(index, word) => {
            let Some((begin, end)) = pick(index, BETWEEN_WORDS) else { return };
            text.splice(begin..end, words[word.index(words.len())].iter().copied());
        }
        Change::Flip(index, bits) if !text.is_empty() => {
            let at = index.index(text.len());
            text[at] ^= bits;
        }
        Change::Flip(..) => {}
        Change::Cut(index) => text.truncate(index.index(text.len() + 1)),
    }
}

/// An input, shown as text when it breaks a promise.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Holds a promise. Of the inputs that are made from seeds and differ from them, some must get through, or nothing is
/// shown of what is accepted, and some must not.
fn hold(target: &str, promise: Promise) {
    let seeds = seeds(target);
    for (name, seed) in &seeds {
        assert_eq!(promise(seed), name.starts_with("good-"), "fuzz/seeds/{target}/{name}");
    }
    let mut words: Vec<Vec<u8>> = ODDITIES.iter().map(|word| word.as_bytes().to_vec()).collect();
    for (_, seed) in &seeds {
        words.extend(runs(seed, BETWEEN_WORDS).into_iter().map(|(begin, end)| seed[begin..end].to_vec()));
    }
    words.sort();
    words.dedup();
    let texts = |good: bool| -> Vec<Vec<u8>> {
        seeds.iter().filter(|(name, _)| name.starts_with("good-") == good).map(|(_, seed)| seed.clone()).collect()
    };
    let seed = prop_oneof![4 => select(texts(true)), 1 => select(texts(false))];
    let near = (seed, proptest::collection::vec(change(), 1..4)).prop_map(|(mut text, changes)| {
        changes.iter().for_each(|change| apply(change, &mut text, &words));
        Input(text)
    });
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 1024, failure_persistence: None, ..Config::default() });
    let held = runner.run(&near, |Input(text)| {
        let count = if promise(&text) { &accepted } else { &refused };
        if seeds.iter().all(|(_, seed)| *seed != text) {
            count.set(count.get() + 1);
        }
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{target}: {failure}"));
    let counts = (accepted.get(), refused.get());
    assert!(counts.0 > 0 && counts.1 > 20, "{target}: both ways were taken: {counts:?}");
    let arbitrary = proptest::collection::vec(any::<u8>(), 0..200).prop_map(Input);
    let held = runner.run(&arbitrary, |Input(bytes)| {
        promise(&bytes);
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{target}: {failure}"));
}

#[test]
fn any_authorization_request_is_read_whole_or_refused__rfc6749_3_1() {
    hold("authorization_request", authorization_request);
}

#[test]
fn any_token_request_is_read_whole_or_refused__rfc6749_3_2() {
    hold("token_request", token_request);
}

#[test]
fn any_client_assertion_is_its_clients_and_for_us_or_refused__rfc7523_3() {
    hold("client_assertion", client_assertion);
}

#[test]
fn any_request_object_is_its_clients_and_for_us_or_refused__rfc9101_6_3() {
    hold("request_object", request_object);
}

#[test]
fn any_client_metadata_is_kept_to_its_rules_or_refused__rfc7591_2() {
    hold("client_metadata", client_metadata);
}

#[test]
fn any_redirect_uri_is_the_registered_one_or_refused__rfc9700_2_1() {
    hold("redirect_uri", redirect_uri);
}

#[test]
fn any_dpop_proof_is_for_this_request_or_refused__rfc9449_4_3() {
    hold("dpop_proof", shared::untrusted::dpop_proof);
}

#[test]
fn any_distinguished_name_means_the_same_when_written_or_is_refused__rfc8705_2_1() {
    hold("distinguished_name", shared::untrusted::distinguished_name);
}

#[test]
fn any_certificate_of_a_proxy_is_one_whole_certificate_or_refused__rfc8705_2() {
    hold("client_certificate_header", shared::untrusted::client_certificate_header);
}
