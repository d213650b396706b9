//! Every page and every mail with made-up data, in each language: for `auth-server templates check`, for the samples in
//! `docs/mails`, and for the test that no template is forgotten.

use std::sync::Arc;

use anyhow::Context;
use shared::Platform;
use shared::config::Config;
use tempfile::TempDir;

use crate::AppState;
use crate::locales::Locale;
use crate::outside::mail::letter::{Letter, Letterhead};
use crate::outside::mail::samples as mails;
use crate::pages::{assets, samples as pages};

/// A template, rendered.
pub struct Sample {
    /// `pages`, `parts` of pages, or `mails`.
    pub folder: &'static str,
    pub name: String,
    pub locale: Locale,
    /// `html` or `txt`.
    pub extension: &'static str,
    /// The type that the template belongs to.
    pub of: &'static str,
    pub rendered: Result<String, String>,
    /// The messages that are not there in this language, or lack an argument.
    pub missing: Vec<String>,
}

impl Sample {
    /// `pages/en/login.html`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}.{}", self.folder, self.locale.tag(), self.name, self.extension)
    }

    /// What is wrong with it.
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> =
            self.missing.iter().map(|key| format!("the message {key} is not there")).collect();
        let text = match &self.rendered {
            Ok(text) => text,
            Err(error) => {
                faults.push(format!("can't be rendered: {error}"));
                return faults;
            }
        };
        // What Fluent leaves where it does not know better, and the marks of text that runs both ways.
        for left in ["Unknown localization", "{ $", "{$", "{{", "{%", "\u{2068}", "\u{2069}"] {
            if text.contains(left) {
                faults.push(format!("{left:?} is left in it"));
            }
        }
        if text.trim().is_empty() {
            faults.push("is empty".into());
        }
        if self.folder == "pages" {
            faults.extend(page_faults(text, self.locale));
        }
        faults
    }
}

fn page_faults(text: &str, locale: Locale) -> Vec<String> {
    let mut faults = vec![];
    if !text.contains(&format!("<html lang=\"{}\">", locale.tag())) {
        faults.push("does not say its language".into());
    }
    let title = text.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    if title.trim().is_empty() || title.trim_start().starts_with('·') {
        faults.push("has no title".into());
    }
    let headings = text.matches("<h1").count();
    if headings != 1 {
        faults.push(format!("has {headings} main headings"));
    }
    // The policy lets none of them through.
    for inline in ["<style", " style=\"", "<script>", " onclick=", "javascript:"] {
        if text.contains(inline) {
            faults.push(format!("has {inline} in it"));
        }
    }
    faults
}

/// A server that serves nobody, with the operator's settings as far as they concern what people see.
pub struct Stage {
    pub state: AppState,
    // Gone with the rest.
    _folder: TempDir,
}

impl Stage {
    /// On a database of its own, and without a cache, mail or anything else outside.
    ///
    /// # Errors
    /// When there is no room for temporary files, or the settings are not usable.
    pub async fn set(config: &Config) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the database of the samples")?;
        let mut config = config.clone();
        config.data_dir = folder.path().to_owned();
        config.database.url = None;
        config.database.migrate_on_start = Some(true);
        config.redis.url = None;
        config.smtp.url = None;
        config.keys.master_key = None;
        let state = AppState::new(Platform::open(Arc::new(config)).await?).await?;
        Ok(Self { state, _folder: folder })
    }

    /// Everything, in each language.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<_> = Locale::ALL.into_iter().flat_map(|locale| pages::all(&self.state, locale)).collect();
        samples.extend(letters(&Letterhead::of(&self.state.platform.config)));
        samples
    }

    /// The files that pages name, by their paths.
    pub fn assets(&self) -> Vec<(String, axum::body::Bytes)> {
        assets::files(&self.state)
    }
}

/// Every mail, as HTML and as text, as `head` says who sends it.
pub fn letters(head: &Letterhead) -> Vec<Sample> {
    let mut samples = vec![];
    for mails::SampleLetter { name, locale, letter, missing } in mails::letters(head) {
        for (extension, of, rendered) in [
            ("html", std::any::type_name::<Letter>(), askama::Template::render(&letter)),
            ("txt", Letter::PLAIN, letter.plain()),
        ] {
            samples.push(Sample {
                folder: "mails",
                name: name.clone(),
                locale,
                extension,
                of,
                rendered: rendered.map_err(|error| error.to_string()),
                missing: missing.clone(),
            });
        }
    }
    samples
}

/// Those of a server that configures nothing but its address, with their subjects: for the documentation.
pub fn documented_letters() -> Vec<(String, Sample)> {
    let head = mails::letterhead();
    let subjects = mails::letters(&head).into_iter().flat_map(|sample| {
        let subject = sample.letter.subject;
        [subject.clone(), subject]
    });
    subjects.zip(letters(&head)).collect()
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod tests;
