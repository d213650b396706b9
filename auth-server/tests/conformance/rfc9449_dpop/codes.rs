//! §10, authorization code binding to a DPoP key.

use jsonwebtoken::Algorithm;

use super::Holder;
use crate::harness::each_server;
use crate::rfc9126_par::{push_with, referring};

#[tokio::test]
async fn a_code_that_is_bound_is_exchanged_with_its_key_only__rfc9449_10() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), server.app(|_| {}).await);
        let jkt = holder.jkt();
        let code = app.code(&mut server.browser(), "ann@example.com", &[("dpop_jkt", &jkt)]).await;
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

#[tokio::test]
async fn the_key_that_pushed_the_request_exchanges_its_code__rfc9449_10_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) =
            (Holder::new(&server), Holder::with(&server, Algorithm::EdDSA), server.app(|_| {}).await);
        let proof = holder.signer.proof(&holder.claims("POST", "/oauth/par", None));
        let pushed = push_with(&app, &[("dpop", &proof)], &[]).await.json(201);
        let url = referring(&app.client_id, pushed["request_uri"].as_str().unwrap(), &[]);
        let code = server.browser().code(&url, "ann@example.com").await;
        let before = server.rows().await;
        thief.exchange(&app, &code).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        holder.exchange(&app, &code).await.json(200);
    })
    .await;
}
