//! `/account/referrals/rotate`: one's code ends and a new one is drawn, in one step; until when and how often it works stays.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use shared::audit;
use shared::db::DbError;
use shared::referrals::code::{CodeKey, ReferralCode};
use shared::referrals::deletion;
use shared::referrals::rotation::{Rotated, rotate};
use shared::referrals::store::{self, CodeRow};

use super::Account;
use super::referrals::DRAWS;
use crate::pages::error;
use crate::pages::layout::see_other;

#[derive(Deserialize)]
pub struct Rotate {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
}

pub async fn submit(mut account: Account, sent: Result<Form<Rotate>, FormRejection>) -> Response {
    account.page.at("/account/referrals", &[]);
    let page = &account.page;
    let Ok(Form(Rotate { csrf, code })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    let Some(key) = CodeKey::fold(&code) else { return error::absent(page) };
    match replace(&account, &key).await {
        Ok(Some((old, queued_at))) => {
            let platform = &page.state().platform;
            if !deletion::settle(platform, &old, queued_at).await {
                deletion::until_noticed().await;
            }
            see_other("/account/referrals?done=rotated")
        }
        Ok(None) => error::absent(page),
        Err(error) => error::database(page, &error),
    }
}

/// The code that ended, and when that was queued for the cache. `None` when the person has no such code that works.
async fn replace(account: &Account, key: &CodeKey) -> Result<Option<(CodeRow, DateTime<Utc>)>, DbError> {
    let platform = &account.page.state().platform;
    let user = account.signed_in.user_id;
    for _ in 0..DRAWS {
        let next = ReferralCode::draw(&platform.random);
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, account.page.state()).await? {
            return Ok(None);
        }
        let before = store::active_of(&mut tx, user).await?.filter(|row| row.expires_at > platform.clock.now());
        let Some(before) = before.filter(|row| CodeKey::fold(&row.code).as_ref() == Some(key)) else {
            return Ok(None);
        };
        match rotate(&mut tx, platform, user, key, &next, before.expires_at, before.max_uses).await {
            Ok(Rotated::Done { old, new }) => {
                let queued_at = deletion::queue(&mut tx, platform, &old).await?;
                let details = json!({ "code_id": old.id, "new_code_id": new.id });
                audit::record(&mut tx, platform, "referral_code.rotated", Some(user), None, details).await?;
                tx.commit().await?;
                return Ok(Some((*old, queued_at)));
            }
            Ok(Rotated::NoSuchCode | Rotated::AnotherActive) => return Ok(None),
            // Drawn before: draw another.
            Err(DbError::UniqueViolation(_)) => {}
            Err(error) => return Err(error),
        }
    }
    tracing::error!("drew {DRAWS} codes that are all taken");
    Ok(None)
}
