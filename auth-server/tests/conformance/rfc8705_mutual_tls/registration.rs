//! §2.1.2, §2.2.2, §3.4: what a client may register.

use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use serde_json::json;
use shared::testing::certificates::Identity;

use super::{each_stage, jwks, machine};
use crate::harness::{Server, each_server};

async fn refusal(server: &Server, change: impl FnOnce(&mut ClientMetadata)) -> String {
    let mut metadata = ClientMetadata::default();
    machine(&mut metadata, "tls_client_auth");
    change(&mut metadata);
    let new = NewClient { client_id: None, name: "App".into(), first_party: false, origin: Origin::Operator, metadata };
    let before = server.rows().await;
    let error = clients::create(&server.state.platform, new).await.expect_err("it is refused").to_string();
    assert_eq!(server.rows().await, before);
    error
}

#[tokio::test]
async fn exactly_one_subject_is_registered_and_makes_sense__rfc8705_2_1_2() {
    each_stage(|stage| async move {
        let server = &stage.server;
        let text = |text: &str| Some(text.to_owned());
        assert!(refusal(server, |_| {}).await.contains("exactly one"));
        let two = refusal(server, |m| {
            m.tls_client_auth_subject_dn = text("CN=a");
            m.tls_client_auth_san_dns = text("a");
        });
        assert!(two.await.contains("exactly one"));
        assert!(refusal(server, |m| m.tls_client_auth_subject_dn = text("nobody")).await.contains("RFC 4514"));
        assert!(refusal(server, |m| m.tls_client_auth_san_ip = text("1.2.3")).await.contains("IP address"));
        assert!(refusal(server, |m| m.tls_client_auth_san_dns = text("")).await.contains("empty"));
        let elsewhere = refusal(server, |m| {
            m.token_endpoint_auth_method = "client_secret_basic".into();
            m.tls_client_auth_san_dns = text("a");
        });
        assert!(elsewhere.await.contains("tls_client_auth only"));
    })
    .await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_needs_its_key_registered__rfc8705_2_2_2() {
    each_stage(|stage| async move {
        let server = &stage.server;
        let own = |m: &mut ClientMetadata| m.token_endpoint_auth_method = "self_signed_tls_client_auth".into();
        assert!(refusal(server, own).await.contains("jwks"));
        let empty = refusal(server, |m| {
            own(m);
            m.jwks = Some(json!({ "keys": [] }));
        });
        assert!(empty.await.contains("no key"));
    })
    .await;
}

#[tokio::test]
async fn what_could_never_work_can_not_be_registered__rfc8705_5() {
    each_server(&[], |server| async move {
        let subject = |m: &mut ClientMetadata| m.tls_client_auth_san_dns = Some("a".into());
        assert!(refusal(&server, subject).await.contains("no auth method"));
        let own = Identity::self_signed("client");
        let self_signed = refusal(&server, |m| {
            m.token_endpoint_auth_method = "self_signed_tls_client_auth".into();
            m.jwks = Some(jwks(&own));
        });
        assert!(self_signed.await.contains("no auth method"));
        let bound = refusal(&server, |m| {
            m.token_endpoint_auth_method = "client_secret_basic".into();
            m.tls_client_certificate_bound_access_tokens = true;
        });
        assert!(bound.await.contains("no client certificate"));
    })
    .await;
}
