//! §2.1: a certificate of an authority, about the subject that the client registered.

use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::testing::certificates::rcgen::{CertificateParams, DnType, SanType, date_time_ymd};
use shared::testing::certificates::{Authority, Identity};
use std::net::SocketAddr;

use super::{each_stage, is_refused, machine, token};

fn everything(params: &mut CertificateParams) {
    params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
    params.subject_alt_names = vec![
        SanType::DnsName("other.example.com".try_into().unwrap()),
        SanType::DnsName("client.example.com".try_into().unwrap()),
        SanType::URI("https://client.example.com/id".try_into().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::Rfc822Name("client@example.com".try_into().unwrap()),
    ];
}

#[tokio::test]
async fn a_client_is_known_by_the_one_subject_that_it_registered__rfc8705_2_1_2() {
    each_stage(|stage| async move {
        let ours = stage.authority.client("client", everything);
        let other = stage.authority.client("somebody", |_| {});
        for (member, value) in [
            ("subject_dn", "O=Example\\, Inc.,CN=client"),
            ("subject_dn", "o=example\\2c  inc., cn=Client"),
            ("san_dns", "Client.example.com"),
            ("san_uri", "https://client.example.com/id"),
            ("san_ip", "2001:db8:0:0::7"),
            ("san_email", "client@EXAMPLE.com"),
        ] {
            let app = stage.server.app(|m| {
                machine(m, "tls_client_auth");
                let value = Some(value.to_owned());
                match member {
                    "subject_dn" => m.tls_client_auth_subject_dn = value,
                    "san_dns" => m.tls_client_auth_san_dns = value,
                    "san_uri" => m.tls_client_auth_san_uri = value,
                    "san_ip" => m.tls_client_auth_san_ip = value,
                    _ => m.tls_client_auth_san_email = value,
                }
            });
            let app = app.await;
            let answer = token(&app, Some(&ours)).await.json(200);
            assert_eq!(answer["token_type"], "Bearer", "{member}");
            is_refused(&app, Some(&other)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_does_not_prove_the_client_is_invalid_client__rfc8705_2_1() {
    each_stage(|stage| async move {
        let app = stage.server.app(|m| {
            machine(m, "tls_client_auth");
            m.tls_client_auth_subject_dn = Some("CN=client".into());
        });
        let app = app.await;
        is_refused(&app, None).await;
        // The right name from nobody, from a stranger, too late, too early, and for a server.
        is_refused(&app, Some(&Identity::self_signed("client"))).await;
        is_refused(&app, Some(&Authority::new("Test authority").client("client", |_| {}))).await;
        let expired = |p: &mut CertificateParams| p.not_after = date_time_ymd(2020, 1, 1);
        is_refused(&app, Some(&stage.authority.client("client", expired))).await;
        let early = |p: &mut CertificateParams| p.not_before = date_time_ymd(2090, 1, 1);
        is_refused(&app, Some(&stage.authority.client("client", early))).await;
        is_refused(&app, Some(&stage.authority.server(&["client"]))).await;
        // More attributes than were registered make another subject.
        is_refused(&app, Some(&stage.authority.client("client", everything))).await;
        token(&app, Some(&stage.authority.client("client", |_| {}))).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_certificate_does_not_stand_in_for_another_method__rfc8705_2() {
    each_stage(|stage| async move {
        let certificate = stage.authority.client("client", |_| {});
        let by_secret = stage.server.app(|m| machine(m, "client_secret_basic")).await;
        let mut without = by_secret.clone();
        without.secret = None;
        is_refused(&without, Some(&certificate)).await;
        let app = stage.server.app(|m| {
            machine(m, "tls_client_auth");
            m.tls_client_auth_subject_dn = Some("CN=client".into());
        });
        let mut app = app.await;
        app.secret = Some("a made-up secret".into());
        is_refused(&app, Some(&certificate)).await;
    })
    .await;
}

#[tokio::test]
async fn a_trusted_proxy_hands_on_the_certificate_of_its_client__rfc9440_2_2() {
    each_stage(|stage| async move {
        let app = stage.server.app(|m| {
            machine(m, "tls_client_auth");
            m.tls_client_auth_subject_dn = Some("CN=client".into());
        });
        let app = app.await;
        let item = format!(":{}:", STANDARD.encode(&stage.authority.client("client", |_| {}).der));
        let send = async |peer: [u8; 4]| {
            let request = Request::post("/oauth/token")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("client-cert", &item)
                .extension(ConnectInfo(SocketAddr::from((peer, 5))));
            app.server.send(request, format!("grant_type=client_credentials&client_id={}", app.client_id)).await
        };
        send([10, 0, 0, 5]).await.json(200);
        send([10, 0, 0, 6]).await.is_error(401, "invalid_client");
    })
    .await;
}
