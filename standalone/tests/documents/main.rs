//! Documents that cannot rot: those made from the code equal it, and those written by hand name only what is there.
//! `cargo xtask docs` runs this with UPDATE_DOCUMENTS set, and the first kind is written anew.

mod configuration;
mod conformance;
mod fuzzing;
mod mails;
mod openapi;
mod paths;
mod problems;
mod security;
mod tour;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("standalone/ lies in the workspace").to_owned()
}

/// Holds the committed document at `path` to `made`, or writes it.
fn document(path: &str, made: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::create_dir_all(file.parent().expect("documents lie in a folder")).unwrap();
        std::fs::write(&file, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == made {
        return;
    }
    let (line, (was, is)) = committed
        .lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(made.lines().map(Some).chain([None]))
        .enumerate()
        .find(|(_, (was, is))| was != is)
        .unwrap_or((0, (None, None)));
    panic!(
        "{path} differs from the code at line {}; run `cargo xtask docs`\n committed: {was:?}\n code says: {is:?}",
        line + 1
    );
}
