//! docs/CONFORMANCE.md: every test that names the section it holds the code to (`…__rfc6749_4_1_2`), under its
//! specification. The requirement is stated by hand in `docs/conformance/`, or it is the test's own sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const INTRODUCTION: &str = "\
# Conformance

<!-- Made by `cargo xtask docs` from the names of the tests and docs/conformance/; changes here are lost. -->

What is required, where it says so, and the test that holds the code to it. A test's name ends in its specification and
section. Those below `auth-server/tests/conformance/` run on SQLite and on PostgreSQL with Redis, each on a server of its
own; those below `e2e/` drive the running system.
";

/// Where tests are.
const FOLDERS: &[&str] = &["auth-server", "referral-api", "shared", "e2e"];

#[derive(serde::Deserialize)]
struct Specifications {
    specification: Vec<Specification>,
}

#[derive(serde::Deserialize)]
struct Specification {
    title: String,
    url: String,
    /// How tests call it.
    keys: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirements {
    /// A key.
    specification: String,
    requirement: Vec<Requirement>,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    section: String,
    requirement: String,
    tests: Vec<String>,
}

#[test]
fn the_conformance_table_has_no_empty_cell_and_names_only_tests_that_exist() {
    let tests = tests();
    let Specifications { specification: specifications } = read(&folder().join("specifications.toml"));
    let mut rows: BTreeMap<usize, Vec<Requirement>> = BTreeMap::new();
    let mut wrong = vec![];
    let mut stated = BTreeSet::new();

    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| !file.ends_with("specifications.toml")) {
        let name = file.display();
        let Requirements { specification, requirement } = read(file);
        let Some(index) = specifications.iter().position(|s| s.keys.contains(&specification)) else {
            wrong.push(format!("{name}: there is no specification {specification}"));
            continue;
        };
        for row in requirement {
            if row.section.is_empty() || row.requirement.is_empty() || row.tests.is_empty() {
                wrong.push(format!("{name}: a cell is empty: {} {}", row.section, row.requirement));
            }
            for test in &row.tests {
                if !tests.contains_key(test) {
                    wrong.push(format!("{name}: there is no test {test}"));
                }
                stated.insert((index, test.clone()));
            }
            rows.entry(index).or_default().push(row);
        }
    }
    for test in tests.keys() {
        let mut parts = test.split("__");
        let sentence = parts.next().unwrap_or_default();
        for part in parts.filter(|part| !part.starts_with("on_")) {
            let Some((index, section)) = section_of(part, &specifications) else {
                wrong.push(format!("{test}: {part} is no specification of docs/conformance/specifications.toml"));
                continue;
            };
            if stated.insert((index, test.clone())) {
                let requirement = sentence_of(sentence);
                rows.entry(index).or_default().push(Requirement { section, requirement, tests: vec![test.clone()] });
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let mut page = INTRODUCTION.to_owned();
    for (index, rows) in &mut rows {
        let Specification { title, url, .. } = &specifications[*index];
        let _ = write!(page, "\n## [{title}]({url})\n\n");
        page += "| Specification | Section | Requirement | Test |\n|---|---|---|---|\n";
        rows.sort_by_key(|row| (order(&row.section), row.requirement.clone()));
        let short = title.split(':').next().unwrap_or(title);
        for Requirement { section, requirement, tests: named } in rows {
            let links: Vec<String> = named.iter().map(|test| format!("[{test}](../{})", tests[test])).collect();
            let _ = writeln!(page, "| {short} | {section} | {requirement} | {} |", links.join("<br>"));
        }
    }
    super::document("docs/CONFORMANCE.md", &page);
}

fn folder() -> PathBuf {
    super::root().join("docs/conformance")
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// `rfc6749_4_1_2` is section 4.1.2 of what is called `rfc6749`. Without a section, it is the whole.
fn section_of(part: &str, specifications: &[Specification]) -> Option<(usize, String)> {
    let keys = specifications.iter().enumerate().flat_map(|(index, s)| s.keys.iter().map(move |key| (index, key)));
    let matching = keys.filter_map(|(index, key)| {
        let rest = part.strip_prefix(key.as_str())?;
        (rest.is_empty() || rest.starts_with('_')).then_some((key.len(), index, rest))
    });
    let (_, index, rest) = matching.max()?;
    let section = rest.trim_matches('_').replace('_', ".").to_uppercase();
    Some((index, if section.is_empty() { "all".into() } else { section }))
}

/// `a_code_used_twice` reads "A code used twice".
fn sentence_of(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// 10 comes after 9, and appendices after sections.
fn order(section: &str) -> Vec<(u64, String)> {
    section.split('.').map(|part| (part.parse().unwrap_or(u64::MAX), part.to_owned())).collect()
}

/// Every test whose name has a section, and its file.
fn tests() -> BTreeMap<String, String> {
    let mut files = vec![];
    for folder in FOLDERS {
        collect(&super::root().join(folder), &mut files);
    }
    let mut tests = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(super::root()).unwrap().display().to_string();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            } else if let Some(name) = line.split("fn ").nth(1).filter(|_| is_test) {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                if name.contains("__") {
                    tests.insert(name.to_owned(), path.clone());
                }
                is_test = false;
            }
        }
    }
    tests
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules" && name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
