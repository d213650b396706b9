//! An app on the `openidconnect` crate that registers itself (OpenID Connect Dynamic Client Registration 1.0, RFC 7591).

use auth_server::clients::initial_access_tokens;
use chrono::TimeDelta;
use openidconnect::core::{
    CoreApplicationType, CoreClientAuthMethod, CoreClientRegistrationRequest, CoreClientRegistrationResponse,
    CoreGrantType, CoreRegisterErrorResponseType,
};
use openidconnect::registration::ClientRegistrationError;
use openidconnect::{AccessToken, ClientName, LocalizedClaim, RedirectUrl, RegistrationUrl, TokenResponse};
use reqwest::StatusCode;

use crate::app::App;
use crate::app_library::{begin, client, code, redeem, send};
use crate::world::World;

type Refusal = ClientRegistrationError<CoreRegisterErrorResponseType, reqwest::Error>;

/// Registers an app with this redirect URI, by this token.
async fn registers(world: &World, redirect_uri: &str, token: &str) -> Result<CoreClientRegistrationResponse, Refusal> {
    let request = CoreClientRegistrationRequest::new(
        vec![RedirectUrl::new(redirect_uri.to_owned()).expect("a URL")],
        Default::default(),
    )
    .set_initial_access_token(Some(AccessToken::new(token.to_owned())))
    .set_application_type(Some(CoreApplicationType::Web))
    .set_client_name(Some(LocalizedClaim::from(ClientName::new("Rusty App".to_owned()))))
    .set_grant_types(Some(vec![CoreGrantType::AuthorizationCode, CoreGrantType::RefreshToken]))
    .set_token_endpoint_auth_method(Some(CoreClientAuthMethod::ClientSecretBasic));
    let endpoint = RegistrationUrl::new(format!("{}/oauth/register", world.auth_url)).expect("a URL");
    request.register_async(&endpoint, &|request| send(world.http().clone(), request)).await
}

async fn an_app_on_the_openidconnect_crate_registers_itself__oidcr_3_1(world: World) {
    let ann = world.person("ann").await;
    let token = initial_access_tokens::create(&world.platform, "one app", Some(1), TimeDelta::days(1)).await;
    let (token, _) = token.expect("the database answers").expect("the name is new");
    let token = token.reveal();
    let good = "https://app.example/callback";

    let Err(ClientRegistrationError::Response(status, ..)) = registers(&world, good, "nonsense").await else {
        panic!("by a token that nobody gave")
    };
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let refused = registers(&world, "https://app.example/callback#top", token).await;
    let Err(ClientRegistrationError::ServerResponse(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.error(), &CoreRegisterErrorResponseType::InvalidRedirectUri, "OpenID Connect Registration §3.3");

    let registered = registers(&world, good, token).await.expect("it is registered");
    assert!(registered.registration_access_token().is_some() && registered.registration_client_uri().is_some());
    let app = App {
        client_id: registered.client_id().to_string(),
        secret: registered.client_secret().map(|secret| secret.secret().clone()),
        redirect_uri: good.to_owned(),
        ..world.cli.clone()
    };
    assert!(app.secret.is_some(), "{registered:?}");
    let Err(ClientRegistrationError::Response(status, ..)) = registers(&world, good, token).await else {
        panic!("the token served twice")
    };
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let library = client(&world, &app).await;
    let begun = begin(&library);
    let back = world.visitor().authorizes(&ann.email, &begun.url).await;
    let tokens = redeem(&world, &library, code(&world, &back, &begun), begun.verifier).await.expect("tokens");
    let claims = tokens.id_token().expect("an ID token").claims(&library.id_token_verifier(), &begun.nonce);
    assert_eq!(claims.expect("the ID token is in order").subject().as_str(), ann.id);
}
on_both_stores_by_https!(an_app_on_the_openidconnect_crate_registers_itself__oidcr_3_1);
