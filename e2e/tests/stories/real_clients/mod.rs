//! Real, unmodified client libraries, each driving the running system through a whole flow and its error cases. The
//! scripts lie in `e2e/clients/`, one folder a language; each gets the system's addresses, its clients and a person to
//! send to the pages, and fails when its library does not see what the specification says.
//!
//! - `stage`: what a script needs to know, running it, and holding it to its last line
//! - `person`: the person at the browser, whom scripts ask to open a URL
//! - `registered`: the clients

mod person;
mod registered;
mod stage;

mod go;
mod in_the_browser;
mod java;
mod javascript;
mod python;
mod typescript;

pub use stage::{fetched, plays};
