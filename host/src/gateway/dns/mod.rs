//! The registry as a zone of DNS: SRV, A and AAAA of services, and the addresses of nodes.
//!
//! | name | what it has |
//! | --- | --- |
//! | `NAME.service.DOMAIN` | the instances of a name that may be offered |
//! | `TAG.NAME.service.DOMAIN` | those with a tag, as `key` or `key=value` |
//! | `_NAME._tcp.service.DOMAIN`, `_NAME._TAG.service.DOMAIN` | the same, as RFC 2782 has it |
//! | `NODE.node.DOMAIN` | the address of a node, whatever its health |
//! | `0a000007.addr.DOMAIN` | that address: what SRV names where an instance has no host name |
//! | `DOMAIN`, `ns.DOMAIN` | SOA and NS; where this server listens |
//!
//! It is off until `dns.listen` is set: DNS knows no tokens, so whoever is in `dns.networks` reads the names, addresses and tags
//! of every service. Answers may not be kept (time-to-live zero, also of there being none), and come in another order each
//! time. A name that is registered has an answer, if an empty one, even when no instance of it may be offered. There is no
//! recursion, and there are no signatures; nothing can be changed this way.
//!
//! Read on in `names` (what a name asks for), `zone` (what there is), `message` (packets), `serve` (sockets), `counts`.

mod counts;
mod message;
mod names;
mod serve;
mod zone;

pub use counts::Counts;
pub use message::{Reply, Transport, reply};
pub use serve::{Sockets, bind, serve};
pub use zone::Found;
