//! The OpenAPI document of the JSON API and of the OAuth endpoints, and the pages that show it.

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
    openapi.merge(super::openapi_router().into_openapi());
    match serde_json::from_value::<OpenApi>(protocol::document(config)) {
        Ok(protocol) => openapi.merge(protocol),
        Err(error) => debug_assert!(false, "the protocol's description does not parse: {error}"),
    }
    openapi
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

    use super::*;

    fn load(overrides: &[(&str, &str)]) -> Config {
        let overrides = overrides.iter().map(|(key, value)| (format!("REFERRIS__{key}"), (*value).to_owned()));
        shared::config::load_from(None, overrides).unwrap()
    }

    /// What was written down of the protocol is what is served: nothing got lost on the way through the library.
    #[test]
    fn the_description_of_the_protocol_is_served_whole() {
        let config = load(&[]);
        let served = serde_json::to_value(openapi(&config)).unwrap();
        let written = protocol::document(&config);
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
