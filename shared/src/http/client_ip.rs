//! [`ClientIp`]: the address a request comes from, behind the proxies that the operator trusts and no others.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address. An extractor; [`super::edge()`] puts it in place. Without a connection (tests that call the
/// router directly) it is `0.0.0.0`, so limits hold for all such callers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// What rate limits count by: the IPv4 address, or the /64 that one IPv6 customer has to himself.
    pub fn bucket(&self) -> [u8; 16] {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).octets(),
        }
    }

    /// Follows the forwarding headers from `peer` for as long as who speaks is trusted.
    pub(super) fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(peer, trusted) {
            return Self(peer);
        }
        let listed =
            headers.contains_key(X_FORWARDED_FOR).then(|| nearest_untrusted(peer, x_forwarded_for(headers), trusted));
        let forwarded =
            headers.contains_key(header::FORWARDED).then(|| nearest_untrusted(peer, forwarded(headers), trusted));
        Self(match (listed, forwarded) {
            // A proxy maintains one of the two and hands on the other as the client sent it. When they disagree there is
            // no telling which, and believing either would let a client choose its address.
            (Some(a), Some(b)) if a != b => peer,
            (Some(address), _) | (None, Some(address)) => address,
            (None, None) => peer,
        })
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Each hop was written by the one to its right, so only an unbroken run of trusted hops from the right says anything.
fn nearest_untrusted<'h>(peer: IpAddr, hops: impl DoubleEndedIterator<Item = &'h str>, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.rev() {
        match address(hop) {
            Some(address) => nearest = address,
            None => break,
        }
        if !is_trusted(nearest, trusted) {
            break;
        }
    }
    nearest
}

fn x_forwarded_for(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    // A line that is not text yields a hop that is no address, which ends the run.
    headers.get_all(X_FORWARDED_FOR).into_iter().flat_map(|line| line.to_str().unwrap_or("?").split(','))
}

/// The `for` parameters (RFC 7239 §4); an element without one is a hop that says nothing.
fn forwarded(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    let elements = headers.get_all(header::FORWARDED).into_iter().flat_map(|l| l.to_str().unwrap_or("?").split(','));
    elements.map(|element| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case("for")).map_or("?", |(_, value)| value)
    })
}

/// An address with or without a port, brackets and quotes.
fn address(hop: &str) -> Option<IpAddr> {
    let text = hop.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn resolve(peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        ClientIp::resolve(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_can_not_choose_an_address() {
        assert_eq!(resolve("192.0.2.9", &[("x-forwarded-for", "203.0.113.5")]), "192.0.2.9");
        assert_eq!(resolve("10.0.0.1", &[("x-forwarded-for", "203.0.113.5, 192.0.2.9")]), "192.0.2.9");
        assert_eq!(
            resolve("10.0.0.1", &[("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "192.0.2.9,10.0.0.2")]),
            "192.0.2.9"
        );
    }

    #[test]
    fn headers_that_disagree_or_make_no_sense_lead_to_the_proxy() {
        assert_eq!(
            resolve("10.0.0.1", &[("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=203.0.113.5")]),
            "10.0.0.1"
        );
        assert_eq!(
            resolve("10.0.0.1", &[("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=192.0.2.9")]),
            "192.0.2.9"
        );
        assert_eq!(resolve("10.0.0.1", &[("x-forwarded-for", "192.0.2.9, nonsense")]), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &[("x-forwarded-for", "192.0.2.9, nonsense, 10.0.0.7")]), "10.0.0.7");
        assert_eq!(resolve("10.0.0.1", &[("forwarded", "for=192.0.2.9, proto=https")]), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_with_ports_quotes_and_brackets_rfc7239_6() {
        for (line, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("proto=https; for=\"192.0.2.60:80\"", "192.0.2.60"),
            ("for=_hidden", "10.0.0.1"),
        ] {
            assert_eq!(resolve("10.0.0.1", &[("forwarded", line)]), expected, "{line}");
        }
        assert_eq!(resolve("::ffff:10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:99")]), "2001:db8::1");
        assert_eq!(resolve("fd00::1", &[("x-forwarded-for", "2001:db8::1")]), "2001:db8::1");
    }

    #[test]
    fn a_bucket_is_an_ipv4_address_or_an_ipv6_64() {
        let bucket = |text: &str| ClientIp(text.parse().unwrap()).bucket();
        assert_eq!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:2:ffff::9"));
        assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
        assert_eq!(bucket("192.0.2.1"), bucket("::ffff:192.0.2.1"));
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
    }
}
