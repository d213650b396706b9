//! Referral codes and referrals: the tables that sign-up (authorization server) and the referral API both touch.

pub mod cached;
pub mod clicks;
pub mod code;
pub mod deletion;
pub mod invitations;
pub mod life;
pub mod rewards;
pub mod rotation;
pub mod signals;
pub mod store;
pub mod trace;
