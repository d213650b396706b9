//! §2.2: a certificate of the client's own, whose key it registered.

use std::time::Duration;

use shared::testing::certificates::Identity;
use shared::testing::certificates::rcgen::{CertificateParams, date_time_ymd};

use super::{each_stage, is_refused, jwks, machine, token};
use crate::harness::Site;

/// Another certificate for the same key.
fn again(identity: &Identity, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::default();
    change(&mut params);
    let certificate = params.self_signed(&identity.key).unwrap();
    let mut again = Identity::self_signed("again");
    again.der = certificate.der().to_vec();
    again
}

#[tokio::test]
async fn a_client_is_known_by_the_key_it_registered_whatever_its_certificate_says__rfc8705_2_2() {
    each_stage(|stage| async move {
        let own = Identity::self_signed("client");
        let app = stage.server.app(|m| {
            machine(m, "self_signed_tls_client_auth");
            m.jwks = Some(jwks(&own));
        });
        let app = app.await;
        token(&app, Some(&own)).await.json(200);
        token(&app, Some(&again(&own, |_| {}))).await.json(200);

        is_refused(&app, None).await;
        is_refused(&app, Some(&Identity::self_signed("client"))).await;
        is_refused(&app, Some(&stage.authority.client("client", |_| {}))).await;
        is_refused(&app, Some(&again(&own, |params| params.not_after = date_time_ymd(2020, 1, 1)))).await;
    })
    .await;
}

#[tokio::test]
async fn the_key_may_stand_at_an_address_and_change_there__rfc8705_2_2_2() {
    each_stage(|stage| async move {
        let site = Site::start().await;
        let (own, next) = (Identity::self_signed("client"), Identity::self_signed("client"));
        let uri = site.publish("/jwks", &jwks(&own));
        let app = stage.server.app(|m| {
            machine(m, "self_signed_tls_client_auth");
            m.jwks_uri = Some(uri);
        });
        let app = app.await;
        for _ in 0..2 {
            token(&app, Some(&own)).await.json(200);
        }
        assert_eq!(site.asked("/jwks"), 1, "it is kept");
        // A certificate nobody knows does not make us ask at its pace.
        is_refused(&app, Some(&next)).await;
        assert_eq!(site.asked("/jwks"), 1);
        site.publish("/jwks", &jwks(&next));
        let clock = &stage.server.state.platform.clock;
        clock.advance(Duration::from_secs(6));
        token(&app, Some(&next)).await.json(200);
        is_refused(&app, Some(&own)).await;
        // While nobody answers there it serves for an hour, and then no more.
        site.answer("/jwks", 503, &[], "");
        clock.advance(Duration::from_secs(50 * 60));
        token(&app, Some(&next)).await.json(200);
        clock.advance(Duration::from_secs(20 * 60));
        is_refused(&app, Some(&next)).await;
    })
    .await;
}
