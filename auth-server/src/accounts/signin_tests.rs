use super::super::testing::{HERE, PASSWORD, count, each_state, person};
use super::*;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_answered_alike_and_leave_the_same_trace() {
    each_state(&[], |state| async move {
        person(&state, "ann@example.com").await;
        let mut traces = vec![];
        for (email, password) in
            [("ann@example.com", "wrong horse"), ("nobody@example.com", PASSWORD), ("not an address", PASSWORD)]
        {
            let answer = authenticate(&state, email, password, &HERE, "login").await;
            assert!(matches!(answer, Err(SignInError::Refused)), "{email}");
            let mut conn = state.platform.db.read().await.unwrap();
            traces.push(count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'signin.failed'").await);
        }
        assert_eq!(traces, [1, 2, 3]);
        let user = authenticate(&state, " Ann@Example.COM ", PASSWORD, &HERE, "login").await.unwrap();
        assert_eq!(user.email, "ann@example.com");
    })
    .await;
}

#[tokio::test]
async fn guessing_at_one_account_is_stopped_whether_or_not_it_exists() {
    each_state(&[("LIMITS__ENABLED", "true"), ("LIMITS__FAILURES_PER_ACCOUNT_PER_MINUTE", "3")], |state| async move {
        person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        let from = |n: u8| ClientIp(std::net::IpAddr::from([198, 51, 100, n]));
        for email in ["ann@example.com", "nobody@example.com"] {
            for n in 0..3 {
                let answer = authenticate(&state, email, "wrong horse", &from(9), "login").await;
                assert!(matches!(answer, Err(SignInError::Refused)), "{email} {n}");
            }
            // From now on not even the right password helps, from there.
            let answer = authenticate(&state, email, PASSWORD, &from(9), "login").await;
            assert!(matches!(answer, Err(SignInError::Limited(_))), "{email}");
        }
        authenticate(&state, "bob@example.com", PASSWORD, &from(9), "login").await.unwrap();
        // Nobody keeps the owner out, who is elsewhere.
        authenticate(&state, "ann@example.com", PASSWORD, &from(8), "login").await.unwrap();
        state.platform.clock.advance(MINUTE + Duration::from_secs(1));
        // Redis keeps its own time: only the in-process counters follow a clock moved by hand.
        if state.platform.db.is_embedded() {
            authenticate(&state, "ann@example.com", PASSWORD, &from(9), "login").await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn guessing_from_many_addresses_is_stopped_for_the_day_whether_or_not_the_account_exists() {
    each_state(&[("LIMITS__ENABLED", "true")], |state| async move {
        person(&state, "ann@example.com").await;
        let from = |n: u8| ClientIp(std::net::IpAddr::from([198, 51, 100, n]));
        for email in ["ann@example.com", "nobody@example.com"] {
            let (account, limits) = (Sha256::digest(email.as_bytes()), &state.platform.limits);
            for _ in 0..FAILURES_PER_ACCOUNT_AND_DAY - 1 {
                limits.check(FAILURES_OF_DAY, &account, FAILURES_PER_ACCOUNT_AND_DAY, DAY).await.unwrap();
            }
            let last = authenticate(&state, email, "wrong horse", &from(1), "login").await;
            assert!(matches!(last, Err(SignInError::Refused)), "{email}");
            for password in ["wrong horse", PASSWORD] {
                let limited = authenticate(&state, email, password, &from(2), "login").await;
                assert!(matches!(limited, Err(SignInError::Limited(_))), "{email}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_answered_than_the_limit_allows() {
    each_state(&[("LIMITS__ENABLED", "true"), ("LIMITS__FAILURES_PER_ACCOUNT_PER_MINUTE", "3")], |state| async move {
        person(&state, "ann@example.com").await;
        let guesses = (0..30).map(|_| authenticate(&state, "ann@example.com", "wrong horse", &HERE, "login"));
        let answers = futures::future::join_all(guesses).await;
        let told = answers.iter().filter(|a| matches!(a, Err(SignInError::Refused))).count();
        assert_eq!(told, 3);
    })
    .await;
}

#[tokio::test]
async fn a_hash_made_with_other_parameters_is_made_anew_at_sign_in() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let id = person(&state, "ann@example.com").await;
        let old = "$argon2id$v=19$m=32,t=1,p=1$";
        let params = argon2::Params::new(32, 1, 1, Some(32)).unwrap();
        let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut output = [0; 32];
        argon.hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut output).unwrap();
        let b64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, bytes);
        let phc = format!("{old}{}${}", b64(&[7; 16]), b64(&output));
        let mut tx = platform.db.begin().await.unwrap();
        execute!(&mut tx, "UPDATE password_credentials SET phc = $2 WHERE user_id = $1", id, &phc).unwrap();
        tx.commit().await.unwrap();

        let ann = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
        let mut tx = platform.db.begin().await.unwrap();
        assert!(still_holds(&mut tx, platform, &ann).await.unwrap());
        tx.commit().await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        let told = count(&mut conn, "SELECT COUNT(*) FROM audit_events WHERE kind = 'signin.succeeded'").await;
        assert_eq!(told, 1);
        let (_, stored) = credentials(&mut conn, "ann@example.com").await.unwrap().unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=7168,t=1,p=1$"), "{stored}");
        drop(conn);
        authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await.unwrap();
    })
    .await;
}
