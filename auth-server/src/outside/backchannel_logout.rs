//! Telling clients that a session is over (OpenID Connect Back-Channel Logout 1.0 §2.5). The logout token is made when
//! it is sent, so that it is young however long its job had to wait, and the job itself holds nothing secret.

use std::time::Duration;

use axum::http::header;
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::db::DbError;
use shared::ids::{ClientId, SessionId, UserId};
use shared::outbound::refusal;
use url::{Url, form_urlencoded};

use super::Outside;
use super::worker::{Finding, Outcome};
use crate::clients::{self, Client, Origin};
use crate::keys::{Algorithm, KeyRing};

/// The event a logout token tells of (§2.4).
pub(crate) const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// For how many seconds a logout token is valid: §2.4 recommends two minutes at most.
const VALID_SECONDS: i64 = 120;

/// How often a client that nobody vouched for is tried: about an hour and a half.
const TRIES_OF_STRANGERS: i64 = 10;

/// How long a client may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Outside {
    pub(super) async fn tell_of_logout(
        &self,
        client_id: &ClientId,
        user_id: UserId,
        sid: Option<SessionId>,
        sector: Option<&str>,
        attempts: i64,
    ) -> Result<Outcome, DbError> {
        let later = |reason: &str| Outcome::Later { reason: reason.into(), after: TimeDelta::zero() };
        let Some(keys) = &self.keys else { return Ok(later("there are no signing keys here")) };
        // Read afresh: the client may have moved, or be gone.
        let client = clients::by_id(&mut self.platform.db.read().await?, client_id).await?;
        let uri =
            client.as_ref().and_then(|client| Url::parse(client.metadata.backchannel_logout_uri.as_deref()?).ok());
        let (Some(client), Some(uri)) = (client, uri) else { return Ok(Outcome::Done(Finding::Nothing)) };
        // By the name of this sector it would be told of somebody whom it never met in it.
        if client.sector().as_deref() != sector {
            return Ok(Outcome::Done(Finding::Nothing));
        }
        let stranger = client.origin != Origin::Operator;
        let place = match self.places.take(&uri, stranger) {
            Ok(place) => place,
            Err(after) => return Ok(Outcome::Postponed { after }),
        };
        let token = match self.logout_token(keys, &client, user_id, sid) {
            Ok(token) => token,
            Err(error) => return Ok(later(&error.to_string())),
        };
        let request = match self.platform.outbound.guarded().post(&uri) {
            Ok(request) => request,
            Err(refused) => return Ok(Outcome::Hopeless { reason: refused.to_string() }),
        };
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        let sent = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .timeout(TIMEOUT)
            .body(body)
            .send()
            .await;
        match &sent {
            Ok(response) if !response.status().is_server_error() => place.answered(),
            _ => place.failed(),
        }
        let outcome = match sent {
            Ok(response) => conclude(response.status().as_u16()),
            Err(error) => match refusal(&error) {
                Some(refused) => Outcome::Hopeless { reason: refused.to_string() },
                None if error.is_timeout() => later("timeout"),
                None if error.is_connect() => later("no connection"),
                None => later("broken connection"),
            },
        };
        // Nobody vouched for it, so it does not keep us busy for a day.
        Ok(match outcome {
            Outcome::Later { reason, .. } if stranger && attempts >= TRIES_OF_STRANGERS => Outcome::Hopeless { reason },
            outcome => outcome,
        })
    }

    /// §2.4: signed like the client's ID tokens, and no `nonce`, so that it can't be taken for one.
    fn logout_token(
        &self,
        keys: &KeyRing,
        client: &Client,
        user_id: UserId,
        sid: Option<SessionId>,
    ) -> Result<String, openidconnect::SigningError> {
        let platform = &self.platform;
        let now = platform.clock.now();
        let mut claims = json!({
            "iss": platform.config.auth.public_url.as_str(),
            "aud": client.client_id,
            "iat": now.timestamp(),
            "exp": now.timestamp() + VALID_SECONDS,
            "jti": platform.random.uuid_v4(),
            "events": { EVENT: {} },
            "sub": client.sub_of(platform, user_id),
        });
        if let Some(sid) = sid {
            claims["sid"] = Value::String(client.sid_of(platform, sid));
        }
        let algorithm = Algorithm::named(&client.metadata.id_token_signed_response_alg).unwrap_or(Algorithm::Rs256);
        keys.signing(algorithm, now).sign_jwt("logout+jwt", &claims)
    }
}

/// What an answer means (§2.8). Redirects are not followed: they would lead past the check of the address.
///
/// Final is what is about the request: 400, by which the client refuses it or says that it could not sign the person out;
/// 410 and 413. All else may be the word of something before the client, while that is being deployed: a balancer's 404,
/// a gateway's 403.
fn conclude(status: u16) -> Outcome {
    let reason = format!("status {status}");
    match status {
        200..=299 => Outcome::Done(Finding::Nothing),
        300..=399 | 400 | 410 | 413 => Outcome::Hopeless { reason },
        _ => Outcome::Later { reason, after: TimeDelta::zero() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_the_request_is_final_and_others_are_asked_again__back_channel_2_8() {
        for status in [200, 204] {
            assert!(matches!(conclude(status), Outcome::Done(_)), "{status}");
        }
        for status in [301, 307, 400, 410, 413] {
            assert!(matches!(conclude(status), Outcome::Hopeless { .. }), "{status}");
        }
        for status in [401, 403, 404, 405, 408, 429, 500, 501, 503] {
            assert!(matches!(conclude(status), Outcome::Later { .. }), "{status}");
        }
    }
}
