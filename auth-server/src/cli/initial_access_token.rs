//! `auth-server client initial-access-token create | list | revoke`.

use anyhow::bail;
use chrono::TimeDelta;
use clap::Subcommand;
use serde_json::{Value, json};
use shared::Platform;

use super::answer;
use crate::clients::initial_access_tokens::{self as tokens, InitialAccessToken};

#[derive(Subcommand)]
pub enum InitialAccessTokenCommand {
    /// Make a token with which clients register themselves. It is printed this once.
    Create {
        /// Tells it from others: whom it is for.
        #[arg(long)]
        name: String,
        /// How many clients it may register. Default: any number.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        uses: Option<i64>,
        /// For how many days.
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
    /// List the tokens that may still be used.
    List,
    /// Revoke a token. The clients it registered stay.
    Revoke {
        /// The token's name.
        name: String,
    },
}

/// Runs a command on the database.
pub async fn run(platform: &Platform, command: InitialAccessTokenCommand, json: bool) -> anyhow::Result<()> {
    match command {
        InitialAccessTokenCommand::Create { name, uses, days } => {
            if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
                bail!("--name may have 1 to 100 printable characters");
            }
            let Some((token, made)) = tokens::create(platform, &name, uses, TimeDelta::days(days)).await? else {
                bail!("there is a token {name} already; choose another name, or revoke it first");
            };
            let mut said = describe(&made);
            said["initial_access_token"] = json!(token.reveal());
            let sentence = format!("initial access token: {}\n\nKeep it: it is not shown again.", token.reveal());
            answer(json, &said, &sentence);
        }
        InitialAccessTokenCommand::List => {
            let now = platform.clock.now();
            let mut listed = tokens::list(&mut platform.db.read().await?).await?;
            listed.retain(|token| token.expires_at > now && token.uses_left != Some(0));
            let said: Vec<Value> = listed.iter().map(describe).collect();
            let lines: Vec<String> = listed.iter().map(line).collect();
            let sentence = if lines.is_empty() { "There are no tokens.".into() } else { lines.join("\n") };
            answer(json, &json!(said), &sentence);
        }
        InitialAccessTokenCommand::Revoke { name } => {
            if !tokens::revoke(platform, &name).await? {
                bail!("there is no token {name}; `auth-server client initial-access-token list` names them");
            }
            answer(json, &json!({ "name": name, "revoked": true }), &format!("{name} is revoked."));
        }
    }
    Ok(())
}

fn describe(token: &InitialAccessToken) -> Value {
    json!({
        "name": token.name,
        "uses_left": token.uses_left,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    })
}

fn line(token: &InitialAccessToken) -> String {
    let uses = token.uses_left.map_or("any number".to_owned(), |uses| uses.to_string());
    format!("{:<32} uses left: {uses:<12} until {}", token.name, token.expires_at.format("%Y-%m-%d %H:%M"))
}
