//! What the chores and the end-to-end stories share: finding programs on this machine, fetching the
//! client libraries, and throwaway servers.
#![expect(clippy::print_stderr, reason = "what is installed is told to whoever waits")]

pub mod clients;
pub mod command;
pub mod machine;
pub mod servers;
