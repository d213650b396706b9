//! Everything that is held about a person, as one JSON document for them. No secrets: of what opens something it says that
//! it is there and since when. Of other people it says what the referral API says.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::db::{Conn, DbError};
use shared::email::Email;
use shared::ids::{CodeId, InvitationId, ReferralId, UserId};
use shared::referrals::{clicks, invitations, rewards, store};
use shared::users::User;
use shared::{Platform, fetch_all, fetch_optional, outbox};
use sqlx::types::Json;
use uuid::Uuid;

use crate::outside::{forgotten, unsubscribe};
use crate::protocol::grants::permissions::{self, Permission};

/// Rows read at once.
const PAGE: i64 = 500;

/// Tables with rows about people, and where they stand in the document; or why they do not. A test holds the schema to
/// it.
#[cfg(test)]
pub const TABLES: &[(&str, &str)] = &[
    ("users", "account"),
    ("password_credentials", "password"),
    ("passkeys", "passkeys"),
    ("totp_secrets", "authenticator_app"),
    ("recovery_codes", "recovery_codes"),
    ("mailed_codes", "mailed_codes"),
    ("remembered_devices", "remembered_devices"),
    ("forgotten_browsers", "browsers_forgotten"),
    ("upstream_identities", "other_providers"),
    ("terms_agreements", "terms"),
    ("email_verifications", "email_verifications"),
    ("recovery_requests", "recovery_requests"),
    ("email_changes", "email_changes"),
    ("email_checks", "email_check"),
    ("enrichments", "enrichment"),
    ("browser_sessions", "sessions"),
    ("consents", "consents"),
    ("grants", "grants"),
    ("app_permissions", "app_permissions"),
    ("pairwise_subjects", "subjects"),
    ("referral_codes", "referral_codes"),
    ("referrals", "referrals"),
    ("referral_totals", "referral_totals"),
    ("referral_days", "referral_days"),
    ("reward_entries", "rewards"),
    ("reward_balances", "reward_balances"),
    ("reward_counts", "referrals_rewarded"),
    ("reward_free_places", "referrals_rewarded"),
    ("signup_traces", "sign_up_trace"),
    ("invitations", "invitations"),
    ("outbox", "jobs"),
    ("audit_events", "events"),
];

/// Writes a JSON object member by member, so that only a page of rows is held besides the text.
struct Document {
    text: String,
    in_list: bool,
}

impl Document {
    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push_str(",\n");
        }
        self.text.push_str(&format!("{}: ", Value::from(name)));
    }

    fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.text.push_str(&format!("{value:#}"));
    }

    fn begin_list(&mut self, name: &str) {
        self.name(name);
        self.text.push('[');
        self.in_list = false;
    }

    fn item(&mut self, value: &Value) {
        self.text.push_str(if self.in_list { ",\n" } else { "\n" });
        self.text.push_str(&value.to_string());
        self.in_list = true;
    }

    fn end_list(&mut self) {
        self.text.push(']');
    }

    fn list(&mut self, name: &str, rows: impl IntoIterator<Item = Value>) {
        self.begin_list(name);
        for row in rows {
            self.item(&row);
        }
        self.end_list();
    }
}

type Time = DateTime<Utc>;

/// The document about `user`.
pub async fn export(conn: &mut Conn, platform: &Platform, user: &User) -> Result<String, DbError> {
    let mut document = Document { text: "{".into(), in_list: false };
    document.member("made_at", &json!(platform.clock.now()));
    document.member("account", &account(user));
    security(conn, &mut document, user.id).await?;
    found_out(conn, &mut document, platform, user).await?;
    apps(conn, &mut document, user.id, platform.clock.now()).await?;
    referrals(conn, &mut document, user.id).await?;
    programme(conn, &mut document, user.id).await?;
    invited(conn, &mut document, platform, user.id).await?;
    let jobs = fetch_all!(
        conn,
        (String, Json<Value>, Time, Time),
        "SELECT kind, payload, created_at, expires_at FROM outbox WHERE user_id = $1 ORDER BY created_at LIMIT $2",
        user.id,
        PAGE
    )?;
    // Whether the mail of an invitation still waits would tell what the server says of its address.
    let jobs = jobs.into_iter().filter(|(_, Json(payload), ..)| !outbox::is_invitation(payload));
    document.list("jobs", jobs.map(|(kind, _, at, until)| json!({"kind": kind, "at": at, "until": until})));
    events(conn, &mut document, user.id).await?;
    document.text.push_str("\n}\n");
    Ok(document.text)
}

fn account(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "email_verified_at": user.email_verified_at,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "locale": user.locale,
        "role": user.role,
        "discoverable": user.discoverable,
        "profile": user.profile.0,
        "deletion_at": user.deletion_at,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    })
}

async fn security(conn: &mut Conn, document: &mut Document, user: UserId) -> Result<(), DbError> {
    let password: Option<(Time,)> =
        fetch_optional!(conn, (Time,), "SELECT updated_at FROM password_credentials WHERE user_id = $1", user)?;
    document.member("password", &json!(password.map(|(at,)| json!({"changed_at": at}))));
    factors(conn, document, user).await?;
    let sessions = fetch_all!(
        conn,
        (Option<Uuid>, Json<Value>, Time, Time),
        "SELECT sid, record, created_at, expires_at FROM browser_sessions WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document.list(
        "sessions",
        sessions.into_iter().map(|(sid, Json(record), at, until)| {
            json!({"sid": sid, "sign_in": record.get("signed_in"), "at": at, "until": until})
        }),
    );
    let links = |rows: Vec<(Time, Time, Option<Time>)>| {
        rows.into_iter().map(|(at, until, used)| json!({"at": at, "until": until, "used_at": used}))
    };
    let verifications = fetch_all!(
        conn,
        (Time, Time, Option<Time>),
        "SELECT created_at, expires_at, consumed_at FROM email_verifications WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document.list("email_verifications", links(verifications));
    let recoveries = fetch_all!(
        conn,
        (Time, Time, Option<Time>),
        "SELECT created_at, expires_at, consumed_at FROM recovery_requests WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document.list("recovery_requests", links(recoveries));
    let changes = fetch_all!(
        conn,
        (String, Time, Time, Option<Time>),
        "SELECT new_email, created_at, expires_at, consumed_at FROM email_changes WHERE user_id = $1 \
         ORDER BY created_at",
        user
    )?;
    document.list(
        "email_changes",
        changes
            .into_iter()
            .map(|(to, at, until, over)| json!({"new_email": to, "at": at, "until": until, "over_at": over})),
    );
    Ok(())
}

async fn factors(conn: &mut Conn, document: &mut Document, user: UserId) -> Result<(), DbError> {
    let passkeys = fetch_all!(
        conn,
        (String, Time, Option<Time>),
        "SELECT name, created_at, last_used_at FROM passkeys WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    let passkey = |(name, at, used)| json!({"name": name, "at": at, "last_used_at": used});
    document.list("passkeys", passkeys.into_iter().map(|row: (String, Time, Option<Time>)| passkey(row)));
    let app: Option<(Time,)> =
        fetch_optional!(conn, (Time,), "SELECT created_at FROM totp_secrets WHERE user_id = $1", user)?;
    document.member("authenticator_app", &json!(app.map(|(at,)| json!({"at": at}))));
    let codes = fetch_all!(
        conn,
        (Time, Option<Time>),
        "SELECT created_at, used_at FROM recovery_codes WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document.list("recovery_codes", codes.into_iter().map(|(at, used)| json!({"at": at, "used_at": used})));
    let mailed = fetch_all!(
        conn,
        (Time, Time, Option<Time>),
        "SELECT created_at, expires_at, consumed_at FROM mailed_codes WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document.list(
        "mailed_codes",
        mailed.into_iter().map(|(at, until, over)| json!({"at": at, "until": until, "over_at": over})),
    );
    let devices = fetch_all!(
        conn,
        (Option<String>, Time, Option<Time>, Time),
        "SELECT user_agent, created_at, last_used_at, expires_at FROM remembered_devices WHERE user_id = $1 \
         ORDER BY created_at",
        user
    )?;
    document.list(
        "remembered_devices",
        devices.into_iter().map(
            |(browser, at, used, until)| json!({"browser": browser, "at": at, "last_used_at": used, "until": until}),
        ),
    );
    let forgotten: Option<(Time,)> =
        fetch_optional!(conn, (Time,), "SELECT at FROM forgotten_browsers WHERE user_id = $1", user)?;
    document.member("browsers_forgotten", &json!(forgotten.map(|(at,)| at)));
    let providers = fetch_all!(
        conn,
        (String, String, Option<String>, Time, Option<Time>),
        "SELECT issuer, subject, email, created_at, last_used_at FROM upstream_identities WHERE user_id = $1 \
         ORDER BY created_at",
        user
    )?;
    document.list(
        "other_providers",
        providers.into_iter().map(|(issuer, subject, email, at, used)| {
            json!({"issuer": issuer, "subject": subject, "email": email, "at": at, "last_used_at": used})
        }),
    );
    let terms = fetch_all!(
        conn,
        (String, Time),
        "SELECT version, agreed_at FROM terms_agreements WHERE user_id = $1 ORDER BY agreed_at",
        user
    )?;
    document.list("terms", terms.into_iter().map(|(version, at)| json!({"version": version, "at": at})));
    Ok(())
}

async fn found_out(conn: &mut Conn, document: &mut Document, platform: &Platform, user: &User) -> Result<(), DbError> {
    let check = fetch_optional!(
        conn,
        (String, String, Option<i64>, bool, Json<Value>, Time),
        "SELECT source, status, score, flagged, answer, checked_at FROM email_checks WHERE user_id = $1",
        user.id
    )?;
    // Who has not proved the address may have typed a stranger's, about whom they learn nothing here.
    let proved = user.email_verified_at.is_some();
    let check = check.map(|(source, status, score, flagged, Json(answer), at)| {
        let answer = proved.then_some(answer);
        json!({"source": source, "status": status, "score": score, "flagged": flagged, "answer": answer, "at": at})
    });
    document.member("email_check", &json!(check));
    let enrichment = fetch_optional!(
        conn,
        (String, String, Json<Value>, Time),
        "SELECT source, status, answer, fetched_at FROM enrichments WHERE user_id = $1",
        user.id
    )?
    .filter(|_| proved);
    let enrichment = enrichment.map(
        |(source, status, Json(answer), at)| json!({"source": source, "status": status, "answer": answer, "at": at}),
    );
    document.member("enrichment", &json!(enrichment));
    let no_invitations = match Email::parse(&user.email).ok().filter(|_| proved) {
        Some(email) => Some(unsubscribe::has_objected(conn, &unsubscribe::hash(platform, &email)).await?),
        None => None,
    };
    let no_lookups = match proved {
        true => Some(forgotten::contains(conn, platform, &user.email_key).await?),
        false => None,
    };
    document.member("objections", &json!({"invitations": no_invitations, "lookups": no_lookups}));
    Ok(())
}

async fn apps(conn: &mut Conn, document: &mut Document, user: UserId, now: Time) -> Result<(), DbError> {
    let consents = fetch_all!(
        conn,
        (String, String, Json<Value>, Time),
        "SELECT c.client_id, c.name, k.consent, k.granted_at FROM consents k JOIN clients c ON c.client_id = k.client_id \
         WHERE k.user_id = $1 ORDER BY k.granted_at",
        user
    )?;
    document.list(
        "consents",
        consents.into_iter().map(
            |(client, name, Json(consent), at)| json!({"client_id": client, "app": name, "consent": consent, "at": at}),
        ),
    );
    document.begin_list("grants");
    let mut after = Uuid::nil();
    loop {
        type Row = (Uuid, String, Json<Value>, Time, Time, Option<Time>);
        let rows: Vec<Row> = fetch_all!(
            conn,
            Row,
            "SELECT id, client_id, details, created_at, expires_at, revoked_at FROM grants \
             WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",
            user,
            after,
            PAGE
        )?;
        let Some(last) = rows.last() else { break };
        after = last.0;
        for (id, client, Json(details), at, until, revoked) in rows {
            document.item(&json!({
                "id": id, "client_id": client, "details": details, "at": at, "until": until, "revoked_at": revoked,
            }));
        }
    }
    document.end_list();
    let permissions = permissions::live(conn, user, now).await?;
    document.list(
        "app_permissions",
        permissions.into_iter().map(|Permission { client_id, details: Json(details), since, used_at }| {
            json!({"client_id": client_id, "allowed": details, "since": since, "used_at": used_at})
        }),
    );
    let subjects = fetch_all!(
        conn,
        (String, String, Time),
        "SELECT sub, sector, created_at FROM pairwise_subjects WHERE user_id = $1 ORDER BY created_at",
        user
    )?;
    document
        .list("subjects", subjects.into_iter().map(|(sub, at, since)| json!({"sub": sub, "at": at, "since": since})));
    Ok(())
}

async fn referrals(conn: &mut Conn, document: &mut Document, user: UserId) -> Result<(), DbError> {
    document.begin_list("referral_codes");
    let mut before: Option<CodeId> = None;
    loop {
        let rows = clicks::page_of(conn, user, before, PAGE).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.code.id);
        for clicks::Listed { code: row, deleted_at, clicks, visitors } in rows {
            document.item(&json!({
                "code": row.code, "status": row.status, "created_at": row.created_at, "expires_at": row.expires_at,
                "deleted_at": deleted_at, "max_uses": row.max_uses, "uses": row.uses,
                "clicks": clicks, "visitors": visitors,
            }));
        }
    }
    document.end_list();
    document.begin_list("referrals");
    let mut before: Option<ReferralId> = None;
    loop {
        let rows = store::referrals_of(conn, user, None, before, PAGE).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        for row in rows {
            let name: Vec<String> = [row.given_name, row.family_name].into_iter().flatten().collect();
            document.item(&json!({
                "status": row.status, "code": row.code, "created_at": row.created_at, "updated_at": row.updated_at,
                "display_name": name.join(" "), "email": row.email.as_deref().map(Email::masked),
            }));
        }
    }
    document.end_list();
    let referred_by = fetch_optional!(
        conn,
        (Option<String>, Option<String>, String, Time),
        "SELECT u.given_name, u.family_name, r.status, r.created_at FROM referrals r JOIN users u ON u.id = r.referrer_id \
         WHERE r.referral_user_id = $1",
        user
    )?;
    let referred_by = referred_by.map(|(given, family, status, at)| {
        let name: Vec<String> = [given, family].into_iter().flatten().collect();
        json!({"display_name": name.join(" "), "status": status, "at": at})
    });
    document.member("referred_by", &json!(referred_by));
    Ok(())
}

/// What the programme counts and credits.
async fn programme(conn: &mut Conn, document: &mut Document, user: UserId) -> Result<(), DbError> {
    let totals = fetch_all!(
        conn,
        (String, i64),
        "SELECT status, n FROM referral_totals WHERE referrer_id = $1 ORDER BY status",
        user
    )?;
    document.list("referral_totals", totals.into_iter().map(|(status, n)| json!({"status": status, "n": n})));
    document.begin_list("referral_days");
    let mut after = String::new();
    loop {
        // Seven statuses a day: a page never ends within the last of its days.
        let days = fetch_all!(
            conn,
            (String, String, i64),
            "SELECT day, status, n FROM referral_days WHERE referrer_id = $1 AND day IN \
             (SELECT DISTINCT day FROM referral_days WHERE referrer_id = $1 AND day > $2 ORDER BY day LIMIT 100) \
             ORDER BY day, status",
            user,
            &after
        )?;
        let Some((last, ..)) = days.last() else { break };
        after = last.clone();
        for (day, status, n) in days {
            document.item(&json!({"day": day, "status": status, "n": n}));
        }
    }
    document.end_list();
    document.begin_list("rewards");
    let mut before = None;
    loop {
        let entries = rewards::page_of(conn, user, before, PAGE).await?;
        let Some(last) = entries.last() else { break };
        before = Some(last.id);
        for entry in entries {
            document.item(&json!({
                "id": entry.id, "side": entry.side, "rule": entry.rule, "currency": entry.currency,
                "amount": entry.amount, "reverses": entry.reverses, "at": entry.created_at,
            }));
        }
    }
    document.end_list();
    let balances = fetch_all!(
        conn,
        (String, String, i64, i64),
        "SELECT currency, rule, credited, reversed FROM reward_balances WHERE user_id = $1 ORDER BY currency, rule",
        user
    )?;
    document.list(
        "reward_balances",
        balances.into_iter().map(|(currency, rule, credited, reversed)| {
            json!({"currency": currency, "rule": rule, "credited": credited, "reversed": reversed})
        }),
    );
    // The places that were given, less those that are free again.
    let rewarded: Option<(i64,)> = fetch_optional!(
        conn,
        (i64,),
        "SELECT places - (SELECT COUNT(*) FROM reward_free_places f WHERE f.user_id = c.user_id) \
         FROM reward_counts c WHERE c.user_id = $1",
        user
    )?;
    document.member("referrals_rewarded", &json!(rewarded.map_or(0, |(n,)| n)));
    // The hashes are of no use to anybody but to compare; that they are there, and how long, is theirs to know.
    type Trace = (Option<Vec<u8>>, Option<Vec<u8>>, Time, Time);
    let trace: Option<Trace> = fetch_optional!(
        conn,
        Trace,
        "SELECT address_hash, device_hash, created_at, expires_at FROM signup_traces WHERE user_id = $1",
        user
    )?;
    let trace = trace.map(|(address, browser, at, until)| {
        json!({"address": address.is_some(), "browser": browser.is_some(), "at": at, "until": until})
    });
    document.member("sign_up_trace", &json!(trace));
    Ok(())
}

/// The invitations that one had mailed, as the referral API tells of them.
async fn invited(conn: &mut Conn, document: &mut Document, platform: &Platform, user: UserId) -> Result<(), DbError> {
    let now = platform.clock.now();
    document.begin_list("invitations");
    let mut before: Option<InvitationId> = None;
    loop {
        let rows = invitations::page_of(conn, platform, user, None, before, PAGE).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        for row in rows {
            let (status, sent_at) = row.told(now);
            document.item(&json!({
                "id": row.id, "email": row.email_masked, "status": status, "at": row.created_at, "sent_at": sent_at,
            }));
        }
    }
    document.end_list();
    Ok(())
}

async fn events(conn: &mut Conn, document: &mut Document, user: UserId) -> Result<(), DbError> {
    document.begin_list("events");
    let mut after = Uuid::nil();
    loop {
        type Row = (Uuid, String, Option<String>, Json<Value>, Time);
        let rows: Vec<Row> = fetch_all!(
            conn,
            Row,
            "SELECT id, kind, client_id, details, created_at FROM audit_events WHERE user_id = $1 AND id > $2 \
             ORDER BY id LIMIT $3",
            user,
            after,
            PAGE
        )?;
        let Some(last) = rows.last() else { break };
        after = last.0;
        for (_, kind, client, Json(details), at) in rows {
            document.item(&json!({"kind": kind, "client_id": client, "details": details, "at": at}));
        }
    }
    document.end_list();
    Ok(())
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
