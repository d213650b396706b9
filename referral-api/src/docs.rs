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
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, AuthorizationCode, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityRequirement,
    SecurityScheme,
};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    ComponentsBuilder, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response,
    ResponseBuilder, Schema, ServerBuilder,
};

use crate::access::{ADMIN_SCOPE, Manage, ReadCodes, ReadReferrals, Scope, SeeWebhooks, WriteCodes};
use crate::codes::NewCode;

/// The client as which Swagger UI signs people in.
const SWAGGER_CLIENT: &str = "swagger-ui";

/// DPoP among the ways to authorize. OpenAPI has no name for such a scheme, so it is described by its header.
const DPOP_SCHEME: &str = "with-proof";

/// The OpenAPI document of this API as configured.
pub fn openapi(config: &Config) -> OpenApi {
    crate::routes(config).openapi
}

/// The document without its operations.
pub(crate) fn base(config: &Config) -> OpenApi {
    let issuer = config.issuer();
    let scopes = Scopes::from_iter([
        (ReadCodes::NAME, "See your referral codes, look codes up, send invitations"),
        (WriteCodes::NAME, "Create and delete your referral codes"),
        (ReadReferrals::NAME, "See who signed up with your codes"),
        (Manage::NAME, "Run the referral programme (administrators, and the operator's own programs)"),
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
            tag("Programme", "Running the programme: which referrals qualify, which do not count, what is credited"),
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

/// Adds what every operation that needs a token takes and may answer, and an example of each answer. What a response's
/// description names in backticks is a kind of problem (`shared::problem::catalogue`), and gets an example.
pub(crate) fn describe_common_answers(openapi: &mut OpenApi) {
    for path in openapi.paths.paths.values_mut() {
        describe_reading(path.get.as_mut());
        let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten().filter(|operation| operation.security.is_some()) {
            shared::openapi::describe_repeating(operation);
            let takes_a_body = operation.request_body.is_some();
            let alternatives = operation.security.get_or_insert_default();
            alternatives.push(SecurityRequirement::new(DPOP_SCHEME, Vec::<String>::new()));
            for (status, description, only_with_body) in [
                ("400", "The request can't be read", false),
                (
                    "401",
                    "`unauthorized`: no access token, one that is not valid, or no proof of the key it is bound to. \
                     `insufficient-user-authentication`: a sign-in that is not enough. `WWW-Authenticate` says which",
                    false,
                ),
                (
                    "403",
                    "`insufficient-scope`: the token lacks the scope. `insufficient-authorization-details`: its \
                     authorization details allow less. `forbidden`: the caller may not",
                    false,
                ),
                ("413", "The body is larger than 64 KiB", true),
                ("415", "The body is not application/json", true),
                ("429", "Too many requests; come back after `Retry-After`", false),
                ("500", "Something went wrong on our side", false),
                ("503", "The service can't answer just now; come back after `Retry-After`", false),
            ] {
                if takes_a_body || !only_with_body {
                    shared::openapi::may_answer(operation, status, description);
                }
            }
            for (status, answer) in &mut operation.responses.responses {
                if let RefOr::T(answer) = answer {
                    describe_headers(status, answer);
                }
            }
        }
    }
    name_what_pages_hold(openapi);
    shared::openapi::add_examples(openapi);
}

/// Refers to the type that a page is of, which the library writes out again: programs made from the document would have
/// two types for one.
fn name_what_pages_hold(openapi: &mut OpenApi) {
    let Some(components) = openapi.components.as_mut() else { return };
    let names: Vec<_> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let of = name.strip_prefix("Page_").filter(|of| names.iter().any(|name| name == of));
        if let (Some(of), RefOr::T(Schema::Object(page))) = (of, schema)
            && let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("items")
        {
            list.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(of).into()));
        }
    }
}

/// What is read has a version (RFC 9110 §13.1.2). Where an answer is no JSON, it has none.
fn describe_reading(get: Option<&mut Operation>) {
    let Some(operation) = get.filter(|get| get.security.is_some()) else { return };
    let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") else { return };
    if !answer.content.contains_key("application/json") {
        return;
    }
    let tag = header("The version of the answer, for `If-None-Match`", "\"vZ3n0Gm5PBSJxJxRc8hXqA\"");
    answer.headers.insert("ETag".to_owned(), tag.clone().into());
    let parameter = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some("ETags of answers that the caller has, or `*`: when one of them still holds, 304"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .example(Some(json!("\"vZ3n0Gm5PBSJxJxRc8hXqA\"")))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
    let unchanged =
        ResponseBuilder::new().description("The answer that the caller has still holds").header("ETag", tag);
    operation.responses.responses.entry("304".to_owned()).or_insert_with(|| RefOr::T(unchanged.build()));
}

/// Headers that go with a status, whoever described it.
fn describe_headers(status: &str, answer: &mut Response) {
    let mut add = |name: &str, description: &str, example: &str| {
        answer.headers.entry(name.to_owned()).or_insert_with(|| header(description, example).into());
    };
    // Who is not known has no budget.
    if status != "401" {
        add(
            "RateLimit",
            "What is left of the caller's budget, and in how many seconds it is renewed",
            "\"api\";r=598;t=42",
        );
        add("RateLimit-Policy", "The budget: so many requests in so many seconds", "\"api\";q=600;w=60");
    }
    if status == "401" {
        add(
            "WWW-Authenticate",
            "A challenge for each scheme, `Bearer` and `DPoP` (RFC 6750, 9449, 9470, 9728)",
            "Bearer realm=\"https://api.example.com\", error=\"invalid_token\"",
        );
        add(
            "DPoP-Nonce",
            "The nonce for the next DPoP proof (RFC 9449 §9), when there was one",
            "eyJ7S_zG.eyJH0-Z.HX4w-7v",
        );
    }
    if status == "429" || status == "503" {
        add("Retry-After", "In how many seconds to come back", "42");
    }
    if status.starts_with(['4', '5']) {
        add("Link", "The page about this kind of problem", "</problems/validation>; rel=\"help\"");
    }
    add("X-Request-Id", "Names the request in the logs", "01998f4e-6d2c-7c31-9b1e-3f0a5d7e8c42");
}

fn header(description: &str, example: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().description(Some(description)).schema(Some(text)).example(Some(json!(example))).build()
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
