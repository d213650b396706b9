//! [`Asks`]: the question of the consent page and of the device page. Which app wants what of whose account, what is known
//! of the app, and the two buttons.

use askama::Template;
use shared::users::User;

use super::consent::message_of;
use super::layout::Page;
use super::place::place;
use super::samples::{self, Samples};
use super::texts::Texts;
use crate::clients::{Client, Origin};
use crate::sessions::SignedIn;

/// Rendered into a page as `{{ asks|safe }}`: its own template escapes what it holds.
#[derive(Template)]
#[template(path = "pages/asks.html")]
pub struct Asks<'a> {
    t: Texts,
    csrf: String,
    client: &'a str,
    first_party: bool,
    /// It registered or published itself: its name is its own choice.
    stranger: bool,
    /// What is known of it: name and value.
    facts: Vec<(String, String)>,
    /// What it says of itself elsewhere: words and URL.
    links: Vec<(String, &'a str)>,
    email: String,
    name: Option<String>,
    question: Question<'a>,
}

/// What each of the two pages asks in its own way.
pub struct Question<'a> {
    /// Where the answer takes the browser; nowhere, when a device waits for it.
    pub redirect_uri: Option<&'a str>,
    /// The code that the device shows, to be compared.
    pub user_code: Option<String>,
    /// All that is asked for, in words.
    pub asked: Vec<String>,
    /// The page that the form is posted to.
    pub action: &'static str,
    /// By what it knows the question: name and value.
    pub carried: (&'static str, String),
    pub other_link: String,
    /// What to bear in mind.
    pub hint: String,
}

impl<'a> Asks<'a> {
    /// What `client` asks of `user`.
    pub fn new(page: &Page, client: &'a Client, user: User, signed_in: &SignedIn, question: Question<'a>) -> Self {
        let t = page.t();
        let mut facts = vec![];
        // Its id is a URL, and whoever has that host published it (Client ID Metadata Document §8.5).
        if client.origin == Origin::Document {
            facts.push((t.get("consent-publisher"), place(t, client.client_id.as_str())));
        }
        if let Some(uri) = question.redirect_uri {
            facts.push((t.get("consent-destination"), place(t, uri)));
        }
        // RFC 7591 §2. The words are ours and name no host: a URL is as much the app's own choice as its name is.
        let metadata = &client.metadata;
        let links = [
            ("consent-website", &metadata.client_uri),
            ("consent-policy", &metadata.policy_uri),
            ("consent-terms", &metadata.tos_uri),
        ];
        Self {
            t,
            csrf: page.csrf_token(Some(signed_in)),
            client: &client.name,
            first_party: client.first_party,
            stranger: client.origin != Origin::Operator,
            facts,
            links: links.into_iter().filter_map(|(words, url)| Some((t.get(words), url.as_deref()?))).collect(),
            name: user.display_name(),
            email: user.email,
            question,
        }
    }
}

/// With made-up data.
pub fn samples(page: &Page, into: &mut Samples) {
    for (name, origin) in [("asks", Origin::Operator), ("asks-stranger", Origin::Document)] {
        let client = samples::client(origin);
        into.part(name, || Asks::new(page, &client, samples::user(), &samples::signed_in(), question(page)));
    }
    let ours = Client { first_party: true, ..samples::client(Origin::Operator) };
    into.part("asks-ours", || Asks::new(page, &ours, samples::user(), &samples::signed_in(), question(page)));
}

/// What an app might ask.
pub fn question(page: &Page) -> Question<'static> {
    let t = page.t();
    Question {
        redirect_uri: Some("https://app.example/callback"),
        user_code: None,
        asked: ["openid", "email"].map(|scope| t.get(&message_of(scope))).to_vec(),
        action: "/consent",
        carried: ("request", "sample".into()),
        other_link: "/choose-account".into(),
        hint: t.get("consent-password"),
    }
}
