//! Mails that tell people what was done to their accounts.

use chrono::TimeDelta;
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::fetch_one;
use shared::ids::UserId;
use shared::outbox::{self, Job, Notice, SecurityNotice};
use shared::users::{self, User};

/// How often in a day.
const TOLD_TO_STRANGERS: i64 = 6;

/// Has `user` told, in their language and at the address they have once the caller's transaction is over.
pub async fn tell(tx: &mut Tx, platform: &Platform, user: &User, what: Notice) -> Result<(), DbError> {
    tell_with(tx, platform, user, what, |_| {}).await
}

/// The same, with something in it changed: another address, another time, a detail.
pub async fn tell_with(
    tx: &mut Tx,
    platform: &Platform,
    user: &User,
    what: Notice,
    change: impl FnOnce(&mut SecurityNotice),
) -> Result<(), DbError> {
    if user.email_verified_at.is_none() && !is_told_to_strangers(tx, platform, user, what).await? {
        return Ok(());
    }
    let mut notice = SecurityNotice {
        user_id: user.id,
        what,
        at: platform.clock.now(),
        locale: user.locale.clone().unwrap_or_else(|| "en".into()),
        to: None,
        detail: None,
    };
    change(&mut notice);
    outbox::enqueue(tx, platform, &Job::SecurityNotice(notice)).await
}

/// Nobody has shown that they read mail at an address that is not proved: whoever opened the account with a stranger's must
/// not have them told of everything that is done to it. What takes the account away is told, a few times a day.
async fn is_told_to_strangers(tx: &mut Tx, platform: &Platform, user: &User, what: Notice) -> Result<bool, DbError> {
    let grave =
        [Notice::DeletionPlanned, Notice::AccountKept, Notice::AccountDeleted, Notice::EmailChanged].contains(&what);
    if !grave {
        return Ok(false);
    }
    let (told,): (i64,) = fetch_one!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM audit_events WHERE user_id = $1 AND created_at > $2 \
         AND kind IN ('deletion.planned', 'deletion.cancelled', 'email.changed')",
        user.id,
        platform.clock.now() - TimeDelta::days(1)
    )?;
    Ok(told <= TOLD_TO_STRANGERS)
}

/// The same for who knows the account by its id; `detail` names what it is about.
pub async fn tell_of(
    tx: &mut Tx,
    platform: &Platform,
    user_id: UserId,
    what: Notice,
    detail: Option<&str>,
) -> Result<(), DbError> {
    let Some(user) = users::by_id(tx, user_id).await? else { return Ok(()) };
    tell_with(tx, platform, &user, what, |notice| notice.detail = detail.map(str::to_owned)).await
}
