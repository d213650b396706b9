//! What both services need: the database handle and the tables both touch, the cache, clock and randomness, ids,
//! problem documents, configuration, mail hand-over and telemetry. Nothing here knows about OAuth endpoints or pages.

pub mod audit;
pub mod brand;
pub mod budget;
pub mod cache;
pub mod clock;
pub mod config;
pub mod db;
pub mod docs_ui;
pub mod dpop;
pub mod email;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod jose;
pub mod limits;
pub mod openapi;
pub mod outbound;
pub mod outbox;
pub mod platform;
pub mod problem;
pub mod process;
pub mod qr;
pub mod random;
pub mod referrals;
pub mod replay;
pub mod revocations;
pub mod secret;
pub mod subjects;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "fuzzing")]
pub mod untrusted;
pub mod users;
pub mod webhooks;

pub use platform::Platform;
