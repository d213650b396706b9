//! What is mailed, to whom, and what is not.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::email::Email;
use shared::ids::{PendingSignupId, UserId};
use shared::outbox::{Job, Notice, SecurityNotice};
use shared::referrals::code::ReferralCode;
use shared::referrals::store;
use shared::secret::PlainToken;
use shared::testing::{each_store, each_store_with};
use shared::{Platform, execute, fetch_all, fetch_optional};
use uuid::Uuid;

use super::*;
use crate::outside::unsubscribe;

/// The `.eml` files by name.
fn written(platform: &Platform) -> BTreeMap<String, String> {
    let Ok(folder) = std::fs::read_dir(platform.config.data_dir.join("mail")) else { return BTreeMap::new() };
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), readable(&std::fs::read_to_string(entry.path()).unwrap()))
    };
    folder.map(|entry| read(entry.unwrap())).collect()
}

fn last(platform: &Platform) -> String {
    written(platform).into_values().next_back().expect("a mail")
}

/// Undoes what quoted-printable does to ASCII, and header folding.
fn readable(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=3D", "=").replace("\r\n ", " ")
}

fn token(mail: &str) -> PlainToken {
    let (_, rest) = mail.split_once("/verify-email?token=").expect("a link");
    PlainToken::presented(&rest[..43])
}

async fn prove(platform: &Platform, user: UserId) {
    let mut tx = platform.db.begin().await.unwrap();
    execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", user, platform.clock.now()).unwrap();
    tx.commit().await.unwrap();
}

/// Proves the referrer's address and gives them a code.
async fn code_of(platform: &Platform, referrer: UserId) -> String {
    prove(platform, referrer).await;
    give_code(platform, referrer, ReferralCode::draw(&platform.random)).await
}

async fn give_code(platform: &Platform, referrer: UserId, code: ReferralCode) -> String {
    let expires_at = platform.clock.now() + TimeDelta::days(30);
    let mut tx = platform.db.begin().await.unwrap();
    store::create(&mut tx, platform, referrer, &code, expires_at, Some(1)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    code.shown
}

async fn invite(outside: &Outside, referrer: UserId, email: &str, locale: &str) {
    let job =
        Job::Invitation { referrer_id: referrer, email: email.into(), locale: locale.into(), invitation_id: None };
    enqueue(&outside.platform, job).await;
    work(outside).await;
}

#[tokio::test]
async fn a_confirmation_mail_carries_a_link_that_is_stored_only_as_a_hash() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let user = account(&platform, "Ann@Example.com").await;
        enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
        work(&outside).await;

        let mail = last(&platform);
        assert!(mail.contains("To: Ann@example.com"), "{mail}");
        assert!(mail.contains("http://127.0.0.1:8080/verify-email?token="), "{mail}");
        assert!(!mail.contains("List-Unsubscribe"), "it is no mailing list");
        let mut conn = platform.db.read().await.unwrap();
        let known: Option<(UserId,)> = fetch_optional!(
            &mut conn,
            (UserId,),
            "SELECT user_id FROM email_verifications WHERE token_hash = $1",
            token(&mail).hash()
        )
        .unwrap();
        assert_eq!(known, Some((user,)));
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only_and_sort_by_time() {
    use std::os::unix::fs::PermissionsExt;
    each_store(|platform| async move {
        let outside = outside(&platform);
        for address in ["first@example.com", "second@example.com", "third@example.com"] {
            let user = account(&platform, address).await;
            enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
            work(&outside).await;
            platform.clock.advance(Duration::from_millis(1500));
        }
        let recipients: Vec<bool> = written(&platform)
            .values()
            .zip(["first@", "second@", "third@"])
            .map(|(mail, who)| mail.contains(who))
            .collect();
        assert_eq!(recipients, [true; 3]);
        let folder = platform.config.data_dir.join("mail");
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert!(entry.file_name().to_str().unwrap().ends_with(".eml"));
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_that_was_confirmed_meanwhile_gets_no_mail() {
    each_store(|platform| async move {
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
        prove(&platform, user).await;
        work(&outside(&platform)).await;
        assert!(written(&platform).is_empty() && waiting(&platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_sign_up_that_waits_is_mailed_its_link_while_it_waits() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        for lives_for in [TimeDelta::hours(1), TimeDelta::hours(-1)] {
            let id = PendingSignupId::new(&platform.random, &platform.clock);
            let now = platform.clock.now();
            let mut tx = platform.db.begin().await.unwrap();
            execute!(
                &mut tx,
                "INSERT INTO pending_signups (id, email, email_key, phc, created_at, expires_at) \
                 VALUES ($1, 'bob@example.com', 'bob@example.com', 'x', $2, $3)",
                id,
                now,
                now + lives_for
            )
            .unwrap();
            tx.commit().await.unwrap();
            enqueue(&platform, Job::ConfirmSignup { pending_signup_id: id, locale: "ru".into() }).await;
            work(&outside).await;
        }
        let mails = written(&platform);
        assert_eq!(mails.len(), 1, "the second had expired");
        let mail = mails.values().next().unwrap();
        assert!(mail.contains("To: bob@example.com") && mail.contains("Content-Language: ru"), "{mail}");
        assert!(mail.contains("Subject: =?utf-8?b?"), "{mail}");
    })
    .await;
}

#[tokio::test]
async fn who_signs_up_twice_is_told_so_by_mail_and_without_a_secret() {
    each_store(|platform| async move {
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::AlreadyRegistered { user_id: user, locale: "de".into() }).await;
        work(&outside(&platform)).await;
        let mail = last(&platform);
        assert!(mail.contains("http://127.0.0.1:8080/login") && !mail.contains("token="), "{mail}");
        assert!(mail.contains("Content-Language: en"), "a language we do not speak");
    })
    .await;
}

#[tokio::test]
async fn an_invitation_shows_who_invites_the_code_and_a_way_out() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let ann = account(&platform, "ann@example.com").await;
        let code = code_of(&platform, ann).await;
        invite(&outside, ann, "Friend@Example.com", "en").await;

        let mail = last(&platform);
        assert!(mail.contains("Subject: Ann Lee invites you to join"), "{mail}");
        assert!(mail.contains(&format!("http://127.0.0.1:8080/r/{code}")), "{mail}");
        assert!(!mail.contains("ann@example.com"), "the referrer's address is nobody's business");
        assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "RFC 8058 §3.1");
        let (_, link) = mail.split_once("List-Unsubscribe: <http://127.0.0.1:8080/unsubscribe?token=").unwrap();
        let token = link.split('>').next().unwrap();
        let hash = unsubscribe::verify(&platform, token).expect("the link is ours");

        // One click, and nothing comes any more, however the address is written.
        let mut tx = platform.db.begin().await.unwrap();
        unsubscribe::object(&mut tx, &platform, &hash).await.unwrap();
        tx.commit().await.unwrap();
        for alias in ["friend@example.com", "friend+1@example.com"] {
            invite(&outside, ann, alias, "en").await;
            assert_eq!(written(&platform).len(), 1, "{alias}");
        }
        invite(&outside, ann, "other@example.com", "ru").await;
        assert_eq!(written(&platform).len(), 2);
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_not_sent_without_a_code_that_works_or_against_the_referrers_wish() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let ann = account(&platform, "ann@example.com").await;
        invite(&outside, ann, "friend@example.com", "en").await;
        assert!(written(&platform).is_empty(), "no code");

        let code = code_of(&platform, ann).await;
        let hide = async |discoverable: bool| {
            let mut tx = platform.db.begin().await.unwrap();
            execute!(&mut tx, "UPDATE users SET discoverable = $2 WHERE id = $1", ann, discoverable).unwrap();
            tx.commit().await.unwrap();
        };
        hide(false).await;
        invite(&outside, ann, "friend@example.com", "en").await;
        assert!(written(&platform).is_empty(), "not discoverable");
        hide(true).await;

        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE referral_codes SET uses = 1 WHERE code = $1", &code).unwrap();
        tx.commit().await.unwrap();
        invite(&outside, ann, "friend@example.com", "en").await;
        assert!(written(&platform).is_empty(), "used up");

        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE referral_codes SET uses = 0 WHERE code = $1", &code).unwrap();
        tx.commit().await.unwrap();
        platform.clock.advance(Duration::from_secs(31 * 86_400));
        invite(&outside, ann, "friend@example.com", "en").await;
        assert!(written(&platform).is_empty(), "expired");
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_invites_before_their_own_address_is_proved() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let ann = account(&platform, "ann@example.com").await;
        give_code(&platform, ann, ReferralCode::draw(&platform.random)).await;
        invite(&outside, ann, "friend@example.com", "en").await;
        assert!(written(&platform).is_empty() && waiting(&platform).await.is_empty());
        prove(&platform, ann).await;
        invite(&outside, ann, "friend@example.com", "en").await;
        assert_eq!(written(&platform).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_code_of_ones_own_wording_stands_in_the_link_alone() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let ann = account(&platform, "ann@example.com").await;
        prove(&platform, ann).await;
        give_code(&platform, ann, ReferralCode::vanity("BUY-PILLS-AT-EVIL-COM").unwrap()).await;
        invite(&outside, ann, "friend@example.com", "en").await;
        let mail = last(&platform);
        let link = "http://127.0.0.1:8080/r/BUY-PILLS-AT-EVIL-COM";
        assert!(mail.contains(link), "{mail}");
        assert!(!mail.replace(link, "").contains("PILLS"), "{mail}");
    })
    .await;
}

#[tokio::test]
async fn a_name_can_carry_neither_a_header_nor_an_advertisement_to_a_stranger() {
    each_store(|platform| async move {
        let outside = outside(&platform);
        let names =
            ["Ann\r\nBcc: everybody@example.com", "Cheap pills at https://evil.example", "visit evil.example now"];
        for (number, name) in names.into_iter().enumerate() {
            let spammer = named_account(&platform, &format!("s{number}@example.com"), Some(name), None).await;
            code_of(&platform, spammer).await;
            invite(&outside, spammer, "friend@example.com", "en").await;
            let mail = last(&platform);
            assert!(mail.contains("Subject: You are invited to join"), "{mail}");
            assert!(!mail.contains("Bcc:") && !mail.contains("evil") && !mail.contains("pills"), "{mail}");
            platform.clock.advance(Duration::from_secs(1));
        }
    })
    .await;
}

#[tokio::test]
async fn mails_are_handed_to_the_server_of_smtp_url() {
    let catcher = std::sync::Arc::new(fakes::smtp::start_anywhere().await.unwrap());
    each_store_with(
        &[("SMTP__URL", &catcher.url()), ("SMTP__FROM", "Referris <no-reply@id.example.com>")],
        |platform| {
            let catcher = catcher.clone();
            async move {
                let outside = outside(&platform);
                let before = catcher.mails().len();
                let user = account(&platform, "ann@example.com").await;
                enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
                work(&outside).await;
                let mails = catcher.mails();
                assert_eq!(mails.len(), before + 1);
                let mail = mails.last().unwrap();
                assert_eq!(
                    (mail.from.as_str(), mail.to.as_slice()),
                    ("no-reply@id.example.com", &["ann@example.com".to_owned()][..])
                );
                let text = readable(&mail.text);
                assert!(text.contains("Auto-Submitted: auto-generated") && text.contains("@id.example.com>"), "{text}");
                token(&text);
                assert!(written(&platform).is_empty() && waiting(&platform).await.is_empty());
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_mail_the_server_does_not_take_waits_and_the_reason_names_nobody() {
    let catcher = fakes::smtp::start_anywhere().await.unwrap();
    each_store_with(&[("SMTP__URL", &catcher.url())], |platform| async move {
        for (recipient, status, least) in
            [("refused", "550", TimeDelta::hours(11)), ("busy", "451", TimeDelta::seconds(2))]
        {
            let user = account(&platform, &format!("{recipient}@example.com")).await;
            enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
            work(&outside(&platform)).await;
            let queue = waiting(&platform).await;
            let error = queue[0].last_error.as_deref().unwrap();
            assert!(error.contains(status) && !error.contains("example.com"), "{error}");
            assert_eq!((queue[0].kind.as_str(), queue[0].attempts), ("mail", 1));
            assert!(queue[0].next_attempt_at > platform.clock.now() + least, "{queue:?}");
            delete_account(&platform, user).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_no_server_took_is_mailed_when_one_is_there() {
    // An address where nobody listens yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    each_store_with(&[("SMTP__URL", &format!("smtp://{address}"))], |platform| async move {
        let outside = outside(&platform);
        let user = account(&platform, "ann@example.com").await;
        enqueue(&platform, Job::VerifyEmail { user_id: user, locale: "en".into() }).await;
        work(&outside).await;
        assert_eq!(
            waiting(&platform).await[0].last_error.as_deref(),
            Some("the mail server does not take the mail: no connection")
        );

        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let catcher = fakes::smtp::start(listener, |_| {}).unwrap();
        work(&outside).await;
        assert!(catcher.mails().is_empty(), "not before its time");
        platform.clock.advance(Duration::from_secs(6));
        work(&outside).await;
        assert_eq!(catcher.mails().len(), 1);
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_address_beyond_ascii_is_mailed_to_by_its_ascii_domain() {
    each_store(|platform| async move {
        let user = account(&platform, "ann@пример.рф").await;
        assert!(Email::parse("ann@пример.рф").is_ok());
        enqueue(&platform, Job::AlreadyRegistered { user_id: user, locale: "ru".into() }).await;
        work(&outside(&platform)).await;
        assert!(last(&platform).contains("To: ann@xn--e1afmkfd.xn--p1ai"));
    })
    .await;
}

#[tokio::test]
async fn a_job_of_a_newer_release_is_left_to_it_and_spoils_no_other() {
    each_store(|platform| async move {
        let ann = account(&platform, "ann@example.com").await;
        let notice = |what| SecurityNotice {
            user_id: ann,
            what,
            at: platform.clock.now(),
            locale: "ru".into(),
            to: None,
            detail: Some("Телефон Анны".into()),
        };
        enqueue(&platform, Job::SecurityNotice(notice(Notice::PasskeyAdded))).await;
        enqueue(&platform, Job::SecurityNotice(notice(Notice::PasskeyRemoved))).await;
        enqueue(&platform, Job::SecurityNotice(notice(Notice::TotpAdded))).await;
        let mut tx = platform.db.begin().await.unwrap();
        let rows: Vec<(Uuid,)> = fetch_all!(&mut tx, (Uuid,), "SELECT id FROM outbox ORDER BY id").unwrap();
        for ((id,), payload) in rows.iter().zip([
            serde_json::json!({"job": "of_next_year", "anything": 1}),
            serde_json::json!({
                "job": "security_notice", "user_id": ann, "what": "of-next-year", "at": platform.clock.now(), "locale": "en",
            }),
        ]) {
            execute!(&mut tx, "UPDATE outbox SET payload = $2 WHERE id = $1", id, sqlx::types::Json(payload)).unwrap();
        }
        tx.commit().await.unwrap();
        let outside = outside(&platform);
        work(&outside).await;
        assert_eq!(waiting(&platform).await.len(), 2, "the third is done, the others wait for who knows them");
        assert!(audited(&platform, "outbox.given_up").await.is_empty());
    })
    .await;
}
