//! §2.2: a certificate of the client's own, whose key it registered.

use shared::testing::certificates::Identity;
use shared::testing::certificates::rcgen::{CertificateParams, date_time_ymd};

use super::{each_stage, is_refused, jwks, machine, token};

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
