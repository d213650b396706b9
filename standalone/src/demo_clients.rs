//! The clients that come with the house, so that everything can be tried without registering one. Their secrets are
//! derived from the master key: stable across restarts, different on every installation, stored nowhere in the clear.

use anyhow::{Context, Result};
use auth_server::clients::{ClientMetadata, NewClient, Origin, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo_app::DemoClient;
use shared::Platform;
use shared::ids::ClientId;
use shared::secret::{MasterKey, PlainToken};

/// What a third-party app may ask people for.
const PEOPLE: &[&str] =
    &["openid", "profile", "email", "referral-codes:read", "referral-codes:write", "referrals:read"];

/// Registers them, or brings them in step with the configured addresses. Returns what the demo app signs in with.
pub async fn register(platform: &Platform) -> Result<DemoClient> {
    let config = &platform.config;
    let clients = [
        // The demo app, a coffee house: a third party, so consent is asked.
        client("demo-app", "Kopi", &["authorization_code", "refresh_token"], PEOPLE, "client_secret_basic")
            .redirect(format!("{}/callback", config.demo_url()))
            .accent("#b3261a"),
        // One of our own, on the command line: people type their password into it.
        client(
            "demo-cli",
            "Demo command line",
            &["password", "refresh_token"],
            &[PEOPLE, &["address", "phone", "offline_access", "account:read", "account:write"]].concat(),
            "none",
        )
        .first_party(),
        // A service without people.
        client(
            "demo-service",
            "Demo service",
            &["client_credentials"],
            &["referral-codes:read", "referrals:read"],
            "client_secret_basic",
        ),
        // The documentation pages of both services.
        client("swagger-ui", "API documentation", &["authorization_code"], PEOPLE, "none")
            .redirect(config.api.public_url.join("/docs/oauth2-redirect.html"))
            .redirect(config.auth.public_url.join("/docs/oauth2-redirect.html")),
    ];
    for Demo(new) in clients {
        let id = new.client_id.clone().context("demo clients have ids")?;
        let confidential = new.metadata.token_endpoint_auth_method != "none";
        let secret = confidential.then(|| secret(&platform.master_key, id.as_str()));
        ensure(platform, new, secret.as_ref()).await.with_context(|| format!("the client {}", id.as_str()))?;
    }
    Ok(DemoClient {
        client_id: "demo-app".into(),
        client_secret: secret(&platform.master_key, "demo-app").reveal().to_owned(),
    })
}

/// The secret of a demo client.
fn secret(master_key: &MasterKey, client_id: &str) -> PlainToken {
    let key = master_key.derive(&format!("client-secret/{client_id}"));
    PlainToken::presented(URL_SAFE_NO_PAD.encode(key.as_slice()))
}

struct Demo(NewClient);

fn client(id: &str, name: &str, grants: &[&str], scopes: &[&str], auth_method: &str) -> Demo {
    let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
    Demo(NewClient {
        client_id: Some(ClientId(id.to_owned())),
        name: name.to_owned(),
        first_party: false,
        origin: Origin::Operator,
        metadata: ClientMetadata {
            redirect_uris: vec![],
            grant_types: owned(grants),
            scopes: owned(scopes),
            token_endpoint_auth_method: auth_method.to_owned(),
            ..ClientMetadata::default()
        },
    })
}

impl Demo {
    fn first_party(mut self) -> Self {
        self.0.first_party = true;
        self
    }

    /// The pages take its colour where people sign in for it.
    fn accent(mut self, colour: &str) -> Self {
        self.0.metadata.brand_accent_light = colour.parse().ok();
        self
    }

    fn redirect(mut self, uri: String) -> Self {
        self.0.metadata.redirect_uris.push(uri);
        self
    }
}
