//! A person's browser without a screen: cookies, redirects, links and forms, and no JavaScript, so that every hosted page
//! is proved to work without it.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT, COOKIE, LOCATION, ORIGIN, REFERER, SET_COOKIE};
use reqwest::{Client, Method};
use url::Url;

use crate::app::callback;
use crate::world::PASSWORD;

pub struct Visitor {
    http: Client,
    /// By name: all the pages live on one host, and cookies ignore ports.
    cookies: BTreeMap<String, String>,
    pub language: &'static str,
}

/// Where a walk ended.
#[derive(Debug)]
pub enum Stop {
    Page(Page),
    /// A redirect that leaves the site.
    Away(Url),
}

impl Stop {
    #[track_caller]
    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => page,
            Self::Away(url) => panic!("led away to {url}"),
        }
    }
}

/// A page as it arrived.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Visitor {
    pub fn new(http: Client) -> Self {
        Self { http, cookies: BTreeMap::new(), language: "en" }
    }

    /// Opens `url` and follows redirects that stay on its site.
    pub async fn open(&mut self, url: impl AsRef<str>) -> Stop {
        let url = Url::parse(url.as_ref()).expect("a URL");
        self.walk(Method::GET, url, None).await
    }

    /// Fills in and sends the form on `page` that has all of these fields (a button counts as one).
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Stop {
        let form = page
            .forms()
            .into_iter()
            .find(|form| fields.iter().all(|(name, _)| form.names.iter().any(|n| n == name)))
            .unwrap_or_else(|| panic!("{} has no form with {fields:?}:\n{}", page.url, page.body));
        let mut filled: Vec<(String, String)> =
            form.kept.into_iter().filter(|(name, _)| !fields.iter().any(|(n, _)| n == name)).collect();
        filled.extend(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let url = page.url.join(&form.action).expect("a form leads somewhere");
        self.walk(Method::POST, url, Some((page.url.clone(), filled))).await
    }

    /// Goes through sign-in and consent for an app's request, as far as they are asked for.
    pub async fn authorizes(&mut self, email: &str, request: &Url) -> Url {
        callback(self.allows(email, request).await)
    }

    /// The same, wherever it leads.
    pub async fn allows(&mut self, email: &str, request: &Url) -> Stop {
        let mut stop = self.open(request).await;
        for _ in 0..2 {
            stop = match stop {
                Stop::Page(page) if page.has_field("password") => {
                    self.submit(&page, &[("email", email), ("password", PASSWORD)]).await
                }
                Stop::Page(page) if page.has_field("decision") => self.submit(&page, &[("decision", "allow")]).await,
                other => other,
            };
        }
        stop
    }

    async fn walk(&mut self, mut method: Method, mut url: Url, mut form: Option<(Url, Vec<(String, String)>)>) -> Stop {
        let site = url.origin();
        for _ in 0..10 {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(ACCEPT, "text/html,application/xhtml+xml")
                .header("accept-language", self.language)
                .header(COOKIE, cookies.join("; "));
            if let Some((from, fields)) = form.take() {
                // As browsers do for a form that is posted.
                request = request
                    .header(ORIGIN, from.origin().ascii_serialization())
                    .header(REFERER, from.as_str())
                    .header("sec-fetch-site", "same-origin")
                    .form(&fields);
            }
            let response = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
            for cookie in response.headers().get_all(SET_COOKIE) {
                self.keep(cookie.to_str().expect("cookies are text"));
            }
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            if !(301..=308).contains(&status) {
                let body = response.text().await.expect("a page");
                return Stop::Page(Page { url, status, headers, body });
            }
            let location = headers.get(LOCATION).and_then(|l| l.to_str().ok()).expect("a redirect leads somewhere");
            url = url.join(location).expect("a redirect leads to a URL");
            if url.origin() != site {
                return Stop::Away(url);
            }
            let repeats = method == Method::POST && status != 302 && status != 303;
            assert!(!repeats, "{status} would repeat the form at {url}");
            method = Method::GET;
        }
        panic!("redirected in a circle, lately to {url}");
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name");
        let attributes = attributes.to_ascii_lowercase();
        // As browsers do (RFC 6265bis §4.1.3.2): what this would set or remove stays as it is.
        if name.starts_with("__Host-") && !attributes.contains("secure") {
            return;
        }
        assert!(attributes.contains("httponly") || name.contains("lang"), "scripts could read {cookie}");
        assert!(attributes.contains("samesite=lax"), "{cookie}");
        if value.is_empty() || attributes.contains("max-age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// A form as it stands on the page.
struct Form {
    action: String,
    /// Every field and button that has a name.
    names: Vec<String>,
    /// What is sent along unless it is filled in otherwise.
    kept: Vec<(String, String)>,
}

impl Page {
    /// Is there a field or a button of this name?
    pub fn has_field(&self, name: &str) -> bool {
        self.forms().iter().any(|form| form.names.iter().any(|n| n == name))
    }

    /// What a field holds.
    pub fn value_of(&self, name: &str) -> Option<String> {
        self.forms().into_iter().flat_map(|form| form.kept).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The targets of links.
    pub fn links(&self) -> Vec<Url> {
        let anchors = tags(&self.body).into_iter().filter(|tag| tag.name == "a");
        anchors.filter_map(|tag| self.url.join(&tag.attribute("href")?).ok()).collect()
    }

    /// Does the page say this, in so many words?
    pub fn says(&self, text: &str) -> bool {
        unescape(&self.body).contains(text)
    }

    /// The form that leads off the site, as a browser would send it (OAuth 2.0 Form Post Response Mode §2).
    pub fn form_post(&self) -> Option<(Url, Vec<(String, String)>)> {
        let leads = |form: &Form| self.url.join(&form.action).ok().filter(|url| url.origin() != self.url.origin());
        self.forms().into_iter().find_map(|form| Some((leads(&form)?, form.kept)))
    }

    fn forms(&self) -> Vec<Form> {
        let mut forms: Vec<Form> = vec![];
        let mut open = false;
        for tag in tags(&self.body) {
            match tag.name.as_str() {
                "form" => {
                    let action = tag.attribute("action").unwrap_or_else(|| self.url.to_string());
                    forms.push(Form { action, names: vec![], kept: vec![] });
                    open = true;
                }
                "/form" => open = false,
                "input" | "button" | "select" | "textarea" if open => {
                    let Some(name) = tag.attribute("name") else { continue };
                    let form = forms.last_mut().expect("a form is open");
                    form.names.push(name.clone());
                    let kind = tag.attribute("type").unwrap_or_default();
                    let ticked = kind != "checkbox" && kind != "radio" || tag.attribute("checked").is_some();
                    if tag.name == "input" && kind != "submit" && ticked {
                        form.kept.push((name, tag.attribute("value").unwrap_or_default()));
                    }
                }
                _ => {}
            }
        }
        forms
    }
}

/// A tag and its attributes, as written.
struct Tag {
    name: String,
    attributes: String,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes.as_str();
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let key = &rest[..end];
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                (value, rest) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_once(char::is_whitespace).unwrap_or((after, "")),
                };
            }
            if key == name {
                return Some(unescape(value));
            }
        }
        None
    }
}

/// The tags of a page in their order. Our pages are well-formed: no `>` inside attributes.
fn tags(html: &str) -> Vec<Tag> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag.trim_end_matches('/')))
        .map(|tag| {
            let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            Tag { name: name.to_ascii_lowercase(), attributes: attributes.to_owned() }
        })
        .collect()
}

fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&#x2F;", "/")]
        .iter()
        .fold(text.replace("&#38;", "&amp;"), |text, (from, to)| text.replace(from, to))
        .replace("&amp;", "&")
}
