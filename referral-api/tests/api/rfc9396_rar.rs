//! Authorization details (RFC 9396): where a token carries details of the type `referral_code`, they and not its scope
//! decide what may be done with the person's own codes.

use serde_json::{Value, json};

use crate::world::{Actor, Answer, EVERYTHING, World, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

/// `person` with a token of this scope that carries these details.
fn limited(world: &World, person: &Actor, scope: &str, details: Value) -> Actor {
    let mut claims = world.claims(&person.id().to_string(), scope);
    claims["authorization_details"] = details;
    person.with_token(&world.token(&claims))
}

/// One element that allows these actions.
fn allowing(actions: &[&str]) -> Value {
    json!({ "type": "referral_code", "actions": actions })
}

/// Of one code, which `person` has.
fn only(actions: &[&str], code: &str) -> Value {
    let mut detail = allowing(actions);
    detail["code"] = code.into();
    detail
}

async fn create(actor: &Actor, more: Value) -> Answer {
    let mut body = json!({ "expires_at": actor.in_days(30) });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    actor.post(CODES, &body).await
}

/// RFC 6750 §3.1: the token is good, and does not reach so far. No scope is named, since none would help.
fn assert_beyond(world: &World, answer: &Answer, why: &str) {
    assert_eq!(answer.status, 403, "{why}: {answer:?}");
    assert_eq!(answer.problem(), "insufficient-authorization-details", "{why}");
    let detail = answer.text("detail");
    assert!(detail.contains("authorization_details"), "{why}: {answer:?}");
    let api = world.platform.config.api.public_url.as_str();
    assert_eq!(
        answer.challenge("Bearer"),
        format!(
            "Bearer realm=\"{api}\", error=\"insufficient_scope\", error_description=\"{detail}\", \
             resource_metadata=\"{api}/.well-known/oauth-protected-resource\""
        ),
        "{why}"
    );
    assert_eq!(answer.error("DPoP"), "", "{why}");
    assert_eq!(answer.header("cache-control"), "no-store", "{why}");
}

/// Codes and their states, and what was written down about them.
async fn written(world: &World) -> [i64; 4] {
    [
        world.count("SELECT COUNT(*) FROM referral_codes").await,
        world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await,
        world.count("SELECT COUNT(*) FROM audit_events").await,
        world.count("SELECT COUNT(*) FROM idempotency_keys").await,
    ]
}

#[tokio::test]
async fn details_that_allow_reading_allow_nothing_else_whatever_the_scope__rfc9396_9__rfc6750_3_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let path = format!("{CODES}/{}", ann.new_code().await);
        let reader = limited(&world, &ann, EVERYTHING, json!([allowing(&["read"])]));
        let before = written(&world).await;
        assert_beyond(&world, &reader.create_code().await, "create");
        assert_beyond(&world, &reader.with_header("idempotency-key", "k").create_code().await, "create, with a key");
        assert_beyond(&world, &reader.delete(&path).await, "delete");
        assert_eq!(written(&world).await, before);
        assert_eq!(reader.get(CODES).await.status, 200);
        assert_eq!(reader.get(&path).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn each_action_opens_its_own_routes_and_no_other__rfc9396_9() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let path = format!("{CODES}/{}", ann.new_code().await);
        for (action, list, get, delete) in
            [("create", false, false, false), ("read", true, true, false), ("delete", false, false, true)]
        {
            let holder = limited(&world, &ann, EVERYTHING, json!([allowing(&[action])]));
            for (what, allowed, answer) in [
                ("list", list, holder.get(CODES).await),
                ("get", get, holder.get(&path).await),
                ("delete", delete, holder.delete(&path).await),
            ] {
                match allowed {
                    true => assert!([200, 204].contains(&answer.status), "{action}: {what}: {answer:?}"),
                    false => assert_beyond(&world, &answer, &format!("{action}: {what}")),
                }
            }
        }
        // The code went by the one that may delete; the one that may create makes the next.
        assert_eq!(written(&world).await[1], 0);
        let creator = limited(&world, &ann, EVERYTHING, json!([allowing(&["create"])]));
        assert_eq!(creator.create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn details_for_one_code_do_not_reach_another_nor_the_list__rfc9396_9() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let old = ann.new_code().await;
        assert_eq!(ann.delete(&format!("{CODES}/{old}")).await.status, 204);
        let code = ann.new_code().await;
        let holder = limited(&world, &ann, EVERYTHING, json!([only(&["read", "delete"], &code)]));
        let before = written(&world).await;
        assert_beyond(&world, &holder.get(CODES).await, "the list");
        assert_beyond(&world, &holder.get(&format!("{CODES}/{old}")).await, "another code");
        assert_beyond(&world, &holder.delete(&format!("{CODES}/{old}")).await, "another code");
        assert_beyond(&world, &holder.get(&format!("{CODES}/NEVERWAS")).await, "a code that is none");
        assert_eq!(written(&world).await, before);
        // As people write it.
        assert_eq!(holder.get(&format!("{CODES}/{}", code.to_lowercase())).await.status, 200);
        assert_eq!(holder.delete(&format!("{CODES}/{code}")).await.status, 204);
        // What somebody else has is not opened by naming it.
        let bob = world.person("Bob").await;
        let theirs = bob.new_code().await;
        let thief = limited(&world, &ann, EVERYTHING, json!([only(&["read", "delete"], &theirs)]));
        assert_eq!(thief.get(&format!("{CODES}/{theirs}")).await.status, 404);
        assert_eq!(thief.delete(&format!("{CODES}/{theirs}")).await.status, 404);
        assert_eq!(bob.get(&format!("{CODES}/{theirs}")).await.text("status"), "active");
    })
    .await;
}

#[tokio::test]
async fn a_creation_stays_within_the_text_and_the_uses_that_were_granted__rfc9396_9__rfc6750_3_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let text = format!("SPRING-{}", world.unique());
        let ten = {
            let mut detail = allowing(&["create"]);
            detail["max_uses"] = 10.into();
            detail
        };
        let few = limited(&world, &ann, EVERYTHING, json!([ten]));
        let named = limited(&world, &ann, EVERYTHING, json!([only(&["create"], &text)]));
        let before = written(&world).await;
        for (why, answer) in [
            ("more uses", create(&few, json!({ "max_uses": 11 })).await),
            ("any number of uses", create(&few, json!({})).await),
            ("any number, said so", create(&few, json!({ "max_uses": null })).await),
            ("another text", create(&named, json!({ "code": "SUMMER" })).await),
            ("a drawn text", create(&named, json!({})).await),
        ] {
            assert_beyond(&world, &answer, why);
        }
        // What is wrong with the request itself is told first, and no more is done.
        assert_eq!(create(&few, json!({ "max_uses": 0 })).await.status, 422);
        assert_eq!(written(&world).await, before);

        let created = create(&few, json!({ "max_uses": 10 })).await;
        assert_eq!((created.status, &created.body["max_uses"]), (201, &json!(10)), "{created:?}");
        let path = format!("{CODES}/{}", created.text("code"));
        assert_beyond(&world, &few.delete(&path).await, "to create is not to delete");
        assert_eq!(ann.delete(&path).await.status, 204);
        let created = create(&named, json!({ "code": text.to_lowercase() })).await;
        assert_eq!(created.status, 201, "{created:?}");
    })
    .await;
}

#[tokio::test]
async fn several_elements_allow_what_one_of_them_allows_and_do_not_add_up__rfc9396_9() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        let path = format!("{CODES}/{code}");
        // Reading anything, deleting another: together that is not deleting this one.
        let details =
            json!([allowing(&["read"]), only(&["delete"], "ANOTHER1"), { "type": "other", "actions": ["delete"] }]);
        let holder = limited(&world, &ann, EVERYTHING, details);
        let before = written(&world).await;
        assert_beyond(&world, &holder.delete(&path).await, "nobody's action with nobody's code");
        assert_eq!(written(&world).await, before);
        assert_eq!(holder.get(CODES).await.status, 200);
        let holder = limited(&world, &ann, EVERYTHING, json!([allowing(&["read"]), only(&["delete"], &code)]));
        assert_eq!(holder.delete(&path).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn details_alone_are_enough_and_say_nothing_of_other_routes__rfc9396_9() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let code = ann.new_code().await;
        // No scope at all.
        let reader = limited(&world, &ann, "", json!([allowing(&["read"])]));
        assert_eq!(reader.get(CODES).await.status, 200);
        assert_eq!(reader.get(&format!("{CODES}/{code}")).await.status, 200);
        for (answer, scope) in [
            (reader.look_up(&ann.email).await, "referral-codes:read"),
            (reader.invite(&ann.email, "friend@example.org").await, "referral-codes:read"),
            (reader.get("/v1/referrers/me/referrals").await, "referrals:read"),
        ] {
            assert_eq!((answer.status, answer.problem().as_str()), (403, "insufficient-scope"), "{answer:?}");
            assert!(answer.challenge("Bearer").contains(&format!("scope=\"{scope}\"")), "{answer:?}");
        }
        assert_eq!(world.count("SELECT COUNT(*) FROM outbox").await, 0);
        // And with the scope, the narrowest of details is no obstacle there.
        let creator = limited(&world, &ann, EVERYTHING, json!([only(&["create"], "SPRING")]));
        assert_eq!(creator.look_up(&ann.email).await.text("code"), code);
        assert_eq!(creator.invite(&ann.email, "friend@example.org").await.status, 202);
        assert_eq!(creator.get("/v1/referrers/me/referrals").await.status, 200);
        // Details of another type leave our routes to the scope.
        let other = json!([{ "type": "payment_initiation", "actions": ["initiate"] }]);
        assert_eq!(limited(&world, &ann, "referral-codes:read", other.clone()).get(CODES).await.status, 200);
        let refused = limited(&world, &ann, "openid", other).get(CODES).await;
        assert_eq!((refused.status, refused.error("Bearer")), (403, "insufficient_scope"));
    })
    .await;
}

#[tokio::test]
async fn details_that_cannot_be_read_allow_nothing__rfc9396_9() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let path = format!("{CODES}/{}", ann.new_code().await);
        let before = written(&world).await;
        for detail in [
            json!({ "type": "referral_code" }),
            json!({ "type": "referral_code", "actions": [] }),
            json!({ "type": "referral_code", "actions": "read" }),
            json!({ "type": "referral_code", "actions": [["read"]] }),
            json!({ "type": "referral_code", "actions": ["READ", "read ", "*"] }),
            json!({ "type": "referral_code", "actions": ["read", "create", "delete"], "code": 7 }),
            json!({ "type": "referral_code", "actions": ["read", "create", "delete"], "max_uses": "many" }),
        ] {
            let holder = limited(&world, &ann, EVERYTHING, json!([detail]));
            for answer in [
                holder.get(CODES).await,
                holder.get(&path).await,
                holder.delete(&path).await,
                holder.create_code().await,
            ] {
                assert_beyond(&world, &answer, &detail.to_string());
            }
        }
        // What is no list is no claim of ours: the token is not valid (RFC 9068 §4).
        for claim in [json!("referral_code"), json!({ "type": "referral_code", "actions": ["read"] }), json!(7)] {
            let answer = limited(&world, &ann, EVERYTHING, claim.clone()).get(CODES).await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{claim}");
        }
        assert_eq!(written(&world).await, before);
    })
    .await;
}

#[tokio::test]
async fn what_details_allow_still_asks_for_a_recent_sign_in__rfc9396_9__rfc9470_3() {
    on_each_store_with(&[("API__STEP_UP_MAX_AGE_SECONDS", "300")], |world| async move {
        let ann = world.person("Ann").await;
        let mut claims = world.claims(&ann.id().to_string(), "");
        claims["authorization_details"] = json!([allowing(&["create", "read"])]);
        claims["auth_time"] = (world.platform.clock.timestamp() - 306).into();
        let long_ago = ann.with_token(&world.token(&claims));
        let before = written(&world).await;
        let answer = long_ago.create_code().await;
        assert_eq!((answer.status, answer.error("Bearer")), (401, "insufficient_user_authentication"), "{answer:?}");
        assert_eq!(written(&world).await, before);
        assert_eq!(long_ago.get(CODES).await.status, 200);
        claims["auth_time"] = world.platform.clock.timestamp().into();
        assert_eq!(ann.with_token(&world.token(&claims)).create_code().await.status, 201);
    })
    .await;
}
