//! `/v1/referral-codes/{code}/rotate`: one of one's own codes ends, and another begins, in one step.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;
use shared::audit;
use shared::db::DbError;
use shared::http::{Json, Path};
use shared::idempotency::{Idempotent, KeyHeader};
use shared::ids::ClientId;
use shared::problem::{FieldError, Problem};
use shared::referrals::code::{CodeKey, ReferralCode};
use shared::referrals::rotation::{self, Rotated};
use shared::referrals::store::CodeRow;

use super::{Code, DRAWS, NewCode, check, created, no_such_code};
use crate::access::{Person, WriteCodes, account_gone};
use crate::state::AppState;

/// Replace one of one's own referral codes by a new one
///
/// Deletes the code and creates the new one in one step: nobody is without a code in between, and of several requests at
/// once one replaces it and the others are 404. The old one stops working at once, everywhere. With an `Idempotency-Key`,
/// a repeated request gets the first one's answer.
#[utoipa::path(
    post, path = "/v1/referral-codes/{code}/rotate", tag = "Referral codes", operation_id = "rotateReferralCode",
    security(("oauth2" = ["referral-codes:write"]), ("token" = [])),
    params(
        ("code" = String, Path, description = "The code that ends, in upper or lower case", example = "7K2M9QXD"),
        KeyHeader,
    ),
    request_body = NewCode,
    responses(
        (status = 201, description = "The new code", body = Code, headers(("Location" = String, description = "The new code"))),
        (status = 404, description = "The caller has no such code, or deleted or replaced it before", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`code-active`: this code has expired, and the person has an active one. `code-taken`: somebody has or had the chosen code", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is at fault, for example `#/expires_at`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Person<WriteCodes>,
    headers: HeaderMap,
    Path(code): Path<String>,
    Json(new): Json<NewCode>,
) -> Result<Response, Problem> {
    let platform = state.platform();
    let (expires_at, chosen) = check(&new, &state)?;
    caller.token.may_create(new.code.as_deref(), new.max_uses, &state)?;
    let old = CodeKey::fold(&code).ok_or_else(no_such_code)?;
    let request = serde_json::to_vec(&(old.as_str(), &new)).map_err(|_| Problem::internal())?;
    let scope = ["POST /v1/referral-codes/{code}/rotate", &caller.user.to_string()];
    let key = Idempotent::from_headers(&headers, &scope, &request)?;
    if let Some(kept) = Idempotent::kept(key.as_ref(), platform).await? {
        return created(kept.answer);
    }
    for _ in 0..DRAWS {
        let next = chosen.clone().unwrap_or_else(|| ReferralCode::draw(&platform.random));
        let wanted = Wanted { old: &old, next: &next, expires_at, max_uses: new.max_uses };
        let refusal = match replace(&state, &caller, &wanted, key.as_ref()).await {
            Ok(Ok((answer, row, queued_at))) => {
                state.codes().deliver(&row, queued_at).await;
                return created(answer);
            }
            Ok(Err(refusal)) => refusal,
            Err(DbError::UniqueViolation(_)) if chosen.is_some() => {
                let taken = FieldError::body("code", "is taken; choose another");
                Problem::conflict("code-taken", "somebody has or had this code").with_error(taken)
            }
            // A drawn one that is taken, or this very request, sent twice.
            Err(DbError::UniqueViolation(_)) => match Idempotent::kept(key.as_ref(), platform).await? {
                Some(kept) => return created(kept.answer),
                None => continue,
            },
            Err(DbError::ForeignKeyViolation(_)) => return Err(account_gone(&caller.token, &state)),
            Err(error) => return Err(error.into()),
        };
        // Somebody was faster: perhaps this very request.
        return match Idempotent::kept(key.as_ref(), platform).await? {
            Some(kept) => created(kept.answer),
            None => Err(refusal),
        };
    }
    tracing::error!("drew {DRAWS} codes that are all taken");
    Err(Problem::internal())
}

struct Wanted<'a> {
    old: &'a CodeKey,
    next: &'a ReferralCode,
    expires_at: DateTime<Utc>,
    max_uses: Option<i64>,
}

type Replaced = (serde_json::Value, CodeRow, DateTime<Utc>);

/// One try in a transaction of its own: the answer, the code that ended, and when that was queued for the cache.
async fn replace(
    state: &AppState,
    caller: &Person<WriteCodes>,
    wanted: &Wanted<'_>,
    key: Option<&Idempotent>,
) -> Result<Result<Replaced, Problem>, DbError> {
    let platform = state.platform();
    let Wanted { old, next, expires_at, max_uses } = *wanted;
    let mut tx = platform.db.begin().await?;
    match rotation::rotate(&mut tx, platform, caller.user, old, next, expires_at, max_uses).await? {
        Rotated::NoSuchCode => Ok(Err(no_such_code())),
        Rotated::AnotherActive => {
            Ok(Err(Problem::conflict("code-active", "there is an active code; replace or delete that one")))
        }
        Rotated::Done { old, new } => {
            let queued_at = state.codes().queue(&mut tx, &old).await?;
            let client = ClientId(caller.token.client_id().to_owned());
            let details = json!({ "code_id": old.id, "new_code_id": new.id });
            audit::record(&mut tx, platform, "referral_code.rotated", Some(caller.user), Some(&client), details)
                .await?;
            let answer = json!(Code::of(*new, state));
            if let Some(key) = key {
                key.keep(&mut tx, platform, 201, &answer).await?;
            }
            tx.commit().await?;
            Ok(Ok((answer, *old, queued_at)))
        }
    }
}
