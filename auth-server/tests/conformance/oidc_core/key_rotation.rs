//! §10.1.1, rotation of signing keys, as clients see it.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Server, each_server};

async fn published(server: &Server) -> Vec<String> {
    let answer = server.get("/oauth/jwks").await;
    assert!(answer.header("cache-control").contains("max-age"), "{answer:?}");
    let keys = answer.json(200)["keys"].as_array().expect("keys").clone();
    keys.iter().map(|key: &Value| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_stays_until_its_tokens_expired__oidc_core_10_1_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (platform, keys) = (&server.state.platform, &server.state.keys);
        let mut signed_with = vec![];
        // Before the successor is made; while it is only published; after it took over; after the old one went.
        for (seconds, old_is_there, keys_of_alg) in
            [(0, true, 1), (89 * 86_400 + 60, true, 2), (86_400, true, 2), (3600 + 900, false, 1)]
        {
            platform.clock.advance(Duration::from_secs(seconds));
            keys.refresh(platform).await.unwrap();
            let kids = published(&server).await;
            assert_eq!(kids.iter().filter(|kid| kid.starts_with("rs256-")).count(), keys_of_alg, "{kids:?}");
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
            // Verifies with what is published now.
            let (header, _) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
            let kid = header["kid"].as_str().unwrap().to_owned();
            signed_with.push(kid);
            assert_eq!(kids.contains(&signed_with[0]), old_is_there);
        }
        assert_eq!(signed_with[0], signed_with[1]);
        assert_ne!(signed_with[1], signed_with[2]);
        assert_eq!(signed_with[2], signed_with[3]);
    })
    .await;
}
