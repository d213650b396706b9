//! The server under test, called without a network, and those who speak to it.

mod answer;
mod app;
pub mod arbitrary;
mod browser;
mod relying_party;
mod server;
mod site;

pub use answer::Answer;
pub use app::{App, CHALLENGE};
pub use browser::Browser;
pub use relying_party::{ALLOWED, RelyingParty};
pub use server::{PASSWORD, Server, each_server};
pub use site::Site;
