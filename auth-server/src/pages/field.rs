//! A labelled input with its hint and its error, and the summary of errors above a form.

use askama::Template;

use super::layout::Page;
use super::samples::Samples;

/// One input. Rendered into a form as `{{ field|safe }}`: its own template escapes what it holds.
#[derive(Template)]
#[template(path = "pages/field.html")]
pub struct Field {
    /// Its name in the form; also its id.
    pub name: &'static str,
    pub label: String,
    /// `email`, `password` or `text`.
    pub kind: &'static str,
    /// WHATWG autofill token.
    pub autocomplete: &'static str,
    pub value: String,
    pub required: bool,
    pub max_length: usize,
    pub hint: Option<String>,
    pub error: Option<String>,
    /// Takes the focus when the page opens.
    pub focus: bool,
    /// Made of digits: phones show their keys.
    pub digits: bool,
    /// What the script needs to ask about while one types: a URL.
    pub check_at: Option<&'static str>,
}

impl Field {
    pub fn new(name: &'static str, kind: &'static str, autocomplete: &'static str, label: String) -> Self {
        Self {
            name,
            label,
            kind,
            autocomplete,
            value: String::new(),
            required: false,
            max_length: 254,
            hint: None,
            error: None,
            focus: false,
            digits: false,
            check_at: None,
        }
    }

    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    pub fn hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The ids of what describes the input, for `aria-describedby`.
    fn described_by(&self) -> String {
        let mut ids = vec![];
        if self.error.is_some() {
            ids.push(format!("{}-error", self.name));
        }
        if self.hint.is_some() {
            ids.push(format!("{}-hint", self.name));
        }
        if self.check_at.is_some() {
            ids.push(format!("{}-status", self.name));
        }
        ids.join(" ")
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    let t = page.t();
    into.part("field", || {
        let mut field = Field::new("email", "email", "username", t.get("field-email")).required().value("ann@");
        field.hint = Some(t.get("recovery-code-hint"));
        field.error = Some(t.get("fault-email-invalid"));
        field.check_at = Some("/signup/referral-code");
        field
    });
}
