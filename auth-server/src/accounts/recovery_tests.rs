use super::super::signin::{SignInError, authenticate};
use super::super::signup::sign_up;
use super::super::testing::{HERE, PASSWORD, account, code_of, count, each_state, person, referral_of};
use super::*;

const NEW: &str = "staple battery horse";

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

async fn asked(state: &AppState, address: &str) -> RecoveryId {
    ask(state, &email(address), "en", &HERE).await.unwrap()
}

/// What the mail says, as if it were being made.
async fn mailed(state: &AppState, id: RecoveryId) -> Option<Minted> {
    let mut tx = state.platform.db.begin().await.unwrap();
    let minted = mint(&mut tx, &state.platform, id).await.unwrap();
    tx.commit().await.unwrap();
    minted
}

async fn jobs(state: &AppState) -> i64 {
    let mut conn = state.platform.db.read().await.unwrap();
    count(&mut conn, "SELECT COUNT(*) FROM outbox WHERE kind = 'account_mail'").await
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_exactly_one_sets_the_password() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let minted = mailed(&state, asked(&state, "ann@example.com").await).await.unwrap();
        let tries: Vec<_> = (0..12)
            .map(|n| {
                let (state, token) = (state.clone(), minted.token.clone());
                tokio::spawn(async move { reset(&state, &Proof::Link(token), &format!("{NEW} {n}"), &HERE).await })
            })
            .collect();
        let mut won = vec![];
        for (n, attempt) in tries.into_iter().enumerate() {
            match attempt.await.unwrap() {
                Ok(_) => won.push(n),
                Err(ResetError::Invalid) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1);
        let password = format!("{NEW} {}", won[0]);
        authenticate(&state, "ann@example.com", &password, &HERE, "login").await.unwrap();
        let old = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await;
        assert!(matches!(old, Err(SignInError::Refused)));
        let again = reset(&state, &Proof::Link(minted.token), NEW, &HERE).await;
        assert!(matches!(again, Err(ResetError::Invalid)), "a replayed link");
        let mut conn = state.platform.db.read().await.unwrap();
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'password.reset'").await, 1);
        assert_eq!(count(&mut conn, "SELECT COUNT(*) FROM users WHERE email_verified_at IS NOT NULL").await, 1);
    })
    .await;
}

#[tokio::test]
async fn whose_address_was_never_proved_before_may_be_no_referral_of_who_opened_the_account() {
    each_state(&[], |state| async move {
        let referrer = person(&state, "bob@example.com").await;
        let code = code_of(&state.platform, referrer, None).await;
        for (address, proved, review, signals) in [
            ("ann@example.com", false, "open", vec!["taken_over".to_owned()]),
            ("cleo@example.com", true, "none", vec![]),
        ] {
            sign_up(&state, account(address, Some(&code.code)), &HERE).await.unwrap();
            let mut conn = state.platform.db.read().await.unwrap();
            let user = users::by_email(&mut conn, &email(address).key).await.unwrap().unwrap();
            drop(conn);
            if proved {
                let mut tx = state.platform.db.begin().await.unwrap();
                execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", user.id).unwrap();
                tx.commit().await.unwrap();
                let mut tx = state.platform.db.begin().await.unwrap();
                life::mark_verified(&mut tx, &state.platform, user.id).await.unwrap();
                tx.commit().await.unwrap();
            }
            let minted = mailed(&state, asked(&state, address).await).await.unwrap();
            reset(&state, &Proof::Link(minted.token), NEW, &HERE).await.unwrap();
            assert_eq!(referral_of(&state, user.id).await, Some(("verified".into(), review.into(), signals)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_code_is_guessed_at_five_times_and_the_link_still_works() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let id = asked(&state, "ann@example.com").await;
        let minted = mailed(&state, id).await.unwrap();
        let by_code = |code: &str| Proof::Code { id, code: code.to_owned() };
        // A password that is not accepted uses up no try.
        let short = reset(&state, &by_code("0000-0000"), "short", &HERE).await;
        assert!(matches!(short, Err(ResetError::Password(_))));
        let guesses = (0..20).map(|_| {
            let proof = by_code("0000-0000");
            let state = state.clone();
            async move { reset(&state, &proof, NEW, &HERE).await }
        });
        let answers = futures::future::join_all(guesses).await;
        assert_eq!(answers.iter().filter(|a| matches!(a, Err(ResetError::WrongCode))).count(), 5);
        let right = reset(&state, &by_code(&minted.code), NEW, &HERE).await;
        assert!(matches!(right, Err(ResetError::Invalid)), "one too many were tried");
        reset(&state, &Proof::Link(minted.token), NEW, &HERE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_code_serves_for_its_own_request_only_and_as_people_type_it() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let (ann, bob) = (asked(&state, "ann@example.com").await, asked(&state, "bob@example.com").await);
        let (anns, bobs) = (mailed(&state, ann).await.unwrap(), mailed(&state, bob).await.unwrap());
        assert_ne!(anns.code, bobs.code);
        let crossed = reset(&state, &Proof::Code { id: ann, code: bobs.code }, NEW, &HERE).await;
        assert!(matches!(crossed, Err(ResetError::WrongCode)));
        let typed = anns.code.to_lowercase().replace('-', " ").replace('0', "o");
        let user = reset(&state, &Proof::Code { id: ann, code: typed }, NEW, &HERE).await.unwrap();
        assert_eq!(user.email, "ann@example.com");
        // It is over for who knows the code; whoever guesses is answered as where there is no account.
        let guess = reset(&state, &Proof::Code { id: ann, code: "0000-0000".into() }, NEW, &HERE).await;
        assert!(matches!(guess, Err(ResetError::WrongCode)));
        let again = reset(&state, &Proof::Code { id: ann, code: anns.code }, NEW, &HERE).await;
        assert!(matches!(again, Err(ResetError::Invalid)));
    })
    .await;
}

#[tokio::test]
async fn an_address_without_an_account_leaves_the_same_rows_and_gets_no_mail() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut traces = vec![];
        for address in ["ann@example.com", "nobody@example.com"] {
            let before = {
                let mut conn = state.platform.db.read().await.unwrap();
                (count(&mut conn, "SELECT COUNT(*) FROM outbox").await, state.platform.db.transactions())
            };
            let id = asked(&state, address).await;
            let mut conn = state.platform.db.read().await.unwrap();
            let after = count(&mut conn, "SELECT COUNT(*) FROM outbox").await;
            traces.push((after - before.0, state.platform.db.transactions() - before.1));
            drop(conn);
            // A wrong code is answered alike, too.
            let guess = reset(&state, &Proof::Code { id, code: "0000-0000".into() }, NEW, &HERE).await;
            assert!(matches!(guess, Err(ResetError::WrongCode)), "{address}");
            if address == "nobody@example.com" {
                assert!(mailed(&state, id).await.is_none());
            }
        }
        assert_eq!(traces, [(1, 1), (1, 1)]);
        assert_eq!(jobs(&state).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_link_is_over_after_its_minutes_and_with_the_address_it_was_mailed_to() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let minted = mailed(&state, asked(&state, "ann@example.com").await).await.unwrap();
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE users SET email_key = 'new@example.com' WHERE id = $1", ann).unwrap();
        tx.commit().await.unwrap();
        let moved = reset(&state, &Proof::Link(minted.token), NEW, &HERE).await;
        assert!(matches!(moved, Err(ResetError::Invalid)));

        person(&state, "bob@example.com").await;
        let id = asked(&state, "bob@example.com").await;
        let minted = mailed(&state, id).await.unwrap();
        state.platform.clock.advance(Duration::from_secs(30 * 60));
        for proof in [Proof::Link(minted.token), Proof::Code { id, code: minted.code }] {
            assert!(matches!(reset(&state, &proof, NEW, &HERE).await, Err(ResetError::Invalid)));
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_fills_a_mailbox_with_forgotten_passwords() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        person(&state, "ann@gmail.com").await;
        for n in 0..12 {
            // The same mailbox, which has no account under this address: it uses up nothing of the owner's.
            asked(&state, &format!("a.n.n+{n}@gmail.com")).await;
        }
        for _ in 0..12 {
            asked(&state, "ann@gmail.com").await;
        }
        assert_eq!(jobs(&state).await, 4, "three of the hour, and what drips");
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_the_mail_of_a_sign_up_gets_that_one_again() {
    each_state(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |state| async move {
        sign_up(&state, account("ann@example.com", None), &HERE).await.unwrap();
        asked(&state, "ann@example.com").await;
        let mut conn = state.platform.db.read().await.unwrap();
        let rows: Vec<(sqlx::types::Json<Job>,)> =
            shared::fetch_all!(&mut conn, (sqlx::types::Json<Job>,), "SELECT payload FROM outbox WHERE kind = 'mail'")
                .unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|(job,)| matches!(job.0, Job::ConfirmSignup { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_new_password_stops_a_change_of_the_address_that_was_under_way() {
    each_state(&[], |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let user = users::by_id(&mut state.platform.db.read().await.unwrap(), ann).await.unwrap().unwrap();
        super::super::email_change::begin(&state, &user, &email("thief@example.com"), "en").await.unwrap();
        let minted = mailed(&state, asked(&state, "ann@example.com").await).await.unwrap();
        reset(&state, &Proof::Link(minted.token), NEW, &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        assert!(super::super::email_change::waiting(&mut conn, &state.platform, &user).await.unwrap().is_none());
    })
    .await;
}

/// An app, recovery codes, a passkey, another provider's identity, a remembered device.
async fn with_every_factor(state: &AppState, address: &str) -> UserId {
    let user = person(state, address).await;
    let platform = &state.platform;
    let setup = factors::totp::Setup::new(platform);
    let code = factors::totp::code_at(&setup.in_groups(), platform.clock.now());
    let mut tx = platform.db.begin().await.unwrap();
    assert!(setup.confirm(&mut tx, platform, user, &code).await.unwrap());
    factors::recovery_codes::make(&mut tx, platform, user).await.unwrap();
    let now = platform.clock.now();
    execute!(
        &mut tx,
        "INSERT INTO passkeys (id, user_id, credential_id, credential, name, created_at) \
         VALUES ($1, $2, $3, '{}', 'Phone', $4)",
        platform.random.uuid_v4(),
        user,
        address.as_bytes(),
        now
    )
    .unwrap();
    execute!(
        &mut tx,
        "INSERT INTO upstream_identities (issuer, subject, user_id, created_at) VALUES ('https://id.example', $1, $2, $3)",
        address,
        user,
        now
    )
    .unwrap();
    let tokens = sessions::remembered::Tokens::default();
    sessions::remembered::remember(&mut tx, platform, &tokens, user, None).await.unwrap();
    tx.commit().await.unwrap();
    user
}

const FACTORS: [(&str, &str); 5] = [
    ("totp_secrets", "SELECT COUNT(*) FROM totp_secrets"),
    ("recovery_codes", "SELECT COUNT(*) FROM recovery_codes"),
    ("passkeys", "SELECT COUNT(*) FROM passkeys"),
    ("upstream_identities", "SELECT COUNT(*) FROM upstream_identities"),
    ("remembered_devices", "SELECT COUNT(*) FROM remembered_devices"),
];

#[tokio::test]
async fn a_reset_takes_every_factor_off_an_account_whose_address_nobody_had_proved() {
    each_state(&[], |state| async move {
        // Mallory opened it with Ann's address, and left ways in.
        let account = with_every_factor(&state, "ann@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(
            &mut tx,
            "INSERT INTO terms_agreements (user_id, version, agreed_at) SELECT id, '1', created_at FROM users WHERE id = $1",
            account
        )
        .unwrap();
        tx.commit().await.unwrap();
        let minted = mailed(&state, asked(&state, "ann@example.com").await).await.unwrap();
        reset(&state, &Proof::Link(minted.token), NEW, &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        for (table, sql) in FACTORS {
            assert_eq!(count(&mut conn, sql).await, 0, "{table}");
        }
        let agreed = count(&mut conn, "SELECT COUNT(*) FROM terms_agreements").await;
        assert_eq!(agreed, 0, "what Mallory agreed to, Ann did not");
    })
    .await;
}

/// A mailbox must not be enough to take a second factor off.
#[tokio::test]
async fn a_reset_keeps_the_factors_of_who_had_proved_the_address_and_says_which_there_are() {
    let providers = r#"[{id="work", name="Work", issuer="https://id.example", client_id="us"}]"#;
    each_state(&[("UPSTREAM", providers)], |state| async move {
        let ann = with_every_factor(&state, "ann@example.com").await;
        let mut tx = state.platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE users SET email_verified_at = created_at WHERE id = $1", ann).unwrap();
        tx.commit().await.unwrap();
        let minted = mailed(&state, asked(&state, "ann@example.com").await).await.unwrap();
        reset(&state, &Proof::Link(minted.token), NEW, &HERE).await.unwrap();
        let mut conn = state.platform.db.read().await.unwrap();
        for ((table, sql), left) in FACTORS.into_iter().zip([1, 10, 1, 1, 0]) {
            assert_eq!(count(&mut conn, sql).await, left, "{table}");
        }
        let told = "SELECT COUNT(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%password-reset%'";
        assert_eq!(count(&mut conn, told).await, 1);
        drop(conn);
        let words = state.outside.kept_factors(ann, crate::locales::Locale::En).await.unwrap();
        assert_eq!(words, "1 passkey, an authenticator app, 10 recovery codes, Work");
    })
    .await;
}
