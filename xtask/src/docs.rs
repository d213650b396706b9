//! `cargo xtask docs`: the documents made from the code. The making and the comparing are a test of `standalone`, which
//! links both services; `cargo xtask test` runs it too.

use anyhow::Result;

use xtask::command::{self, cargo};

/// Rewrites the documents, or with `check` compares them.
pub async fn run(check: bool) -> Result<u8> {
    let mut tests = cargo();
    tests.args(["test", "--quiet", "--workspace", "--test", "documents"]);
    if check {
        tests.env_remove("UPDATE_DOCUMENTS");
    } else {
        tests.env("UPDATE_DOCUMENTS", "1");
    }
    command::run(&mut tests).await
}
