//! Whatever is pushed: what is taken in is a right authorization request of the client that proved who it is, and of
//! anything else nothing is kept (§2.1, §2.3).

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::harness::arbitrary::{AUTHORIZATION, AUTHORIZATION_VALUES, changed, changes};
use crate::harness::{App, each_server};

#[tokio::test]
async fn any_pushed_request_is_a_right_one_or_refused__rfc9126_2_3() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let mut right = app.parameters(&[]);
        right.retain(|(name, _)| *name != "client_id");
        let mut runner = TestRunner::deterministic();
        let changes = changes(&AUTHORIZATION, &AUTHORIZATION_VALUES);
        let (mut accepted, mut refused) = (0, 0);
        let mut before = server.rows().await;
        for turn in 0..250 {
            let changes = changes.new_tree(&mut runner).expect("a strategy").current();
            let mut form = changed(&right, &changes);
            let answer = if turn % 9 == 8 {
                // Nobody proves anything.
                form.push(("client_id", &app.client_id));
                let answer = server.post("/oauth/par", &form).await;
                assert_ne!(answer.status, 201, "{form:?}");
                answer
            } else {
                app.post("/oauth/par", &form).await
            };
            let after = server.rows().await;
            if answer.status == 201 {
                accepted += 1;
                is_right(&app, &form);
                assert_ne!(after, before, "it is kept");
                assert!(answer.json(201)["request_uri"].is_string());
            } else {
                refused += 1;
                let status = answer.status.as_u16();
                assert!((400..500).contains(&status), "{form:?} {answer:?}");
                let code = answer.json(status)["error"].as_str().expect("a code").to_owned();
                answer.is_error(status, &code);
                assert_eq!(after, before, "{form:?}");
            }
            before = after;
        }
        assert!(accepted > 20 && refused > 100, "both ways were taken: {accepted} {refused}");
    })
    .await;
}

/// What must hold of every request that a browser may later be sent on with.
fn is_right(app: &App, form: &[(&str, &str)]) {
    let all =
        |wanted: &str| form.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value).collect::<Vec<_>>();
    for (name, _) in form.iter().filter(|(name, _)| *name != "resource") {
        assert_eq!(all(name).len(), 1, "{name} is there twice: {form:?}");
    }
    // What is empty counts as left out (RFC 6749 §3.1).
    let one = |name: &str| all(name).into_iter().find(|value| !value.is_empty());
    assert_eq!(one("response_type"), Some("code"), "{form:?}");
    assert!(one("redirect_uri").is_none_or(|uri| uri == app.redirect_uri), "{form:?}");
    assert!(one("client_id").is_none_or(|id| id == app.client_id), "{form:?}");
    assert!(one("code_challenge").is_some() && one("code_challenge_method") == Some("S256"), "{form:?}");
    assert!(one("request").is_none() && one("request_uri").is_none() && one("registration").is_none(), "{form:?}");
    assert!(one("resource").is_none(), "none of these is a place of ours: {form:?}");
}
