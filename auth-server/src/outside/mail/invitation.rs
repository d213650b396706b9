//! Invitations: mailed to people who may be mailed. Whether one was, the referrer is not told; the reasoning stands in
//! [`shared::referrals::invitations`], and this is where an invitation's turn comes.

use shared::db::{Conn, DbError};
use shared::email::Email;
use shared::ids::{InvitationId, UserId};
use shared::referrals::code::ReferralCode;
use shared::referrals::invitations::{self, Begun, Turn};
use shared::referrals::store::{CodeRow, active_of};
use shared::users::{self, User};

use super::jobs::{Prepared, outcome};
use super::letter::Occasion;
use super::name;
use crate::locales::Locale;
use crate::outside::worker::{Finding, Outcome};
use crate::outside::{Outside, unsubscribe};

impl Outside {
    /// Mails a referrer's active code to a friend. Not without an active code, not for people who have not proved their
    /// address or do not want to be found by it, and not to people who do not want to be invited.
    pub(super) async fn invite(
        &self,
        referrer: UserId,
        email: &str,
        locale: Locale,
        invitation: Option<InvitationId>,
    ) -> Result<Outcome, DbError> {
        let platform = &self.platform;
        let begun = match invitation {
            Some(id) => {
                let mut tx = platform.db.begin().await?;
                let begun = invitations::begin(&mut tx, id).await?;
                tx.commit().await?;
                begun
            }
            None => Begun::Before,
        };
        if begun == Begun::Never {
            return Ok(Outcome::Done(Finding::Nothing));
        }
        // None where it was known when it was asked for that nobody is to be mailed.
        let to = Email::parse(email).ok();
        let mut conn = platform.db.read().await?;
        let objects = match &to {
            Some(to) => unsubscribe::has_objected(&mut conn, &unsubscribe::hash(platform, to)).await?,
            None => false,
        };
        let inviter = self.inviter(&mut conn, referrer).await?;
        drop(conn);
        if begun == Begun::Now {
            // For whomever it is: before anything is said of the address.
            let answers = if inviter.is_some() { self.mailer.answers().await } else { Ok(()) };
            let turn = match (&inviter, &answers) {
                (None, _) => Turn::Failed,
                (_, Ok(())) => Turn::Sent,
                (_, Err(_)) => Turn::Waits,
            };
            if let Some(id) = invitation {
                let mut tx = platform.db.begin().await?;
                invitations::settle(&mut tx, platform, id, turn).await?;
                tx.commit().await?;
            }
            if let Err(error) = answers {
                return Ok(outcome(Err(error)));
            }
        }
        let (Some((user, code)), Some(to)) = (inviter, to.filter(|_| !objects)) else {
            return Ok(Outcome::Done(Finding::Nothing));
        };
        Ok(outcome(self.deliver(invitation_to(&user, code, to, self), locale).await))
    }

    /// Who invites, with the code, unless something on their own side is against it.
    async fn inviter(&self, conn: &mut Conn, referrer: UserId) -> Result<Option<(User, CodeRow)>, DbError> {
        let now = self.platform.clock.now();
        let user = users::by_id(conn, referrer).await?;
        let user = user.filter(|user| user.discoverable && user.email_verified_at.is_some());
        let code = active_of(conn, referrer).await?.filter(|code| code.is_usable(now));
        Ok(user.zip(code))
    }
}

fn invitation_to(user: &User, code: CodeRow, to: Email, outside: &Outside) -> Prepared {
    // Letters, digits and hyphens: nothing to escape.
    let link = outside.url(&format!("/r/{}", code.code));
    let occasion = Occasion::Invitation {
        name: user.display_name().and_then(|name| name::presentable(&name)),
        // A code of one's own wording is in the link, where nobody reads it: up to 32 characters shown large could be an
        // advertisement.
        code: Some(code.code).filter(|code| ReferralCode::looks_drawn(code)),
        expires_at: code.expires_at,
        unsubscribe: unsubscribe::link(&outside.platform, &to),
    };
    Prepared { to, occasion, link }
}
