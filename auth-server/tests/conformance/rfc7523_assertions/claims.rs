//! §3, JWT format and processing requirements, as they hold for client authentication; FAPI 2.0 §5.3.2.1.

use auth_server::clients::{ClientMetadata, Profile};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Keyed, remembered};
use crate::harness::each_server;

/// Assertions with these claims, all properly signed, are refused and change nothing.
async fn refused(client: &Keyed, cases: Vec<(&str, Value)>) {
    let server = &client.app.server;
    let before = (server.rows().await, remembered(server).await);
    for (case, claims) in cases {
        let answer = client.request(&client.signed(&claims)).await;
        assert_eq!(answer.json(401)["error"], "invalid_client", "{case}");
        answer.is_error(401, "invalid_client");
    }
    assert_eq!((server.rows().await, remembered(server).await), before);
    client.request(&client.signed(&client.claims())).await.json(200);
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// What the profile asks of a client that uses client credentials.
fn under_fapi(client: &mut ClientMetadata) {
    client.profile = Some(Profile::Fapi2);
    client.dpop_bound_access_tokens = true;
    client.id_token_signed_response_alg = "PS256".into();
}

#[tokio::test]
async fn iss_and_sub_are_the_client__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let good = || client.claims();
        let mut cases = vec![];
        for name in ["iss", "sub"] {
            cases.extend([
                (name, without(good(), name)),
                (name, with(good(), name, json!("somebody"))),
                (name, with(good(), name, json!([client.app.client_id]))),
                (name, with(good(), name, json!(""))),
                (name, with(good(), name, Value::Null)),
            ]);
        }
        refused(&client, cases).await;
    })
    .await;
}

#[tokio::test]
async fn aud_is_this_server_and_nobody_else__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let (issuer, good) = (server.state.issuer().to_owned(), || client.claims());
        let token = format!("{issuer}/oauth/token");
        for aud in [json!(token), json!([token]), json!([issuer, token])] {
            client.request(&client.signed(&with(good(), "aud", aud))).await.json(200);
        }
        let cases = [
            json!("https://another.example"),
            json!(format!("{issuer}/")),
            json!(format!("{issuer}/oauth/par")),
            json!(issuer.to_uppercase()),
            json!([]),
            json!([issuer, "https://another.example"]),
            json!([issuer, 1]),
            json!({ "is": issuer }),
            json!(""),
        ];
        let mut cases: Vec<_> = cases.into_iter().map(|aud| ("aud", with(good(), "aud", aud))).collect();
        cases.push(("no aud", without(good(), "aud")));
        refused(&client, cases).await;
    })
    .await;
}

#[tokio::test]
async fn under_fapi_aud_is_the_issuer_as_a_string__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::PS256, under_fapi).await;
        let issuer = server.state.issuer().to_owned();
        let cases = [json!(format!("{issuer}/oauth/token")), json!([issuer]), json!([issuer, issuer])];
        refused(&client, cases.into_iter().map(|aud| ("aud", with(client.claims(), "aud", aud))).collect()).await;
    })
    .await;
}

#[tokio::test]
async fn exp_is_there_near_and_not_past__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let (now, good) = (server.state.platform.clock.timestamp(), || client.claims());
        let exp = |exp: Value| with(good(), "exp", exp);
        refused(
            &client,
            vec![
                ("no exp", without(good(), "exp")),
                ("past", exp(json!(now - 60))),
                ("text", exp(json!((now + 60).to_string()))),
                ("negative", exp(json!(-1))),
                ("far", exp(json!(now + 3700))),
                ("for ever", exp(json!(1e300))),
                ("longer than an hour", with(exp(json!(now + 3000)), "iat", json!(now - 3000))),
            ],
        )
        .await;
        client.request(&client.signed(&exp(json!(now + 3500)))).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn nbf_and_iat_are_not_in_the_future_but_for_a_few_seconds__rfc7523_3__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let now = server.state.platform.clock.timestamp();
        let mut cases = vec![];
        for name in ["iat", "nbf"] {
            client.request(&client.signed(&with(client.claims(), name, json!(now + 8)))).await.json(200);
            let future = with(client.claims(), "exp", json!(now + 120));
            cases.push((name, with(future, name, json!(now + 61))));
            cases.push((name, with(client.claims(), name, json!("now"))));
        }
        refused(&client, cases).await;
        client.request(&client.signed(&without(client.claims(), "iat"))).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn jti_is_there_and_of_a_bearable_length__rfc7523_3() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        refused(
            &client,
            vec![
                ("no jti", without(client.claims(), "jti")),
                ("empty", with(client.claims(), "jti", json!(""))),
                ("a number", with(client.claims(), "jti", json!(1))),
                ("long", with(client.claims(), "jti", json!("x".repeat(257)))),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn typ_is_that_of_an_assertion_where_it_is_there__rfc8725_3_11() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let of = |typ: &str| client.signer.sign(&client.signer.header(typ), &client.claims());
        for typ in ["", "jwt", "JWT", "client-authentication+jwt", "application/client-authentication+jwt"] {
            client.request(&of(typ)).await.json(200);
        }
        let before = (server.rows().await, remembered(&server).await);
        for typ in ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "secevent+jwt"] {
            client.request(&of(typ)).await.is_error(401, "invalid_client");
        }
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}

#[tokio::test]
async fn the_header_says_nothing_critical_and_brings_no_key__rfc7515_4_1_11__rfc8725_3_10() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let stranger = shared::jose::testing::Signer::new(Algorithm::ES256);
        let before = (server.rows().await, remembered(&server).await);
        let mut critical = client.signer.header("JWT");
        critical["crit"] = json!(["exp"]);
        client.request(&client.signer.sign(&critical, &client.claims())).await.is_error(401, "invalid_client");
        let mut own_key = stranger.header("JWT");
        own_key["jwk"] = stranger.jwk();
        client.request(&stranger.sign(&own_key, &client.claims())).await.is_error(401, "invalid_client");
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"ES256","alg":"ES256"}"#] {
            let assertion = client.signer.sign_text(header, &client.claims().to_string());
            client.request(&assertion).await.is_error(401, "invalid_client");
        }
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}

#[tokio::test]
async fn duplicate_deep_and_oversized_claims_are_refused__rfc7519_4__rfc8725_2_6() {
    each_server(&[], |server| async move {
        let client = Keyed::new(&server, Algorithm::ES256, |_| {}).await;
        let before = (server.rows().await, remembered(&server).await);
        let good = client.claims().to_string();
        let twice = good.replacen('{', "{\"exp\":1,", 1);
        let deep = good.replacen('{', &format!("{{\"x\":{}1{},", "[".repeat(40), "]".repeat(40)), 1);
        let large = good.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(8192)), 1);
        for claims in [twice, deep, large, format!("[{good}]"), format!("{good}{good}"), good.replace('"', "'")] {
            let assertion = client.signer.sign_text(&client.signer.header("JWT").to_string(), &claims);
            client.request(&assertion).await.is_error(401, "invalid_client");
        }
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}

#[tokio::test]
async fn only_the_registered_algorithm_serves_and_under_fapi_only_its__oidc_registration_2__fapi2_sp_5_4_1() {
    each_server(&[], |server| async move {
        let rs256 = |client: &Keyed| {
            let mut header = client.signer.header("JWT");
            header["alg"] = json!("RS256");
            header
        };
        // An RSA key may verify both; the registration and the profile say which.
        let open = Keyed::new(&server, Algorithm::RS256, |_| {}).await;
        open.request(&open.signer.sign(&rs256(&open), &open.claims())).await.json(200);
        let before = remembered(&server).await;
        let bound =
            Keyed::new(&server, Algorithm::RS256, |m| m.token_endpoint_auth_signing_alg = Some("PS256".into())).await;
        bound.request(&bound.signed(&bound.claims())).await.is_error(401, "invalid_client");
        let fapi = Keyed::new(&server, Algorithm::RS256, under_fapi).await;
        fapi.request(&fapi.signed(&fapi.claims())).await.is_error(401, "invalid_client");
        assert_eq!(remembered(&server).await, before);
        let fapi = Keyed::new(&server, Algorithm::EdDSA, under_fapi).await;
        fapi.request(&fapi.signed(&fapi.claims())).await.json(200);
    })
    .await;
}
