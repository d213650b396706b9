//! Discovery tells the truth: everything it lists works.

use std::collections::BTreeSet;

use openidconnect::core::{CoreClient, CoreProviderMetadata};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Nonce};
use reqwest::Method;
use serde_json::{Value, json};

use crate::actor::Answer;
use crate::app_library::{parameter, send};
use crate::visitor::Stop;
use crate::world::{World, app_client};

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("text")).collect()
}

async fn both_documents_list_what_works__rfc8414_2(world: World) {
    let anon = world.anon();
    let openid = anon.get("/.well-known/openid-configuration").await.is(200);
    let oauth = anon.get("/.well-known/oauth-authorization-server").await.is(200);
    for document in [&openid, &oauth] {
        assert_eq!(document["issuer"], world.auth_url.as_str(), "byte for byte");
        for name in ["authorization", "token", "revocation", "introspection", "device_authorization"] {
            let url = document[format!("{name}_endpoint")].as_str().unwrap_or_else(|| panic!("{name}: {document}"));
            let method = if name == "authorization" { Method::GET } else { Method::POST };
            let answer = Answer::to(anon.request(method, url).form(&[("a", "b")])).await;
            assert!(answer.status == 400 || answer.status == 401, "{url} {}", answer.status);
        }
        let methods = strings(&document["code_challenge_methods_supported"]);
        assert_eq!(methods, ["S256"]);
        let page = world.visitor().open(document["service_documentation"].as_str().unwrap()).await.page();
        assert_eq!(page.status, 200);
    }
    anon.get(openid["userinfo_endpoint"].as_str().unwrap()).await.is_problem(401, "");

    // The rest of what is promised, in what an endpoint answers.
    assert_eq!(
        strings(&openid["grant_types_supported"]).into_iter().collect::<BTreeSet<_>>(),
        [
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ]
        .into()
    );
    let (app, _) = world.service("openid").await;
    for grant in strings(&openid["grant_types_supported"]) {
        let answer = app.token(&[("grant_type", grant)]).await.json();
        assert_ne!(answer["error"], "unsupported_grant_type", "{grant}");
    }
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    app.signs_in(&mut visitor, &ann.email, "openid").await;
    for prompt in strings(&openid["prompt_values_supported"]) {
        match visitor.open(&app.authorization("openid").with("prompt", Some(prompt)).url).await {
            Stop::Page(page) => assert_eq!(page.status, 200, "{prompt}"),
            Stop::Away(url) => assert!(parameter(&url, "error").is_none(), "{prompt}: {url}"),
        }
    }
    // A page is in the language that is asked for.
    for locale in strings(&openid["ui_locales_supported"]) {
        let authorization = app.authorization("openid").with("ui_locales", Some(locale)).with("prompt", Some("login"));
        let page = visitor.open(&authorization.url).await.page();
        assert!(page.body.contains(&format!("lang=\"{locale}\"")), "{locale}:\n{}", page.body);
    }
}
on_both_stores!(both_documents_list_what_works__rfc8414_2);

async fn every_scope_and_claim_listed_is_given(world: World) {
    let document = world.anon().get("/.well-known/openid-configuration").await.is(200);
    let ann = world.person("ann").await;
    let scopes = strings(&document["scopes_supported"]);
    assert_eq!(scopes.iter().collect::<BTreeSet<_>>().len(), scopes.len());
    for scope in &scopes {
        // For administrators, whose role is not built yet, and for programs of the operator's: the command line has none.
        let answer = world.cli.password(&ann.email, crate::world::PASSWORD, scope).await;
        if !["referrals:admin", "referrals:manage", "webhooks:manage"].contains(scope) {
            assert_eq!(answer.is(200)["scope"], *scope);
        }
    }
    let claims = strings(&document["claims_supported"]);
    let info = ann.get("/oauth/userinfo").await.is(200);
    for claim in info.as_object().unwrap().keys() {
        assert!(claims.contains(&claim.as_str()), "{claim} is given, and not listed");
    }
}
on_both_stores!(every_scope_and_claim_listed_is_given);

async fn id_tokens_come_with_every_algorithm_listed__oidc_discovery_3(world: World) {
    let http = |request| send(world.http().clone(), request);
    let issuer = IssuerUrl::new(world.auth_url.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
    let ann = world.person("ann").await;
    let document = world.anon().get("/.well-known/openid-configuration").await.is(200);
    let algorithms = strings(&document["id_token_signing_alg_values_supported"]);
    assert!(algorithms.contains(&"RS256"), "OpenID Connect Discovery §3: {algorithms:?}");
    let mut visitor = world.visitor();
    for algorithm in algorithms {
        let mut client = app_client("Picky App", &["authorization_code"], "http://127.0.0.1:1/callback");
        client.metadata.id_token_signed_response_alg = algorithm.to_owned();
        let app = world.register(client).await;
        let authorization = app.authorization("openid");
        let code = app.code(&mut visitor, &ann.email, &authorization).await;
        let tokens = app.exchange(&code, &authorization.verifier).await.is(200);
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(app.client_id.clone()),
            app.secret.clone().map(ClientSecret::new),
        );
        let id_token: openidconnect::core::CoreIdToken = tokens["id_token"].as_str().unwrap().parse().unwrap();
        let signed_with = serde_json::to_value(id_token.signing_alg().unwrap()).unwrap();
        assert_eq!(signed_with, *algorithm);
        let verifier = client.id_token_verifier().set_allowed_algs([id_token.signing_alg().unwrap().clone()]);
        let claims = id_token.claims(&verifier, &Nonce::new(authorization.nonce.clone()));
        assert_eq!(claims.expect(algorithm).subject().as_str(), ann.id);
    }
}
on_both_stores!(id_tokens_come_with_every_algorithm_listed__oidc_discovery_3);

async fn the_keys_are_public_and_cacheable__rfc7517_5(world: World) {
    let answer = world.anon().get("/oauth/jwks").await;
    let jwks = answer.is(200);
    assert!(answer.header("cache-control").contains("max-age="), "{}", answer.header("cache-control"));
    let keys = jwks["keys"].as_array().unwrap();
    let ids: BTreeSet<_> = keys.iter().map(|key| key["kid"].as_str().expect("a kid")).collect();
    assert_eq!(ids.len(), keys.len());
    for key in keys {
        assert_eq!(key["use"], "sig", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key[private].is_null(), "a private key is published: {}", key["kid"]);
        }
    }
}
on_both_stores!(the_keys_are_public_and_cacheable__rfc7517_5);

async fn the_api_says_whose_tokens_it_takes__rfc9728_3(world: World) {
    let url = format!("{}/.well-known/oauth-protected-resource", world.api_url);
    let document = world.anon().get(&url).await.is(200);
    assert_eq!(document["resource"], world.api_url.as_str());
    assert_eq!(document["authorization_servers"], json!([world.auth_url]));
    // And points there from a refusal (RFC 9728 §5.1).
    let refused = world.anon().get("/v1/referral-codes").await;
    assert!(refused.header("www-authenticate").contains(&url), "{}", refused.header("www-authenticate"));
}
on_both_stores!(the_api_says_whose_tokens_it_takes__rfc9728_3);

async fn both_services_document_themselves(world: World) {
    for service in [&world.auth_url, &world.api_url] {
        for (path, kind) in [("/docs", "text/html"), ("/redoc", "text/html"), ("/openapi.json", "application/json")] {
            let mut visitor = world.visitor();
            let page = visitor.open(format!("{service}{path}")).await.page();
            assert_eq!(page.status, 200, "{}", page.url);
            assert!(page.headers["content-type"].to_str().unwrap().starts_with(kind), "{}", page.url);
        }
        // What the document describes is there.
        let document = world.anon().get(&format!("{service}/openapi.json")).await.is(200);
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for method in operations.as_object().unwrap().keys() {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
                if !["GET", "POST", "PATCH", "DELETE", "PUT"].contains(&method.as_str()) {
                    continue;
                }
                let url = format!("{service}{}", path.replace(['{', '}'], ""));
                let status = Answer::to(world.anon().request(method.clone(), &url)).await.status;
                assert!(status < 500 && status != 404 && status != 405, "{method} {url}: {status}");
            }
        }
    }
}
on_both_stores!(both_services_document_themselves);
