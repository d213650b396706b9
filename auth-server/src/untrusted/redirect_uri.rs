use url::Url;

use super::client;
use crate::clients::{check_redirect_uri, is_loopback};
use crate::protocol::authorization::with_query;
use crate::protocol::registrar::matches_registered;

/// Two lines: a redirect URI that a client registered, and the one that a request asks for.
pub fn redirect_uri(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (registered, asked) = text.split_once('\n').unwrap_or((text, text));
    let registrable = check_redirect_uri(registered) == Ok(());
    if registrable {
        can_receive(registered);
    }
    let mut matched = false;
    for method in ["none", "client_secret_basic"] {
        let mut client = client(method);
        client.metadata.redirect_uris = vec![registered.to_owned()];
        let matches = matches_registered(&client, asked);
        matched |= matches;
        if registered == asked {
            assert!(matches, "{asked:?} is registered");
        } else if matches {
            assert!(client.is_public(), "only native apps can't choose their port (RFC 8252 §7.3)");
            same_but_for_the_port(registered, asked);
            assert!(!registrable || check_redirect_uri(asked) == Ok(()), "{asked:?} matches {registered:?}");
        }
    }
    registrable && matched
}

/// RFC 9700 §2.1: character by character, but for the port on a loopback address.
fn same_but_for_the_port(registered: &str, asked: &str) {
    // What is left of each when all that they begin and end with alike is taken off.
    let start = registered.bytes().zip(asked.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&registered.as_bytes()[start..], &asked.as_bytes()[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    for rest in [&a[..a.len() - end], &b[..b.len() - end]] {
        assert!(rest.iter().all(|b| b.is_ascii_digit() || *b == b':'), "{asked:?} matches {registered:?}");
    }
    // And a browser sees nothing else in it either.
    let [mut a, mut b] = [registered, asked].map(|uri| Url::parse(uri).expect("a URL"));
    assert!(a.scheme() == "http" && is_loopback(&a), "{registered:?}");
    let _ = (a.set_port(None), b.set_port(None));
    assert_eq!(a, b, "{asked:?} matches {registered:?}");
    assert!(b.username().is_empty() && b.password().is_none(), "{asked:?}");
}

/// What was registered leads to the client and nobody else, also with an answer behind it, and fits a `Location` header.
fn can_receive(uri: &str) {
    let url = Url::parse(uri).expect("a URL");
    let secure = url.scheme() == "https" && url.has_host();
    let on_this_machine = url.scheme() == "http" && is_loopback(&url);
    let private = url.scheme().contains('.');
    assert!(secure || on_this_machine || private, "{uri:?}");
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none(), "{uri:?}");
    assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri:?}");
    let answer = with_query(uri, &[("code", "c&d".into()), ("state", "#".into())]);
    assert!(answer.starts_with(uri));
    let answered = Url::parse(&answer).expect("a URL");
    assert_eq!(
        (answered.scheme(), answered.host_str(), answered.port(), answered.path()),
        (url.scheme(), url.host_str(), url.port(), url.path()),
        "{answer:?}"
    );
    let query: Vec<_> = answered.query_pairs().collect();
    let before = url.query_pairs().count();
    assert_eq!(query.len(), before + 2, "{answer:?}");
    assert_eq!((&*query[before].0, &*query[before].1), ("code", "c&d"), "{answer:?}");
}
