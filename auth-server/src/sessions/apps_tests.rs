use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::accounts::testing::{each_state, person};

#[tokio::test]
async fn an_app_tells_what_it_may_do_however_many_sign_ins_to_others_came_after() {
    each_state(&[], |state| async move {
        let platform = &state.platform;
        let ann = person(&state, "ann@example.com").await;
        let now = platform.clock.now();
        let mut tx = platform.db.begin().await.unwrap();
        for client in ["old", "busy"] {
            execute!(
                &mut tx,
                "INSERT INTO clients (client_id, name, first_party, metadata, created_at, updated_at) \
                 VALUES ($1, $1, $2, $3, $4, $4)",
                client,
                true,
                Json(serde_json::json!({})),
                now
            )
            .unwrap();
        }
        let of_busy = [vec!["openid"], vec!["email", "openid"]];
        let grants = [("old", vec!["openid", "profile"])].into_iter();
        for (client, scope) in grants.chain((0..150).map(|n| ("busy", of_busy[n % 2].clone()))) {
            execute!(
                &mut tx,
                "INSERT INTO grants (id, user_id, client_id, details, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
                GrantId::new(&platform.random, &platform.clock),
                ann,
                client,
                Json(serde_json::json!({"scope": scope})),
                now,
                now + TimeDelta::days(1)
            )
            .unwrap();
            platform.clock.advance(Duration::from_millis(2));
        }
        tx.commit().await.unwrap();
        let mut conn = platform.db.read().await.unwrap();
        let apps = connected(&mut conn, ann, platform.clock.now()).await.unwrap();
        let told: Vec<_> = apps.iter().map(|app| (app.client.client_id.as_str(), app.scope.join(" "))).collect();
        assert_eq!(told, [("busy", "openid email".to_owned()), ("old", "openid profile".to_owned())]);
    })
    .await;
}
