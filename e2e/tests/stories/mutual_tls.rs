//! A client that is known by its certificate (RFC 8705): its tokens are of no use to whoever steals them.

use auth_server::clients::{ClientMetadata, NewClient};
use chrono::TimeDelta;
use reqwest::Client;
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, cli_client};

async fn a_token_bound_to_a_certificate_is_of_no_use_to_a_thief__rfc8705_3(world: World) {
    let (authority, _) = world.tls.as_ref().expect("it speaks TLS");
    let [holder, thief] = ["kiosk", "thief"].map(|name| world.showing(&authority.client(name, |_| {})));
    let plain = world.http();
    let (auth, api) = (&world.auth_url, &world.api_url);
    let mtls = world.platform.config.auth.mtls_public_url.as_ref().expect("a second listener").as_str();
    let kiosk = ClientMetadata {
        token_endpoint_auth_method: "tls_client_auth".into(),
        tls_client_auth_subject_dn: Some("CN=kiosk".into()),
        tls_client_certificate_bound_access_tokens: true,
        ..cli_client().metadata
    };
    let client = world.register(NewClient { client_id: None, metadata: kiosk, ..cli_client() }).await;
    world.person("ann").await;

    // The client finds the address for its certificate where the specification says (RFC 8705 §5).
    let discovery = plain.get(format!("{auth}/.well-known/openid-configuration")).send().await.unwrap();
    let discovery: Value = discovery.json().await.unwrap();
    let endpoint = discovery["mtls_endpoint_aliases"]["token_endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{mtls}/oauth/token"));
    let form = [
        ("grant_type", "password"),
        ("client_id", client.client_id.as_str()),
        ("username", "ann@example.com"),
        ("password", PASSWORD),
        ("scope", "openid referral-codes:read referral-codes:write"),
    ];
    // The main listener never asks, so nothing is proved there; nor is it by somebody else's certificate.
    for (who, endpoint) in
        [(&holder, format!("{auth}/oauth/token")), (&thief, endpoint.into()), (plain, endpoint.into())]
    {
        let refused = who.post(endpoint).form(&form).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_client");
    }
    let tokens: Value = holder.post(endpoint).form(&form).send().await.unwrap().json().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"));

    // A stolen token opens neither service.
    let expires_at = world.platform.clock.now() + TimeDelta::days(7);
    let create = async |who: &Client| {
        let request = who.post(format!("{api}/v1/referral-codes")).bearer_auth(token);
        request.json(&json!({ "expires_at": expires_at })).send().await.unwrap()
    };
    let userinfo = format!("{mtls}/oauth/userinfo");
    for who in [&thief, plain] {
        for refused in [create(who).await, who.get(&userinfo).bearer_auth(token).send().await.unwrap()] {
            assert_eq!(refused.status(), 401);
            let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
    }
    assert_eq!(create(&holder).await.status(), 201);
    assert_eq!(holder.get(&userinfo).bearer_auth(token).send().await.unwrap().status(), 200);
}
on_both_stores_by_https!(a_token_bound_to_a_certificate_is_of_no_use_to_a_thief__rfc8705_3);
