//! What a name of the zone asks for, and the names that addresses have. It knows no registry.
//!
//! DNS knows no capitals, so everything here is in small letters (ASCII, RFC 4343).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

/// The longest digits of an address.
const V4_DIGITS: usize = 8;
const V6_DIGITS: usize = 32;

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The zone itself.
    Zone,
    /// The server of the zone: `ns.DOMAIN`.
    Server,
    /// Something that only has names below it, such as `service.DOMAIN`.
    Branch,
    /// Instances of a service: the first of these that there is.
    Service(Vec<Wanted>),
    /// A node, by its id.
    Node(String),
    /// An address: `0a000007.addr.DOMAIN`.
    Address(IpAddr),
    /// There cannot be such a name.
    Nothing,
    /// It is of another zone.
    Elsewhere,
}

/// A service, and what its instances must be tagged with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name.
    pub name: String,
    /// The tag, as `key` or `key=value`.
    pub tag: Option<String>,
}

/// Reads a name; `domain` is the zone's.
pub fn read(name: &Name, domain: &Name) -> Asked {
    if !domain.zone_of(name) {
        return Asked::Elsewhere;
    }
    let own = name.iter().len().saturating_sub(domain.iter().len());
    let labels = name.iter().take(own).map(|label| Some(std::str::from_utf8(label).ok()?.to_ascii_lowercase()));
    let Some(labels) = labels.collect::<Option<Vec<String>>>() else { return Asked::Nothing };
    let Some((branch, below)) = labels.split_last() else { return Asked::Zone };
    match (branch.as_str(), below) {
        ("ns", []) => Asked::Server,
        ("service" | "node" | "addr", []) => Asked::Branch,
        ("service", below) => service(below),
        ("node", below) => Asked::Node(below.join(".")),
        ("addr", [digits]) => address(digits).map_or(Asked::Nothing, Asked::Address),
        _ => Asked::Nothing,
    }
}

/// `_NAME._PROTO` and `_NAME._TAG` as RFC 2782 has it; otherwise `NAME` or `TAG.NAME`, either of which may have dots: the
/// longest name that there is counts.
fn service(labels: &[String]) -> Asked {
    if let [name @ .., last] = labels
        && let (Some(name), Some(last)) = (name.join(".").strip_prefix('_'), last.strip_prefix('_'))
    {
        let tag = Some(last).filter(|last| !["tcp", "udp"].contains(last)).map(str::to_owned);
        return Asked::Service(vec![Wanted { name: name.to_owned(), tag }]);
    }
    if let [only] = labels
        && only.starts_with('_')
    {
        return Asked::Branch;
    }
    let split = |at: usize| Wanted { name: labels[at..].join("."), tag: (at > 0).then(|| labels[..at].join(".")) };
    Asked::Service((0..labels.len()).map(split).collect())
}

fn address(digits: &str) -> Option<IpAddr> {
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match digits.len() {
        V4_DIGITS => Some(Ipv4Addr::from(u32::from_str_radix(digits, 16).ok()?).into()),
        V6_DIGITS => Some(Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?).into()),
        _ => None,
    }
}

/// The name of an address; `None` if the domain leaves no room for it.
pub fn of_address(address: IpAddr, domain: &Name) -> Option<Name> {
    let digits = match address {
        IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
    };
    Name::from_ascii(digits).and_then(|name| name.append_label("addr")?.append_domain(domain)).ok()
}

/// A host name as it stands in an answer; `None` for what is none.
pub fn of_host(host: &str) -> Option<Name> {
    let plain = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let mut name = plain.then(|| Name::from_str_relaxed(host).ok()).flatten().filter(|name| !name.is_root())?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        let labels = text.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
        Name::from_labels(labels).unwrap()
    }

    fn asked(text: &str) -> Asked {
        read(&name(text), &name("looma."))
    }

    fn wanted(pairs: &[(&str, &str)]) -> Asked {
        let wanted = |&(name, tag): &(&str, &str)| {
            let tag = (!tag.is_empty()).then(|| tag.to_owned());
            Wanted { name: name.to_owned(), tag }
        };
        Asked::Service(pairs.iter().map(wanted).collect())
    }

    #[test]
    fn every_form_is_read_in_any_letters() {
        for (text, expected) in [
            ("looma.", Asked::Zone),
            ("LOOMA.", Asked::Zone),
            ("ns.looma.", Asked::Server),
            ("service.looma.", Asked::Branch),
            ("_tcp.service.looma.", Asked::Branch),
            ("_web.service.looma.", Asked::Branch),
            ("web.service.looma.", wanted(&[("web", "")])),
            ("WEB.Service.Looma.", wanted(&[("web", "")])),
            ("v1.web.service.looma.", wanted(&[("v1.web", ""), ("web", "v1")])),
            ("a.b.c.service.looma.", wanted(&[("a.b.c", ""), ("b.c", "a"), ("c", "a.b")])),
            ("zone=a.web.service.looma.", wanted(&[("zone=a.web", ""), ("web", "zone=a")])),
            ("_web._tcp.service.looma.", wanted(&[("web", "")])),
            ("_web._UDP.service.looma.", wanted(&[("web", "")])),
            ("_web._v1.service.looma.", wanted(&[("web", "v1")])),
            ("_a.b._tcp.service.looma.", wanted(&[("a.b", "")])),
            ("n1.node.looma.", Asked::Node("n1".to_owned())),
            ("N1.example.com.node.looma.", Asked::Node("n1.example.com".to_owned())),
            ("0A000007.addr.looma.", Asked::Address([10, 0, 0, 7].into())),
            ("fd000000000000000000000000000001.addr.looma.", Asked::Address("fd00::1".parse().unwrap())),
            ("+a000007.addr.looma.", Asked::Nothing),
            ("0a00007.addr.looma.", Asked::Nothing),
            ("x.0a000007.addr.looma.", Asked::Nothing),
            ("x.ns.looma.", Asked::Nothing),
            ("web.looma.", Asked::Nothing),
            ("example.com.", Asked::Elsewhere),
            ("notlooma.", Asked::Elsewhere),
            (".", Asked::Elsewhere),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn a_domain_may_have_several_labels() {
        let domain = name("in.Example.com.");
        assert_eq!(read(&name("IN.example.COM."), &domain), Asked::Zone);
        assert_eq!(read(&name("web.service.in.example.com."), &domain), wanted(&[("web", "")]));
        assert_eq!(read(&name("example.com."), &domain), Asked::Elsewhere);
    }

    #[test]
    fn what_is_no_text_is_nothing() {
        let odd = Name::from_labels([&b"\xff"[..], b"service", b"looma"]).unwrap();
        assert_eq!(read(&odd, &name("looma.")), Asked::Nothing);
    }

    #[test]
    fn the_name_of_an_address_leads_back_to_it() {
        let domain = name("looma.");
        for text in ["10.0.0.7", "0.0.0.0", "255.255.255.255", "::", "fd00::1:0:7", "fe80::1"] {
            let address: IpAddr = text.parse().unwrap();
            let named = of_address(address, &domain).unwrap();
            assert!(named.is_fqdn(), "{named}");
            assert_eq!(read(&named, &domain), Asked::Address(address), "{named}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_none() {
        assert_eq!(of_host("Web-1.example").unwrap().to_ascii().to_lowercase(), "web-1.example.");
        assert_eq!(of_host("bücher.example").unwrap().to_ascii(), "xn--bcher-kva.example.");
        for bad in ["", ".", "fe80::1%eth0", "a b", "a\\.b", "a..b", &"a".repeat(64), &"a.".repeat(130)] {
            assert_eq!(of_host(bad), None, "{bad:?}");
        }
    }
}
