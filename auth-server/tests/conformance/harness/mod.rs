//! The server under test, called without a network, and those who speak to it.

mod answer;
mod app;
pub mod arbitrary;
mod browser;
mod every_grant;
mod relying_party;
mod rows;
mod server;
mod site;
mod trap;

pub use answer::Answer;
pub use app::{App, CHALLENGE};
pub use browser::Browser;
pub use every_grant::EveryGrant;
pub use relying_party::{ALLOWED, RelyingParty};
pub use rows::Rows;
pub use server::{PASSWORD, Server, each_server};
pub use site::Site;
pub use trap::Trap;
