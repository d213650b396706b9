//! The running system, used as people and programs use it. Each story runs on SQLite with the in-process cache and on
//! PostgreSQL with Redis; `cargo xtask e2e` runs them all.
//!
//! - `world`: both services and the demo app on free ports over a fresh store
//! - `actor`: who acts: nobody, a person, a service
//! - `app`: an OAuth client; `visitor`: a person's browser without a screen
//! - `processes`: the real binaries

#[macro_use]
mod world;
mod actor;
mod app;
mod devtools;
mod processes;
mod programme;
mod visitor;

mod accessible;
mod account;
mod api_quality;
mod app_library;
mod apps;
mod browser;
mod command_line;
mod crash;
mod customer;
mod discovery;
mod expiry;
mod factors;
mod fallback;
mod links;
mod lookups;
mod machines;
mod mailbox;
mod mutual_tls;
mod outages;
mod races;
mod real_clients;
mod recovery;
mod registration;
mod schemathesis;
mod signup;
mod step_up;
mod tour;
mod upstream;
mod webhooks;
