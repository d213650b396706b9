//! `/v1/referrers/{id}/referrals.csv`: the list as a file, sent while it is read, so that its length costs no memory.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use shared::http::{Path, Query};
use shared::ids::ReferralId;
use shared::problem::Problem;
use shared::referrals::life::Status;
use shared::referrals::store;
use utoipa::IntoParams;

use super::{Referral, record_reading};
use crate::access::{About, Reader};
use crate::state::AppState;

/// Rows that are read at a time, each time with a connection of its own: a slow reader holds none.
const AT_A_TIME: i64 = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Only referrals of this status.
    #[param(inline, example = "verified")]
    status: Option<Status>,
}

/// Export the referrals of a referrer
///
/// As CSV (RFC 4180) with a header line, newest first, for the same people and with the same fields as the list. Cells that
/// a spreadsheet would take for a formula begin with an apostrophe.
#[utoipa::path(
    get, path = "/v1/referrers/{id}/referrals.csv", tag = "Referrals", operation_id = "exportReferrals",
    security(("oauth2" = ["referrals:read"]), ("token" = [])),
    params(("id" = String, Path, description = "The referrer's id, or `me`", example = "me"), ExportQuery),
    responses(
        (status = 200, description = "The referrals", body = String, content_type = "text/csv",
            example = "id,status,display_name,email,code,created_at,updated_at\r\n0197d8c2-5a70-7c3e-9f4b-2d1c6a7e8b90,verified,Bob Miller,b•••@e•••.com,7K2M9QXD,2030-01-31T12:00:00Z,2030-01-31T12:05:00Z\r\n"),
        (status = 404, description = "For administrators: there is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is at fault", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn export(
    State(state): State<AppState>,
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let about = caller.about(&state, &id).await?;
    record_reading(&state, &caller.token, about, "export").await?;
    // The first rows before the answer begins: what fails by then is told as usual.
    let first = part(&state, about, query.status, None).await?;
    let rows = stream::try_unfold(Some((first, true)), move |next| {
        let state = state.clone();
        async move {
            let Some(((rows, last), begins)) = next else { return Ok(None) };
            let bytes = lines(&rows, begins)?;
            let next = match last {
                Some(before) => Some((part(&state, about, query.status, Some(before)).await.map_err(broken)?, false)),
                None => None,
            };
            Ok::<_, std::io::Error>(Some((Bytes::from(bytes), next)))
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"referrals.csv\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(rows)).into_response())
}

/// The connection breaks off, so that nobody takes half a file for a whole one.
fn broken(problem: Problem) -> std::io::Error {
    std::io::Error::other(problem.detail().unwrap_or("the database does not answer").to_owned())
}

type Part = (Vec<Referral>, Option<ReferralId>);

/// Some rows, and where the next begin.
async fn part(
    state: &AppState,
    about: About,
    status: Option<Status>,
    before: Option<ReferralId>,
) -> Result<Part, Problem> {
    let mut conn = state.platform().db.read().await?;
    let status = status.map(Status::as_str);
    let rows = store::referrals_of(&mut conn, about.referrer, status, before, AT_A_TIME).await?;
    drop(conn);
    let last = rows.last().map(|row| row.id).filter(|_| rows.len() as i64 == AT_A_TIME);
    Ok((rows.into_iter().map(|row| Referral::of(row, about)).collect(), last))
}

fn lines(rows: &[Referral], with_header: bool) -> std::io::Result<Vec<u8>> {
    let mut csv =
        csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if with_header {
        csv.write_record(["id", "status", "display_name", "email", "code", "created_at", "updated_at"])?;
    }
    for row in rows {
        csv.write_record([
            &row.id.to_string(),
            row.status.as_str(),
            &plain(row.display_name.as_deref()),
            &plain(row.email.as_deref()),
            &plain(Some(&row.code)),
            &row.created_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            &row.updated_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        ])?;
    }
    csv.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}

/// A name that a stranger chose, kept from being run by a spreadsheet (OWASP, CSV injection).
fn plain(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(plain(Some(text)), format!("'{text}"));
        }
        assert_eq!(plain(Some("Bob")), "Bob");
        assert_eq!(plain(None), "");
    }
}
