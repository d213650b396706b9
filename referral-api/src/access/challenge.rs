//! What a refused request hears: a problem document and a challenge for each scheme (RFC 6750 §3, RFC 9449 §7.1,
//! RFC 9470 §3, RFC 9728 §5.1). The error stands in the challenge of the scheme that was tried.

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use shared::dpop;
use shared::jose::name_of;
use shared::problem::Problem;

use super::presented::Scheme;
use crate::state::AppState;

/// Why a request may not do what it asks for.
#[derive(Debug)]
pub enum Refusal {
    NoToken,
    /// RFC 6750 §3.1 `invalid_request`.
    Malformed(&'static str),
    /// RFC 6750 §3.1 `invalid_token`.
    Invalid(&'static str),
    /// RFC 6750 §3.1 `insufficient_scope`.
    Scope(&'static str),
    /// The same of a token whose authorization details (RFC 9396) allow less: asking for more scope would not help.
    Details(&'static str),
    /// RFC 9449 §7.1 `invalid_dpop_proof`.
    Proof(&'static str),
    /// RFC 9449 §9 `use_dpop_nonce`.
    Nonce,
    /// RFC 9470 §3 `insufficient_user_authentication`.
    Authentication,
    /// The issuer's keys or the database are out of reach.
    Problem(Problem),
}

/// The answer to `refusal` of a token that came under `tried`; where no scheme was tried, as if it was Bearer.
pub fn answer(refusal: Refusal, tried: Option<Scheme>, state: &AppState) -> Problem {
    let config = &state.platform().config.api;
    let (problem, error) = match refusal {
        Refusal::Problem(problem) => return problem,
        // RFC 6750 §3.1: no error code for a request that did not try.
        Refusal::NoToken => {
            (Problem::unauthorized().with_detail("send an access token: Authorization: Bearer …"), String::new())
        }
        Refusal::Malformed(detail) => (Problem::malformed(detail), described("invalid_request", detail)),
        Refusal::Invalid(detail) => (Problem::unauthorized().with_detail(detail), described("invalid_token", detail)),
        Refusal::Proof(detail) => {
            (Problem::unauthorized().with_detail(detail), described("invalid_dpop_proof", detail))
        }
        Refusal::Nonce => {
            let detail = "the DPoP proof needs the nonce from the DPoP-Nonce header";
            (Problem::unauthorized().with_detail(detail), described("use_dpop_nonce", detail))
        }
        Refusal::Scope(scope) => (
            Problem::new(StatusCode::FORBIDDEN, "insufficient-scope", "The access token does not allow this")
                .with_detail(format!("this needs the scope {scope}")),
            format!(", error=\"insufficient_scope\", scope=\"{scope}\""),
        ),
        Refusal::Details(detail) => (
            Problem::new(
                StatusCode::FORBIDDEN,
                "insufficient-authorization-details",
                "The access token does not allow this",
            )
            .with_detail(detail),
            described("insufficient_scope", detail),
        ),
        Refusal::Authentication => {
            let detail = "a more recent or stronger sign-in is needed";
            let mut error = described("insufficient_user_authentication", detail);
            if let Some(values) = &config.step_up_acr {
                error.push_str(&format!(", acr_values=\"{values}\""));
            }
            if let Some(max_age) = config.step_up_max_age_seconds {
                error.push_str(&format!(", max_age=\"{max_age}\""));
            }
            let problem = Problem::new(
                StatusCode::UNAUTHORIZED,
                "insufficient-user-authentication",
                "The sign-in behind the access token is not enough",
            );
            (problem.with_detail(detail), error)
        }
    };
    let api = &config.public_url;
    let metadata = format!("resource_metadata=\"{}\"", api.join("/.well-known/oauth-protected-resource"));
    let of = |scheme: Scheme| if tried.unwrap_or(Scheme::Bearer) == scheme { error.as_str() } else { "" };
    let algorithms = dpop::ALGORITHMS.map(name_of).join(" ");
    let bearer = format!("Bearer realm=\"{api}\"{}, {metadata}", of(Scheme::Bearer));
    let dpop = format!("DPoP realm=\"{api}\"{}, algs=\"{algorithms}\", {metadata}", of(Scheme::Dpop));
    // Where every token must be bound, the one scheme is named that works; the other only when it was tried.
    let names_bearer = !config.require_dpop || !of(Scheme::Bearer).is_empty();
    let challenges = [names_bearer.then_some(bearer), Some(dpop)];
    challenges.into_iter().flatten().fold(problem, |problem, challenge| match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    })
}

fn described(error: &str, description: &str) -> String {
    format!(", error=\"{error}\", error_description=\"{description}\"")
}
