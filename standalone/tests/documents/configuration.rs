//! docs/CONFIGURATION.md: made from the one place where every key is stated.

use std::fmt::Write;

use shared::config::{KEYS, Key, SECTIONS};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `cargo xtask docs` from shared/src/config/keys.rs; changes here are lost. -->

Everything has a default, so an empty configuration is one that works: SQLite and an in-process cache in `./data`.
What is set comes from, later ones winning:

1. `referris.toml` in the working directory, or the file that `--config` names;
2. the environment: `REFERRIS__SECTION__KEY`, and for a few keys the plain names that other tools use.

Both services, `standalone` and the command line read the same schema, so that one file serves all of them. A key that
does not exist is an error, and every mistake is reported at once with the key, the reason and the fix:
`auth-server config check` reads the configuration without starting anything.

A secret may come from a file: `database.url_file = \"/run/secrets/database\"`, or `REFERRIS__DATABASE__URL_FILE`. Secrets
are redacted wherever the configuration is printed.

Lists are written as in TOML, also in the environment: `REFERRIS__TRUSTED_PROXIES='[\"10.0.0.0/8\"]'`.
";

#[test]
fn the_configuration_reference_is_what_the_code_says() {
    let mut page = INTRODUCTION.to_owned();
    let of = |section: &'static str| {
        KEYS.iter().filter(move |key| match key.path.split_once('.') {
            Some((prefix, _)) => prefix == section,
            None => section.is_empty(),
        })
    };
    write(&mut page, "At the top level", "Written before the first section of the file.", of(""));
    for (section, about) in SECTIONS {
        write(&mut page, &format!("`[{section}]`"), about.trim(), of(section));
    }
    super::document("docs/CONFIGURATION.md", &page);
}

fn write<'k>(page: &mut String, title: &str, about: &str, keys: impl Iterator<Item = &'k Key>) {
    let _ = write!(page, "\n## {title}\n\n{about}\n\n| Key, environment | Default | Meaning |\n|---|---|---|\n");
    for key in keys {
        let variable = format!("REFERRIS__{}", key.path.replace('.', "__").to_uppercase());
        let default = match (key.default, key.secret) {
            ("", true) => "none; secret".to_owned(),
            ("", false) => "none".to_owned(),
            (default, _) => format!("`{default}`"),
        };
        let doc: Vec<_> = key.doc.iter().map(|line| line.trim()).collect();
        let doc = doc.join(" ").replace('|', "\\|");
        let _ = writeln!(page, "| `{}`<br>`{variable}` | {default} | {doc} |", key.path);
    }
}

#[test]
fn every_key_says_what_it_means() {
    for key in KEYS {
        let doc = key.doc.join(" ");
        assert!(doc.trim().ends_with(['.', '?']), "{}: {doc:?} is not a sentence", key.path);
        assert!(!doc.contains("fn "), "{}: {doc:?} is code", key.path);
    }
}
