//! Restricts the addresses that a registry may point to in a realm, redirect or `Location`. This machine, link-local
//! addresses and metadata services are forbidden, because they may trust any program that can reach them.
//!
//! A URL is checked as written ([`checked_address`]), and a host name by the addresses that it resolves to
//! ([`GuardedResolver`]), in the same lookup that the connection uses: a second lookup might return other addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Names of metadata services, which give the machine's credentials to any program on it.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "metadata.goog"];
/// Addresses of metadata services that are not link-local: Alibaba Cloud's, Azure's, Oracle Cloud's.
const METADATA_ADDRESSES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// The IPv6 address of AWS's metadata service.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The kind of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    Ordinary,
    Loopback,
    /// Link-local, unspecified, or a metadata service.
    Restricted,
}

/// An address that a registry may not point to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refusing to connect to {name}: it resolves to {address}, {}", .kind.description())]
pub(crate) struct ForbiddenAddress {
    name: String,
    address: IpAddr,
    kind: AddressKind,
}

impl AddressKind {
    fn description(self) -> &'static str {
        match self {
            Self::Ordinary => "an ordinary address",
            Self::Loopback => "a loopback address",
            Self::Restricted => "a link-local or metadata address",
        }
    }

    fn classify(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::classify_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(address) => Self::classify_v4(address),
                None if address.is_loopback() => Self::Loopback,
                None if address.is_unspecified() || address.is_unicast_link_local() || address == METADATA_V6 => {
                    Self::Restricted
                }
                None => Self::Ordinary,
            },
        }
    }

    fn classify_v4(address: Ipv4Addr) -> Self {
        // On Linux, every address in 0.0.0.0/8 that accepts connections is the machine itself.
        let is_restricted =
            address.is_link_local() || address.octets()[0] == 0 || METADATA_ADDRESSES.contains(&address);
        match (address.is_loopback(), is_restricted) {
            (true, _) => Self::Loopback,
            (_, true) => Self::Restricted,
            (false, false) => Self::Ordinary,
        }
    }
}

/// Returns the IPv4 address that packets to an IPv6 address may reach: mapped (RFC 4291, section 2.5.5.2), compatible
/// (section 2.5.5.1), by NAT64 (RFC 6052, RFC 8215) or by 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let ipv4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        // Mapped and compatible addresses, but neither `::` nor `::1`.
        (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || f == 0) && (g, h) != (0, 0) && (f, g, h) != (0, 0, 1) => {
            ipv4(g, h)
        }
        (0x64, 0xff9b) => ipv4(g, h),
        (0x2002, _) => ipv4(b, c),
        _ => None,
    }
}

fn is_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, ..])
}

/// Checks the host of a URL that a registry points to, as written; `api` is the registry's own URL. The registry's own
/// host is always allowed, and loopback is allowed for a loopback registry.
///
/// # Errors
/// Returns why the host is not allowed.
pub(crate) fn checked_address(url: &Url, api: &Url) -> Result<(), &'static str> {
    if url.host().is_some() && url.host() == api.host() {
        return Ok(());
    }
    let kind = match url.host() {
        None => return Err("it has no host"),
        Some(Host::Domain(name)) if METADATA_NAMES.contains(&name.trim_end_matches('.')) => AddressKind::Restricted,
        Some(Host::Domain(_)) if is_loopback(url) => AddressKind::Loopback,
        Some(Host::Domain(_)) => AddressKind::Ordinary,
        Some(Host::Ipv4(address)) => AddressKind::classify(address.into()),
        // No legitimate registry uses NAT64 notation for an IPv4 host.
        Some(Host::Ipv6(address)) if is_nat64(address) => AddressKind::Restricted,
        Some(Host::Ipv6(address)) => AddressKind::classify(address.into()),
    };
    match kind {
        AddressKind::Restricted => Err("it is a link-local or metadata address"),
        AddressKind::Loopback if !is_loopback(api) => Err("it is a loopback address"),
        AddressKind::Loopback | AddressKind::Ordinary => Ok(()),
    }
}

/// Whether the host of a URL, as written, is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => AddressKind::classify(address.into()) == AddressKind::Loopback,
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// The address restrictions for a host that a registry points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guard {
    /// The registry's host, as in its URL.
    registry: String,
    /// Whether the registry is on this machine: other services on it are then allowed as well.
    allows_loopback: bool,
}

impl Guard {
    /// Creates the guard for a URL that the registry at `api` points to. Returns `None` for the registry's own host,
    /// which the user named.
    pub(crate) fn for_url(url: &Url, api: &Url) -> Option<Self> {
        let registry = api.host_str().unwrap_or_default().to_owned();
        (url.host() != api.host()).then(|| Self { registry, allows_loopback: is_loopback(api) })
    }
}

/// Resolves names, leaving out the addresses that a registry may not point to.
pub(crate) struct GuardedResolver {
    guard: Arc<Guard>,
    /// The hosts of proxies, which the user chose and which may be on this machine.
    proxies: Arc<[String]>,
}

impl GuardedResolver {
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard: Arc::new(guard), proxies: proxy_hosts().into() }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, proxies) = (Arc::clone(&self.guard), Arc::clone(&self.proxies));
        Box::pin(async move {
            let name = name.as_str();
            let all = lookup(name).await?;
            if proxies.iter().any(|proxy| proxy == name) {
                return Ok(Box::new(all.into_iter()) as Addrs);
            }
            // The registry's own name may also resolve to this machine.
            let mut allows_loopback = guard.allows_loopback;
            if !allows_loopback
                && all.iter().any(|address| AddressKind::classify(address.ip()) == AddressKind::Loopback)
            {
                let registry = lookup(&guard.registry).await.unwrap_or_default();
                allows_loopback =
                    registry.iter().any(|address| AddressKind::classify(address.ip()) == AddressKind::Loopback);
            }
            Ok(Box::new(allowed(name, all, allows_loopback)?.into_iter()) as Addrs)
        })
    }
}

async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name.trim_matches(['[', ']']), 0)).await?.collect())
}

/// Returns the allowed addresses of a name, or an error if it has only forbidden ones.
fn allowed(name: &str, all: Vec<SocketAddr>, allows_loopback: bool) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
    let (allowed, forbidden): (Vec<SocketAddr>, Vec<SocketAddr>) =
        all.into_iter().partition(|address| match AddressKind::classify(address.ip()) {
            AddressKind::Ordinary => true,
            AddressKind::Loopback => allows_loopback,
            AddressKind::Restricted => false,
        });
    match forbidden.first().filter(|_| allowed.is_empty()) {
        Some(address) => {
            let address = address.ip();
            Err(ForbiddenAddress { name: name.to_owned(), address, kind: AddressKind::classify(address) })
        }
        None => Ok(allowed),
    }
}

/// Returns the hosts of the proxies named in the environment.
fn proxy_hosts() -> Vec<String> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].into_iter();
    let values = names.flat_map(|name| [std::env::var(name), std::env::var(name.to_lowercase())]).flatten();
    values.filter_map(|value| proxy_host(&value)).collect()
}

fn proxy_host(value: &str) -> Option<String> {
    let url = if value.contains("://") { value.parse() } else { format!("http://{value}").parse() };
    url.ok().and_then(|url: Url| url.host_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_classified_including_embedded_ipv4() {
        for (address, kind) in [
            ("192.0.2.1", AddressKind::Ordinary),
            ("10.0.0.1", AddressKind::Ordinary),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.1.2.3", AddressKind::Loopback),
            ("169.254.169.254", AddressKind::Restricted),
            ("0.0.0.0", AddressKind::Restricted),
            ("0.0.0.1", AddressKind::Restricted),
            ("100.100.100.200", AddressKind::Restricted),
            ("168.63.129.16", AddressKind::Restricted),
            ("192.0.0.192", AddressKind::Restricted),
            ("2001:db8::1", AddressKind::Ordinary),
            ("fd12::1", AddressKind::Ordinary),
            ("::1", AddressKind::Loopback),
            ("::", AddressKind::Restricted),
            ("fe80::1", AddressKind::Restricted),
            ("fd00:ec2::254", AddressKind::Restricted),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::ffff:192.0.2.1", AddressKind::Ordinary),
            ("::127.0.0.1", AddressKind::Loopback),
            ("::169.254.169.254", AddressKind::Restricted),
            ("64:ff9b::7f00:1", AddressKind::Loopback),
            ("64:ff9b::a9fe:a9fe", AddressKind::Restricted),
            ("64:ff9b::c000:201", AddressKind::Ordinary),
            ("64:ff9b:1::a9fe:a9fe", AddressKind::Restricted),
            ("2002:7f00:1::", AddressKind::Loopback),
            ("2002:a9fe:a9fe::1", AddressKind::Restricted),
        ] {
            assert_eq!(AddressKind::classify(address.parse().unwrap()), kind, "{address}");
        }
    }

    #[test]
    fn forbidden_addresses_of_a_name_are_left_out_or_refused() {
        let at = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        for (addresses, allows_loopback, expected) in [
            (&["192.0.2.1", "2001:db8::1"][..], false, Some(&["192.0.2.1", "2001:db8::1"][..])),
            (&["127.0.0.1"], false, None),
            (&["127.0.0.1"], true, Some(&["127.0.0.1"])),
            (&["169.254.169.254"], true, None),
            (&["127.0.0.1", "192.0.2.1"], false, Some(&["192.0.2.1"])),
            (&["::ffff:169.254.169.254", "::1"], false, None),
            (&[], false, Some(&[])),
        ] {
            let result = allowed("cdn.example", at(addresses), allows_loopback);
            assert_eq!(result.as_ref().ok(), expected.map(at).as_ref(), "{addresses:?}");
        }
        let error = allowed("cdn.example", at(&["169.254.169.254"]), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "refusing to connect to cdn.example: it resolves to 169.254.169.254, a link-local or metadata address"
        );
    }

    #[test]
    fn the_resolver_refuses_loopback_except_for_a_loopback_registry() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolve = |url: &str, api: &str| {
            let (url, api): (Url, Url) = (url.parse().unwrap(), api.parse().unwrap());
            let resolver = GuardedResolver::new(Guard::for_url(&url, &api)?);
            let resolved = runtime.block_on(resolver.resolve(url.host_str().unwrap().parse().unwrap()));
            Some(resolved.map(Iterator::count).map_err(|error| error.is::<ForbiddenAddress>()))
        };
        assert_eq!(resolve("http://localhost/x", "http://192.0.2.1"), Some(Err(true)));
        assert!(matches!(resolve("http://localhost/x", "http://127.0.0.1"), Some(Ok(1..))));
        assert_eq!(resolve("http://localhost:1/x", "http://localhost:2"), None, "the registry's own host");
    }

    #[test]
    fn proxy_hosts_are_read_with_and_without_a_scheme() {
        for (value, host) in [
            ("http://proxy.example:3128", Some("proxy.example")),
            ("proxy:3128", Some("proxy")),
            ("socks5://u:p@localhost:1080", Some("localhost")),
            ("", None),
        ] {
            assert_eq!(proxy_host(value).as_deref(), host, "{value}");
        }
    }
}
