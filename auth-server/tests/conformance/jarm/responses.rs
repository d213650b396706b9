//! §2, the signed response and the ways it takes; §3, the client's algorithm.

use auth_server::clients::ClientMetadata;
use serde_json::json;

use crate::harness::{Answer, each_server};

/// The one parameter of a signed response: nothing is said beside it.
#[track_caller]
fn response(mode: &str, answer: &Answer) -> String {
    let mut parameters = match mode {
        "fragment.jwt" => answer.fragment(),
        "form_post.jwt" => answer.form().1,
        _ => answer.query(),
    };
    let token = parameters.remove("response").unwrap_or_else(|| panic!("no response: {answer:?}"));
    assert!(parameters.is_empty(), "{parameters:?}");
    token
}

#[tokio::test]
async fn the_code_comes_signed_in_each_mode__jarm_2_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        for mode in ["query.jwt", "fragment.jwt", "form_post.jwt", "jwt"] {
            let before = server.state.platform.clock.timestamp();
            let answer = browser.authorize(&app.authorization(&[("response_mode", mode)]), "ann@example.com").await;
            let (header, claims) = server.jwt(&response(mode, &answer)).await;
            assert_eq!(header["alg"], "RS256");
            let code = claims["code"].as_str().unwrap().to_owned();
            // Ten minutes.
            let exp = claims["exp"].as_i64().unwrap();
            assert!((before + 600..=server.state.platform.clock.timestamp() + 600).contains(&exp), "{claims}");
            let expected = json!({
                "iss": server.state.issuer(), "aud": app.client_id, "exp": exp, "state": "af0ifjsldkj", "code": code,
            });
            assert_eq!(claims, expected);
            app.exchange(&code).await.json(200);
        }
    })
    .await;
}

#[tokio::test]
async fn errors_come_signed_too__jarm_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for mode in ["query.jwt", "fragment.jwt", "form_post.jwt", "jwt"] {
            for (wrong, code) in [(("prompt", "none"), "login_required"), (("scope", "nonsense"), "invalid_scope")] {
                let answer = server.get(&app.authorization(&[("response_mode", mode), wrong])).await;
                let (_, claims) = server.jwt(&response(mode, &answer)).await;
                assert_eq!((&claims["error"], &claims["state"]), (&json!(code), &json!("af0ifjsldkj")));
                assert_eq!(claims["aud"], app.client_id);
                assert!(claims.get("code").is_none());
            }
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_client_chooses_the_algorithm__jarm_3() {
    each_server(&[], |server| async move {
        for alg in ["RS256", "ES256", "PS256", "EdDSA"] {
            let registered = |m: &mut ClientMetadata| m.authorization_signed_response_alg = Some(alg.into());
            let app = server.app(registered).await;
            let answer = server.get(&app.authorization(&[("response_mode", "jwt"), ("prompt", "none")])).await;
            let (header, _) = server.jwt(&response("jwt", &answer)).await;
            assert_eq!(header["alg"], alg);
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_and_an_expired_request_lead_back_signed__jarm_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let told = async |mode: &str, answer: &Answer| {
            let (_, claims) = server.jwt(&response(mode, answer)).await;
            assert_eq!(
                (&claims["error"], &claims["state"]),
                (&json!("access_denied"), &json!("af0ifjsldkj")),
                "{mode}"
            );
            assert!(claims["aud"] == app.client_id.as_str() && claims.get("code").is_none(), "{claims}");
        };
        for mode in ["query.jwt", "fragment.jwt", "form_post.jwt"] {
            let asked = app.authorization(&[("response_mode", mode)]);
            let consent = browser.get(&asked).await.location().to_owned();
            let page = browser.get(&consent).await;
            let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
            let decision = [("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "deny")];
            told(mode, &browser.post("/consent", &decision).await).await;
            // What the page says that was left open: decided already.
            let decided = browser.get(&consent).await;
            assert_eq!(decided.status, 410);
            if mode == "form_post.jwt" {
                told(mode, &decided).await;
            } else {
                // The link back to the client.
                assert!(decided.body.contains("response=ey") && !decided.body.contains("error="), "{decided:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_object_or_a_reference_is_told_signed__jarm_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let unknown = format!("{}x", auth_server::protocol::pushed_requests::PREFIX);
        let before = server.rows().await;
        for mode in ["query.jwt", "fragment.jwt", "form_post.jwt", "jwt"] {
            for (wrong, code) in [
                (("request", "x.y.z"), "invalid_request_object"),
                (("request_uri", unknown.as_str()), "invalid_request_uri"),
                (("request_uri", "https://app.example/request.jwt"), "request_uri_not_supported"),
            ] {
                let answer = server.get(&app.authorization(&[("response_mode", mode), wrong])).await;
                let (_, claims) = server.jwt(&response(mode, &answer)).await;
                assert_eq!((&claims["error"], &claims["state"]), (&json!(code), &json!("af0ifjsldkj")));
            }
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
