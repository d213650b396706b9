//! An app on the `openidconnect` crate, and the finer points of the code flow: silent requests, fresh sign-ins, PKCE
//! that was left out, loopback ports, narrowed refreshes.

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreSubjectIdentifierType,
    CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, ErrorResponseType, HttpRequest,
    HttpResponse, IntrospectionUrl, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    ProviderMetadata, RedirectUrl, RequestTokenError, RevocationUrl, Scope, StandardErrorResponse,
    TokenIntrospectionResponse, TokenResponse,
};
use url::Url;

use crate::app::{App, Authorization, callback};
use crate::visitor::Stop;
use crate::world::{PASSWORD, World, app_client};

/// How the `openidconnect` crate sends its requests.
pub async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let mut response = http.execute(request.try_into()?).await?;
    let mut answer = HttpResponse::default();
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    *answer.body_mut() = response.bytes().await?.into();
    Ok(answer)
}

pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// Holds a redirect to the app to an error, with the request's `state` and our `iss`.
#[track_caller]
fn says(world: &World, redirect: &Url, app: &App, authorization: &Authorization, error: &str) {
    assert!(redirect.as_str().starts_with(&app.redirect_uri), "{redirect}");
    assert_eq!(parameter(redirect, "error").as_deref(), Some(error), "{redirect}");
    assert_eq!(parameter(redirect, "state").as_deref(), Some(authorization.state.as_str()), "{redirect}");
    assert_eq!(parameter(redirect, "iss").as_deref(), Some(world.auth_url.as_str()), "{redirect}");
    assert_eq!(parameter(redirect, "code"), None, "{redirect}");
}

/// The crate's client for `app`, as discovery has it.
pub async fn client(world: &World, app: &App) -> LibraryClient {
    let http = |request| send(world.http().clone(), request);
    let issuer = IssuerUrl::new(world.auth_url.clone()).unwrap();
    let metadata = Metadata::discover_async(issuer, &http).await.expect("discovery works");
    let more: &More = metadata.additional_metadata();
    let (introspection, revocation) = (more.introspection_endpoint.clone(), more.revocation_endpoint.clone());
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new(app.client_id.clone()),
        app.secret.clone().map(ClientSecret::new),
    );
    let redirect_uri = if app.redirect_uri.is_empty() { "http://127.0.0.1/none" } else { &app.redirect_uri };
    client
        .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).unwrap())
        .set_introspection_url(introspection)
        .set_revocation_url(revocation)
}

/// What the crate leaves to its users of the metadata (RFC 8414 §2).
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
struct More {
    introspection_endpoint: IntrospectionUrl,
    revocation_endpoint: RevocationUrl,
}
impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
pub type LibraryClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What an app keeps of a sign-in it began.
pub struct Begun {
    pub url: Url,
    pub state: CsrfToken,
    pub nonce: Nonce,
    pub verifier: PkceCodeVerifier,
}

pub fn begin(client: &LibraryClient) -> Begun {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    Begun { url, state, nonce, verifier }
}

/// The code that comes back to the app, whose state it must be.
pub fn code(world: &World, back: &Url, begun: &Begun) -> AuthorizationCode {
    assert_eq!(parameter(back, "state").as_ref(), Some(begun.state.secret()));
    assert_eq!(parameter(back, "iss").as_deref(), Some(world.auth_url.as_str()), "RFC 9207 §2");
    AuthorizationCode::new(parameter(back, "code").expect("a code"))
}

pub async fn redeem(
    world: &World,
    client: &LibraryClient,
    code: AuthorizationCode,
    verifier: PkceCodeVerifier,
) -> Result<CoreTokenResponse, RequestTokenError<reqwest::Error, StandardErrorResponse<CoreErrorResponseType>>> {
    let exchange = client.exchange_code(code).expect("there is a token endpoint").set_pkce_verifier(verifier);
    exchange.request_async(&|request| send(world.http().clone(), request)).await
}

/// Holds an error of the crate to the specification's code.
#[track_caller]
fn refused<T, R, E>(answer: Result<T, RequestTokenError<R, StandardErrorResponse<E>>>, code: &str)
where
    R: std::error::Error + 'static,
    E: ErrorResponseType + std::fmt::Display + 'static,
{
    match answer {
        Ok(_) => panic!("it was granted; {code} was expected"),
        Err(RequestTokenError::ServerResponse(error)) => {
            assert_eq!(serde_json::to_value(error.error()).unwrap(), code, "{error:?}");
        }
        Err(other) => panic!("{code} was expected, not {other:?}"),
    }
}

async fn an_app_built_on_a_client_library_signs_a_person_in__oidc_core_3_1(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let http = |request| send(world.http().clone(), request);
    let client = client(&world, &app).await;

    let begun = begin(&client);
    let mut visitor = world.visitor();
    let page = visitor.open(&begun.url).await.page();
    assert!(page.says("Wonder App"), "the sign-in page names the app:\n{}", page.body);
    let page = visitor.submit(&page, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    assert!(page.says("Wonder App") && page.says("ann@example.com"), "the consent page names both:\n{}", page.body);
    let back = callback(visitor.submit(&page, &[("decision", "allow")]).await);

    let code = code(&world, &back, &begun);
    let tokens = redeem(&world, &client, code, begun.verifier).await.expect("a token response");
    let id_token = tokens.id_token().expect("an ID token");
    let check = client.id_token_verifier();
    let claims = id_token.claims(&check, &begun.nonce).expect("the ID token is in order");
    assert_eq!(claims.subject().as_str(), ann.id);
    assert!(claims.auth_time().is_some(), "OpenID Connect Core §2");
    let key = id_token.signing_key(&check).unwrap();
    let hash = AccessTokenHash::from_token(tokens.access_token(), id_token.signing_alg().unwrap(), key);
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()), "at_hash");
    let wrong = id_token.claims(&check, &Nonce::new_random());
    assert!(matches!(wrong, Err(ClaimsVerificationError::InvalidNonce(_))), "another sign-in's nonce: {wrong:?}");

    let info = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone())).unwrap();
    let info: CoreUserInfoClaims = info.request_async(&http).await.expect("userinfo");
    assert_eq!(info.email().map(|email| email.as_str()), Some("ann@example.com"));
    assert_eq!(info.email_verified(), Some(false));
    assert_eq!(info.given_name().and_then(|n| n.get(None)).map(|n| n.as_str()), Some("Ann"));

    let refreshed = client.exchange_refresh_token(tokens.refresh_token().unwrap()).unwrap();
    let refreshed = refreshed.request_async(&http).await.expect("refreshed tokens");
    let again = refreshed.id_token().expect("an ID token again").claims(&check, |_: Option<&Nonce>| Ok(())).unwrap();
    assert_eq!(again.subject().as_str(), ann.id, "OpenID Connect Core §12.2");
    let known = client.introspect(refreshed.access_token()).request_async(&http).await.expect("introspection");
    assert!(known.active());
    assert_eq!(known.sub(), Some(ann.id.as_str()));

    let last = CoreRevocableToken::from(refreshed.refresh_token().unwrap());
    client.revoke_token(last).unwrap().request_async(&http).await.expect("revocation");
    // The grant's access tokens end with it (RFC 7009 §2.1).
    crate::races::is_soon_inactive(&app, refreshed.access_token().secret()).await;
    let ended = client.exchange_refresh_token(refreshed.refresh_token().unwrap()).unwrap();
    refused(ended.request_async(&http).await, "invalid_grant");
    let unknown = CoreRevocableToken::from(AccessToken::new("nonsense".to_owned()));
    client.revoke_token(unknown).unwrap().request_async(&http).await.expect("RFC 7009 §2.2: no error");
}
on_both_stores_by_https!(an_app_built_on_a_client_library_signs_a_person_in__oidc_core_3_1);

async fn what_goes_wrong_reaches_the_app_as_the_specification_names_it__rfc6749_5_2(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let http = |request| send(world.http().clone(), request);
    let right = client(&world, &app).await;
    let mut visitor = world.visitor();
    let mut authorized = async |client: &LibraryClient| {
        let begun = begin(client);
        let back = visitor.authorizes(&ann.email, &begun.url).await;
        (code(&world, &back, &begun), begun.verifier)
    };

    // Twice.
    let (code, verifier) = authorized(&right).await;
    let same = PkceCodeVerifier::new(verifier.secret().clone());
    let tokens = redeem(&world, &right, code.clone(), verifier).await.unwrap();
    refused(redeem(&world, &right, code, same).await, "invalid_grant");
    crate::races::is_soon_inactive(&app, tokens.access_token().secret()).await;
    // With another verifier, redirect URI, or client.
    let (code, _) = authorized(&right).await;
    let (_, other) = PkceCodeChallenge::new_random_sha256();
    refused(redeem(&world, &right, code, other).await, "invalid_grant");
    let elsewhere = App { redirect_uri: "http://127.0.0.1:1/elsewhere".to_owned(), ..app.clone() };
    for wrong in [elsewhere, world.app().await] {
        let wrong = client(&world, &wrong).await;
        let (code, verifier) = authorized(&right).await;
        refused(redeem(&world, &wrong, code, verifier).await, "invalid_grant");
    }
    // With a wrong secret, in the header and in the body.
    let impostor = App { secret: Some("wrong".to_owned()), ..app.clone() };
    for method in [AuthType::BasicAuth, AuthType::RequestBody] {
        let impostor = client(&world, &impostor).await.set_auth_type(method);
        let (code, verifier) = authorized(&right).await;
        refused(redeem(&world, &impostor, code, verifier).await, "invalid_client");
    }

    // A service, and what it may not have.
    let (service, _) = world.service("openid").await;
    let service = client(&world, &service).await;
    let asks = |scope: &str| service.exchange_client_credentials().unwrap().add_scope(Scope::new(scope.to_owned()));
    let token = asks("referral-codes:read").request_async(&http).await.expect("a token");
    assert!(token.refresh_token().is_none() && token.id_token().is_none(), "RFC 6749 §4.4.3");
    refused(asks("account:write").request_async(&http).await, "invalid_scope");
    let astray = asks("openid").add_extra_param("resource", "https://elsewhere.example");
    refused(astray.request_async(&http).await, "invalid_target");
    refused(right.exchange_client_credentials().unwrap().request_async(&http).await, "unauthorized_client");

    // Too late.
    let (code, verifier) = authorized(&right).await;
    world.pass(std::time::Duration::from_secs(61));
    refused(redeem(&world, &right, code, verifier).await, "invalid_grant");
    world.pass(std::time::Duration::from_secs(600));
    let known = service.introspect(token.access_token()).request_async(&http).await.expect("introspection");
    assert!(!known.active());
}
on_both_stores_by_https!(what_goes_wrong_reaches_the_app_as_the_specification_names_it__rfc6749_5_2);

async fn other_keys_sign_and_the_app_takes_them__oidc_core_10_1_1(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    let mut signs_in = async |client: &LibraryClient| {
        let begun = begin(client);
        let back = visitor.authorizes(&ann.email, &begun.url).await;
        let tokens = redeem(&world, client, code(&world, &back, &begun), begun.verifier).await.expect("tokens");
        (tokens.id_token().expect("an ID token").clone(), begun.nonce)
    };
    let before = client(&world, &app).await;
    let (id_token, nonce) = signs_in(&before).await;
    id_token.claims(&before.id_token_verifier(), &nonce).expect("the ID token is in order");

    world.rotates_its_keys().await;
    // The crate has the keys that discovery found, and says that it knows no such one.
    let (id_token, nonce) = signs_in(&before).await;
    let unknown = id_token.claims(&before.id_token_verifier(), &nonce);
    let unknown = unknown.expect_err("another key");
    assert!(matches!(unknown, ClaimsVerificationError::SignatureVerification(_)), "{unknown:?}");
    let after = client(&world, &app).await;
    let claims = id_token.claims(&after.id_token_verifier(), &nonce).expect("the ID token is in order");
    assert_eq!(claims.subject().as_str(), ann.id);
}
on_both_stores_by_https!(other_keys_sign_and_the_app_takes_them__oidc_core_10_1_1);

async fn a_refresh_may_narrow_the_scope_and_never_widen_it__rfc6749_6(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let tokens = app.signs_in(&mut world.visitor(), &ann.email, "openid email offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = |scope| [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
    app.token(&form("openid profile")).await.is_oauth_error(400, "invalid_scope");
    let narrowed = app.token(&form("openid")).await.is(200);
    assert_eq!(narrowed["scope"], "openid");
    // What was granted stays granted.
    let again = app.refresh(narrowed["refresh_token"].as_str().unwrap()).await.is(200);
    let mut scope: Vec<_> = again["scope"].as_str().unwrap().split(' ').collect();
    scope.sort_unstable();
    assert_eq!(scope, ["email", "offline_access", "openid"]);
}
on_both_stores!(a_refresh_may_narrow_the_scope_and_never_widen_it__rfc6749_6);

async fn an_app_that_asks_nobody_learns_what_is_missing__oidc_core_3_1_2_6(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let silent = || app.authorization("openid").with("prompt", Some("none"));
    let mut visitor = world.visitor();
    let authorization = silent();
    says(&world, &callback(visitor.open(&authorization.url).await), &app, &authorization, "login_required");

    let login = visitor.open(&app.authorization("openid").url).await.page();
    let consent = visitor.submit(&login, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    let authorization = silent();
    says(&world, &callback(visitor.open(&authorization.url).await), &app, &authorization, "consent_required");

    callback(visitor.submit(&consent, &[("decision", "allow")]).await);
    let back = callback(visitor.open(&silent().url).await);
    assert!(parameter(&back, "code").is_some(), "{back}");
    let both = app.authorization("openid").with("prompt", Some("none login"));
    says(&world, &callback(visitor.open(&both.url).await), &app, &both, "invalid_request");
}
on_both_stores!(an_app_that_asks_nobody_learns_what_is_missing__oidc_core_3_1_2_6);

async fn an_app_that_names_max_age_learns_of_a_fresh_sign_in__oidc_core_3_1_2_1(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let mut visitor = world.visitor();
    app.signs_in(&mut visitor, &ann.email, "openid").await;
    world.pass(std::time::Duration::from_secs(120));
    for (name, value, asked) in [("max_age", "3600", false), ("max_age", "60", true), ("prompt", "login", true)] {
        match visitor.open(&app.authorization("openid").with(name, Some(value)).url).await {
            Stop::Away(url) => assert!(!asked && parameter(&url, "code").is_some(), "{name} {url}"),
            Stop::Page(page) => assert!(asked && page.has_field("password"), "{name}={value}"),
        }
    }
}
on_both_stores!(an_app_that_names_max_age_learns_of_a_fresh_sign_in__oidc_core_3_1_2_1);

async fn a_verifier_for_a_request_without_a_challenge_is_refused__rfc9700_4_8(world: World) {
    let ann = world.person("ann").await;
    let mut client = app_client("Elderly App", &["authorization_code"], "http://127.0.0.1:1/callback");
    client.metadata.require_pkce = false;
    let app = world.register(client).await;
    let without = || app.authorization("openid").with("code_challenge", None).with("code_challenge_method", None);
    let mut visitor = world.visitor();
    let authorization = without();
    let code = app.code(&mut visitor, &ann.email, &authorization).await;
    app.exchange(&code, &authorization.verifier).await.is_oauth_error(400, "invalid_grant");

    let code = app.code(&mut visitor, &ann.email, &without()).await;
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &app.redirect_uri)];
    let tokens = app.token(&form).await.is(200);
    assert!(tokens["refresh_token"].is_null(), "this client has not registered that grant: {tokens}");
    // A challenge that was sent is enforced, though this client need not send one.
    let authorization = app.authorization("openid");
    let code = app.code(&mut visitor, &ann.email, &authorization).await;
    app.exchange(&code, &without().verifier).await.is_oauth_error(400, "invalid_grant");
    app.exchange(&code, &authorization.verifier).await.is(200);
}
on_both_stores!(a_verifier_for_a_request_without_a_challenge_is_refused__rfc9700_4_8);

async fn a_public_client_may_listen_on_any_loopback_port__rfc8252_7_3(world: World) {
    let ann = world.person("ann").await;
    let mut client = app_client("Desk App", &["authorization_code", "refresh_token"], "http://127.0.0.1/callback");
    client.metadata.token_endpoint_auth_method = "none".into();
    // Public clients use PKCE whatever they registered (RFC 9700 §2.1.1).
    client.metadata.require_pkce = false;
    let registered = world.register(client).await;
    let app = App { redirect_uri: "http://127.0.0.1:49152/callback".into(), ..registered.clone() };
    let mut visitor = world.visitor();
    let tokens = app.signs_in(&mut visitor, &ann.email, "openid offline_access").await;
    app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is(200);

    // Another program may listen there: consent is asked each time (RFC 8252 §8.6).
    assert!(visitor.open(&app.authorization("openid").url).await.page().has_field("decision"));
    let authorization = app.authorization("openid");
    let code = app.code(&mut visitor, &ann.email, &authorization).await;
    // The port of the request is the code's, too.
    registered.exchange(&code, &authorization.verifier).await.is_oauth_error(400, "invalid_grant");
    for uri in ["http://127.0.0.1:49152/other", "http://localhost:49152/callback", "https://127.0.0.1:49152/callback"] {
        let page = visitor.open(&app.authorization("openid").with("redirect_uri", Some(uri)).url).await.page();
        assert_eq!(page.status, 400, "{uri}");
    }
    let bare = app.authorization("openid").with("code_challenge", None).with("code_challenge_method", None);
    says(&world, &callback(visitor.open(&bare.url).await), &app, &bare, "invalid_request");
}
on_both_stores!(a_public_client_may_listen_on_any_loopback_port__rfc8252_7_3);
