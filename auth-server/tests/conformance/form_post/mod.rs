//! OAuth 2.0 Form Post Response Mode 1.0.

mod page;
mod responses;
