//! `auth-server templates check`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;
use shared::config::Config;

use super::answer;
use crate::samples::{Sample, Stage};

#[derive(Subcommand)]
pub enum TemplatesCommand {
    /// Render every page and every mail with made-up data, in each language, as this configuration has them look. Exits
    /// with 1 when one of them fails, or lacks a text.
    Check {
        /// Also write them to this folder, to be looked at. Pages find their style sheet where the folder is served as
        /// the root of a site.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

pub async fn run(config: &Config, command: TemplatesCommand, json: bool) -> anyhow::Result<()> {
    let TemplatesCommand::Check { out } = command;
    let stage = Stage::set(config).await?;
    let samples = stage.samples();
    if let Some(folder) = &out {
        for sample in &samples {
            if let Ok(text) = &sample.rendered {
                write(folder, &sample.path(), text.as_bytes())?;
            }
        }
        for (path, content) in stage.assets() {
            write(folder, path.trim_start_matches('/'), &content)?;
        }
    }
    let told =
        |sample: &Sample| sample.faults().into_iter().map(move |fault| (sample.path(), fault)).collect::<Vec<_>>();
    let faults: Vec<(String, String)> = samples.iter().flat_map(told).collect();
    let listed: Vec<_> = faults.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect();
    let said = json!({ "rendered": samples.len(), "faults": listed });
    if faults.is_empty() {
        answer(json, &said, &format!("All {} pages, parts and mails are fine.", samples.len()));
        return Ok(());
    }
    let lines: Vec<String> = faults.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    answer(json, &said, &lines.join("\n"));
    bail!("{} of {} have faults", distinct(&faults), samples.len())
}

fn distinct(faults: &[(String, String)]) -> usize {
    faults.iter().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>().len()
}

fn write(folder: &Path, path: &str, content: &[u8]) -> anyhow::Result<()> {
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).with_context(|| format!("{} can't be made", parent.display()))?;
    std::fs::write(&file, content).with_context(|| format!("{} can't be written", file.display()))
}
