//! An app on the `openidconnect` crate, and the finer points of the code flow: silent requests, fresh sign-ins, PKCE
//! that was left out, loopback ports, narrowed refreshes.

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IntrospectionUrl,
    IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope, TokenIntrospectionResponse,
    TokenResponse,
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

async fn an_app_built_on_a_client_library_signs_a_person_in__oidc_core_3_1(world: World) {
    let ann = world.person("ann").await;
    let app = world.app().await;
    let http = |request| send(world.http().clone(), request);
    let issuer = IssuerUrl::new(world.auth_url.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.expect("discovery works");
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new(app.client_id.clone()),
        Some(ClientSecret::new(app.secret.clone().unwrap())),
    )
    .set_redirect_uri(RedirectUrl::new(app.redirect_uri.clone()).unwrap())
    .set_introspection_url(IntrospectionUrl::new(format!("{}/oauth/introspect", world.auth_url)).unwrap());

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let mut visitor = world.visitor();
    let page = visitor.open(&url).await.page();
    assert!(page.says("Wonder App"), "the sign-in page names the app:\n{}", page.body);
    let page = visitor.submit(&page, &[("email", &ann.email), ("password", PASSWORD)]).await.page();
    assert!(page.says("Wonder App") && page.says("ann@example.com"), "the consent page names both:\n{}", page.body);
    let back = callback(visitor.submit(&page, &[("decision", "allow")]).await);
    assert_eq!(parameter(&back, "state").as_ref(), Some(state.secret()));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(world.auth_url.as_str()), "RFC 9207 §2");

    let code = AuthorizationCode::new(parameter(&back, "code").expect("a code"));
    let exchange = client.exchange_code(code).unwrap().set_pkce_verifier(verifier);
    let tokens = exchange.request_async(&http).await.expect("a token response");
    let id_token = tokens.id_token().expect("an ID token");
    let check = client.id_token_verifier();
    let claims = id_token.claims(&check, &nonce).expect("the ID token is in order");
    assert_eq!(claims.subject().as_str(), ann.id);
    assert!(claims.auth_time().is_some(), "OpenID Connect Core §2");
    let key = id_token.signing_key(&check).unwrap();
    let hash = AccessTokenHash::from_token(tokens.access_token(), id_token.signing_alg().unwrap(), key);
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()), "at_hash");
    assert!(id_token.claims(&check, &Nonce::new_random()).is_err(), "another sign-in's nonce");

    let info = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone())).unwrap();
    let info: CoreUserInfoClaims = info.request_async(&http).await.expect("userinfo");
    assert_eq!(info.email().map(|email| email.as_str()), Some("ann@example.com"));
    assert_eq!(info.email_verified(), Some(false));
    assert_eq!(info.given_name().and_then(|n| n.get(None)).map(|n| n.as_str()), Some("Ann"));

    let refreshed = client.exchange_refresh_token(tokens.refresh_token().unwrap()).unwrap();
    let refreshed = refreshed.request_async(&http).await.expect("refreshed tokens");
    let known = client.introspect(refreshed.access_token()).request_async(&http).await.expect("introspection");
    assert!(known.active());
    assert_eq!(known.sub(), Some(ann.id.as_str()));

    // The crate revokes over https only.
    app.revoke(refreshed.refresh_token().unwrap().secret()).await.is(200);
    // The grant's access tokens end with it (RFC 7009 §2.1).
    crate::races::is_soon_inactive(&app, refreshed.access_token().secret()).await;
}
on_both_stores!(an_app_built_on_a_client_library_signs_a_person_in__oidc_core_3_1);

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

async fn a_sign_in_that_is_too_old_is_asked_for_again__oidc_core_3_1_2_1(world: World) {
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
on_both_stores!(a_sign_in_that_is_too_old_is_asked_for_again__oidc_core_3_1_2_1);

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
