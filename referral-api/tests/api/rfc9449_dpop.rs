//! Tokens that are bound to a DPoP key (RFC 9449 §7).

use std::sync::LazyLock;
use std::time::Duration;

use futures::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::dpop;
use shared::jose::testing::{Signer, encode};

use crate::world::{Actor, Answer, EVERYTHING, World, on_each_store, on_each_store_with};

const CODES: &str = "/v1/referral-codes";

static KEY: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));

/// Who holds a token and the key it is bound to.
struct Holder<'a> {
    world: World,
    person: Actor,
    key: &'a Signer,
    token: String,
}

impl<'a> Holder<'a> {
    async fn new(world: &World, key: &'a Signer) -> Self {
        let person = world.person("Ann").await;
        let mut claims = world.claims(&person.id().to_string(), EVERYTHING);
        claims["cnf"] = json!({ "jkt": key.public_key().thumbprint() });
        Self { world: world.clone(), person: person.without_token(), key, token: world.token(&claims) }
    }

    fn at(&self, world: &World) -> Self {
        Self { world: world.clone(), person: self.person.at(world), key: self.key, token: self.token.clone() }
    }

    fn nonce(&self) -> String {
        dpop::Nonces::new(&self.world.platform.master_key).issue(self.world.platform.clock.timestamp())
    }

    /// The claims of a good proof for a request.
    fn claims(&self, method: &str, path: &str) -> Value {
        let platform = &self.world.platform;
        let url = platform.config.api.public_url.join(path);
        let now = platform.clock.timestamp();
        let mut claims = self.key.proof_claims(method, &url, now, &self.world.unique(), Some(&self.token));
        claims["nonce"] = self.nonce().into();
        claims
    }

    fn proof(&self, method: &str, path: &str) -> String {
        self.key.proof(&self.claims(method, path))
    }

    /// A caller with this proof.
    fn with(&self, proof: &str) -> Actor {
        self.person.with_header("authorization", &format!("DPoP {}", self.token)).with_header("dpop", proof)
    }

    async fn create_code(&self) -> Answer {
        self.with(&self.proof("POST", CODES)).create_code().await
    }
}

fn assert_refused(answer: &Answer, error: &str, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {answer:?}");
    assert_eq!(answer.problem(), "unauthorized", "{why}");
    assert_eq!((answer.error("DPoP"), answer.error("Bearer")), (error, ""), "{why}: {answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "{why}");
}

async fn codes(world: &World) -> i64 {
    world.count("SELECT COUNT(*) FROM referral_codes").await
}

#[tokio::test]
async fn a_bound_token_passes_with_a_proof_of_its_key__rfc9449_7_1() {
    on_each_store(|world| async move {
        for algorithm in dpop::ALGORITHMS {
            let key = Signer::new(algorithm);
            let ann = Holder::new(&world, &key).await;
            assert_eq!(ann.create_code().await.status, 201, "{algorithm:?}");
            let answer = ann.with(&ann.proof("GET", CODES)).get(CODES).await;
            assert_eq!(answer.status, 200, "{algorithm:?}: {answer:?}");
            let code = answer.body["items"][0]["code"].as_str().unwrap().to_owned();
            let path = format!("{CODES}/{code}");
            assert_eq!(ann.with(&ann.proof("DELETE", &path)).delete(&path).await.status, 204, "{algorithm:?}");
        }
        // The query is not part of it (§4.3), and schemes have no case (RFC 9110 §11.1).
        let ann = Holder::new(&world, &KEY).await;
        let limited = ann.with(&ann.proof("GET", CODES)).get(&format!("{CODES}?limit=1")).await;
        assert_eq!(limited.status, 200, "{limited:?}");
        let lower = ann.person.with_header("authorization", &format!("dpop {}", ann.token));
        assert_eq!(lower.with_header("dpop", &ann.proof("GET", CODES)).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_request_without_a_token_is_told_of_both_schemes__rfc9449_7_1() {
    on_each_store(|world| async move {
        let api = world.platform.config.api.public_url.as_str();
        let metadata = format!("resource_metadata=\"{api}/.well-known/oauth-protected-resource\"");
        let answer = world.anon().get(CODES).await;
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(
            challenges,
            [
                &format!("Bearer realm=\"{api}\", {metadata}"),
                &format!("DPoP realm=\"{api}\", algs=\"ES256 EdDSA PS256\", {metadata}")
            ]
        );
        // Nobody asked for a nonce.
        assert_eq!(answer.header("dpop-nonce"), "");
    })
    .await;
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token__rfc9449_7_2() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let bearer = ann.person.with_token(&ann.token);
        for caller in [bearer.clone(), bearer.with_header("dpop", &ann.proof("POST", CODES))] {
            let answer = caller.create_code().await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
            assert_eq!((answer.error("Bearer"), answer.error("DPoP")), ("invalid_token", ""));
        }
        assert_eq!(codes(&world).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_not_bound_is_no_dpop_token__rfc9449_7_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        let holder =
            Holder { world: world.clone(), person: ann.without_token(), key: &KEY, token: ann.token.clone().unwrap() };
        assert_refused(&holder.create_code().await, "invalid_token", "not bound");
        assert_eq!(codes(&world).await, 0);
        // A proof that nobody asked for does no harm.
        assert_eq!(ann.with_header("dpop", "nonsense").get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_bound_in_another_way_is_refused__rfc7800_3_1() {
    on_each_store(|world| async move {
        let ann = world.person("Ann").await;
        for cnf in [json!({}), json!({ "kid": "x" }), json!({ "jwk": KEY.jwk() }), json!("x"), json!({ "jkt": 7 })] {
            let mut claims = world.claims(&ann.id().to_string(), EVERYTHING);
            claims["cnf"] = cnf.clone();
            let answer = ann.with_token(&world.token(&claims)).create_code().await;
            assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{cnf}");
        }
        assert_eq!(codes(&world).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_proof_that_does_not_fit_the_request_is_refused_and_nothing_is_done__rfc9449_4_3() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let now = world.platform.clock.timestamp();
        let issuer = world.issuer.url().to_owned();
        let api = world.platform.config.api.public_url.as_str().to_owned();
        let changed = |name: &str, value: Value| {
            let mut claims = ann.claims("POST", CODES);
            claims[name] = value;
            KEY.proof(&claims)
        };
        let without = |name: &str| {
            let mut claims = ann.claims("POST", CODES);
            claims.as_object_mut().unwrap().remove(name);
            KEY.proof(&claims)
        };
        let header = |change: &dyn Fn(&mut Value)| {
            let mut header = KEY.header("dpop+jwt");
            header["jwk"] = KEY.jwk();
            change(&mut header);
            KEY.sign(&header, &ann.claims("POST", CODES))
        };
        let duplicate = {
            let mut header = KEY.header("dpop+jwt");
            header["jwk"] = KEY.jwk();
            let claims = ann.claims("POST", CODES).to_string().replacen('{', "{\"htm\":\"GET\",", 1);
            KEY.sign_text(&header.to_string(), &claims)
        };
        let forger = Signer::hmac(b"a secret of thirty-two bytes, or more");
        let mut symmetric = forger.header("dpop+jwt");
        symmetric["jwk"] = KEY.jwk();
        for (why, proof) in [
            ("another method", changed("htm", json!("GET"))),
            ("another path", changed("htu", json!(world.platform.config.api.public_url.join("/v1/invitations")))),
            ("another host", changed("htu", json!(format!("{issuer}{CODES}")))),
            ("no URL", changed("htu", json!(CODES))),
            ("another token", changed("ath", json!(encode([7; 32])))),
            ("too old", changed("iat", json!(now - 301))),
            ("from the future", changed("iat", json!(now + 60))),
            ("an expired proof", changed("exp", json!(now - 60))),
            ("an iat that is no number", changed("iat", json!("now"))),
            ("no method", without("htm")),
            ("no URL at all", without("htu")),
            ("no token", without("ath")),
            ("no time", without("iat")),
            ("no id", without("jti")),
            ("an endless id", changed("jti", json!("x".repeat(300)))),
            ("another type", header(&|header| header["typ"] = "JWT".into())),
            ("alg none", header(&|header| header["alg"] = "none".into())),
            ("a private key", header(&|header| header["jwk"]["d"] = encode([7; 32]).into())),
            ("somebody else's key", header(&|header| header["jwk"] = Signer::new(Algorithm::ES256).jwk())),
            ("a critical extension", header(&|header| header["crit"] = json!(["x"]))),
            ("duplicate members", duplicate),
            ("duplicate members of the header", {
                let key = KEY.jwk();
                let header = format!("{{\"typ\":\"JWT\",\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":{key}}}");
                KEY.sign_text(&header, &ann.claims("POST", CODES).to_string())
            }),
            ("nested deeply", changed("x", (0..40).fold(json!(1), |inner, _| json!([inner])))),
            ("no key", header(&|header| drop(header.as_object_mut().unwrap().remove("jwk")))),
            ("a key that is only named", {
                let mut header = KEY.header("dpop+jwt");
                header["kid"] = KEY.public_key().thumbprint().into();
                KEY.sign(&header, &ann.claims("POST", CODES))
            }),
            ("a shared key", {
                let mut header = forger.header("dpop+jwt");
                header["jwk"] = json!({ "kty": "oct", "k": encode(b"a secret of thirty-two bytes, or more") });
                forger.sign(&header, &ann.claims("POST", CODES))
            }),
            ("an algorithm that is not listed", Signer::new(Algorithm::ES384).proof(&ann.claims("POST", CODES))),
            ("another algorithm than the key's", header(&|header| header["alg"] = "RS256".into())),
            ("another proof's signature", {
                let (one, other) = (ann.proof("POST", CODES), ann.proof("POST", CODES));
                let (message, signature) = (one.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
                format!("{message}.{signature}")
            }),
            ("no signature", format!("{}.", ann.proof("POST", CODES).rsplit_once('.').unwrap().0)),
            ("five parts", format!("{}.e30.e30", ann.proof("POST", CODES))),
            ("a method in lower case", changed("htm", json!("post"))),
            ("a method that is no text", changed("htm", json!(["POST"]))),
            ("another scheme", changed("htu", json!(format!("{api}{CODES}").replacen("http", "https", 1)))),
            ("another port", changed("htu", json!(format!("http://localhost:1{CODES}")))),
            ("a URL with credentials", changed("htu", json!(format!("{api}{CODES}").replacen("//", "//a:b@", 1)))),
            ("a URL that is no text", changed("htu", json!([format!("{api}{CODES}")]))),
            ("an id that is no text", changed("jti", json!(7))),
            ("an empty id", changed("jti", json!(""))),
            ("not valid yet", changed("nbf", json!(now + 60))),
            ("a time before all time", changed("iat", json!(-1))),
            ("an endless nonce", changed("nonce", json!("x".repeat(300)))),
            ("a nonce that is no text", changed("nonce", json!(7))),
            ("the token and not its hash", changed("ath", json!(ann.token))),
            ("a MAC", forger.sign(&symmetric, &ann.claims("POST", CODES))),
            ("padding", format!("{}==", ann.proof("POST", CODES))),
            ("oversized", changed("x", json!("x".repeat(8192)))),
            ("nonsense", "nonsense".into()),
            ("empty", String::new()),
        ] {
            assert_refused(&ann.with(&proof).create_code().await, "invalid_dpop_proof", why);
        }
        let missing = ann.person.with_header("authorization", &format!("DPoP {}", ann.token)).create_code().await;
        assert_refused(&missing, "invalid_dpop_proof", "no proof");
        let twice = ann.with(&ann.proof("POST", CODES)).with_header("dpop", &ann.proof("POST", CODES));
        assert_refused(&twice.create_code().await, "invalid_dpop_proof", "two proofs");
        let other = Signer::new(Algorithm::ES256);
        let proof = other.proof(&ann.claims("POST", CODES));
        assert_refused(&ann.with(&proof).create_code().await, "invalid_token", "a good proof of another key");
        assert_eq!(codes(&world).await, 0);
        assert_eq!(ann.create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_proof_is_good_once__rfc9449_11_1() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let once = ann.with(&ann.proof("GET", CODES));
        assert_eq!(once.get(CODES).await.status, 200);
        assert_refused(&once.get(CODES).await, "invalid_dpop_proof", "again");

        let proof = ann.with(&ann.proof("GET", CODES));
        let answers = join_all((0..20).map(|_| proof.get(CODES))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "of many at once, one");

        if world.platform.config.redis.url.is_some() {
            let other = world.another_instance(&[]).await;
            let proof = ann.proof("GET", CODES);
            assert_eq!(ann.with(&proof).get(CODES).await.status, 200);
            let elsewhere = ann.at(&other).with(&proof).get(CODES).await;
            assert_refused(&elsewhere, "invalid_dpop_proof", "at another instance");
        }
    })
    .await;
}

#[tokio::test]
async fn a_proof_without_a_recent_nonce_is_sent_back_for_one__rfc9449_9() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let with_nonce = |nonce: Value| {
            let mut claims = ann.claims("POST", CODES);
            claims["nonce"] = nonce;
            if claims["nonce"].is_null() {
                claims.as_object_mut().unwrap().remove("nonce");
            }
            ann.with(&KEY.proof(&claims))
        };
        let first = with_nonce(Value::Null).create_code().await;
        assert_refused(&first, "use_dpop_nonce", "no nonce");
        let nonce = first.header("dpop-nonce").to_owned();
        assert!(!nonce.is_empty(), "{first:?}");
        for wrong in [json!(""), json!("x"), json!(nonce.to_lowercase()), json!(format!("{nonce}x"))] {
            let answer = with_nonce(wrong.clone()).create_code().await;
            assert_refused(&answer, "use_dpop_nonce", &wrong.to_string());
            assert_eq!(answer.header("dpop-nonce"), nonce);
        }
        assert_eq!(codes(&world).await, 0);
        let created = with_nonce(json!(nonce)).create_code().await;
        assert_eq!((created.status, created.header("dpop-nonce")), (201, nonce.as_str()), "{created:?}");

        // Another instance knows it too.
        let other = world.another_instance(&[]).await;
        let elsewhere = ann.at(&other);
        let mut claims = elsewhere.claims("GET", CODES);
        claims["nonce"] = nonce.as_str().into();
        assert_eq!(elsewhere.with(&KEY.proof(&claims)).get(CODES).await.status, 200);

        // A while later it is too old, and the answer brings the next one.
        world.platform.clock.advance(Duration::from_secs(2 * dpop::Nonces::STEP.unsigned_abs()));
        let late = with_nonce(json!(nonce)).create_code().await;
        assert_refused(&late, "use_dpop_nonce", "an old nonce");
        let next = late.header("dpop-nonce").to_owned();
        assert!(!next.is_empty() && next != nonce);
        let mut claims = ann.claims("GET", CODES);
        claims["nonce"] = next.into();
        assert_eq!(ann.with(&KEY.proof(&claims)).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_goes_meanwhile_is_told_in_the_scheme_that_was_tried__rfc9449_7_1() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        assert_eq!(ann.with(&ann.proof("GET", CODES)).get(CODES).await.status, 200);
        // Gone between the check and the write: the foreign key notices.
        world.execute("DELETE FROM users WHERE id = $1", ann.person.id()).await;
        assert_refused(&ann.create_code().await, "invalid_token", "the account is gone");
    })
    .await;
}

#[tokio::test]
async fn nonces_can_be_switched_off__rfc9449_9() {
    on_each_store_with(&[("DPOP__REQUIRE_NONCE", "false")], |world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let mut claims = ann.claims("GET", CODES);
        claims.as_object_mut().unwrap().remove("nonce");
        let answer = ann.with(&KEY.proof(&claims)).get(CODES).await;
        assert_eq!((answer.status, answer.header("dpop-nonce")), (200, ""), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn where_tokens_must_be_bound_an_unbound_one_is_refused__rfc9449_5_2() {
    on_each_store_with(&[("API__REQUIRE_DPOP", "true")], |world| async move {
        let answer = world.person("Ann").await.create_code().await;
        assert_eq!((answer.status, answer.error("Bearer")), (401, "invalid_token"), "{answer:?}");
        assert_eq!(codes(&world).await, 0);
        let anon = world.anon().get(CODES).await;
        assert_eq!((anon.status, anon.challenge("Bearer")), (401, ""));
        assert!(anon.challenge("DPoP").contains("algs="), "{anon:?}");
        assert_eq!(Holder::new(&world, &KEY).await.create_code().await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_browser_may_send_proofs_and_read_nonces_from_any_origin__rfc9449_9() {
    on_each_store(|world| async move {
        let app = world.anon().with_header("origin", "https://app.example");
        let preflight = app
            .with_header("access-control-request-method", "POST")
            .with_header("access-control-request-headers", "authorization,dpop,content-type,idempotency-key")
            .options(CODES)
            .await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "*"), "{preflight:?}");
        let allowed = preflight.header("access-control-allow-headers").to_lowercase();
        for name in ["authorization", "dpop", "content-type", "idempotency-key"] {
            assert!(allowed.contains(name), "{allowed}");
        }
        for method in ["GET", "POST", "DELETE"] {
            assert!(preflight.header("access-control-allow-methods").contains(method), "{preflight:?}");
        }
        assert_eq!(preflight.header("access-control-allow-credentials"), "");
        let refused = app.get(CODES).await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "*"));
        let exposed = refused.header("access-control-expose-headers").to_lowercase();
        for name in ["dpop-nonce", "www-authenticate", "location", "retry-after"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_route_wants_the_proof_and_a_bearer_is_nobody_there__rfc9449_7_1__rfc9449_7_2() {
    // Where a token is optional too: one that does not serve makes nobody anonymous.
    for anonymous in ["false", "true"] {
        on_each_store_with(&[("INVITATIONS__ANONYMOUS", anonymous)], |world| async move {
            let ann = Holder::new(&world, &KEY).await;
            let code = ann.create_code().await.text("code");
            let unproved = ann.person.with_header("authorization", &format!("DPoP {}", ann.token));
            for (route, answer) in unproved.everywhere(&code).await {
                assert_refused(&answer, "invalid_dpop_proof", route);
            }
            for (route, answer) in ann.person.with_token(&ann.token).everywhere(&code).await {
                assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{route}: {answer:?}");
                assert_eq!(
                    (answer.error("Bearer"), answer.error("DPoP")),
                    ("invalid_token", ""),
                    "{route}: {answer:?}"
                );
            }
            assert_eq!(world.count("SELECT COUNT(*) FROM referral_codes WHERE status = 'active'").await, 1);
            assert_eq!(world.count("SELECT COUNT(*) FROM outbox").await, 0);
        })
        .await;
    }
}

#[tokio::test]
async fn a_proof_says_the_url_in_any_of_its_forms__rfc9449_4_3() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let api = world.platform.config.api.public_url.as_str().to_owned();
        let shouted = api.replacen("http://localhost", "HTTP://LOCALHOST", 1);
        for url in [
            format!("{shouted}{CODES}"),
            format!("{api}{CODES}?limit=1"),
            format!("{api}{CODES}#top"),
            format!("{api}/v1/%72eferral-codes"),
        ] {
            let mut claims = ann.claims("GET", CODES);
            claims["htu"] = url.as_str().into();
            let answer = ann.with(&KEY.proof(&claims)).get(CODES).await;
            assert_eq!(answer.status, 200, "{url}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_serves_once_for_each_url_whatever_else_the_proof_says__rfc9449_11_1() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let claims = ann.claims("GET", CODES);
        assert_eq!(ann.with(&KEY.proof(&claims)).get(CODES).await.status, 200);
        let mut later = claims.clone();
        later["iat"] = (world.platform.clock.timestamp() - 1).into();
        assert_refused(&ann.with(&KEY.proof(&later)).get(CODES).await, "invalid_dpop_proof", "another time");
        let mut posted = claims.clone();
        posted["htm"] = "POST".into();
        assert_refused(&ann.with(&KEY.proof(&posted)).create_code().await, "invalid_dpop_proof", "another method");
        assert_eq!(codes(&world).await, 0);
        // An id is remembered with its URL and its key: somebody else's or elsewhere it is another.
        let path = "/v1/referrers/me/referrals";
        let mut elsewhere = ann.claims("GET", path);
        elsewhere["jti"] = claims["jti"].clone();
        assert_eq!(ann.with(&KEY.proof(&elsewhere)).get(path).await.status, 200);
        let key = Signer::new(Algorithm::ES256);
        let bob = Holder::new(&world, &key).await;
        let mut theirs = bob.claims("GET", CODES);
        theirs["jti"] = claims["jti"].clone();
        assert_eq!(bob.with(&key.proof(&theirs)).get(CODES).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_sent_back_for_a_nonce_has_used_up_nothing__rfc9449_9() {
    on_each_store(|world| async move {
        let ann = Holder::new(&world, &KEY).await;
        let mut claims = ann.claims("POST", CODES);
        let nonce = claims["nonce"].take();
        claims.as_object_mut().unwrap().remove("nonce");
        assert_refused(&ann.with(&KEY.proof(&claims)).create_code().await, "use_dpop_nonce", "no nonce");
        claims["nonce"] = nonce;
        assert_eq!(ann.with(&KEY.proof(&claims)).create_code().await.status, 201, "the same id again");
    })
    .await;
}

#[tokio::test]
async fn who_lacks_the_scope_hears_so_from_the_api_in_the_scheme_of_the_token__rfc9449_7_1__rfc6750_3_1() {
    on_each_store_with(&[("API__STEP_UP_MAX_AGE_SECONDS", "300")], |world| async move {
        let mut ann = Holder::new(&world, &KEY).await;
        let mut claims = world.claims(&ann.person.id().to_string(), "referral-codes:read");
        claims["cnf"] = json!({ "jkt": KEY.public_key().thumbprint() });
        ann.token = world.token(&claims);
        let answer = ann.create_code().await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "insufficient-scope"), "{answer:?}");
        assert_eq!((answer.error("DPoP"), answer.error("Bearer")), ("insufficient_scope", ""), "{answer:?}");
        // So does one whose details allow less (RFC 9396), and one whose sign-in is too long ago (RFC 9470).
        claims["scope"] = EVERYTHING.into();
        claims["authorization_details"] = json!([{ "type": "referral_code", "actions": ["read"] }]);
        ann.token = world.token(&claims);
        let answer = ann.create_code().await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "insufficient-authorization-details"));
        assert_eq!((answer.error("DPoP"), answer.error("Bearer")), ("insufficient_scope", ""), "{answer:?}");
        claims["authorization_details"] = json!([]);
        ann.token = world.token(&claims);
        let answer = ann.create_code().await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "insufficient-user-authentication"));
        assert_eq!((answer.error("DPoP"), answer.error("Bearer")), ("insufficient_user_authentication", ""));
        assert!(answer.challenge("DPoP").contains("max_age=\"300\""), "{answer:?}");
        assert_eq!(codes(&world).await, 0);
    })
    .await;
}
