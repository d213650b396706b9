//! RFC 7009, OAuth 2.0 Token Revocation; and revocation by the operator.

mod operator;
mod requests;
mod tokens;
