//! OAuth 2.0 Multiple Response Type Encoding Practices.

mod response_mode;
