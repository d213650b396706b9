//! Which addresses the guard refuses, and the operator's exceptions (`outbound.allow`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// Is this an address of the public internet? Everything a name should never lead us to is not: this machine, private
/// and shared networks, link-local ones (cloud metadata lives at 169.254.169.254), multicast, documentation and
/// reserved blocks (IANA special-purpose registries, RFC 6890), also when wrapped in an IPv6 address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)         // this network, private, loopback, multicast and reserved
            | (100, 64..=127, _)             // carrier-grade NAT (RFC 6598)
            | (169, 254, _)                  // link-local
            | (172, 16..=31, _)              // private
            | (192, 0, 0 | 2)                // protocol assignments, documentation
            | (192, 88, 99)                  // 6to4 relays
            | (192, 168, _)                  // private
            | (198, 18 | 19, _)              // benchmarks
            | (198, 51, 100)                 // documentation
            | (203, 0, 113) // documentation
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let s = address.segments();
    match s {
        // NAT64 (RFC 6052): networks with only IPv6 reach public IPv4 hosts so, but it must not lead to private ones.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        // Protocol assignments (Teredo and ORCHID among them), documentation, 6to4, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast is 2000::/3; loopback, unique-local, link-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// An entry of `outbound.allow`: an address or network, or a host with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Network(IpNet),
    Host(Host<String>, Option<u16>),
}

/// The operator's exceptions.
#[derive(Clone, Debug, Default)]
pub struct AllowList(Vec<Entry>);

/// An entry of `outbound.allow` that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address (10.0.0.1), a network (10.0.0.0/8) nor a host (localhost, localhost:8082)")]
pub struct BadEntry(pub String);

impl AllowList {
    /// Reads the entries of `outbound.allow`.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, BadEntry> {
        entries.iter().map(|e| e.as_ref().parse()).collect::<Result<_, _>>().map(Self)
    }

    /// May a name lead to this address?
    pub fn permits_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|entry| matches!(entry, Entry::Network(net) if net.contains(&address)))
    }

    /// Is this very host and port excepted? Then plain http is, too.
    pub fn permits_host(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let literal = match host {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
        };
        let host = host.to_owned();
        literal.is_some_and(|address| self.permits_address(address))
            || self.0.iter().any(|entry| match entry {
                Entry::Host(name, port) => *name == host && port.is_none_or(|p| Some(p) == url.port_or_known_default()),
                Entry::Network(_) => false,
            })
    }
}

impl FromStr for Entry {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        let bad = || BadEntry(text.to_owned());
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(IpNet::from(address.to_canonical())));
        }
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let host = match address.ip() {
                IpAddr::V4(v4) => Host::Ipv4(v4),
                IpAddr::V6(v6) => Host::Ipv6(v6),
            };
            return Ok(Self::Host(host, Some(address.port())));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let host = Host::parse(name).map_err(|_| bad())?;
        Ok(Self::Host(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_public_in_any_disguise() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.1.2.3",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn exceptions_hold_for_their_host_and_port_only() {
        let list =
            AllowList::parse(&["10.1.0.0/16", "::1", "localhost:8082", "hooks.internal", "127.0.0.1:9000"]).unwrap();
        let permits = |url: &str| list.permits_host(&Url::parse(url).unwrap());
        assert!(list.permits_address("10.1.2.3".parse().unwrap()));
        assert!(list.permits_address("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!list.permits_address("10.2.0.1".parse().unwrap()));
        assert!(permits("http://[::1]:1/"));
        assert!(permits("http://localhost:8082/hook"));
        assert!(permits("http://LOCALHOST:8082/hook"));
        assert!(!permits("http://localhost:8083/hook"));
        assert!(permits("https://hooks.internal/"));
        assert!(!permits("https://hooks.internal.example.com/"));
        assert!(permits("http://127.0.0.1:9000/"));
        assert!(permits("http://2130706433:9000/"), "the URL parser folds disguised addresses");
        assert!(!permits("http://127.0.0.1:9001/"));
    }

    #[test]
    fn a_bad_entry_is_named() {
        assert_eq!(AllowList::parse(&["local host"]).unwrap_err(), BadEntry("local host".into()));
        assert!(AllowList::parse(&["localhost:http"]).is_err());
        assert!(AllowList::parse(&["10.0.0.0/33"]).is_err());
    }
}
