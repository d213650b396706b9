//! §3.1 and §3.2: the device asks for its codes.

use super::{GRANT, begin, device};
use crate::harness::each_server;

#[tokio::test]
async fn a_device_gets_its_codes_and_neither_is_stored__rfc8628_3_2() {
    each_server(&[], |server| async move {
        let app = device(&server).await;
        let answer = app.post("/oauth/device_authorization", &[("scope", "openid email")]).await;
        answer.is_not_cached();
        let begun = answer.json(200);
        let page = format!("{}/device", server.state.issuer());
        let code = begun["user_code"].as_str().unwrap();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        assert_eq!(begun["verification_uri"], page.as_str());
        assert_eq!(begun["verification_uri_complete"], format!("{page}?user_code={code}"));
        assert_eq!((&begun["expires_in"], &begun["interval"]), (&600.into(), &5.into()));
        let device_code = begun["device_code"].as_str().unwrap();
        assert!(device_code.len() >= 43);
        assert_ne!(begin(&app).await["user_code"], code);

        let mut conn = server.state.platform.db.read().await.unwrap();
        let rows: Vec<(Vec<u8>, Vec<u8>, String)> = shared::fetch_all!(
            &mut conn,
            (Vec<u8>, Vec<u8>, String),
            "SELECT device_code_hash, user_code_hash, CAST(request AS TEXT) FROM device_authorizations"
        )
        .unwrap();
        let letters = code.replace('-', "");
        for (device, user, request) in &rows {
            for kept in [device.as_slice(), user, request.as_bytes()] {
                let kept = String::from_utf8_lossy(kept);
                assert!(!kept.contains(device_code) && !kept.contains(&letters) && !kept.contains(code));
            }
        }
        let plain = <sha2::Sha256 as sha2::Digest>::digest(letters.as_bytes());
        assert!(rows.iter().all(|(_, user, _)| *user != plain.as_slice()), "a plain hash is guessed in seconds");
    })
    .await;
}

#[tokio::test]
async fn a_client_proves_who_it_is_and_has_registered_the_grant__rfc8628_3_1() {
    each_server(&[], |server| async move {
        let (app, other) = (device(&server).await, server.app(|_| {}).await);
        let confidential = server
            .app(|m| {
                m.redirect_uris = vec![];
                m.grant_types = vec![GRANT.into()];
            })
            .await;
        let without_scope = server
            .app(|m| {
                m.redirect_uris = vec![];
                m.grant_types = vec![GRANT.into()];
                m.scopes = vec![];
            })
            .await;
        let before = server.rows().await;
        let path = "/oauth/device_authorization";
        without_scope.post(path, &[]).await.is_error(400, "invalid_scope");
        // RFC 9396 §2: the page has no room to ask for them.
        let details =
            [("scope", "openid"), ("authorization_details", r#"[{"type":"referral_code","actions":["read"]}]"#)];
        app.post(path, &details).await.is_error(400, "invalid_authorization_details");
        other.post(path, &[]).await.is_error(400, "unauthorized_client");
        server.post(path, &[]).await.is_error(401, "invalid_client");
        server.post(path, &[("client_id", "nobody")]).await.is_error(401, "invalid_client");
        server.post(path, &[("client_id", &confidential.client_id)]).await.is_error(401, "invalid_client");
        app.post(path, &[("scope", "openid account:write")]).await.is_error(400, "invalid_scope");
        app.post(path, &[("scope", "op\"enid")]).await.is_error(400, "invalid_scope");
        app.post(path, &[("resource", "https://evil.example")]).await.is_error(400, "invalid_target");
        app.post(path, &[("scope", "openid"), ("scope", "email")]).await.is_error(400, "invalid_request");
        assert_eq!(server.get(path).await.status, 405);
        assert_eq!(server.rows().await, before);
        confidential.post(path, &[]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn the_configuration_says_how_long_and_how_often__rfc8628_3_2() {
    each_server(&[("DEVICE__EXPIRES_IN_SECONDS", "90"), ("DEVICE__INTERVAL_SECONDS", "7")], |server| async move {
        let begun = begin(&device(&server).await).await;
        assert_eq!((&begun["expires_in"], &begun["interval"]), (&90.into(), &7.into()));
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_endpoint_and_the_grant__rfc8628_4() {
    each_server(&[], |server| async move {
        let metadata = server.get("/.well-known/oauth-authorization-server").await.json(200);
        let endpoint = format!("{}/oauth/device_authorization", server.state.issuer());
        assert_eq!(metadata["device_authorization_endpoint"], endpoint);
        assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&GRANT.into()), "{metadata}");
    })
    .await;
}
