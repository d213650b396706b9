//! The OpenAPI document and the pages that show it.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::config::Config;
use shared::docs_ui::{self, OAuth, Options};
use shared::problem::Problem;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, AuthorizationCode, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityRequirement,
    SecurityScheme,
};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    ComponentsBuilder, ContactBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response, ResponseBuilder, Schema, ServerBuilder,
};

use crate::access::{ADMIN_SCOPE, MANAGE_SCOPE, ReadCodes, ReadReferrals, Scope, SeeWebhooks, WriteCodes};
use crate::codes::NewCode;

/// The client as which Swagger UI signs people in.
const SWAGGER_CLIENT: &str = "swagger-ui";

/// DPoP among the ways to authorize. OpenAPI has no name for such a scheme, so it is described by its header.
const DPOP_SCHEME: &str = "with-proof";

/// The OpenAPI document of this API as configured.
pub fn openapi(config: &Config) -> OpenApi {
    crate::routes(config, None).into_openapi()
}

/// The document without its operations.
pub(crate) fn base(config: &Config) -> OpenApi {
    let issuer = config.issuer();
    let scopes = Scopes::from_iter([
        (ReadCodes::NAME, "See your referral codes, look codes up, send invitations"),
        (WriteCodes::NAME, "Create and delete your referral codes"),
        (ReadReferrals::NAME, "See who signed up with your codes"),
        (MANAGE_SCOPE, "Run the referral programme (administrators, and the operator's own programs)"),
        (SeeWebhooks::NAME, "Set up webhooks (administrators, and the operator's own programs)"),
        (ADMIN_SCOPE, "See the referrals of others (administrators only)"),
    ]);
    let code = AuthorizationCode::new(issuer.join("/oauth/authorize"), issuer.join("/oauth/token"), scopes);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("at+jwt")
        .description(Some("An access token (RFC 9068) got by other means"))
        .build();
    let proof = ApiKeyValue::with_description(
        "DPoP",
        "A DPoP proof (RFC 9449 §4), for an access token that is bound to its key and comes as `Authorization: DPoP …`",
    );
    let mut problems = vec![];
    Problem::schemas(&mut problems);
    let components = ComponentsBuilder::new()
        .security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([Flow::AuthorizationCode(code)])))
        // Named so that it comes after the one that people without a token want.
        .security_scheme("token", SecurityScheme::Http(bearer))
        .security_scheme(DPOP_SCHEME, SecurityScheme::ApiKey(ApiKey::Header(proof)))
        .schema_from::<Problem>()
        .schemas_from_iter(problems)
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Referris referral API")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("docs.md")))
                .contact(Some(ContactBuilder::new().name(Some("Referris")).build()))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url(config.api.public_url.as_str()).build()]))
        .components(Some(components))
        .tags(Some([
            tag("Referral codes", "Your codes, and finding the code of somebody who invited you"),
            tag("Referrals", "Who signed up with a referrer's codes"),
            tag("Invitations", "Mailing a code to a friend"),
            tag("Webhooks", "Telling other systems of referrals and rewards, as Standard Webhooks 1.0.0 says"),
            tag("Discovery", "For clients that find out by themselves where tokens come from"),
        ]))
        .build()
}

/// Pages show them in this order.
fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// The document with an example of a new code whose expiry is accepted for some time to come, so that it can be tried
/// out as it stands. The published one says the same every day.
fn to_try_out(openapi: &OpenApi, config: &Config, now: DateTime<Utc>) -> OpenApi {
    let mut openapi = openapi.clone();
    let days = TimeDelta::days(i64::try_from(config.referrals.max_code_days.min(180)).unwrap_or_default());
    let schemas = openapi.components.as_mut().map(|components| &mut components.schemas);
    let new_code = schemas.and_then(|schemas| schemas.get_mut(&*NewCode::name()));
    if let Some(RefOr::T(Schema::Object(new_code))) = new_code {
        let expires_at = (now + days).format("%Y-%m-%dT00:00:00Z").to_string();
        new_code.example = Some(json!({ "expires_at": expires_at }));
    }
    openapi
}

/// Adds what every operation that needs a token may answer.
pub(crate) fn describe_common_answers(openapi: &mut OpenApi) {
    for path in openapi.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.post, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten().filter(|operation| operation.security.is_some()) {
            let takes_a_body = operation.request_body.is_some();
            let alternatives = operation.security.get_or_insert_default();
            alternatives.push(SecurityRequirement::new(DPOP_SCHEME, Vec::<String>::new()));
            let answers = &mut operation.responses.responses;
            for (status, description, only_with_body) in [
                ("400", "The request can't be read", false),
                (
                    "401",
                    "No access token, one that is not valid, no proof of the key it is bound to, or a sign-in that is not \
                     enough; `WWW-Authenticate` says which",
                    false,
                ),
                (
                    "403",
                    "The token lacks the scope, its authorization details allow less, or the caller may not",
                    false,
                ),
                ("413", "The body is larger than 64 KiB", true),
                ("415", "The body is not application/json", true),
                ("500", "Something went wrong on our side", false),
                ("503", "The service can't answer just now; come back after `Retry-After`", false),
            ] {
                if takes_a_body || !only_with_body {
                    answers.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(status, description)));
                }
            }
        }
    }
}

fn problem(status: &str, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new().description(description).content(shared::problem::MEDIA_TYPE, content);
    let text = |description: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new().description(Some(description)).schema(Some(text)).build()
    };
    if status == "401" {
        response = response
            .header(
                "WWW-Authenticate",
                text("A challenge for each scheme, `Bearer` and `DPoP` (RFC 6750, 9449, 9470, 9728)"),
            )
            .header("DPoP-Nonce", text("The nonce for the next DPoP proof (RFC 9449 §9), when there was one"));
    }
    response.build()
}

/// `/openapi.json`, `/docs` and `/redoc`; from `/`, where there is nothing else to see, people are led there.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>(
    openapi: &OpenApi,
    config: &Config,
    now: DateTime<Utc>,
) -> Router<S> {
    let options = Options {
        title: "Referris referral API".into(),
        oauth: OAuth {
            client_id: SWAGGER_CLIENT.into(),
            scopes: [ReadCodes::NAME, WriteCodes::NAME, ReadReferrals::NAME].map(String::from).into(),
            authorization_server: config.issuer().to_string(),
        },
        to_try_out: Some(to_try_out(openapi, config, now)),
    };
    docs_ui::router(openapi, options).route("/", get(async || Redirect::to("/docs")))
}
