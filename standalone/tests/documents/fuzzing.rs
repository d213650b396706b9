//! Every parser of untrusted input has a fuzz target, seeds that it accepts and refuses, and a property test: what one
//! has and another lacks is named.

use std::collections::BTreeSet;
use std::fs;

use super::root;

/// Where the promises of parsers are: one file each, named like its function.
const PROMISES: [&str; 2] = ["auth-server/src/untrusted", "shared/src/untrusted"];

/// The issue's own list: these may not go.
const NAMED: [&str; 7] = [
    "authorization_request",
    "client_assertion",
    "client_metadata",
    "dpop_proof",
    "redirect_uri",
    "request_object",
    "token_request",
];

/// What lies in a folder, by name and without endings.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_parser_of_untrusted_input_is_fuzzed_and_tested_on_the_same_seeds() {
    let mut parsers: BTreeSet<String> = PROMISES.into_iter().flat_map(names).collect();
    parsers.retain(|name| name != "mod" && name != "tests");
    assert!(NAMED.iter().all(|name| parsers.contains(*name)), "{parsers:?}");
    assert_eq!(names("fuzz/fuzz_targets"), parsers, "a target for each");
    assert_eq!(names("fuzz/seeds"), parsers, "seeds for each");

    let manifest = read("fuzz/Cargo.toml");
    let tests = read("auth-server/src/untrusted/tests.rs");
    for parser in parsers {
        let target = read(&format!("fuzz/fuzz_targets/{parser}.rs"));
        assert!(target.contains(&format!("untrusted::{parser}(data)")), "fuzz/fuzz_targets/{parser}.rs calls another");
        assert!(manifest.contains(&format!("\nname = \"{parser}\"\n")), "fuzz/Cargo.toml does not build {parser}");
        assert!(tests.contains(&format!("hold(\"{parser}\", ")), "auth-server/src/untrusted/tests.rs lacks {parser}");
        let seeds = names(&format!("fuzz/seeds/{parser}"));
        for kind in ["good-", "bad-"] {
            assert!(seeds.iter().any(|seed| seed.starts_with(kind)), "fuzz/seeds/{parser} has none named {kind}…");
        }
    }
}
