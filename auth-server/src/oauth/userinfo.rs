//! `GET, POST /oauth/userinfo`: claims about the person (OpenID Connect Core §5.3).

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use openidconnect::core::CoreUserInfoClaims;
use openidconnect::{EmptyAdditionalClaims, UserInfoClaims};
use shared::http::Json;
use shared::problem::Problem;

use crate::protocol::bearer::{Caller, Challenge};
use crate::protocol::tokens::standard_claims;
use crate::state::AppState;

pub async fn userinfo(State(state): State<AppState>, caller: Caller) -> Result<Response, Response> {
    caller.require("openid").map_err(IntoResponse::into_response)?;
    let user = async {
        let mut conn = state.platform.db.read().await?;
        shared::users::by_id(&mut conn, caller.user_id).await
    };
    let user = user.await.map_err(|e| Problem::from(e).into_response())?;
    let user = user.ok_or_else(|| Challenge::Invalid.into_response())?;
    let scopes: Vec<&str> = caller.scope.iter().map(String::as_str).collect();
    let claims: CoreUserInfoClaims = UserInfoClaims::new(standard_claims(&user, &scopes), EmptyAdditionalClaims {});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(claims)).into_response())
}
