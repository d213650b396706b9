//! docs/mails: every mail as people get it, in each language, as HTML and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use auth_server::samples::documented_letters;

const FOLDER: &str = "docs/mails";

const INTRODUCTION: &str = "\
# Mails

<!-- Made by `cargo xtask docs` from templates/mail and templates/locales; changes here are lost. -->

Every mail that the authorization server sends, with made-up data, as a server at `https://id.example.com` sends it that
configures nothing else. Name and colours are the brand's (`[brand]` in [CONFIGURATION.md](../CONFIGURATION.md));
`auth-server templates check --out DIR` writes them as yours has them, and the pages with them. The HTML files are to be
opened in a browser, which shows them light or dark as its system is.

| Mail | English | Russian | Subject |
|---|---|---|---|
";

#[test]
fn the_samples_of_mails_are_what_the_code_sends() {
    let mut expected = BTreeSet::from(["README.md".to_owned()]);
    let mut rows: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for (subject, sample) in documented_letters() {
        let path = sample.path();
        let path = path.strip_prefix("mails/").expect("they are mails");
        let text = sample.rendered.expect("it is rendered");
        super::document(&format!("{FOLDER}/{path}"), &(text.trim_end().to_owned() + "\n"));
        expected.insert(path.to_owned());
        let (row, languages) = rows.entry(sample.name).or_default();
        languages.insert(sample.locale.tag().to_owned());
        if sample.locale.tag() == "en" {
            *row = subject;
        }
    }
    let mut index = INTRODUCTION.to_owned();
    for (name, (subject, languages)) in &rows {
        assert_eq!(languages.iter().collect::<Vec<_>>(), ["en", "ru"], "{name}");
        let links = |tag: &str| format!("[HTML]({tag}/{name}.html), [text]({tag}/{name}.txt)");
        let subject = subject.replace('|', "\\|");
        let _ = writeln!(index, "| {name} | {} | {} | {subject} |", links("en"), links("ru"));
    }
    super::document(&format!("{FOLDER}/README.md"), &index);

    // One that is sent no more is not left lying about.
    let folder = super::root().join(FOLDER);
    let mut there = BTreeSet::new();
    for part in ["", "en", "ru"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                there.insert(path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(there, expected);
}
