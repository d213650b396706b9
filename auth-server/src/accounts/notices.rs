//! Mails that tell people what was done to their accounts.

use shared::Platform;
use shared::db::{DbError, Tx};
use shared::ids::UserId;
use shared::outbox::{self, Job, Notice, SecurityNotice};
use shared::users::{self, User};

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
    // Nobody has shown that they read mail there: whoever opened the account with a stranger's address must not have them
    // told of everything that is done to it. The end of an account is told once.
    let once = matches!(what, Notice::DeletionPlanned | Notice::AccountDeleted);
    if user.email_verified_at.is_none() && !once {
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
