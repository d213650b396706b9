//! RFC 7636: Proof Key for Code Exchange by OAuth Public Clients.

mod challenge;
mod verifier;
mod waiting;
