//! The hosts in `NO_PROXY`, in Go's and curl's format.

use std::net::IpAddr;

use url::{Host, Url};

/// The hosts that are reached without a proxy.
pub(super) struct NoProxy(Vec<Rule>);

enum Rule {
    All,
    /// A domain and its subdomains.
    Domain {
        /// The domain with a leading dot.
        suffix: String,
        /// Whether the domain itself matches as well.
        includes_itself: bool,
        port: Option<u16>,
    },
    Address(IpAddr, Option<u16>),
    /// A network and the length of its prefix in bits.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Parses a list of entries separated by commas or whitespace. Ignores invalid entries.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(|entry| Rule::parse(&entry.to_lowercase())).collect())
    }

    pub(super) fn contains(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        self.0.iter().any(|rule| rule.contains(&host, url.port_or_known_default()))
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse().ok()?);
            let length = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= length).then_some(Self::Network(address, bits));
        }
        let (host, port) = split_port(entry)?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        // `*.domain` and `.domain` match only subdomains; `domain` matches the domain itself as well.
        let host = host.trim_end_matches('.');
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let includes_itself = !host.starts_with('.');
        let suffix = if includes_itself { format!(".{host}") } else { host.to_owned() };
        (suffix.len() > 1).then_some(Self::Domain { suffix, includes_itself, port })
    }

    fn contains(&self, host: &Host<&str>, url_port: Option<u16>) -> bool {
        let matches_port = |port: &Option<u16>| port.is_none() || *port == url_port;
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::from(*address)),
            Host::Ipv6(address) => Some(IpAddr::from(*address).to_canonical()),
            Host::Domain(_) => None,
        };
        match (self, host, address) {
            (Self::All, ..) => true,
            (Self::Domain { suffix, includes_itself, port }, Host::Domain(name), _) => {
                let name = name.trim_end_matches('.');
                let is_itself = suffix.strip_prefix('.') == Some(name);
                matches_port(port) && (name.ends_with(suffix) || (*includes_itself && is_itself))
            }
            (Self::Address(named, port), _, Some(address)) => matches_port(port) && *named == address,
            (Self::Network(network, bits), _, Some(address)) => is_in(*network, *bits, address),
            _ => false,
        }
    }
}

/// Splits `HOST:PORT`, `[IPV6]:PORT` and `[IPV6]`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port.parse().ok()?))),
        _ => Some((entry, None)),
    }
}

/// Whether an address belongs to a network.
fn is_in(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits() ^ address.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (network.to_bits() ^ address.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_matches_domains_addresses_and_networks() {
        for (list, url, expected) in [
            ("*", "https://r.test/", true),
            ("", "https://r.test/", false),
            ("r.test", "https://r.test/", true),
            ("R.Test", "https://r.test:5000/", true),
            ("r.test", "https://sub.r.test/", true),
            ("r.test", "https://evilr.test/", false),
            ("r.test", "https://r.test.evil/", false),
            ("r.test", "https://r.test./", true),
            ("r.test.", "https://r.test/", true),
            ("a.test, r.test", "https://r.test/", true),
            ("a.test r.test", "https://r.test/", true),
            (",,", "https://r.test/", false),
            (".r.test", "https://sub.r.test/", true),
            (".r.test", "https://r.test/", false),
            ("*.r.test", "https://a.b.r.test/", true),
            ("*.r.test", "https://r.test/", false),
            ("*r.test", "https://r.test/", false),
            (".", "https://r.test/", false),
            ("r.test:5000", "https://r.test:5000/", true),
            ("r.test:5000", "https://r.test/", false),
            ("r.test:443", "https://r.test/", true),
            ("r.test:443", "http://r.test/", false),
            ("r.test:port", "https://r.test/", false),
            ("*.r.test:80", "http://sub.r.test/", true),
            ("192.0.2.1", "https://192.0.2.1:5000/", true),
            ("192.0.2.1:5000", "https://192.0.2.1/", false),
            ("192.0.2.1:5000", "https://192.0.2.1:5000/", true),
            ("192.0.2.1", "https://192.0.2.10/", false),
            ("192.0.2.1", "https://[::ffff:192.0.2.1]/", true),
            ("192.0.2.0/24", "https://192.0.2.9/", true),
            ("192.0.2.0/24", "https://192.0.3.9/", false),
            ("192.0.2.77/24", "https://192.0.2.9/", true),
            ("0.0.0.0/0", "https://192.0.2.9/", true),
            ("0.0.0.0/0", "https://[2001:db8::1]/", false),
            ("0.0.0.0/0", "https://r.test/", false),
            ("192.0.2.9/32", "https://192.0.2.9/", true),
            ("192.0.2.0/33", "https://192.0.2.9/", false),
            ("2001:db8::1", "https://[2001:db8::1]/", true),
            ("[2001:db8::1]", "https://[2001:db8::1]:5000/", true),
            ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000/", true),
            ("[2001:db8::1]:5000", "https://[2001:db8::1]/", false),
            ("2001:db8::/32", "https://[2001:db8:1::1]/", true),
            ("2001:db8::/32", "https://[2001:db9::1]/", false),
            ("::/0", "https://[2001:db9::1]/", true),
            ("192.0.2.0/x, r.test", "https://r.test/", true),
        ] {
            assert_eq!(NoProxy::parse(list).contains(&url.parse().unwrap()), expected, "{list} {url}");
        }
    }
}
