//! `looma:host/net`: looking at the network, within granted ranges alone, many endpoints at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use tokio::net::TcpStream;

use crate::plugins::bindings::looma::host::net::{Endpoint, Host, NetError, RecordType};
use crate::plugins::grants::Grants;

use super::{Ctx, address};

/// Connections under way at once for one call.
const AT_ONCE: usize = 512;
/// Endpoints of one call.
const ENDPOINTS: usize = 65_536;
const LONGEST: Duration = Duration::from_secs(10);

impl Host for Ctx {
    async fn connect_all(
        &mut self,
        endpoints: Vec<Endpoint>,
        timeout_ms: u32,
    ) -> wasmtime::Result<Vec<Result<u32, NetError>>> {
        if self.reach.grants.net.is_empty() {
            // Not even a name is looked up for a plugin that may reach nothing.
            let denied = || Err(NetError::Denied("no address range is granted to this plugin".to_owned()));
            return Ok(endpoints.iter().map(|_| denied()).collect());
        }
        let (allowed, excess) = endpoints.split_at(endpoints.len().min(ENDPOINTS));
        let timeout = Duration::from_millis(u64::from(timeout_ms)).clamp(Duration::from_millis(1), LONGEST);
        let deadline = self.reach.deadline;
        let answers = allowed
            .iter()
            .cloned()
            .map(|endpoint| connect(endpoint, Arc::clone(&self.reach.grants), timeout, deadline));
        let mut answers: Vec<_> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        let refused = || Err(NetError::Denied(format!("one call looks at {ENDPOINTS} endpoints at most")));
        answers.extend(excess.iter().map(|_| refused()));
        Ok(answers)
    }

    async fn lookup(&mut self, name: String, kind: RecordType) -> wasmtime::Result<Result<Vec<String>, NetError>> {
        if self.reach.grants.net.is_empty() {
            return Ok(Err(NetError::Denied(format!("plugin {} is granted no address range", self.reach.plugin))));
        }
        if !self.take_request() {
            return Ok(Err(NetError::Denied("this call asked too often".to_owned())));
        }
        let want_v4 = match kind {
            RecordType::A => true,
            RecordType::Aaaa => false,
            RecordType::Srv | RecordType::Txt => {
                return Ok(Err(NetError::Unreachable("this host resolves addresses alone, no SRV and TXT".to_owned())));
            }
        };
        let found = address::resolve(&name, 0, self.reach.remaining().min(LONGEST)).await;
        Ok(match found {
            Ok(found) => Ok(found.iter().filter(|a| a.is_ipv4() == want_v4).map(|a| a.ip().to_string()).collect()),
            Err(why) => Err(NetError::Unreachable(why)),
        })
    }
}

async fn connect(
    endpoint: Endpoint,
    grants: Arc<Grants>,
    timeout: Duration,
    deadline: Instant,
) -> Result<u32, NetError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < timeout {
        // Not looking is another answer than looking and finding nothing.
        return Err(NetError::Denied("the time of the call is up".to_owned()));
    }
    let within = timeout;
    let Endpoint { host, port } = endpoint;
    let addresses = address::resolve(&host, port, within).await.map_err(NetError::Unreachable)?;
    let Some(address) = addresses.into_iter().find(|address| grants.covers(address.ip(), port)) else {
        return Err(NetError::Denied(format!("{host}:{port} is in no granted range")));
    };
    let started = Instant::now();
    match tokio::time::timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(NetError::Refused),
        Ok(Err(error)) if is_own(&error) => Err(NetError::Denied(format!("this host could not look: {error}"))),
        Ok(Err(error)) => Err(NetError::Unreachable(error.to_string())),
        Err(_) => Err(NetError::Timeout),
    }
}

/// Whether a connection failed for want of something on this side.
fn is_own(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    own.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
