//! The OpenAPI document of the JSON API and of the OAuth endpoints, and the pages that show it.

mod examples;
mod protocol;
mod schemas;

use axum::Router;
use shared::config::Config;
use shared::docs_ui::{self, OAuth, Options};
use shared::problem::Problem;
use utoipa::openapi::security::{AuthorizationCode, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, ServerBuilder};

use crate::AppState;

/// The client as which Swagger UI signs people in.
const SWAGGER_CLIENT: &str = "swagger-ui";

/// The OpenAPI document as configured.
pub fn openapi(config: &Config) -> OpenApi {
    let base = &config.auth.public_url;
    let scopes = Scopes::from_iter(protocol::scopes());
    let code = AuthorizationCode::new(base.join("/oauth/authorize"), base.join("/oauth/token"), scopes);
    let mut problems = vec![];
    <Problem as utoipa::ToSchema>::schemas(&mut problems);
    let components = ComponentsBuilder::new()
        .security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([Flow::AuthorizationCode(code)])))
        .schema_from::<Problem>()
        .schemas_from_iter(problems)
        .build();
    let mut openapi = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Referris authorization server")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("docs.md")))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url(base.as_str()).build()]))
        .components(Some(components))
        .build();
    let mut api = super::openapi_router().into_openapi();
    describe_common_answers(&mut api);
    openapi.merge(api);
    match serde_json::from_value::<OpenApi>(protocol::document(config)) {
        Ok(protocol) => openapi.merge(protocol),
        Err(error) => debug_assert!(false, "the protocol's description does not parse: {error}"),
    }
    shared::openapi::add_examples(&mut openapi);
    openapi
}

/// Adds what every operation of the JSON API may answer. What a description names in backticks gets an example.
fn describe_common_answers(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let (with_token, with_body) = (operation.security.is_some(), operation.request_body.is_some());
            for (status, description, applies) in [
                ("400", "The request can't be read", true),
                (
                    "401",
                    "`unauthorized`: no access token, one that is not valid, or no proof of the key it is bound to. \
                     `insufficient-user-authentication`: a sign-in that is not enough. `WWW-Authenticate` says which",
                    with_token,
                ),
                ("403", "The token lacks the scope, or the app may not", with_token),
                ("413", "The body is larger than 16 KiB", with_body),
                ("415", "The body is not application/json", with_body),
                ("429", "Too many requests; come back after `Retry-After`", true),
                ("500", "Something went wrong on our side", true),
                ("503", "The service can't answer just now; come back after `Retry-After`", true),
            ] {
                if applies {
                    shared::openapi::may_answer(operation, status, description);
                }
            }
            shared::openapi::describe_repeating(operation);
        }
    }
}

/// `/openapi.json`, `/docs` and `/redoc`.
pub fn pages(state: &AppState) -> Router<AppState> {
    let config = &state.platform.config;
    docs_ui::router(
        &openapi(config),
        Options {
            title: "Referris authorization server".into(),
            oauth: OAuth {
                client_id: SWAGGER_CLIENT.into(),
                scopes: ["openid", "profile", "email"].map(String::from).into(),
                authorization_server: config.auth.public_url.to_string(),
            },
            to_try_out: None,
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared::problem::catalogue::find;

    use super::*;

    fn load(overrides: &[(&str, &str)]) -> Config {
        let overrides = overrides.iter().map(|(key, value)| (format!("REFERRIS__{key}"), (*value).to_owned()));
        shared::config::load_from(None, overrides).unwrap()
    }

    #[test]
    fn every_response_and_every_error_has_an_example() {
        let served = serde_json::to_value(openapi(&load(&[]))).unwrap();
        let mut untold = vec![];
        for (path, item) in served["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                        let at = format!("{method} {path} {status} {media_type}");
                        let examples = content["examples"].as_object();
                        let told = content.get("example").is_some() || examples.is_some_and(|all| !all.is_empty());
                        if !told || content["example"].to_string().contains("\"…\"") {
                            untold.push(at.clone());
                        }
                        for (name, example) in examples.into_iter().flatten() {
                            let value = &example["value"];
                            let fits = match media_type.as_str() {
                                "application/problem+json" => {
                                    let kind = find(name).unwrap_or_else(|| panic!("{at}: {name}"));
                                    value["type"] == kind.uri() && value["status"].as_u64() == status.parse().ok()
                                }
                                _ => value["error"] == name.as_str(),
                            };
                            assert!(fits, "{at} {name}: {value}");
                        }
                    }
                }
            }
        }
        assert!(untold.is_empty(), "without an example: {untold:#?}");
    }

    /// What was written down of the protocol is what is served: nothing got lost on the way through the library.
    #[test]
    fn the_description_of_the_protocol_is_served_whole() {
        let config = load(&[]);
        // Examples are added to what is written, and compared elsewhere.
        let without_examples = |mut document: Value| {
            let operations = document["paths"].as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut);
            let responses =
                operations.flatten().filter_map(|(_, operation)| operation.get_mut("responses")?.as_object_mut());
            for content in
                responses.flatten().filter_map(|(_, response)| response.get_mut("content")?.as_object_mut()).flatten()
            {
                content.1.as_object_mut().unwrap().retain(|name, _| !name.starts_with("example"));
            }
            document
        };
        let served = without_examples(serde_json::to_value(openapi(&config)).unwrap());
        let written = without_examples(protocol::document(&config));
        for part in ["/paths", "/components/schemas", "/components/securitySchemes"] {
            let served = served.pointer(part).unwrap();
            for (name, value) in written.pointer(part).and_then(Value::as_object).unwrap() {
                assert_eq!(&served[name], value, "{part} {name}");
            }
        }
    }

    #[test]
    fn registration_is_described_where_there_is_any() {
        let has = |policy: &str| {
            let openapi = openapi(&load(&[("REGISTRATION__POLICY", policy)]));
            openapi.paths.paths.keys().any(|path| path.starts_with("/oauth/register"))
        };
        assert!(has("open") && has("initial_access_token") && !has("off"));
    }
}
