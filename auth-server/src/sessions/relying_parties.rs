//! The clients that know of a session, by the grants that were made in it, and how they learn that it is over: from a
//! job of the outbox (OpenID Connect Back-Channel Logout 1.0) or from a frame on the page that says good-bye
//! (Front-Channel Logout 1.0).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::fetch_all;
use shared::ids::{ClientId, SessionId, UserId};
use shared::outbox::{self, Job};
use url::Url;

use crate::clients::{self, Client};

/// A client, and whom and which session it knows.
#[derive(Clone, Debug)]
pub struct RelyingParty {
    pub client: Client,
    pub user_id: UserId,
    /// Absent where it knows the person and no session: by a grant that outlasted one, or came without a browser.
    pub sid: Option<SessionId>,
}

impl RelyingParty {
    /// What a frame opens to tell the client's own page in this browser (Front-Channel Logout §3).
    pub fn frame(&self, platform: &Platform) -> Option<Url> {
        let metadata = &self.client.metadata;
        let mut url = Url::parse(metadata.frontchannel_logout_uri.as_deref()?).ok()?;
        if metadata.frontchannel_logout_session_required {
            let sid = self.told_sid(platform)?;
            let issuer = platform.config.auth.public_url.as_str();
            url.query_pairs_mut().append_pair("iss", issuer).append_pair("sid", &sid);
        }
        Some(url)
    }

    /// The session, as the client knows it.
    pub(super) fn told_sid(&self, platform: &Platform) -> Option<String> {
        Some(self.client.sid_of(platform, self.sid?))
    }

    fn job(&self) -> Option<Job> {
        let metadata = &self.client.metadata;
        metadata.backchannel_logout_uri.as_ref()?;
        // It could do nothing with a token that names no session (Back-Channel Logout §2.2).
        if metadata.backchannel_logout_session_required && self.sid.is_none() {
            return None;
        }
        let client_id = self.client.client_id.clone();
        Some(Job::BackchannelLogout { client_id, user_id: self.user_id, sid: self.sid, sector: self.client.sector() })
    }
}

/// The clients with a grant of this session, a live one or a past one; not those that were in another sector then, where
/// they knew the person by another name.
pub(super) async fn of_session(tx: &mut Tx, sid: SessionId) -> Result<Vec<RelyingParty>, DbError> {
    type Row = (ClientId, UserId, Option<String>);
    let rows: Vec<Row> =
        fetch_all!(tx, Row, "SELECT DISTINCT client_id, user_id, sector FROM grants WHERE sid = $1", sid)?;
    let mut parties = vec![];
    for (client_id, user_id, sector) in rows {
        if let Some(client) = clients::by_id(tx, &client_id).await?.filter(|client| client.sector() == sector) {
            parties.push(RelyingParty { client, user_id, sid: Some(sid) });
        }
    }
    Ok(parties)
}

/// The clients that know an account whose `sessions` end, with everything it granted. Those of sessions that ended
/// before have been told.
pub(super) async fn of_account(
    tx: &mut Tx,
    user_id: UserId,
    sessions: &[SessionId],
) -> Result<Vec<RelyingParty>, DbError> {
    type Row = (ClientId, Option<SessionId>, Option<String>, Option<DateTime<Utc>>);
    let rows: Vec<Row> =
        fetch_all!(tx, Row, "SELECT client_id, sid, sector, revoked_at FROM grants WHERE user_id = $1", user_id)?;
    let known: BTreeSet<(ClientId, Option<SessionId>, Option<String>)> = rows
        .into_iter()
        .filter(|(_, sid, _, revoked_at)| revoked_at.is_none() || sid.is_some_and(|sid| sessions.contains(&sid)))
        .map(|(client_id, sid, sector, _)| (client_id, sid, sector))
        .collect();
    let mut parties = vec![];
    for (client_id, sid, sector) in known {
        if let Some(client) = clients::by_id(tx, &client_id).await?.filter(|client| client.sector() == sector) {
            parties.push(RelyingParty { client, user_id, sid });
        }
    }
    Ok(parties)
}

/// A client that loses what a person allowed it, by each session it knows; `known` are the sessions and sectors of its
/// grants.
pub(super) async fn of_client(
    tx: &mut Tx,
    user_id: UserId,
    client_id: &ClientId,
    known: BTreeSet<(Option<SessionId>, Option<String>)>,
) -> Result<Vec<RelyingParty>, DbError> {
    let Some(client) = clients::by_id(tx, client_id).await? else { return Ok(vec![]) };
    let ours = known.into_iter().filter(|(_, sector)| *sector == client.sector());
    Ok(ours.map(|(sid, _)| RelyingParty { client: client.clone(), user_id, sid }).collect())
}

/// Has those that registered a `backchannel_logout_uri` told once the caller's transaction has committed.
pub(super) async fn tell(tx: &mut Tx, platform: &Platform, parties: &[RelyingParty]) -> Result<(), DbError> {
    for job in parties.iter().filter_map(RelyingParty::job) {
        outbox::enqueue(tx, platform, &job).await?;
    }
    Ok(())
}
