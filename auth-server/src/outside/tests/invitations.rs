//! Invitations by their own referrer: what comes of them, and what nobody learns by it.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::ids::InvitationId;
use shared::referrals::code::ReferralCode;
use shared::referrals::invitations::{self, InvitationStatus};
use shared::referrals::store;
use shared::testing::each_store_with;

use super::super::unsubscribe;
use super::*;

/// Somebody who may invite: with a code, and an address that is proved.
async fn referrer(platform: &Platform, email: &str) -> UserId {
    let id = account(platform, email).await;
    let mut tx = platform.db.begin().await.unwrap();
    let now = platform.clock.now();
    execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", id, now).unwrap();
    let code = ReferralCode::draw(&platform.random);
    store::create(&mut tx, platform, id, &code, now + TimeDelta::days(30), None).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    id
}

/// What the referral API writes; without an address in the job where it knows already that nobody is to be mailed.
async fn ask(platform: &Platform, referrer: UserId, email: &str, known: bool) -> InvitationId {
    let friend = Email::parse(email).unwrap();
    let mut tx = platform.db.begin().await.unwrap();
    let id = invitations::insert(&mut tx, platform, referrer, &friend, false).await.unwrap();
    let email = if known { "-".repeat(email.len()) } else { email.to_owned() };
    let job = Job::Invitation { referrer_id: referrer, email, locale: "en".into(), invitation_id: Some(id) };
    outbox::enqueue(&mut tx, platform, &job).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn told(platform: &Platform, referrer: UserId, id: InvitationId) -> InvitationStatus {
    let row = invitations::of(&mut platform.db.read().await.unwrap(), referrer, id).await.unwrap().unwrap();
    let (status, sent_at) = row.told(platform.clock.now());
    assert_eq!(sent_at.is_some(), status == InvitationStatus::Sent);
    status
}

async fn object(platform: &Platform, email: &str) {
    let hash = unsubscribe::hash(platform, &Email::parse(email).unwrap());
    let mut tx = platform.db.begin().await.unwrap();
    unsubscribe::object(&mut tx, platform, &hash).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn who_objects_who_does_not_exist_and_who_is_mailed_look_alike_to_the_referrer() {
    let catcher = fakes::smtp::start_anywhere().await.unwrap();
    each_store_with(&[("SMTP__URL", &catcher.url())], |platform| async move {
        let outside = outside(&platform);
        let ann = referrer(&platform, "ann@example.com").await;
        object(&platform, "objects@example.org").await;
        let mut seen = BTreeMap::new();
        for (friend, known) in [
            ("friend@example.org", false),
            ("objects@example.org", false),
            ("objects+again@example.org", true),
            // The server says at once that there is no such mailbox, or that it is full.
            ("refused@example.org", false),
            ("busy@example.org", false),
        ] {
            let id = ask(&platform, ann, friend, known).await;
            assert_eq!(told(&platform, ann, id).await, InvitationStatus::Accepted, "{friend}");
            work(&outside).await;
            seen.insert(friend, (id, told(&platform, ann, id).await));
        }
        assert!(seen.values().all(|(_, status)| *status == InvitationStatus::Sent), "{seen:?}");
        // Nor later, when the server was asked again and again and it was given up, nor by anything else one is shown.
        for _ in 0..8 {
            platform.clock.advance(Duration::from_secs(12 * 3600));
            work(&outside).await;
        }
        outside.clear().await.unwrap();
        for (friend, (id, _)) in &seen {
            assert_eq!(told(&platform, ann, *id).await, InvitationStatus::Sent, "{friend}");
        }
        assert!(!audited(&platform, "outbox.given_up").await.is_empty(), "an operator is told");
        let mut conn = platform.db.read().await.unwrap();
        let hers = fetch_all!(&mut conn, (String,), "SELECT kind FROM audit_events WHERE user_id = $1", ann).unwrap();
        assert!(hers.is_empty(), "{hers:?}");
    })
    .await;
    let to: Vec<String> = catcher.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert!(to.iter().all(|to| to == "friend@example.org") && !to.is_empty(), "{to:?}");
}

#[tokio::test]
async fn the_export_of_the_referrers_data_tells_no_more() {
    let catcher = fakes::smtp::start_anywhere().await.unwrap();
    each_store_with(&[("SMTP__URL", &catcher.url())], |platform| async move {
        let ann = referrer(&platform, "ann@example.com").await;
        for (friend, known) in [("refused@example.org", false), ("friend@example.org", false), ("no@example.org", true)]
        {
            ask(&platform, ann, friend, known).await;
        }
        work(&outside(&platform)).await;
        assert_eq!(waiting(&platform).await.len(), 1, "the refused one is tried again");
        let mut conn = platform.db.read().await.unwrap();
        let user = users::by_id(&mut conn, ann).await.unwrap().unwrap();
        let text = crate::accounts::export::export(&mut conn, &platform, &user).await.unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["jobs"], serde_json::json!([]));
        let statuses: Vec<_> = document["invitations"].as_array().unwrap().iter().map(|i| &i["status"]).collect();
        assert_eq!(statuses, ["sent"; 3]);
        assert!(!text.contains("example.org"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn while_no_server_answers_all_wait_and_can_be_withdrawn() {
    // An address where nobody listens yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    each_store_with(&[("SMTP__URL", &format!("smtp://{address}"))], |platform| async move {
        let outside = outside(&platform);
        let ann = referrer(&platform, "ann@example.com").await;
        object(&platform, "objects@example.org").await;
        let mut ids = vec![];
        for (friend, known) in [("friend@example.org", false), ("objects@example.org", false), ("no@example.org", true)]
        {
            ids.push(ask(&platform, ann, friend, known).await);
        }
        let withdrawn = ask(&platform, ann, "withdrawn@example.org", false).await;
        work(&outside).await;
        for id in &ids {
            assert_eq!(told(&platform, ann, *id).await, InvitationStatus::Accepted);
        }
        assert_eq!(waiting(&platform).await.len(), 4);
        let mut tx = platform.db.begin().await.unwrap();
        assert!(invitations::withdraw(&mut tx, &platform, ann, withdrawn).await.unwrap());
        tx.commit().await.unwrap();

        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let catcher = fakes::smtp::start(listener, |_| {}).unwrap();
        platform.clock.advance(Duration::from_secs(60));
        work(&outside).await;
        for id in &ids {
            assert_eq!(told(&platform, ann, *id).await, InvitationStatus::Sent);
        }
        assert_eq!(told(&platform, ann, withdrawn).await, InvitationStatus::Withdrawn);
        let to: Vec<String> = catcher.mails().into_iter().flat_map(|mail| mail.to).collect();
        assert_eq!(to, ["friend@example.org"]);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_ended_before_its_turn_fails_whomever_it_is_for() {
    each_store_with(&[], |platform| async move {
        let ann = referrer(&platform, "ann@example.com").await;
        object(&platform, "objects@example.org").await;
        let mut ids = vec![];
        for friend in ["friend@example.org", "objects@example.org"] {
            ids.push(ask(&platform, ann, friend, false).await);
        }
        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE referral_codes SET status = 'deleted' WHERE referrer_id = $1", ann).unwrap();
        tx.commit().await.unwrap();
        work(&outside(&platform)).await;
        for id in ids {
            assert_eq!(told(&platform, ann, id).await, InvitationStatus::Failed);
        }
    })
    .await;
}

/// For ever: whoever invites, however the address is written, also when its owner gets an account and leaves it.
#[tokio::test]
async fn who_objected_is_never_mailed_again() {
    let catcher = fakes::smtp::start_anywhere().await.unwrap();
    each_store_with(&[("SMTP__URL", &catcher.url())], |platform| async move {
        let outside = outside(&platform);
        let ann = referrer(&platform, "ann@example.com").await;
        object(&platform, "fri.end+shop@gmail.com").await;
        let spellings = ["friend@gmail.com", "f.r.i.e.n.d@gmail.com", "Friend+x@GoogleMail.com", "FRIEND@GMAIL.COM"];
        let invites = async |who: UserId| {
            for spelling in spellings {
                ask(&platform, who, spelling, false).await;
                // As others ask for a referrer's code.
                let job = Job::Invitation {
                    referrer_id: who,
                    email: spelling.into(),
                    locale: "en".into(),
                    invitation_id: None,
                };
                enqueue(&platform, job).await;
            }
            work(&outside).await;
        };
        invites(ann).await;
        // An account of theirs, and its end.
        let own = account(&platform, "friend@gmail.com").await;
        invites(ann).await;
        delete_account(&platform, own).await;
        invites(ann).await;
        // Other referrers, now and years later, after everything that expires has.
        invites(referrer(&platform, "bob@example.com").await).await;
        platform.clock.advance(Duration::from_secs(5 * 365 * 86_400));
        crate::sweeper::sweep(&platform).await.unwrap();
        invites(referrer(&platform, "cleo@example.com").await).await;
        assert!(waiting(&platform).await.is_empty());
    })
    .await;
    assert!(catcher.mails().is_empty(), "{:?}", catcher.mails());
}
