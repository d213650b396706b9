//! No template is forgotten, and each is fine with made-up data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use shared::config::load_from;

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extensions, found);
        } else if extensions.iter().any(|extension| path.extension().is_some_and(|e| e == *extension)) {
            found.push(path);
        }
    }
}

/// The type that each template belongs to, as `type_name` tells it, and the template's path.
fn types() -> BTreeMap<String, String> {
    let source = root().join("auth-server/src");
    let mut paths = vec![];
    files(&source, &["rs"], &mut paths);
    let mut types = BTreeMap::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let module = path.strip_prefix(&source).unwrap().with_extension("");
        let module = module.to_string_lossy().replace('/', "::");
        let module = module.trim_end_matches("::mod");
        for rest in text.split("\n#[template(path = \"").skip(1) {
            let (template, rest) = rest.split_once('"').unwrap();
            let name = rest.split("struct ").nth(1).unwrap();
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            types.insert(format!("auth_server::{module}::{name}"), template.to_owned());
        }
    }
    types
}

/// The templates that this one is made of.
fn made_of(template: &str, found: &mut BTreeSet<String>) {
    if !found.insert(template.to_owned()) {
        return;
    }
    let text = std::fs::read_to_string(root().join("templates").join(template)).unwrap();
    for word in ["{% extends \"", "{% include \"", "{% import \""] {
        for rest in text.split(word).skip(1) {
            made_of(rest.split('"').next().unwrap(), found);
        }
    }
}

async fn stage(pairs: &[(&str, &str)]) -> Stage {
    let pairs = pairs.iter().map(|(key, value)| (format!("REFERRIS__{key}"), (*value).to_owned()));
    Stage::set(&load_from(None, pairs).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_page_and_mail_is_fine_with_made_up_data_in_each_language_and_none_is_forgotten() {
    let samples = stage(&[]).await.samples();
    let faults: Vec<String> = samples
        .iter()
        .flat_map(|sample| sample.faults().into_iter().map(|fault| format!("{}: {fault}", sample.path())))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let paths: BTreeSet<_> = samples.iter().map(Sample::path).collect();
    assert_eq!(paths.len(), samples.len(), "two have one name");

    let types = types();
    assert!(types.len() > 30, "the source is read: {types:?}");
    for locale in Locale::ALL {
        let rendered: BTreeSet<&str> = samples.iter().filter(|s| s.locale == locale).map(|s| s.of).collect();
        let forgotten: Vec<_> = types.iter().filter(|(of, _)| !rendered.contains(of.as_str())).collect();
        assert!(forgotten.is_empty(), "no sample in {locale:?} of {forgotten:?}");
        let unknown: Vec<_> = rendered.iter().filter(|of| !types.contains_key(**of)).collect();
        assert!(unknown.is_empty(), "these are no templates: {unknown:?}");
    }

    // The demo app renders its own, and it has no other language.
    let mut used = BTreeSet::new();
    for template in types.values() {
        made_of(template, &mut used);
    }
    let folder = root().join("templates");
    let mut there = vec![];
    for part in ["pages", "mail"] {
        files(&folder.join(part), &["html", "txt", "svg", "xml"], &mut there);
    }
    let there = there.iter().map(|path| path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned());
    let unused: Vec<_> = there.filter(|path| !used.contains(path)).collect();
    assert!(unused.is_empty(), "rendered by no sample: {unused:?}");
    let folders = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let folders: BTreeSet<String> = folders.collect();
    let known = ["demo", "locales", "mail", "pages", "static"].map(str::to_owned);
    assert_eq!(folders, BTreeSet::from(known), "a folder that this test does not look into");
}

#[test]
fn what_a_sample_lacks_is_told() {
    let sample = |folder: &'static str, text: &str| Sample {
        folder,
        name: "x".into(),
        locale: Locale::Ru,
        extension: "html",
        of: "",
        rendered: Ok(text.to_owned()),
        missing: vec![],
    };
    let whole = "<html lang=\"ru\"><title>A</title><h1>A</h1>";
    assert_eq!(sample("pages", whole).faults(), Vec::<String>::new());
    for (text, expected) in [
        (whole.replace("ru", "en"), "language"),
        (whole.replace(">A<", ">{$name}<"), "left in it"),
        (whole.replace("A</h1>", "Unknown localization key: \"x\"</h1>"), "left in it"),
        (whole.replace("<title>A", "<title> · A"), "title"),
        (whole.replace("<h1>A</h1>", ""), "0 main headings"),
        (whole.replace("<h1>", "<h1 style=\"x\">"), "style"),
        (String::new(), "empty"),
    ] {
        let faults = sample("pages", &text).faults();
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}: {faults:?}");
    }
    let failed = Sample { rendered: Err("no".into()), missing: vec!["skip (ru)".into()], ..sample("mails", "x") };
    assert_eq!(failed.faults(), ["the message skip (ru) is not there", "can't be rendered: no"]);
}

#[tokio::test]
async fn samples_are_as_the_operator_has_them_look() {
    let stage = stage(&[("BRAND__NAME", "Кафе Роза"), ("BRAND__ACCENT_LIGHT", "#6d28d9")]).await;
    for sample in stage.samples().iter().filter(|sample| sample.folder != "parts") {
        let text = sample.rendered.as_ref().unwrap();
        assert!(text.contains("Кафе Роза") && !text.contains("Referris"), "{}: {text}", sample.path());
    }
    let files = stage.assets();
    let brand = files.iter().find(|(path, _)| path.starts_with("/assets/brand-6d28d9-0-system-")).expect("its colours");
    assert!(brand.1.starts_with(b":root{"));
}
