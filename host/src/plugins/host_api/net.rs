//! `looma:host/net`: looking at the network, within granted ranges alone, many endpoints at once. Each name is looked up once a call,
//! whatever the number of its ports, and lookups and connections are bounded for all plugins together: no place is an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::plugins::bindings::looma::host::net::{Endpoint, Host, NetError, RecordType};

use super::address::{self, ResolveError};
use super::{Ctx, Interface, Reach};

/// Connections under way at once for one call.
const AT_ONCE: usize = 512;
/// Endpoints of one call.
const ENDPOINTS: usize = 65_536;
const LONGEST: Duration = Duration::from_secs(10);

type Addresses = BTreeMap<String, Result<Vec<IpAddr>, NetError>>;

impl Host for Ctx {
    async fn connect_all(
        &mut self,
        endpoints: Vec<Endpoint>,
        timeout_ms: u32,
    ) -> wasmtime::Result<Vec<Result<u32, NetError>>> {
        self.asked(Interface::Net)?;
        if self.reach.grants.net.is_empty() {
            self.reach.denied(Interface::Net);
            // Not even a name is looked up for a plugin that may reach nothing.
            let denied = || Err(NetError::Denied("no address range is granted to this plugin".to_owned()));
            return Ok(endpoints.iter().map(|_| denied()).collect());
        }
        let (allowed, excess) = endpoints.split_at(endpoints.len().min(ENDPOINTS));
        let timeout = Duration::from_millis(u64::from(timeout_ms)).clamp(Duration::from_millis(1), LONGEST);
        let names = self.charge(names(allowed));
        let reach = &self.reach;
        let addresses = look_up(reach, names, timeout).await;
        let answers = allowed.iter().cloned().map(|endpoint| connect(reach, endpoint, &addresses, timeout));
        let mut answers: Vec<_> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        let refused = || Err(NetError::Denied(format!("one call looks at {ENDPOINTS} endpoints at most")));
        answers.extend(excess.iter().map(|_| refused()));
        let denied = answers.iter().filter(|answer| matches!(answer, Err(NetError::Denied(_))));
        denied.for_each(|_| reach.denied(Interface::Net));
        Ok(answers)
    }

    async fn lookup(&mut self, name: String, kind: RecordType) -> wasmtime::Result<Result<Vec<String>, NetError>> {
        self.asked(Interface::Net)?;
        if self.reach.grants.net.is_empty() {
            self.reach.denied(Interface::Net);
            return Ok(Err(NetError::Denied(format!("plugin {} is granted no address range", self.reach.plugin))));
        }
        if !self.take_request() {
            self.reach.denied(Interface::Net);
            return Ok(Err(too_often()));
        }
        let (reach, within) = (&self.reach, self.reach.remaining().min(LONGEST));
        Ok(match kind {
            RecordType::A => addresses(reach, &name, within, SocketAddr::is_ipv4).await,
            RecordType::Aaaa => addresses(reach, &name, within, SocketAddr::is_ipv6).await,
            RecordType::Srv | RecordType::Txt => records(reach, &name, kind, within).await,
        })
    }
}

/// Records that are no addresses; a lookup of them takes its places like any other.
async fn records(reach: &Reach, name: &str, kind: RecordType, within: Duration) -> Result<Vec<String>, NetError> {
    let _places = address::places(reach, within).await.map_err(|error| told(&error))?;
    let names = &reach.services.names;
    let found = match kind {
        RecordType::Srv => names.srv(name, within).await,
        _ => names.txt(name, within).await,
    };
    found.map_err(NetError::Unreachable)
}

async fn addresses(
    reach: &Reach,
    name: &str,
    within: Duration,
    wanted: fn(&SocketAddr) -> bool,
) -> Result<Vec<String>, NetError> {
    let found = address::resolve(reach, name, 0, within).await.map_err(|error| told(&error))?;
    Ok(found.iter().filter(|address| wanted(address)).map(|address| address.ip().to_string()).collect())
}

impl Ctx {
    /// Takes a request off the call's share for each name; those for which there is none are not looked up.
    fn charge(&mut self, names: BTreeSet<String>) -> Vec<(String, Option<NetError>)> {
        let each = |name| {
            let refused = (!self.take_request()).then(too_often);
            (name, refused)
        };
        names.into_iter().map(each).collect()
    }
}

/// The hosts that are names, each once. An address needs no lookup.
fn names(endpoints: &[Endpoint]) -> BTreeSet<String> {
    let names = endpoints.iter().filter(|endpoint| endpoint.host.parse::<IpAddr>().is_err());
    names.map(|endpoint| endpoint.host.clone()).collect()
}

async fn look_up(reach: &Reach, names: Vec<(String, Option<NetError>)>, timeout: Duration) -> Addresses {
    let lookups = names.into_iter().map(async |(name, refused)| {
        let found = match refused {
            Some(refused) => Err(refused),
            None if reach.remaining() < timeout => Err(no_time()),
            None => address::resolve(reach, &name, 0, timeout).await.map_err(|error| told(&error)),
        };
        (name, found.map(|found| found.iter().map(SocketAddr::ip).collect()))
    });
    stream::iter(lookups).buffer_unordered(AT_ONCE).collect().await
}

async fn connect(reach: &Reach, endpoint: Endpoint, addresses: &Addresses, timeout: Duration) -> Result<u32, NetError> {
    let Endpoint { host, port } = endpoint;
    let found = match (host.parse::<IpAddr>(), addresses.get(&host)) {
        (Ok(address), _) => vec![address],
        (_, Some(found)) => found.clone()?,
        (_, None) => Vec::new(),
    };
    let Some(address) = found.into_iter().find(|address| reach.grants.covers(*address, port)) else {
        return Err(NetError::Denied(format!("{host}:{port} is in no granted range")));
    };
    // Not looking is another answer than looking and finding nothing.
    let spare = reach.remaining().checked_sub(timeout).ok_or_else(no_time)?;
    let _places = places(reach, spare)
        .await
        .ok_or_else(|| NetError::Denied("this host has too many connections under way".to_owned()))?;
    let started = Instant::now();
    match tokio::time::timeout(timeout, TcpStream::connect((address, port))).await {
        Ok(Ok(_)) => Ok(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(NetError::Refused),
        Ok(Err(error)) if is_own(&error) => Err(NetError::Denied(format!("this host could not look: {error}"))),
        Ok(Err(error)) => Err(NetError::Unreachable(error.to_string())),
        Err(_) => Err(NetError::Timeout),
    }
}

/// A place of the plugin's own and one of all, if both can be had in time.
async fn places(reach: &Reach, within: Duration) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
    let places = async {
        let own = Arc::clone(&reach.share.sockets).acquire_owned().await.ok()?;
        Some((own, Arc::clone(&reach.services.pools.sockets).acquire_owned().await.ok()?))
    };
    tokio::time::timeout(within, places).await.ok().flatten()
}

fn told(error: &ResolveError) -> NetError {
    match error {
        ResolveError::Busy => NetError::Denied(error.to_string()),
        ResolveError::Failed(why) => NetError::Unreachable(why.clone()),
    }
}

fn no_time() -> NetError {
    NetError::Denied("the time of the call is up".to_owned())
}

fn too_often() -> NetError {
    NetError::Denied("this call asked too often".to_owned())
}

/// Whether a connection failed for want of something on this side.
fn is_own(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    own.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_looked_up_once_and_addresses_never() {
        let endpoints: Vec<Endpoint> = ["b", "a", "10.0.0.1", "::1"]
            .iter()
            .flat_map(|host| (1..100).map(|port| Endpoint { host: (*host).to_owned(), port }))
            .collect();
        assert!(names(&endpoints).iter().eq(["a", "b"]));
    }
}
