//! `auth-server grant list | revoke`, by person, client, session and grant.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use shared::email::Email;
use shared::ids::{ClientId, GrantId, SessionId, UserId};
use shared::{Platform, users};

use super::answer;
use crate::clients;
use crate::protocol::grants::revocation::{self, Listed, Which};

#[derive(Subcommand)]
pub enum GrantCommand {
    /// List live grants.
    List {
        #[command(flatten)]
        matching: Matching,
        /// At most so many, oldest first.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Revoke the grants that match everything given: their refresh tokens end at once, their access tokens within a
    /// second. --session alone signs that session out, --user alone the person everywhere, and their clients are told;
    /// --client alone ends what the client got in its own name too.
    Revoke {
        #[command(flatten)]
        matching: Matching,
    },
}

#[derive(Args)]
pub struct Matching {
    /// The person's id or email address.
    #[arg(long, value_name = "ID|EMAIL")]
    user: Option<String>,
    /// The client's id.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The session, as `sid` names it in tokens.
    #[arg(long, value_name = "SID")]
    session: Option<SessionId>,
    /// The grant, as `grant_id` names it in access tokens.
    #[arg(long, value_name = "ID")]
    grant: Option<GrantId>,
}

impl Matching {
    async fn which(self, platform: &Platform) -> anyhow::Result<Which> {
        let user = match &self.user {
            Some(text) => Some(person(platform, text).await?),
            None => None,
        };
        Ok(Which { user, client: self.client.map(ClientId), session: self.session, grant: self.grant })
    }
}

async fn person(platform: &Platform, text: &str) -> anyhow::Result<UserId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let email = Email::parse(text).ok().with_context(|| format!("{text} is neither an id nor an email address"))?;
    let user = users::by_email(&mut platform.db.read().await?, &email.key).await?;
    Ok(user.with_context(|| format!("nobody has the address {text}"))?.id)
}

/// The same, once its client is known to be there: a slip of the pen must not look like a job well done.
async fn known(platform: &Platform, which: Which) -> anyhow::Result<Which> {
    if let Some(id) = &which.client {
        let client = clients::by_id(&mut platform.db.read().await?, id).await?;
        client.with_context(|| format!("there is no client {id}; `auth-server client list` names them"))?;
    }
    Ok(which)
}

/// Runs a command on the database.
pub async fn run(platform: &Platform, command: GrantCommand, json: bool) -> anyhow::Result<()> {
    match command {
        GrantCommand::List { matching, limit } => {
            let which = known(platform, matching.which(platform).await?).await?;
            let mut conn = platform.db.read().await?;
            let grants = revocation::list(&mut conn, &which, platform.clock.now(), limit.into()).await?;
            let lines: Vec<String> = grants.iter().map(line).collect();
            let sentence = if lines.is_empty() { "There are no such grants.".into() } else { lines.join("\n") };
            answer(json, &json!(grants), &sentence);
        }
        GrantCommand::Revoke { matching } => {
            let which = matching.which(platform).await?;
            if which == Which::default() {
                bail!("say which: --user, --client, --session or --grant");
            }
            let which = known(platform, which).await?;
            let ended = revocation::revoke(platform, &which).await?;
            let mut sentence = match ended.len() {
                0 => "No live grant matches: none is revoked. `auth-server grant list` shows what there is.".into(),
                1 => "1 grant is revoked.".into(),
                n => format!("{n} grants are revoked."),
            };
            if which.is_client_alone() {
                sentence.push_str(" Access tokens that the client got in its own name are refused too.");
            }
            answer(json, &json!({ "revoked": ended }), &sentence);
        }
    }
    Ok(())
}

fn line(grant: &Listed) -> String {
    let sid = grant.sid.map(|sid| sid.to_string()).unwrap_or_else(|| "-".into());
    let Listed { grant_id, user_id, client_id, scope, created_at, .. } = grant;
    format!("{grant_id} {user_id} {:<24} {sid:<36} {} {}", client_id.as_str(), created_at.to_rfc3339(), scope.join(" "))
}
