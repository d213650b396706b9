//! The resource owner password credentials grant (RFC 6749 §4.3), for our own apps only. RFC 9700 §2.4 bans it for
//! third parties, and registration refuses it to them. Limited and audited like a sign-in. Accounts with a second factor
//! are refused as if the password were wrong: there is no place here to show it.

use crate::accounts::signin::{self, SignInError};
use crate::accounts::terms;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::GrantDetails;
use crate::protocol::token_request::{Granted, TokenRequest, requested_scope};
use crate::protocol::tokens::{self, TokenResponse};
use crate::sessions::{ACR_PASSWORD, AMR_PASSWORD};

pub async fn issue(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, ip, .. } = *request;
    let platform = &state.platform;
    // Registration checked this; a row that was changed by hand must not open the door.
    if !client.first_party {
        return Err(OAuthError::new(Code::UnauthorizedClient, "the password grant is for first-party clients only"));
    }
    let (email, password) = (parameters.require("username")?, parameters.require("password")?);
    let scope = requested_scope(client, parameters)?;
    let resource = tokens::check_resource(state, &parameters.resource, &[])?;
    let user =
        signin::authenticate_alone(state, &email, &password, ip, "password_grant").await.map_err(|e| match e {
            SignInError::Refused => OAuthError::invalid_grant("the email address or the password is wrong"),
            SignInError::Limited(retry_after) => OAuthError::too_many_requests(retry_after),
            SignInError::Busy(retry_after) => {
                OAuthError::temporarily_unavailable("too many sign-ins at once; try again in a moment", retry_after)
            }
            SignInError::Db(error) => error.into(),
        })?;

    // Said to who knew the password, and to nobody else.
    if terms::are_wanted(state, user.id).await? {
        let home = platform.config.auth.public_url.as_str();
        return Err(OAuthError::invalid_grant(format!(
            "the terms are newer than those that the person agreed to: have them sign in once at {home}, where they are asked"
        )));
    }

    let details = GrantDetails {
        scope,
        resource: parameters.resource.clone(),
        auth_time: platform.clock.now(),
        acr: ACR_PASSWORD.into(),
        amr: vec![AMR_PASSWORD.into()],
        ..GrantDetails::default()
    };
    let mut tx = request.begin().await?;
    let (reference, issued) = request.grant(&mut tx, user.id, None, &details).await?;
    // Between the check and this transaction the account may have been handed over to whoever proved its address.
    if !signin::still_holds(&mut tx, platform, &user).await? {
        return Err(OAuthError::invalid_grant("the email address or the password is wrong"));
    }
    tx.commit().await?;
    let (user, scope) = (user.id, &details.scope);
    request.respond(Granted { user, reference, details: &details, scope, resource: &resource, nonce: None, issued })
}
