//! What every operation of our OpenAPI documents has in common, filled in at the end so that no endpoint has to say it:
//! an example for each response. Of a problem, one for each kind that the response's description names in backticks, as
//! the catalogue has it; of anything else, one made of the examples of its schema.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::MEDIA_TYPE;
use crate::problem::catalogue::{self, Kind};

/// Stands where a schema says nothing of a text: a test refuses it in what is published.
pub const UNTOLD: &str = "…";
/// Schemas lie within schemas, and may lie within themselves.
const DEEPEST: usize = 8;

/// Gives every response that has content an example, where it has none.
pub fn add_examples(openapi: &mut OpenApi) {
    let components = json_of(&openapi.components);
    for item in openapi.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let fault = fault(&json_of(operation), &components);
            for (status, response) in &mut operation.responses.responses {
                let (Ok(status), RefOr::T(response)) = (status.parse(), response) else { continue };
                for (media_type, content) in &mut response.content {
                    let RefOr::T(content) = content else { continue };
                    if content.example.is_some() || !content.examples.is_empty() {
                        continue;
                    }
                    match problems(media_type, status, &response.description).as_slice() {
                        [] => content.example = Some(example(&json_of(&content.schema), &components, 0)),
                        kinds => content.examples.extend(kinds.iter().map(|kind| named(kind, &fault))),
                    }
                }
            }
        }
    }
}

/// A problem document as a response.
pub fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build()
}

/// Adds a problem of this status, where the operation does not describe it itself.
pub fn may_answer(operation: &mut Operation, status: &str, description: &str) {
    let answers = &mut operation.responses.responses;
    answers.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(description)));
}

/// Where a request may carry an `Idempotency-Key`, the key may have come with another request.
pub fn describe_repeating(operation: &mut Operation) {
    const REUSED: &str = "`idempotency-key-reused`: the key came before, with another request";
    let is_key = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.name.eq_ignore_ascii_case("idempotency-key"),
        RefOr::Ref(_) => false,
    };
    if !operation.parameters.iter().flatten().any(is_key) {
        return;
    }
    match operation.responses.responses.get_mut("422") {
        Some(RefOr::T(answer)) => answer.description = format!("`validation`: {}. {REUSED}", answer.description),
        Some(RefOr::Ref(_)) => {}
        None => may_answer(operation, "422", REUSED),
    }
}

fn json_of(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("a part of an OpenAPI document serialises")
}

/// The kinds of problem that a response of this status may be.
fn problems(media_type: &str, status: u16, description: &str) -> Vec<&'static Kind> {
    if media_type != MEDIA_TYPE {
        return vec![];
    }
    let named = description.split('`').skip(1).step_by(2).filter_map(catalogue::find);
    let named: Vec<_> = named.filter(|kind| kind.status == status).collect();
    if named.is_empty() { catalogue::of_status(status).into_iter().collect() } else { named }
}

fn named(kind: &Kind, (pointer, detail): &(String, &'static str)) -> (String, RefOr<Example>) {
    let value = kind.example(Some((pointer, detail)));
    (kind.slug.to_owned(), RefOr::T(ExampleBuilder::new().summary(kind.title).value(Some(value)).build()))
}

/// What may be at fault in a request to this operation: a field that it takes.
fn fault(operation: &Value, components: &Value) -> (String, &'static str) {
    let body = operation["requestBody"]["content"].as_object().and_then(|contents| contents.values().next());
    if let Some(schema) = body.map(|body| resolve(&body["schema"], components)) {
        let first = schema["required"].get(0).and_then(Value::as_str).map(str::to_owned);
        let any = || schema["properties"].as_object().and_then(|properties| properties.keys().next().cloned());
        if let Some(name) = first.or_else(any) {
            return (format!("#/{name}"), "is missing");
        }
    }
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |place: &'static str| parameters.iter().find(move |parameter| parameter["in"] == place);
    for (place, detail) in [("query", "is not valid"), ("path", "is not valid")] {
        if let Some(name) = of(place).and_then(|parameter| parameter["name"].as_str()) {
            return (format!("#/{place}/{name}"), detail);
        }
    }
    ("#/".to_owned(), "must be an object")
}

fn resolve<'a>(schema: &'a Value, components: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/"));
    name.map_or(schema, |name| &components["schemas"][name])
}

/// A value that fits `schema`, of the examples in it where there are any.
fn example(schema: &Value, components: &Value, depth: usize) -> Value {
    let schema = resolve(schema, components);
    let told = [schema.get("example"), schema["examples"].get(0), schema.get("const"), schema["enum"].get(0)];
    if let Some(told) = told.into_iter().flatten().next() {
        return told.clone();
    }
    if depth > DEEPEST {
        return Value::Null;
    }
    let within = |schema: &Value| example(schema, components, depth + 1);
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(within).filter_map(|part| part.as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let told = choices.iter().find(|choice| choice["type"] != "null");
            return told.map_or(Value::Null, within);
        }
    }
    match kind_of(schema) {
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let mut object: Map<_, _> = properties.map(|(name, property)| (name.clone(), within(property))).collect();
            if object.is_empty() && schema["additionalProperties"].is_object() {
                object.insert("name".to_owned(), within(&schema["additionalProperties"]));
            }
            Value::Object(object)
        }
        "array" => json!([within(&schema["items"])]),
        "integer" => schema.get("default").or(schema.get("minimum")).cloned().unwrap_or(json!(1)),
        "number" => json!(1.5),
        "boolean" => schema.get("default").cloned().unwrap_or(json!(true)),
        "string" => match schema["format"].as_str().unwrap_or_default() {
            "date-time" => json!("2030-01-31T12:00:00Z"),
            "date" => json!("2030-01-31"),
            "uuid" => json!("01890a5d-ac96-774b-bcce-b302099a8057"),
            "uri" => json!("https://app.example.com/"),
            _ => json!(UNTOLD),
        },
        _ => Value::Null,
    }
}

/// Its type; of several, the first that is not null.
fn kind_of(schema: &Value) -> &str {
    let kind = &schema["type"];
    let several = kind.as_array().and_then(|kinds| kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"));
    kind.as_str().or(several).unwrap_or(if schema["properties"].is_object() { "object" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
            "paths": { "/things": { "post": {
                "parameters": [],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                "responses": {
                    "200": { "description": "d", "content": {
                        "application/json": { "schema": { "$ref": "#/components/schemas/Page" } },
                        "text/csv": { "schema": { "type": "string" }, "example": "a,b" },
                    } },
                    "409": { "description": "`code-active`: one. `code-taken`: two; not `validation`", "content": {
                        "application/problem+json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                    "422": { "description": "A field is at fault", "content": {
                        "application/problem+json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                },
            } } },
            "components": { "schemas": {
                "New": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                "Page": { "type": "object", "properties": {
                    "items": { "type": "array", "items": { "$ref": "#/components/schemas/Item" } },
                    "next_cursor": { "type": ["string", "null"], "example": "AZ" },
                } },
                "Item": { "type": "object", "properties": {
                    "id": { "type": "string", "format": "uuid" },
                    "status": { "type": "string", "enum": ["active", "gone"] },
                    "score": { "oneOf": [{ "type": "null" }, { "type": "integer", "example": 7 }] },
                    "parent": { "$ref": "#/components/schemas/Item" },
                    "note": { "type": "string" },
                } },
            } },
        })
    }

    #[test]
    fn every_response_has_an_example_and_every_problem_one_of_its_kinds() {
        let mut openapi: OpenApi = serde_json::from_value(document()).unwrap();
        add_examples(&mut openapi);
        let filled = json_of(&openapi);
        let responses = &filled["paths"]["/things"]["post"]["responses"];
        let ok = &responses["200"]["content"];
        assert_eq!(ok["text/csv"]["example"], "a,b");
        let page = &ok["application/json"]["example"];
        assert_eq!((&page["next_cursor"], &page["items"][0]["status"]), (&json!("AZ"), &json!("active")));
        assert_eq!((&page["items"][0]["score"], &page["items"][0]["note"]), (&json!(7), &json!(UNTOLD)));
        let conflicts = responses["409"]["content"][MEDIA_TYPE]["examples"].as_object().unwrap();
        assert_eq!(conflicts.keys().collect::<Vec<_>>(), ["code-active", "code-taken"]);
        assert_eq!(conflicts["code-taken"]["value"]["type"], "urn:referris:problem:code-taken");
        let invalid = &responses["422"]["content"][MEDIA_TYPE]["examples"]["validation"]["value"];
        assert_eq!((&invalid["status"], &invalid["errors"][0]["pointer"]), (&json!(422), &json!("#/name")));
    }
}
