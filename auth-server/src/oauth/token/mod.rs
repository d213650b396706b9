//! `POST /oauth/token`: the token endpoint (RFC 6749 §3.2). The client proves who it is before its grant is looked at.

mod authorization_code;
mod client_credentials;
mod device_code;
mod jwt_bearer;
mod password;
mod refresh_token;
mod token_exchange;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use shared::http::ClientIp;

use crate::clients::{DEVICE_CODE, GRANT_TYPES, JWT_BEARER, TOKEN_EXCHANGE};
use crate::protocol::binding::presented_binding;
use crate::protocol::client_auth::{self, Proved};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::request::Parameters;
use crate::protocol::token_request::TokenRequest;
use crate::protocol::tokens::TokenResponse;
use crate::protocol::{authorization_details, dpop, proofs};
use crate::state::AppState;

pub async fn token(
    State(state): State<AppState>,
    ip: ClientIp,
    parameters: Result<Parameters, OAuthError>,
) -> Response {
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return error.into_response(),
    };
    let answer = answer(&state, &ip, &parameters).await.into_response();
    dpop::with_nonce(&state, !parameters.dpop.is_empty(), answer)
}

async fn answer(state: &AppState, ip: &ClientIp, parameters: &Parameters) -> Result<TokenResponse, OAuthError> {
    let Proved { client, mut proofs } = client_auth::verify(state, parameters).await?;
    // An assertion was seen on the wire, whatever came of the request. A DPoP proof, which strangers can make at will,
    // is written down with what it served for and not otherwise.
    let shown = proofs.clone();
    let answer = match presented_binding(state, &client, parameters) {
        Ok((binding, proof)) => {
            proofs.extend(proof);
            let request = TokenRequest { state, client: &client, parameters, ip, binding, proofs: &proofs };
            dispatch(&request).await
        }
        Err(error) => Err(error),
    };
    if answer.is_err() {
        Box::pin(proofs::spend(&state.platform, &shown)).await?;
    }
    answer
}

async fn dispatch(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let grant_type = request.parameters.require("grant_type")?;
    if GRANT_TYPES.contains(&&*grant_type) && !request.client.may_use(&grant_type) {
        return Err(OAuthError::new(Code::UnauthorizedClient, "this client has not registered this grant"));
    }
    if !matches!(&*grant_type, "authorization_code" | "refresh_token") {
        authorization_details::refuse(request.parameters)?;
    }
    match &*grant_type {
        "authorization_code" => Box::pin(authorization_code::exchange(request)).await,
        "refresh_token" => Box::pin(refresh_token::refresh(request)).await,
        "client_credentials" => client_credentials::issue(request).await,
        DEVICE_CODE => Box::pin(device_code::exchange(request)).await,
        "password" => Box::pin(password::issue(request)).await,
        JWT_BEARER => Box::pin(jwt_bearer::issue(request)).await,
        TOKEN_EXCHANGE => Box::pin(token_exchange::exchange(request)).await,
        _ => Err(OAuthError::new(Code::UnsupportedGrantType, "there is no such grant here")),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::{FromRequest, FromRequestParts, Request};
    use shared::testing::each_store;

    use super::*;

    /// It is allocated and moved for every request, and is as large as the largest thing it may wait for.
    #[tokio::test]
    async fn the_future_of_a_token_request_is_small() {
        each_store(|platform| async move {
            let state = AppState::new(platform).await.unwrap();
            let mut parts = Request::new(()).into_parts().0;
            let ip = ClientIp::from_request_parts(&mut parts, &()).await.unwrap();
            let form = Request::post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
            let parameters = Parameters::from_request(form.body(Body::from("a=b")).unwrap(), &()).await;
            let bytes = size_of_val(&token(State(state), ip, parameters));
            assert!(bytes < 4096, "{bytes}");
        })
        .await;
    }
}
