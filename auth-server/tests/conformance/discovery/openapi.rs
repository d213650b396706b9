//! The OpenAPI document describes the endpoints that discovery names, each with its methods, and no others.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Request;
use serde_json::Value;

use super::{document, each_document, list};
use crate::harness::{Server, each_server};
use crate::rfc7591_registration::{register, web_app};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Which methods each endpoint answers.
const ENDPOINTS: &[(&str, &[&str])] = &[
    ("authorization_endpoint", &["get", "post"]),
    ("token_endpoint", &["post"]),
    ("userinfo_endpoint", &["get", "post"]),
    ("jwks_uri", &["get"]),
    ("registration_endpoint", &["post"]),
    ("revocation_endpoint", &["post"]),
    ("introspection_endpoint", &["post"]),
    ("device_authorization_endpoint", &["post"]),
    ("pushed_authorization_request_endpoint", &["post"]),
    ("end_session_endpoint", &["get", "post"]),
];

async fn openapi(server: &Server) -> Value {
    server.get("/openapi.json").await.json(200)
}

/// The operations of a path.
fn operations(openapi: &Value, path: &str) -> BTreeMap<String, Value> {
    let item = openapi["paths"][path].as_object().unwrap_or_else(|| panic!("{path} is not described"));
    item.iter()
        .filter(|(name, _)| METHODS.contains(&name.as_str()))
        .map(|(name, operation)| (name.clone(), operation.clone()))
        .collect()
}

/// What a reference leads to.
fn resolve<'a>(openapi: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let found = openapi.pointer(reference.strip_prefix('#').expect("in this document"));
            found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
    }
}

/// An operation says how a caller is let in, what it takes and what it answers, errors included.
fn assert_described(openapi: &Value, name: &str, method: &str, operation: &Value) {
    let at = format!("{method} {name}");
    assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{at}: {operation}");
    let alternatives = operation["security"].as_array().unwrap_or_else(|| panic!("{at}: who may ask?"));
    for scheme in alternatives.iter().flat_map(|alternative| alternative.as_object().expect("an object").keys()) {
        let known = &openapi["components"]["securitySchemes"][scheme];
        assert!(known.is_object(), "{at}: there is no scheme {scheme}");
    }
    if ["post", "put"].contains(&method) {
        let content = operation["requestBody"]["content"].as_object().unwrap_or_else(|| panic!("{at} takes nothing"));
        for (media_type, body) in content {
            let properties = resolve(openapi, &body["schema"])["properties"].as_object();
            assert!(properties.is_some_and(|properties| !properties.is_empty()), "{at}: {media_type}");
        }
    }
    let responses = operation["responses"].as_object().expect("responses");
    for (status, response) in responses {
        assert!(response["description"].is_string(), "{at} {status}");
        for (media_type, body) in response["content"].as_object().into_iter().flatten() {
            let schema = resolve(openapi, &body["schema"]);
            assert!(schema["type"].is_string(), "{at} {status} {media_type}");
        }
        // What a client is refused with has a form.
        let is_error = status.starts_with('4') || status.starts_with('5');
        assert!(!is_error || response["content"].is_object(), "{at} {status}");
    }
    assert!(responses.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{at}");
}

#[tokio::test]
async fn every_endpoint_is_described_with_its_methods_and_no_other_is__rfc8414_2() {
    each_document(|server, document| async move {
        let openapi = openapi(&server).await;
        let mut described = BTreeSet::new();
        let mut expect = |path: &str, methods: &[&str]| {
            let operations = operations(&openapi, path);
            let found: BTreeSet<&str> = operations.keys().map(String::as_str).collect();
            assert_eq!(found, methods.iter().copied().collect(), "{path}");
            for (method, operation) in &operations {
                assert_described(&openapi, path, method, operation);
            }
            described.insert(path.to_owned());
        };
        let members = document.as_object().expect("an object");
        for (member, url) in members.iter().filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri")) {
            let (_, methods) = ENDPOINTS.iter().find(|(name, _)| name == member).unwrap_or_else(|| panic!("{member}?"));
            let path = server.path_of(url.as_str().expect("a URL")).expect("a path");
            expect(path, methods);
            if member == "registration_endpoint" {
                expect(&format!("{path}/{{client_id}}"), &["get", "put", "delete"]);
            }
        }
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            expect(path, &["get"]);
        }
        // Nothing is described that is not announced, but for our own apps' API.
        for path in openapi["paths"].as_object().expect("paths").keys() {
            assert!(described.contains(path) || path.starts_with("/api/"), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_method_that_is_not_described_is_not_answered__rfc9110_15_5_6() {
    each_document(|server, _| async move {
        let openapi = openapi(&server).await;
        for path in openapi["paths"].as_object().expect("paths").keys() {
            let described = operations(&openapi, path);
            let real = path.replace("{client_id}", "nobody");
            for method in METHODS {
                let request = Request::builder().method(method.to_uppercase().as_str()).uri(&real);
                let answer = server.send(request, "").await;
                assert_eq!(answer.status == 405, !described.contains_key(method), "{method} {path}: {answer:?}");
                assert_ne!(answer.status, 404, "{method} {path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_metadata_and_what_clients_register_are_described_member_by_member__rfc8414_2__rfc7591_3_2_1() {
    each_document(|server, document| async move {
        let openapi = openapi(&server).await;
        let known = |schema: &str, answer: &Value| {
            let properties = openapi["components"]["schemas"][schema]["properties"].as_object().expect("properties");
            for (member, value) in answer.as_object().expect("an object") {
                let described = properties.get(member).unwrap_or_else(|| panic!("{schema}: {member}"));
                let kind = match value {
                    Value::Array(_) => "array",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::Object(_) => "object",
                    _ => "string",
                };
                let kinds = &described["type"];
                let fits = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind));
                assert!(fits, "{schema}: {member} is {kinds} and not {kind}");
            }
        };
        known("ServerMetadata", &document);
        known("KeySet", &server.get("/oauth/jwks").await.json(200));
        let registration = register(&server, &web_app()).await.json(201);
        known("ClientRegistration", &registration);
        let grants = &openapi["paths"]["/oauth/token"]["post"]["requestBody"]["content"];
        let grants = &grants["application/x-www-form-urlencoded"]["schema"]["properties"]["grant_type"]["enum"];
        let described: BTreeSet<&str> = grants.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(described, list(&document, "grant_types_supported").iter().map(String::as_str).collect());

        server.person("ann@example.com").await;
        let app = server.app(|_| ()).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid profile email")]).await;
        known("Tokens", &tokens);
        let access = tokens["access_token"].as_str().expect("an access token");
        let introspected = app.post("/oauth/introspect", &[("token", access)]).await.json(200);
        known("Introspection", &introspected);
        let bearer = Request::get("/oauth/userinfo").header("authorization", format!("Bearer {access}"));
        known("UserInfo", &server.send(bearer, "").await.json(200));
        let pushed = app.post("/oauth/par", &app.parameters(&[("client_id", "")])).await.json(201);
        known("PushedRequest", &pushed);
        known("OAuthError", &app.token(&[("grant_type", "magic")]).await.json(400));
    })
    .await;
}

#[tokio::test]
async fn what_is_switched_off_is_not_described__rfc8414_2() {
    each_server(&[("REGISTRATION__POLICY", "off")], |server| async move {
        assert!(document(&server).await.get("registration_endpoint").is_none());
        let openapi = openapi(&server).await;
        assert!(openapi["paths"].as_object().expect("paths").keys().all(|path| !path.contains("register")));
    })
    .await;
}
