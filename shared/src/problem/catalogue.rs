//! Every kind of problem that the two services answer, with what it means and what to do. From here come
//! docs/PROBLEMS.md, the pages at `/problems/…` and the examples of the OpenAPI documents; a test compares it with what
//! the code makes.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// One kind of problem.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The last part of its `type`.
    pub slug: &'static str,
    pub status: u16,
    pub title: &'static str,
    /// When it is answered.
    pub meaning: &'static str,
    /// What the caller does about it.
    pub remedy: &'static str,
    /// What `detail` may say, for examples.
    pub detail: Option<&'static str>,
}

macro_rules! kinds {
    ($($slug:literal, $status:literal, $title:literal, $meaning:literal, $remedy:literal, $detail:expr;)*) => {
        /// Every kind, by status.
        pub const KINDS: &[Kind] = &[$(Kind {
            slug: $slug, status: $status, title: $title, meaning: $meaning, remedy: $remedy, detail: $detail,
        }),*];
    };
}

kinds! {
    "malformed", 400, "The request can't be read",
        "The body is not JSON, a header holds what it may not, or there are two access tokens.",
        "Correct the program that sends it; `detail` says where. The same request again is refused again.",
        Some("not JSON: expected value at line 1 column 1");
    "insufficient-user-authentication", 401, "The sign-in behind the access token is not enough",
        "The person signed in too long ago, or not strongly enough, for what is asked (RFC 9470).",
        "Send the person through sign-in again with the `max_age` or `acr_values` of the `WWW-Authenticate` header.",
        Some("a more recent or stronger sign-in is needed");
    "unauthorized", 401, "Valid credentials are needed",
        "There is no access token, or one that is not valid: expired, revoked, for another service, or bound to a key \
         that was not shown. `WWW-Authenticate` says which (RFC 6750, RFC 9449).",
        "Get a new access token from the authorization server and try again, once.",
        Some("the access token has expired");
    "email-unverified", 403, "The email address is not confirmed",
        "The caller has not confirmed their own email address, and what was asked sends mail to others.",
        "Have the person open the link that was mailed to them.",
        Some("confirm your own email address first, by the link that was mailed to it");
    "forbidden", 403, "This is not allowed",
        "The caller is known, and may not do this: it is another person's, or for a person, or for administrators.",
        "Nothing that the same caller could do. `detail` says why where that can be told.",
        Some("these are another person's referrals");
    "insufficient-authorization-details", 403, "The access token does not allow this",
        "The authorization details of the token (RFC 9396) allow less than what was asked.",
        "Ask for a token with authorization details that allow it.",
        Some("the authorization_details of the token do not allow this");
    "insufficient-scope", 403, "The access token does not allow this",
        "The token lacks the scope that `WWW-Authenticate` and `detail` name (RFC 6750 §3.1).",
        "Ask for a token with that scope.",
        Some("this needs the scope referral-codes:write");
    "signup-closed", 403, "nobody can sign up here",
        "The operator lets nobody sign up, or only who was invited.",
        "Sign up with a referral code where that is what is missing.",
        None;
    "not-found", 404, "There is nothing here",
        "There is no such thing, or the caller may not know of it: both look the same.",
        "Check the address, and whose it is.",
        Some("there is no such code among yours");
    "method-not-allowed", 405, "This method does not work here",
        "The address exists, and answers other methods: `Allow` lists them.",
        "Use one of those.",
        None;
    "code-active", 409, "There is an active code already",
        "The person has an active referral code, and may have one at a time.",
        "Use that one, or delete it first.",
        Some("there is an active code; delete it before making another");
    "code-taken", 409, "The code is taken",
        "Somebody has, or had, the referral code that was asked for. Codes that look alike are one.",
        "Choose another, or leave `code` out and have one drawn.",
        Some("somebody has or had this code");
    "email-taken", 409, "The email address is taken",
        "There is an account with this email address already.",
        "Have the person sign in.",
        Some("this address has an account already; sign in");
    "endpoint-disabled", 409, "The webhook endpoint is disabled",
        "Nothing is sent to a webhook endpoint that is disabled.",
        "Enable it first: PATCH it with `{\"status\": \"enabled\"}`.",
        Some("the endpoint is disabled; enable it first");
    "idempotency-key-in-use", 409, "The same request is under way",
        "The same request, with this `Idempotency-Key`, is being answered just now.",
        "Send it again in a moment, with the same key: the answer will be there.",
        Some("the same request is being answered just now");
    "invitation-not-waiting", 409, "The invitation waits no more",
        "The invitation was sent, has failed, or was withdrawn before.",
        "Nothing more can be done about it. Get it to see which.",
        Some("it was sent, failed or was withdrawn before");
    "referral-held", 409, "The referral is held",
        "The referral qualified, and its hold is not over; `detail` says when it is.",
        "Wait: it is rewarded by itself then. Or reward it now, with `despite_hold`.",
        Some("it is held until 2030-02-14 12:00:00 UTC");
    "referral-status", 409, "The referral's status does not allow this",
        "What is asked can't be done to a referral of this status.",
        "Get the referral: perhaps somebody else was faster. `detail` says what it is and what it was to be.",
        Some("a referral that is pending can't become qualified");
    "referral-under-review", 409, "The referral is under review",
        "Something speaks against the referral, and nobody has looked at it.",
        "Look at its signals, and clear or reject it.",
        Some("something speaks against it: it waits for somebody to look at that");
    "too-many-endpoints", 409, "There are too many webhook endpoints",
        "The caller has as many webhook endpoints as it may.",
        "Delete one that is not needed, or have the operator raise `webhooks.max_endpoints`.",
        Some("a client may have 20 endpoints; delete one first");
    "payload-too-large", 413, "The request body is too large",
        "The body is larger than any that makes sense here.",
        "Send less.",
        None;
    "unsupported-media-type", 415, "This media type is not accepted",
        "The body is not in a format that is read here.",
        "Send JSON, with `Content-Type: application/json`.",
        Some("send application/json");
    "idempotency-key-reused", 422, "This Idempotency-Key was used for another request",
        "The `Idempotency-Key` came before, with something else in the request.",
        "Make a new key for each thing to be done, and repeat it only with the same request.",
        None;
    "validation", 422, "The request is not valid",
        "The request can be read, and some of what it says can't be accepted. `errors` names each place: `#/name` in the \
         body, `#/query/name` in the query, `#/path/name` in the path.",
        "Correct the fields that `errors` points at.",
        None;
    "too-many-requests", 429, "Too many requests",
        "The caller, or the address that they call from, did this too often. `Retry-After` says for how long to stay \
         away; the referral API tells with every answer what is left, in `RateLimit`.",
        "Wait for as long as `Retry-After` says.",
        None;
    "internal", 500, "Something went wrong on our side",
        "A fault of the service. What it was stands in its log, beside the `request_id`.",
        "Try again later; when it stays, tell the operator the `request_id`.",
        None;
    "unavailable", 503, "The service can't answer just now",
        "Something that the service needs is out of reach, or there is too much to do.",
        "Try again after `Retry-After`. With an `Idempotency-Key`, nothing is done twice.",
        None;
}

impl Kind {
    /// Its `type`.
    pub fn uri(&self) -> String {
        super::type_of(self.slug)
    }

    /// A whole problem of this kind, as an example; `fault` is a field at fault, for those that name one.
    pub fn example(&self, fault: Option<(&str, &str)>) -> Value {
        let mut problem = json!({ "type": self.uri(), "title": self.title, "status": self.status });
        if let Some(detail) = self.detail {
            problem["detail"] = detail.into();
        }
        if self.slug == "validation" {
            let (pointer, detail) = fault.unwrap_or(("#/", "must be an object"));
            problem["errors"] = json!([{ "pointer": pointer, "detail": detail }]);
        }
        problem["request_id"] = "01998f4e-6d2c-7c31-9b1e-3f0a5d7e8c42".into();
        problem
    }
}

/// The kind of this name.
pub fn find(slug: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.slug == slug)
}

/// What a bare status is answered as.
pub fn of_status(status: u16) -> Option<&'static Kind> {
    let problem = super::Problem::from_status(StatusCode::from_u16(status).ok()?);
    find(problem.kind().rsplit(':').next()?).filter(|kind| kind.status == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_say_what_to_do() {
        for (n, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..n].iter().all(|other| other.slug != kind.slug), "{} is there twice", kind.slug);
            for text in [kind.meaning, kind.remedy] {
                assert!(text.ends_with('.'), "{}: {text}", kind.slug);
            }
            let example = kind.example(None);
            assert_eq!(example["type"], format!("urn:referris:problem:{}", kind.slug));
        }
        assert!(KINDS.is_sorted_by_key(|kind| kind.status));
    }

    #[test]
    fn a_bare_status_has_its_kind() {
        for (status, slug) in
            [(400, "malformed"), (422, "validation"), (429, "too-many-requests"), (503, "unavailable")]
        {
            assert_eq!(of_status(status).map(|kind| kind.slug), Some(slug));
        }
        assert!(of_status(418).is_none() && of_status(409).is_none());
    }
}
