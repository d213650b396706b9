//! What messages look like, for the OpenAPI document: one of its `webhooks` for each kind ("Event types").

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use shared::ids::{ReferralId, UserId, WebhookEndpointId};
use shared::referrals::life::Status;
use shared::webhooks::{KINDS, TEST};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// A change in the life of a referral, with its state after it. It names people by their ids alone.
#[derive(Serialize, ToSchema)]
pub struct ReferralEvent {
    /// What happened: `referral.` and a word.
    #[serde(rename = "type")]
    #[schema(example = "referral.verified")]
    kind: String,
    /// When.
    timestamp: DateTime<Utc>,
    /// The referral after it.
    data: ReferralEventData,
}

#[derive(Serialize, ToSchema)]
pub struct ReferralEventData {
    /// Of the referral, not of a person.
    id: ReferralId,
    /// Who invited.
    referrer_id: UserId,
    /// Who was invited; null once the account is deleted.
    #[schema(required)]
    referral_user_id: Option<UserId>,
    /// The code that was used.
    #[schema(example = "7K2M9QXD")]
    code: String,
    /// Where it stands.
    status: Status,
    /// How the code came to the sign-up: `code`, `first_touch` or `last_touch`.
    #[schema(example = "code")]
    source: String,
    /// Does something speak against it: `none`, `open` (somebody has to look at it) or `cleared`.
    #[schema(example = "none")]
    review: String,
    /// Of a qualified referral: when it may be rewarded.
    #[schema(required)]
    held_until: Option<DateTime<Utc>>,
    /// When the person signed up.
    created_at: DateTime<Utc>,
    /// When anything of it last changed.
    updated_at: DateTime<Utc>,
    /// Null where the status did not change.
    #[schema(required)]
    previous_status: Option<Status>,
    /// Why, in words.
    #[schema(example = "email address confirmed")]
    reason: String,
}

/// An entry of the ledger of credits.
#[derive(Serialize, ToSchema)]
pub struct RewardEvent {
    /// `reward.credited` or `reward.reversed`.
    #[serde(rename = "type")]
    #[schema(example = "reward.credited")]
    kind: String,
    /// When.
    timestamp: DateTime<Utc>,
    /// The entry.
    data: RewardEventData,
}

#[derive(Serialize, ToSchema)]
pub struct RewardEventData {
    /// Of the entry.
    id: Uuid,
    /// What it was credited for.
    #[schema(required)]
    referral_id: Option<ReferralId>,
    /// Who was credited; null once the account is deleted.
    #[schema(required)]
    user_id: Option<UserId>,
    /// `referrer` or `referral`.
    #[schema(example = "referrer")]
    side: String,
    /// The rule it was credited by.
    #[schema(example = "ten-euros")]
    rule: String,
    /// Its name, such as `EUR`.
    #[schema(example = "EUR")]
    currency: String,
    /// In the smallest unit of the currency; below zero when it is taken back.
    #[schema(example = 1000)]
    amount: i64,
    /// The entry that is taken back.
    #[schema(required)]
    reverses: Option<Uuid>,
    /// When.
    created_at: DateTime<Utc>,
}

/// One of the client's own endpoints was disabled. It is told at the others.
#[derive(Serialize, ToSchema)]
pub struct WebhookEndpointEvent {
    /// Always `webhook_endpoint.disabled`.
    #[serde(rename = "type")]
    #[schema(example = "webhook_endpoint.disabled")]
    kind: String,
    /// When.
    timestamp: DateTime<Utc>,
    /// The endpoint.
    data: WebhookEndpointEventData,
}

#[derive(Serialize, ToSchema)]
pub struct WebhookEndpointEventData {
    /// Of the endpoint.
    id: WebhookEndpointId,
    /// `gone` or `failing`.
    #[schema(example = "failing")]
    reason: String,
    /// When.
    disabled_at: DateTime<Utc>,
}

/// A test that somebody asked for.
#[derive(Serialize, ToSchema)]
pub struct WebhookTestEvent {
    /// Always `webhook_endpoint.test`.
    #[serde(rename = "type")]
    #[schema(example = "webhook_endpoint.test")]
    kind: String,
    /// When.
    timestamp: DateTime<Utc>,
    /// The endpoint.
    data: WebhookTestEventData,
}

#[derive(Serialize, ToSchema)]
pub struct WebhookTestEventData {
    /// Of the endpoint.
    endpoint_id: WebhookEndpointId,
}

/// What messages of this kind are.
fn schema_of(kind: &str) -> &'static str {
    match kind.split_once('.') {
        Some(("referral", _)) => "ReferralEvent",
        Some(("reward", _)) => "RewardEvent",
        _ if kind == TEST => "WebhookTestEvent",
        _ => "WebhookEndpointEvent",
    }
}

/// Describes every message in the document.
pub(crate) fn described(openapi: &mut OpenApi) {
    if let Some(components) = &mut openapi.components {
        let mut schemas = vec![];
        macro_rules! add {
            ($($ty:ident)*) => {$(
                schemas.push((<$ty as ToSchema>::name().into_owned(), <$ty as PartialSchema>::schema()));
                <$ty as ToSchema>::schemas(&mut schemas);
            )*};
        }
        add! { ReferralEvent RewardEvent WebhookEndpointEvent WebhookTestEvent }
        components.schemas.extend(schemas);
    }
    let all = KINDS.iter().chain(&[(TEST, "A test that somebody asked for")]);
    let webhooks = all.fold(PathsBuilder::new(), |paths, (kind, meaning)| {
        paths.path(*kind, PathItem::new(HttpMethod::Post, operation(kind, meaning)))
    });
    openapi.webhooks = Some(webhooks.build());
}

fn operation(kind: &str, meaning: &str) -> OperationBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let header = |name: &str, example: Value, description: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(text()))
            .example(Some(example))
    };
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema_of(kind)))).example(Some(example(kind)));
    let sooner = HeaderBuilder::new().description(Some("When to try again, within a day")).schema(Some(text())).build();
    OperationBuilder::new()
        .tag("Webhooks")
        .summary(Some(meaning))
        .parameter(header(
            "webhook-id",
            json!("msg_0197f3a0b1c27d3e8f40516273849506"),
            "The same in every attempt: know by it what you have seen",
        ))
        .parameter(header("webhook-timestamp", json!("1674087231"), "Of this attempt, in seconds since 1970"))
        .parameter(header(
            "webhook-signature",
            json!("v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
            "Over `{webhook-id}.{webhook-timestamp}.{body}`; several are separated by spaces",
        ))
        .request_body(Some(
            RequestBodyBuilder::new().content("application/json", body.build()).required(Some(Required::True)).build(),
        ))
        .response("2XX", ResponseBuilder::new().description("It has been taken").build())
        .response("410", ResponseBuilder::new().description("Send no more: the endpoint is disabled").build())
        .response(
            "default",
            ResponseBuilder::new().description("It is sent again, for days").header("Retry-After", sooner).build(),
        )
}

/// A message of this kind as it may arrive.
fn example(kind: &str) -> Value {
    const AT: &str = "2030-01-31T12:00:00.123456Z";
    const ID: &str = "0197f3a0-b1c2-7d3e-8f40-516273849506";
    let data = match schema_of(kind) {
        "ReferralEvent" => {
            let word = kind.rsplit('.').next().unwrap_or_default();
            let (status, review) = match word {
                "created" => ("pending", "none"),
                "flagged" => ("pending", "open"),
                "cleared" => ("verified", "cleared"),
                status => (status, "none"),
            };
            let previous = match status {
                "verified" if word == "verified" => json!("pending"),
                "qualified" | "rejected" | "expired" => json!("verified"),
                "rewarded" => json!("qualified"),
                "reversed" => json!("rewarded"),
                _ => Value::Null,
            };
            let held_until = if status == "qualified" { json!("2030-02-14T12:00:00.123456Z") } else { Value::Null };
            json!({
                "id": ID,
                "referrer_id": "0197f39f-0000-7000-8000-000000000001",
                "referral_user_id": "0197f3a0-0000-7000-8000-000000000002",
                "code": "7K2M9QXD",
                "status": status,
                "source": "code",
                "review": review,
                "held_until": held_until,
                "created_at": "2030-01-30T12:00:00.123456Z",
                "updated_at": AT,
                "previous_status": previous,
                "reason": "email address confirmed",
            })
        }
        "RewardEvent" => {
            let back = kind.ends_with("reversed");
            json!({
                "id": ID,
                "referral_id": "0197f3a0-0000-7000-8000-000000000003",
                "user_id": "0197f39f-0000-7000-8000-000000000001",
                "side": "referrer",
                "rule": "ten-euros",
                "currency": "EUR",
                "amount": if back { -1000 } else { 1000 },
                "reverses": if back { json!("0197f3a0-0000-7000-8000-000000000004") } else { Value::Null },
                "created_at": AT,
            })
        }
        "WebhookTestEvent" => json!({ "endpoint_id": ID }),
        _ => json!({ "id": ID, "reason": "failing", "disabled_at": AT }),
    };
    json!({ "type": kind, "timestamp": AT, "data": data })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_event_is_described_with_an_example_of_its_shape() {
        let config = shared::config::load_from(None, []).unwrap();
        let document = serde_json::to_value(crate::openapi(&config)).unwrap();
        let webhooks = document["webhooks"].as_object().unwrap();
        assert_eq!(webhooks.len(), KINDS.len() + 1, "and the test");
        let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        for (kind, item) in webhooks {
            let body = &item["post"]["requestBody"]["content"]["application/json"];
            let name = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let schemas = &document["components"]["schemas"];
            let example = &body["example"];
            assert_eq!(example["type"], kind.as_str());
            assert_eq!(members(example), members(&schemas[name]["properties"]), "{kind}");
            let data = &schemas[format!("{name}Data")];
            assert_eq!(members(&example["data"]), members(&data["properties"]), "{kind}");
        }
    }
}
