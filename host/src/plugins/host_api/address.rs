//! Which addresses a plugin may reach. Names are resolved here, and what was checked is what is connected to.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{http::inner::inner, plugins::grants::Grants};

use super::Reach;

/// Names that are looked up at once for all plugins: each takes a thread until the resolver answers, wanted or not.
const LOOKUPS: usize = 32;
/// Connections that are tried at once for all plugins.
const SOCKETS: usize = 2_048;

/// What all plugins share of the network.
pub(in crate::plugins) struct Pools {
    lookups: Arc<Semaphore>,
    pub(super) sockets: Arc<Semaphore>,
}

impl Default for Pools {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)), sockets: Arc::new(Semaphore::new(SOCKETS)) }
    }
}

/// Why a name has no addresses.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// It was not looked up.
    #[error("this host looks up too many names now")]
    Busy,
    /// It was.
    #[error("{0}")]
    Failed(String),
}

/// Resolves `host`; an address resolves to itself.
pub(super) async fn resolve(
    reach: &Reach,
    host: &str,
    port: u16,
    within: Duration,
) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let places = places(reach, within).await?;
    let name = (host.to_owned(), port);
    let lookup = tokio::task::spawn_blocking(move || {
        // The places are held until the resolver is done, though nobody may wait for it any more.
        let _places = places;
        name.to_socket_addrs().map(Vec::from_iter)
    });
    let failed = |what: String| Err(ResolveError::Failed(what));
    match tokio::time::timeout(within, lookup).await {
        Ok(Ok(Ok(found))) if found.is_empty() => failed(format!("{host} has no address")),
        Ok(Ok(Ok(found))) => Ok(found),
        Ok(Ok(Err(error))) => failed(format!("could not resolve {host}: {error}")),
        Ok(Err(_)) => failed(format!("could not resolve {host}: the lookup did not end")),
        Err(_) => failed(format!("could not resolve {host} in time")),
    }
}

/// A place of the plugin's own and one of all for a lookup, if both can be had in time.
pub(super) async fn places(
    reach: &Reach,
    within: Duration,
) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), ResolveError> {
    let places = async {
        let own = Arc::clone(&reach.share.lookups).acquire_owned().await;
        (own, Arc::clone(&reach.services.pools.lookups).acquire_owned().await)
    };
    match tokio::time::timeout(within, places).await {
        Ok((Ok(own), Ok(shared))) => Ok((own, shared)),
        _ => Err(ResolveError::Busy),
    }
}

/// Whether an HTTP request to this address is allowed: public addresses are, others when a range covers them or the very
/// address was granted (`named`).
pub(super) fn check(address: SocketAddr, grants: &Grants, named: Option<IpAddr>) -> Result<(), String> {
    let ip = address.ip().to_canonical();
    let Some(what) = inner(ip) else { return Ok(()) };
    if named.is_some_and(|named| named.to_canonical() == ip) || grants.covers(ip, address.port()) {
        return Ok(());
    }
    Err(format!("{ip} is {what}; grant net \"{}\" to allow it", example(address)))
}

fn example(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => format!("{ip}/32:{}", address.port()),
        IpAddr::V6(ip) => format!("[{ip}/128]:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::grants::GrantsText;

    #[test]
    fn inner_addresses_are_refused_in_every_spelling() {
        for inner in [
            "127.0.0.1:80",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "192.168.1.1:80",
            "172.16.0.1:80",
            "0.0.0.0:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "[64:ff9b::7f00:1]:80",
            "[2002:7f00:1::]:80",
            "[2001:0:1:2:3:4:80ff:fffe]:80",
            "[64:ff9b:1::a00:1]:80",
            "[::127.0.0.1]:80",
            "168.63.129.16:80",
        ] {
            assert!(check(inner.parse().unwrap(), &Grants::default(), None).is_err(), "{inner}");
        }
        assert!(check("93.184.216.34:80".parse().unwrap(), &Grants::default(), None).is_ok());
    }

    #[test]
    fn a_range_or_the_very_address_allows_an_inner_one() {
        let text = GrantsText { net: vec!["127.0.0.0/8:9000".to_owned()], ..GrantsText::default() };
        let grants = Grants::parse(&text).unwrap();
        let address: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        assert!(check(address, &grants, None).is_ok());
        assert!(check("127.0.0.1:9001".parse().unwrap(), &grants, None).is_err());
        assert!(check(address, &Grants::default(), Some(address.ip())).is_ok());
    }
}
