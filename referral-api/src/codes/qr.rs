//! `/v1/referral-codes/{code}/qr.svg`: the link of one's own code as a picture to be printed.

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use shared::http::Path;
use shared::problem::Problem;
use shared::qr;

use super::{link, own};
use crate::access::{Person, ReadCodes};
use crate::state::AppState;

/// Get the QR code of one of one's own referral codes
///
/// An SVG picture of the code's `link`: black on white, with the margin that cameras want (ISO/IEC 18004 §9.1). It can be
/// drawn at any size.
#[utoipa::path(
    get, path = "/v1/referral-codes/{code}/qr.svg", tag = "Referral codes", operation_id = "getReferralCodeQr",
    security(("oauth2" = ["referral-codes:read"]), ("token" = [])),
    params(("code" = String, Path, description = "The code, in upper or lower case", example = "7K2M9QXD")),
    responses(
        (status = 200, description = "The picture", body = String, content_type = "image/svg+xml",
            example = "<svg class=\"qr\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 37 37\"><path d=\"M4 4h7v1H4z\"/></svg>"),
        (status = 404, description = "The caller has no such code", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(state): State<AppState>,
    caller: Person<ReadCodes>,
    Path(code): Path<String>,
) -> Result<Response, Problem> {
    let row = own(&state, caller.user, &code).await?;
    let link = link(&row.code, &state);
    let svg = qr::svg(&link, "qr", Some(&link)).ok_or_else(Problem::internal)?;
    // Opened by itself it is a document: one that may do nothing.
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")];
    Ok((headers, svg).into_response())
}
