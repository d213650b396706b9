//! §5.1, what an answer costs: one commit at most, whatever the grant and however the client authenticates; and nothing
//! that strangers make up takes the one write lock that SQLite has.

use auth_server::clients::{DEVICE_CODE, JWT_BEARER};

use crate::harness::{EveryGrant, Server, each_server};

fn begun(server: &Server) -> u64 {
    server.state.platform.db.transactions()
}

#[tokio::test]
async fn a_token_response_costs_one_transaction_at_most__rfc6749_5_1() {
    each_server(&[], |server| async move {
        for (n, (method, proves)) in [
            ("client_secret_basic", false),
            ("client_secret_post", true),
            ("private_key_jwt", false),
            ("private_key_jwt", true),
            ("none", false),
            ("none", true),
        ]
        .into_iter()
        .enumerate()
        {
            let email = format!("ann{n}@example.com");
            let service = EveryGrant::of(&server, method, &email).await;
            let service = if proves { service.with_key() } else { service };
            for grant in service.grants() {
                let form = service.prepare(grant, "openid email").await;
                let before = begun(&server);
                let answer = service.token(&form).await;
                let cost = begun(&server) - before;
                answer.json(200);
                // A service that acts for itself leaves nothing behind but what it must not show again.
                let once = grant != "client_credentials" || method == "private_key_jwt" || proves;
                assert_eq!(cost, u64::from(once), "{grant} {method} {proves}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_device_that_asks_costs_one_transaction_with_its_assertion__rfc8628_3_5() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "private_key_jwt").await;
        let (code, _) = service.begin_device("openid").await;
        let form = vec![("grant_type", DEVICE_CODE.to_owned()), ("device_code", code)];
        let before = begun(&server);
        service.token(&form).await.is_error(400, "authorization_pending");
        assert_eq!(begun(&server) - before, 1);
    })
    .await;
}

#[tokio::test]
async fn who_makes_up_a_code_or_token_takes_no_write_lock__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "none").await;
        let before = (begun(&server), server.rows().await);
        for (grant, name) in
            [("authorization_code", "code"), ("refresh_token", "refresh_token"), (DEVICE_CODE, "device_code")]
        {
            let form = vec![("grant_type", grant.to_owned()), (name, "made-up".to_owned())];
            service.token(&form).await.is_error(400, "invalid_grant");
        }
        service.app.post("/oauth/revoke", &[("token", "made-up")]).await;
        assert_eq!((begun(&server), server.rows().await), before);
    })
    .await;
}

#[tokio::test]
async fn an_assertion_that_served_for_nothing_is_used_up_all_the_same__rfc7523_3() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "client_secret_basic").await;
        let form = service.prepare(JWT_BEARER, "openid").await;
        let mut wider = form.clone();
        wider.push(("resource", "https://elsewhere.example".to_owned()));
        service.token(&wider).await.is_error(400, "invalid_target");
        service.token(&form).await.is_error(400, "invalid_grant");
        let again = service.prepare(JWT_BEARER, "openid").await;
        service.token(&again).await.json(200);
    })
    .await;
}
