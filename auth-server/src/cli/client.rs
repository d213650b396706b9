//! `auth-server client create | list | rotate-secret | brand | delete | initial-access-token …`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use shared::Platform;
use shared::brand::{Colour, Theme};
use shared::ids::ClientId;
use shared::jose::json::{Bounds, parse_object};

use super::answer;
use super::initial_access_token::{self, InitialAccessTokenCommand};
use crate::clients::{self, Client, ClientMetadata, Looks, NewClient, Origin, Profile, SubjectType, Unknown};

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
    /// Say how the hosted pages look in a client's flow: all of it anew. Without options they look as everywhere.
    Brand {
        /// The client's id.
        client_id: String,
        #[command(flatten)]
        looks: LooksArgs,
    },
    /// Delete a client with everything it was granted.
    Delete {
        /// The client's id.
        client_id: String,
    },
    /// Tokens with which clients register themselves (RFC 7591).
    #[command(subcommand)]
    InitialAccessToken(InitialAccessTokenCommand),
}

impl ClientCommand {
    /// May it be the first command of all, before a server ever ran?
    pub fn begins(&self) -> bool {
        matches!(self, Self::Create(_) | Self::InitialAccessToken(InitialAccessTokenCommand::Create { .. }))
    }
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
    /// A grant it may use, by its registered name: authorization_code, refresh_token, client_credentials, password,
    /// urn:ietf:params:oauth:grant-type:device_code… Repeatable.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// A scope it may ask for, and gets when it asks for none. Repeatable.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How it authenticates, by the registered name: client_secret_basic, client_secret_post, none… Default:
    /// client_secret_basic, or none with --public.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// Do not insist on PKCE (public clients use it all the same).
    #[arg(long)]
    no_require_pkce: bool,
    /// How its ID tokens are signed: RS256 (the default), ES256 (the default with --profile fapi2), EdDSA or PS256.
    #[arg(long, value_name = "ALG")]
    id_token_alg: Option<String>,
    /// A file with its public keys, a JWK Set.
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where its public keys are fetched from.
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Where people may be sent after signing out; compared character by character. Repeatable.
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    post_logout_redirect_uris: Vec<String>,
    /// Where it is told, server to server, that a session is over.
    #[arg(long, value_name = "URI")]
    backchannel_logout_uri: Option<String>,
    /// What a frame in the browser opens when a session is over.
    #[arg(long, value_name = "URI")]
    frontchannel_logout_uri: Option<String>,
    /// It wants to be told which session (`sid`), in both ways.
    #[arg(long)]
    logout_session_required: bool,
    /// Hold it to every requirement of a profile.
    #[arg(long, value_enum)]
    profile: Option<ProfileName>,
    /// Its authorization requests must be pushed (RFC 9126).
    #[arg(long)]
    require_par: bool,
    /// Its tokens must be bound to a DPoP key (RFC 9449).
    #[arg(long)]
    dpop: bool,
    /// What it is told people are: their account id, or an id that no other client is told.
    #[arg(long, value_enum)]
    subject_type: Option<SubjectTypeName>,
    #[command(flatten)]
    looks: LooksArgs,
    /// Any other metadata by the names of RFC 7591 §2, as JSON, or @FILE with JSON in it. What an option says as well is
    /// as the option says.
    #[arg(long, value_name = "JSON|@FILE")]
    metadata: Option<String>,
}

// How the pages look where people sign in for a client, or allow it something. Metadata of its own can't say so.
#[derive(Args, Clone, Copy)]
pub struct LooksArgs {
    /// The colour of buttons and links on light pages, as #rrggbb. It must have a contrast of 4.5:1 there. Default: made
    /// from the other one.
    #[arg(long = "brand-accent-light", value_name = "COLOUR")]
    accent_light: Option<Colour>,
    /// The same on dark pages.
    #[arg(long = "brand-accent-dark", value_name = "COLOUR")]
    accent_dark: Option<Colour>,
    /// Light or dark. Default: as brand.theme of the configuration.
    #[arg(long = "brand-theme", value_enum)]
    theme: Option<ThemeName>,
}

impl LooksArgs {
    fn read(self) -> Looks {
        let theme = self.theme.map(|theme| match theme {
            ThemeName::System => Theme::System,
            ThemeName::Light => Theme::Light,
            ThemeName::Dark => Theme::Dark,
        });
        Looks { accent_light: self.accent_light, accent_dark: self.accent_dark, theme }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ThemeName {
    /// As the person's system is.
    System,
    Light,
    Dark,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileName {
    /// FAPI 2.0 Security Profile with Message Signing.
    Fapi2,
}

#[derive(Clone, Copy, ValueEnum)]
enum SubjectTypeName {
    Public,
    Pairwise,
}

impl Create {
    /// The client that is meant, and what of the options does not go together.
    fn into_client(self) -> anyhow::Result<(NewClient, Vec<String>)> {
        let mut mistakes = vec![];
        // Whoever names no grant is told so, instead of being given the specification's default.
        let base =
            ClientMetadata { grant_types: vec![], require_pkce: !self.no_require_pkce, ..ClientMetadata::default() };
        let mut metadata = match &self.metadata {
            None => base,
            Some(given) => {
                let given = object("--metadata", given)?;
                // Its name is --name, which must be there.
                clients::parse(&given, base, Unknown::Refuse).context("--metadata")?.metadata
            }
        };
        match (self.auth_method, self.public) {
            (Some(method), true) if method != "none" => {
                mistakes.push("--public goes with --auth-method none only: a public client has no secret".to_owned());
            }
            (Some(method), _) => metadata.token_endpoint_auth_method = method,
            (None, true) => metadata.token_endpoint_auth_method = "none".into(),
            (None, false) => {}
        }
        // Both `--scope a --scope b` and `--scope "a b"` are what people write.
        let scopes = self.scopes.iter().flat_map(|s| s.split_whitespace()).map(str::to_owned).collect();
        for (given, list) in [
            (self.redirect_uris, &mut metadata.redirect_uris),
            (self.grants, &mut metadata.grant_types),
            (scopes, &mut metadata.scopes),
            (self.post_logout_redirect_uris, &mut metadata.post_logout_redirect_uris),
        ] {
            if !given.is_empty() {
                *list = given;
            }
        }
        if let Some(alg) = self.id_token_alg {
            metadata.id_token_signed_response_alg = alg;
        }
        if let Some(file) = self.jwks {
            metadata.jwks = Some(Value::Object(object("--jwks", &format!("@{}", file.display()))?));
        }
        if self.jwks_uri.is_some() {
            metadata.jwks_uri = self.jwks_uri;
        }
        if self.backchannel_logout_uri.is_some() {
            metadata.backchannel_logout_uri = self.backchannel_logout_uri;
        }
        if self.frontchannel_logout_uri.is_some() {
            metadata.frontchannel_logout_uri = self.frontchannel_logout_uri;
        }
        if self.logout_session_required {
            metadata.backchannel_logout_session_required = metadata.backchannel_logout_uri.is_some();
            metadata.frontchannel_logout_session_required = metadata.frontchannel_logout_uri.is_some();
            if !metadata.backchannel_logout_session_required && !metadata.frontchannel_logout_session_required {
                let mistake = "--logout-session-required goes with --backchannel-logout-uri or --frontchannel-logout-uri: \
                               without one the client is told of no sign-out";
                mistakes.push(mistake.to_owned());
            }
        }
        for (way, required, uri) in [
            ("backchannel", metadata.backchannel_logout_session_required, &metadata.backchannel_logout_uri),
            ("frontchannel", metadata.frontchannel_logout_session_required, &metadata.frontchannel_logout_uri),
        ] {
            if required && uri.is_none() {
                mistakes.push(format!("{way}_logout_session_required goes with {way}_logout_uri, which is missing"));
            }
        }
        match self.subject_type {
            Some(SubjectTypeName::Public) => metadata.subject_type = SubjectType::Public,
            Some(SubjectTypeName::Pairwise) => metadata.subject_type = SubjectType::Pairwise,
            None => {}
        }
        let looks = self.looks.read();
        metadata.brand_accent_light = looks.accent_light.or(metadata.brand_accent_light);
        metadata.brand_accent_dark = looks.accent_dark.or(metadata.brand_accent_dark);
        metadata.brand_theme = looks.theme.or(metadata.brand_theme);
        metadata.require_pushed_authorization_requests |= self.require_par;
        metadata.dpop_bound_access_tokens |= self.dpop;
        if let Some(ProfileName::Fapi2) = self.profile {
            metadata.profile = Some(Profile::Fapi2);
            metadata.require_pkce = true;
            metadata.require_pushed_authorization_requests = true;
            // RS256, the usual default, is none of FAPI's.
            if metadata.id_token_signed_response_alg == "RS256" {
                metadata.id_token_signed_response_alg = "ES256".into();
            }
        }
        let client = NewClient {
            client_id: self.id.map(ClientId),
            name: self.name,
            first_party: self.first_party,
            origin: Origin::Operator,
            metadata,
        };
        Ok((client, mistakes))
    }
}

/// A JSON object given as text, or as `@FILE`.
fn object(option: &str, given: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match given.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{option}: {file} can't be read"))?,
        None => given.to_owned(),
    };
    let bounds = Bounds { max_bytes: 256 * 1024, max_depth: 16 };
    parse_object(text.as_bytes(), &bounds).with_context(|| format!("{option} must be a JSON object"))
}

/// Runs a command on the database.
pub async fn run(platform: &Platform, command: ClientCommand, json: bool) -> anyhow::Result<()> {
    match command {
        ClientCommand::Create(create) => {
            let (client, mut mistakes) = create.into_client()?;
            mistakes.extend(clients::faults(platform, &client).into_iter().map(|fault| fault.reason));
            match mistakes.as_slice() {
                [] => {}
                [mistake] => bail!("{mistake}"),
                // All at once, as `config check` does it.
                mistakes => bail!("{} mistakes:\n- {}", mistakes.len(), mistakes.join("\n- ")),
            }
            let (client, secret) = clients::create(platform, client).await?;
            let mut said = json!({ "client_id": client.client_id });
            let mut sentence = format!("client_id:     {}", client.client_id);
            if let Some(secret) = &secret {
                said["client_secret"] = json!(secret.reveal());
                sentence += &format!("\nclient_secret: {}\n\nKeep the secret: it is not shown again.", secret.reveal());
            }
            answer(json, &said, &sentence);
        }
        ClientCommand::InitialAccessToken(command) => initial_access_token::run(platform, command, json).await?,
        ClientCommand::List => {
            let clients = clients::list(&mut platform.db.read().await?).await?;
            let said: Vec<Value> = clients.iter().map(describe).collect();
            let lines: Vec<String> = clients.iter().map(line).collect();
            let sentence = if lines.is_empty() { "There are no clients yet.".into() } else { lines.join("\n") };
            answer(json, &json!(said), &sentence);
        }
        ClientCommand::RotateSecret { client_id } => {
            let id = ClientId(client_id.clone());
            let Some(secret) = clients::rotate_secret(platform, &id).await? else {
                let Some(client) = clients::by_id(&mut platform.db.read().await?, &id).await? else {
                    bail!("there is no client {client_id}; `auth-server client list` names them");
                };
                match client.metadata.token_endpoint_auth_method.as_str() {
                    "none" => bail!("{client_id} is a public client: it has no secret"),
                    method => bail!("{client_id} authenticates by {method}: it has no secret"),
                }
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
        ClientCommand::Brand { client_id, looks } => {
            if !clients::restyle(platform, &ClientId(client_id.clone()), looks.read()).await? {
                bail!("there is no client {client_id}; `auth-server client list` names them");
            }
            answer(
                json,
                &json!({ "client_id": client_id, "branded": true }),
                &format!("The pages look so in the flow of {client_id} within a second."),
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
    let mut said = clients::describe(client);
    said.insert("require_pkce".into(), json!(client.metadata.require_pkce));
    said.insert("first_party".into(), json!(client.first_party));
    said.insert("origin".into(), json!(client.origin.as_str()));
    said.insert("created_at".into(), json!(client.created_at));
    Value::Object(said)
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
