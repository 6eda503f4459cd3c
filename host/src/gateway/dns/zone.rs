//! What the zone holds: the registry, as it is at this moment.
//!
//! Who is offered is decided as for whoever asks discovery for healthy ones: alive, switched on, and neither it nor its node
//! drained or worked on. What expiry holds back for protection is still alive, and still told. Nothing is kept here.

use std::{collections::HashSet, net::IpAddr};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, HINFO, NS, SOA, SRV},
    },
};

use super::{
    super::endpoint::Endpoint,
    names::{self, Asked, Wanted},
};
use crate::{
    app::App,
    registry::{Seen, Service},
};

/// How long answers may be kept, there being one or none: not at all.
pub const TTL: u32 = 0;
/// The fewest bytes of a record that answers: a name that is a pointer, ten bytes, an address.
const LEAST: usize = 16;
/// What nobody prefers: every instance is as near as any other.
const PRIORITY: u16 = 1;

/// What there is to say to a question.
#[derive(Debug, Default)]
pub struct Found {
    /// How it went.
    pub code: ResponseCode,
    /// Whether this server has the last word on it.
    pub authoritative: bool,
    /// What answers, all of the name that was asked for.
    pub answers: Vec<RData>,
    /// Who says that there is no answer.
    pub authority: Option<Record>,
    /// Addresses of what the answers name.
    pub additionals: Vec<Record>,
}

impl Found {
    /// A question that is not answered.
    pub fn refused(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }
}

/// The zone.
pub struct Zone {
    domain: Name,
    server: Name,
    keeper: Name,
    /// Where this server listens, if that is one address.
    address: Option<IpAddr>,
    app: App,
}

/// Where an instance answers.
struct Place {
    at: At,
    port: u16,
    weight: u16,
}

#[derive(PartialEq, Eq)]
enum At {
    Address(IpAddr),
    Host(Name),
}

impl At {
    fn of(host: &str) -> Option<Self> {
        match host.parse::<IpAddr>() {
            Ok(address) => Some(Self::Address(address.to_canonical())),
            Err(_) => names::of_host(host).map(Self::Host),
        }
    }
}

impl Place {
    /// `None` if its URL names nothing that DNS could.
    fn of(service: &Service) -> Option<Self> {
        let Endpoint { host, port } = Endpoint::of(&service.service_url)?;
        Some(Self { at: At::of(host)?, port, weight: u16::try_from(service.weight).unwrap_or(u16::MAX) })
    }
}

/// Records that answer, and what goes with them.
#[derive(Default)]
struct Records {
    answers: Vec<RData>,
    additionals: Vec<Record>,
}

impl From<Vec<RData>> for Records {
    fn from(answers: Vec<RData>) -> Self {
        Self { answers, additionals: Vec::new() }
    }
}

impl Zone {
    /// The zone of this name, served at `address`.
    pub fn new(app: App, address: IpAddr) -> anyhow::Result<Self> {
        let mut domain = Name::from_ascii(&app.settings.dns.domain)?.to_lowercase();
        domain.set_fqdn(true);
        let below = |label: &str| Name::from_ascii(label)?.append_domain(&domain);
        let (server, keeper) = (below("ns")?, below("hostmaster")?);
        Ok(Self { server, keeper, address: Some(address).filter(|address| !address.is_unspecified()), domain, app })
    }

    /// Answers a question in at most `room` bytes, and a little more.
    pub fn answer(&self, name: &Name, kind: RecordType, room: usize) -> Found {
        let asked = names::read(name, &self.domain);
        if asked == Asked::Elsewhere || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return Found::refused(ResponseCode::Refused);
        }
        let records = self.records(&asked, kind, room / LEAST + 1);
        let code = if records.is_some() { ResponseCode::NoError } else { ResponseCode::NXDomain };
        let Records { mut answers, additionals } = match (records, kind) {
            // RFC 8482, section 4.2: that there is something, and no more.
            (Some(_), RecordType::ANY) => vec![RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()))].into(),
            (records, _) => records.unwrap_or_default(),
        };
        self.app.registry.shuffle(&mut answers);
        let authority = answers.is_empty().then(|| self.record(self.domain.clone(), self.soa()));
        Found { code, authoritative: true, answers, authority, additionals }
    }

    /// `None` if there is no such name; at most `most` that answer.
    fn records(&self, asked: &Asked, kind: RecordType, most: usize) -> Option<Records> {
        match asked {
            Asked::Nothing | Asked::Elsewhere => None,
            Asked::Branch => Some(Records::default()),
            Asked::Zone => Some(self.of_zone(kind)),
            Asked::Server => Some(addresses(self.address, kind).into()),
            Asked::Address(address) => Some(addresses(Some(*address), kind).into()),
            Asked::Node(id) => self.of_node(id, kind),
            Asked::Service(wanted) => self.of_service(wanted, kind, most),
        }
    }

    fn of_zone(&self, kind: RecordType) -> Records {
        match kind {
            RecordType::SOA => vec![self.soa()].into(),
            RecordType::NS => Records {
                answers: vec![RData::NS(NS(self.server.clone()))],
                additionals: self.glue(&At::Host(self.server.clone())),
            },
            _ => Records::default(),
        }
    }

    /// The revision is the serial number; it rises with every change.
    fn soa(&self) -> RData {
        let serial = u32::try_from(self.app.feed.head().0 & i64::from(u32::MAX)).unwrap_or_default();
        RData::SOA(SOA::new(self.server.clone(), self.keeper.clone(), serial, 3600, 600, 86_400, TTL))
    }

    /// A node has its address, whatever its health.
    fn of_node(&self, id: &str, kind: RecordType) -> Option<Records> {
        let node = self.app.registry.node_as(id)?;
        Some(match At::of(&node.host_address) {
            Some(At::Address(address)) => addresses(Some(address), kind).into(),
            Some(At::Host(host)) => alias(host, kind).into(),
            None => Records::default(),
        })
    }

    fn of_service(&self, wanted: &[Wanted], kind: RecordType, most: usize) -> Option<Records> {
        let (tag, mut seen) = wanted.iter().find_map(|Wanted { name, tag }| {
            let seen = self.app.registry.seen_as(name);
            (!seen.is_empty()).then_some((tag.as_deref(), seen))
        })?;
        seen.retain(|seen| tag.is_none_or(|tag| has_tag(&seen.service, tag)));
        if seen.is_empty() {
            return None;
        }
        seen.retain(|seen: &Seen| seen.is_enabled() && seen.is_alive());
        self.app.registry.shuffle(&mut seen);
        let places = seen.iter().filter_map(|seen| Place::of(&seen.service));
        Some(match kind {
            RecordType::SRV => self.srv(places, most),
            RecordType::A | RecordType::AAAA | RecordType::CNAME => by_address(places, kind, most).into(),
            _ => Records::default(),
        })
    }

    fn srv(&self, places: impl Iterator<Item = Place>, most: usize) -> Records {
        let (mut records, mut told, mut glued) = (Records::default(), HashSet::new(), HashSet::new());
        for Place { at, port, weight } in places {
            let target = match &at {
                At::Address(address) => names::of_address(*address, &self.domain),
                At::Host(host) => Some(host.clone()),
            };
            let Some(target) = target.filter(|target| told.insert((target.clone(), port))) else { continue };
            if glued.insert(target.clone()) {
                records.additionals.extend(self.glue(&at));
            }
            records.answers.push(RData::SRV(SRV::new(PRIORITY, weight, port, target)));
            if records.answers.len() == most {
                break;
            }
        }
        records
    }

    /// The addresses of a target, where this zone has them.
    fn glue(&self, at: &At) -> Vec<Record> {
        let (name, known) = match at {
            At::Address(address) => (names::of_address(*address, &self.domain), Asked::Address(*address)),
            At::Host(host) => (Some(host.clone()), names::read(host, &self.domain)),
        };
        let Some(name) = name else { return Vec::new() };
        let address = match known {
            Asked::Address(address) => Some(address),
            Asked::Server => self.address,
            Asked::Node(id) => self.app.registry.node_as(&id).and_then(|node| node.host_address.parse().ok()),
            _ => None,
        };
        let both = [RecordType::A, RecordType::AAAA].into_iter().flat_map(|kind| addresses(address, kind));
        both.map(|data| self.record(name.clone(), data)).collect()
    }

    fn record(&self, name: Name, data: RData) -> Record {
        Record::from_rdata(name, TTL, data)
    }
}

/// The record of an address, if it is of the kind that was asked for.
fn addresses(address: Option<IpAddr>, kind: RecordType) -> Vec<RData> {
    match (address, kind) {
        (Some(IpAddr::V4(address)), RecordType::A) => vec![RData::A(A(address))],
        (Some(IpAddr::V6(address)), RecordType::AAAA) => vec![RData::AAAA(AAAA(address))],
        _ => Vec::new(),
    }
}

fn alias(host: Name, kind: RecordType) -> Vec<RData> {
    match kind {
        RecordType::A | RecordType::AAAA | RecordType::CNAME => vec![RData::CNAME(CNAME(host))],
        _ => Vec::new(),
    }
}

/// Each address once. Where none has one, the name of one of the hosts: a name is an alias of one other, and of nothing else.
fn by_address(places: impl Iterator<Item = Place>, kind: RecordType, most: usize) -> Vec<RData> {
    let (mut answers, mut told, mut host, mut has_address) = (Vec::new(), HashSet::new(), None, false);
    for place in places {
        match place.at {
            At::Address(address) => {
                has_address = true;
                if told.insert(address) {
                    answers.extend(addresses(Some(address), kind));
                }
            }
            At::Host(name) => host = host.or(Some(name)),
        }
        if answers.len() == most {
            break;
        }
    }
    match host.filter(|_| !has_address) {
        Some(host) => alias(host, kind),
        None => answers,
    }
}

/// Whether a service has a tag, as `key` or `key=value`, but for its ASCII capitals.
fn has_tag(service: &Service, wanted: &str) -> bool {
    service.tags.iter().any(|(key, value)| match value.is_empty() {
        true => key.eq_ignore_ascii_case(wanted),
        false => {
            wanted.split_once('=').is_some_and(|(k, v)| k.eq_ignore_ascii_case(key) && v.eq_ignore_ascii_case(value))
        }
    })
}
