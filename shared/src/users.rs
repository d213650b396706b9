//! The accounts table, as both services read it. Only the authorization server writes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::db::{Conn, DbError, Tx};
use crate::email::Email;
use crate::ids::UserId;
use crate::{execute, fetch_optional};

/// An account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub email_key: String,
    pub email_canonical: String,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub locale: Option<String>,
    pub role: String,
    pub discoverable: bool,
    pub profile: Json<Profile>,
    /// When the account will be deleted, where its owner wishes that.
    pub deletion_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Standard claims (OpenID Connect Core §5.1) that have no column of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"nickname": "Annie", "website": "https://ann.example.com/", "zoneinfo": "Europe/Berlin"}))]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// URL of a page about the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthdate: Option<String>,
    /// IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zoneinfo: Option<String>,
    /// E.164. Nobody has verified it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// A postal address (OpenID Connect Core §5.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"street_address": "Example Street 1", "locality": "Berlin", "country": "DE"}))]
pub struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What a sign-up knows of a person.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub id: UserId,
    pub email: Email,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub locale: Option<String>,
}

impl User {
    /// The name shown to other people: never the address.
    pub fn display_name(&self) -> Option<String> {
        let name: Vec<&str> = [&self.given_name, &self.family_name].into_iter().flatten().map(String::as_str).collect();
        if name.is_empty() { None } else { Some(name.join(" ")) }
    }

    /// May this account use what is reserved for administrators?
    pub fn is_admin(&self) -> bool {
        self.role == "admin"
    }
}

/// The account with this id.
pub async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>, DbError> {
    fetch_optional!(
        conn,
        User,
        "SELECT id, email, email_key, email_canonical, email_verified_at, given_name, family_name, locale, role, \
         discoverable, profile, deletion_at, created_at, updated_at FROM users WHERE id = $1",
        id
    )
}

/// The account with this address ([`Email::key`]).
pub async fn by_email(conn: &mut Conn, email_key: &str) -> Result<Option<User>, DbError> {
    fetch_optional!(
        conn,
        User,
        "SELECT id, email, email_key, email_canonical, email_verified_at, given_name, family_name, locale, role, \
         discoverable, profile, deletion_at, created_at, updated_at FROM users WHERE email_key = $1",
        email_key
    )
}

/// Adds an account. A taken address is [`DbError::UniqueViolation`].
pub async fn insert(tx: &mut Tx, user: &NewUser, now: DateTime<Utc>) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO users (id, email, email_key, email_canonical, email_verified_at, given_name, family_name, locale, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        user.id,
        &user.email.display,
        &user.email.key,
        &user.email.canonical,
        user.email_verified_at,
        user.given_name.as_deref(),
        user.family_name.as_deref(),
        user.locale.as_deref(),
        now
    )?;
    Ok(())
}
