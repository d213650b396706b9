//! §2.1, JWT bearer authorization grants; §3.1, their errors.

use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::ids::UserId;
use shared::jose::testing::Signer;

use super::{TYPE, remembered};
use crate::harness::{ALLOWED, Answer, App, Server, Site, each_server};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A service of ours, its key, and a person it knows.
struct Service {
    server: Server,
    app: App,
    signer: Signer,
    ann: UserId,
}

impl Service {
    async fn new(server: &Server, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let signer = Signer::new(Algorithm::ES256);
        let ann = server.person("ann@example.com").await;
        let app = server
            .own_app(|metadata| {
                metadata.grant_types = vec![GRANT.into()];
                metadata.scopes =
                    ["openid", "offline_access", "account:read", "account:write"].map(str::to_owned).into();
                metadata.jwks = Some(json!({ "keys": [signer.jwk()] }));
                change(metadata);
            })
            .await;
        Self { server: server.clone(), app, signer, ann }
    }

    fn claims(&self) -> Value {
        let state = &self.server.state;
        let now = state.platform.clock.timestamp();
        json!({
            "iss": self.app.client_id,
            "sub": self.ann,
            "aud": state.issuer(),
            "iat": now,
            "exp": now + 60,
            "jti": state.platform.random.uuid_v4(),
        })
    }

    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[name] = value;
        self.signed(&claims)
    }

    fn without(&self, name: &str) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(name);
        self.signed(&claims)
    }

    fn signed(&self, claims: &Value) -> String {
        self.signer.sign(&self.signer.header("JWT"), claims)
    }

    async fn ask(&self, assertion: &str) -> Answer {
        self.app.token(&[("grant_type", GRANT), ("assertion", assertion)]).await
    }
}

fn payload(token: &Value) -> Value {
    use base64::Engine;
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_service_acts_for_a_person_with_its_own_assertion__rfc7523_2_1() {
    each_server(&[], |server| async move {
        let service = Service::new(&server, |_| {}).await;
        let answer = service.ask(&service.signed(&service.claims())).await;
        let tokens = answer.json(200);
        answer.is_not_cached();
        // No refresh token (RFC 7521 §4.1), no ID token, no sign-in that never was.
        assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none(), "{tokens}");
        assert_eq!(tokens["scope"], "openid account:read account:write");
        let claims = payload(&tokens["access_token"]);
        assert_eq!((&claims["sub"], &claims["acr"]), (&json!(service.ann), &json!("0")));
        assert!(claims.get("auth_time").is_none() && claims.get("sid").is_none(), "{claims}");
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let me = axum::http::Request::get("/api/v1/me").header("authorization", &bearer);
        assert_eq!(server.send(me, "").await.json(200)["email"], "ann@example.com");
        // What wants a fresh sign-in stays closed.
        let delete = axum::http::Request::delete("/api/v1/me").header("authorization", &bearer);
        let refused = server.send(delete, "").await;
        assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"), "{refused:?}");
        // Fewer scopes on request.
        let assertion = service.signed(&service.claims());
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str()), ("scope", "account:read")];
        assert_eq!(service.app.token(&form).await.json(200)["scope"], "account:read");
    })
    .await;
}

#[tokio::test]
async fn an_assertion_that_does_not_hold_is_an_invalid_grant__rfc7523_3_1__rfc7521_4_1_1() {
    each_server(&[], |server| async move {
        let service = Service::new(&server, |_| {}).await;
        let now = server.state.platform.clock.timestamp();
        let stranger = Signer::new(Algorithm::ES256);
        let nobody = server.state.platform.random.uuid_v4();
        let mut cases = vec![
            ("not a JWT", "nonsense".to_owned()),
            ("another key", stranger.sign(&stranger.header("JWT"), &service.claims())),
            ("a key it brings", {
                let mut header = stranger.header("JWT");
                header["jwk"] = stranger.jwk();
                stranger.sign(&header, &service.claims())
            }),
            ("alg none", service.signer.sign(&json!({ "alg": "none" }), &service.claims())),
            ("a MAC of the secret", {
                let secret = Signer::hmac(service.app.secret.as_deref().unwrap().as_bytes());
                secret.sign(&secret.header("JWT"), &service.claims())
            }),
            (
                "an assertion about the client",
                service.signer.sign(&service.signer.header("client-authentication+jwt"), &service.claims()),
            ),
            ("an access token's type", service.signer.sign(&service.signer.header("at+jwt"), &service.claims())),
            ("another issuer", service.with("iss", json!("https://idp.example"))),
            ("nobody", service.with("sub", json!(nobody))),
            ("an email address", service.with("sub", json!("ann@example.com"))),
            ("the client itself", service.with("sub", json!(service.app.client_id))),
            ("an upper case id", service.with("sub", json!(service.ann.to_string().to_uppercase()))),
            ("an empty sub", service.with("sub", json!(""))),
            ("sub as a number", service.with("sub", json!(1))),
            ("another audience", service.with("aud", json!("https://another.example"))),
            ("one audience too many", service.with("aud", json!([server.state.issuer(), "https://another.example"]))),
            ("past", service.with("exp", json!(now - 60))),
            ("far", service.with("exp", json!(now + 4000))),
            ("not yet", service.with("nbf", json!(now + 50))),
            ("from the future", service.with("iat", json!(now + 50))),
            ("an empty jti", service.with("jti", json!(""))),
            ("deep", service.with("x", (0..40).fold(json!(1), |inner, _| json!([inner])))),
            ("large", service.with("x", json!("x".repeat(9000)))),
        ];
        cases.extend(["iss", "sub", "aud", "exp", "jti"].map(|name| (name, service.without(name))));
        // Each of two readers may take another one of the two.
        let (header, claims) = (service.signer.header("JWT").to_string(), service.claims().to_string());
        let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
        cases.extend([
            ("sub twice", service.signer.sign_text(&header, &twice(&claims, &format!("\"sub\":\"{nobody}\"")))),
            ("a member of a member twice", {
                let claims = twice(&claims, r#""x":{"y":1,"y":2}"#);
                service.signer.sign_text(&header, &claims)
            }),
            ("alg twice", service.signer.sign_text(&twice(&header, r#""alg":"none""#), &claims)),
        ]);
        let (before, remembered_before) = (server.rows().await, remembered(&server).await);
        let mut bodies = vec![];
        for (case, assertion) in cases {
            let answer = service.ask(&assertion).await;
            assert_eq!(answer.json(400)["error"], "invalid_grant", "{case}");
            bodies.push(answer.is_error(400, "invalid_grant").body.clone());
        }
        assert!(bodies.windows(2).all(|two| two[0] == two[1]), "the reason is not told: {bodies:?}");
        service.app.token(&[("grant_type", GRANT)]).await.is_error(400, "invalid_request");
        let good = service.signed(&service.claims());
        let form = [("grant_type", GRANT), ("assertion", good.as_str()), ("scope", "openid referral-codes:read")];
        service.app.token(&form).await.is_error(400, "invalid_scope");
        let form = [("grant_type", GRANT), ("assertion", good.as_str()), ("resource", "https://another.example")];
        service.app.token(&form).await.is_error(400, "invalid_target");
        assert_eq!(server.rows().await, before);
        // What the service signed was seen on the wire, and serves no second time: that one, and the four about somebody
        // it does not know. What does not verify costs nothing.
        assert_eq!(remembered(&server).await - remembered_before, 5);
        service.ask(&good).await.is_error(400, "invalid_grant");
        service.ask(&service.signed(&service.claims())).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn an_assertion_serves_once_also_when_it_comes_many_times_at_once__rfc7523_3() {
    each_server(&[], |server| async move {
        let service = Service::new(&server, |_| {}).await;
        let assertion = service.signed(&service.claims());
        let answers = futures::future::join_all((0..8).map(|_| service.ask(&assertion))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let before = server.rows().await;
        service.ask(&assertion).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_assertion_goes_with_a_grant_assertion_and_neither_is_the_other__rfc7523_2() {
    each_server(&[], |server| async move {
        let service = Service::new(&server, |m| m.token_endpoint_auth_method = "private_key_jwt".into()).await;
        let (grant, mut about) = (service.signed(&service.claims()), service.claims());
        about["sub"] = json!(service.app.client_id);
        let client = service.signed(&about);
        let form = |grant: &str, client: &str| {
            [("grant_type", GRANT), ("assertion", grant), ("client_assertion_type", TYPE), ("client_assertion", client)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let ask = async |grant: &str, client: &str| {
            let form = form(grant, client);
            let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            server.post("/oauth/token", &form).await
        };
        let before = server.rows().await;
        ask(&grant, &grant).await.is_error(401, "invalid_client");
        ask(&client, &client).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        about["jti"] = json!("another");
        ask(&grant, &service.signed(&about)).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_pairwise_service_names_people_as_it_knows_them__oidc_core_8_1() {
    each_server(&[], |server| async move {
        let service = Service::new(&server, |metadata| {
            metadata.subject_type = clients::SubjectType::Pairwise;
            metadata.grant_types.push("authorization_code".into());
        })
        .await;
        let tokens = service.app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid")]).await;
        let sub = payload(&tokens["access_token"])["sub"].clone();
        assert_ne!(sub, json!(service.ann));
        let before = server.rows().await;
        service.ask(&service.with("sub", json!(service.ann))).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        let tokens = service.ask(&service.with("sub", sub.clone())).await.json(200);
        assert_eq!(payload(&tokens["access_token"])["sub"], sub);
    })
    .await;
}

#[tokio::test]
async fn only_our_own_confidential_clients_with_keys_may_have_the_grant__rfc7523_2_1() {
    each_server(&[], |server| async move {
        let signer = Signer::new(Algorithm::ES256);
        let jwks = Some(json!({ "keys": [signer.jwk()] }));
        let create = async |first_party: bool, method: &str, jwks: Option<Value>| {
            let metadata = ClientMetadata {
                grant_types: vec![GRANT.into()],
                token_endpoint_auth_method: method.into(),
                jwks,
                ..ClientMetadata::default()
            };
            let new =
                NewClient { client_id: None, name: "Service".into(), first_party, origin: Origin::Operator, metadata };
            clients::create(&server.state.platform, new).await.map(|_| ()).map_err(|error| error.to_string())
        };
        let before = server.rows().await;
        for (refused, expected) in [
            (create(false, "client_secret_basic", jwks.clone()).await, "first-party"),
            (create(true, "none", jwks.clone()).await, "public"),
            (create(true, "client_secret_basic", None).await, "needs jwks"),
        ] {
            assert!(refused.unwrap_err().contains(expected));
        }
        assert_eq!(server.rows().await, before);
        // One that has not registered it.
        let app = server.own_app(|_| {}).await;
        app.token(&[("grant_type", GRANT), ("assertion", "x")]).await.is_error(400, "unauthorized_client");
        let document = server.get("/.well-known/oauth-authorization-server").await.json(200);
        assert!(document["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));
    })
    .await;
}

#[tokio::test]
async fn an_assertion_waits_for_keys_that_can_t_be_fetched_just_now__rfc7523_3_1() {
    let site = &Site::start().await;
    each_server(&[ALLOWED], |server| async move {
        let service = Service::new(&server, |metadata| {
            metadata.jwks = None;
            metadata.jwks_uri = Some(format!("{}/jwks", site.url));
        })
        .await;
        let before = (server.rows().await, remembered(&server).await);
        let later = service.ask(&service.signed(&service.claims())).await;
        later.is_error(503, "temporarily_unavailable");
        assert_eq!(later.header("retry-after"), "5");
        assert_eq!((server.rows().await, remembered(&server).await), before);
    })
    .await;
}
