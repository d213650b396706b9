//! Stories told to the referral API as its callers tell them, on each store.
#![expect(non_snake_case, reason = "test names are sentences that name RFC sections")]

mod bad_input;
mod budgets;
mod caching;
mod codes;
mod conditional;
mod cors;
mod documentation;
mod invitations;
mod keys;
mod links;
mod lookup;
mod pairwise;
mod programme;
mod referrals;
mod rfc8705_mtls;
mod rfc9396_rar;
mod rfc9449_dpop;
mod rfc9470_step_up;
mod rfc9728_metadata;
mod sent_invitations;
mod tokens;
mod verified_tokens;
mod webhooks;
mod world;
