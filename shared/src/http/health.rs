//! `/livez` (the process runs) and `/readyz` (it can do its work).

use std::future::Future;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::db::{Db, DbError};
use crate::problem::Problem;

/// A probe that hangs is a no.
const PATIENCE: Duration = Duration::from_secs(2);

/// Both routes. `ready` finds out whether a request could be served; its error goes to the log, not to the caller.
pub fn router<S, F, Fut, E>(ready: F) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display,
{
    let routes = Router::new().route("/livez", get(async || ok())).route("/readyz", get(move || readyz(ready())));
    routes.layer(super::no_store())
}

/// Does the database answer? What most services are ready by.
pub async fn database_answers(db: &Db) -> Result<(), DbError> {
    let mut conn = db.read().await?;
    crate::fetch_one!(&mut conn, (i64,), "SELECT CAST(1 AS BIGINT)").map(drop)
}

fn ok() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn readyz<E: std::fmt::Display>(ready: impl Future<Output = Result<(), E>>) -> Response {
    match tokio::time::timeout(PATIENCE, ready).await {
        Ok(Ok(())) => ok(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Problem::unavailable().into_response()
        }
        Err(_) => {
            tracing::warn!("not ready: the check takes too long");
            Problem::unavailable().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: Router, path: &str) -> Response {
        router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_service_without_its_database_is_alive_but_not_ready() {
        let broken = router(|| async { Err("the database is out of reach") });
        assert_eq!(ask(broken.clone(), "/livez").await.status(), 200);
        let response = ask(broken, "/readyz").await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));

        let response = ask(router(|| async { Ok::<_, String>(()) }), "/readyz").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_a_no() {
        let hanging = router(std::future::pending::<Result<(), String>>);
        assert_eq!(ask(hanging, "/readyz").await.status(), 503);
    }
}
