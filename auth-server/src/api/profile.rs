//! What may stand in the standard claims that a person writes themselves (OpenID Connect Core §5.1). Apps are shown
//! these, so what could do harm there is refused.

use serde::Deserialize;
use shared::db::{DbError, Tx};
use shared::ids::{ClientId, UserId};
use shared::problem::FieldError;
use shared::users::{self, Address, Profile, User};
use shared::{Platform, audit, execute};
use sqlx::types::Json;
use url::Url;
use utoipa::ToSchema;

use crate::accounts;

/// A member to change: absent, `null` (removed) or text.
pub type Given = Option<Option<String>>;

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;

/// The longest line of an address, and the whole of it, in characters.
const MAX_LINE: usize = 128;
const MAX_FORMATTED: usize = 512;

/// A postal address as sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewAddress {
    #[schema(example = "1 High Street\nOxford OX1 1AA\nUnited Kingdom", max_length = 512)]
    pub formatted: Option<String>,
    #[schema(example = "1 High Street", max_length = 128)]
    pub street_address: Option<String>,
    #[schema(example = "Oxford", max_length = 128)]
    pub locality: Option<String>,
    #[schema(max_length = 128)]
    pub region: Option<String>,
    #[schema(example = "OX1 1AA", max_length = 128)]
    pub postal_code: Option<String>,
    #[schema(example = "United Kingdom", max_length = 128)]
    pub country: Option<String>,
}

/// Changes that were checked.
#[derive(Default)]
pub struct Changes {
    texts: Vec<(&'static str, Option<String>)>,
    address: Option<Option<Address>>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.address.is_none()
    }

    pub fn apply(self, profile: &mut Profile) {
        for (member, text) in self.texts {
            if let Some(slot) = slot(profile, member) {
                *slot = text;
            }
        }
        if let Some(address) = self.address {
            profile.address = address;
        }
    }
}

/// What is to become of an account, checked. Absent members stay as they are.
#[derive(Default)]
pub struct Wanted {
    pub given_name: Given,
    pub family_name: Given,
    pub locale: Given,
    pub discoverable: Option<bool>,
    pub profile: Changes,
}

/// Changes an account in the caller's transaction. `None` when it is gone.
pub async fn write(
    tx: &mut Tx,
    platform: &Platform,
    user_id: UserId,
    wanted: Wanted,
    client: Option<&ClientId>,
) -> Result<Option<User>, DbError> {
    // One statement, so that two changes at once to different fields both hold.
    execute!(
        tx,
        "UPDATE users SET given_name = CASE WHEN $2 THEN $3 ELSE given_name END, \
         family_name = CASE WHEN $4 THEN $5 ELSE family_name END, \
         locale = CASE WHEN $6 THEN $7 ELSE locale END, \
         discoverable = COALESCE($8, discoverable), updated_at = $9 WHERE id = $1",
        user_id,
        wanted.given_name.is_some(),
        wanted.given_name.flatten(),
        wanted.family_name.is_some(),
        wanted.family_name.flatten(),
        wanted.locale.is_some(),
        wanted.locale.flatten(),
        wanted.discoverable,
        platform.clock.now()
    )?;
    let Some(mut user) = users::by_id(tx, user_id).await? else { return Ok(None) };
    if !wanted.profile.is_empty() {
        // The statement before locked the row: no other change comes between.
        wanted.profile.apply(&mut user.profile.0);
        execute!(tx, "UPDATE users SET profile = $2 WHERE id = $1", user_id, Json(&user.profile.0))?;
    }
    audit::record(tx, platform, "account.changed", Some(user_id), client, serde_json::json!({})).await?;
    Ok(Some(user))
}

/// Checks each member that is there. What is at fault goes to `errors`.
pub fn check(
    texts: impl IntoIterator<Item = (&'static str, Given)>,
    address: Option<Option<NewAddress>>,
    errors: &mut Vec<FieldError>,
) -> Changes {
    let mut changes = Changes::default();
    for (member, given) in texts {
        let Some(text) = given else { continue };
        let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        match text.as_deref().map_or(Ok(()), |text| fits(member, text)) {
            Ok(()) => changes.texts.push((member, text)),
            Err(reason) => errors.push(FieldError::body(member, reason)),
        }
    }
    changes.address = address.map(|address| address.and_then(|address| check_address(address, errors)));
    changes
}

fn slot<'p>(profile: &'p mut Profile, member: &str) -> Option<&'p mut Option<String>> {
    Some(match member {
        "middle_name" => &mut profile.middle_name,
        "nickname" => &mut profile.nickname,
        "preferred_username" => &mut profile.preferred_username,
        "profile" => &mut profile.profile,
        "picture" => &mut profile.picture,
        "website" => &mut profile.website,
        "gender" => &mut profile.gender,
        "birthdate" => &mut profile.birthdate,
        "zoneinfo" => &mut profile.zoneinfo,
        "phone_number" => &mut profile.phone_number,
        _ => return None,
    })
}

fn fits(member: &str, text: &str) -> Result<(), &'static str> {
    let (fits, reason) = match member {
        "profile" | "picture" | "website" => {
            (is_web_address(text), "must be an http or https URL of 2048 bytes at most, without a user name in it")
        }
        "birthdate" => (
            is_birthdate(text),
            "must be a date such as 1990-05-17, 0000-05-17 without the year, or a year such as 1990",
        ),
        "zoneinfo" => (is_time_zone(text), "must be a time zone such as Europe/Paris"),
        "phone_number" => (is_phone_number(text), "must be in E.164 such as +14155550123"),
        _ => (
            accounts::name(Some(text)).is_ok(),
            "may have 64 characters at most, none of them control characters or parts of an address",
        ),
    };
    if fits { Ok(()) } else { Err(reason) }
}

fn is_web_address(text: &str) -> bool {
    let plain =
        text.len() <= MAX_URL && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "\"<>\\".contains(c));
    // As written, so that nobody who reads it otherwise than we do finds another scheme there.
    let web = text.starts_with("https://") || text.starts_with("http://");
    plain
        && web
        && Url::parse(text).is_ok_and(|url| {
            url.host_str().is_some_and(|host| !host.is_empty()) && url.username().is_empty() && url.password().is_none()
        })
}

fn is_birthdate(text: &str) -> bool {
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    match text.split('-').collect::<Vec<_>>().as_slice() {
        [year] => digits(year, 4) && *year != "0000",
        [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => {
            // The year that stands for none must allow for a 29 February.
            let year = if *year == "0000" { "2000" } else { year };
            chrono::NaiveDate::parse_from_str(&format!("{year}-{month}-{day}"), "%Y-%m-%d").is_ok()
        }
        _ => false,
    }
}

/// The form of an IANA name; which of them there are changes a few times a year.
fn is_time_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    text.len() <= 64 && text.split('/').count() <= 3 && text.split('/').all(part)
}

fn is_phone_number(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

fn check_address(address: NewAddress, errors: &mut Vec<FieldError>) -> Option<Address> {
    let mut line = |member: &str, text: Option<String>, max: usize, breaks: bool| {
        let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
        let strange = |c: char| c.is_control() && !(breaks && (c == '\n' || c == '\r'));
        if text.chars().count() > max || text.chars().any(|c| strange(c) || "<>".contains(c)) {
            let detail = format!("may have {max} characters at most, none of them control characters or brackets");
            errors.push(FieldError::body(&format!("address/{member}"), detail));
            return None;
        }
        Some(text)
    };
    let checked = Address {
        formatted: line("formatted", address.formatted, MAX_FORMATTED, true),
        street_address: line("street_address", address.street_address, MAX_LINE, true),
        locality: line("locality", address.locality, MAX_LINE, false),
        region: line("region", address.region, MAX_LINE, false),
        postal_code: line("postal_code", address.postal_code, MAX_LINE, false),
        country: line("country", address.country, MAX_LINE, false),
    };
    Some(checked).filter(|address| *address != Address::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apps_are_shown_can_do_no_harm_there__oidc_core_5_1() {
        for (member, text) in [
            ("website", "https://ann.example/?a=b#c"),
            ("picture", "http://ann.example/me.png"),
            ("birthdate", "1990-05-17"),
            ("birthdate", "0000-02-29"),
            ("birthdate", "1990"),
            ("zoneinfo", "America/Argentina/Buenos_Aires"),
            ("zoneinfo", "Etc/GMT+5"),
            ("phone_number", "+14155550123"),
            ("nickname", "Нюта"),
            ("gender", "female"),
        ] {
            assert_eq!(fits(member, text), Ok(()), "{member} {text}");
        }
        for (member, text) in [
            ("website", "javascript:alert(1)"),
            ("website", "//ann.example"),
            ("website", "https://ann@ann.example/"),
            ("website", "https://ann.example/\"><script>"),
            ("picture", "data:image/png;base64,AAAA"),
            ("picture", "https://"),
            ("profile", "ftp://ann.example/"),
            ("birthdate", "1990-02-30"),
            ("birthdate", "1990-5-17"),
            ("birthdate", "17.05.1990"),
            ("birthdate", "0000"),
            ("zoneinfo", "../../etc/passwd"),
            ("zoneinfo", "Europe/Paris; drop"),
            ("phone_number", "14155550123"),
            ("phone_number", "+0155550123"),
            ("phone_number", "+1 415 555"),
            ("phone_number", "+1234567890123456"),
            ("nickname", "https://x"),
            ("gender", "a\nb"),
        ] {
            assert!(fits(member, text).is_err(), "{member} {text}");
        }
        assert!(fits("website", &format!("https://ann.example/{}", "a".repeat(MAX_URL))).is_err());
    }
}
