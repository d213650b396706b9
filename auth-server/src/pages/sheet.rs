//! [`Sheet`]: a page of words and small forms, for all that asks one thing at a time.

use std::time::Duration;

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::Response;
use shared::problem::retry_after_header;

use super::account::Section;
use super::field::Field;
use super::layout::Page;
use super::samples::Samples;
use super::texts::Texts;

/// What stands on the page, from top to bottom.
#[derive(Default)]
pub struct Sheet {
    pub title: String,
    pub lead: Option<String>,
    /// Whom or what it is about, in full: an address.
    pub about: Option<String>,
    /// Something went well.
    pub notice: Option<String>,
    /// Something did not.
    pub alert: Option<String>,
    pub words: Vec<String>,
    /// What is done and what is missing.
    pub steps: Vec<Step>,
    pub forms: Vec<FormPart>,
    pub hint: Option<String>,
    /// Where else to go: words and path.
    pub links: Vec<(String, String)>,
}

/// A step on the way, done or not.
pub struct Step {
    pub done: bool,
    pub what: String,
    pub about: String,
}

/// A form with its one button.
pub struct FormPart {
    pub heading: Option<String>,
    pub action: &'static str,
    pub hidden: Vec<(&'static str, String)>,
    /// For password managers: whose password this is.
    pub username: Option<String>,
    pub fields: Vec<Field>,
    pub submit: String,
    /// Not what the page is for.
    pub plain: bool,
}

impl FormPart {
    pub fn new(action: &'static str, csrf: String, submit: String) -> Self {
        Self {
            heading: None,
            action,
            hidden: vec![("csrf", csrf)],
            username: None,
            fields: vec![],
            submit,
            plain: false,
        }
    }

    pub fn hidden(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.hidden.push((name, value.into()));
        self
    }

    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }
}

/// A field for a new password.
pub fn new_password(page: &Page, label: &str) -> Field {
    let t = page.t();
    let min = u64::from(page.state().platform.config.passwords.min_length);
    let mut field = Field::new("password", "password", "new-password", t.get(label)).required().hint(t.count(
        "signup-password-hint",
        "n",
        min,
    ));
    field.max_length = crate::passwords::MAX_BYTES;
    field
}

/// A field for the password of now.
pub fn current_password(page: &Page) -> Field {
    let label = page.t().get("password-current");
    let mut field = Field::new("current_password", "password", "current-password", label).required();
    field.max_length = crate::passwords::MAX_BYTES;
    field
}

/// A field for a code from a mail.
pub fn mailed_code(page: &Page) -> Field {
    let t = page.t();
    let mut field = Field::new("code", "text", "one-time-code", t.get("recovery-code")).required();
    field.hint = Some(t.get("recovery-code-hint"));
    field.max_length = 32;
    field
}

#[derive(Template)]
#[template(path = "pages/sheet.html")]
struct PublicSheet<'a> {
    page: &'a Page,
    t: Texts,
    sheet: &'a Sheet,
}

#[derive(Template)]
#[template(path = "pages/account/sheet.html")]
struct AccountSheet<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    sheet: &'a Sheet,
}

impl Sheet {
    /// What was wrong with fields, for the summary.
    fn faults(&self) -> Vec<(&'static str, &str)> {
        let fields = self.forms.iter().flat_map(|form| &form.fields);
        fields.filter_map(|field| Some((field.name, field.error.as_deref()?))).collect()
    }

    /// Says of a field what is wrong with it.
    pub fn blame(&mut self, name: &str, message: String) {
        for field in self.forms.iter_mut().flat_map(|form| &mut form.fields) {
            field.focus = false;
            if field.name == name {
                field.error = Some(message.clone());
            }
        }
    }

    /// As a page for everybody.
    pub fn show(&self, page: &Page, status: StatusCode) -> Response {
        page.render(status, &PublicSheet { page, t: page.t(), sheet: self })
    }

    /// As a page of the account's.
    pub fn show_in(&self, page: &Page, status: StatusCode, section: Section) -> Response {
        page.render(status, &AccountSheet { page, t: page.t(), section, sheet: self })
    }

    /// As a sample of either.
    pub fn sample(page: &Page, into: &mut Samples, name: &str, section: Option<Section>, make: impl FnOnce() -> Self) {
        // Made where texts that are missing are noticed; the page borrows it.
        let (sheet, missing) = crate::locales::missed(make);
        match section {
            None => into.page(name, || PublicSheet { page, t: page.t(), sheet: &sheet }),
            Some(section) => into.page(name, || AccountSheet { page, t: page.t(), section, sheet: &sheet }),
        }
        into.missing(missing);
    }
}

/// Tells when to come back.
pub fn after(mut response: Response, wait: Duration) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(wait));
    response
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    Sheet::sample(page, into, "sheet", None, || {
        let t = page.t();
        let mut form =
            FormPart::new("/forgot-password", String::new(), t.get("forgot-submit")).field(mailed_code(page));
        form.heading = Some(t.get("email-another"));
        let mut sheet = Sheet {
            title: t.get("forgot-title"),
            lead: Some(t.get("forgot-text")),
            about: Some("ann@example.com".into()),
            notice: Some(t.get("reset-done")),
            alert: Some(t.get("login-busy")),
            words: vec![t.get("delete-text")],
            steps: vec![
                Step { done: true, what: t.get("email-step-done"), about: "ann@example.com".into() },
                Step { done: false, what: t.get("email-step-waits"), about: "ann@example.org".into() },
            ],
            forms: vec![form],
            hint: Some(t.get("reset-hint")),
            links: vec![(t.get("forgot-back"), "/login".into())],
        };
        sheet.blame("code", t.get("recovery-code-wrong"));
        sheet
    });
}
