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

const FROM_THE_THIRD: &[(&str, &str)] = &[("LIMITS__ENABLED", "true"), ("LIMITS__FAILURES_WITHOUT_DELAY", "3")];

fn from(n: u8) -> ClientIp {
    ClientIp(std::net::IpAddr::from([198, 51, 100, n]))
}

/// Redis keeps its own time: only the in-process counters follow a clock moved by hand.
fn can_wait(state: &AppState) -> bool {
    state.platform.db.is_embedded()
}

#[tokio::test]
async fn each_wrong_password_makes_the_next_wait_longer_whether_or_not_the_account_exists() {
    each_state(FROM_THE_THIRD, |state| async move {
        person(&state, "ann@example.com").await;
        person(&state, "bob@example.com").await;
        for email in ["ann@example.com", "nobody@example.com", "not an address"] {
            let guess = |password: &'static str, n| {
                let state = &state;
                async move { authenticate(state, email, password, &from(n), "login").await }
            };
            for n in 0..3 {
                assert!(matches!(guess("wrong horse", 9).await, Err(SignInError::Refused)), "{email} {n}");
            }
            // From now on not even the right password helps, from there.
            for seconds in [5, 10, 20] {
                let Err(SignInError::Limited(wait)) = guess(PASSWORD, 9).await else { panic!("{email}") };
                assert!(wait <= Duration::from_secs(seconds) && !wait.is_zero(), "{wait:?}");
                if !can_wait(&state) {
                    break;
                }
                state.platform.clock.advance(Duration::from_secs(seconds));
                assert!(matches!(guess("wrong horse", 9).await, Err(SignInError::Refused)), "{email} {seconds}");
            }
        }
        authenticate(&state, "bob@example.com", PASSWORD, &from(9), "login").await.unwrap();
        // Nobody keeps the owner out, who is elsewhere.
        authenticate(&state, "ann@example.com", PASSWORD, &from(8), "login").await.unwrap();
        if can_wait(&state) {
            state.platform.clock.advance(Duration::from_secs(40));
            authenticate(&state, "ann@example.com", PASSWORD, &from(9), "login").await.unwrap();
            // What was forgiven is counted anew.
            for _ in 0..3 {
                let answer = authenticate(&state, "ann@example.com", "wrong horse", &from(9), "login").await;
                assert!(matches!(answer, Err(SignInError::Refused)));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_strangers_do_the_owner_does_not_wait_in_a_browser_that_knows_the_account() {
    each_state(FROM_THE_THIRD, |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let bob = person(&state, "bob@example.com").await;
        let known = Known::default().with(&state.platform, ann);
        let strange = Known::default().with(&state.platform, bob);
        let guess = |known: Option<&Known>, password: &'static str, n| {
            let (state, known) = (&state, known.cloned());
            async move {
                let (ip, known) = (from(n), known.as_ref());
                authenticate_in(state, "ann@example.com", password, Caller { ip: &ip, known }, "login").await
            }
        };
        // From the very address that the owner has, too, and from so many that the account itself is watched.
        for n in 0..60 {
            for _ in 0..3 {
                let _ = guess(Some(&strange), "wrong horse", n).await;
            }
        }
        for stranger in [None, Some(&strange), Some(&Known::default())] {
            assert!(matches!(guess(stranger, PASSWORD, 99).await, Err(SignInError::Limited(_))), "{stranger:?}");
        }
        guess(Some(&known), PASSWORD, 0).await.unwrap();
        // Its own mistakes count, there alone.
        for _ in 0..3 {
            assert!(matches!(guess(Some(&known), "wrong horse", 0).await, Err(SignInError::Refused)));
        }
        assert!(matches!(guess(Some(&known), PASSWORD, 0).await, Err(SignInError::Limited(_))));
        let second = Known::default().with(&state.platform, ann);
        guess(Some(&second), PASSWORD, 0).await.unwrap();
    })
    .await;
}

/// A cookie that was copied must not keep a count of its own for ever.
#[tokio::test]
async fn a_browser_that_was_signed_out_of_from_elsewhere_has_no_count_of_its_own() {
    each_state(FROM_THE_THIRD, |state| async move {
        let ann = person(&state, "ann@example.com").await;
        let known = Known::default().with(&state.platform, ann);
        let guess = |password: &'static str| {
            let caller = Caller { ip: &HERE, known: Some(&known) };
            authenticate_in(&state, "ann@example.com", password, caller, "login")
        };
        state.platform.clock.advance(std::time::Duration::from_secs(2));
        let mut tx = state.platform.db.begin().await.unwrap();
        crate::sessions::end_all_of(&mut tx, &state.platform, ann).await.unwrap();
        tx.commit().await.unwrap();
        for _ in 0..3 {
            assert!(matches!(guess("wrong horse").await, Err(SignInError::Refused)));
        }
        // Counted with all others at this address.
        let stranger = authenticate(&state, "ann@example.com", PASSWORD, &HERE, "login").await;
        assert!(matches!(stranger, Err(SignInError::Limited(_))), "{stranger:?}");
    })
    .await;
}

#[tokio::test]
async fn one_password_tried_at_many_accounts_from_one_address_is_slowed_down_and_signing_in_oneself_does_not_help() {
    each_state(FROM_THE_THIRD, |state| async move {
        person(&state, "mallory@example.com").await;
        let mut told = 0;
        for n in 0..80 {
            let answer = authenticate(&state, &format!("p{n}@example.com"), "summer2026", &from(9), "login").await;
            told += usize::from(matches!(answer, Err(SignInError::Refused)));
            if n == 40 {
                authenticate(&state, "mallory@example.com", PASSWORD, &from(9), "login").await.unwrap();
            }
        }
        // Redis counts in real time, and a wait of a second or two may pass meanwhile.
        assert!((50..=54).contains(&told), "{told}");
        authenticate(&state, "mallory@example.com", PASSWORD, &from(8), "login").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_answered_than_one_after_the_other() {
    each_state(FROM_THE_THIRD, |state| async move {
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
