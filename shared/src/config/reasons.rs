//! What is wrong with a value, in the words of who writes it.

use figment::error::{Kind, OneOf};

use super::keys::{KEYS, Key};

/// Of a value that does not fit, and what would.
pub(super) fn unfit(kind: &Kind, key: &Key) -> String {
    let reason = match kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("must be {}, and is {found}", plain(expected))
        }
        Kind::UnknownVariant(found, known) => format!("must be {}, and is `{found}`", OneOf(known)),
        Kind::MissingField(name) => format!("`{name}` is missing"),
        Kind::UnknownField(name, known) => format!("has no `{name}`; there are {}", known.join(", ")),
        other => other.to_string(),
    };
    format!("{reason}; for example {}", example(key))
}

/// A type as people call it.
fn plain(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a string" | "string" | "path string" => "text",
        "a sequence" => "a list",
        other => other,
    }
}

/// Of a file that is no TOML. What stands in it is not repeated: it may be a secret.
pub(super) fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return error.message().to_owned() };
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    format!("line {line}, column {column}: {}", error.message())
}

fn example(key: &Key) -> String {
    if key.default.is_empty() { "see docs/CONFIGURATION.md".into() } else { format!("the default, {}", key.default) }
}

pub(super) fn unknown(key: &str) -> String {
    let near = KEYS.iter().map(|k| (distance(k.path, key), k.path)).min().filter(|(d, _)| *d <= 3);
    match near {
        Some((_, path)) => format!("there is no such key; did you mean {path}?"),
        None => "there is no such key; take it out".into(),
    }
}

/// Levenshtein's distance, for «did you mean».
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let next = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = next;
        }
    }
    row.last().copied().unwrap_or_default()
}
