//! `auth-server client create | list | rotate-secret | delete`.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::Platform;
use shared::ids::ClientId;

use super::answer;
use crate::clients::{self, Client, ClientMetadata, NewClient};

#[derive(Subcommand)]
pub enum ClientCommand {
    /// Register a client. Its secret is printed this once.
    Create(Box<Create>),
    /// List the clients.
    List,
    /// Draw a new secret; the old one stops working at once.
    RotateSecret {
        /// The client's id.
        client_id: String,
    },
    /// Delete a client with everything it was granted.
    Delete {
        /// The client's id.
        client_id: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// What people are shown when they are asked for consent.
    #[arg(long)]
    name: String,
    /// The client's id. Default: drawn.
    #[arg(long)]
    id: Option<String>,
    /// One of our own apps: no consent is asked, and the password grant and account scopes are allowed.
    #[arg(long)]
    first_party: bool,
    /// It can't keep a secret (an app on people's devices): no secret, and PKCE always.
    #[arg(long)]
    public: bool,
    /// Where codes may be sent; compared character by character. Repeatable.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// A grant it may use: authorization_code, refresh_token, client_credentials or password. Repeatable.
    #[arg(long = "grant", value_name = "GRANT", required = true)]
    grants: Vec<String>,
    /// A scope it may ask for, and gets when it asks for none. Repeatable.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How it authenticates: client_secret_basic, client_secret_post or none. Default: client_secret_basic, or none
    /// with --public.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// Do not insist on PKCE (public clients use it all the same).
    #[arg(long)]
    no_require_pkce: bool,
    /// How its ID tokens are signed: RS256, ES256, EdDSA or PS256.
    #[arg(long, value_name = "ALG", default_value = "RS256")]
    id_token_alg: String,
}

impl Create {
    fn into_client(self) -> anyhow::Result<NewClient> {
        let method = match (self.auth_method, self.public) {
            (Some(method), true) if method != "none" => {
                bail!("--public goes with --auth-method none only: a public client has no secret")
            }
            (Some(method), _) => method,
            (None, true) => "none".into(),
            (None, false) => "client_secret_basic".into(),
        };
        // Both `--scope a --scope b` and `--scope "a b"` are what people write.
        let scopes = self.scopes.iter().flat_map(|s| s.split_whitespace()).map(str::to_owned).collect();
        Ok(NewClient {
            client_id: self.id.map(ClientId),
            name: self.name,
            first_party: self.first_party,
            metadata: ClientMetadata {
                redirect_uris: self.redirect_uris,
                grant_types: self.grants,
                scopes,
                token_endpoint_auth_method: method,
                require_pkce: !self.no_require_pkce,
                id_token_signed_response_alg: self.id_token_alg,
            },
        })
    }
}

/// Runs a command on the database.
pub async fn run(platform: &Platform, command: ClientCommand, json: bool) -> anyhow::Result<()> {
    match command {
        ClientCommand::Create(create) => {
            let (client, secret) = clients::create(platform, create.into_client()?).await?;
            let mut said = json!({ "client_id": client.client_id });
            let mut sentence = format!("client_id:     {}", client.client_id);
            if let Some(secret) = &secret {
                said["client_secret"] = json!(secret.reveal());
                sentence += &format!("\nclient_secret: {}\n\nKeep the secret: it is not shown again.", secret.reveal());
            }
            answer(json, &said, &sentence);
        }
        ClientCommand::List => {
            let clients = clients::list(&mut platform.db.read().await?).await?;
            let said: Vec<Value> = clients.iter().map(describe).collect();
            let lines: Vec<String> = clients.iter().map(line).collect();
            let sentence = if lines.is_empty() { "There are no clients yet.".into() } else { lines.join("\n") };
            answer(json, &json!(said), &sentence);
        }
        ClientCommand::RotateSecret { client_id } => {
            let Some(secret) = clients::rotate_secret(platform, &ClientId(client_id.clone())).await? else {
                bail!("there is no client {client_id} with a secret; `auth-server client list` names them");
            };
            answer(
                json,
                &json!({ "client_id": client_id, "client_secret": secret.reveal() }),
                &format!(
                    "client_secret: {}\n\nThe old one has stopped working. This one is not shown again.",
                    secret.reveal()
                ),
            );
        }
        ClientCommand::Delete { client_id } => {
            if !clients::delete(platform, &ClientId(client_id.clone())).await? {
                bail!("there is no client {client_id}; `auth-server client list` names them");
            }
            answer(
                json,
                &json!({ "client_id": client_id, "deleted": true }),
                &format!("{client_id} is deleted, with all it was granted."),
            );
        }
    }
    Ok(())
}

fn describe(client: &Client) -> Value {
    let ClientMetadata {
        redirect_uris,
        grant_types,
        scopes,
        token_endpoint_auth_method,
        require_pkce,
        id_token_signed_response_alg,
    } = &client.metadata;
    json!({
        "client_id": client.client_id,
        "client_name": client.name,
        "first_party": client.first_party,
        "redirect_uris": redirect_uris,
        "grant_types": grant_types,
        "scope": scopes.join(" "),
        "token_endpoint_auth_method": token_endpoint_auth_method,
        "require_pkce": require_pkce,
        "id_token_signed_response_alg": id_token_signed_response_alg,
        "created_at": client.created_at,
    })
}

fn line(client: &Client) -> String {
    let standing = if client.first_party { "first-party" } else { "third-party" };
    format!(
        "{:<24} {:<12} {:<20} {:<40} {}",
        client.client_id.as_str(),
        standing,
        client.metadata.token_endpoint_auth_method,
        client.metadata.grant_types.join(" "),
        client.name
    )
}
