//! The configuration: `referris.toml`, overridden by `REFERRIS__SECTION__KEY` in the environment (and the plain names
//! other tools use, such as `DATABASE_URL`). Each key is stated once, in [`settings!`]: its type, its default and its
//! meaning; the structs, the checks and the reference in `docs/CONFIGURATION.md` are made from that.
//!
//! Every mistake is reported at once, with the key, the reason and what to do.

mod brand;
mod check;
mod keys;
mod programme;
mod reasons;
mod tls;
mod upstream;
mod webhooks;

pub use check::{ConfigError, Mistake, load, load_from};
pub use keys::*;
pub use programme::{QualifyOn, RewardRule, Side};
pub use tls::TlsSettings;
pub use upstream::{Upstream, UpstreamClaims};
