//! §4.3 and §4.4.1: the challenge, as the authorization endpoint reads it.

use crate::harness::{CHALLENGE, each_server};

#[tokio::test]
async fn a_request_without_a_good_challenge_is_refused_at_the_client__rfc7636_4_4_1() {
    each_server(&[], |server| async move {
        let public = server.app(|m| m.token_endpoint_auth_method = "none".into()).await;
        let confidential = server.app(|_| {}).await;
        let before = server.rows().await;
        let long = format!("{CHALLENGE}A");
        let padded = format!("{}=", &CHALLENGE[1..]);
        for app in [&public, &confidential] {
            for wrong in [
                vec![("code_challenge", ""), ("code_challenge_method", "")],
                vec![("code_challenge", "")],
                vec![("code_challenge", &CHALLENGE[1..])],
                vec![("code_challenge", long.as_str())],
                vec![("code_challenge", padded.as_str())],
            ] {
                let told = server.get(&app.authorization(&wrong)).await.redirects_with_error("invalid_request");
                assert_eq!(told["state"], "af0ifjsldkj");
                assert!(told["error_description"].contains("code_challenge"), "{told:?}");
            }
        }
        assert_eq!(server.rows().await, before);
        assert!(server.get(&public.authorization(&[])).await.location().starts_with("/login?"));
    })
    .await;
}

#[tokio::test]
async fn plain_is_refused_also_where_it_is_meant_by_naming_no_method__rfc7636_4_3() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for method in ["plain", "", "s256", "S512"] {
            let asked = app.authorization(&[("code_challenge_method", method)]);
            let told = server.get(&asked).await.redirects_with_error("invalid_request");
            assert!(told["error_description"].contains("code_challenge_method"), "{method}: {told:?}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
