//! `POST /oauth/token`: the token endpoint (RFC 6749 §3.2). The client proves who it is before its grant is looked at.

mod authorization_code;
mod client_credentials;
mod password;
mod refresh_token;

use axum::extract::State;
use shared::http::ClientIp;

use crate::protocol::client_auth;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::request::Parameters;
use crate::protocol::tokens::TokenResponse;
use crate::state::AppState;

pub async fn token(
    State(state): State<AppState>,
    ip: ClientIp,
    parameters: Result<Parameters, OAuthError>,
) -> Result<TokenResponse, OAuthError> {
    let parameters = parameters?;
    let client = client_auth::authenticate(&state, &parameters).await?;
    let grant_type = parameters.require("grant_type")?;
    let known = matches!(&*grant_type, "authorization_code" | "refresh_token" | "client_credentials" | "password");
    if known && !client.may_use(&grant_type) {
        return Err(OAuthError::new(Code::UnauthorizedClient, "this client has not registered this grant"));
    }
    match &*grant_type {
        "authorization_code" => authorization_code::exchange(&state, &client, &parameters).await,
        "refresh_token" => refresh_token::refresh(&state, &client, &parameters).await,
        "client_credentials" => client_credentials::issue(&state, &client, &parameters).await,
        "password" => password::issue(&state, &client, &parameters, &ip).await,
        _ => Err(OAuthError::new(Code::UnsupportedGrantType, "there is no such grant here")),
    }
}
