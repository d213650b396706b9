//! `/account/profile`: what one says of oneself, and who may know. The address itself is changed on a page of its own.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::Query;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use shared::outbox::{self, Job};
use shared::problem::retry_after_header;
use shared::users::{Address, Profile, User};

use super::{Account, Done, Section};
use crate::accounts::{self, MAX_NAME, NotAName};
use crate::api::profile::{NewAddress, Wanted, check, write};
use crate::locales::Locale;
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::{Page, see_other};
use crate::pages::samples::Samples;
use crate::pages::texts::{Texts, own_name};

/// Mails to an address that waits for its confirmation, within this time.
const MAILS: u64 = 3;
const WHILE: Duration = Duration::from_secs(3600);

/// The form, and what it holds at first.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    csrf: String,
    given_name: String,
    family_name: String,
    locale: String,
    /// A box that is ticked, or nothing.
    discoverable: String,
    middle_name: String,
    nickname: String,
    preferred_username: String,
    website: String,
    profile: String,
    picture: String,
    gender: String,
    birthdate: String,
    zoneinfo: String,
    phone_number: String,
    formatted: String,
    street_address: String,
    locality: String,
    region: String,
    postal_code: String,
    country: String,
}

impl Sent {
    fn of(user: &User) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let Profile { middle_name, nickname, preferred_username, profile, picture, website, .. } = &user.profile.0;
        let Profile { gender, birthdate, zoneinfo, phone_number, address, .. } = &user.profile.0;
        let address = address.clone().unwrap_or_default();
        let Address { formatted, street_address, locality, region, postal_code, country } = &address;
        Self {
            csrf: String::new(),
            given_name: text(&user.given_name),
            family_name: text(&user.family_name),
            locale: text(&user.locale),
            discoverable: if user.discoverable { "yes".to_owned() } else { String::new() },
            middle_name: text(middle_name),
            nickname: text(nickname),
            preferred_username: text(preferred_username),
            website: text(website),
            profile: text(profile),
            picture: text(picture),
            gender: text(gender),
            birthdate: text(birthdate),
            zoneinfo: text(zoneinfo),
            phone_number: text(phone_number),
            formatted: text(formatted),
            street_address: text(street_address),
            locality: text(locality),
            region: text(region),
            postal_code: text(postal_code),
            country: text(country),
        }
    }

    /// What the person wants, or the names of the fields at fault.
    fn read(&self) -> Result<Wanted, Vec<String>> {
        let mut faults = vec![];
        let mut name = |text: &str, field: &str| {
            accounts::name(Some(text)).unwrap_or_else(|_| {
                faults.push(field.to_owned());
                None
            })
        };
        let given_name = name(&self.given_name, "given_name");
        let family_name = name(&self.family_name, "family_name");
        let locale = accounts::locale(Some(&self.locale)).unwrap_or_else(|fault| {
            faults.push(fault.field().to_owned());
            None
        });
        let given = |text: &str| Some(Some(text.to_owned()));
        let texts = [
            ("middle_name", given(&self.middle_name)),
            ("nickname", given(&self.nickname)),
            ("preferred_username", given(&self.preferred_username)),
            ("website", given(&self.website)),
            ("profile", given(&self.profile)),
            ("picture", given(&self.picture)),
            ("gender", given(&self.gender)),
            ("birthdate", given(&self.birthdate)),
            ("zoneinfo", given(&self.zoneinfo)),
            ("phone_number", given(&self.phone_number)),
        ];
        let address = NewAddress {
            formatted: Some(self.formatted.clone()),
            street_address: Some(self.street_address.clone()),
            locality: Some(self.locality.clone()),
            region: Some(self.region.clone()),
            postal_code: Some(self.postal_code.clone()),
            country: Some(self.country.clone()),
        };
        let mut errors = vec![];
        let profile = check(texts, Some(Some(address)), &mut errors);
        faults.extend(errors.iter().filter_map(|e| Some(e.pointer.rsplit('/').next()?.to_owned())));
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Wanted {
            given_name: Some(given_name),
            family_name: Some(family_name),
            locale: Some(locale),
            discoverable: Some(!self.discoverable.is_empty()),
            profile,
        })
    }
}

/// What is wrong with a field, by its name and what was typed.
fn fault(t: Texts, name: &str, typed: &str) -> String {
    match name {
        "website" | "profile" | "picture" => t.get("profile-fault-url"),
        "birthdate" => t.get("profile-fault-birthdate"),
        "zoneinfo" => t.get("profile-fault-zone"),
        "phone_number" => t.get("profile-fault-phone"),
        "locale" => t.get("fault-locale"),
        "formatted" | "street_address" | "locality" | "region" | "postal_code" | "country" => {
            t.get("profile-fault-address")
        }
        _ if accounts::name(Some(typed)) == Err(NotAName::Lookalike) => t.get("fault-name-lookalike"),
        _ => t.count("fault-name", "n", MAX_NAME as u64),
    }
}

#[derive(Template)]
#[template(path = "pages/account/profile.html")]
struct ProfilePage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    account: &'a Account,
    csrf: String,
    notice: Option<String>,
    alert: Option<String>,
    /// Fields at fault: name, label, what is wrong.
    faults: Vec<(&'static str, String, String)>,
    names: [Field; 2],
    /// Tag, name, is it the one?
    languages: Vec<(String, String, bool)>,
    discoverable: bool,
    more: Vec<Field>,
    lines: Vec<Lines>,
    place: Vec<Field>,
    /// Does the part that is folded away hold anything?
    unfolded: bool,
}

/// A field of several lines.
struct Lines {
    name: &'static str,
    label: String,
    autocomplete: &'static str,
    value: String,
    max_length: usize,
    hint: Option<String>,
    error: Option<String>,
}

fn form<'a>(account: &'a Account, sent: &Sent, faulty: &[String]) -> ProfilePage<'a> {
    let (page, t) = (&account.page, account.page.t());
    let error = |name: &str, typed: &str| faulty.iter().any(|f| f == name).then(|| fault(t, name, typed));
    let field = |name: &'static str, kind: &'static str, autocomplete: &'static str, label: &str, value: &str| {
        let mut field = Field::new(name, kind, autocomplete, t.get(label)).value(value);
        field.error = error(name, value);
        field.max_length = if kind == "url" { 2048 } else { 128 };
        field
    };
    let names = [
        field("given_name", "text", "given-name", "field-given-name", &sent.given_name),
        field("family_name", "text", "family-name", "field-family-name", &sent.family_name),
    ];
    let more = vec![
        field("middle_name", "text", "additional-name", "profile-middle-name", &sent.middle_name),
        field("nickname", "text", "nickname", "profile-nickname", &sent.nickname),
        field("preferred_username", "text", "off", "profile-username", &sent.preferred_username),
        field("website", "url", "url", "profile-website", &sent.website),
        field("profile", "url", "off", "profile-page", &sent.profile),
        field("picture", "url", "photo", "profile-picture", &sent.picture),
        field("gender", "text", "sex", "profile-gender", &sent.gender),
        field("birthdate", "text", "bday", "profile-birthdate", &sent.birthdate).hint(t.get("profile-birthdate-hint")),
        field("zoneinfo", "text", "off", "profile-zone", &sent.zoneinfo).hint(t.get("profile-zone-hint")),
        field("phone_number", "tel", "tel", "profile-phone", &sent.phone_number).hint(t.get("profile-phone-hint")),
    ];
    let place = vec![
        field("locality", "text", "address-level2", "profile-locality", &sent.locality),
        field("region", "text", "address-level1", "profile-region", &sent.region),
        field("postal_code", "text", "postal-code", "profile-postal-code", &sent.postal_code),
        field("country", "text", "country-name", "profile-country", &sent.country),
    ];
    let lines = vec![
        Lines {
            name: "street_address",
            label: t.get("profile-street"),
            autocomplete: "street-address",
            value: sent.street_address.clone(),
            max_length: 128,
            hint: None,
            error: error("street_address", &sent.street_address),
        },
        Lines {
            name: "formatted",
            label: t.get("profile-formatted"),
            autocomplete: "off",
            value: sent.formatted.clone(),
            max_length: 512,
            hint: Some(t.get("profile-formatted-hint")),
            error: error("formatted", &sent.formatted),
        },
    ];
    let mut languages: Vec<_> =
        Locale::ALL.iter().map(|l| (l.tag().to_owned(), own_name(*l).to_owned(), l.tag() == sent.locale)).collect();
    // One that was set through an app, or in which we have no texts, is kept until another is chosen.
    if !languages.iter().any(|(.., chosen)| *chosen) && !sent.locale.is_empty() {
        languages.push((sent.locale.clone(), sent.locale.clone(), true));
    }
    let mut faults: Vec<_> =
        names.iter().chain(&more).chain(&place).collect::<Vec<_>>().into_iter().filter_map(at_fault).collect();
    faults.extend(lines.iter().filter_map(|l| Some((l.name, l.label.clone(), l.error.clone()?))));
    let unfolded = more.iter().chain(&place).any(|f| !f.value.is_empty() || f.error.is_some())
        || lines.iter().any(|l| !l.value.is_empty() || l.error.is_some());
    ProfilePage {
        page,
        t,
        section: Section::Profile,
        account,
        csrf: account.csrf(),
        notice: None,
        alert: None,
        faults,
        names,
        languages,
        discoverable: !sent.discoverable.is_empty(),
        more,
        lines,
        place,
        unfolded,
    }
}

fn at_fault(field: &Field) -> Option<(&'static str, String, String)> {
    Some((field.name, field.label.clone(), field.error.clone()?))
}

pub async fn show(account: Account, Query(done): Query<Done>) -> Response {
    let mut shown = form(&account, &Sent::of(&account.user), &[]);
    shown.notice = done.notice(shown.t, &[("saved", "profile-done"), ("mail", "profile-mail-sent")]);
    account.page.render(StatusCode::OK, &shown)
}

pub async fn submit(mut account: Account, sent: Result<Form<Sent>, FormRejection>) -> Response {
    account.page.at("/account/profile", &[]);
    let page = &account.page;
    let Ok(Form(sent)) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&sent.csrf, Some(&account.signed_in)) {
        return response;
    }
    let wanted = match sent.read() {
        Ok(wanted) => wanted,
        Err(faulty) => return page.render(StatusCode::UNPROCESSABLE_ENTITY, &form(&account, &sent, &faulty)),
    };
    let platform = &page.state().platform;
    let save = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, page.state()).await? {
            return Ok(());
        }
        write(&mut tx, platform, account.signed_in.user_id, wanted, None).await?;
        tx.commit().await
    };
    match save.await {
        Ok(()) => see_other("/account/profile?done=saved"),
        Err(error) => error::database(page, &error),
    }
}

#[derive(Deserialize)]
pub struct Again {
    #[serde(default)]
    csrf: String,
}

/// Sends the mail that confirms the address once more.
pub async fn verify_again(mut account: Account, sent: Result<Form<Again>, FormRejection>) -> Response {
    account.page.at("/account/profile", &[]);
    let page = &account.page;
    let Ok(Form(Again { csrf })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    if account.user.email_verified_at.is_some() {
        return see_other("/account/profile");
    }
    let state = page.state();
    let platform = &state.platform;
    let user_id = account.signed_in.user_id;
    if let Err(limited) = platform.limits.check("verification-mail", user_id.0.as_bytes(), MAILS, WHILE).await {
        let mut shown = form(&account, &Sent::of(&account.user), &[]);
        shown.alert = Some(shown.t.get("profile-mail-limited"));
        let mut response = page.render(StatusCode::TOO_MANY_REQUESTS, &shown);
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_header(limited.retry_after));
        return response;
    }
    let ask = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, state).await? {
            return Ok(());
        }
        outbox::enqueue(&mut tx, platform, &Job::VerifyEmail { user_id, locale: page.lang().to_owned() }).await?;
        tx.commit().await
    };
    match ask.await {
        Ok(()) => {
            state.outside.wake();
            see_other("/account/profile?done=mail")
        }
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let t = account.page.t();
    into.page("account-profile", || {
        let mut shown = form(account, &Sent::of(&account.user), &[]);
        shown.notice = Some(t.get("profile-done"));
        shown
    });
    into.page("account-profile-faults", || {
        let sent = Sent { website: "nonsense".into(), locale: "de".into(), ..Sent::of(&account.user) };
        let mut shown = form(account, &sent, &["website".to_owned(), "street_address".to_owned()]);
        shown.alert = Some(t.get("profile-mail-limited"));
        shown
    });
}
