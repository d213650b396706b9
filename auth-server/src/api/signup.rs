//! `POST /api/v1/signup`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::http::{ClientIp, Json};
use shared::idempotency::{Idempotent, Kept, KeyHeader};
use shared::ids::UserId;
use shared::problem::{FieldError, Problem};
use utoipa::ToSchema;

use crate::AppState;
use crate::accounts::signup::{self, Keep, NewAccount, Outcome, SignUpError};

/// A person who signs up. Empty strings count as absent.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// Where the person takes mail.
    #[schema(example = "ann@example.com", format = Email, max_length = 254)]
    email: String,
    /// At least `passwords.min_length` characters (8), at most 1024 bytes. Any characters, but
    /// none that is easily guessed or, where that is asked about, that others have lost.
    #[schema(example = "correct horse battery staple", format = Password, min_length = 8)]
    password: String,
    #[serde(default)]
    #[schema(example = "Ann", max_length = 64)]
    given_name: Option<String>,
    #[serde(default)]
    #[schema(example = "Lee", max_length = 64)]
    family_name: Option<String>,
    /// The code of whoever invited this person. A code that does not serve is an error, and creates nothing.
    #[serde(default)]
    #[schema(example = "7K3MPQ9X")]
    referral_code: Option<String>,
    /// The terms that the person agreed to: `accounts.terms_version`, where the operator asks for that.
    #[serde(default)]
    #[schema(example = "1", max_length = 64)]
    terms_version: Option<String>,
    /// The language of mails, as a BCP 47 tag.
    #[serde(default)]
    #[schema(example = "en", max_length = 35)]
    locale: Option<String>,
}

/// The account that was made.
#[derive(Serialize, ToSchema)]
pub struct Created {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = false)]
    email_verified: bool,
    /// Did a referral code count?
    #[schema(example = true)]
    referred: bool,
}

/// A mail tells how it goes on.
#[derive(Serialize, ToSchema)]
pub struct Accepted {
    #[schema(example = "verification_required")]
    status: &'static str,
}

/// Sign up
///
/// With `accounts.email_verification = optional` the account is usable at once. With `required` the answer is always
/// 202, whether the address was free or taken, and the account is made when the mailed link is followed. With an
/// `Idempotency-Key`, a repeated request gets the first one's answer.
#[utoipa::path(
    post, path = "/api/v1/signup", tag = "Account", operation_id = "signUp",
    params(KeyHeader),
    request_body = SignUp,
    responses(
        (status = 201, description = "The account is there", body = Created),
        (status = 202, description = "Verification is required; a mail is on its way", body = Accepted,
            example = json!({"status": "verification_required"})),
        (status = 403, description = "`signup-closed`: nobody can sign up here",
            body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`email-taken`: this address has an account (never when verification is required)",
            body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/referral_code`; nothing was created",
            body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many sign-ups from this address",
            body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again after `Retry-After` seconds",
            body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn sign_up(
    State(state): State<AppState>,
    ip: ClientIp,
    headers: HeaderMap,
    Json(request): Json<SignUp>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&state, &headers, &request)?;
    if let Some(kept) = Idempotent::kept(key.as_ref(), &state.platform).await? {
        return Ok(again(kept));
    }
    let SignUp { email, password, given_name, family_name, referral_code, terms_version, locale } = request;
    let account = NewAccount {
        email,
        password,
        given_name,
        family_name,
        referral_code,
        locale,
        terms_version,
        ..NewAccount::default()
    };
    let keep = key.as_ref().map(|key| Keep { key, answer });
    match signup::sign_up_once(&state, account, &ip, keep).await {
        Ok(outcome) => {
            let (status, body) = answer(&outcome);
            Ok(again(Kept { status, answer: body }))
        }
        Err(error) => {
            // Perhaps it was this very request, sent twice, that was faster.
            let same =
                matches!(error, SignUpError::TakenEmail | SignUpError::AnsweredAlready | SignUpError::Invalid(_));
            match Idempotent::kept(key.as_ref().filter(|_| same), &state.platform).await? {
                Some(kept) => Ok(again(kept)),
                None => Err(problem(error)),
            }
        }
    }
}

fn idempotency_key(state: &AppState, headers: &HeaderMap, request: &SignUp) -> Result<Option<Idempotent>, Problem> {
    let body = serde_json::to_vec(request).map_err(|_| Problem::internal())?;
    // Keyed: a plain hash of it would be a hash of the password, of the kind that is guessed quickly.
    let body = state.platform.master_key.mac("signup-idempotency", &body);
    Idempotent::from_headers(headers, &["POST /api/v1/signup"], &body)
}

fn answer(outcome: &Outcome) -> (u16, Value) {
    match outcome {
        Outcome::Created { id, email, referred } => {
            (201, json!(Created { id: *id, email: email.clone(), email_verified: false, referred: *referred }))
        }
        Outcome::VerificationRequired => (202, json!(Accepted { status: "verification_required" })),
    }
}

fn again(kept: Kept) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    (status, axum::Json(kept.answer)).into_response()
}

fn problem(error: SignUpError) -> Problem {
    match error {
        SignUpError::Invalid(faults) => Problem::validation(faults.into_iter().map(FieldError::from)),
        SignUpError::TakenEmail => Problem::conflict("email-taken", "this address has an account already; sign in")
            .with_error(FieldError::body("email", "has an account already")),
        SignUpError::Closed => Problem::new(StatusCode::FORBIDDEN, "signup-closed", "nobody can sign up here"),
        SignUpError::Limited(limited) => limited.into(),
        SignUpError::Busy(retry_after) => Problem::unavailable().with_retry_after(retry_after),
        SignUpError::AnsweredAlready => Problem::unavailable(),
        SignUpError::Db(error) => error.into(),
    }
}
