//! What makes an address one that a stranger must not reach through the server. Who may reach which is for the domains to say.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What an address is that is not just anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// This machine.
    Loopback,
    /// Where providers show what a machine is and what it may.
    Metadata,
    /// Of one link.
    LinkLocal,
    /// Of one site (RFC 3879).
    SiteLocal,
    /// Of a network of one's own.
    Private,
    /// Between a provider and its customers (RFC 6598).
    Shared,
    /// For benchmarks (RFC 2544).
    Benchmarks,
    /// For protocols (RFC 6890).
    Reserved,
    /// Nobody's, or everybody's.
    NoHost,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Metadata => "a metadata address",
            Self::LinkLocal => "a link-local address",
            Self::SiteLocal => "a site-local address",
            Self::Private => "a private address",
            Self::Shared => "a shared address of a provider",
            Self::Benchmarks => "an address for benchmarks",
            Self::Reserved => "a reserved address",
            Self::NoHost => "not the address of a host",
        })
    }
}

/// Metadata services; some are outside of every other range.
const METADATA_V4: [[u8; 4]; 3] = [[169, 254, 169, 254], [168, 63, 129, 16], [100, 100, 100, 200]];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What an address is, whatever way it is written; `None`: anybody's.
pub fn inner(ip: IpAddr) -> Option<Inner> {
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) => return inner_v4(ip),
        IpAddr::V6(ip) => ip,
    };
    let first = ip.segments()[0];
    // Addresses that carry an IPv4 address inside: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo's client (RFC 4380), and the old
    // compatible ones (RFC 4291).
    let carried = match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(carried(high, low)),
        [0x2002, high, low, ..] => Some(carried(high, low)),
        [0x2001, 0, .., high, low] => Some(carried(!high, !low)),
        _ => None,
    };
    match carried {
        _ if ip.is_loopback() => Some(Inner::Loopback),
        _ if ip.is_unspecified() || ip.is_multicast() => Some(Inner::NoHost),
        _ if ip == METADATA_V6 => Some(Inner::Metadata),
        _ if first & 0xfe00 == 0xfc00 => Some(Inner::Private),
        // NAT64 of a network's own (RFC 8215).
        _ if ip.segments()[..3] == [0x64, 0xff9b, 1] => Some(Inner::Private),
        _ if first & 0xffc0 == 0xfe80 => Some(Inner::LinkLocal),
        _ if first & 0xffc0 == 0xfec0 => Some(Inner::SiteLocal),
        Some(v4) => inner_v4(v4),
        None => None,
    }
}

fn carried(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

fn inner_v4(ip: Ipv4Addr) -> Option<Inner> {
    let [a, b, c, _] = ip.octets();
    match (a, b) {
        _ if ip.is_loopback() => Some(Inner::Loopback),
        _ if METADATA_V4.contains(&ip.octets()) => Some(Inner::Metadata),
        _ if ip.is_link_local() => Some(Inner::LinkLocal),
        _ if ip.is_private() => Some(Inner::Private),
        (100, 64..=127) => Some(Inner::Shared),
        (0, _) | (224..=255, _) => Some(Inner::NoHost),
        (192, 0) if c == 0 => Some(Inner::Reserved),
        (198, 18..=19) => Some(Inner::Benchmarks),
        _ => None,
    }
}
