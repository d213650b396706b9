//! docs/PROBLEMS.md: the catalogue of problem documents, made from the code; and the catalogue has every kind that the
//! code makes, with its status and title.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use shared::problem::Problem;
use shared::problem::catalogue::{KINDS, Kind, find};

const INTRODUCTION: &str = "\
# Problems

<!-- Made by `cargo xtask docs` from shared/src/problem/catalogue.rs; changes here are lost. -->

What the referral API and the authorization server's JSON API answer when something is wrong: a problem document
(RFC 9457, `application/problem+json`). OAuth endpoints answer as RFC 6749 says instead, and browsers get a page.

Programs decide by `type`, a URN that stays the same in every version and at every address; people read `title` and
`detail`. Each kind has a page at both services, `/problems/` and the last part of its `type`, and every problem leads there
in its `Link` header (`rel=\"help\"`). `errors` points at the fields at fault, and `request_id` names the request in the logs.
A status that has no kind of its own here comes as `urn:referris:problem:http-` and its number.

| Status | `type` | Title |
|---|---|---|
";

#[test]
fn the_catalogue_of_problems_is_what_the_code_says() {
    let mut page = INTRODUCTION.to_owned();
    for Kind { slug, status, title, .. } in KINDS {
        let _ = writeln!(page, "| {status} | [`urn:referris:problem:{slug}`](#{slug}) | {title} |");
    }
    for kind in KINDS {
        let example = serde_json::to_string_pretty(&kind.example(Some(("#/expires_at", "must lie in the future"))));
        let _ = write!(
            page,
            "\n## {}\n\n{} {}. {}\n\n**What to do:** {}\n\n```json\n{}\n```\n",
            kind.slug,
            kind.status,
            kind.title,
            kind.meaning,
            kind.remedy,
            example.unwrap(),
        );
    }
    super::document("docs/PROBLEMS.md", &page);
}

/// A problem that the code makes: where, and what it calls it.
#[derive(Debug)]
struct Made {
    at: String,
    status: Option<u16>,
    slug: String,
    title: Option<String>,
}

#[test]
fn the_catalogue_has_every_problem_that_the_code_makes() {
    let root = super::root();
    let mut made = vec![];
    for part in ["shared/src", "referral-api/src", "auth-server/src", "demo-app/src", "standalone/src"] {
        for file in sources(&root.join(part)) {
            let text = std::fs::read_to_string(&file).unwrap();
            // What tests make up is theirs.
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            made.extend(problems_in(&file.display().to_string(), text));
        }
    }
    assert!(made.len() > 15, "they are found: {made:?}");
    let wrong: Vec<_> = made.iter().filter(|made| !is_in_the_catalogue(made)).collect();
    let told: Vec<_> = wrong.iter().map(|m| format!("{}: {:?} {} {:?}", m.at, m.status, m.slug, m.title)).collect();
    assert!(wrong.is_empty(), "not, or not like this, in shared/src/problem/catalogue.rs: {told:#?}");
    let unused: Vec<_> = KINDS.iter().filter(|kind| made.iter().all(|made| made.slug != kind.slug)).collect();
    assert!(unused.is_empty(), "nobody makes these any more: {unused:#?}");
}

fn is_in_the_catalogue(made: &Made) -> bool {
    find(&made.slug).is_some_and(|kind| {
        made.status.is_none_or(|status| status == kind.status)
            && made.title.as_deref().is_none_or(|title| title == kind.title)
    })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The calls of `Problem::new` and `Problem::conflict` whose name stands in the code as it is.
fn problems_in(file: &str, text: &str) -> Vec<Made> {
    let mut made = vec![];
    for (call, conflict) in [("Problem::new(", false), ("Self::new(", false), ("Problem::conflict(", true)] {
        for (start, _) in text.match_indices(call) {
            let arguments = &text[start + call.find('(').unwrap_or_default()..];
            // Where the statement ends, or the block whose value it is.
            let end = arguments.find([';', '}']).unwrap_or(arguments.len());
            let arguments = &arguments[..end];
            // Of other types than a problem nothing is wanted.
            if call == "Self::new(" && !arguments[1..].trim_start().starts_with("StatusCode::") {
                continue;
            }
            let literals: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
            // The name comes before the first literal that is no name: of a variable nothing is known here.
            let Some(slug) = literals.first().filter(|slug| is_a_name(slug)) else { continue };
            let name = arguments.split("StatusCode::").nth(1).and_then(|rest| rest.split(',').next());
            let (status, title) = match conflict {
                true => (Some(409), Some(Problem::conflict(slug, "").title().to_owned())),
                false => (name.and_then(status_of), literals.get(1).map(|title| (*title).to_owned())),
            };
            let line = text[..start].lines().count();
            made.push(Made { at: format!("{file}:{line}"), status, slug: (*slug).to_owned(), title });
        }
    }
    made
}

fn is_a_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `UNPROCESSABLE_ENTITY` is 422.
fn status_of(name: &str) -> Option<u16> {
    let wanted = name.replace('_', " ");
    (400..600).find(|status| {
        let problem = Problem::from_status((*status).try_into().expect("a status"));
        let reason = problem.status().canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace('-', " ") == wanted
    })
}

#[test]
fn problems_are_read_from_code() {
    let code = "let a = Problem::conflict(\n    \"code-gone\", \"text\");\n\
                let b = Problem::new(StatusCode::GONE, \"gone\", \"It is gone\").with_detail(\"x\");\n\
                let c = Problem::new(status, slug, \"Whatever\");";
    let made = problems_in("a.rs", code);
    let found: Vec<_> = made.iter().map(|m| (m.status, m.slug.as_str(), m.title.as_deref().unwrap())).collect();
    assert_eq!(
        found,
        [(Some(410), "gone", "It is gone"), (Some(409), "code-gone", "This collides with what is there already"),]
    );
    assert!(made.iter().all(|made| !is_in_the_catalogue(made)));
}
