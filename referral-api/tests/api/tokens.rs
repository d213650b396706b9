//! Which tokens pass, and what those hear that don't.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared::ids::UserId;
use shared::revocations::{Kind, revoke};

use crate::world::{Answer, EVERYTHING, World, on_each_store};

const CODES: &str = "/v1/referral-codes";

async fn try_token(world: &World, token: &str) -> Answer {
    world.bearer(token).get(CODES).await
}

fn assert_invalid(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {answer:?}");
    assert_eq!(answer.problem(), "unauthorized", "{why}");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{why}: {answer:?}");
}

#[tokio::test]
async fn a_good_token_passes_and_a_request_without_one_is_told_where_to_get_one__rfc6750_3_1__rfc9728_5_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        assert_eq!(ann.get(CODES).await.status, 200);

        let answer = world.anon().get(CODES).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
        let api = world.platform.config.api.public_url.as_str();
        assert_eq!(
            answer.challenge("Bearer"),
            format!("Bearer realm=\"{api}\", resource_metadata=\"{api}/.well-known/oauth-protected-resource\"")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    })
    .await;
}

#[tokio::test]
async fn every_claim_is_checked__rfc9068_4() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let good = world.claims(&ann.id().to_string(), EVERYTHING);
        let now = world.platform.clock.timestamp();
        let issuer = world.issuer.url().to_owned();
        let api = world.platform.config.api.public_url.as_str().to_owned();
        let changed = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            world.token(&claims)
        };
        for (why, name, value) in [
            ("another issuer", "iss", json!("https://evil.example")),
            ("the issuer with a slash", "iss", json!(format!("{issuer}/"))),
            ("another audience", "aud", json!(issuer)),
            ("the audience with a slash", "aud", json!(format!("{api}/"))),
            ("no audience of ours", "aud", json!([issuer, "x"])),
            ("no audience at all", "aud", json!([])),
            ("expired", "exp", json!(now - 6)),
            ("an expiry that is no number", "exp", json!("tomorrow")),
            ("not yet valid", "nbf", json!(now + 60)),
            ("issued in the future", "iat", json!(now + 60)),
            ("no subject", "sub", Value::Null),
            ("no client", "client_id", Value::Null),
            ("no id", "jti", Value::Null),
            ("bound to a key that is not shown", "cnf", json!({ "jkt": "x" })),
        ] {
            assert_invalid(&try_token(&world, &changed(name, value)).await, why);
        }
        for (name, value) in
            [("aud", json!([issuer, api])), ("exp", json!(now - 3)), ("nbf", json!(now + 3)), ("iat", json!(now + 3))]
        {
            assert_eq!(try_token(&world, &changed(name, value)).await.status, 200, "{name} within the leeway");
        }
    })
    .await;
}

#[tokio::test]
async fn type_algorithm_key_and_signature_are_checked__rfc9068_4__rfc8725_3() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let claims = world.claims(&ann.id().to_string(), EVERYTHING);
        let good = world.token(&claims);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let (_, payload) = head.split_once('.').unwrap();
        let header = |text: &str| URL_SAFE_NO_PAD.encode(text);

        for typ in ["at+JWT", "application/at+jwt"] {
            assert_eq!(try_token(&world, &world.key.sign(typ, &claims)).await.status, 200, "{typ}");
        }
        for typ in ["JWT", "", "logout+jwt"] {
            assert_invalid(&try_token(&world, &world.key.sign(typ, &claims)).await, typ);
        }

        let none = format!("{}.{payload}.", header(r#"{"typ":"at+jwt","alg":"none","kid":"key-1"}"#));
        assert_invalid(&try_token(&world, &none).await, "alg none");

        // The public key as a shared secret, in the forms it may be known in.
        let AlgorithmParameters::EllipticCurve(point) = &world.key.jwk.algorithm else { panic!("an EC key") };
        for secret in [serde_json::to_string(&world.key.jwk).unwrap(), point.x.clone()] {
            let mut hs256 = Header::new(Algorithm::HS256);
            hs256.typ = Some("at+jwt".into());
            hs256.kid = Some("key-1".into());
            let key = EncodingKey::from_secret(secret.as_bytes());
            assert_invalid(&try_token(&world, &jsonwebtoken::encode(&hs256, &claims, &key).unwrap()).await, "HS256");
        }

        let claimed_rsa =
            format!("{}.{payload}.{signature}", header(r#"{"typ":"at+jwt","alg":"RS256","kid":"key-1"}"#));
        assert_invalid(&try_token(&world, &claimed_rsa).await, "not the key's algorithm");
        let no_kid = format!("{}.{payload}.{signature}", header(r#"{"typ":"at+jwt","alg":"ES256"}"#));
        assert_invalid(&try_token(&world, &no_kid).await, "no kid");

        let stranger = crate::world::SigningKey::new("key-1");
        assert_invalid(&try_token(&world, &stranger.sign("at+jwt", &claims)).await, "a stranger's key of the same id");
        let mut header_with_key = Header::new(Algorithm::ES256);
        header_with_key.typ = Some("at+jwt".into());
        header_with_key.kid = Some("key-1".into());
        header_with_key.jwk = Some(stranger.jwk.clone());
        let own_key = jsonwebtoken::encode(&header_with_key, &claims, &stranger.key).unwrap();
        assert_invalid(&try_token(&world, &own_key).await, "a key brought along");
        let mut critical = Header::new(Algorithm::ES256);
        critical.typ = Some("at+jwt".into());
        critical.kid = Some("key-1".into());
        critical.crit = Some(vec!["b64".into()]);
        let critical = jsonwebtoken::encode(&critical, &claims, &world.key.key).unwrap();
        assert_invalid(&try_token(&world, &critical).await, "a critical extension (RFC 7515 §4.1.11)");

        let mut more = claims.clone();
        more["scope"] = "referrals:admin".into();
        let forged = URL_SAFE_NO_PAD.encode(more.to_string());
        let (first, _) = good.split_once('.').unwrap();
        assert_invalid(&try_token(&world, &format!("{first}.{forged}.{signature}")).await, "changed claims");
        for nonsense in ["x", "a.b", "a.b.c", "....", &"a".repeat(9000)] {
            assert_invalid(&try_token(&world, nonsense).await, nonsense);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_comes_in_one_authorization_header_and_nowhere_else__rfc6750_2() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let token = ann.token.clone().unwrap();

        let twice = ann.with_header("authorization", &format!("Bearer {token}")).get(CODES).await;
        assert_eq!(twice.status, 400, "{twice:?}");
        assert!(twice.header("www-authenticate").contains("error=\"invalid_request\""));
        let empty = world.anon().with_header("authorization", "Bearer").get(CODES).await;
        assert_eq!((empty.status, empty.problem().as_str()), (400, "malformed"));

        let lower_case = world.anon().with_header("authorization", &format!("bearer {token}")).get(CODES).await;
        assert_eq!(lower_case.status, 200, "a scheme has no case (RFC 9110 §11.1)");

        let basic = world.anon().with_header("authorization", "Basic YTpi").get(CODES).await;
        assert_eq!(basic.status, 401);
        assert!(!basic.header("www-authenticate").contains("error="), "{basic:?}");
        assert_eq!(world.anon().get(&format!("{CODES}?access_token={token}")).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn two_credentials_are_none_whatever_their_schemes__rfc6750_2__rfc9449_7_2() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let token = ann.token.clone().unwrap();
        for (one, other) in [("Bearer", "DPoP"), ("DPoP", "Bearer"), ("DPoP", "DPoP"), ("Bearer", "Basic")] {
            let twice = world.anon().with_header("authorization", &format!("{one} {token}"));
            let answer = twice.with_header("authorization", &format!("{other} {token}")).create_code().await;
            assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{one}, {other}: {answer:?}");
            assert_eq!(answer.error("Bearer"), "invalid_request", "{one}, {other}");
        }
        // Two tokens in one header, or what is no token at all.
        for value in [format!("Bearer {token}, Bearer {token}"), format!("Bearer {token} {token}"), "Bearer é".into()]
        {
            let answer = world.anon().with_header("authorization", &value).create_code().await;
            assert!([400, 401].contains(&answer.status), "{value}: {answer:?}");
            assert!(["invalid_request", "invalid_token"].contains(&answer.error("Bearer")), "{value}: {answer:?}");
        }
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_query_or_in_the_body_is_no_token__rfc6750_2_2__rfc6750_2_3() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let token = ann.token.clone().unwrap();
        let anon = world.anon();
        let json = json!({ "expires_at": anon.in_days(3), "access_token": token });
        let form = format!("access_token={token}&expires_at=2030-01-01T00%3A00%3A00Z");
        for answer in [
            anon.get(&format!("{CODES}?access_token={token}")).await,
            anon.post(&format!("{CODES}?access_token={token}"), &json!({ "expires_at": anon.in_days(3) })).await,
            anon.post(CODES, &json).await,
            anon.form(CODES, &form).await,
        ] {
            // As for who sends no token at all: no error code.
            assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{answer:?}");
            assert_eq!((answer.error("Bearer"), answer.error("DPoP")), ("", ""), "{answer:?}");
        }
        // Beside one in the header it is a member that nobody knows.
        assert_eq!(ann.post(CODES, &json).await.pointers(), ["#/access_token"]);
        assert_eq!(ann.get(&format!("{CODES}?access_token={token}")).await.status, 422);
        assert_eq!(ann.form(CODES, &form).await.status, 415);
        assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes").await, 0);
    })
    .await;
}

#[tokio::test]
async fn each_route_wants_its_scope__rfc6750_3_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let reader = ann.with_scope("openid referral-codes:read");
        let nobody = ann.with_scope("openid referral-codes:readers");
        let code = ann.new_code().await;

        for (actor, method, path, scope) in [
            (&reader, "POST", CODES.to_owned(), "referral-codes:write"),
            (&reader, "DELETE", format!("{CODES}/{code}"), "referral-codes:write"),
            (&reader, "GET", "/v1/referrers/me/referrals".to_owned(), "referrals:read"),
            (&nobody, "GET", CODES.to_owned(), "referral-codes:read"),
            (&nobody, "GET", format!("{CODES}/{code}"), "referral-codes:read"),
            (&nobody, "GET", format!("{CODES}/lookup?email=a@b.cd"), "referral-codes:read"),
            (&nobody, "POST", "/v1/invitations".to_owned(), "referral-codes:read"),
        ] {
            let answer = match method {
                "POST" => actor.post(&path, &json!({})).await,
                "DELETE" => actor.delete(&path).await,
                _ => actor.get(&path).await,
            };
            assert_eq!((answer.status, answer.problem().as_str()), (403, "insufficient-scope"), "{method} {path}");
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains(&format!("error=\"insufficient_scope\", scope=\"{scope}\"")), "{challenge}");
        }
        assert_eq!(reader.get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_speaks_for_itself_is_nobody_whose_codes_could_be_shown() {
    on_each_store(|world| async move {
        let (ann, service) = (world.person("Ann").await, world.service());
        let code = ann.new_code().await;
        for answer in [
            service.get(CODES).await,
            service.get(&format!("{CODES}/{code}")).await,
            service.delete(&format!("{CODES}/{code}")).await,
            service.create_code().await,
            service.get("/v1/referrers/me/referrals").await,
            service.get(&format!("/v1/referrers/{}/referrals", ann.id())).await,
        ] {
            assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
        }
        // What is nobody's own is open to it.
        assert_eq!(service.look_up(&ann.email).await.text("code"), code);
        assert_eq!(service.invite(&ann.email, "friend@example.org").await.status, 202);

        // A client with an id like a person's still speaks for itself (RFC 9068 §5).
        let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
        claims["client_id"] = ann.id().to_string().into();
        assert_eq!(try_token(&world, &world.token(&claims)).await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn what_was_revoked_passes_no_more() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        for (kind, claim) in [
            (Kind::Grant, "grant_id"),
            (Kind::Session, "sid"),
            (Kind::Token, "jti"),
            (Kind::Client, "client_id"),
            (Kind::User, "sub"),
        ] {
            let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
            claims["client_id"] = format!("app-{}", world.unique()).into();
            let token = world.token(&claims);
            assert_eq!(try_token(&world, &token).await.status, 200, "{claim}");
            let mut tx = world.platform.db.begin().await.unwrap();
            revoke(&mut tx, &world.platform, kind, claims[claim].as_str().unwrap()).await.unwrap();
            tx.commit().await.unwrap();
            world.platform.revocations.refresh(&world.platform.db, world.now()).await.unwrap();
            assert_invalid(&try_token(&world, &token).await, claim);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_of_an_account_that_is_gone_passes_nowhere() {
    on_each_store(|world| async move {
        let nobody = UserId::new(&world.platform.random, &world.platform.clock);
        let token = world.token(&world.claims(&nobody.to_string(), EVERYTHING));
        assert_invalid(&try_token(&world, &token).await, "list");
        assert_invalid(&world.bearer(&token).look_up("a@example.com").await, "look-up");

        // Gone between the check and the write: the foreign key notices.
        let ann = world.person("Ann").await;
        assert_eq!(ann.get(CODES).await.status, 200);
        world.execute("DELETE FROM users WHERE id = $1", ann.id()).await;
        assert_invalid(&ann.create_code().await, "create");
    })
    .await;
}
