//! §5, refresh tokens: those of public clients are bound to the key, those of confidential clients to the client.

use std::time::Duration;

use futures::future::join_all;
use shared::execute;

use super::{Holder, payload, public};
use crate::harness::each_server;

#[tokio::test]
async fn a_public_clients_refresh_token_wants_the_same_key__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), public(&server).await);
        let tokens = holder.tokens(&app, "openid").await;
        let refresh_token = &tokens["refresh_token"];
        let before = server.rows().await;
        thief.refresh(&app, refresh_token).await.is_error(400, "invalid_grant");
        app.refresh(refresh_token.as_str().unwrap()).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        let next = holder.refresh(&app, refresh_token).await.json(200);
        assert_eq!(next["token_type"], "DPoP");
        assert_eq!(payload(&next["access_token"])["cnf"]["jkt"], holder.jkt());
        holder.refresh(&app, &next["refresh_token"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_used_token_shown_with_another_key_ends_nothing__rfc9449_5__rfc9700_4_14_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), public(&server).await);
        let old = holder.tokens(&app, "openid").await["refresh_token"].clone();
        let live = holder.refresh(&app, &old).await.json(200)["refresh_token"].clone();
        server.state.platform.clock.advance(Duration::from_secs(60));
        let before = server.rows().await;
        thief.refresh(&app, &old).await.is_error(400, "invalid_grant");
        app.refresh(old.as_str().unwrap()).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        let live = holder.refresh(&app, &live).await.json(200)["refresh_token"].clone();
        // With the key it is a second use, and ends the family.
        holder.refresh(&app, &old).await.is_error(400, "invalid_grant");
        holder.refresh(&app, &live).await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_got_lost_is_given_again_to_the_same_key_only__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), public(&server).await);
        let old = holder.tokens(&app, "openid").await["refresh_token"].clone();
        let first = holder.refresh(&app, &old).await.json(200)["refresh_token"].clone();
        thief.refresh(&app, &old).await.is_error(400, "invalid_grant");
        let again = holder.refresh(&app, &old).await.json(200)["refresh_token"].clone();
        assert_eq!(again, first);
        holder.refresh(&app, &first).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_confidential_clients_refresh_token_goes_with_any_key_of_its_own__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (one, two, app) = (Holder::new(&server), Holder::new(&server), server.app(|_| {}).await);
        let tokens = one.tokens(&app, "openid").await;
        let next = two.refresh(&app, &tokens["refresh_token"]).await.json(200);
        assert_eq!(payload(&next["access_token"])["cnf"]["jkt"], two.jkt());
        let next = app.refresh(next["refresh_token"].as_str().unwrap()).await.json(200);
        assert_eq!(next["token_type"], "Bearer");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_with_a_proof_binds_what_it_gives__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (holder, thief, app) = (Holder::new(&server), Holder::new(&server), public(&server).await);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        // A client that uses no key stays free to.
        let free = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        assert_eq!(free["token_type"], "Bearer");
        let bound = holder.refresh(&app, &free["refresh_token"]).await.json(200);
        assert_eq!(bound["token_type"], "DPoP");
        let before = server.rows().await;
        // Neither the new one, nor the old one within the leeway, is good without the key that was proved.
        for stolen in [&bound["refresh_token"], &free["refresh_token"]] {
            app.refresh(stolen.as_str().unwrap()).await.is_error(400, "invalid_grant");
            thief.refresh(&app, stolen).await.is_error(400, "invalid_grant");
        }
        assert_eq!(server.rows().await, before);
        let next = holder.refresh(&app, &bound["refresh_token"]).await.json(200);
        assert_eq!(payload(&next["access_token"])["cnf"]["jkt"], holder.jkt());
    })
    .await;
}

#[tokio::test]
async fn of_two_keys_that_refresh_at_once_the_first_is_bound_and_the_other_refused__rfc9449_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = public(&server).await;
        let holders = [Holder::new(&server), Holder::new(&server)];
        let free = app.tokens(&mut server.browser(), "ann@example.com", &[]).await["refresh_token"].clone();
        // Held until both have read that the grant is bound to no key.
        let mut held = server.state.platform.db.begin().await.unwrap();
        execute!(&mut held, "UPDATE refresh_tokens SET expires_at = expires_at").unwrap();
        let released = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            held.commit().await.unwrap();
        };
        let race = join_all(holders.iter().map(|holder| holder.refresh(&app, &free)));
        let (answers, ()) = tokio::join!(race, released);

        let first = answers.iter().position(|answer| answer.status == 200).expect("one of them refreshes");
        let (winner, loser) = (&holders[first], &holders[1 - first]);
        answers[1 - first].is_error(400, "invalid_grant");
        let bound = answers[first].json(200);
        assert_eq!(payload(&bound["access_token"])["cnf"]["jkt"], winner.jkt());
        let before = server.rows().await;
        for stolen in [&bound["refresh_token"], &free] {
            loser.refresh(&app, stolen).await.is_error(400, "invalid_grant");
        }
        assert_eq!(server.rows().await, before);
        winner.refresh(&app, &bound["refresh_token"]).await.json(200);
    })
    .await;
}
