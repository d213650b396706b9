use std::collections::BTreeSet;

use super::super::signup::sign_up;
use super::super::testing::{HERE, account as new_account, code_of, each_state, grant_of, person, session_of, user};
use super::*;

/// Tables with a column that names a person, and no part in the document.
const NOT_EXPORTED: &[(&str, &str)] = &[
    ("passkey_ceremonies", "challenges of the last minutes, and nothing about the person"),
    ("unfinished_signins", "a sign-in of the last minutes, which the events tell of"),
    ("upstream_attempts", "a sign-in of the last hour, which the events tell of"),
];

/// Tables about a person's referral that name no person, and no part in the document.
const UNNAMED: &[(&str, &str)] = &[
    (
        "referral_signals",
        "how abuse is noticed, which who abuses is not told (GDPR, recital 63); `referred_by` has the status",
    ),
    ("daily_salts", "random, and gone with the day"),
    ("referral_visitors", "hashes of strangers, gone with the day"),
    ("referral_code_days", "the sums stand with each of `referral_codes`"),
];

#[tokio::test]
async fn every_table_with_rows_about_people_is_in_the_document() {
    each_state(&[], |state| async move {
        let bob = person(&state, "bob@example.com").await;
        let mut conn = state.platform.db.read().await.unwrap();
        let sql = if state.platform.db.is_embedded() {
            "SELECT DISTINCT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND (c.name LIKE '%user_id' OR c.name LIKE '%referrer_id' OR m.name = 'users')"
        } else {
            "SELECT DISTINCT table_name::TEXT FROM information_schema.columns WHERE table_schema = current_schema() \
             AND (column_name LIKE '%user_id' OR column_name LIKE '%referrer_id' OR table_name = 'users')"
        };
        let tables: Vec<(String,)> = fetch_all!(&mut conn, (String,), sql).unwrap();
        let tables: BTreeSet<String> = tables.into_iter().map(|(name,)| name).collect();
        assert!(tables.len() > 10);
        let user = user(&state, bob).await.unwrap();
        let document: Value = serde_json::from_str(&export(&mut conn, &state.platform, &user).await.unwrap()).unwrap();
        for table in &tables {
            let place = TABLES.iter().find(|(name, _)| name == table);
            let reason = NOT_EXPORTED.iter().find(|(name, _)| name == table);
            assert!(place.is_some() || reason.is_some(), "{table} is neither exported nor said why not");
            if let Some((_, member)) = place {
                assert!(document.get(member).is_some(), "{member} is not in the document");
            }
        }
        for (table, _) in TABLES.iter().chain(NOT_EXPORTED) {
            assert!(tables.contains(*table), "{table} is not there any more");
        }
        for (table, _) in UNNAMED {
            let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let (rows,): (i64,) = shared::fetch_one!(&mut conn, (i64,), sql).unwrap();
            assert!(rows >= 0, "{table} is not there any more");
        }
    })
    .await;
}

#[tokio::test]
async fn the_document_says_what_is_held_and_nothing_that_opens_anything() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let bob = person(&state, "bob@example.com").await;
        let code = code_of(platform, bob, None).await;
        sign_up(&state, new_account("ann@example.com", Some(&code.code)), &HERE).await.unwrap();
        let here = session_of(&state, bob).await;
        grant_of(&state, bob, Some(here.sid)).await;
        let mut tx = platform.db.begin().await.unwrap();
        for n in 0..(PAGE + 20) {
            let kind = format!("test.{n}");
            shared::audit::record(&mut tx, platform, &kind, Some(bob), None, json!({})).await.unwrap();
        }
        tx.commit().await.unwrap();
        let (phc,) = shared::fetch_one!(
            &mut platform.db.read().await.unwrap(),
            (String,),
            "SELECT phc FROM password_credentials WHERE user_id = $1",
            bob
        )
        .unwrap();
        let user = user(&state, bob).await.unwrap();
        let text = export(&mut platform.db.read().await.unwrap(), platform, &user).await.unwrap();
        assert!(!text.contains(&phc) && !text.contains("argon2"), "a secret");
        assert!(!text.contains("ann@example.com"), "somebody else's address");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["account"]["email"], "bob@example.com");
        assert_eq!(document["referrals"][0]["email"], "a•••@e•••.com");
        assert_eq!(document["referral_codes"][0]["code"], json!(code.code));
        assert_eq!(document["grants"].as_array().unwrap().len(), 1);
        assert_eq!(document["sessions"][0]["sid"], json!(here.sid));
        let events = document["events"].as_array().unwrap();
        let tests: BTreeSet<&str> =
            events.iter().filter_map(|e| e["kind"].as_str()).filter(|kind| kind.starts_with("test.")).collect();
        assert_eq!(tests.len(), usize::try_from(PAGE + 20).unwrap(), "every page, and none twice");
    })
    .await;
}

#[tokio::test]
async fn what_others_told_about_a_person_is_theirs_to_read_once_the_address_is_proved_and_goes_with_the_account() {
    use crate::outside::{enrichment, hunter};

    each_state(&[], |state| async move {
        let platform = &state.platform;
        let bob = person(&state, "bob@example.com").await;
        let check = hunter::EmailCheck {
            source: "hunter",
            status: "webmail".into(),
            score: Some(72),
            answer: json!({"status": "webmail", "mx_records": true}),
        };
        let found = json!({"person": {"name": {"fullName": "Bob Lee"}}, "company": null});
        let mut tx = platform.db.begin().await.unwrap();
        hunter::store(&mut tx, platform, bob, &check).await.unwrap();
        let enrichment = enrichment::Enrichment { source: "clearbit", found: Some(found.clone()) };
        enrichment::store(&mut tx, platform, bob, &enrichment).await.unwrap();
        tx.commit().await.unwrap();
        let document = async || -> Value {
            let user = user(&state, bob).await.unwrap();
            let mut conn = platform.db.read().await.unwrap();
            serde_json::from_str(&export(&mut conn, platform, &user).await.unwrap()).unwrap()
        };
        // Until then it may be about somebody else.
        let before = document().await;
        assert_eq!((&before["email_check"]["answer"], &before["enrichment"]), (&Value::Null, &Value::Null));
        let mut tx = platform.db.begin().await.unwrap();
        let now = platform.clock.now();
        shared::execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", bob, now).unwrap();
        tx.commit().await.unwrap();
        let after = document().await;
        assert_eq!(after["email_check"]["answer"], check.answer);
        assert_eq!(
            (after["enrichment"]["source"].as_str(), &after["enrichment"]["answer"]),
            (Some("clearbit"), &found)
        );
        assert_eq!(after["objections"]["lookups"], false);

        let mut tx = platform.db.begin().await.unwrap();
        crate::outside::forgotten::forget(&mut tx, platform, bob, "bob@example.com").await.unwrap();
        tx.commit().await.unwrap();
        let forgotten = document().await;
        assert_eq!((&forgotten["email_check"], &forgotten["enrichment"]), (&Value::Null, &Value::Null));
        assert_eq!(forgotten["objections"]["lookups"], true);

        let mut tx = platform.db.begin().await.unwrap();
        hunter::store(&mut tx, platform, bob, &check).await.unwrap();
        enrichment::store(&mut tx, platform, bob, &enrichment).await.unwrap();
        crate::accounts::delete(&mut tx, platform, bob, "own wish").await.unwrap();
        tx.commit().await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        for sql in ["SELECT COUNT(*) FROM email_checks", "SELECT COUNT(*) FROM enrichments"] {
            assert_eq!(crate::accounts::testing::count(&mut conn, sql).await, 0, "{sql}");
        }
    })
    .await;
}
