//! §10, authorization code binding to a DPoP key.

use serde_json::{Value, json};
use sqlx::types::Json;

use super::Holder;
use crate::harness::{Server, each_server};

/// Binds the one code there is, as the authorization endpoint does for `dpop_jkt`.
async fn bind(server: &Server, jkt: &str) {
    let mut tx = server.state.platform.db.begin().await.unwrap();
    let (Json(mut request),): (Json<Value>,) =
        shared::fetch_one!(&mut tx, (Json<Value>,), "SELECT request FROM authorization_codes").unwrap();
    request["dpop_jkt"] = json!(jkt);
    shared::execute!(&mut tx, "UPDATE authorization_codes SET request = $1", Json(request)).unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_code_that_is_bound_is_exchanged_with_its_key_only__rfc9449_10() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), server.app(|_| {}).await);
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        bind(&server, &holder.jkt()).await;
        let before = server.rows().await;
        thief.exchange(&app, &code).await.is_error(400, "invalid_grant");
        app.exchange(&code).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        // It was not used up.
        let tokens = holder.exchange(&app, &code).await.json(200);
        assert_eq!(tokens["token_type"], "DPoP");
        // Nor can a thief without the key end what it gave; a second use with the key does.
        thief.exchange(&app, &code).await.is_error(400, "invalid_grant");
        let tokens = holder.refresh(&app, &tokens["refresh_token"]).await.json(200);
        holder.exchange(&app, &code).await.is_error(400, "invalid_grant");
        holder.refresh(&app, &tokens["refresh_token"]).await.is_error(400, "invalid_grant");
    })
    .await;
}
