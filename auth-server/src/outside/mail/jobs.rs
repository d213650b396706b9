//! What is mailed for each job of the outbox. Everything is read afresh: between the wish and the mail a code may have
//! been deleted, an account confirmed, or the reader may have objected.

use chrono::TimeDelta;
use shared::db::DbError;
use shared::email::Email;
use shared::fetch_optional;
use shared::ids::{EmailChangeId, MailedCodeId, PendingSignupId, RecoveryId, UpstreamProofId, UserId};
use shared::outbox::{Job, Notice, SecurityNotice, Side};
use shared::secret::PlainToken;
use shared::users;

use super::letter::{Letter, Letterhead, Occasion};
use super::{MailError, name};
use crate::accounts::{email_change, factors, recovery, upstream, verification};
use crate::locales::Locale;
use crate::outside::Outside;
use crate::outside::worker::{Finding, Outcome};

/// Ready to be sent.
pub(super) struct Prepared {
    pub to: Email,
    pub occasion: Occasion,
    pub link: String,
}

/// What became of a job, by what became of its mail.
pub(super) fn outcome(sent: Result<(), MailError>) -> Outcome {
    match sent {
        Ok(()) => Outcome::Done(Finding::Nothing),
        Err(MailError::Malformed(reason)) => Outcome::Hopeless { reason },
        // Refused for good, most servers mean; some have greylists and full boxes in mind. Rarely enough not to look
        // like a spammer, until the job's time is over.
        Err(error @ MailError::Refused(_)) => Outcome::Later { reason: error.to_string(), after: TimeDelta::hours(12) },
        Err(error) => Outcome::Later { reason: error.to_string(), after: TimeDelta::zero() },
    }
}

impl Outside {
    /// Makes and sends the mail that `job` asks for. Links are drawn and committed before the mail leaves, so none that
    /// arrives is unknown; a second try draws a link of its own.
    pub(in crate::outside) async fn mail(&self, job: &Job) -> Result<Outcome, DbError> {
        let (prepared, locale) = match job {
            Job::VerifyEmail { user_id, locale } => (self.verify_email(*user_id).await?, locale),
            Job::ConfirmSignup { pending_signup_id, locale } => {
                (self.confirm_signup(*pending_signup_id).await?, locale)
            }
            Job::AlreadyRegistered { user_id, locale } => (self.already_registered(*user_id).await?, locale),
            Job::Invitation { referrer_id, email, locale, invitation_id } => {
                let locale = Locale::from_tag(locale).unwrap_or_default();
                return self.invite(*referrer_id, email, locale, *invitation_id).await;
            }
            // The newer release that asked for it knows what to say.
            Job::SecurityNotice(notice) if notice.what == Notice::Unknown => {
                return Ok(Outcome::Later { reason: "of a newer release".into(), after: TimeDelta::minutes(1) });
            }
            Job::ResetPassword { recovery_id, locale } => (self.reset_password(*recovery_id).await?, locale),
            Job::ConfirmEmailChange { email_change_id, side, locale } => {
                (self.confirm_email_change(*email_change_id, *side).await?, locale)
            }
            Job::SecurityNotice(notice) => (self.security_notice(notice).await?, &notice.locale),
            Job::MailCode { mailed_code_id, locale } => (self.mail_code(*mailed_code_id).await?, locale),
            Job::ProveUpstreamAddress { upstream_proof_id, locale } => {
                (self.prove_upstream_address(*upstream_proof_id).await?, locale)
            }
            Job::CheckEmail { .. } | Job::Enrich { .. } | Job::BackchannelLogout { .. } => {
                return Ok(Outcome::Done(Finding::Nothing));
            }
        };
        let Some(prepared) = prepared else { return Ok(Outcome::Done(Finding::Nothing)) };
        let locale = Locale::from_tag(locale).unwrap_or_default();
        Ok(outcome(self.deliver(prepared, locale).await))
    }

    pub(super) async fn deliver(&self, prepared: Prepared, locale: Locale) -> Result<(), MailError> {
        let now = self.platform.clock.now();
        let id = self.platform.random.uuid_v4();
        let letter = Letter::new(locale, Letterhead::of(&self.platform.config), &prepared.occasion, prepared.link);
        let message = letter.to_message(self.mailer.from(), &prepared.to, now, id)?;
        self.mailer.send(message, now, id).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.platform.config.auth.public_url.join(path)
    }

    fn verification_link(&self, token: &PlainToken) -> String {
        // base64url: nothing in it has to be escaped.
        format!("{}?token={}", self.url("/verify-email"), token.reveal())
    }

    async fn verify_email(&self, user_id: UserId) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let user = users::by_id(&mut tx, user_id).await?;
        let Some(to) = user.and_then(|user| Email::parse(&user.email).ok()) else { return Ok(None) };
        let Some(token) = verification::mint_link(&mut tx, platform, user_id).await? else { return Ok(None) };
        tx.commit().await?;
        let occasion = Occasion::VerifyEmail { hours: platform.config.accounts.verification_hours };
        Ok(Some(Prepared { to, occasion, link: self.verification_link(&token) }))
    }

    async fn confirm_signup(&self, id: PendingSignupId) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let pending: Option<(String,)> = fetch_optional!(
            &mut tx,
            (String,),
            "SELECT email FROM pending_signups WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
            id,
            platform.clock.now()
        )?;
        let Some(to) = pending.and_then(|(email,)| Email::parse(&email).ok()) else { return Ok(None) };
        let Some(token) = verification::mint_signup_link(&mut tx, platform, id).await? else { return Ok(None) };
        tx.commit().await?;
        let occasion = Occasion::ConfirmSignup { hours: platform.config.accounts.verification_hours };
        Ok(Some(Prepared { to, occasion, link: self.verification_link(&token) }))
    }

    async fn already_registered(&self, user_id: UserId) -> Result<Option<Prepared>, DbError> {
        let mut conn = self.platform.db.read().await?;
        let user = users::by_id(&mut conn, user_id).await?;
        let Some(to) = user.and_then(|user| Email::parse(&user.email).ok()) else { return Ok(None) };
        Ok(Some(Prepared { to, occasion: Occasion::AlreadyRegistered, link: self.url("/login") }))
    }

    async fn reset_password(&self, id: RecoveryId) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let Some(minted) = recovery::mint(&mut tx, platform, id).await? else { return Ok(None) };
        tx.commit().await?;
        let Ok(to) = Email::parse(&minted.email) else { return Ok(None) };
        let link = format!("{}?token={}", self.url("/reset-password"), minted.token.reveal());
        let occasion =
            Occasion::ResetPassword { code: minted.code, minutes: platform.config.accounts.recovery_minutes };
        Ok(Some(Prepared { to, occasion, link }))
    }

    async fn mail_code(&self, id: MailedCodeId) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let Some((to, code)) = factors::mailed::mint(&mut tx, platform, id).await? else { return Ok(None) };
        tx.commit().await?;
        let Ok(to) = Email::parse(&to) else { return Ok(None) };
        let minutes = factors::unfinished::LIFETIME.num_minutes().unsigned_abs();
        // Of use in the browser that waits, and nowhere else.
        let link = self.url("/login/second-factor?with=mail");
        Ok(Some(Prepared { to, occasion: Occasion::SecondFactor { code, minutes }, link }))
    }

    async fn prove_upstream_address(&self, id: UpstreamProofId) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let Some((to, code, attempt)) = upstream::mint_proof(&mut tx, platform, id).await? else { return Ok(None) };
        tx.commit().await?;
        let Ok(to) = Email::parse(&to) else { return Ok(None) };
        let link = self.url(&format!("/login/continue?attempt={attempt}"));
        Ok(Some(Prepared { to, occasion: Occasion::ProveAddress { code, hours: 1 }, link }))
    }

    /// The ways to sign in that a new password left as they were, in words.
    pub(crate) async fn kept_factors(&self, user: UserId, locale: Locale) -> Result<String, DbError> {
        let mut conn = self.platform.db.read().await?;
        let mut words = vec![];
        let passkeys = factors::passkeys::all_of(&mut conn, user).await?.len();
        if passkeys > 0 {
            words.push(locale.text_with("kept-passkeys", [("n", passkeys.into())]));
        }
        if factors::totp::is_set_up(&mut conn, user).await? {
            words.push(locale.text("kept-app"));
            let codes = factors::recovery_codes::left(&mut conn, user).await?;
            words.push(locale.text_with("kept-codes", [("n", codes.into())]));
        }
        let config = &self.platform.config;
        for way in upstream::of_user(&mut conn, user).await? {
            // By the operator's name for it; one that is not configured any more opens nothing.
            words.extend(config.upstream.iter().find(|u| u.issuer == way.issuer).map(|u| u.name.clone()));
        }
        Ok(if words.is_empty() { locale.text("kept-nothing") } else { words.join(", ") })
    }

    async fn confirm_email_change(&self, id: EmailChangeId, side: Side) -> Result<Option<Prepared>, DbError> {
        let platform = &self.platform;
        let mut tx = platform.db.begin().await?;
        let Some(minted) = email_change::mint(&mut tx, platform, id, side).await? else { return Ok(None) };
        tx.commit().await?;
        let Ok(to) = Email::parse(&minted.to) else { return Ok(None) };
        Ok(Some(match minted.confirmation {
            // Whoever wants this address is not told that it has an account. Its owner is told that somebody does.
            None => Prepared {
                to,
                occasion: Occasion::Security { what: Notice::AddressWanted, at: platform.clock.now(), detail: None },
                link: self.url("/account"),
            },
            Some((token, code)) => {
                let link = format!("{}?token={}", self.url("/email-change"), token.reveal());
                let hours = platform.config.accounts.verification_hours;
                Prepared { to, occasion: Occasion::EmailChange { side, code, hours }, link }
            }
        }))
    }

    async fn security_notice(&self, notice: &SecurityNotice) -> Result<Option<Prepared>, DbError> {
        let to = match &notice.to {
            Some(to) => Some(to.clone()),
            None => {
                let mut conn = self.platform.db.read().await?;
                users::by_id(&mut conn, notice.user_id).await?.map(|user| user.email)
            }
        };
        let Some(to) = to.and_then(|to| Email::parse(&to).ok()) else { return Ok(None) };
        let path = match notice.what {
            Notice::PasswordChanged => "/forgot-password",
            Notice::DeletionPlanned => "/login",
            Notice::AccountDeleted => "/",
            Notice::NewDevice | Notice::MailedCodeUsed => "/account/sessions",
            _ => "/account/security",
        };
        let detail = match notice.what {
            Notice::PasswordReset => {
                let locale = Locale::from_tag(&notice.locale).unwrap_or_default();
                Some(self.kept_factors(notice.user_id, locale).await?)
            }
            _ => notice.detail.as_deref().and_then(name::presentable),
        };
        let occasion = Occasion::Security { what: notice.what, at: notice.at, detail };
        Ok(Some(Prepared { to, occasion, link: self.url(path) }))
    }
}
