//! Lists: `{items, next_cursor}` with opaque cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::problem::{FieldError, Problem};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Give it as `cursor` to get what follows; null on the last page.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// The query of a list that is asked for nothing but a page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items to show, 1 to 100. Default: 20.
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(example = "AZD0nOAAe8qeQvI0p3q1xA")]
    cursor: Option<String>,
}

impl PageQuery {
    /// Reads it, as [`Position::read`] does.
    pub fn position(&self) -> Result<Position, Problem> {
        Position::read(self.limit, self.cursor.as_deref())
    }
}

/// Which page is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    limit: u32,
    /// The id of the last item seen.
    pub before: Option<Uuid>,
}

impl Position {
    /// Reads `limit` and `cursor` of a query.
    pub fn read(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, Problem> {
        let mut errors = vec![];
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            errors.push(FieldError::query("limit", format!("must be a number from 1 to {MAX_LIMIT}")));
        }
        let before = cursor.map(decode);
        if matches!(before, Some(None)) {
            errors.push(FieldError::query("cursor", "must be the next_cursor of an earlier page"));
        }
        if errors.is_empty() { Ok(Self { limit, before: before.flatten() }) } else { Err(Problem::validation(errors)) }
    }

    /// How many rows to fetch: one more than are shown tells whether there are more.
    pub fn rows(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Makes the page of at most [`Position::rows`] rows.
    pub fn page<R, T>(self, mut rows: Vec<R>, id: impl Fn(&R) -> Uuid, show: impl Fn(R) -> T) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| encode(id(row)));
        Page { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}

fn encode(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn decode(cursor: &str) -> Option<Uuid> {
    Uuid::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_where_the_next_begins() {
        let position = Position::read(Some(2), None).unwrap();
        let page = position.page(vec![3u128, 2, 1], |n| Uuid::from_u128(*n), |n| n);
        assert_eq!(page.items, [3, 2]);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(Position::read(None, Some(&cursor)).unwrap().before, Some(Uuid::from_u128(2)));
        assert!(position.page(vec![2u128, 1], |n| Uuid::from_u128(*n), |n| n).next_cursor.is_none());
    }

    #[test]
    fn bad_limits_and_cursors_are_named() {
        for (limit, cursor, pointer) in [
            (Some(0), None, "#/query/limit"),
            (Some(101), None, "#/query/limit"),
            (None, Some("!"), "#/query/cursor"),
            (None, Some("AAAA"), "#/query/cursor"),
        ] {
            assert_eq!(Position::read(limit, cursor).unwrap_err().errors()[0].pointer, pointer);
        }
    }
}
