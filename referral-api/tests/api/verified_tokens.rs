//! A signature that was verified is not verified again; everything else about a token is looked at each time.

use std::time::Duration;

use serde_json::json;
use shared::revocations::{Kind, revoke};

use crate::world::{Actor, EVERYTHING, SigningKey, World, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

/// Ann, whose token has passed several times.
async fn well_known(world: &World) -> Actor {
    let ann = world.person("Ann").await;
    for _ in 0..3 {
        assert_eq!(ann.get(CODES).await.status, 200);
    }
    ann
}

#[tokio::test]
async fn a_token_that_passed_passes_no_more_once_it_has_expired__rfc9068_4() {
    on_each_store(|world| async move {
        let ann = well_known(&world).await;
        world.platform.clock.advance(Duration::from_secs(600));
        assert_eq!(ann.get(CODES).await.status, 200, "within the leeway");
        world.platform.clock.advance(Duration::from_secs(6));
        let answer = ann.get(CODES).await;
        assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{answer:?}");
        assert!(answer.text("detail").contains("expired"), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_passed_passes_no_more_once_its_key_is_gone_or_another() {
    on_each_store(|world| async move {
        let ann = well_known(&world).await;
        let other = SigningKey::new(&world.key.id);
        for (why, published) in [("gone", vec![]), ("another under its id", vec![&other])] {
            world.issuer.publish(&published);
            assert!(world.state.keys().refresh().await);
            assert_eq!(ann.get(CODES).await.status, 401, "{why}");
            assert_eq!(ann.get(CODES).await.status, 401, "{why}: nothing of it is remembered");
            world.issuer.publish(&[&world.key]);
            assert!(world.state.keys().refresh().await);
            assert_eq!(ann.get(CODES).await.status, 200, "back again");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_passed_passes_no_more_once_it_is_revoked_or_its_account_is_gone() {
    on_each_store(|world| async move {
        let ann = well_known(&world).await;
        let mut tx = world.platform.db.begin().await.unwrap();
        revoke(&mut tx, &world.platform, Kind::User, &ann.id().to_string()).await.unwrap();
        tx.commit().await.unwrap();
        world.platform.revocations.refresh(&world.platform.db, world.now()).await.unwrap();
        assert_eq!(ann.get(CODES).await.status, 401);

        let bob = well_known(&world).await;
        world.execute("DELETE FROM users WHERE id = $1", bob.id()).await;
        // That an account exists is remembered for five seconds, by the machine's clock, and not for ever.
        let refused = async {
            while bob.get(CODES).await.status != 401 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), refused).await.expect("the account is found to be gone");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_passed_vouches_for_no_other() {
    on_each_store(|world| async move {
        let ann = well_known(&world).await;
        let token = ann.token.clone().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let mut more = world.claims(&ann.id().to_string(), EVERYTHING);
        more["scope"] = json!("referrals:admin");
        let forged = world.token(&more);
        let payload = forged.split('.').nth(1).unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        for (why, other) in [
            ("other claims", format!("{header}.{payload}.{signature}")),
            ("another signature", format!("{signed}.{first}{}", &signature[1..])),
            ("no signature", format!("{signed}.")),
            ("a signature with more", format!("{signed}.{signature}AAAA")),
        ] {
            assert_eq!(world.bearer(&other).get(CODES).await.status, 401, "{why}");
        }
        // And what a request may do is its own token's affair.
        assert_eq!(ann.with_scope("openid").get(CODES).await.status, 403);
        assert_eq!(ann.get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_refused_is_judged_anew() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let next = SigningKey::new("key-2");
        let token = next.sign("at+jwt", &world.claims(&ann.id().to_string(), EVERYTHING));
        assert_eq!(world.bearer(&token).get(CODES).await.status, 401);
        world.issuer.publish(&[&world.key, &next]);
        assert!(world.state.keys().refresh().await);
        assert_eq!(world.bearer(&token).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_passed_with_a_proof_passes_with_a_proof_only__rfc9449_7_1() {
    on_each_store_with(&[("API__REQUIRE_DPOP", "false")], |world| async move {
        let ann = world.person("Ann").await;
        let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
        claims["cnf"] = json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" });
        let bound = world.token(&claims);
        // Its signature is good, so it is remembered; its key must be shown each time.
        for _ in 0..3 {
            let answer = world.bearer(&bound).get(CODES).await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{answer:?}");
        }
    })
    .await;
}
