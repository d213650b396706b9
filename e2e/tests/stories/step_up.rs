//! Step-up authentication (RFC 9470), from the challenge to the sign-in that is enough.

use std::time::Duration;

use serde_json::{Value, json};
use shared::execute;
use shared::ids::UserId;
use shared::jose::algorithm_named;
use shared::jose::testing::Signer;

use crate::actor::{Actor, Answer};
use crate::app::App;
use crate::visitor::Visitor;
use crate::world::{ALL_SCOPES, World, app_client};

const SCOPE: &str = "openid offline_access referral-codes:read referral-codes:write";
const CODES: &str = "/v1/referral-codes";

/// The value of a parameter in the Bearer challenge; empty when it is not there.
fn challenged<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut challenges = answer.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
    let bearer = challenges.find(|challenge| challenge.starts_with("Bearer ")).unwrap_or_default();
    let (_, rest) = bearer.split_once(&format!("{name}=\"")).unwrap_or_default();
    rest.split_once('"').unwrap_or_default().0
}

/// Holds the answer to a challenge for another sign-in.
#[track_caller]
fn asks_for_more(answer: &Answer) {
    answer.is_problem(401, "");
    assert_eq!(challenged(answer, "error"), "insufficient_user_authentication", "{answer:?}");
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().expect("an access token")
}

/// Everything that changes something, with `code` as the caller's.
async fn writes(world: &World, actor: &Actor, code: &str) -> [Answer; 3] {
    let expires_at = world.platform.clock.now() + chrono::TimeDelta::days(30);
    let invitation = json!({ "referrer_email": actor.email, "email": "friend@example.org" });
    [
        actor.post("/v1/invitations", invitation).await,
        actor.post(CODES, json!({ "expires_at": expires_at })).await,
        actor.delete(&format!("{CODES}/{code}")).await,
    ]
}

/// Who has not proved their address invites nobody.
async fn confirm_address(world: &World, ann: &Actor) {
    let id: UserId = ann.id.parse().expect("an id");
    let mut tx = world.platform.db.begin().await.expect("a transaction");
    let now = world.platform.clock.now();
    execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE id = $1", id, now).expect("it is written");
    tx.commit().await.expect("it is written");
}

/// Signs in for `app` with one parameter more, as the challenge had it; the token response.
async fn with(app: &App, visitor: &mut Visitor, email: &str, name: &str, value: Option<&str>) -> Value {
    let authorization = app.authorization(SCOPE).with(name, value);
    let code = app.code(visitor, email, &authorization).await;
    app.exchange(&code, &authorization.verifier).await.is(200)
}

async fn a_sign_in_too_long_ago_is_done_again_as_the_challenge_says__rfc9470_4__rfc9470_5(world: World) {
    let ann = world.person("ann").await;
    confirm_address(&world, &ann).await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    let tokens = app.signs_in(&mut visitor, &ann.email, SCOPE).await;
    let holder = ann.with_token(access(&tokens));
    let code = holder.creates_a_code(world.platform.clock.now(), 30).await;

    world.pass(Duration::from_secs(320));
    let refused = writes(&world, &holder, &code).await;
    refused.iter().for_each(asks_for_more);
    let max_age = challenged(&refused[0], "max_age").to_owned();
    assert_eq!(max_age, "300");
    assert_eq!(holder.get(&format!("{CODES}/{code}")).await.is(200)["status"], "active", "nothing was done");

    // A new token of the old sign-in is no better.
    let refreshed = app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await.is(200);
    writes(&world, &ann.with_token(access(&refreshed)), &code).await.iter().for_each(asks_for_more);
    // Nor is one for which nobody is asked anything.
    let again = with(&app, &mut visitor, &ann.email, "prompt", Some("none")).await;
    writes(&world, &ann.with_token(access(&again)), &code).await.iter().for_each(asks_for_more);

    // With the challenge's max_age the person is asked, though signed in.
    let authorization = app.authorization(SCOPE).with("max_age", Some(&max_age));
    assert!(visitor.open(&authorization.url).await.page().has_field("password"));
    let recent = with(&app, &mut visitor, &ann.email, "max_age", Some(&max_age)).await;
    let [invited, created, deleted] = writes(&world, &ann.with_token(access(&recent)), &code).await;
    invited.is(202);
    created.is_problem(409, "");
    deleted.is(204);
    ann.with_token(access(&recent)).creates_a_code(world.platform.clock.now(), 30).await;
    // And its refreshed successor is as good, for as long.
    let refreshed = app.refresh(recent["refresh_token"].as_str().expect("a refresh token")).await.is(200);
    ann.with_token(access(&refreshed))
        .post(
            "/v1/invitations",
            json!({
                "referrer_email": ann.email, "email": "other@example.org",
            }),
        )
        .await
        .is(202);
}
on_both_stores!(
    a_sign_in_too_long_ago_is_done_again_as_the_challenge_says__rfc9470_4__rfc9470_5,
    "API__STEP_UP_MAX_AGE_SECONDS" = "300",
);

/// A token for Ann by a service of ours that vouches for her, though she never signed in (RFC 7523 §2.1).
async fn vouched_for(world: &World, ann: &Actor) -> Actor {
    const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let signer = Signer::new(algorithm_named("ES256").expect("it is known"));
    let mut client = app_client("Back office", &[GRANT], "");
    client.first_party = true;
    client.metadata.redirect_uris.clear();
    client.metadata.scopes = ALL_SCOPES.split_whitespace().map(str::to_owned).collect();
    client.metadata.jwks = Some(json!({ "keys": [signer.jwk()] }));
    let service = world.register(client).await;
    let now = world.platform.clock.timestamp();
    let claims = json!({
        "iss": service.client_id, "sub": ann.id, "aud": world.auth_url, "iat": now, "exp": now + 60, "jti": "1",
    });
    let assertion = signer.sign(&signer.header("JWT"), &claims);
    let tokens = service.token(&[("grant_type", GRANT), ("assertion", &assertion), ("scope", SCOPE)]).await.is(200);
    ann.with_token(access(&tokens))
}

async fn a_sign_in_too_weak_is_done_again_as_the_challenge_says__rfc9470_4__rfc9470_5(world: World) {
    let ann = world.person("ann").await;
    confirm_address(&world, &ann).await;
    let app = world.app().await;
    let code = ann.creates_a_code(world.platform.clock.now(), 30).await;

    let nobody_signed_in = vouched_for(&world, &ann).await;
    let refused = writes(&world, &nobody_signed_in, &code).await;
    refused.iter().for_each(asks_for_more);
    let acr_values = challenged(&refused[0], "acr_values").to_owned();
    assert_eq!(acr_values, "urn:example:gold urn:referris:acr:password");
    assert_eq!(nobody_signed_in.get(&format!("{CODES}/{code}")).await.is(200)["status"], "active", "nothing was done");

    let mut visitor = world.visitor();
    let tokens = with(&app, &mut visitor, &ann.email, "acr_values", Some(&acr_values)).await;
    let [invited, created, deleted] = writes(&world, &ann.with_token(access(&tokens)), &code).await;
    invited.is(202);
    created.is_problem(409, "");
    deleted.is(204);
}
on_both_stores!(
    a_sign_in_too_weak_is_done_again_as_the_challenge_says__rfc9470_4__rfc9470_5,
    "API__STEP_UP_ACR" = "urn:example:gold urn:referris:acr:password",
);

async fn a_sign_in_that_nobody_can_have_here_is_told_to_the_app__rfc9470_5__unmet_2(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    let tokens = app.signs_in(&mut visitor, &ann.email, SCOPE).await;
    let holder = ann.with_token(access(&tokens));
    let create = async |actor: &Actor| {
        let expires_at = world.platform.clock.now() + chrono::TimeDelta::days(30);
        actor.post(CODES, json!({ "expires_at": expires_at })).await
    };
    let refused = create(&holder).await;
    asks_for_more(&refused);
    let acr = challenged(&refused, "acr_values");
    assert_eq!(acr, "urn:example:gold");
    // As a wish it leads to the sign-in there is, and the API's answer stays what it was.
    let tokens = with(&app, &mut visitor, &ann.email, "acr_values", Some(acr)).await;
    asks_for_more(&create(&ann.with_token(access(&tokens))).await);
    // As a demand it is refused at once, and nobody is sent in circles.
    let claims = json!({ "id_token": { "acr": { "essential": true, "values": [acr] } } }).to_string();
    let callback = visitor.authorizes(&ann.email, &app.authorization(SCOPE).with("claims", Some(&claims)).url).await;
    let error = callback.query_pairs().find(|(name, _)| name == "error").map(|(_, error)| error.into_owned());
    assert_eq!(error.as_deref(), Some("unmet_authentication_requirements"), "{callback}");
    assert_eq!(ann.get(CODES).await.is(200)["items"], json!([]));
}
on_both_stores!(
    a_sign_in_that_nobody_can_have_here_is_told_to_the_app__rfc9470_5__unmet_2,
    "API__STEP_UP_ACR" = "urn:example:gold",
);
