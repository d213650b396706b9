//! Every page with made-up data. Each page's file has its own `samples`: what a template is given is known there alone.

use std::any::type_name;

use askama::Template;
use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use shared::users::User;
use uuid::Uuid;

use super::layout::Page;
use super::{
    account, asks, choose_account, consent, device, email_change, error, field, forgot_password, form_post, home,
    login, logout, reset_password, second_factor, sheet, signup, terms, unsubscribe, upstream, verify_email,
};
use crate::AppState;
use crate::clients::{Client, ClientMetadata, Origin};
use crate::locales::{self, Locale};
use crate::samples::Sample;
use crate::sessions::{ACR_PASSWORD, AMR_PASSWORD, SignedIn};

/// What was rendered so far, in one language.
pub struct Samples {
    locale: Locale,
    found: Vec<Sample>,
}

impl Samples {
    /// A whole page. What it is given is made in `make`, so that texts which are missing there are noticed.
    pub fn page<T: Template>(&mut self, name: &str, make: impl FnOnce() -> T) {
        self.add("pages", name, make);
    }

    /// What stands in pages.
    pub fn part<T: Template>(&mut self, name: &str, make: impl FnOnce() -> T) {
        self.add("parts", name, make);
    }

    /// What was missing in what the last one was made of.
    pub fn missing(&mut self, missing: Vec<String>) {
        if let Some(last) = self.found.last_mut() {
            last.missing.extend(missing);
        }
    }

    fn add<T: Template>(&mut self, folder: &'static str, name: &str, make: impl FnOnce() -> T) {
        let (rendered, missing) = locales::missed(|| make().render());
        self.found.push(Sample {
            folder,
            name: name.to_owned(),
            locale: self.locale,
            extension: "html",
            of: type_name::<T>().split('<').next().unwrap_or_default(),
            rendered: rendered.map_err(|error| error.to_string()),
            missing,
        });
    }
}

/// All of them in `locale`.
pub fn all(state: &AppState, locale: Locale) -> Vec<Sample> {
    let mut into = Samples { locale, found: vec![] };
    let page = &Page::sample(state, locale);
    for samples in [
        asks::samples,
        choose_account::samples,
        consent::samples,
        device::samples,
        email_change::samples,
        error::samples,
        field::samples,
        forgot_password::samples,
        form_post::samples,
        home::samples,
        login::samples,
        logout::samples,
        reset_password::samples,
        second_factor::samples,
        sheet::samples,
        signup::samples,
        terms::samples,
        unsubscribe::samples,
        upstream::samples,
        verify_email::samples,
        account::samples,
    ] {
        samples(page, &mut into);
    }
    into.found
}

pub fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

pub fn user() -> User {
    User {
        id: UserId(Uuid::nil()),
        email: "ann@example.com".into(),
        email_key: "ann@example.com".into(),
        email_canonical: "ann@example.com".into(),
        email_verified_at: Some(moment()),
        given_name: Some("Ann".into()),
        family_name: Some("Lee".into()),
        locale: None,
        role: "user".into(),
        discoverable: true,
        profile: sqlx::types::Json(shared::users::Profile::default()),
        deletion_at: None,
        created_at: moment(),
        updated_at: moment(),
    }
}

pub fn signed_in() -> SignedIn {
    SignedIn {
        user_id: UserId(Uuid::nil()),
        sid: SessionId(Uuid::nil()),
        auth_time: moment(),
        acr: ACR_PASSWORD.into(),
        amr: vec![AMR_PASSWORD.into()],
    }
}

pub fn client(origin: Origin) -> Client {
    Client {
        client_id: match origin {
            Origin::Document => "https://app.example/client".into(),
            _ => "app".into(),
        },
        name: "Bookshelf".into(),
        secret_hash: None,
        sealed_secret: None,
        origin,
        first_party: false,
        metadata: ClientMetadata {
            client_uri: Some("https://app.example/".into()),
            policy_uri: Some("https://app.example/privacy".into()),
            tos_uri: Some("https://app.example/terms".into()),
            ..ClientMetadata::default()
        },
        revision: 0,
        used_at: None,
        created_at: moment(),
    }
}
