//! What the API says about itself.

use serde_json::{Value, json};
use shared::openapi::UNTOLD;
use shared::problem::catalogue::find;

use crate::world::on_each_store;

#[tokio::test]
async fn every_operation_is_described_with_its_scope_and_its_problems() {
    on_each_store(|world| async move {
        let document = world.anon().get("/openapi.json").await.body;
        assert_eq!(document, serde_json::to_value(referral_api::openapi(&world.platform.config)).unwrap());
        // Swagger UI's differs in one thing: the example can be sent as it stands.
        let mut to_try_out = world.anon().get("/docs/openapi.json").await.body;
        let example = to_try_out["components"]["schemas"]["NewCode"]["example"].take();
        assert_eq!(world.person("Ann").await.post("/v1/referral-codes", &example).await.status, 201);
        to_try_out["components"]["schemas"]["NewCode"]["example"] =
            document["components"]["schemas"]["NewCode"]["example"].clone();
        assert_eq!(to_try_out, document);
        let mut operations = vec![];
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let scope = operation["security"][0]["oauth2"][0].as_str().unwrap_or("-");
                operations.push(format!("{} {path} {scope}", method.to_uppercase()));
                let Some(_) = operation.get("security") else { continue };
                assert!(operation["security"].as_array().unwrap().contains(&json!({ "with-proof": [] })), "{path}");
                let headers = operation["responses"]["401"]["headers"].as_object().unwrap();
                assert!(headers.contains_key("WWW-Authenticate") && headers.contains_key("DPoP-Nonce"), "{path}");
                for status in ["401", "403", "503"] {
                    let schema = &operation["responses"][status]["content"]["application/problem+json"]["schema"];
                    assert_eq!(*schema, json!({ "$ref": "#/components/schemas/Problem" }), "{method} {path} {status}");
                }
            }
        }
        operations.sort_unstable();
        assert_eq!(
            operations,
            [
                "DELETE /v1/invitations/{id} referral-codes:read",
                "DELETE /v1/referral-codes/{code} referral-codes:write",
                "DELETE /v1/webhook-endpoints/{id} webhooks:manage",
                "GET /.well-known/oauth-protected-resource -",
                "GET /v1/invitations referral-codes:read",
                "GET /v1/invitations/{id} referral-codes:read",
                "GET /v1/referral-codes referral-codes:read",
                "GET /v1/referral-codes/lookup referral-codes:read",
                "GET /v1/referral-codes/{code} referral-codes:read",
                "GET /v1/referral-codes/{code}/qr.svg referral-codes:read",
                "GET /v1/referral-codes/{code}/stats referral-codes:read",
                "GET /v1/referrals referrals:admin",
                "GET /v1/referrals/{id} referrals:admin",
                "GET /v1/referrers/{id}/referrals referrals:read",
                "GET /v1/referrers/{id}/referrals.csv referrals:read",
                "GET /v1/referrers/{id}/rewards referrals:read",
                "GET /v1/referrers/{id}/stats referrals:read",
                "GET /v1/webhook-endpoints webhooks:manage",
                "GET /v1/webhook-endpoints/{id} webhooks:manage",
                "GET /v1/webhook-endpoints/{id}/deliveries webhooks:manage",
                "PATCH /v1/webhook-endpoints/{id} webhooks:manage",
                "POST /v1/invitations referral-codes:read",
                "POST /v1/referral-codes referral-codes:write",
                "POST /v1/referral-codes/{code}/rotate referral-codes:write",
                "POST /v1/referrals/{id}/clear referrals:admin",
                "POST /v1/referrals/{id}/qualify referrals:admin",
                "POST /v1/referrals/{id}/reject referrals:admin",
                "POST /v1/referrals/{id}/reverse referrals:admin",
                "POST /v1/referrals/{id}/reward referrals:admin",
                "POST /v1/webhook-endpoints webhooks:manage",
                "POST /v1/webhook-endpoints/{id}/deliveries/{message_id}/replay webhooks:manage",
                "POST /v1/webhook-endpoints/{id}/replay webhooks:manage",
                "POST /v1/webhook-endpoints/{id}/rotate-secret webhooks:manage",
                "POST /v1/webhook-endpoints/{id}/test webhooks:manage",
            ]
        );
        assert_every_reference_leads_somewhere(&document, &document);
        let flow = &document["components"]["securitySchemes"]["oauth2"]["flows"]["authorizationCode"];
        assert_eq!(flow["authorizationUrl"], format!("{}/oauth/authorize", world.issuer.url()));
        let with_proof = &document["components"]["securitySchemes"]["with-proof"];
        assert_eq!((&with_proof["type"], &with_proof["name"]), (&json!("apiKey"), &json!("DPoP")));
        assert_eq!(flow["tokenUrl"], format!("{}/oauth/token", world.issuer.url()));
    })
    .await;
}

#[tokio::test]
async fn every_response_and_every_error_has_an_example_and_every_name_a_description() {
    on_each_store(|world| async move {
        let document = world.anon().get("/openapi.json").await.body;
        let mut untold = vec![];
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let at = format!("{method} {path}");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let described = parameter["description"].is_string() && parameter.get("example").is_some();
                    if !described {
                        untold.push(format!("{at}: {}", parameter["name"]));
                    }
                }
                let responses = operation["responses"].as_object().unwrap();
                if operation.get("security").is_some() {
                    for status in ["400", "401", "403", "429", "500", "503"] {
                        assert!(responses.contains_key(status), "{at} has no {status}");
                    }
                    assert!(responses["429"]["headers"]["Retry-After"].is_object(), "{at}");
                }
                for (status, response) in responses {
                    for (name, header) in response["headers"].as_object().into_iter().flatten() {
                        assert!(header["description"].is_string(), "{at} {status} {name}");
                    }
                    for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                        let at = format!("{at} {status} {media_type}");
                        if media_type == "application/problem+json" {
                            assert_problems(&at, status, &content["examples"]);
                        } else if content.get("example").is_none() || content.to_string().contains(UNTOLD) {
                            untold.push(at);
                        }
                    }
                    let is_error = status.starts_with(['4', '5']);
                    assert!(!is_error || response["content"]["application/problem+json"].is_object(), "{at} {status}");
                }
            }
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            for (property, described) in schema["properties"].as_object().into_iter().flatten() {
                let kind = |schema: &Value| document.pointer(schema["$ref"].as_str()?.strip_prefix('#')?).cloned();
                // What may be null is one of two, and described at the other.
                let mut schemas = vec![described.clone()];
                schemas.extend(described["oneOf"].as_array().into_iter().flatten().cloned());
                schemas.extend(schemas.clone().iter().filter_map(kind));
                if !schemas.iter().any(|schema| schema["description"].is_string()) {
                    untold.push(format!("{name}.{property}"));
                }
            }
        }
        assert!(untold.is_empty(), "without a description or an example: {untold:#?}");
    })
    .await;
}

/// Each is a problem of a kind that the catalogue has, of this very status.
fn assert_problems(at: &str, status: &str, examples: &Value) {
    let examples = examples.as_object().unwrap_or_else(|| panic!("{at} has no examples"));
    assert!(!examples.is_empty(), "{at}");
    for (slug, example) in examples {
        let kind = find(slug).unwrap_or_else(|| panic!("{at}: {slug}?"));
        let problem = &example["value"];
        assert_eq!(problem["type"], kind.uri(), "{at}");
        assert_eq!((problem["status"].to_string().as_str(), &problem["title"]), (status, &json!(kind.title)), "{at}");
        let members = ["type", "title", "status", "detail", "errors", "request_id"];
        assert!(problem.as_object().unwrap().keys().all(|name| members.contains(&name.as_str())), "{at}: {problem}");
        assert_eq!(problem["errors"].is_array(), slug == "validation", "{at}: {problem}");
    }
}

#[tokio::test]
async fn a_problem_leads_to_the_page_that_says_what_to_do() {
    on_each_store(|world| async move {
        let answer = world.person("Ann").await.get("/v1/referral-codes/NOTHERE1").await;
        let link = answer.header("link").to_owned();
        let path = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"help\"")).expect(&link);
        let page = world.anon().get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.as_str().unwrap().contains(&answer.text("type")), "{page:?}");
        assert_eq!(world.anon().get("/problems").await.status, 200);
        assert_eq!(world.anon().get("/problems/nothing").await.problem(), "not-found");
    })
    .await;
}

fn assert_every_reference_leads_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            members.values().for_each(|member| assert_every_reference_leads_somewhere(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| assert_every_reference_leads_somewhere(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_pages_for_people_are_there() {
    on_each_store(|world| async move {
        for path in [
            "/docs/",
            "/docs/oauth2-redirect.html",
            "/docs/swagger-ui-bundle.js",
            "/redoc",
            "/redoc/redoc.standalone.js",
        ] {
            assert_eq!(world.anon().get(path).await.status, 200, "{path}");
        }
        let root = world.anon().get("/").await;
        assert_eq!((root.status, root.header("location")), (303, "/docs"));
        let page = world.anon().get("/docs/").await;
        assert!(page.header("content-security-policy").contains(world.issuer.url()), "{page:?}");
        assert!(page.headers.get("cross-origin-opener-policy").is_none(), "the sign-in popup needs its opener");
    })
    .await;
}
