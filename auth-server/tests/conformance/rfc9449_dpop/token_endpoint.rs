//! §5, DPoP access token request; §5.2, client registration; §6, what a bound token says.

use auth_server::clients::TOKEN_EXCHANGE as EXCHANGE;
use serde_json::json;
use shared::dpop::ALGORITHMS;

use super::{CREDENTIALS, Holder, TOKEN, machine, payload, public};
use crate::harness::{EveryGrant, each_server};
use crate::rfc9126_par::push_with;

#[tokio::test]
async fn a_token_is_bound_to_the_key_of_the_proof__rfc9449_5__rfc9449_6_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        for algorithm in ALGORITHMS {
            let holder = Holder::with(&server, algorithm);
            let tokens = holder.tokens(&app, "openid").await;
            assert_eq!(tokens["token_type"], "DPoP");
            assert_eq!(payload(&tokens["access_token"])["cnf"], json!({ "jkt": holder.jkt() }));
            assert!(payload(&tokens["id_token"]).get("cnf").is_none());
        }
        // Without a proof nothing is bound.
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        assert_eq!(tokens["token_type"], "Bearer");
        assert!(payload(&tokens["access_token"]).get("cnf").is_none());
    })
    .await;
}

#[tokio::test]
async fn every_grant_binds__rfc9449_5() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "client_secret_basic").await.with_key();
        for grant in service.grants() {
            let form = service.prepare(grant, "openid email").await;
            let tokens = service.token(&form).await.json(200);
            assert_eq!(tokens["token_type"], "DPoP", "{grant}");
            assert_eq!(payload(&tokens["access_token"])["cnf"], json!({ "jkt": service.jkt() }), "{grant}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bound_token_is_exchanged_for_a_bound_one_and_for_no_other__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief) = (Holder::new(&server), Holder::new(&server));
        let app = server.app(|_| {}).await;
        let service = server.own_app(|metadata| metadata.grant_types = vec![EXCHANGE.into()]).await;
        let bound = holder.tokens(&app, "openid email").await;
        let exchange = [
            ("grant_type", EXCHANGE),
            ("subject_token", bound["access_token"].as_str().unwrap()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        // A stolen token that its thief can't use does not become one that anybody can.
        let before = server.rows().await;
        service.token(&exchange).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        // The service has a key of its own.
        let own = thief.token(&service, &exchange).await.json(200);
        assert_eq!(own["token_type"], "DPoP");
        assert_eq!(payload(&own["access_token"])["cnf"], json!({ "jkt": thief.jkt() }));
    })
    .await;
}

#[tokio::test]
async fn a_jti_is_used_up_for_its_key_and_url_alone__rfc9449_11_1() {
    each_server(&[], |server| async move {
        let (holder, other, app) = (Holder::new(&server), Holder::new(&server), machine(&server, |_| {}).await);
        let web = server.app(|_| {}).await;
        // Who counts proofs by endpoint writes one number for each of them.
        let numbered = |holder: &Holder, path: &str| {
            let mut claims = holder.claims("POST", path, None);
            claims["jti"] = json!("1");
            holder.signer.proof(&claims)
        };
        let token = async |proof: &str| app.post_with(TOKEN, &[("dpop", proof)], &CREDENTIALS).await;
        token(&numbered(&holder, TOKEN)).await.json(200);
        push_with(&web, &[("dpop", &numbered(&holder, "/oauth/par"))], &[]).await.json(201);
        token(&numbered(&other, TOKEN)).await.json(200);
        let before = server.rows().await;
        token(&numbered(&holder, TOKEN)).await.is_error(400, "invalid_dpop_proof");
        let again = numbered(&holder, "/oauth/par");
        push_with(&web, &[("dpop", &again)], &[]).await.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn introspection_tells_the_key_and_the_type__rfc9449_6_2() {
    each_server(&[], |server| async move {
        let (holder, app) = (Holder::new(&server), machine(&server, |_| {}).await);
        let tokens = holder.token(&app, &CREDENTIALS).await.json(200);
        let told =
            app.post("/oauth/introspect", &[("token", tokens["access_token"].as_str().unwrap())]).await.json(200);
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("DPoP")));
        assert_eq!(told["cnf"], json!({ "jkt": holder.jkt() }));
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_tokens_must_be_bound_gets_none_without_a_proof__rfc9449_5_2() {
    each_server(&[], |server| async move {
        let holder = Holder::new(&server);
        let bound = machine(&server, |metadata| metadata.dpop_bound_access_tokens = true).await;
        let before = server.rows().await;
        bound.token(&CREDENTIALS).await.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
        assert_eq!(holder.token(&bound, &CREDENTIALS).await.json(200)["token_type"], "DPoP");
    })
    .await;
}

#[tokio::test]
async fn the_client_is_authenticated_before_its_proof_is_looked_at__rfc6749_3_2_1() {
    each_server(&[], |server| async move {
        let holder = Holder::new(&server);
        let app = machine(&server, |_| {}).await;
        let proof = holder.proof();
        let form = [CREDENTIALS[0], ("client_id", app.client_id.as_str()), ("client_secret", "wrong")];
        for proof in [proof.as_str(), "nonsense"] {
            server.post_with(TOKEN, &[("dpop", proof)], &form).await.is_error(401, "invalid_client");
        }
        // The proof was not used up by somebody without credentials.
        app.post_with(TOKEN, &[("dpop", &proof)], &CREDENTIALS).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn pages_of_other_origins_may_send_proofs_and_read_nonces__fetch_3_2() {
    each_server(&[], |server| async move {
        for path in [TOKEN, "/oauth/userinfo", "/oauth/revoke"] {
            let request = axum::http::Request::options(path)
                .header("origin", "https://app.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "dpop,authorization");
            let answer = server.send(request, "").await;
            assert!(answer.status.is_success(), "{answer:?}");
            assert!(answer.header("access-control-allow-headers").contains("dpop"), "{answer:?}");
        }
        let (holder, app) = (Holder::new(&server), public(&server).await);
        let proof = holder.proof();
        let headers = [("origin", "https://app.example"), ("dpop", proof.as_str())];
        let answer = app.post_with(TOKEN, &headers, &[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
        answer.is_error(400, "invalid_grant");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let exposed = answer.header("access-control-expose-headers");
        assert!(exposed.contains("dpop-nonce") && exposed.contains("www-authenticate"), "{exposed}");
    })
    .await;
}

#[tokio::test]
async fn discovery_lists_the_algorithms_of_proofs__rfc9449_5_1() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/openid-configuration").await.json(200);
        assert_eq!(document["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA", "PS256"]));
    })
    .await;
}
