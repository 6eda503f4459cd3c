//! Asking a service once, over HTTP or by connecting: whether it passed, and if not, why. Nothing of a body is read.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::net::TcpStream;

use super::{
    super::services::{Check, CheckKind},
    grpc,
    plan::Subject,
    target::{Reach, host_and_port, http_url},
};

/// What asks. Clones share it.
#[derive(Clone)]
pub(super) struct Prober {
    http: reqwest::Client,
    reach: Reach,
}

impl Prober {
    pub(super) fn new(reach: Reach) -> anyhow::Result<Self> {
        // It may have been installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Each check has a connection of its own: one that is kept says little of whether a service takes new ones.
        let http = reqwest::Client::builder()
            .user_agent("looma-check")
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Names(reach)))
            .build()?;
        Ok(Self { http, reach })
    }

    /// Asks once, and waits for the answer as long as the check says.
    pub(super) async fn ask(&self, subject: &Subject) -> Result<(), String> {
        let Subject { url, check } = subject;
        let url = Url::parse(url).map_err(|error| format!("its URL cannot be read: {error}"))?;
        let asked = async {
            match check.kind {
                CheckKind::Http => self.http(&url, check).await,
                CheckKind::Tcp => self.connect(&url).await.map(drop),
                CheckKind::Grpc => {
                    let stream = self.connect(&url).await?;
                    let service = check.grpc_service.as_deref().unwrap_or_default();
                    grpc::check(stream, url.authority(), service).await
                }
            }
        };
        let seconds = u64::try_from(check.timeout_seconds).unwrap_or(1);
        let answer = tokio::time::timeout(Duration::from_secs(seconds), asked).await;
        answer.unwrap_or_else(|_| Err(format!("there was no answer within {seconds} s")))
    }

    async fn http(&self, url: &Url, check: &Check) -> Result<(), String> {
        let url = http_url(url, check.path.as_deref())?;
        let (host, _) = host_and_port(&url)?;
        if let Ok(ip) = host.parse() {
            self.reach.allow(ip)?;
        }
        let sent = self.http.get(url.clone()).send().await;
        // The innermost cause says what was wrong.
        let answer = sent.map_err(|error| anyhow::Error::from(error).root_cause().to_string())?;
        let status = answer.status();
        let passed = match check.expected_status {
            Some(expected) => i64::from(status.as_u16()) == expected,
            None => status.is_success(),
        };
        if passed { Ok(()) } else { Err(format!("GET {} was answered {}", url.path(), status.as_u16())) }
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, String> {
        let (host, port) = host_and_port(url)?;
        let addresses = self.reach.resolve(&host, port).await?;
        TcpStream::connect(addresses.as_slice()).await.map_err(|error| format!("could not connect: {error}"))
    }
}

/// Resolves names to what may be asked.
struct Names(Reach);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = reach.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
