//! Signing keys: one a signature algorithm, kept parsed, sealed at rest, published as a JWKS and rotated on schedule.

mod ring;
mod sign;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ring::{KeyRing, KeyRingError};
pub use sign::{Algorithm, SigningKey};
