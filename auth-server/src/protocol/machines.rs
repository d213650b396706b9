//! oxide-auth's state machines, driven over our asynchronous stores.
//!
//! `Input` borrows the request and must not live across an `.await`, so each machine is wrapped in a synchronous `step`
//! that gives an owned enum. The machines' own errors name the wrong RFC codes in places (`invalid_request` for a
//! replayed code); what they mean is told by where they stop, and mapped here.

use std::borrow::Cow;

use oxide_auth::code_grant::{accesstoken as at, authorization as az, client_credentials as cc, refresh as rf};
use oxide_auth::primitives::grant::{Extensions, Grant};
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken};
use oxide_auth::primitives::registrar::{BoundClient, ClientUrl, ExactUrl, PreGrant};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::{Authorizer, Issuer, Registrar};

/// What an authorization request asks for, once the machine has passed it.
pub struct Validated {
    pub pre_grant: PreGrant,
    pub state: Option<String>,
    pub extensions: Extensions,
}

/// Where an authorization request failed.
#[derive(Debug)]
pub enum AuthorizationFailure<E> {
    /// Client or redirect URI: the browser must not be sent anywhere (RFC 6749 §4.1.2.1).
    Binding,
    ResponseType,
    Scope,
    /// What the extension said.
    Extension(E),
    /// A machine was driven in the wrong order: our fault.
    Broken,
}

enum AzStep {
    Bind(String, Option<ExactUrl>),
    Extend,
    Negotiate(BoundClient<'static>, Option<Scope>),
    Done(Validated),
    Fail,
}

fn az_step(machine: &mut az::Authorization, input: az::Input<'_>) -> AzStep {
    match machine.advance(input) {
        az::Output::Bind { client_id, redirect_uri } => AzStep::Bind(client_id, redirect_uri),
        az::Output::Extend => AzStep::Extend,
        az::Output::Negotiate { bound_client, scope } => AzStep::Negotiate(bound_client.clone(), scope),
        az::Output::Ok { pre_grant, state, extensions } => AzStep::Done(Validated { pre_grant, state, extensions }),
        az::Output::Err(_) => AzStep::Fail,
    }
}

/// Runs the authorization machine. `extend` checks what oxide-auth does not know (PKCE, OpenID Connect) and gives the
/// extensions that go into the grant.
pub async fn authorize<E>(
    registrar: &(dyn Registrar + Sync),
    request: &(dyn az::Request + Sync),
    extend: impl FnOnce() -> Result<Extensions, E>,
) -> Result<Validated, AuthorizationFailure<E>> {
    let mut machine = az::Authorization::new(request);
    let (client_id, redirect_uri) = match az_step(&mut machine, az::Input::None) {
        AzStep::Bind(client_id, redirect_uri) => (client_id, redirect_uri),
        _ => return Err(AuthorizationFailure::Binding),
    };
    let url = ClientUrl { client_id: Cow::Owned(client_id), redirect_uri: redirect_uri.map(Cow::Owned) };
    let bound_client = registrar.bound_redirect(url).await.map_err(|_| AuthorizationFailure::Binding)?;
    match az_step(&mut machine, az::Input::Bound { request, bound_client }) {
        AzStep::Extend => {}
        _ if request.response_type().as_deref() != Some("code") => return Err(AuthorizationFailure::ResponseType),
        _ => return Err(AuthorizationFailure::Scope),
    }
    let extensions = extend().map_err(AuthorizationFailure::Extension)?;
    let (bound, scope) = match az_step(&mut machine, az::Input::Extended(extensions)) {
        AzStep::Negotiate(bound, scope) => (bound, scope),
        _ => return Err(AuthorizationFailure::Broken),
    };
    let pre_grant = registrar.negotiate(bound, scope).await.map_err(|_| AuthorizationFailure::Scope)?;
    let state = request.state().map(Cow::into_owned);
    match az_step(&mut machine, az::Input::Negotiated { pre_grant, state }) {
        AzStep::Done(validated) => Ok(validated),
        _ => Err(AuthorizationFailure::Broken),
    }
}

/// Where a token request failed.
#[derive(Debug)]
pub enum TokenFailure<E> {
    /// A parameter is missing or does not parse.
    Request,
    /// No such grant for this client, or its parts do not fit together.
    Grant,
    /// More scope than was granted or registered.
    Scope,
    /// What the extension said.
    Extension(E),
    /// The store failed; it knows why.
    Store,
}

enum AtStep {
    Authenticate,
    Recover(String),
    Extend(Extensions),
    Issue(Box<Grant>),
    Fail,
}

fn at_step(machine: &mut at::AccessToken, input: at::Input<'_>) -> AtStep {
    match machine.advance(input) {
        at::Output::Authenticate { .. } => AtStep::Authenticate,
        at::Output::Recover { code } => AtStep::Recover(code.to_owned()),
        at::Output::Extend { extensions } => AtStep::Extend(extensions.clone()),
        at::Output::Issue { grant } => AtStep::Issue(Box::new(grant.clone())),
        at::Output::Ok(_) | at::Output::Err(_) => AtStep::Fail,
    }
}

/// Runs the machine of the authorization code grant up to the grant that tokens are to be issued for. It stops there,
/// since its own token response has no room for an ID token.
pub async fn exchange_code<E>(
    authorizer: &mut (dyn Authorizer + Send),
    request: &(dyn at::Request + Sync),
    extend: impl FnOnce(Extensions) -> Result<Extensions, E>,
) -> Result<Grant, TokenFailure<E>> {
    let mut machine = at::AccessToken::new(request);
    let AtStep::Authenticate = at_step(&mut machine, at::Input::None) else { return Err(TokenFailure::Request) };
    let AtStep::Recover(code) = at_step(&mut machine, at::Input::Authenticated) else {
        return Err(TokenFailure::Request);
    };
    let grant = authorizer.extract(&code).await.map_err(|()| TokenFailure::Store)?;
    let AtStep::Extend(stored) = at_step(&mut machine, at::Input::Recovered(grant.map(Box::new))) else {
        return Err(TokenFailure::Grant);
    };
    let access_extensions = extend(stored).map_err(TokenFailure::Extension)?;
    match at_step(&mut machine, at::Input::Extended { access_extensions }) {
        AtStep::Issue(grant) => Ok(*grant),
        _ => Err(TokenFailure::Store),
    }
}

enum RfStep {
    Authenticate,
    Recover(String),
    Refresh(String, Box<Grant>),
    Fail,
}

fn rf_step(machine: &mut rf::Refresh, input: rf::Input<'_>) -> RfStep {
    match machine.advance(input) {
        rf::Output::Unauthenticated { .. } => RfStep::Authenticate,
        rf::Output::RecoverRefresh { token } => RfStep::Recover(token.to_owned()),
        rf::Output::Refresh { token, grant } => RfStep::Refresh(token.to_owned(), grant),
        rf::Output::Ok(_) | rf::Output::Err(_) => RfStep::Fail,
    }
}

/// Runs the refresh machine: gives the rotated token and the grant with the scope that was asked for.
pub async fn refresh(
    issuer: &mut (dyn Issuer + Send),
    request: &(dyn rf::Request + Sync),
) -> Result<(RefreshedToken, Grant), TokenFailure<()>> {
    let mut machine = rf::Refresh::new(request);
    let RfStep::Authenticate = rf_step(&mut machine, rf::Input::None) else { return Err(TokenFailure::Request) };
    let RfStep::Recover(token) = rf_step(&mut machine, rf::Input::Authenticated { scope: request.scope() }) else {
        return Err(TokenFailure::Request);
    };
    let Some(grant) = issuer.recover_refresh(&token).await.map_err(|()| TokenFailure::Store)? else {
        return Err(TokenFailure::Grant);
    };
    let granted = grant.scope.clone();
    let input = rf::Input::Recovered { scope: request.scope(), grant: Some(Box::new(grant)) };
    let (token, grant) = match rf_step(&mut machine, input) {
        RfStep::Refresh(token, grant) => (token, *grant),
        _ => {
            let fits = request.scope().is_none_or(|s| s.parse::<Scope>().is_ok_and(|asked| asked <= granted));
            return Err(if fits { TokenFailure::Grant } else { TokenFailure::Scope });
        }
    };
    let refreshed = issuer.refresh(&token, grant.clone()).await.map_err(|()| TokenFailure::Store)?;
    Ok((refreshed, grant))
}

enum CcStep {
    Authenticate,
    Bind(String),
    Extend,
    Negotiate(BoundClient<'static>, Option<Scope>),
    Done(PreGrant, Extensions),
    Fail,
}

fn cc_step(machine: &mut cc::ClientCredentials, input: cc::Input) -> CcStep {
    match machine.advance(input) {
        cc::Output::Authenticate { .. } => CcStep::Authenticate,
        cc::Output::Binding { client_id } => CcStep::Bind(client_id.to_owned()),
        cc::Output::Extend => CcStep::Extend,
        cc::Output::Negotiate { bound_client, scope } => CcStep::Negotiate(bound_client.clone(), scope),
        cc::Output::Ok { pre_grant, extensions } => CcStep::Done(pre_grant.clone(), extensions.clone()),
        cc::Output::Err(_) => CcStep::Fail,
    }
}

/// Runs the client credentials machine and issues for the client itself, with the scope that it is granted.
pub async fn client_credentials(
    registrar: &(dyn Registrar + Sync),
    issuer: &mut (dyn Issuer + Send),
    request: &(dyn cc::Request + Sync),
    until: chrono::DateTime<chrono::Utc>,
) -> Result<(IssuedToken, Scope), TokenFailure<()>> {
    let mut machine = cc::ClientCredentials::new(request);
    let CcStep::Authenticate = cc_step(&mut machine, cc::Input::None) else { return Err(TokenFailure::Scope) };
    let CcStep::Bind(client_id) = cc_step(&mut machine, cc::Input::Authenticated) else {
        return Err(TokenFailure::Request);
    };
    let url = ClientUrl { client_id: Cow::Owned(client_id), redirect_uri: None };
    let bound_client = registrar.bound_redirect(url).await.map_err(|_| TokenFailure::Request)?;
    let CcStep::Extend = cc_step(&mut machine, cc::Input::Bound { bound_client }) else {
        return Err(TokenFailure::Request);
    };
    let extended = cc::Input::Extended { extensions: Extensions::new() };
    let CcStep::Negotiate(bound, scope) = cc_step(&mut machine, extended) else { return Err(TokenFailure::Request) };
    let pre_grant = registrar.negotiate(bound, scope).await.map_err(|_| TokenFailure::Scope)?;
    let CcStep::Done(pre_grant, extensions) = cc_step(&mut machine, cc::Input::Negotiated { pre_grant }) else {
        return Err(TokenFailure::Request);
    };
    let scope = pre_grant.scope.clone();
    let grant = Grant {
        owner_id: pre_grant.client_id.clone(),
        client_id: pre_grant.client_id,
        scope: pre_grant.scope,
        redirect_uri: pre_grant.redirect_uri.into_url(),
        until,
        extensions,
    };
    let issued = issuer.issue(grant).await.map_err(|()| TokenFailure::Store)?;
    Ok((issued, scope))
}
