//! `/account/sessions`: where one is signed in, and the end of that. This browser itself signs out by `/logout`.

use askama::Template;
use axum::Form;
use axum::extract::Query;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shared::db::DbError;
use shared::ids::SessionId;
use uuid::Uuid;

use super::{Account, Done, Section};
use crate::pages::error;
use crate::pages::layout::{Page, see_other};
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;
use crate::sessions::SignedIn;
use crate::sessions::devices::{Browser, Device, end_one, end_others, of_person};
use crate::sessions::remembered::{self, Remembered};

#[derive(Template)]
#[template(path = "pages/account/sessions.html")]
struct SessionsPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    notice: Option<String>,
    this: Option<Device>,
    others: Vec<Device>,
    /// Devices that ask for no second factor.
    remembered: Vec<Remembered>,
}

impl SessionsPage<'_> {
    /// `Firefox, Linux`, as far as it is known.
    fn name(&self, device: &Device) -> String {
        self.called(&device.browser)
    }

    fn called(&self, browser: &Browser) -> String {
        match (browser.name, browser.system) {
            (Some(name), Some(system)) => format!("{name}, {system}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => self.t.get("sessions-unknown"),
        }
    }

    /// By what the person showed who they are (RFC 8176), in words.
    fn means(&self, device: &Device) -> String {
        let mut words: Vec<String> = device.signed_in.amr.iter().map(|amr| self.t.get(means(amr))).collect();
        words.dedup();
        words.join(", ")
    }
}

fn means(amr: &str) -> &'static str {
    match amr {
        "pwd" => "sessions-by-password",
        "otp" => "sessions-by-code",
        "mca" => "sessions-by-mailed-code",
        "hwk" | "swk" | "pop" | "user" => "sessions-by-passkey",
        "mfa" => "sessions-by-two",
        "fed" => "sessions-by-provider",
        _ => "sessions-by-other",
    }
}

const DONE: &[(&str, &str)] = &[
    ("one", "sessions-done-one"),
    ("others", "sessions-done-others"),
    ("device", "remembered-done-one"),
    ("devices", "remembered-done-all"),
];

pub async fn show(account: Account, Query(done): Query<Done>) -> Response {
    let (page, signed_in) = (&account.page, &account.signed_in);
    let platform = &page.state().platform;
    let read = async {
        let mut conn = platform.db.read().await?;
        let devices = of_person(&mut conn, signed_in.user_id, platform.clock.now()).await?;
        Ok::<_, DbError>((
            devices,
            remembered::all_of(&mut conn, platform, page.remembered(), signed_in.user_id).await?,
        ))
    };
    let (devices, remembered) = match read.await {
        Ok(read) => read,
        Err(error) => return error::database(page, &error),
    };
    let (mut this, others): (Vec<_>, Vec<_>) = devices.into_iter().partition(|device| device.sid == signed_in.sid);
    let t = page.t();
    let shown = SessionsPage {
        page,
        t,
        section: Section::Sessions,
        csrf: account.csrf(),
        notice: done.notice(t, DONE),
        this: this.pop(),
        others,
        remembered,
    };
    page.render(StatusCode::OK, &shown)
}

#[derive(Deserialize)]
pub struct End {
    #[serde(default)]
    csrf: String,
    /// The session to end; `others` for all but this one.
    #[serde(default)]
    session: String,
    /// The device that is to ask for a second factor again; `all` for each.
    #[serde(default)]
    device: String,
}

pub async fn submit(mut account: Account, sent: Result<Form<End>, FormRejection>) -> Response {
    account.page.at("/account/sessions", &[]);
    let (page, signed_in) = (&account.page, &account.signed_in);
    let Ok(Form(End { csrf, session, device })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(signed_in)) {
        return response;
    }
    let state = page.state();
    let platform = &state.platform;
    let end = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, state).await? {
            return Ok(None);
        }
        let done = if device == "all" {
            remembered::forget_all(&mut tx, platform, signed_in.user_id).await?;
            Some("devices")
        } else if let Ok(id) = device.parse::<Uuid>() {
            remembered::forget(&mut tx, platform, signed_in.user_id, id).await?.then_some("device")
        } else if session == "others" {
            end_others(&mut tx, platform, signed_in.user_id, signed_in.sid).await?;
            Some("others")
        } else {
            match session.parse::<SessionId>() {
                Ok(sid) if sid != signed_in.sid => {
                    end_one(&mut tx, platform, signed_in.user_id, sid).await?.then_some("one")
                }
                _ => None,
            }
        };
        tx.commit().await?;
        Ok(done)
    };
    match end.await {
        Ok(Some(done)) => {
            state.outside.wake();
            let mut response = see_other(&format!("/account/sessions?done={done}"));
            if done == "others" {
                // Browsers know the account no more; but for this one.
                page.remember(&mut response, &page.known().with(platform, signed_in.user_id));
            }
            response
        }
        // Somebody else's, made up, or over already.
        Ok(None) => error::absent(page),
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let page = &account.page;
    let device = |name: Option<&'static str>, system: Option<&'static str>, amr: &[&str]| Device {
        sid: account.signed_in.sid,
        signed_in: SignedIn { amr: amr.iter().map(|&a| a.to_owned()).collect(), ..account.signed_in.clone() },
        expires_at: moment(),
        browser: Browser { name, system, mobile: system == Some("Android") },
    };
    let remembered = |here: bool| Remembered {
        id: Uuid::nil(),
        browser: Browser { name: Some("Firefox"), system: Some("Linux"), mobile: false },
        created_at: moment(),
        last_used_at: here.then(moment),
        expires_at: moment(),
        here,
    };
    let shown = |this: Option<Device>, others: Vec<Device>| SessionsPage {
        page,
        t: page.t(),
        section: Section::Sessions,
        csrf: account.csrf(),
        notice: this.is_some().then(|| page.t().get("sessions-done-one")),
        remembered: if this.is_some() { vec![remembered(true), remembered(false)] } else { vec![] },
        this,
        others,
    };
    into.page("account-sessions", || {
        let others =
            vec![device(Some("Chrome"), Some("Android"), &["pwd", "otp", "mfa"]), device(None, None, &["fed", "x"])];
        shown(Some(device(Some("Firefox"), Some("Linux"), &["user", "hwk"])), others)
    });
    into.page("account-sessions-alone", || shown(None, vec![]));
}
