//! Which addresses a registry may point to, by realm, redirect or `Location`: not this machine and not its surroundings,
//! where services trust any program that can reach them.
//!
//! A URL is checked by its text ([`checked_address`]), and a name by what it resolves to ([`GuardedResolver`]), in the
//! same lookup that the connection is made with: a second lookup might get another answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Names of metadata services, which give credentials of the machine to any program on it.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "metadata.goog"];
/// Metadata services that are not at a link-local address: Alibaba Cloud's, Azure's, Oracle Cloud's.
const METADATA_ADDRESSES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// AWS's metadata service over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Loopback,
    /// Link-local, unspecified, or a metadata service.
    Surroundings,
}

/// An address that a registry may not point to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not connected to: it resolves to {address}, {}", .kind.words())]
pub(crate) struct ForbiddenAddress {
    name: String,
    address: IpAddr,
    kind: Kind,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Ordinary => "an ordinary address",
            Self::Loopback => "a loopback address",
            Self::Surroundings => "a link-local or metadata address",
        }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(address) => Self::of_v4(address),
                None if address.is_loopback() => Self::Loopback,
                None if address.is_unspecified() || address.is_unicast_link_local() || address == METADATA_V6 => {
                    Self::Surroundings
                }
                None => Self::Ordinary,
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        // Linux takes all of 0.0.0.0/8 that it can connect to for itself.
        let is_surroundings =
            address.is_link_local() || address.octets()[0] == 0 || METADATA_ADDRESSES.contains(&address);
        match (address.is_loopback(), is_surroundings) {
            (true, _) => Self::Loopback,
            (_, true) => Self::Surroundings,
            (false, false) => Self::Ordinary,
        }
    }
}

/// The IPv4 address that packets to an IPv6 address may end at: mapped (RFC 4291, section 2.5.5.2), compatible (section
/// 2.5.5.1), by NAT64 (RFC 6052, RFC 8215) or by 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        // Neither the unspecified address nor loopback.
        (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || f == 0) && (g, h) != (0, 0) && (f, g, h) != (0, 0, 1) => {
            of(g, h)
        }
        (0x64, 0xff9b) => of(g, h),
        (0x2002, _) => of(b, c),
        _ => None,
    }
}

fn is_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, ..])
}

/// Checks the host of a URL that a registry points to, as it is written; `api` is the registry's own URL. The registry's
/// own host is always good, and so is loopback for a loopback registry.
///
/// # Errors
/// What the host is.
pub(crate) fn checked_address(url: &Url, api: &Url) -> Result<(), &'static str> {
    if url.host().is_some() && url.host() == api.host() {
        return Ok(());
    }
    let kind = match url.host() {
        None => return Err("it has no host"),
        Some(Host::Domain(name)) if METADATA_NAMES.contains(&name.trim_end_matches('.')) => Kind::Surroundings,
        Some(Host::Domain(_)) if is_loopback(url) => Kind::Loopback,
        Some(Host::Domain(_)) => Kind::Ordinary,
        Some(Host::Ipv4(address)) => Kind::of(address.into()),
        // No registry names an IPv4 host like that.
        Some(Host::Ipv6(address)) if is_nat64(address) => Kind::Surroundings,
        Some(Host::Ipv6(address)) => Kind::of(address.into()),
    };
    match kind {
        Kind::Surroundings => Err("it is a link-local or metadata address"),
        Kind::Loopback if !is_loopback(api) => Err("it is a loopback address"),
        Kind::Loopback | Kind::Ordinary => Ok(()),
    }
}

/// Whether the host of a URL is this machine, as it is written.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => Kind::of(address.into()) == Kind::Loopback,
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// For which registry a host is reached that the registry points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guard {
    /// The registry's host, as in its URL.
    registry: String,
    /// It is this machine: others on it may be reached as well.
    allows_loopback: bool,
}

impl Guard {
    /// For a URL that the registry at `api` points to; none where it is on the registry's own host, which the user named.
    pub(crate) fn of(url: &Url, api: &Url) -> Option<Self> {
        let registry = api.host_str().unwrap_or_default().to_owned();
        (url.host() != api.host()).then(|| Self { registry, allows_loopback: is_loopback(api) })
    }
}

/// Resolves names, and leaves out the addresses that a registry may not point to.
pub(crate) struct GuardedResolver {
    guard: Arc<Guard>,
    /// Names of proxies, which the user chose and which may be on this machine.
    proxies: Arc<[String]>,
}

impl GuardedResolver {
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard: Arc::new(guard), proxies: proxies().into() }
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
            // A registry may be on this machine under a name that does not tell.
            let mut allows_loopback = guard.allows_loopback;
            if !allows_loopback && all.iter().any(|address| Kind::of(address.ip()) == Kind::Loopback) {
                let registry = lookup(&guard.registry).await.unwrap_or_default();
                allows_loopback = registry.iter().any(|address| Kind::of(address.ip()) == Kind::Loopback);
            }
            Ok(Box::new(allowed(name, all, allows_loopback)?.into_iter()) as Addrs)
        })
    }
}

async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name.trim_matches(['[', ']']), 0)).await?.collect())
}

/// The addresses of a name that may be connected to. An error where there are only others.
fn allowed(name: &str, all: Vec<SocketAddr>, allows_loopback: bool) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
    let (allowed, others): (Vec<SocketAddr>, Vec<SocketAddr>) =
        all.into_iter().partition(|address| match Kind::of(address.ip()) {
            Kind::Ordinary => true,
            Kind::Loopback => allows_loopback,
            Kind::Surroundings => false,
        });
    match others.first().filter(|_| allowed.is_empty()) {
        Some(address) => {
            let address = address.ip();
            Err(ForbiddenAddress { name: name.to_owned(), address, kind: Kind::of(address) })
        }
        None => Ok(allowed),
    }
}

/// The hosts of the proxies that the environment names.
fn proxies() -> Vec<String> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].into_iter();
    let values = names.flat_map(|name| [std::env::var(name), std::env::var(name.to_lowercase())]).flatten();
    values.filter_map(|value| host_of_proxy(&value)).collect()
}

fn host_of_proxy(value: &str) -> Option<String> {
    let url = if value.contains("://") { value.parse() } else { format!("http://{value}").parse() };
    url.ok().and_then(|url: Url| url.host_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_addresses() {
        for (address, kind) in [
            ("192.0.2.1", Kind::Ordinary),
            ("10.0.0.1", Kind::Ordinary),
            ("127.0.0.1", Kind::Loopback),
            ("127.1.2.3", Kind::Loopback),
            ("169.254.169.254", Kind::Surroundings),
            ("0.0.0.0", Kind::Surroundings),
            ("0.0.0.1", Kind::Surroundings),
            ("100.100.100.200", Kind::Surroundings),
            ("168.63.129.16", Kind::Surroundings),
            ("192.0.0.192", Kind::Surroundings),
            ("2001:db8::1", Kind::Ordinary),
            ("fd12::1", Kind::Ordinary),
            ("::1", Kind::Loopback),
            ("::", Kind::Surroundings),
            ("fe80::1", Kind::Surroundings),
            ("fd00:ec2::254", Kind::Surroundings),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:192.0.2.1", Kind::Ordinary),
            ("::127.0.0.1", Kind::Loopback),
            ("::169.254.169.254", Kind::Surroundings),
            ("64:ff9b::7f00:1", Kind::Loopback),
            ("64:ff9b::a9fe:a9fe", Kind::Surroundings),
            ("64:ff9b::c000:201", Kind::Ordinary),
            ("64:ff9b:1::a9fe:a9fe", Kind::Surroundings),
            ("2002:7f00:1::", Kind::Loopback),
            ("2002:a9fe:a9fe::1", Kind::Surroundings),
        ] {
            assert_eq!(Kind::of(address.parse().unwrap()), kind, "{address}");
        }
    }

    #[test]
    fn names_are_judged_by_what_they_resolve_to() {
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
            let found = allowed("cdn.example", at(addresses), allows_loopback);
            assert_eq!(found.as_ref().ok(), expected.map(at).as_ref(), "{addresses:?}");
        }
        let error = allowed("cdn.example", at(&["169.254.169.254"]), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cdn.example is not connected to: it resolves to 169.254.169.254, a link-local or metadata address"
        );
    }

    #[test]
    fn the_resolver_refuses_loopback_except_for_a_registry_there() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolve = |url: &str, api: &str| {
            let (url, api): (Url, Url) = (url.parse().unwrap(), api.parse().unwrap());
            let resolver = GuardedResolver::new(Guard::of(&url, &api)?);
            let resolved = runtime.block_on(resolver.resolve(url.host_str().unwrap().parse().unwrap()));
            Some(resolved.map(Iterator::count).map_err(|error| error.is::<ForbiddenAddress>()))
        };
        assert_eq!(resolve("http://localhost/x", "http://192.0.2.1"), Some(Err(true)));
        assert!(matches!(resolve("http://localhost/x", "http://127.0.0.1"), Some(Ok(1..))));
        assert_eq!(resolve("http://localhost:1/x", "http://localhost:2"), None, "the registry's own host");
    }

    #[test]
    fn hosts_of_proxies() {
        for (value, host) in [
            ("http://proxy.example:3128", Some("proxy.example")),
            ("proxy:3128", Some("proxy")),
            ("socks5://u:p@localhost:1080", Some("localhost")),
            ("", None),
        ] {
            assert_eq!(host_of_proxy(value).as_deref(), host, "{value}");
        }
    }
}
