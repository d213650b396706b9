//! What the API says about itself.

use serde_json::{Value, json};

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
                "DELETE /v1/referral-codes/{code} referral-codes:write",
                "DELETE /v1/webhook-endpoints/{id} webhooks:manage",
                "GET /.well-known/oauth-protected-resource -",
                "GET /v1/referral-codes referral-codes:read",
                "GET /v1/referral-codes/lookup referral-codes:read",
                "GET /v1/referral-codes/{code} referral-codes:read",
                "GET /v1/referrers/{id}/referrals referrals:read",
                "GET /v1/webhook-endpoints webhooks:manage",
                "GET /v1/webhook-endpoints/{id} webhooks:manage",
                "GET /v1/webhook-endpoints/{id}/deliveries webhooks:manage",
                "PATCH /v1/webhook-endpoints/{id} webhooks:manage",
                "POST /v1/invitations referral-codes:read",
                "POST /v1/referral-codes referral-codes:write",
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
