//! §2.4: what a logout token says.

use std::time::Duration;

use auth_server::clients::SubjectType;
use serde_json::json;
use shared::jose::jwt::Unverified;

use super::{listening, settled, sign_out, worker};
use crate::harness::{ALLOWED, RelyingParty, each_server};

#[tokio::test]
async fn a_logout_token_says_who_which_session_and_what_and_has_no_nonce__back_channel_2_4() {
    each_server(&[ALLOWED], |server| async move {
        let ann = server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let app = server.app(listening(&party)).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("nonce", "n-0S6_WzA2Mj")]).await;
        let id_token = Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap();
        sign_out(&mut browser).await;
        // Made when it is sent, not when it was asked for.
        server.state.platform.clock.advance(Duration::from_secs(600));
        let _worker = worker(&server);
        party.hears(1).await;
        let token = party.logout_token(&server.state);
        assert!(token.header.has_typ("logout+jwt"), "{token:?}");
        let claims = &token.claims;
        assert_eq!(claims["iss"], server.state.issuer());
        assert_eq!(claims["aud"], app.client_id.as_str());
        assert_eq!(claims["sub"], ann.to_string());
        assert_eq!(claims["sid"], id_token.claims()["sid"]);
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(claims["jti"].as_str().unwrap().len() >= 32);
        let now = server.state.platform.clock.timestamp();
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(now - iat <= 15 && exp - iat <= 120 && exp > now, "{iat} {exp} {now}");
        assert_eq!(claims.len(), 8, "no nonce, nothing else: {claims:?}");
        settled(&server).await;
    })
    .await;
}

#[tokio::test]
async fn it_is_signed_like_the_clients_id_tokens_and_keeps_to_its_subject_type__back_channel_2_4() {
    each_server(&[ALLOWED], |server| async move {
        let ann = server.person("ann@example.com").await;
        let _worker = worker(&server);
        for alg in ["RS256", "ES256", "PS256", "EdDSA"] {
            let party = RelyingParty::start().await;
            let app = server
                .app(|m| {
                    listening(&party)(m);
                    m.id_token_signed_response_alg = alg.into();
                    m.subject_type = SubjectType::Pairwise;
                })
                .await;
            let mut browser = server.browser();
            let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
            let id_token = Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap();
            sign_out(&mut browser).await;
            party.hears(1).await;
            let token = party.logout_token(&server.state);
            assert_eq!(token.header.alg(), id_token.alg());
            assert_eq!(token.claims["sub"], id_token.claims()["sub"]);
            assert_ne!(token.claims["sub"], ann.to_string());
            assert_eq!(token.claims["sid"], id_token.claims()["sid"]);
            assert!(token.claims["sid"].as_str().unwrap().parse::<shared::ids::SessionId>().is_err(), "its own");
        }
    })
    .await;
}
