//! docs/CONFORMANCE.md: what each specification requires, stated by hand in `docs/conformance/`, and the tests that hold
//! the code to it; below that, every other test that names a section (`…__rfc6749_4_1_2`), as its own sentence says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const INTRODUCTION: &str = "\
# Conformance

<!-- Made by `cargo xtask docs` from the names of the tests and docs/conformance/; changes here are lost. -->

What is required, where it says so, and the test that holds the code to it. A test's name ends in its specification and
section. Those below `auth-server/tests/conformance/` run on SQLite and on PostgreSQL with Redis, each on a server of its
own; those below `e2e/` drive the running system. What a specification requires of products unlike this one says why it
does not apply.
";

/// Where tests are.
const FOLDERS: &[&str] = &["auth-server", "referral-api", "shared", "demo-app", "e2e"];

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
    /// Its sections, space separated, where they are listed: others are then mistakes.
    sections: Option<String>,
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
    /// Why nothing can be shown: only for what this product by its contract does not do.
    not_applicable: Option<String>,
}

/// Where each test is; two files of one name are a mistake once anything refers to it.
pub type Tests = BTreeMap<String, Vec<String>>;

#[test]
fn the_conformance_table_has_no_empty_cell_and_names_only_tests_that_exist() {
    let (tests, mut wrong) = all_tests();
    let folder = super::root().join("docs/conformance");
    let Specifications { specification: specifications } = read(&folder.join("specifications.toml"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| !file.ends_with("specifications.toml"));
    let stated: Vec<Requirements> = files.iter().map(|file| read(file)).collect();
    let page = page(&tests, &specifications, stated).unwrap_or_else(|mistakes| {
        wrong.extend(mistakes);
        String::new()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    super::document("docs/CONFORMANCE.md", &page);
}

/// Every test there is, and what only looks like one.
pub fn all_tests() -> (Tests, Vec<String>) {
    let (mut tests, mut wrong, mut files) = (Tests::new(), vec![], vec![]);
    for folder in FOLDERS {
        collect(&super::root().join(folder), &mut files);
    }
    for file in files {
        let path = file.strip_prefix(super::root()).unwrap().display().to_string();
        wrong.extend(read_tests(&path, &std::fs::read_to_string(&file).unwrap(), &mut tests));
    }
    (tests, wrong)
}

/// The page, or everything that is wrong with it.
fn page(tests: &Tests, specifications: &[Specification], stated: Vec<Requirements>) -> Result<String, Vec<String>> {
    let mut rows: BTreeMap<usize, Vec<Requirement>> = BTreeMap::new();
    let mut wrong = vec![];
    let mut shown = BTreeSet::new();
    for Requirements { specification, requirement } in stated {
        let Some(index) = specifications.iter().position(|s| s.keys.contains(&specification)) else {
            wrong.push(format!("there is no specification {specification}"));
            continue;
        };
        for row in requirement {
            let place = format!("{specification} {}: {}", row.section, row.requirement);
            if row.section.is_empty() || row.requirement.is_empty() {
                wrong.push(format!("a cell is empty: {place}"));
            }
            match &row.not_applicable {
                None if row.tests.is_empty() => wrong.push(format!("no test shows {place}")),
                Some(why) if why.is_empty() || !row.tests.is_empty() => {
                    wrong.push(format!("tests show it, or it does not apply and says why: {place}"));
                }
                _ => {}
            }
            for test in &row.tests {
                match tests.get(test).map(Vec::as_slice) {
                    None | Some([]) => wrong.push(format!("there is no test {test}: {place}")),
                    // Those with a section in their name are told below.
                    Some(files) if files.len() > 1 && !test.contains("__") => {
                        wrong.push(format!("more than one test is called {test}: {files:?}"));
                    }
                    Some(_) => {}
                }
                shown.insert((index, row.section.clone(), test.clone()));
            }
            rows.entry(index).or_default().push(row);
        }
    }
    for (test, files) in tests.iter().filter(|(test, _)| test.contains("__")) {
        if files.len() > 1 {
            wrong.push(format!("more than one test is called {test}: {files:?}"));
        }
        let mut parts = test.split("__");
        let sentence = parts.next().unwrap_or_default();
        for part in parts.filter(|part| !part.starts_with("on_")) {
            let Some((index, section)) = section_of(part, specifications) else {
                wrong.push(format!("{test}: {part} is no specification of docs/conformance/specifications.toml"));
                continue;
            };
            if shown.insert((index, section.clone(), test.clone())) {
                let (requirement, tests) = (sentence_of(sentence), vec![test.clone()]);
                rows.entry(index).or_default().push(Requirement { section, requirement, tests, not_applicable: None });
            }
        }
    }

    let mut page = INTRODUCTION.to_owned();
    page += "\n";
    for Specification { title, .. } in specifications {
        let _ = writeln!(page, "- [{title}](#{})", anchor(title));
    }
    for (index, Specification { title, url, sections, .. }) in specifications.iter().enumerate() {
        let Some(mut rows) = rows.remove(&index) else {
            wrong.push(format!("nothing is required by {title}, and no test names it"));
            continue;
        };
        let _ = write!(page, "\n## [{title}]({url})\n\n");
        page += "| Specification | Section | Requirement | Test |\n|---|---|---|---|\n";
        rows.sort_by_cached_key(|row| order(&row.section));
        let short = title.split(':').next().unwrap_or(title);
        for Requirement { section, requirement, tests: named, not_applicable } in rows {
            if sections.as_ref().is_some_and(|list| !list.split_whitespace().any(|known| known == section)) {
                wrong.push(format!("{title} has no section {section}: {requirement} {named:?}"));
            }
            let file = |test: &String| tests.get(test).and_then(|files| files.first()).cloned().unwrap_or_default();
            let links: Vec<String> = named.iter().map(|test| format!("[{test}](../{})", file(test))).collect();
            let cell = not_applicable.map_or_else(|| links.join("<br>"), |why| format!("Does not apply: {why}"));
            let _ = writeln!(page, "| {short} | {section} | {requirement} | {cell} |");
        }
    }
    if wrong.is_empty() { Ok(page) } else { Err(wrong) }
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

/// Adds the tests of one file; what has a section in its name and is no test is a mistake.
fn read_tests(path: &str, text: &str, tests: &mut Tests) -> Vec<String> {
    let mut wrong = vec![];
    let stories = stories(text);
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else if let Some(name) = function(line) {
            if is_test || stories.contains(name) {
                tests.entry(name.to_owned()).or_default().push(path.to_owned());
            } else if name.contains("__") {
                wrong.push(format!("{path}: {name} is never run as a test"));
            }
            is_test = false;
        }
    }
    wrong
}

/// What a link to the heading says, as the usual renderers of Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The name of the function that the line begins.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_declaration = before.split_whitespace().all(|word| word.starts_with("pub") || word == "async");
    is_declaration.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

/// What `on_both_stores!(…)`, or a macro whose name begins so, makes tests of; attributes may precede the name.
fn stories(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let calls = text.split("on_both_stores").skip(1).filter_map(|rest| {
        let (suffix, arguments) = rest.split_once("!(")?;
        suffix.chars().all(is_name).then_some(arguments.trim_start())
    });
    let names = calls.filter_map(|mut arguments| {
        while let Some(attribute) = arguments.strip_prefix("#[") {
            arguments = attribute.split_once(']')?.1.trim_start();
        }
        arguments.split(|c| !is_name(c)).next()
    });
    names.collect()
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

/// One specification, `x`, with sections 1 and 2, and its requirements.
fn page_of(tests: &[(&str, &str)], requirements: &str) -> Result<String, Vec<String>> {
    let specification = "title = \"X\"\nurl = \"https://x.example\"\nkeys = [\"x\"]\nsections = \"1 2\"";
    let specification = toml::from_str(specification).unwrap();
    let mut known = Tests::new();
    for (test, file) in tests {
        known.entry((*test).to_owned()).or_default().push((*file).to_owned());
    }
    let stated = toml::from_str(&format!("specification = \"x\"\nrequirement = [{requirements}]")).unwrap();
    page(&known, &[specification], vec![stated])
}

#[test]
fn a_requirement_that_nothing_shows_is_a_mistake_unless_it_says_why() {
    let good = [("one__x_1", "a.rs")];
    let shown = r#"{ section = "1", requirement = "One", tests = ["one__x_1"] }"#;
    assert!(page_of(&good, shown).unwrap().contains("| X | 1 | One | [one__x_1](../a.rs) |"));
    let why = r#"{ section = "2", requirement = "Two", tests = [], not_applicable = "there is no two" }"#;
    assert!(page_of(&good, why).unwrap().contains("| X | 2 | Two | Does not apply: there is no two |"));
    for (tests, requirement) in [
        (&good[..], r#"{ section = "2", requirement = "Two", tests = [] }"#),
        (&good, r#"{ section = "2", requirement = "Two", tests = [], not_applicable = "" }"#),
        (&good, r#"{ section = "1", requirement = "One", tests = ["one__x_1"], not_applicable = "both" }"#),
        (&good, r#"{ section = "1", requirement = "", tests = ["one__x_1"] }"#),
        (&good, r#"{ section = "1", requirement = "One", tests = ["another__x_1"] }"#),
        (&good, r#"{ section = "3", requirement = "No such section", tests = ["one__x_1"] }"#),
        (&[("one__x_3", "a.rs")], ""),
        (&[("one__x_1", "a.rs"), ("one__y_1", "a.rs")], shown),
        // Which of the two is meant?
        (&[("one__x_1", "a.rs"), ("one__x_1", "b.rs")], shown),
        (&[("one", "a.rs"), ("one", "b.rs")], r#"{ section = "1", requirement = "One", tests = ["one"] }"#),
        // The specification is on the page with something, or it is not on the list.
        (&[], ""),
    ] {
        assert_eq!(page_of(tests, requirement).unwrap_err().len(), 1, "{tests:?} {requirement}");
    }
}

#[test]
fn a_test_has_a_row_in_each_section_it_names_also_when_it_is_stated_in_another() {
    let stated = r#"{ section = "1", requirement = "One", tests = ["both__x_1__x_2"] }"#;
    let page = page_of(&[("both__x_1__x_2", "a.rs")], stated).unwrap();
    assert!(page.contains("| X | 1 | One |") && page.contains("| X | 2 | Both |"), "{page}");
}

#[test]
fn stories_are_tests_and_what_only_looks_like_one_is_a_mistake() {
    let mut tests = Tests::new();
    let text = "
        #[tokio::test(flavor = \"multi_thread\")]
        async fn one__x_1() {}
        async fn two__x_2(world: World) {}
        on_both_stores_by_https!(
            #[ignore = \"needs Go\"]
            two__x_2
        );
        async fn three(world: World) {}
        on_both_stores!(three, \"TOKENS__CODE_SECONDS\" = \"1\");
        pub(super) fn four__x_1() {}
    ";
    let wrong = read_tests("a.rs", text, &mut tests);
    assert_eq!(tests.keys().collect::<Vec<_>>(), ["one__x_1", "three", "two__x_2"]);
    assert_eq!(wrong, ["a.rs: four__x_1 is never run as a test"]);
}
