//! [`Answer`]: a response, read whole, and what is held against it.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use url::Url;

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 22).await.expect("the body is read");
        Self { status, headers, body: String::from_utf8(body.to_vec()).expect("the body is UTF-8") }
    }

    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII")).unwrap_or_default()
    }

    /// The body as JSON, of an answer with this status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// An error as RFC 6749 §5.2 has it: status, code, a description in ASCII without quotes, and never cached.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) -> &Self {
        let body = self.json(status);
        assert_eq!(body["error"], code, "{self:?}");
        let description = body["error_description"].as_str().expect("a description");
        assert!(description.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{description}");
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        self.is_not_cached();
        if status == 401 && code == "invalid_client" && self.headers.contains_key(header::WWW_AUTHENTICATE) {
            assert!(self.header("www-authenticate").starts_with("Basic "), "{self:?}");
        }
        self
    }

    #[track_caller]
    pub fn is_not_cached(&self) -> &Self {
        assert!(self.header("cache-control").contains("no-store"), "{self:?}");
        self
    }

    /// Where the browser is sent.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        self.header("location")
    }

    /// The parameters that the client receives in the query of its redirect URI.
    #[track_caller]
    pub fn query(&self) -> BTreeMap<String, String> {
        let url = Url::parse(self.location()).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        url.query_pairs().into_owned().collect()
    }

    /// An error told to the client by redirect (RFC 6749 §4.1.2.1), with the `iss` of RFC 9207 §2 and no code.
    #[track_caller]
    pub fn redirects_with_error(&self, code: &str) -> BTreeMap<String, String> {
        let query = self.query();
        assert_eq!(query.get("error").map(String::as_str), Some(code), "{self:?}");
        assert!(query.contains_key("iss") && !query.contains_key("code"), "{self:?}");
        query
    }

    /// An error shown to the person, who is sent nowhere (RFC 6749 §4.1.2.1).
    #[track_caller]
    pub fn is_error_page(&self) -> &Self {
        assert!(self.status.is_client_error(), "{self:?}");
        assert!(!self.headers.contains_key(header::LOCATION), "{self:?}");
        assert!(self.header("content-type").starts_with("text/html"), "{self:?}");
        self
    }

    /// The value of a hidden field.
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let after = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1);
        let after = after.unwrap_or_else(|| panic!("no field {name}: {self:?}"));
        after.split('"').next().expect("it ends").to_owned()
    }

    /// The parameters that the client receives in the fragment of its redirect URI, and nothing in the query.
    #[track_caller]
    pub fn fragment(&self) -> BTreeMap<String, String> {
        let url = Url::parse(self.location()).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(url.query(), None, "{self:?}");
        url::form_urlencoded::parse(url.fragment().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    /// Where the page's form is posted to, and its fields, as a browser reads them (Form Post Response Mode 1.0).
    #[track_caller]
    pub fn form(&self) -> (String, BTreeMap<String, String>) {
        let form =
            self.body.split("<form method=\"post\" action=\"").nth(1).unwrap_or_else(|| panic!("no form: {self:?}"));
        let form = form.split("</form>").next().expect("it ends");
        let action = unescape(form.split('"').next().expect("an action"));
        let fields = form.split("<input type=\"hidden\" name=\"").skip(1).map(|field| {
            let (name, rest) = field.split_once("\" value=\"").expect("a value");
            (unescape(name), unescape(rest.split('"').next().expect("it ends")))
        });
        (action, fields.collect())
    }
}

/// What askama escaped.
fn unescape(text: &str) -> String {
    let pairs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
