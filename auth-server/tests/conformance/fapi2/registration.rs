//! What can't be registered with the profile.

use auth_server::clients::{self, ClientError, ClientMetadata, NewClient, Origin};
use jsonwebtoken::Algorithm;
use shared::jose::testing::Signer;

use super::metadata;
use crate::harness::{Server, each_server};

pub(super) async fn register(
    server: &Server,
    signer: &Signer,
    change: impl FnOnce(&mut ClientMetadata),
) -> Result<(), String> {
    let mut client = ClientMetadata {
        redirect_uris: vec!["https://app.example/callback".into()],
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        scopes: vec!["openid".into()],
        ..ClientMetadata::default()
    };
    metadata(signer, &mut client);
    change(&mut client);
    let new = NewClient {
        client_id: None,
        name: "Bank".into(),
        // One of our own: the profile makes no exception for it, and nothing else stands in its way.
        first_party: true,
        origin: Origin::Operator,
        metadata: client,
    };
    match clients::create(&server.state.platform, new).await {
        Ok(_) => Ok(()),
        Err(ClientError::Invalid(fault)) => Err(format!("{}: {}", fault.member, fault.reason)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_client_that_can_t_keep_to_the_profile_is_not_registered__fapi2_sp_5_3_2_1() {
    type Change = fn(&mut ClientMetadata);
    let wrong: [(&str, Change); 16] = [
        ("token_endpoint_auth_method", |c| c.token_endpoint_auth_method = "client_secret_basic".into()),
        ("token_endpoint_auth_method", |c| c.token_endpoint_auth_method = "client_secret_jwt".into()),
        ("token_endpoint_auth_method", |c| c.token_endpoint_auth_method = "none".into()),
        ("binds tokens", |c| c.dpop_bound_access_tokens = false),
        ("https", |c| c.redirect_uris.push("http://127.0.0.1/callback".into())),
        ("https", |c| c.redirect_uris.push("com.example.app:/callback".into())),
        ("id_token_signed_response_alg", |c| c.id_token_signed_response_alg = "RS256".into()),
        ("request_object_signing_alg", |c| c.request_object_signing_alg = Some("RS256".into())),
        ("RS256", |c| c.token_endpoint_auth_signing_alg = Some("RS256".into())),
        ("authorization_signed_response_alg", |c| c.authorization_signed_response_alg = Some("RS256".into())),
        ("userinfo_signed_response_alg", |c| c.userinfo_signed_response_alg = Some("RS256".into())),
        ("introspection_signed_response_alg", |c| c.introspection_signed_response_alg = Some("RS256".into())),
        ("no password grant", |c| c.grant_types.push("password".into())),
        ("response_modes", |c| c.response_modes = vec!["jwt".into(), "query".into()]),
        ("response_modes", |c| c.response_modes = vec!["form_post".into()]),
        ("keys", |c| c.jwks = None),
    ];
    let wrong = &wrong;
    each_server(&[], |server| async move {
        let signer = Signer::new(Algorithm::ES256);
        let before = server.rows().await;
        for (named, change) in wrong {
            let reason = register(&server, &signer, change).await.unwrap_err();
            assert!(reason.contains(named), "{named}: {reason}");
        }
        assert_eq!(server.rows().await, before);
        register(&server, &signer, |_| {}).await.unwrap();
        let allowed: [Change; 2] = [
            |c| c.id_token_signed_response_alg = "PS256".into(),
            |c| c.request_object_signing_alg = Some("EdDSA".into()),
        ];
        for change in allowed {
            register(&server, &signer, change).await.unwrap();
        }
    })
    .await;
}
