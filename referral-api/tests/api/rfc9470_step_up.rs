//! Step-up authentication (RFC 9470): creating and deleting codes may need a recent or strong sign-in.

use serde_json::{Value, json};

use crate::world::{Actor, EVERYTHING, World, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";
const STRONG: &str = "urn:example:phr urn:example:phrh";

/// `person` with a token that says `auth_time` seconds ago and `acr`; null for a claim that is not there.
fn signed_in(world: &World, person: &Actor, ago: Option<i64>, acr: Option<&str>) -> Actor {
    let mut claims = world.claims(&person.id().to_string(), EVERYTHING);
    if let Some(ago) = ago {
        claims["auth_time"] = Value::from(world.platform.clock.timestamp() - ago);
    }
    if let Some(acr) = acr {
        claims["acr"] = acr.into();
    }
    person.with_token(&world.token(&claims))
}

async fn codes(world: &World) -> i64 {
    world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await
}

#[tokio::test]
async fn a_sign_in_too_long_ago_is_not_enough_to_write__rfc9470_3() {
    on_each_store_with(&[("API__STEP_UP_MAX_AGE_SECONDS", "300")], |world| async move {
        let ann = world.person("Ann").await;
        let code = signed_in(&world, &ann, Some(0), None).new_code().await;
        let path = format!("{CODES}/{code}");
        let api = world.platform.config.api.public_url.as_str();
        for (why, ago) in [("long ago", Some(306)), ("nobody knows when", None)] {
            let ann = signed_in(&world, &ann, ago, None);
            for answer in [ann.delete(&path).await, ann.create_code().await] {
                assert_eq!(answer.status, 401, "{why}: {answer:?}");
                assert_eq!(answer.problem(), "insufficient-user-authentication", "{why}");
                assert_eq!(
                    answer.challenge("Bearer"),
                    format!(
                        "Bearer realm=\"{api}\", error=\"insufficient_user_authentication\", \
                         error_description=\"a more recent or stronger sign-in is needed\", max_age=\"300\", \
                         resource_metadata=\"{api}/.well-known/oauth-protected-resource\""
                    )
                );
                assert_eq!(answer.error("DPoP"), "");
            }
            assert_eq!(codes(&world).await, 1, "{why}");
            // Reading needs no more than before.
            assert_eq!(ann.get(CODES).await.status, 200);
            assert_eq!(ann.get(&path).await.status, 200);
        }
        let recent = signed_in(&world, &ann, Some(299), None);
        assert_eq!(recent.delete(&path).await.status, 204);
        assert_eq!(recent.create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_too_weak_is_not_enough_to_write__rfc9470_3() {
    on_each_store_with(&[("API__STEP_UP_ACR", STRONG)], |world| async move {
        let ann = world.person("Ann").await;
        for acr in [None, Some("urn:example:pwd"), Some(STRONG), Some("")] {
            let answer = signed_in(&world, &ann, Some(0), acr).create_code().await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "insufficient_user_authentication"), "{acr:?}");
            assert!(answer.challenge("Bearer").contains(&format!(", acr_values=\"{STRONG}\",")), "{answer:?}");
            assert!(!answer.challenge("Bearer").contains("max_age"), "{answer:?}");
        }
        assert_eq!(codes(&world).await, 0);
        for acr in STRONG.split(' ') {
            let ann = signed_in(&world, &ann, None, Some(acr));
            let code = ann.new_code().await;
            assert_eq!(ann.delete(&format!("{CODES}/{code}")).await.status, 204);
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_must_be_both_recent_and_strong_and_the_scope_is_asked_first__rfc9470_3() {
    let both = [("API__STEP_UP_MAX_AGE_SECONDS", "300"), ("API__STEP_UP_ACR", "strong")];
    on_each_store_with(&both, |world| async move {
        let ann = world.person("Ann").await;
        for (ago, acr) in [(0, "weak"), (400, "strong"), (400, "weak")] {
            let answer = signed_in(&world, &ann, Some(ago), Some(acr)).create_code().await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "insufficient_user_authentication"));
            assert!(answer.challenge("Bearer").contains(", acr_values=\"strong\", max_age=\"300\","), "{answer:?}");
        }
        let no_scope = ann.with_scope("referral-codes:read").create_code().await;
        assert_eq!((no_scope.status, no_scope.error("Bearer")), (403, "insufficient_scope"));
        assert_eq!(codes(&world).await, 0);
        assert_eq!(signed_in(&world, &ann, Some(0), Some("strong")).create_code().await.status, 201);
        // A client that speaks for itself never signed in, and may not create codes anyway.
        assert_eq!(world.service().create_code().await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn without_the_configuration_any_sign_in_is_enough() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let long_ago = signed_in(&world, &ann, Some(10_000_000), Some("weak"));
        assert_eq!(long_ago.post(CODES, &json!({ "expires_at": ann.in_days(3) })).await.status, 201);
    })
    .await;
}
