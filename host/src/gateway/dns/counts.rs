//! What is counted of questions, for `/metrics`: by what was asked for and how it went.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hickory_proto::{op::ResponseCode, rr::RecordType};

use super::message::Reply;

/// Anybody can ask for any type: others are counted together, and so are those that could not be read.
const KINDS: [(&str, Option<RecordType>); 8] = [
    ("A", Some(RecordType::A)),
    ("AAAA", Some(RecordType::AAAA)),
    ("SRV", Some(RecordType::SRV)),
    ("SOA", Some(RecordType::SOA)),
    ("NS", Some(RecordType::NS)),
    ("ANY", Some(RecordType::ANY)),
    ("other", None),
    ("unread", None),
];
const OTHER: usize = 6;
const UNREAD: usize = 7;

const CODES: [(&str, ResponseCode); 7] = [
    ("NOERROR", ResponseCode::NoError),
    ("FORMERR", ResponseCode::FormErr),
    ("SERVFAIL", ResponseCode::ServFail),
    ("NXDOMAIN", ResponseCode::NXDomain),
    ("NOTIMP", ResponseCode::NotImp),
    ("REFUSED", ResponseCode::Refused),
    ("BADVERS", ResponseCode::BADVERS),
];

/// What was asked and answered since the start. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    queries: [[AtomicU64; CODES.len()]; KINDS.len()],
    truncated: AtomicU64,
    turned_away: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, reply: &Reply) {
        let kind = match reply.kind {
            None => UNREAD,
            Some(kind) => KINDS.iter().position(|(_, known)| *known == Some(kind)).unwrap_or(OTHER),
        };
        if let Some(code) = CODES.iter().position(|(_, code)| *code == reply.code) {
            self.0.queries[kind][code].fetch_add(1, Relaxed);
        }
        self.0.truncated.fetch_add(u64::from(reply.cut), Relaxed);
    }

    pub(super) fn turned_away(&self) {
        self.0.turned_away.fetch_add(1, Relaxed);
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self, out: &mut String) {
        let name = "looma_dns_queries_total";
        let _ = writeln!(out, "# HELP {name} Questions of DNS that were answered.\n# TYPE {name} counter");
        for ((kind, _), counts) in KINDS.iter().zip(&self.0.queries) {
            for ((code, _), count) in CODES.iter().zip(counts) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let _ = writeln!(out, "{name}{{type=\"{kind}\",code=\"{code}\"}} {count}");
                }
            }
        }
        for (name, help, count) in [
            ("looma_dns_truncated_total", "Answers of DNS that did not hold everything.", &self.0.truncated),
            (
                "looma_dns_connections_refused_total",
                "Connections for DNS that were closed at once.",
                &self.0.turned_away,
            ),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", count.load(Relaxed));
        }
    }
}
