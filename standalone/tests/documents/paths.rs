//! Documents written by hand name only what is there: paths in docs/ARCHITECTURE.md, links everywhere.

use std::path::PathBuf;

/// The first parts of what has a slash and is no path of ours.
const MEDIA_TYPES: &[&str] = &["application", "audio", "font", "image", "multipart", "text", "video"];

#[test]
fn every_path_that_the_architecture_names_exists() {
    let root = super::root();
    let text = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md is there");
    let missing: Vec<_> = named_paths(&text).into_iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md names what does not exist: {missing:#?}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = super::root();
    let mut documents: Vec<PathBuf> = vec![];
    for folder in ["", "docs", "docs/decisions", "docker"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|e| e.path());
        documents.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let mut broken = vec![];
    for document in &documents {
        let folder = document.parent().expect("a file lies in a folder");
        for link in links(&std::fs::read_to_string(document).unwrap()) {
            if !folder.join(&link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Paths in code spans (`shared/src/db.rs`) and in drawn trees (fenced blocks whose lines begin with a path; indented
/// lines lie below the last line that was not).
fn named_paths(text: &str) -> Vec<String> {
    let mut found = vec![];
    let mut fenced = false;
    let mut base = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            base.clear();
        } else if fenced {
            let Some(first) = line.split_whitespace().next().filter(|word| is_path(word)) else { continue };
            if line.starts_with(' ') {
                found.push(format!("{base}{first}"));
            } else {
                base = if first.ends_with('/') { first.to_owned() } else { String::new() };
                found.push(first.to_owned());
            }
        } else {
            found.extend(line.split('`').skip(1).step_by(2).filter(|span| is_path(span)).map(str::to_owned));
        }
    }
    found
}

/// Does this text mean a file or folder of the repository?
fn is_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let first = text.split('/').next().unwrap_or_default();
    let file = [".rs", ".md", ".toml", ".sql", ".sh", ".yml", ".html"].iter().any(|end| text.ends_with(end));
    // What begins with a slash is a path of a URL.
    plain && !first.is_empty() && !MEDIA_TYPES.contains(&first) && (text.contains('/') || file)
}

/// The targets of relative links, without their fragments.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|t| !t.contains("://") && !t.starts_with(['#', '/']) && !t.starts_with("mailto:"));
    relative.map(|t| t.split('#').next().unwrap_or_default().to_owned()).filter(|t| !t.is_empty()).collect()
}

#[test]
fn paths_are_told_from_what_looks_like_them() {
    let text = "`shared/src/db.rs`, `GET /livez`, `/oauth/token`, `application/json`, `Cargo.toml`, `Db`, `a::b`\n\
                ```\nshared/   what both need\n  src/db.rs   the handle\n```\n";
    assert_eq!(named_paths(text), ["shared/src/db.rs", "Cargo.toml", "shared/", "shared/src/db.rs"]);
    assert_eq!(links("[a](docs/A.md#top) [b](https://x) [c](#d)"), ["docs/A.md"]);
}
