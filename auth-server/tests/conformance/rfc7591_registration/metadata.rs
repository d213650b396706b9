//! Metadata that is refused, each with its code, and with nothing registered.

use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{OPEN, register, send, web_app};
use crate::harness::{Server, each_server};

fn with(changes: Value) -> Value {
    let mut metadata = web_app();
    for (member, value) in changes.as_object().expect("an object") {
        metadata[member] = value.clone();
    }
    metadata
}

async fn all_refused(server: &Server, code: &str, cases: Vec<Value>) {
    let before = server.rows().await;
    for changes in cases {
        let answer = register(server, &with(changes.clone())).await;
        assert_eq!(answer.status.as_u16(), 400, "{changes}: {answer:?}");
        answer.is_error(400, code);
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    assert_eq!(server.rows().await, before);
}

#[tokio::test]
async fn a_redirect_uri_that_codes_may_not_be_sent_to_is_refused__rfc7591_3_2_2() {
    each_server(&[OPEN], |server| async move {
        let cases = [
            json!(["http://app.example/cb"]),
            json!(["https://app.example/cb#fragment"]),
            json!(["https://app.example/cb", "javascript:alert(1)"]),
            json!(["https://user@app.example/cb"]),
            json!(["https://*.app.example/cb"]),
            json!(["/cb"]),
            json!(["app:/cb"]),
            json!(["https://app.example/\u{e9}"]),
            json!("https://app.example/cb"),
            json!([42]),
            json!([]),
            Value::Null,
        ];
        let cases = cases.into_iter().map(|uris| json!({ "redirect_uris": uris })).collect();
        all_refused(&server, "invalid_redirect_uri", cases).await;
    })
    .await;
}

#[tokio::test]
async fn redirect_uris_fit_the_kind_of_application__oidcr_2() {
    each_server(&[OPEN], |server| async move {
        let kind = |kind: &str, uri: &str| json!({ "application_type": kind, "redirect_uris": [uri] });
        all_refused(
            &server,
            "invalid_redirect_uri",
            vec![
                kind("web", "http://127.0.0.1/cb"),
                kind("web", "https://localhost/cb"),
                kind("web", "com.example.app:/cb"),
                kind("native", "http://app.example/cb"),
            ],
        )
        .await;
        for uri in ["http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"] {
            let asked = with(json!({ "redirect_uris": [uri], "token_endpoint_auth_method": "none" }));
            assert_eq!(register(&server, &asked).await.json(201)["application_type"], "native", "{uri}");
        }
    })
    .await;
}

#[tokio::test]
async fn metadata_that_is_not_acceptable_is_refused__rfc7591_3_2_2() {
    let many = (0..33).map(|n| format!("a{n}@example.com")).collect::<Vec<_>>();
    let many = &many;
    each_server(&[OPEN], |server| async move {
        all_refused(
            &server,
            "invalid_client_metadata",
            vec![
                json!({ "client_name": "a".repeat(101) }),
                json!({ "client_name": 1 }),
                json!({ "grant_types": ["magic"] }),
                json!({ "grant_types": ["implicit"] }),
                json!({ "grant_types": "authorization_code" }),
                json!({ "grant_types": ["refresh_token"] }),
                json!({ "response_types": ["token"] }),
                json!({ "response_types": ["code", "code id_token"] }),
                json!({ "grant_types": ["client_credentials"], "response_types": ["code"] }),
                json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none" }),
                json!({ "scope": "openid magic" }),
                json!({ "scope": ["openid"] }),
                json!({ "token_endpoint_auth_method": "magic" }),
                json!({ "id_token_signed_response_alg": "none" }),
                json!({ "id_token_signed_response_alg": "HS256" }),
                json!({ "userinfo_signed_response_alg": "none" }),
                json!({ "request_object_signing_alg": "none" }),
                json!({ "token_endpoint_auth_signing_alg": "none" }),
                json!({ "id_token_encrypted_response_alg": "RSA-OAEP" }),
                json!({ "subject_type": "magic" }),
                json!({ "application_type": "magic" }),
                json!({ "default_max_age": -1 }),
                json!({ "require_auth_time": "yes" }),
                json!({ "contacts": many }),
                json!({ "client_uri": "http://app.example/" }),
                json!({ "logo_uri": "javascript:alert(1)" }),
                json!({ "policy_uri": "not a url" }),
                json!({ "tos_uri": "https://user@app.example/" }),
                json!({ "initiate_login_uri": "http://app.example/" }),
                json!({ "post_logout_redirect_uris": ["http://app.example/bye"] }),
                json!({ "backchannel_logout_uri": "http://app.example/out" }),
                json!({ "backchannel_logout_uri": "https://app.example/out#here" }),
                json!({ "backchannel_logout_uri": "https://127.0.0.1/out" }),
                json!({ "frontchannel_logout_uri": "https://other.example/out" }),
                json!({ "sector_identifier_uri": "http://app.example/sector" }),
                json!({ "sector_identifier_uri": "https://10.0.0.1/sector" }),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn keys_come_by_value_or_by_reference_and_are_public__rfc7591_2() {
    each_server(&[OPEN], |server| async move {
        let key = Signer::new(jsonwebtoken::Algorithm::ES256).jwk();
        let mut private = key.clone();
        private["d"] = json!("AQ");
        all_refused(
            &server,
            "invalid_client_metadata",
            vec![
                json!({ "jwks": { "keys": [key] }, "jwks_uri": "https://app.example/jwks" }),
                json!({ "jwks": { "keys": [private] } }),
                json!({ "jwks": { "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] } }),
                json!({ "jwks": { "keys": [] } }),
                json!({ "jwks": {} }),
                json!({ "jwks": "keys" }),
                json!({ "jwks_uri": "http://app.example/jwks" }),
                json!({ "jwks_uri": "https://169.254.169.254/jwks" }),
                json!({ "jwks_uri": "https://[::1]/jwks" }),
                json!({ "require_signed_request_object": true }),
            ],
        )
        .await;
        let said = register(&server, &with(json!({ "jwks": { "keys": [key] } }))).await.json(201);
        assert_eq!(said["jwks"], json!({ "keys": [key] }));
    })
    .await;
}

#[tokio::test]
async fn nobody_makes_themselves_more_than_a_third_party__rfc7591_5() {
    each_server(&[OPEN], |server| async move {
        let cases = [
            json!({ "grant_types": ["authorization_code", "password"] }),
            json!({ "grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"] }),
            json!({ "grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"] }),
            json!({ "scope": "openid account:read" }),
            json!({ "scope": "account:write" }),
            json!({ "scope": "referrals:admin" }),
        ];
        all_refused(&server, "invalid_client_metadata", cases.into()).await;
        // Members of our own making mean nothing here.
        let asked = with(json!({ "first_party": true, "require_pkce": false, "profile": "fapi2", "origin": "operator",
            "scopes": ["account:write"], "client_id": "mine", "client_secret": "chosen" }));
        let said = register(&server, &asked).await.json(201);
        assert!(said["client_id"] != "mine" && said["client_secret"] != "chosen", "{said}");
        let id = said["client_id"].as_str().expect("an id").into();
        let client = server.state.clients.get(&id).await.expect("the database").expect("the client");
        assert!(!client.first_party && client.requires_pkce() && !client.is_fapi2());
        assert!(!client.metadata.scopes.iter().any(|scope| scope.starts_with("account:")));
    })
    .await;
}

#[tokio::test]
async fn software_statements_are_refused__rfc7591_3_2_2() {
    each_server(&[OPEN], |server| async move {
        all_refused(&server, "unapproved_software_statement", vec![json!({ "software_statement": "e30.e30.c2ln" })])
            .await;
        all_refused(
            &server,
            "invalid_software_statement",
            vec![json!({ "software_statement": "not a JWT" }), json!({ "software_statement": {} })],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused__rfc7591_3_1() {
    each_server(&[OPEN], |server| async move {
        let before = server.rows().await;
        let good = web_app().to_string();
        let long = format!("{{\"client_name\":\"{}\"}}", "a".repeat(70_000));
        let deep = format!("{{\"jwks\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
        for (kind, body) in [
            ("application/x-www-form-urlencoded", "redirect_uris=https%3A%2F%2Fapp.example%2Fcb"),
            ("text/plain", &good),
            ("application/json", ""),
            ("application/json", "{"),
            ("application/json", "[]"),
            ("application/json", "null"),
            ("application/json", "{\"client_name\":\"a\",\"client_name\":\"b\"}"),
            ("application/json", "{\"client_name\":\"a\\u0000\"}"),
            ("application/json", &long),
            ("application/json", &deep),
        ] {
            send(&server, None, kind, body).await.is_error(400, "invalid_client_metadata");
        }
        assert_eq!(server.rows().await, before);
        send(&server, None, "application/json; charset=utf-8", &good).await.json(201);
    })
    .await;
}
