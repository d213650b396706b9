//! The hosted pages, one file a page. [`layout`] holds what they share: language, security headers, CSRF. All of them
//! work without JavaScript.

mod account;
mod asks;
pub(crate) mod assets;
mod choose_account;
mod consent;
mod consent_details;
mod device;
mod email_change;
pub mod error;
pub mod field;
mod forgot_password;
pub mod form_post;
mod home;
pub mod layout;
mod login;
pub mod logout;
pub(crate) mod look;
mod passkey;
mod place;
mod referral_link;
mod reset_password;
pub(crate) mod samples;
mod second_factor;
mod sheet;
mod signing_in;
mod signup;
mod terms;
mod texts;
mod unsubscribe;
mod upstream;
mod verify_email;
mod visit;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::AppState;

/// Larger than any of our forms.
const MAX_FORM: usize = 16 * 1024;

/// The pages' routes, and the files they use.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/", get(home::show))
        .route("/signup", get(signup::show).post(signup::submit))
        .route("/login", get(login::show).post(login::submit))
        .route("/login/second-factor", get(second_factor::show).post(second_factor::submit))
        .route("/login/second-factor/mail", post(second_factor::ask_for_mail))
        .route("/login/passkey", post(passkey::submit))
        .route("/login/passkey/options", post(passkey::begin))
        .route("/login/upstream/{id}", post(upstream::begin))
        .route("/login/upstream/{id}/callback", get(upstream::callback))
        .route("/login/continue", get(upstream::show).post(upstream::submit))
        .route("/login/continue/code", post(upstream::prove))
        .route("/choose-account", get(choose_account::show).post(choose_account::submit))
        .route("/terms", get(terms::show).post(terms::submit))
        .route("/consent", get(consent::show).post(consent::submit))
        .route("/device", get(device::show).post(device::submit))
        .route("/logout", get(logout::show).post(logout::submit))
        .route("/verify-email", get(verify_email::show).post(verify_email::submit))
        .route("/email-change", get(email_change::show).post(email_change::submit))
        .route("/forgot-password", get(forgot_password::show).post(forgot_password::submit))
        .route("/reset-password", get(reset_password::show).post(reset_password::submit))
        .merge(account::router())
        .layer(crate::sessions::layer(state))
        .route("/signup/referral-code", get(signup::check_code))
        .route("/r/{code}", get(referral_link::follow))
        .route("/unsubscribe", get(unsubscribe::show).post(unsubscribe::submit))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .route("/assets/{name}", get(assets::serve))
}

#[cfg(test)]
mod tests;
